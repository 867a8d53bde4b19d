"""A package, or a ZIP of it, that somebody hands over: taken in under its own id, proven first, and never nested."""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import diadem
from diadem.errors import DiademError, IntegrityError, PackageError, UsageError
from diadem.testing.faults import overwrite
from tests.archive.scan_trees import image
from tests.cli.inside import said, said_json
from tests.node.verbs.conftest import Lab

pytestmark = pytest.mark.catalogue


@pytest.fixture
def given(lab: Lab) -> tuple[str, Path]:
    """Id of a corrected package of two files and more, and a ZIP of it."""
    session = lab.session("Marie GaN")
    (session / "table.csv").write_text("1,2,3\n" * 5000)
    package = str(lab.node.archive(session, now=True).package.id)
    lab.node.amend(package, {"sample.name": "S-13"})
    lab.node.export(package, lab.root / "s12.zip", for_="Marie Curie")
    return package, lab.root / "s12.zip"


@pytest.fixture
def other(lab: Lab) -> diadem.Node:
    """Another node, which has never heard of the first."""
    return diadem.Node.create(lab.root / "other", name="emlab", user="carla", store=str(lab.root / "other-store"))


def unpacked(given: Path, to: Path) -> Path:
    """The folder of the package in an unpacked ZIP."""
    with zipfile.ZipFile(given) as archive:
        archive.extractall(to)
    return next(path.parent for path in to.glob("*/bagit.txt"))


def test_a_zip_is_opened_verified_and_taken_in_as_it_is(given: tuple[str, Path], other: diadem.Node) -> None:
    package, path = given
    opened = diadem.open(path)
    assert opened.id == package
    assert opened.open("table.csv").read(6) == b"1,2,3\n"
    report = diadem.verify(path, level="full")
    assert (report.ok, report.package_id) == (True, package)
    assert opened.restore(other.path.parent / "restored").files == 4
    done = other.import_(path)
    assert [one.package.id for one in done.packages] == [package]
    row = other.search("S-13").rows[0]
    assert (row.id, row.files) == (package, 4)
    assert diadem.verify(other.get(package), level="full").ok
    (step, *_) = other.custody(package).steps
    assert "found as a package in" in step.sentence
    assert "who made it is not stated" in step.sentence
    (amended,) = other.amendments(package).said
    assert amended.by == "alice@hu-berlin"
    assert other.search("sample:S-13").total == 1


def test_a_signal_is_loaded_from_a_zip(lab: Lab) -> None:
    image(lab.root / "sources" / "2026-03-14 ZnO" / "image.hspy")
    package = lab.node.archive(lab.root / "sources" / "2026-03-14 ZnO", now=True).package
    lab.node.export(package.id, lab.root / "given.zip", for_="Marie Curie")
    found = diadem.open(lab.root / "given.zip")
    expected = package.load("image.hspy").data.sum().compute()
    assert found.load("image.hspy").data.sum().compute() == expected
    assert not found.reextract().changes


@pytest.mark.parametrize("form", ["folder", "above", "zip"])
def test_archive_takes_a_package_in_under_its_own_id(
    given: tuple[str, Path], other: diadem.Node, tmp_path: Path, form: str
) -> None:
    package, path = given
    folder = unpacked(path, tmp_path / "unpacked")
    source = {"folder": folder, "above": folder.parent, "zip": path}[form]
    done = other.archive(source)
    assert (done.package.id, done.what) == (package, "taken")
    assert "other-store" in done.package.url
    assert other.archive(source).what == "already"
    assert len(other.search("").rows) == 1
    with pytest.raises(UsageError, match="never changes"):
        other.archive(source, metadata={"sample": {"name": "x"}})
    nested = other.archive(source, as_one=True, now=True)
    assert nested.package.id != package, "who really wants to nests it"


