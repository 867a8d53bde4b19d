"""What people hand in: seen, remembered, never touched."""

from __future__ import annotations

import datetime
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from diadem.api.tools import tools
from diadem.archive.package import Package
from diadem.errors import Refused
from diadem.extract.pool import Extractor
from diadem.model.manifest import PackageId
from diadem.node.take.quiet import utc_now
from diadem.node.watch.hand_in import HandIn, HandInFolder, HandInState, Kept
from diadem.pack.plan import PackPlan, make_plan
from diadem.store import open_store
from diadem.store.own_files import FolderFiles
from tests.archive.packing import packed_into
from tests.node.test_adopting import everything

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX names or links")
QUIET = datetime.timedelta(minutes=10)


class Desk:
    """A store with its `incoming/`, and a clock that tests set."""

    def __init__(self, root: Path, extractor: Extractor) -> None:
        self.root = root
        self.extractor = extractor
        self.minutes = 0.0
        self.start = utc_now()
        self.folder = root / "incoming"
        self.folder.mkdir(parents=True)
        self.notes = FolderFiles(root.parent / "notes")
        self.kept: Callable[[PackageId], Kept] = lambda _: Kept.WELL
        self.incoming = self.again()

    def again(self, *, own_clock: bool = True) -> HandInFolder:
        """As another process would look at it."""
        return HandInFolder(
            "disk",
            self.folder,
            self.notes,
            QUIET,
            self._kept,
            readers=tools().readers,
            clock=lambda: self.start + datetime.timedelta(minutes=self.minutes),
            steady=lambda: 1000.0 + 60 * self.minutes,
            own_clock=own_clock,
        )

    def _kept(self, package: PackageId) -> Kept:
        return self.kept(package)

    def hand_in(self, name: str, **files: bytes) -> Path:
        """Put a session there."""
        folder = self.folder / name
        folder.mkdir()
        for file, data in files.items():
            (folder / f"{file}.dat").write_bytes(data)
        return folder

    def look(self) -> dict[str, HandIn]:
        """All entries by name."""
        return {one.name: one for one in self.incoming.look()}

    def ready(self) -> list[HandIn]:
        """Those that can be archived now."""
        return [one for one in self.incoming.look() if one.state is HandInState.READY]

    def plan(self, hand_in: HandIn) -> PackPlan:
        """What archiving it would do."""
        return make_plan([hand_in.path], store=None, metadata=None, readers=tools().readers)

    def archive(self, hand_in: HandIn) -> Package:
        """Archive it, and remember."""
        seen = self.incoming.seen(hand_in)
        package = packed_into(open_store(self.root), self.plan(hand_in), self.extractor)
        outcome = package.outcome
        assert outcome is not None
        self.incoming.remember(
            hand_in,
            seen,
            [package.id],
            package.payload_id,
            proof=outcome.proof,
            omitted=len(outcome.omissions),
        )
        return package


@pytest.fixture
def desk(tmp_path: Path, lent_extractor: Extractor) -> Desk:
    """An empty one."""
    return Desk(tmp_path / "store", lent_extractor)


