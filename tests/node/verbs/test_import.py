"""Packages that somebody got otherwise: ZIPs, a TAR and folders from one node, taken in at another; and wrong ones."""

from __future__ import annotations

import os
import shutil
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import diadem
from diadem.errors import DiademError, NotFound, PackageError, Refused
from diadem.testing.faults import overwrite
from tests.cli.inside import said, said_json
from tests.node.verbs.conftest import Lab


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


@pytest.mark.catalogue
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
    lab.node.export_custody(third, lab.root / "chain.json")
    lab.node.export_custody(fourth, lab.root / "chain-2.json")
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
        custody = other.custody(package)
        assert "found as a package in" in custody.steps[0].sentence
        (origin,) = (node for node in custody.nodes if node.name == "hu-berlin")
        archived = next(step for step in custody.steps if step.node == origin.id)
        assert "archived in the store main for alice@hu-berlin" in archived.sentence
    for query in ("sample:S-13", "InN", "later", "2026-03-15"):
        rows = {row.id for row in lab.node.search(query).rows}
        assert {row.id for row in other.search(query).rows} == rows != set(), query
    assert [one.by for one in other.amendments(first).said] == ["alice@hu-berlin"]


@pytest.mark.catalogue
@pytest.mark.parametrize("form", ["folder", "zip", "tar"])
def test_corrections_that_lie_beside_a_package_come_with_it(lab: Lab, other: diadem.Node, form: str) -> None:
    package = lab.archived("2026-03-14 GaN")
    lab.node.amend(package, {"sample.name": "S-13"})
    lab.node.assess(package, "reject", purpose="EELS")
    lab.node.export(package, lab.root / "given.zip", for_="Marie Curie")
    beside = lab.root / "unpacked"
    with zipfile.ZipFile(lab.root / "given.zip") as archive:
        archive.extractall(beside)
    path = next(one for one in beside.iterdir() if one.is_dir())
    if form != "folder":
        packed = beside / f"package.{form}"
        zipped(path, packed, "") if form == "zip" else tarred(path, packed, path.name)
        shutil.rmtree(path)
        path = packed
    other.import_(path)
    assert other.get(package).record.sample["name"] == "S-13"
    assert [one.verdict for one in other.assessments(package)] == ["reject"]


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


def test_what_is_a_package_already_is_called_so_when_it_is_archived(lab: Lab, other: diadem.Node) -> None:
    package = lab.archived("2026-03-14 GaN")
    folder = lab.path(package, "main")
    words = "it was a package already, and keeps its id"
    told = said("archive", folder, "--now", "--node", other.path)
    assert f"package          {package}" in told
    assert words in told
    assert words not in said("archive", lab.session("2026-03-20 new"), "--now", "--node", other.path)


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


@pytest.mark.catalogue
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


def zipped_with(folder: Path, to: Path, name: str) -> Path:
    """A package as a ZIP, and one more member of any name."""
    with zipfile.ZipFile(zipped(folder, to, ""), "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is there twice
        info = zipfile.ZipInfo("x")
        info.filename = name
        archive.writestr(info, b"evil")
    return to


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "is malformed: member"),
        ("/", "is malformed: member"),
        ("/evil", "made to write elsewhere"),
        ("{root}/evil", "made to write elsewhere"),
        ("../evil", "made to write elsewhere"),
        ("{bag}/../../evil", "made to write elsewhere"),
        ("{bag}\\..\\..\\evil", "made to write elsewhere"),
        ("C:\\evil", "made to write elsewhere"),
        ("{bag}/data/CON", "a device on Windows"),
        ("{bag}/data/" + "n/" * 20000 + "n", "longer than 8192 characters"),
        ("{bag}/data/scan 1.bin", "it occurs twice"),
    ],
)
def test_of_a_zip_that_is_made_to_harm_nothing_is_read(lab: Lab, other: diadem.Node, name: str, why: str) -> None:
    folder = lab.path(lab.archived("2026-03-14 GaN"), "main")
    path = zipped_with(folder, lab.root / "odd.zip", name.format(root=lab.root, bag=folder.name))
    before = set(lab.root.rglob("*"))
    for words in (("verify", path), ("show", path), ("get", path, lab.root / "back")):
        assert why in said(*words, code=1)
    assert why in said("import", path, "--node", other.path, code=1)
    assert not other.search("").rows
    assert not [one for one in set(lab.root.rglob("*")) - before if other.path not in one.parents]


def test_of_a_zip_with_a_nameless_member_it_is_told_which_and_unpacked_it_is_taken(
    lab: Lab, other: diadem.Node
) -> None:
    folder = lab.path(lab.archived("2026-03-14 GaN"), "main")
    path = zipped_with(folder, lab.root / "odd.zip", "")
    with zipfile.ZipFile(path) as archive:
        *names, _ = archive.namelist()
    which = f"member {len(names) + 1} of {len(names) + 1}, after '{names[-1]}', has no name"
    with pytest.raises(PackageError) as caught:
        diadem.open(path)
    assert which in str(caught.value)
    assert which in said("import", path, "--node", other.path, code=1)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(lab.root / "unpacked", names)
    said("import", lab.root / "unpacked", "--node", other.path)
    assert len(other.search("").rows) == 1


def test_a_zip_of_some_program_with_a_nameless_member_stops_no_session(lab: Lab) -> None:
    session = lab.session("2026-03-21 odd")
    with zipfile.ZipFile(session / "settings.zip", "w") as archive:
        info = zipfile.ZipInfo("x")
        info.filename = ""
        archive.writestr(info, b"settings")
    assert "settings.zip" in {file.name for file in lab.node.archive(session, now=True).package.files}


@pytest.mark.parametrize("name", ["n" * 300, "scan 1.bin/evil", "line\nbreak \x1b[31m\u202e"])
def test_what_a_zip_has_besides_the_package_is_told_and_not_taken(lab: Lab, other: diadem.Node, name: str) -> None:
    folder = lab.path(lab.archived("2026-03-14 GaN"), "main")
    path = zipped_with(folder, lab.root / "odd.zip", f"{folder.name}/data/{name}")
    for words in (("verify", path), ("import", path, "--node", other.path)):
        told = said(*words, code=1)
        assert "does not list this file" in told
        assert not {"\x1b", "\u202e"} & set(told)
        assert len(told) < 3000
    assert not other.search("").rows
    said("get", path, lab.root / "back")
    assert sorted(one.name for one in (lab.root / "back").rglob("*")) == [f"scan {number}.bin" for number in range(3)]


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


def test_a_compressed_zip_with_a_file_of_zeros_of_any_length_is_whole(lab: Lab, other: diadem.Node) -> None:
    session = lab.session("2026-03-14 GaN")
    for more in (1, 27, 100, 257):  # of a block and the rest of a match
        (session / f"dark {more}.raw").write_bytes(bytes((1 << 20) + more))
    package = str(lab.node.archive(session, now=True).package.id)
    path = zipped(lab.path(package, "main"), lab.root / "packed.zip", "bag")
    assert diadem.verify(path, level="full").ok
    assert other.import_(path).done
