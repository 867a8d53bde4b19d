"""Carriers and disks as people use them, on the command line."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from diadem.node.config import read_settings
from tests.cli.inside import said, said_json
from tests.transfer.towns import Town


@pytest.fixture
def ends(town: Town, tmp_path: Path) -> tuple[str, str, str]:
    """Options that name the nodes hu-berlin, which has a package, and nmi."""
    town.meet("hu-berlin", "nmi")
    source = tmp_path / "session"
    source.mkdir()
    (source / "notes.txt").write_text("notes")
    package = town.node("hu-berlin").archive(source, now=True).package.id
    return str(town.node("hu-berlin").path), str(town.node("nmi").path), str(package)


def test_a_carrier_is_added_listed_and_removed(ends: tuple[str, str, str], tmp_path: Path) -> None:
    here, drive = ("--node", ends[0]), tmp_path / "drive"
    url = drive.as_uri().replace("file:", "drop:")
    assert "the folder is not there" in said("peer", "carrier", "add", "group-drive", url, *here, code=5)
    drive.mkdir()
    added = said("peer", "carrier", "add", "group-drive", url, "--peer", "nmi", *here)
    assert "--route via:group-drive" in added
    assert "marie" not in added, "nobody of that name is known here"
    assert "shared with nmi" in said("peer", "carrier", "ls", *here)
    for name, wrong, why, code in (
        ("Group Drive", url, "cannot be the name of a carrier", 2),
        ("tape", "tape:///x", "no plugin takes packages", 2),
        ("tape", "drop:x", "is not the address of a folder", 2),
    ):
        assert why in said("peer", "carrier", "add", name, wrong, *here, code=code)
    assert "no peer 'nobody'" in said("peer", "carrier", "add", "tape", url, "--peer", "nobody", *here, code=3)
    assert [one.name for one in read_settings(Path(ends[0])).carriers] == ["group-drive"]
    package = ends[2]
    assert "no carrier 'tape' is shared" in said("send", package, "alice@nmi", "--route", "via:tape", *here, code=3)
    assert " stay\n" in said("peer", "carrier", "rm", "group-drive", *here)
    assert said_json("peer", "carrier", "ls", *here)["carriers"] == []
    assert "no carrier" in said("peer", "carrier", "rm", "group-drive", *here, code=3)


def test_a_disk_is_written_and_taken_in(ends: tuple[str, str, str], tmp_path: Path) -> None:
    here, there, disk = ("--node", ends[0]), ("--node", ends[1]), tmp_path / "disk"
    package = ends[2]
    assert "nothing was written" in said("export", package, str(disk), "--to", "alice@nmi", "--dry-run", *here)
    assert "one whole package" in said("export", package, str(disk), "--to", "alice@nmi", "--redact", *here, code=2)
    assert "3 objects" in said("export", package, str(disk), "--to", "alice@nmi", *here)
    again = said("export", package, str(disk), "--to", "alice@nmi", *here)
    assert "every object is in" in again
    assert " 0 " not in again
    assert "again" not in again, "there is nothing to resume"
    looked = said("import", str(disk), "--dry-run", *there)
    assert "would import" in looked
    (advice,) = re.findall(r"^next +diadem (.*?)   ", looked, re.MULTILINE)
    received = said(*shlex.split(advice), *there)
    assert "received" in received
    shown = said("transfer", "show", received[:8], *there)
    assert "were here" in shown
    assert "new connections" not in shown, "a disk has none"
    looked = said("import", str(disk), "--dry-run", *there)
    assert "here already" in looked
    assert "would import" not in looked
    assert said_json("import", str(disk), *there)["transfer"]["route"] == "disk"
    assert "alice@nmi" in said("custody", package, *here)
    assert "on a disk" in said("custody", package, *there)
    assert "there is no diadem-disk.json" in said("import", str(tmp_path), *there, code=3)


def test_a_zip_that_is_here_already_is_not_announced_as_new(ends: tuple[str, str, str], tmp_path: Path) -> None:
    here, there, package, parcel = ("--node", ends[0]), ("--node", ends[1]), ends[2], tmp_path / "parcel.zip"
    given = said("export", package, str(parcel), "--for", "Marie Curie <m@x.org>", *here)
    (advice,) = re.findall(r"see: diadem (.*)$", given, re.MULTILINE)
    assert "Marie Curie" in said(*shlex.split(advice), *here)
    assert "confirm receipt" not in given, "no command takes the confirmation of somebody who has a ZIP"
    assert f"would import     {package}" in said("import", str(parcel), "--dry-run", *there)
    said("import", str(parcel), *there)
    looked = said("import", str(parcel), "--dry-run", *there)
    assert f"here already     {package}" in looked
    assert "would import" not in looked
    assert said_json("import", str(parcel), "--dry-run", *there)["here"] == [package]


def test_the_inbox_says_whose_offers_cannot_come_yet(town: Town) -> None:
    joined = town.peers("nmi").join(town.peers("hu-berlin").invite().to_text())
    here, there = ("--node", str(town.node("hu-berlin").path)), ("--node", str(town.node("nmi").path))
    told = said("inbox", *there)
    assert "hu-berlin has not confirmed this node yet" in told
    assert joined.words in told
    assert f"nmi is to be confirmed: diadem peer confirm --node {here[1]} nmi" in said("inbox", *here)
    (advice,) = re.findall(r"diadem (peer confirm .*?)   ", told)
    said(*shlex.split(advice), "--words", joined.words, *here)
    assert "nmi" not in said("inbox", *here)
    town.book("nmi").seen_confirmed(town.node("hu-berlin").id)
    assert "hu-berlin" not in said("inbox", *there)
