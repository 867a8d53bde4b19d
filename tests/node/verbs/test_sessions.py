"""`diadem archive` on sessions as they come: unfinished, several in a folder, without metadata, too large."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import openpyxl
import pytest

import diadem
from diadem.errors import StoreError
from diadem.testing.faulty_store import FaultyStore
from diadem.testing.samples import write_session, write_small_images
from tests.archive.scan_trees import image
from tests.cli.inside import said, said_json
from tests.node.verbs.agreeing import copies, require_agreement
from tests.node.verbs.conftest import Lab
from tests.node.verbs.test_many_at_once import at_work

pytestmark = pytest.mark.catalogue


def policy(lab: Lab, text: str) -> None:
    (lab.node.path / "policy.toml").write_text("[copies]\nminimum = 1\n" + text, "utf-8")


def nothing_is_kept(lab: Lab) -> None:
    """No package, no stage, no statement about one."""
    assert lab.node.search().total == 0
    assert not list((lab.root / "main").glob("20*"))
    stage = lab.root / "main/.diadem/stage"
    assert not stage.is_dir() or not list(stage.iterdir())
    assert "ingest" not in {entry.statement.kind for entry in lab.node.context.ledger.all_entries()}


# -- metadata that the policy requires -----------------------------------------------------------------------------


def test_required_metadata_are_asked_for_and_can_be_given_in_two_ways(lab: Lab) -> None:
    policy(lab, '[metadata]\nrequired = ["sample.name", "person.operator"]\n')
    session = lab.session("s")
    command = ("archive", session, "--now", "--node", lab.node.path)
    text = said(*command, code=4)
    assert "the policy requires sample.name and person.operator" in text
    assert "--set sample.name=" in text
    assert "--meta session.toml" in text
    error = said_json(*command, "--set", "sample.name=S-12", code=4)["error"]
    assert "sample.name" not in error["message"]
    assert "person.operator" in error["message"]
    nothing_is_kept(lab)
    (lab.root / "meta.toml").write_text(
        '[sample]\nname = "S-12"\n[[people]]\nname = "Bob"\nrole = "operator"\n', "utf-8"
    )
    done = said_json(*command, "--meta", lab.root / "meta.toml", "--set", "session.title=Zinc oxide")
    assert "zinc-oxide" in done["package"]["path"]
    assert lab.node.search("sample:S-12 operator:Bob").total == 1
    assert said_json(*command)["what"] == "already"  # it is archived with them
    again = ("archive", lab.session("t"), "--now", "--node", lab.node.path)
    for pair in ("sample.nam=S-12", "sample.name", "=x", "beam.current=3"):
        assert said_json(*again, "--set", pair, code=2)["error"]["next"]
    require_agreement(lab.node)


def test_what_the_files_state_need_not_be_given(lab: Lab) -> None:
    policy(lab, '[metadata]\nrequired = ["sample.name"]\n')
    write_session(lab.root / "2026-03-14 ZnO")
    done = said_json("archive", lab.root / "2026-03-14 ZnO", "--now", "--as-one", "--node", lab.node.path, code=0)
    assert done["datasets"] >= 8
    assert lab.node.search("sample:S12").total + lab.node.search("sample:ZnO").total >= 1


# -- unfinished ----------------------------------------------------------------------------------------------------


@pytest.mark.program("an instrument that writes for seconds")
def test_an_unfinished_session_is_refused_naming_files_and_waited_for_on_request(lab: Lab) -> None:
    session = lab.session("s")
    command = ("archive", session, "--node", lab.node.path)
    error = said_json(*command, code=4)["error"]
    assert "not finished" in error["message"]
    assert "scan 2.bin" in error["message"]
    assert "--wait" in error["next"]
    nothing_is_kept(lab)
    policy(lab, '[archive]\nquiet = "2 s"\n')
    (session / "scan 3.bin.tmp").write_bytes(b"half")
    time.sleep(2.1)
    assert "scan 3.bin.tmp" in said_json(*command, code=4)["error"]["message"]
    (session / "scan 3.bin.tmp").rename(session / "scan 3.bin")
    begun = time.monotonic()
    done = said_json(*command, "--wait")
    assert time.monotonic() - begun > 1.5
    assert (done["what"], done["files"]) == ("new", 4)


# -- several sessions in a folder ----------------------------------------------------------------------------------


@pytest.fixture
def week(lab: Lab) -> Path:
    """A folder that holds three sessions."""
    policy(lab, "")
    for number, name in enumerate(("2026-03-14 ZnO", "2026-03-15 GaN", "2026-03-16 Si"), 1):
        write_small_images(lab.root / "week" / name, number, seed=number)
    return lab.root / "week"


def test_several_sessions_are_refused_and_the_plan_is_named(lab: Lab, week: Path) -> None:
    error = said_json("archive", week, "--now", "--node", lab.node.path, code=4)["error"]
    assert "3 sessions" in error["message"]
    for named in ("ZnO", "GaN", "Si"):
        assert named in error["message"]
    for option in ("--split", "--as-one", "--plan"):
        assert option in error["next"]
    nothing_is_kept(lab)
    one = said_json("archive", week, "--now", "--as-one", "--node", lab.node.path)
    assert one["files"] == 6


def test_split_makes_one_package_of_each_and_again_none(lab: Lab, week: Path) -> None:
    command = ("archive", week, "--split", "--now", "--node", lab.node.path)
    planned = said_json(*command, "--dry-run")["sessions"]
    assert [(one["date"], one["files"], one["state"]) for one in planned] == [
        ("2026-03-14", 1, "planned"),
        ("2026-03-15", 2, "planned"),
        ("2026-03-16", 3, "planned"),
    ]
    nothing_is_kept(lab)
    made = said_json(*command)["sessions"]
    assert [(one["state"], one["files"]) for one in made] == [("new", 1), ("new", 2), ("new", 3)]
    assert [one["state"] for one in said_json(*command)["sessions"]] == ["already"] * 3
    assert len(copies(lab.node)) == 3
    (week / "2026-03-16 Si" / "note.txt").write_text("later")
    assert [one["state"] for one in said_json(*command)["sessions"]] == ["already", "already", "continuation"]
    require_agreement(lab.node)


@pytest.mark.parametrize("suffix", [".csv", ".xlsx"])
def test_a_plan_that_was_edited_is_followed(lab: Lab, week: Path, suffix: str) -> None:
    plan = lab.root / f"plan{suffix}"
    said("scan", week, "--plan", plan, "--no-cache")
    edit(plan)
    made = said_json("archive", "--plan", plan, "--now", "--set", "sample.name=S-7", "--node", lab.node.path)
    assert [(one["title"], one["state"]) for one in made["sessions"]] == [
        ("Gallium nitride", "new"),
        ("week Si", "new"),
    ]
    assert lab.node.search("gallium sample:S-7").total == 1
    assert lab.node.search("ZnO").total == 0
    assert lab.node.search().total == 2


def edit(plan: Path) -> None:
    """Leave the first session out, and give the second another title."""
    if plan.suffix == ".csv":
        text = plan.read_text("utf-8-sig")
        rows = list(csv.DictReader(text.splitlines()))
        _change(rows)
        with plan.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
        return
    book = openpyxl.load_workbook(plan)
    sheet = book.active
    assert sheet is not None
    names = [str(cell.value) for cell in sheet[1]]
    rows = [dict(zip(names, (cell.value for cell in row), strict=True)) for row in sheet.iter_rows(min_row=2)]
    _change(rows)
    for number, row in enumerate(rows, 2):
        for column, name in enumerate(names, 1):
            sheet.cell(number, column).value = row[name]
    book.save(plan)
    book.close()


def _change(rows: list[dict[str, Any]]) -> None:
    rows[0]["archive"] = "no"
    rows[1]["title"] = "Gallium nitride"


def test_one_session_that_fails_stops_none_of_the_others(lab: Lab, week: Path) -> None:
    plan = lab.root / "plan.csv"
    said("scan", week, "--plan", plan, "--no-cache")
    for path in (week / "2026-03-15 GaN").iterdir():
        path.unlink()
    made = said_json("archive", "--plan", plan, "--now", "--node", lab.node.path, code=1)["sessions"]
    assert [one["state"] for one in made] == ["new", "failed", "new"]
    assert made[1]["error"]["message"]
    assert "NOT ARCHIVED" in said("archive", "--plan", plan, "--now", "--node", lab.node.path, code=1)


def test_a_killed_run_is_gone_on_with(lab: Lab, week: Path) -> None:
    with at_work(lab, [[["archive-until", str(week)]]]) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["state"] == "new"
        assert process.stdout.readline() == "hanging\n"
    assert [(job.kind, job.state) for job in lab.node.jobs] == [("archive", "killed")]
    made = said_json("archive", week, "--split", "--now", "--node", lab.node.path)["sessions"]
    assert [one["state"] for one in made] == ["already", "new", "new"]
    assert made[1]["swept"]  # what the killed one had begun
    assert [(job.kind, job.state) for job in lab.node.jobs] == [("archive", "done")]
    require_agreement(lab.node)


# -- space ---------------------------------------------------------------------------------------------------------


class Small(FaultyStore):
    """A store that says that it has little room."""

    def free(self) -> int | None:
        return 20_000_000


def test_sessions_that_do_not_fit_together_are_refused_before_the_first_byte(lab: Lab) -> None:
    policy(lab, "")
    for name in ("2026-03-14 a", "2026-03-15 b"):
        write_small_images(lab.root / "week" / name, 1)
        (lab.root / "week" / name / "large.bin").write_bytes(os.urandom(3_000_000))
    store = lab.node.context.stores.open("main")
    lab.node.context.stores.put("main", Small(store))
    with pytest.raises(StoreError, match="the store with most space, 'main', has 20,000,000 free") as refused:
        list(lab.node.archive_all(lab.root / "week", now=True))
    assert "store" in str(refused.value.next)
    nothing_is_kept(lab)
    lab.node.stores.add(str(lab.root / "roomy"), name="roomy")
    assert [one.state for one in lab.node.archive_all(lab.root / "week", now=True)] == ["new", "new"]


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.geteuid() != 0, reason="mounting a small disk needs root"
)
def test_a_disk_that_is_too_small_for_all(lab: Lab, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(disk)], check=False).returncode:
        pytest.skip("this system does not let the test mount a small disk")
    try:
        for name in ("2026-03-14 a", "2026-03-15 b"):
            write_small_images(lab.root / "week" / name, 1)
            (lab.root / "week" / name / "large.bin").write_bytes(os.urandom(14_000_000))
        with diadem.Node.create(tmp_path / "n2", name="n2", user="u", store=str(disk / "store")) as node:
            error = said_json("archive", lab.root / "week", "--split", "--now", "--node", node.path, code=4)["error"]
            assert "the sessions have 28," in error["message"]
            assert node.search().total == 0
            assert not list((disk / "store").glob("20*"))
            one = said_json("archive", lab.root / "week/2026-03-14 a", "--now", "--node", node.path, code=0)
            assert one["what"] == "new"
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_who_stands_as_operator_in_a_plan_that_was_edited_is_in_the_record(lab: Lab) -> None:
    image(lab.root / "sources" / "2026-03-14 GaN" / "a.hspy")
    plan = lab.root / "plan.csv"
    said("scan", lab.root / "sources", "--plan", plan)
    rows = list(csv.DictReader(plan.read_text("utf-8-sig").splitlines()))
    rows[0] |= {"operator": "Anna Müller; Bob", "archive": "yes"}
    with plan.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows[:1])
    said("archive", "--plan", plan, "--now", "--node", lab.node.path)
    (row,) = lab.node.search("operator:Müller").rows
    people = lab.node.get(row.id).record.people
    assert [(one["name"], one["role"]) for one in people] == [("Anna Müller", "operator"), ("Bob", "operator")]


def test_a_dry_run_of_many_says_what_is_archived_already(lab: Lab) -> None:
    for number, name in enumerate(("known", "grown", "new")):
        write_small_images(lab.root / "data" / name, 3, seed=number)
    known = lab.node.archive(lab.root / "data/known", now=True).package.id
    grown = lab.node.archive(lab.root / "data/grown", now=True).package.id
    write_small_images(lab.root / "more", 1, seed=9)
    (lab.root / "more/frame_00000.tif").rename(lab.root / "data/grown/late.tif")
    would = {one.session.title: one for one in lab.node.archive_all(lab.root / "data", dry_run=True, now=True)}
    assert would["known"].known["package"] == known
    assert (would["grown"].known["relation"], would["grown"].known["predecessor"]) == ("extends", grown)
    assert would["grown"].known["new"] == ["late.tif"] or would["grown"].known["new"] == ["data/late.tif"]
    assert would["new"].known["relation"] == "unrelated"
    text = said("archive", lab.root / "data", "--split", "--dry-run", "--now", "--node", lab.node.path)
    for line in ("archived already known", "would continue   grown", "would archive    new"):
        assert line in text
    unfinished = list(lab.node.archive_all(lab.root / "data", dry_run=True))
    assert all(one.error is not None and one.known for one in unfinished), "it is looked at whatever is said against it"


def test_the_licence_of_a_session_goes_before_the_policy(lab: Lab) -> None:
    policy(lab, '[archive]\nlicense = "CC-BY-4.0"\n')
    with lab.reopened() as node:
        for name, metadata, licence in (
            ("usual", None, "CC-BY-4.0"),
            ("own", {"session": {"license": "CC0-1.0"}}, "CC0-1.0"),
        ):
            package = node.archive(lab.session(name), now=True, metadata=metadata).package
            assert node.show(package.id).to_dict()["licence"] == licence
