"""Folders adopted where they lie: the same package as a copy would be, and not a bit of the source is touched."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import diadem
from diadem.api.tools import tools
from diadem.archive.package import Package
from diadem.errors import DigestMismatch, Interrupted, NotFound, PackageError, Refused, UsageError
from diadem.extract.pool import Extractor
from diadem.model.manifest import PackageId
from diadem.model.ports import Listener, Progress, silent
from diadem.model.record import Record
from diadem.pack.adopt import Adoption, adopt, root_of
from diadem.pack.compose import Options
from diadem.pack.plan import make_plan
from diadem.package.examine import open_tag_files
from diadem.store import open_store
from diadem.store.adopted import AdoptedFile, AdoptedFolders, Location, Stamp
from diadem.store.bags import AdoptedBundle
from diadem.store.contract import Store
from tests.archive.packing import packed_into
from tests.archive.scan_trees import image

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX names or links")


def everything(folder: Path) -> dict[str, tuple[int, int, int, int, bytes]]:
    """All that a program could have changed: mode, size, times of content and of status, bytes."""
    found = {}
    for path in sorted([folder, *folder.rglob("*")]):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        found[str(path)] = (status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns, content)
    return found


class Desk:
    """A node's folder for adopted sessions, and what adopts."""

    def __init__(self, root: Path, extractor: Extractor) -> None:
        self.folders = AdoptedFolders(root)
        self.extractor = extractor

    def adopt(self, source: Path, *stores: Store, strict: bool = False, listener: Listener = silent) -> Adoption:
        """Adopt a folder."""
        plan = make_plan([source], store=None, metadata={"session": {"title": "ZnO"}}, readers=tools().readers)
        return adopt(
            plan,
            self.folders,
            extractor=self.extractor,
            options=Options(strict=strict),
            listener=listener,
            known=stores,
        )

    def package(self, adoption: Adoption) -> Package:
        """The package that was adopted."""
        return Package(self.folders.bundle(adoption.location.package), opened=adoption.opened, readers=tools().readers)


@pytest.fixture
def desk(tmp_path: Path, lent_extractor: Extractor) -> Desk:
    """An empty one."""
    return Desk(tmp_path / "node" / "adopted", lent_extractor)


@pytest.fixture
def session(tmp_path: Path) -> Path:
    """A signal, a file of several leaves, an empty one, and an empty folder."""
    folder = tmp_path / "people" / "2026-03-14 ZnO"
    (folder / "raw" / "empty").mkdir(parents=True)
    image(folder / "scan.hspy", sample="ZnO")
    (folder / "raw" / "a.dat").write_bytes(os.urandom(2_500_000))
    (folder / "raw" / "b.dat").write_bytes(b"")
    return folder


def test_an_adopted_folder_is_a_package_and_not_a_bit_of_it_is_changed(
    desk: Desk, session: Path, tmp_path: Path
) -> None:
    before = everything(session)
    adoption = desk.adopt(session)
    package = desk.package(adoption)
    assert adoption.outcome.created
    assert package.url == str(session)
    assert [entry.name for entry in package.files] == ["raw/a.dat", "raw/b.dat", "scan.hspy"]
    assert package.record.session == {"title": "ZnO"}
    assert package.record.datasets[-1].value("beam.acceleration_voltage") == 200_000
    assert package.verify(level="full").ok
    assert package.verify(level="leaves").checked["leaves"] > 3
    with package.open("raw/a.dat") as file:
        assert file.read() == (session / "raw" / "a.dat").read_bytes()
    restored = package.restore(tmp_path / "back")
    assert {path.relative_to(restored.folder) for path in restored.folder.rglob("*")} == {
        path.relative_to(session) for path in session.rglob("*")
    }
    assert everything(session) == before


def test_the_node_keeps_the_sealed_files_and_no_payload(desk: Desk, session: Path) -> None:
    adoption = desk.adopt(session)
    bag = desk.folders.bag(adoption.location.package)
    assert bag == desk.folders.root / adoption.location.package.hex / "bag"
    assert sorted(path.relative_to(bag).as_posix() for path in bag.rglob("*") if path.is_file()) == [
        "bag-info.txt",
        "bagit.txt",
        "data/diadem-record.json",
        "data/ro-crate-metadata.json",
        "data/ro-crate-preview.html",
        "diadem/index.tsv",
        "diadem/leaves.blake3",
        "diadem/vendor.zip",
        "manifest-sha256.txt",
        "tagmanifest-sha256.txt",
    ]
    assert list(desk.folders.ids()) == [adoption.location.package]
    assert desk.folders.location(adoption.location.package) == adoption.location
    if sys.platform != "win32":
        assert not any(path.lstat().st_mode & 0o222 for path in [bag, *bag.rglob("*")])
    assert not list((desk.folders.root / ".diadem" / "stage").iterdir())


