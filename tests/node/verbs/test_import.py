"""Packages that somebody got otherwise: ZIPs, a TAR and folders from one node, taken in at another; and wrong ones."""

from __future__ import annotations

import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import diadem
from diadem.errors import DiademError, NotFound, PackageError, Refused
from diadem.testing.faults import overwrite
from tests.cli.inside import said, said_json
from tests.node.verbs.conftest import Lab

pytestmark = pytest.mark.catalogue


@pytest.fixture
def other(lab: Lab) -> diadem.Node:
    """Another node, which has never heard of the first."""
    return diadem.Node.create(lab.root / "other", name="emlab", user="carla", store=str(lab.root / "other-store"))


def zipped(folder: Path, to: Path, inside: str) -> Path:
    """A folder as somebody packs it: compressed, below other folders."""
    with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            archive.write(file, f"{inside}{folder.name}/{file.relative_to(folder).as_posix()}")
    return to


def tarred(folder: Path, to: Path, name: str, more: Callable[[tarfile.TarFile], None] | None = None) -> Path:
    """A folder as `tar` packs it."""
    with tarfile.open(to, "w") as archive:
        archive.add(folder, name)
        if more is not None:
            more(archive)
    return to


def test_two_zips_and_a_bag_keep_id_custody_and_search(lab: Lab, other: diadem.Node) -> None:
    session = lab.session("2026-03-14 GaN")
    first = str(lab.node.archive(session, now=True).package.id)
    lab.node.amend(first, {"sample.name": "S-13"})
    (session / "later.bin").write_bytes(b"later" * 500)
    second = str(lab.node.archive(session, now=True).package.id)
    third, fourth = lab.archived("2026-03-15 ZnO"), lab.archived("2026-03-16 InN")
    lab.node.export(second, lab.root / "chain.zip", for_="Marie Curie", chain=True)
    zipped(lab.path(third, "main"), lab.root / "by hand.zip", "home/alice/")
    tarred(lab.path(fourth, "main"), lab.root / "bag.tar", "./bag")
    at = ("--node", other.path)
    for name, ids in {"chain.zip": [first, second], "by hand.zip": [third], "bag.tar": [fourth]}.items():
        path = lab.root / name
        assert said_json("import", path, "--dry-run", *at)["found"] == ids
        assert not [one for one in ids if other.search(one).rows]
        done = said_json("import", path, *at)
        assert [one["package"]["id"] for one in done["packages"]] == ids
        assert {one["what"] for one in done["packages"]} == {"taken"}
        again = said_json("import", path, *at)
        assert {one["what"] for one in again["packages"]} == {"already"}
    for package in (first, second, third, fourth):
        assert diadem.verify(other.get(package), level="full").ok
        assert "found as a package in" in other.custody(package).steps[0].sentence
    for query in ("sample:S-13", "InN", "later", "2026-03-15"):
        rows = {row.id for row in lab.node.search(query).rows}
        assert {row.id for row in other.search(query).rows} == rows != set(), query
    assert [one.by for one in other.amendments(first).said] == ["alice@hu-berlin"]


def test_a_zip_of_two_and_a_tar_are_read_as_they_are(lab: Lab) -> None:
    packages = [lab.archived("2026-03-14 GaN"), lab.archived("2026-03-15 ZnO")]
    folders = [lab.path(one, "main") for one in packages]
    both = lab.root / "both.zip"
    with zipfile.ZipFile(both, "w", zipfile.ZIP_DEFLATED) as archive:
        for folder in folders:
            for file in (path for path in folder.rglob("*") if path.is_file()):
                archive.write(file, f"{folder.name}/{file.relative_to(folder).as_posix()}")
    with pytest.raises(NotFound, match="holds 2 packages") as caught:
        diadem.open(both)
    assert str(both) in str(caught.value.next)
    for package, folder in zip(packages, folders, strict=True):
        assert diadem.open(both / folder.name).id == package
        assert package in said("verify", both / folder.name)
    tar = tarred(folders[0], lab.root / "one.tar", folders[0].name)
    opened = diadem.open(tar)
    assert opened.id == packages[0]
    assert opened.open("scan 1.bin").read(9) == (lab.root / "2026-03-14 GaN" / "scan 1.bin").read_bytes()[:9]
    assert diadem.verify(tar, level="full").checked["files"] == len(opened.files) + 3
    with pytest.raises(NotFound, match="no package of this name"):
        diadem.open(both / "another")


def test_a_folder_of_packages_is_imported_and_not_packed_into_a_new_one(lab: Lab, other: diadem.Node) -> None:
    packages = [lab.archived("2026-03-14 GaN"), lab.archived("2026-03-15 ZnO")]
    holder = lab.root / "holder"
    for package in packages:
        shutil.copytree(lab.path(package, "main"), holder / package[-8:])
    (holder / "notes.txt").write_text("not in any of them")
    with pytest.raises(Refused, match="never packed into another") as caught:
        other.archive(holder, now=True)
    assert f"diadem import {holder}" in str(caught.value.next)
    assert not other.search("").rows
    assert {one.package.id for one in other.import_(holder).packages} == set(packages)
    assert len(other.search("").rows) == 2


