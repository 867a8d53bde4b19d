"""What has become of adopted folders: renamed, edited, deleted, moved; told, and never changed."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.errors import Interrupted
from diadem.extract.pool import Extractor
from diadem.model.manifest import PackageId
from diadem.model.ports import Progress, silent
from diadem.node.keep.folder_comparison import FileState
from diadem.node.keep.rescan import FolderState, Rescan, rescan
from diadem.pack.adopt import adopt
from diadem.pack.compose import Options
from diadem.pack.plan import make_plan
from diadem.store.adopted import AdoptedFolders
from tests.node.test_adopting import everything

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX names, links or rights")
CONTENT = {"a.dat": b"a" * 5000, "raw/b.dat": b"b" * 5000, "raw/c.dat": b"c" * 7000, "raw/empty": b""}


def take_in(folders: AdoptedFolders, source: Path, extractor: Extractor) -> PackageId:
    """Adopt a folder of files that nobody reads."""
    plan = make_plan([source], store=None, metadata=None, readers=())
    adoption = adopt(plan, folders, extractor=extractor, options=Options(), listener=silent)
    return adoption.location.package


def write(folder: Path, content: dict[str, bytes]) -> Path:
    """A folder with files."""
    for name, data in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


class Desk:
    """An adopted session, and looks at it."""

    def __init__(self, tmp_path: Path, extractor: Extractor) -> None:
        self.folders = AdoptedFolders(tmp_path / "node" / "adopted")
        self.session = write(tmp_path / "people" / "session", CONTENT)
        self.package = take_in(self.folders, self.session, extractor)

    def look(self, **options: Any) -> Rescan:
        """Look, while nothing of the folder changes."""
        before = everything(self.session) if self.session.exists() else {}
        found = rescan(self.folders, self.package, **options)
        assert (everything(self.session) if self.session.exists() else {}) == before
        return found

    def settled(self, **options: Any) -> Rescan:
        """Look, and keep what was found."""
        found = self.look(**options)
        self.folders.relocate(found.location)
        return found


@pytest.fixture
def desk(tmp_path: Path, lent_extractor: Extractor) -> Desk:
    """One adopted session."""
    return Desk(tmp_path, lent_extractor)


def states(found: Rescan) -> dict[str, tuple[str, str]]:
    """What changed: state and path now."""
    return {change.path.removeprefix("data/"): (str(change.state), change.now) for change in found.changes}


def test_nothing_changed_and_nothing_is_read(desk: Desk) -> None:
    found = desk.look()
    assert (found.folder, found.counts, found.changes, found.hashed) == (
        FolderState.THERE,
        {FileState.UNCHANGED: 4},
        [],
        0,
    )
    assert found.complete
    assert not found.proven
    assert found.location == desk.folders.location(desk.package)


def test_a_full_look_reads_everything_and_is_a_proof(desk: Desk) -> None:
    told: list[Progress] = []
    found = desk.look(full=True, listener=told.append)
    assert found.hashed == 4
    assert found.proven
    assert max(step.done for step in told) == 17_000
    assert {step.stage for step in told} == {"rescan"}


def test_renames_are_followed_and_the_package_is_read_through_the_new_names(desk: Desk) -> None:
    (desk.session / "a.dat").rename(desk.session / "raw" / "better name.dat")
    (desk.session / "raw").rename(desk.session / "cooked")
    found = desk.settled()
    assert states(found) == {
        "a.dat": ("renamed", "cooked/better name.dat"),
        "raw/b.dat": ("renamed", "cooked/b.dat"),
        "raw/c.dat": ("renamed", "cooked/c.dat"),
        "raw/empty": ("renamed", "cooked/empty"),
    }
    assert found.complete
    bundle = desk.folders.bundle(desk.package)
    with bundle.open("data/a.dat") as file:
        assert file.read_at(0, 10_000) == CONTENT["a.dat"]
    assert desk.look().counts == {FileState.UNCHANGED: 4}
    assert desk.look().hashed == 0


def test_two_files_that_exchanged_their_names(desk: Desk) -> None:
    a, b = desk.session / "a.dat", desk.session / "raw" / "b.dat"
    a.rename(desk.session / "x")
    b.rename(a)
    (desk.session / "x").rename(b)
    assert states(desk.settled()) == {"a.dat": ("renamed", "raw/b.dat"), "raw/b.dat": ("renamed", "a.dat")}
    assert desk.look().counts == {FileState.UNCHANGED: 4}


def test_a_file_that_was_touched_is_read_once_and_is_unchanged(desk: Desk) -> None:
    os.utime(desk.session / "a.dat", ns=(1, 1))
    assert desk.settled().hashed == 1
    assert desk.look().hashed == 0
    assert desk.look().counts == {FileState.UNCHANGED: 4}


def test_an_edit_is_an_edit_and_is_not_read_again_until_it_changes(desk: Desk) -> None:
    (desk.session / "a.dat").write_bytes(b"x" * 5000)
    os.utime(desk.session / "a.dat", ns=(10**18, 10**18))
    (desk.session / "raw" / "b.dat").write_bytes(b"b" * 5001)
    found = desk.settled()
    assert states(found) == {"a.dat": ("edited", "a.dat"), "raw/b.dat": ("edited", "raw/b.dat")}
    assert found.hashed == 1  # of the other its size says enough
    assert not found.complete
    again = desk.settled()
    assert states(again) == states(found)
    assert again.hashed == 0
    write(desk.session, CONTENT)
    assert desk.settled().counts == {FileState.UNCHANGED: 4}


def test_other_bytes_under_the_same_size_and_time_are_found_by_a_full_look(desk: Desk) -> None:
    path = desk.session / "a.dat"
    before = path.stat()
    with path.open("r+b") as file:
        file.write(b"x")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert desk.look().counts == {FileState.UNCHANGED: 4}
    found = desk.settled(full=True)
    assert [(change.state, change.quiet) for change in found.changes] == [(FileState.EDITED, True)]
    assert [(change.state, change.quiet) for change in desk.look().changes] == [(FileState.EDITED, True)]


def test_what_is_deleted_is_missing_and_comes_back(desk: Desk) -> None:
    (desk.session / "raw" / "c.dat").unlink()
    found = desk.settled()
    assert states(found) == {"raw/c.dat": ("missing", "")}
    assert not found.complete
    for number in range(20):
        (desk.session / f"new{number}.dat").write_bytes(bytes([number]) * 7000)
    found = desk.settled()
    assert found.hashed <= 1  # one may have the number that became free; nothing speaks for the others
    assert len(found.added) == 20
    assert desk.look(full=True).hashed == 23
    (desk.session / "deep").mkdir()
    (desk.session / "deep" / "c.dat").write_bytes(CONTENT["raw/c.dat"])
    assert states(desk.settled()) == {"raw/c.dat": ("renamed", "deep/c.dat")}
    assert desk.look().counts == {FileState.UNCHANGED: 4}


def test_a_file_put_in_the_place_of_another(desk: Desk) -> None:
    (desk.session / "a.dat").unlink()
    (desk.session / "raw" / "b.dat").rename(desk.session / "a.dat")
    assert states(desk.settled()) == {"a.dat": ("missing", ""), "raw/b.dat": ("renamed", "a.dat")}
    assert states(desk.look()) == {"a.dat": ("missing", "")}


def test_other_files_are_no_part_of_it(desk: Desk) -> None:
    (desk.session / "raw" / "notes.docx").write_bytes(b"notes")
    found = desk.look()
    assert found.added == ["raw/notes.docx"]
    assert found.complete


def test_a_folder_that_was_renamed_is_found_beside_its_old_place(desk: Desk) -> None:
    write(desk.session.parent / "aaa", {name: data[::-1] + b"x" for name, data in CONTENT.items()})
    moved = desk.session.rename(desk.session.with_name("session, finished"))
    found = desk.settled()
    assert (found.folder, found.root, found.previous_root) == (FolderState.MOVED, str(moved), str(desk.session))
    assert found.counts == {FileState.UNCHANGED: 4}
    assert found.hashed == 0
    assert desk.look().folder is FolderState.THERE
    assert desk.folders.bundle(desk.package).exists("data/raw/b.dat")


def test_a_folder_with_the_same_names_and_sizes_is_not_taken_for_it(desk: Desk) -> None:
    shutil.rmtree(desk.session)
    write(desk.session.parent / "aaa", {name: b"z" * len(data) for name, data in CONTENT.items()})
    found = desk.look()
    assert found.folder is FolderState.GONE
    assert found.counts == {FileState.MISSING: 4}
    assert found.location == desk.folders.location(desk.package)
    assert "disk that is not connected" in str(found)


def test_a_folder_is_looked_for_where_the_caller_says(desk: Desk, tmp_path: Path) -> None:
    elsewhere = tmp_path / "disk" / "2026" / "march"
    elsewhere.mkdir(parents=True)
    shutil.move(desk.session, elsewhere / "kept")
    assert desk.look().folder is FolderState.GONE
    found = desk.settled(look_in=[tmp_path / "disk"])
    assert (found.folder, found.root) == (FolderState.MOVED, str(elsewhere / "kept"))
    assert found.complete


def test_an_empty_folder_is_a_disk_that_is_not_there(desk: Desk) -> None:
    shutil.rmtree(desk.session)
    desk.session.mkdir()
    assert desk.look().folder is FolderState.GONE


@contextmanager
def an_ordinary_user() -> Iterator[None]:
    """Without the rights of root, who may read everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@posix