def test_a_copy_made_later_is_the_same_package_with_the_same_id(desk: Desk, session: Path, tmp_path: Path) -> None:
    adoption = desk.adopt(session)
    package = desk.package(adoption)
    (tmp_path / "store").mkdir()
    store = open_store(str(tmp_path / "store"))
    added = store.add(package.bundle, open_tag_files(package.bundle), adoption.location.path)
    assert added.created
    shutil.rmtree(session)
    copy = diadem.open(tmp_path / "store" / added.path)
    assert copy.id == package.id
    assert copy.verify(level="full").ok
    assert added.path.startswith("2026/20260314-zno-")


def test_a_signal_is_loaded_from_a_proven_copy(desk: Desk, session: Path) -> None:
    package = desk.package(desk.adopt(session))
    signal = package.load("scan.hspy")
    (session / "scan.hspy").write_bytes(b"edited by a person")
    assert signal.data.compute().shape == (8, 8)


@posix
def test_names_that_must_be_mapped_are_found_and_restored(desk: Desk, session: Path, tmp_path: Path) -> None:
    odd = [
        b"aux.raw",
        b"100%.txt",
        b"back\\slash",
        b"\xff\xfe.dat",
        b"~home",
        b"a:b",
        "Gr\u006f\u0308\u00dfe.txt".encode(),
    ]
    for name in odd:
        (session / os.fsdecode(name)).write_bytes(name)
    package = desk.package(desk.adopt(session))
    assert package.verify(level="full").ok
    package.restore(tmp_path / "back")
    for name in odd:
        assert (tmp_path / "back" / os.fsdecode(name)).read_bytes() == name


def test_adopting_again_changes_nothing(desk: Desk, session: Path) -> None:
    first = desk.adopt(session)
    before = everything(desk.folders.root / first.location.package.hex / "bag")
    again = desk.adopt(session)
    assert not again.outcome.created
    assert again.location == first.location
    assert everything(desk.folders.root / first.location.package.hex / "bag") == before


def test_a_folder_that_was_moved_is_found_again_under_its_id(desk: Desk, session: Path) -> None:
    first = desk.adopt(session)
    moved = session.rename(session.with_name("renamed"))
    again = desk.adopt(moved)
    assert desk.package(again).id == desk.package(first).id
    assert desk.folders.location(first.location.package).root == str(moved)
    assert desk.package(again).verify(level="full").ok


def test_a_second_copy_beside_the_first_is_refused_and_named(desk: Desk, session: Path, tmp_path: Path) -> None:
    desk.adopt(session)
    shutil.copytree(session, tmp_path / "second")
    with pytest.raises(Refused) as caught:
        desk.adopt(tmp_path / "second")
    assert caught.value.where == str(session)