@pytest.mark.parametrize("form", ["zip", "tar"])
def test_a_file_of_a_package_is_not_packed_into_a_new_one(lab: Lab, other: diadem.Node, form: str) -> None:
    folder = lab.path(lab.archived("2026-03-14 GaN"), "main")
    session = lab.session("2026-03-20 with more")
    place = session / f"given.{form}"
    zipped(folder, place, "") if form == "zip" else tarred(folder, place, folder.name)
    with pytest.raises(Refused) as caught:
        other.archive(session, now=True)
    assert f"diadem import '{place}'" in str(caught.value.next)
    assert f"given.{form}" in {file.name for file in other.archive(session, now=True, as_one=True).package.files}


def test_what_is_damaged_here_is_whole_after_an_import(lab: Lab, other: diadem.Node) -> None:
    package = lab.archived("2026-03-14 GaN")
    lab.node.export(package, lab.root / "given.zip", for_="Marie Curie")
    other.import_(lab.root / "given.zip")
    overwrite(Path(other.get(package).url) / "data" / "scan 1.bin", 100, b"damage")
    other.import_(lab.root / "given.zip")
    assert diadem.verify(other.get(package), level="full").ok
    assert len(other.search("").rows) == 1


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> Callable[[tarfile.TarFile], None]:
    """One more member of a TAR."""

    def add(archive: tarfile.TarFile) -> None:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, link
        archive.addfile(info)

    return add


@pytest.mark.parametrize(
    ("more", "what"),
    [
        (member("bag/../../evil"), "made to write elsewhere"),
        (member("/tmp/evil"), "made to write elsewhere"),
        (member("bag/data/scan 1.bin"), "twice"),
        (member("bag/data/passwd", tarfile.SYMTYPE, "/etc/passwd"), "passwd"),
        (member("bag/data/more", tarfile.LNKTYPE, "bag/data/scan 1.bin"), "more"),
        (member("bag/data/extra"), "extra"),
    ],
)
def test_a_hostile_tar_brings_nothing_in(
    lab: Lab, other: diadem.Node, more: Callable[[tarfile.TarFile], None], what: str
) -> None:
    path = tarred(lab.path(lab.archived("2026-03-14 GaN"), "main"), lab.root / "bag.tar", "bag", more)
    with pytest.raises(DiademError) as caught:
        other.import_(path)
    assert what in str(caught.value) + str(caught.value.where)
    assert not other.search("").rows
    assert not (lab.root / "evil").exists()


def test_a_damaged_or_cut_tar_brings_nothing_in(lab: Lab, other: diadem.Node) -> None:
    path = tarred(lab.path(lab.archived("2026-03-14 GaN"), "main"), lab.root / "bag.tar", "bag")
    with tarfile.open(path) as archive:
        place = archive.getmember("bag/data/scan 1.bin").offset_data
    whole = path.read_bytes()
    overwrite(path, place + 100, b"damage")
    assert "scan 1.bin" in said("import", path, "--node", other.path, code=1)
    path.write_bytes(whole[: place + 1000])
    with pytest.raises(PackageError):
        diadem.verify(path)
    said("import", path, "--node", other.path, code=None)
    assert not other.search("").rows
    path.write_bytes(whole)
    os.chmod(path, 0o400)
    assert other.import_(path).done


def test_what_is_no_package_says_what_to_do(lab: Lab, other: diadem.Node) -> None:
    at = ("--node", other.path)
    assert "there is nothing of this name" in said("import", lab.root / "none.zip", *at, code=3)
    package = lab.archived("2026-03-14 GaN")
    lab.node.export(package, lab.root / "raw.zip", for_="Marie Curie", only="raw")
    assert "no complete package" in said("import", lab.root / "raw.zip", *at, code=3)
    assert "diadem archive FOLDER" in said("verify", lab.root / "raw.zip", code=3)


def odd_tars(folder: Path) -> list[Path]:
    """TARs with a name that is none, and with a name of more bytes than any memory holds."""
    head, huge = tarfile.TarInfo("head"), tarfile.TarInfo("././@LongLink")
    head.type, head.size = tarfile.XHDTYPE, len(b"8 path=\n")
    huge.type, huge.size = tarfile.GNUTYPE_LONGNAME, 1 << 70
    blocks = {
        "empty.tar": head.tobuf() + b"8 path=\n".ljust(512, b"\0") + tarfile.TarInfo("file").tobuf(),
        "huge.tar": huge.tobuf(tarfile.GNU_FORMAT),
    }
    for name, data in blocks.items():
        (folder / name).write_bytes(data + bytes(10240))
    return [folder / name for name in blocks]


def test_an_odd_tar_is_refused_and_stops_no_session(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "odd").mkdir()
    session = lab.session("with odd ones")
    for path in odd_tars(tmp_path / "odd"):
        with pytest.raises(DiademError):
            lab.node.import_(path)
        shutil.copy(path, session / path.name)
    assert len(lab.node.archive(session, now=True).package.files) == 5