@pytest.mark.parametrize("closed", ["raw", "raw/b.dat", "."])
def test_what_may_not_be_read_is_neither_missing_nor_edited(lent_extractor: Extractor, closed: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        desk = Desk(Path(place), lent_extractor)
        (desk.session / closed).chmod(0)
        try:
            with an_ordinary_user():
                found = rescan(desk.folders, desk.package, full=True)
        finally:
            (desk.session / closed).chmod(0o755)
        hidden = {".": 4, "raw": 3, "raw/b.dat": 1}[closed]
        assert found.counts == {
            FileState.UNREADABLE: hidden,
            **({FileState.UNCHANGED: 4 - hidden} if hidden < 4 else {}),
        }
        assert found.location.files == desk.folders.location(desk.package).files
        assert found.folder is (FolderState.UNREADABLE if closed == "." else FolderState.THERE)
        for path in list(desk.folders.root.rglob("*")):
            path.chmod(0o700)


@posix
def test_a_link_in_the_place_of_a_file_is_not_followed(desk: Desk, tmp_path: Path) -> None:
    (desk.session / "a.dat").rename(tmp_path / "a.dat")
    (desk.session / "a.dat").symlink_to(tmp_path / "a.dat")
    assert states(desk.look()) == {"a.dat": ("missing", "")}


def test_numbers_that_a_share_makes_up_anew_are_not_relied_on(desk: Desk, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(desk.session, copy)  # other numbers, the same times
    shutil.rmtree(desk.session)
    copy.rename(desk.session)
    assert desk.settled().hashed == 4
    shutil.copytree(desk.session, copy)
    shutil.rmtree(desk.session)
    copy.rename(desk.session)
    found = desk.settled()
    assert found.hashed == 0
    assert found.counts == {FileState.UNCHANGED: 4}


def test_what_the_node_keeps_is_looked_at_too(desk: Desk) -> None:
    record = desk.folders.bag(desk.package) / "data" / "diadem-record.json"
    for path in (record.parent, record):
        path.chmod(0o700)
    record.write_bytes(b"{}")
    assert desk.look().sealed == ["data/diadem-record.json"]


def test_an_interruption_changes_nothing(desk: Desk) -> None:
    def stop(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        desk.look(full=True, listener=stop)


def test_every_adopted_folder_is_looked_at_and_told_as_json(
    desk: Desk, lent_extractor: Extractor, tmp_path: Path
) -> None:
    other = write(tmp_path / "people" / "other", {"x": b"1"})
    take_in(desk.folders, other, lent_extractor)
    (other / "x").rename(other / "y")
    found = {one.package: one for one in (rescan(desk.folders, str(package)) for package in list(desk.folders.ids()))}
    assert len(found) == 2
    document = next(one for package, one in found.items() if package != desk.package).to_dict()
    assert document["counts"] == {"unchanged": 0, "renamed": 1, "edited": 0, "missing": 0, "unreadable": 0}
    assert document["changes"] == [{"path": "data/x", "state": "renamed", "now": "y", "before": "x", "quiet": False}]
    assert str(found[desk.package]).endswith("is there. Its files: 4 unchanged.")


NAMES = st.sampled_from(["a", "b", "c", "d/a", "d/b", "e"])
BYTES = st.sampled_from([b"1", b"2", b"33", b"44", b""])


@settings(max_examples=25, deadline=None)
@given(
    st.dictionaries(NAMES, BYTES, min_size=1, max_size=5),
    st.dictionaries(NAMES, BYTES, min_size=1, max_size=5),
    st.booleans(),
)
def test_whatever_people_do_every_file_has_a_state_that_is_true(
    lent_extractor: Extractor, before: dict[str, bytes], after: dict[str, bytes], full: bool
) -> None:
    with tempfile.TemporaryDirectory() as place:
        folders = AdoptedFolders(Path(place) / "node")
        session = write(Path(place) / "people" / "session", before)
        package = take_in(folders, session, lent_extractor)
        for name in before:
            (session / name).unlink()
        write(session, after)
        for name in after:
            os.utime(session / name, ns=(0, 0))
        found = rescan(folders, package, full=full)
        assert sum(found.counts.values()) == len(before)
        changed = {change.path.removeprefix("data/"): change for change in found.changes}
        used: list[str] = []
        for name, data in before.items():
            state = changed[name].state if name in changed else FileState.UNCHANGED
            now = changed[name].now if name in changed else name
            if state in (FileState.UNCHANGED, FileState.RENAMED):
                assert after[now] == data
                used.append(now)
            elif state is FileState.EDITED:
                assert after[now] != data
            else:
                assert state is FileState.MISSING
        assert len(used) == len(set(used))
        lost = [
            data for name, data in before.items() if name in changed and changed[name].state is not FileState.RENAMED
        ]
        spare = [data for name, data in after.items() if name not in used]
        assert not set(lost) & set(spare)  # nothing is called lost while its bytes lie there unclaimed
        folders.relocate(found.location)
        again = rescan(folders, package)
        assert {change.path: change.state for change in again.changes if change.state is not FileState.RENAMED} == {
            change.path: change.state for change in found.changes if change.state is not FileState.RENAMED
        }
        for path in list(folders.root.rglob("*")):
            path.chmod(0o700)