def test_a_store_without_the_folder_has_nothing(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    incoming = HandInFolder("disk", store / "incoming", FolderFiles(tmp_path / "notes"), QUIET, lambda _: Kept.WELL)
    assert incoming.look() == []
    assert incoming.tidy() == []


def test_from_writing_to_archived_to_may_be_deleted(desk: Desk) -> None:
    folder = desk.hand_in("2026-03-14 ZnO", a=b"a" * 1000, b=b"b")
    before = everything(folder)
    desk.minutes = 4
    found = desk.look()["2026-03-14 ZnO"]
    assert (found.state, found.files, found.bytes) == (HandInState.WRITING, 2, 1001)
    assert "after 10 minutes" in found.words
    assert desk.ready() == []
    desk.minutes = 11
    (ready,) = desk.ready()
    assert (ready.state, ready.package, ready.may_be_deleted) == (HandInState.READY, None, False)
    assert desk.plan(ready).to_dict()["files"] == 2
    package = desk.archive(ready)
    done = desk.look()["2026-03-14 ZnO"]
    assert (done.state, done.package, done.may_be_deleted) == (HandInState.ARCHIVED, package.id, True)
    assert "you may delete it" in done.words
    desk.kept = lambda _: Kept.SHORT
    waiting = desk.look()["2026-03-14 ZnO"]
    assert not waiting.may_be_deleted
    assert "more copies" in waiting.words
    assert everything(folder) == before
    assert package.verify(level="full").ok


def test_another_process_knows_what_was_archived(desk: Desk) -> None:
    desk.hand_in("a", x=b"1")
    desk.minutes = 11
    package = desk.archive(desk.ready()[0])
    known = {package.id: Kept.WELL}
    desk.kept = lambda package: known[package]
    (found,) = desk.again().look()
    assert found.may_be_deleted
    assert found.to_dict()["package"] == package.id


def test_a_file_that_comes_later_makes_it_ready_again(desk: Desk) -> None:
    folder = desk.hand_in("a", x=b"1")
    desk.minutes = 11
    first = desk.archive(desk.ready()[0])
    (folder / "later.dat").write_bytes(b"2")
    found = desk.look()["a"]
    assert (found.state, found.package, found.may_be_deleted) == (HandInState.READY, first.id, False)
    assert found.words == "it changed since it was archived"


def test_on_a_share_two_looks_are_needed_and_the_same_object_remembers(desk: Desk) -> None:
    desk.incoming = desk.again(own_clock=False)
    desk.hand_in("a", x=b"1")
    desk.minutes = 60
    assert desk.ready() == []
    desk.minutes = 65
    assert desk.ready() == []
    desk.minutes = 70
    assert [one.name for one in desk.ready()] == ["a"]


def test_a_folder_that_changes_while_it_is_archived_is_not_remembered(desk: Desk) -> None:
    folder = desk.hand_in("a", x=b"1")
    desk.minutes = 11
    (ready,) = desk.ready()
    seen = desk.incoming.seen(ready)
    (folder / "later.dat").write_bytes(b"2")
    with pytest.raises(Refused, match="changed while it was archived"):
        desk.incoming.remember(ready, seen, ["ab" * 32], "cd" * 32, proof="written", omitted=0)
    assert desk.look()["a"].state is HandInState.READY
    seen = desk.incoming.seen(ready)
    with pytest.raises(Refused, match="not proven"):
        desk.incoming.remember(ready, seen, ["ab" * 32], "cd" * 32, proof="none", omitted=0)


@posix
def test_what_is_no_session_is_told_what_to_do(desk: Desk) -> None:
    (desk.folder / "loose.dat").write_bytes(b"1")
    (desk.folder / "link").symlink_to(desk.root)
    (desk.folder / ".Trash").mkdir()
    desk.hand_in("empty")
    desk.hand_in("locked", x=b"1")
    (desk.folder / "locked" / "x.dat.part").write_bytes(b"1")
    desk.minutes = 11
    found = desk.look()
    assert {name: str(one.state) for name, one in found.items()} == {
        "empty": "empty",
        "link": "stray",
        "locked": "writing",
        "loose.dat": "stray",
    }
    assert "a file that is being copied" in found["locked"].words
    assert json.dumps([one.to_dict() for one in found.values()])


def test_what_was_left_behind_is_noted_and_does_not_block_for_ever(desk: Desk) -> None:
    desk.hand_in("a", x=b"1")
    (desk.folder / "a" / "old.lock").write_bytes(b"1")
    desk.minutes = 25 * 60
    (found,) = desk.ready()
    assert [note.code for note in found.notes] == ["lock"]


@posix
def test_names_of_any_bytes_are_remembered_apart(desk: Desk) -> None:
    names = [os.fsdecode(b"\xff"), "100%", "a" * 200, "a" * 199 + "b", "~home", "con"]
    for name in names:
        desk.hand_in(name, x=name.encode("utf-8", "surrogateescape"))
    desk.minutes = 11
    packages = {ready.name: desk.archive(ready).id for ready in desk.ready()}
    assert sorted(packages) == sorted(names)
    assert {name: found.package for name, found in desk.look().items()} == packages


@posix
def test_what_was_left_out_keeps_it_from_being_deleted_until_it_is_mended(desk: Desk) -> None:
    folder = desk.hand_in("a", x=b"1")
    (folder / "link").symlink_to(desk.root)
    desk.minutes = 11
    desk.archive(desk.ready()[0])
    found = desk.look()["a"]
    assert (found.state, found.omitted, found.may_be_deleted) == (HandInState.ARCHIVED, 1, False)
    assert found.words.endswith("do not delete it: 1 item in it could not be archived and is only here")
    (folder / "link").unlink()
    assert desk.look()["a"].state is HandInState.READY
    desk.archive(desk.ready()[0])
    assert desk.look()["a"].may_be_deleted


def test_every_package_that_holds_a_part_of_it_is_asked_for(desk: Desk) -> None:
    desk.hand_in("a", x=b"1")
    desk.minutes = 11
    (ready,) = desk.ready()
    first, second = PackageId("ab" * 32), PackageId("cd" * 32)
    desk.incoming.remember(ready, desk.incoming.seen(ready), [first, second], "ef" * 32, proof="written", omitted=0)
    states = {first: Kept.WELL, second: Kept.WELL}
    told = {}
    desk.kept = lambda package: states[package]
    for state in Kept:
        states[first] = state
        (told[state],) = desk.incoming.look()
    assert {state: (str(one.state), one.may_be_deleted) for state, one in told.items()} == {
        Kept.WELL: ("archived", True),
        Kept.SHORT: ("archived", False),
        Kept.LOST: ("ready", False),  # it is here still: it is archived again
        Kept.DELETED: ("archived", False),
    }
    assert told[Kept.DELETED].words.endswith("do not delete it: it has since been deleted from the archive")
    assert {one.package for one in told.values()} == {second}


def test_what_is_remembered_goes_when_the_folder_has_gone(desk: Desk) -> None:
    for name in ("a", "b"):
        desk.hand_in(name, x=name.encode())
    desk.minutes = 11
    for ready in desk.ready():
        desk.archive(ready)
    (desk.folder / "a" / "x.dat").unlink()
    (desk.folder / "a").rmdir()
    assert len(desk.incoming.tidy()) == 1
    assert list(desk.look()) == ["b"]
    assert desk.look()["b"].state is HandInState.ARCHIVED
    assert desk.incoming.tidy() == []


#: Of a version that did not count what it left out.
OLD = b'{"format": "diadem-incoming/1", "package": "%s", "digest": "%s"}' % (b"diadem:" + b"ab" * 32, b"cd" * 32)


@pytest.mark.parametrize(
    "note", [b"", b"{}", b"[]", b"\xff", b'{"format": "diadem-incoming/2"}', b'{"format": 1}', OLD]
)
def test_a_note_that_cannot_be_understood_is_none(desk: Desk, note: bytes) -> None:
    desk.hand_in("a", x=b"1")
    desk.minutes = 11
    first = desk.archive(desk.ready()[0])
    (key,) = desk.notes.keys("incoming")
    desk.notes.put(key, note)
    (ready,) = desk.ready()
    package = desk.archive(ready)
    assert package.outcome is not None
    assert not package.outcome.created
    assert package.id == first.id
    assert desk.look()["a"].package == PackageId(first.id)