def test_a_folder_that_is_archived_already_becomes_another_replica(desk: Desk, session: Path, tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    plan = make_plan([session], store=None, metadata=None, readers=tools().readers)
    stored = packed_into(store, plan, desk.extractor)
    told: list[Progress] = []
    adoption = desk.adopt(session, store, listener=told.append)
    assert desk.package(adoption).id == stored.id
    assert adoption.location.path == Path(stored.url).relative_to(tmp_path / "store").as_posix()
    assert desk.package(adoption).verify(level="full").ok
    assert not any(step.stage == "read" and step.unit == "B" for step in told)


@posix
def test_accents_composed_in_another_way_are_the_same_package_with_other_names(
    desk: Desk, session: Path, tmp_path: Path
) -> None:
    store = open_store(tmp_path / "store")
    (session / "Gr\u00f6\u00dfe.txt").write_bytes(b"one letter")
    plan = make_plan([session], store=None, metadata=None, readers=tools().readers)
    stored = packed_into(store, plan, desk.extractor)
    other = "Gro\u0308\u00dfe.txt"
    (session / "Gr\u00f6\u00dfe.txt").rename(session / other)
    adoption = desk.adopt(session, store)
    assert desk.package(adoption).id == stored.id
    assert adoption.location.files["data/Gr\u00f6\u00dfe.txt"].name == other.encode()
    assert desk.package(adoption).verify(level="full").ok


def test_a_damaged_package_in_a_store_is_not_taken_for_the_sealed_one(
    desk: Desk, session: Path, tmp_path: Path
) -> None:
    store = open_store(tmp_path / "store")
    plan = make_plan([session], store=None, metadata=None, readers=tools().readers)
    stored = Path(packed_into(store, plan, desk.extractor).url)
    for path in (stored / "diadem", stored / "diadem" / "leaves.blake3"):
        path.chmod(0o700)
    (stored / "diadem" / "leaves.blake3").write_bytes(b"")
    package = desk.package(desk.adopt(session, store))
    assert package.verify(level="full").ok


def test_what_people_did_to_it_is_seen_and_never_given_out_as_proven(desk: Desk, session: Path) -> None:
    package = desk.package(desk.adopt(session))
    (session / "raw" / "a.dat").write_bytes(b"x" * 2_500_000)
    with package.open("raw/a.dat") as file, pytest.raises(DigestMismatch):
        file.read()
    (session / "raw" / "b.dat").rename(session / "raw" / "c.dat")
    with pytest.raises(NotFound, match="not in the adopted folder"):
        package.open("raw/b.dat")
    report = package.verify(level="full")
    assert {finding.path for finding in report.findings} == {"data/raw/a.dat", "data/raw/b.dat"}
    shutil.rmtree(session)
    with pytest.raises(NotFound, match="the folder is not there"):
        package.open("raw/a.dat")
    assert not package.bundle.exists("data/raw/a.dat")
    assert package.bundle.exists("data/diadem-record.json")


@posix
def test_a_link_put_in_the_place_of_a_file_or_folder_is_not_followed(desk: Desk, session: Path, tmp_path: Path) -> None:
    package = desk.package(desk.adopt(session))
    (session / "raw").rename(tmp_path / "raw")
    (session / "raw").symlink_to(tmp_path / "raw")
    (session / "scan.hspy").rename(tmp_path / "scan.hspy")
    (session / "scan.hspy").symlink_to(tmp_path / "scan.hspy")
    for path in ("raw/a.dat", "scan.hspy"):
        with pytest.raises(PackageError, match="link"):
            package.open(path)
    assert package.bundle.listing().irregular == {"data/scan.hspy": "symlink"}


@posix
def test_what_cannot_be_adopted_is_listed_or_refused(desk: Desk, session: Path, tmp_path: Path) -> None:
    (session / "link").symlink_to(session / "scan.hspy")
    with pytest.raises(Refused, match="symlink"):
        desk.adopt(session, strict=True)
    assert list(desk.folders.ids()) == []
    adoption = desk.adopt(session)
    assert [item["kind"] for item in adoption.outcome.omissions] == ["symlink"]
    (tmp_path / "alias.hspy").symlink_to(session / "scan.hspy")
    with pytest.raises(UsageError, match="link"):
        desk.adopt(tmp_path / "alias.hspy")
    plan = make_plan([session / "raw", session / "scan.hspy"], store=None, metadata=None, readers=())
    assert root_of(plan) == str(session)
    (tmp_path / "x").write_bytes(b"x")
    with pytest.raises(UsageError, match="one by one"):
        root_of(make_plan([session / "raw", tmp_path / "x"], store=None, metadata=None, readers=()))


def test_one_file_is_adopted_in_its_folder(desk: Desk, session: Path) -> None:
    package = desk.package(desk.adopt(session / "scan.hspy"))
    assert [entry.name for entry in package.files] == ["scan.hspy"]
    assert package.url == str(session)
    assert package.verify(level="full").ok


def test_an_interruption_keeps_nothing(desk: Desk, session: Path) -> None:
    before = everything(session)

    def stop(progress: Progress) -> None:
        if progress.done > 1_000_000:
            raise KeyboardInterrupt

    with tools().extractor() as extractor, pytest.raises(Interrupted):  # an interruption ends its workers
        Desk(desk.folders.root, extractor).adopt(session, listener=stop)
    assert list(desk.folders.ids()) == []
    assert not list((desk.folders.root / ".diadem" / "stage").iterdir())
    assert everything(session) == before
    assert desk.adopt(session).outcome.created


ADOPTING = """
import sys, time
from pathlib import Path
from diadem.api.tools import tools
from diadem.pack.adopt import adopt
from diadem.pack.compose import Options
from diadem.pack.plan import make_plan
from diadem.store.adopted import AdoptedFolders

def pause(progress):
    if progress.done > 1_000_000:
        print("half", flush=True)
        time.sleep(60)

plan = make_plan([Path(sys.argv[1])], store=None, metadata=None, readers=())
with tools().extractor() as extractor:
    adopt(plan, AdoptedFolders(Path(sys.argv[2])), extractor=extractor, options=Options(), listener=pause)
"""


def test_what_a_killed_process_left_is_swept_and_told(desk: Desk, session: Path) -> None:
    before = everything(session)
    arguments = [sys.executable, "-c", ADOPTING, str(session), str(desk.folders.root)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half\n"
        process.kill()
    assert list(desk.folders.ids()) == []
    adoption = desk.adopt(session)
    assert adoption.outcome.created
    assert len(adoption.outcome.swept) == 1
    assert desk.package(adoption).verify(level="full").ok
    assert everything(session) == before


def test_a_judge_sees_the_finished_record_and_may_refuse_it_before_anything_is_kept(
    desk: Desk, session: Path, tmp_path: Path
) -> None:
    seen: list[Record] = []

    def judge(record: Record) -> None:
        seen.append(record)
        raise Refused("the operator is missing")

    plan = make_plan([session], store=None, metadata=None, readers=tools().readers)
    store = open_store(tmp_path / "store")
    with tools().extractor() as extractor, pytest.raises(Refused, match="operator"):
        adopt(plan, desk.folders, extractor=extractor, options=Options(judge=judge), listener=silent)
    with tools().extractor() as extractor, pytest.raises(Refused, match="operator"):
        packed_into(store, plan, extractor, Options(judge=judge))
    assert [dataset.path for dataset in seen[0].datasets] == ["raw/a.dat", "raw/b.dat", "scan.hspy"]
    assert list(desk.folders.ids()) == []
    assert [path.name for path in (tmp_path / "store").iterdir()] == [".diadem"]


def test_forgetting_leaves_the_folder_to_its_people(desk: Desk, session: Path) -> None:
    before = everything(session)
    adoption = desk.adopt(session)
    desk.folders.forget(adoption.location.package, desk.package(adoption).payload_id)
    assert list(desk.folders.ids()) == []
    with pytest.raises(NotFound, match="not adopted"):
        desk.folders.location(adoption.location.package)
    assert everything(session) == before
    assert desk.adopt(session).outcome.created


def test_a_damaged_note_of_the_place_is_told_as_such(desk: Desk, session: Path) -> None:
    adoption = desk.adopt(session)
    note = desk.folders.root / adoption.location.package.hex / "location.json"
    for data in (b"", b"{}", b"[]", note.read_bytes()[:-20], note.read_bytes().replace(b"adopted/1", b"adopted/9")):
        note.write_bytes(data)
        with pytest.raises(PackageError, match=r"understood|another version"):
            desk.folders.location(adoption.location.package)
    assert desk.package(desk.adopt(session)).verify().ok


STAMPS = st.builds(Stamp, st.integers(0), st.integers(), st.integers(0))
PLACES = st.builds(AdoptedFile, st.binary(min_size=1, max_size=12), STAMPS, st.none() | STAMPS)


@posix
@given(
    st.binary(min_size=1, max_size=20), st.dictionaries(st.text(max_size=9).map(lambda text: "data/" + text), PLACES)
)
def test_a_location_is_read_as_it_was_written(root: bytes, files: dict[str, AdoptedFile]) -> None:
    files = {path: place for path, place in files.items() if path.encode("utf-8", "replace").decode() == path}
    location = Location(PackageId("ab" * 32), "2026/name", os.fsdecode(root), 7, files)
    assert Location.from_bytes(location.to_bytes()) == location


def test_a_place_that_leads_out_of_the_folder_is_not_opened(desk: Desk, session: Path, tmp_path: Path) -> None:
    adoption = desk.adopt(session)
    (tmp_path / "people" / "secret").write_bytes(b"secret")
    bundle = AdoptedBundle(desk.folders.bag(adoption.location.package), session, {"data/raw/a.dat": b"../secret"})
    with pytest.raises(PackageError, match="its path leads out"):
        bundle.open("data/raw/a.dat")
    assert isinstance(desk.package(adoption), Package)
