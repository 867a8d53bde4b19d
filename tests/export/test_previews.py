"""Previews: files of a package, proven as such; those of packages made before there were any, from their page."""

from __future__ import annotations

import io
import shutil
import zipfile
from pathlib import Path

import pytest

import diadem
from diadem.errors import IntegrityError
from diadem.export.pages import previews_on
from diadem.model.manifest import PAGE_PATH, PREVIEWS_PATH, TAGMANIFEST
from diadem.package.zips import previews_in, previews_zip
from diadem.testing.faults import flip_byte, make_writable
from diadem.testing.samples import write_image_session
from tests.export.test_pages import picture

PNG, JPEG = picture(1), picture(2, "JPEG")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> diadem.Package:
    folder = tmp_path_factory.mktemp("previews")
    write_image_session(folder / "session", sample="S-12", date="2026-03-21")
    return diadem.pack(folder / "session", folder / "store")


def copy_of(package: diadem.Package, target: Path) -> Path:
    shutil.copytree(package.url, target)
    make_writable(target)
    return target


def test_they_are_files_of_the_package(package: diadem.Package) -> None:
    found = package.previews()
    assert len(found) == len(package) == 3
    with zipfile.ZipFile(Path(package.url) / PREVIEWS_PATH) as archive:
        assert {Path(name).stem: archive.read(name) for name in archive.namelist()} == dict(found)
    assert found == {f"d{number + 1}": data for number, data in previews_on(package.read_derived(PAGE_PATH)).items()}
    report = package.verify()
    assert report.ok
    assert not report.findings


def test_those_of_a_package_made_before_are_on_its_page(package: diadem.Package, tmp_path: Path) -> None:
    earlier = copy_of(package, tmp_path / "earlier")
    (earlier / PREVIEWS_PATH).unlink()
    lines = (earlier / TAGMANIFEST).read_bytes().splitlines(keepends=True)
    (earlier / TAGMANIFEST).write_bytes(b"".join(line for line in lines if PREVIEWS_PATH.encode() not in line))
    opened = diadem.open(earlier)
    assert opened.verify().ok
    assert opened.previews() == package.previews()


def test_damaged_ones_are_found_and_not_shown(package: diadem.Package, tmp_path: Path) -> None:
    damaged = copy_of(package, tmp_path / "damaged")
    flip_byte(damaged / PREVIEWS_PATH, 100)
    opened = diadem.open(damaged)
    with pytest.raises(IntegrityError):
        opened.previews()
    assert [finding.path for finding in opened.verify().findings] == [PREVIEWS_PATH]


def test_the_same_pictures_are_the_same_file_and_no_others_are_in_it() -> None:
    pictures = [("d1", PNG), ("d2", None), ("d3", b"<svg onload='alert(1)'/>"), ("d10", JPEG), ("d11", b"")]
    assert previews_zip(pictures) == previews_zip(pictures)
    assert previews_in(previews_zip(pictures)) == {0: PNG, 9: JPEG}
    assert previews_zip([("d1", None), ("d2", b"GIF89a")]) == b""


def test_pictures_that_do_not_fit_keep_out_no_other() -> None:
    large = PNG + bytes(900_000)
    data = previews_zip([("d1", large), ("d2", large), ("d3", large), ("d4", PNG), ("d5", PNG + bytes(1 << 20))])
    assert list(previews_in(data)) == [0, 1, 3]
    assert len(data) < (2 << 20) + 1000


def test_what_a_stranger_has_put_there_is_passed_over() -> None:
    names = ("d0.png", "d1.png", "../d2.png", "d3.gif", "d4.png", "d99999999999.png")
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w") as archive:
            for name in names:
                archive.writestr(name, b"<html>" if name == "d4.png" else PNG)
            archive.writestr("d5.png", PNG + bytes(1 << 20))
            archive.writestr("d6.png", PNG, zipfile.ZIP_DEFLATED)
        assert previews_in(file.getvalue()) == {0: PNG}
    assert previews_in(b"") == previews_in(b"PK\x05\x06" + bytes(17)) == {}


@pytest.mark.parametrize("lost", [False, True], ids=["damaged", "lost"])
def test_a_node_mends_them(tmp_path: Path, lost: bool) -> None:
    write_image_session(tmp_path / "session", sample="S-12", date="2026-03-21")
    with diadem.Node.create(tmp_path / "node", name="lab", user="alice", store=str(tmp_path / "store")) as node:
        package = node.archive(tmp_path / "session", now=True).package
        pictures = package.previews()
        file = Path(package.url) / PREVIEWS_PATH
        data = file.read_bytes()
        make_writable(Path(package.url))
        file.unlink() if lost else flip_byte(file, 100)
        assert not node.scrub().ok
        node.repair()
        assert file.read_bytes() == data
        assert node.get(package.id).previews() == pictures
