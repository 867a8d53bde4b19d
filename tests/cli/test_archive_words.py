"""What `diadem archive` says: of many sessions, of one that is not finished, of what it would do, and of its day."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

import pytest

from diadem.api import tools
from diadem.cli.output import progress
from diadem.errors import Interrupted
from diadem.node.take.quiet import FinishWaiter
from diadem.testing.samples import write_small_images
from tests.cli.inside import said, said_json
from tests.cli.test_mistakes import pasted
from tests.node.test_finished import write_mrc
from tests.node.verbs.conftest import Lab, lab

__all__ = ["lab"]


# -- archiving many ------------------------------------------------------------------------------------------------


@pytest.fixture
def week(lab: Lab) -> Path:
    """A folder with two sessions; in the second lies a link, which is left out."""
    (lab.node.path / "policy.toml").write_text("[copies]\nminimum = 1\n", "utf-8")
    for number, name in enumerate(("2026-03-14 ZnO", "2026-03-15 GaN"), 1):
        write_small_images(lab.root / "week" / name, number, seed=number)
    (lab.root / "week/2026-03-15 GaN/link").symlink_to("/nowhere")
    return lab.root / "week"


def test_split_says_of_each_session_what_a_person_should_know(lab: Lab, week: Path) -> None:
    lab.add_second()
    lab.second.rename(lab.root / "unplugged")
    command = ("archive", week, "--split", "--now", "--node", lab.node.path)
    assert "would leave out  link" in said(*command, "--dry-run", code=1)
    text = said(*command, code=1)
    assert "LEFT OUT         link: " in text
    assert text.count("OWED             second") == 2
    assert ", in main\n" in text
    assert text.splitlines()[-1] == "in all           2 sessions: 2 new; 1 thing left out, 2 copies owed"


def test_split_names_what_it_does_not_take(lab: Lab, week: Path) -> None:
    (week / "2026-03-16 raw").mkdir()
    (week / "2026-03-16 raw/scan.raw").write_bytes(bytes(100))
    text = said("archive", week, "--split", "--now", "--dry-run", "--node", lab.node.path, code=1)
    assert f"left             {week / '2026-03-16 raw'}: no file of a format that DIADEM knows" in text
    assert "diadem scan " in text.splitlines()[-1]


def test_split_of_no_folder_and_with_as_one(lab: Lab) -> None:
    node = ("--node", lab.node.path)
    assert "there is no such folder" in said("archive", lab.root / "nope", "--split", *node, code=3)
    assert "cannot be used together" in said("archive", lab.session("one"), "--split", "--as-one", *node, code=2)


def test_a_dry_run_says_what_would_be_refused(lab: Lab, week: Path) -> None:
    node = ("--node", lab.node.path)
    session = lab.session("fresh")
    command = ("archive", session, "--dry-run", *node)
    assert "WOULD REFUSE     the session is not finished" in said(*command, code=1)
    assert "REFUSE" not in said(*command, "--now")
    assert "NOT ARCHIVED" in said("archive", week, "--split", "--dry-run", *node, code=1)
    assert "looks like 2 sessions" in said("archive", week, "--dry-run", "--now", *node, code=1)
    assert lab.node.search().total == 0


def test_a_table_of_a_search_is_not_written_over_silently(lab: Lab) -> None:
    table = lab.root / "table.csv"
    table.write_text("mine")
    command = ("search", "--csv", table, "--node", lab.node.path)
    assert "--overwrite" in said(*command, code=4)
    assert table.read_text() == "mine"
    assert "0 rows" in said(*command, "--overwrite")


# -- dates ---------------------------------------------------------------------------------------------------------


def test_the_day_of_a_session_is_the_one_that_its_folder_begins_with(lab: Lab) -> None:
    session = lab.session("2019-05-14 Titan EELS")
    done = said_json("archive", session, "--now", "--node", lab.node.path)
    assert "/2019/20190514-titan-eels-" in done["package"]["path"]
    assert said_json("search", "date:2019", "--node", lab.node.path)["total"] == 1
    later = said_json("archive", lab.session("S-12 of 2019-05-15"), "--now", "--node", lab.node.path)
    assert "/20190515-" not in later["package"]["path"]


# -- a file that is not whole --------------------------------------------------------------------------------------


def test_a_file_that_will_never_be_whole_is_told_with_a_way_out(
    lab: Lab, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (lab.node.path / "policy.toml").write_text('[archive]\nquiet = "1 s"\n[copies]\nminimum = 1\n', "utf-8")
    node = ("--node", lab.node.path)
    said("watch", "--once", *node)
    session = lab.root / "main/incoming/my tilt"
    session.mkdir()
    write_mrc(session / "tilt.mrc", 3, 40)
    assert "Try again in 1 second," in said("archive", session, *node, code=4)
    time.sleep(1.1)
    text = said("archive", session, *node, code=4)
    assert text.count("tilt.mrc") == 1
    again = ["archive", *map(str, node), str(session), "--now"]
    assert pasted(text, "broken for good") == again
    assert pasted(said("watch", "--once", *node), "broken for good") == again

    def stop(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", stop)
    with pytest.raises(Interrupted), progress(quiet=False) as listener:
        FinishWaiter(session, timedelta(seconds=0.01), readers=tools().readers).wait(listener, stop)
    assert "waiting: 'tilt.mrc' is not complete" in capfd.readouterr().err