def test_by_commands(given: tuple[str, Path], other: diadem.Node, tmp_path: Path) -> None:
    package, path = given
    there = ("--node", str(other.path))
    assert package in said("verify", path)
    assert "would import" in said("import", path, "--dry-run", *there)
    assert not other.search("").rows
    assert "imported" in said("import", path, *there)
    assert "already archived" in said("archive", path, *there)
    assert said_json("import", path, *there)["packages"][0]["package"]["id"] == package
    shown = said("extract", unpacked(path, tmp_path))
    assert "bagit.txt" not in shown
    assert f"package          {package}" in shown
    assert "no diadem-disk.json" in said("import", tmp_path.parent, *there, code=3)


def test_what_is_damaged_is_not_taken_in(given: tuple[str, Path], other: diadem.Node, tmp_path: Path) -> None:
    folder = unpacked(given[1], tmp_path)
    data = folder / "data" / "table.csv"
    os.chmod(data, 0o600)
    data.write_bytes(data.read_bytes().replace(b"3", b"4", 1))
    with pytest.raises(IntegrityError):
        other.archive(folder)
    assert not other.search("").rows
    assert "table.csv" in said("verify", folder, code=1)


def repacked(path: Path, to: Path, change: Callable[[zipfile.ZipFile, str], None]) -> Path:
    """The same ZIP with something more in it."""
    shutil.copy(path, to)
    with zipfile.ZipFile(to, "a") as archive:
        change(archive, next(name for name in archive.namelist() if name.endswith("/bagit.txt")).partition("/")[0])
    return to


def link(archive: zipfile.ZipFile, folder: str) -> None:
    info = zipfile.ZipInfo(f"{folder}/data/passwd")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    archive.writestr(info, "/etc/passwd")


def bomb(archive: zipfile.ZipFile, folder: str) -> None:
    archive.writestr(f"{folder}/data/zeros.bin", bytes(64 << 20), zipfile.ZIP_DEFLATED)


HOSTILE: dict[str, Callable[[zipfile.ZipFile, str], None]] = {
    "traversal": lambda archive, folder: archive.writestr(f"{folder}/../../evil", "x"),
    "absolute": lambda archive, _: archive.writestr("/tmp/evil", "x"),
    "link": link,
    "extra": lambda archive, folder: archive.writestr(f"{folder}/data/more", "x"),
    "bomb": bomb,
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_file_that_stands_twice_in_a_zip_is_refused(given: tuple[str, Path], tmp_path: Path) -> None:
    twice = repacked(
        given[1], tmp_path / "twice.zip", lambda archive, folder: archive.writestr(f"{folder}/data/table.csv", "9")
    )
    with pytest.raises(PackageError, match="twice"):
        diadem.open(twice)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_zips_bring_nothing_in(given: tuple[str, Path], other: diadem.Node, tmp_path: Path, name: str) -> None:
    path = repacked(given[1], tmp_path / f"{name}.zip", HOSTILE[name])
    with pytest.raises(DiademError):
        other.import_(path)
    assert not other.search("").rows
    assert not (tmp_path / "evil").exists()


def test_damaged_corrections_in_a_zip_are_told(given: tuple[str, Path], other: diadem.Node) -> None:
    with zipfile.ZipFile(given[1]) as archive:
        size = archive.getinfo("corrections.jsonl").compress_size
        start = archive.getinfo("corrections.jsonl").header_offset + 30 + len("corrections.jsonl")
    overwrite(given[1], start + size // 2, bytes(64))
    with pytest.raises(PackageError, match=r"'corrections\.jsonl' in the ZIP cannot be read") as caught:
        other.import_(given[1])
    assert caught.value.where == str(given[1])
    assert not other.search("").rows


def test_a_truncated_zip_is_told(given: tuple[str, Path], tmp_path: Path) -> None:
    cut = tmp_path / "cut.zip"
    cut.write_bytes(given[1].read_bytes()[:-2000])
    assert "this ZIP is not complete" in said("verify", cut, code=1)
