"""A package on one screen, its page in a browser, some of its files: through the command line, as people ask."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

import diadem
from diadem.errors import NotFound, UsageError
from tests import zygote
from tests.archive.scan_trees import image
from tests.cli.inside import ended, said, said_json
from tests.node.verbs.conftest import Lab, damage, lab

__all__ = ["lab"]

FILES = ("dm/test_STEM_image.dm3", "dm/Fei HAADF-DE_location.dm3", "msa/example1.msa", "mrc/HAADFscan.mrc")
PAIR = ("tia/128x128_TEM_acquire-sum1.emi", "tia/128x128_TEM_acquire-sum1_1.ser")


@pytest.fixture
def package(lab: Lab, shared_data: Path) -> str:
    """A session of real files with a sample and people, corrected and judged."""
    folder = lab.root / "2016-08-08 S-12 survey"
    (folder / "EDS maps").mkdir(parents=True)
    for name in FILES:
        shutil.copyfile(shared_data / name, folder / Path(name).name)
    for name in PAIR:
        shutil.copyfile(shared_data / name, folder / "EDS maps" / Path(name).name)
    (folder / "notes.txt").write_text("drift in the first hour")
    about = {"sample": {"identifier": "S-12"}, "people": [{"name": "Anna Müller", "role": "operator"}]}
    found = str(lab.node.archive(folder, now=True, as_one=True, metadata=about).package.id)
    lab.node.amend(found, {"sample.identifier": "S-13", "voltage": "80 kV"}, reason="wrong label")
    lab.node.assess(found, "limited", purpose="EELS", criterion="drift", comment="it drifted")
    return found


def test_one_screen_tells_it(lab: Lab, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIADEM_NODE", str(lab.node.path))  # else its place stands in every command
    lab.add_second()
    lab.node.repair()
    text = said("show", package[7:19])
    lines = text.splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 200
    assert lines[0] == "2016-08-08 S-12 survey"
    for told in (
        "recorded    2016-08-08", "by alice@hu-berlin", package, "Anna Müller (operator)", "S-13   [was: S-12]",
        "6 datasets, 7 files", "each 80 kV", "image 68 × 68 · STEM · 225,000× · 248.5 pm per pixel · DigiScan",
        "2 copies", str(lab.path(package, "main")), str(lab.path(package, "second")), "proven whole on 20",
        "limited  for EELS (drift)   alice@hu-berlin", "it drifted", "sample.identifier   S-12 → S-13",
        "wrong label", str(lab.path(package, "main") / "data" / "ro-crate-preview.html"),
        f"diadem open {package[7:19]}",
    ):  # fmt: skip
        assert told in text, told
    assert str(lab.node.show(package)) == text.rstrip("\n")


def test_for_programs(lab: Lab, package: str) -> None:
    found = said_json("show", package, "--node", lab.node.path)
    assert found["id"] == package
    assert found["days"] == {"first": "2016-08-08", "last": "2016-08-08", "source": "name"}
    assert [one["path"] for one in found["copies"]] == [lab.node.search("").rows[0].path]
    assert found["copies"][0]["place"] == str(lab.path(package, "main"))
    assert found["corrections"][1]["was"] == ["S-12"]
    assert {one["path"] for one in found["files"]} >= {"notes.txt", "EDS maps/128x128_TEM_acquire-sum1.emi"}
    values = {one["path"]: {value["key"]: value["text"] for value in one["values"]} for one in found["datasets"]}
    assert values["test_STEM_image.dm3"]["image.pixel_size_x"] == "248.5 pm"
    assert found["sample"] == {"identifier": "S-13"}


def test_every_value_of_one_dataset(lab: Lab, package: str) -> None:
    asked = ("show", package, "--node", lab.node.path, "--dataset", "test_STEM_image.dm3")
    text = said(*asked)
    for told in (
        "scan.dwell_time                  3.5 µs", "ImageList/TagGroup1/ImageTags/DigiScan/Sample Time",
        "3.5 us  [convert",
        "beam.acceleration_voltage        80 kV   [was: 200 kV]", "stated by alice@hu-berlin",
    ):  # fmt: skip
        assert told in text, told
    table = said_json(*asked)
    dwell = next(one for one in table["values"] if one["key"] == "scan.dwell_time")
    assert (dwell["value"], dwell["unit"], dwell["raw"], dwell["raw_unit"]) == (3.5e-6, "s", 3.5, "us")
    assert dwell["rule"].startswith("gatan/")
    assert "Did you mean test_STEM_image.dm3" in said(*asked[:-1], "test_STEM_imag.dm3", code=3)
    assert "cannot be used together" in said(*asked, "--files", code=2)


def test_all_files(lab: Lab, package: str) -> None:
    text = said("show", package, "--files", "--node", lab.node.path)
    assert "EDS maps/128x128_TEM_acquire-sum1_1.ser" in text
    assert "in 7 files" in text


def test_what_a_package_tells_without_a_node(lab: Lab, package: str, tmp_path: Path) -> None:
    alone = said("show", lab.path(package, "main"))
    assert "sample      S-12" in alone
    assert "S-13" not in alone
    assert f"copy read   {lab.path(package, 'main')}" in alone
    out = tmp_path / "out.zip"
    lab.node.export(package, out, for_="Marie Curie")
    assert said_json("show", out)["id"] == package
    assert said("show", tmp_path / "nothing", code=3).startswith("diadem: there is no package here")


def test_many_are_counted_and_named_when_asked(lab: Lab) -> None:
    package = lab.archived("many", files=20)
    text = said("show", package, "--node", lab.node.path)
    assert f"and 8 more: diadem show --node {lab.node.path} {package[7:19]} --all" in text
    assert "scan 9.bin" not in text
    assert "scan 9.bin" in said("show", package, "--all", "--node", lab.node.path)


def test_words_of_strangers_move_no_cursor(lab: Lab) -> None:
    folder = lab.root / "s"
    folder.mkdir()
    (folder / "notes.txt").write_text("x")
    about = {"session": {"title": "a\x1b[2Jb"}, "sample": {"name": "c\u202ed"}}
    package = lab.node.archive(folder, now=True, metadata=about).package.id
    assert not {"\x1b", "\u202e"} & set(str(lab.node.show(package)))


def test_a_store_that_is_away_and_a_damaged_copy_are_said(lab: Lab) -> None:
    package = lab.archived("s")
    lab.add_second()
    lab.node.repair()
    damage(lab.path(package, "main") / "data" / "scan 1.bin")
    lab.node.scrub("main")
    lab.second.rename(lab.root / "unplugged")
    text = said("show", package, "--node", lab.node.path)
    assert "1 copy\n" in text
    assert "  main     " in text
    assert "\n           DAMAGED" in text
    assert "cannot be seen now" in text


def test_the_days_and_what_tells_them(lab: Lab) -> None:
    folder = lab.root / "t1"
    folder.mkdir()
    for number, day in enumerate(("2016-08-08", "2019-05-02")):
        image(folder / f"image {number}.hspy", f"{day}T10:00:00")
    package = lab.node.archive(folder, now=True, as_one=True).package.id
    assert "recorded    2016-08-08 to 2019-05-02   (from the files)" in str(lab.node.show(package))
    said("amend", package, "--set", "session.date=2023-03-14/2023-03-16", "--node", lab.node.path)
    shown = str(lab.node.show(package))
    assert "recorded    2023-03-14 to 2023-03-16   (as its owner corrected it)" in shown
    (row,) = lab.node.search("date:2023").rows
    assert (str(row.date), str(row.until)) == ("2023-03-14", "2023-03-16")
    assert "recorded until 2023-03-16" in said("search", "--node", lab.node.path)
    assert b"2023-03-14,2023-03-16" in lab.node.search("").to_csv()
    assert "2023-03-14 – 2023-03-16" in lab.node.search("")._repr_html_()
    for wrong in ("2023-03-16/2023-03-14", "2023-03-14/soon", "2023-03-14/", "/2023-03-14"):
        with pytest.raises(UsageError):
            lab.node.amend(package, {"session.date": wrong})
    bare = lab.archived("t2")
    assert "recorded    date unknown" in str(lab.node.show(bare))


def test_a_continuation_says_what_it_continues(lab: Lab) -> None:
    session = lab.session("s")
    first = lab.node.archive(session, now=True).package.id
    (session / "later.bin").write_bytes(b"later")
    second = lab.node.archive(session, now=True).package.id
    assert f"continues   {first[7:19]}" in str(lab.node.show(second))
    assert f"continued   by {second[7:19]}" in str(lab.node.show(first))


# -- the page ------------------------------------------------------------------------------------------------------


def test_the_page_opens_in_the_browser_that_there_is(lab: Lab, package: str, tmp_path: Path) -> None:
    lab.node.close()
    page = lab.path(package, "main") / "data" / "ro-crate-preview.html"
    seen = tmp_path / "seen"
    browser = tmp_path / "browser.py"
    browser.write_text(f"import sys, pathlib; pathlib.Path({str(seen)!r}).write_text(sys.argv[1])")
    environment = {**os.environ, "BROWSER": f"{sys.executable} {browser} %s"}
    command = [sys.executable, "-m", "diadem", "open", package, "--node", str(lab.node.path)]
    done = zygote.run(command, env=environment, check=True)
    assert str(page) in done.stdout
    assert "no browser" not in done.stdout
    assert seen.read_text() == page.as_uri()
    seen.unlink()
    zygote.run([*command, "--print"], env=environment, check=True)
    printed = zygote.run([*command, "--json"], env=environment, check=True)
    assert json.loads(printed.stdout) == {
        "package": package,
        "page": str(page),
        "fetched": False,
        "from": str(page.parents[1]),
    }
    assert not seen.exists()


def test_a_page_that_lies_elsewhere_is_fetched_and_said_so(lab: Lab, package: str, tmp_path: Path) -> None:
    out = tmp_path / "out.zip"
    lab.node.export(package, out, for_="Marie Curie")
    found = said_json("open", out)
    assert found["fetched"] is True
    assert (
        Path(found["page"]).read_bytes() == (lab.path(package, "main") / "data" / "ro-crate-preview.html").read_bytes()
    )
    assert "a proven copy, from" in said("open", out, "--print")


def test_a_page_that_is_not_what_was_sealed_is_not_shown(lab: Lab, package: str) -> None:
    damage(lab.path(package, "main") / "data" / "ro-crate-preview.html")
    code, text = ended("open", package, "--print", "--node", lab.node.path)
    assert code == 1
    assert "not what was archived" in text


# -- some files ----------------------------------------------------------------------------------------------------


def restored(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("only", "names"),
    [
        (["*haadf*"], {"Fei HAADF-DE_location.dm3", "HAADFscan.mrc"}),
        (["notes.txt"], {"notes.txt"}),
        (["data/notes.txt"], {"notes.txt"}),
        (["EDS maps/128x128_TEM_acquire-sum1.emi"], {f"EDS maps/{Path(name).name}" for name in PAIR}),
        (["*_1.SER"], {f"EDS maps/{Path(name).name}" for name in PAIR}),
        (["eds maps"], {f"EDS maps/{Path(name).name}" for name in PAIR}),
        (["EDS maps\\*.emi"], {f"EDS maps/{Path(name).name}" for name in PAIR}),
        (["*.msa", "*.mrc"], {"example1.msa", "HAADFscan.mrc"}),
    ],
)
def test_some_files(lab: Lab, package: str, only: list[str], names: set[str]) -> None:
    back = lab.root / "back"
    options = [word for one in only for word in ("--only", one)]
    found = said_json("get", package, back, *options, "--node", lab.node.path)
    assert restored(back) == names
    assert {*found["matched"], *found["companions"]} == names
    alone = lab.root / "alone"
    said("get", lab.path(package, "main"), alone, *options)
    assert restored(alone) == names


def test_what_was_matched_is_said(lab: Lab, package: str) -> None:
    text = said("get", package, lab.root / "back", "--only", "*.emi", "--node", lab.node.path)
    assert "as named       EDS maps/128x128_TEM_acquire-sum1.emi" in text
    assert "belongs to it  EDS maps/128x128_TEM_acquire-sum1_1.ser" in text


def test_names_that_nothing_has(lab: Lab, package: str) -> None:
    back = lab.root / "back"
    text = said("get", package, back, "--only", "HAADF", "--node", lab.node.path, code=3)
    assert "no file is called 'HAADF'" in text
    assert "Fei HAADF-DE_location.dm3, HAADFscan.mrc" in text
    assert '"*haadf*"' in text
    assert "example1.msa" in said("get", package, back, "--only", "exmaple1.msa", "--node", lab.node.path, code=3)
    assert "empty name" in said("get", package, back, "--only", "", "--node", lab.node.path, code=2)
    assert not back.exists()


def test_a_name_with_brackets_means_itself(lab: Lab) -> None:
    folder = lab.root / "s"
    folder.mkdir()
    for name in ("scan [1].bin", "scan 1.bin"):
        (folder / name).write_text(name)
    package = lab.node.archive(folder, now=True).package.id
    lab.node.restore(package, lab.root / "back", only="scan [1].bin")
    assert restored(lab.root / "back") == {"scan [1].bin"}


def test_of_a_session_in_several_packages_the_newest_version_comes(lab: Lab) -> None:
    session = lab.session("s")
    first = lab.node.archive(session, now=True).package.id
    (session / "scan 1.bin").write_bytes(b"changed")
    lab.node.archive(session, now=True)
    lab.node.restore(first, lab.root / "back", only=["scan 1*"])
    assert restored(lab.root / "back") == {"scan 1.bin"}
    assert (lab.root / "back" / "scan 1.bin").read_bytes() == b"changed"


# -- from a search to a signal -------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")
def test_from_a_row_to_everything(lab: Lab, package: str) -> None:
    other = lab.archived("other")
    found = lab.node.search("HAADF*")
    row = found[0]
    assert (row.id, len(found[:5]), found[-1].id, found[:0].rows) == (package, 1, package, ())
    assert found[0:1].total == found.total
    with pytest.raises(IndexError):
        found[7].load()
    assert row.package is found[0].package, "it is opened once"
    assert row.package.id == lab.node.get(row).id == lab.node.get(row.package).id == package
    assert row.dataset.path == row.matched[0].path
    assert row.matched[0].dataset == row.dataset
    assert row.matched[0].load().metadata.General.diadem.package == package
    assert row.load().data.shape == row.matched[0].dataset.signals[0].shape
    assert row.picture().png == row.dataset.picture().png
    assert row.package.record.value("sample.identifier") == "S-13"
    assert "opener" not in row.to_dict()
    json.dumps(found.to_dict())
    made = lab.node.derive(lab.session("result") / "scan 0.bin", row.dataset)
    assert made.package != package
    (derived,) = lab.node.derivations(made.package)
    assert derived.sources[0].to_dict() == {"package": package, "path": row.dataset.path}
    assert lab.node.search("other").rows[0].id == other
    assert str(lab.node.show(row)).startswith("2016-08-08 S-12 survey")


def test_a_row_of_no_search_says_so(lab: Lab) -> None:
    row = lab.node.context.catalogue.get(lab.archived("s"))
    with pytest.raises(UsageError, match="not come from a search"):
        row.package.verify()
    lab.node.search("s")[0].package.verify().raise_for_findings()
    assert isinstance(lab.node.search("s")[0].package, diadem.Package)
    with pytest.raises(NotFound, match="no file 'x'"):
        lab.node.search("s")[0].package.picture("x")
