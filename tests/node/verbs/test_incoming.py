"""What people hand in: seen, archived when it is finished, remembered, never touched."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import shutil
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote_from_bytes

import pytest

import diadem
from diadem.errors import Interrupted, Refused, StoreError
from diadem.node.take.folder_look import Moment, look
from diadem.node.watch.hand_in import Handed, HandInState
from diadem.node.watch.watcher import watch
from diadem.store import disks
from diadem.store.disks import Mount
from tests.node.test_adopting import everything
from tests.node.verbs.conftest import Lab, damage

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX names or links")


class Desk:
    """The `incoming/` folder of a node's store, and clocks that tests set."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.minutes = 0.0
        self.folder = lab.root / "main" / "incoming"
        self.folder.mkdir()
        self.policy("minimum = 1")
        now = lab.node.context.clock
        lab.node.context.clock = lambda: now() + datetime.timedelta(minutes=self.minutes)

    def policy(self, copies: str, *, metadata: str = "") -> None:
        """Write the policy."""
        text = f'[archive]\nquiet = "10 min"\n[copies]\n{copies}\n[metadata]\nrequired = [{metadata}]\n'
        (self.lab.node.path / "policy.toml").write_text(text, "utf-8")

    def hand_in(self, name: str, **files: bytes) -> Path:
        """Put a session there."""
        folder = self.folder / name
        folder.mkdir()
        for file, data in files.items():
            (folder / f"{file}.dat").write_bytes(data)
        return folder

    def steady(self) -> float:
        """The clock that nobody sets."""
        return 1000.0 + 60 * self.minutes

    def look(self) -> dict[str, Handed]:
        """What a process that looks once tells of each entry."""
        told = list(watch(self.lab.node.context, once=True, steady=self.steady))
        return {one.hand_in.name: one for one in told if isinstance(one, Handed)}

    def looks(self, *waits: float | Callable[[], object]) -> list[list[Handed]]:
        """What one watcher tells at each of its looks: the first at once, each further one so many minutes later."""
        steps = iter(waits)
        told: list[list[Handed]] = [[]]

        def sleep(_: float) -> None:
            for step in steps:
                if not callable(step):
                    self.minutes += step
                    told.append([])
                    return
                step()
            raise KeyboardInterrupt

        def tell() -> None:
            for one in watch(self.lab.node.context, sleep=sleep, steady=self.steady):
                assert isinstance(one, Handed)
                told[-1].append(one)

        with pytest.raises(Interrupted):
            tell()
        return told

    def waits(self, *steps: Callable[[], object]) -> list[float]:
        """For how many seconds one watcher sleeps before each of some steps, a minute apart, and after the last."""
        begun = iter(steps)
        slept: list[float] = []

        def sleep(seconds: float) -> None:
            slept.append(seconds)
            if (step := next(begun, None)) is None:
                raise KeyboardInterrupt
            step()
            self.minutes += 1

        with pytest.raises(Interrupted):
            list(watch(self.lab.node.context, sleep=sleep, steady=self.steady))
        return slept

    def archived(self) -> dict[str, str]:
        """What is archived at this look: package by name."""
        return {name: str(one.archived.package.id) for name, one in self.look().items() if one.archived is not None}


@pytest.fixture
def desk(lab: Lab) -> Desk:
    """An empty one."""
    return Desk(lab)


def states(told: list[Handed]) -> list[tuple[str, str, bool]]:
    return [(one.hand_in.name, str(one.hand_in.state), one.archived is not None) for one in told]


def test_from_writing_to_archived_to_may_be_deleted(desk: Desk) -> None:
    assert desk.look() == {}
    folder = desk.hand_in("2026-03-14 ZnO", a=b"a" * 1000, b=b"b")
    before = everything(folder)
    desk.minutes = 4
    found = desk.look()["2026-03-14 ZnO"].hand_in
    assert (found.state, found.files, found.bytes) == (HandInState.WRITING, 2, 1001)
    assert "after 10 minutes" in found.words
    desk.minutes = 11
    ready = desk.look()["2026-03-14 ZnO"]
    assert (ready.hand_in.state, ready.hand_in.may_be_deleted) == (HandInState.READY, False)
    assert ready.archived is not None
    assert len(ready.archived.package.files) == 2
    done = desk.look()["2026-03-14 ZnO"].hand_in
    assert (done.state, done.package, done.may_be_deleted) == (HandInState.ARCHIVED, ready.archived.package.id, True)
    assert "you may delete it" in done.words
    assert done.to_dict()["package"] == ready.archived.package.id
    desk.policy("minimum = 2")
    waiting = desk.look()["2026-03-14 ZnO"].hand_in
    assert not waiting.may_be_deleted
    assert "more copies" in waiting.words
    assert everything(folder) == before


def test_a_file_that_comes_later_makes_it_ready_again(desk: Desk) -> None:
    folder = desk.hand_in("a", x=b"1")
    desk.minutes = 11
    (first,) = desk.archived().values()
    (folder / "later.dat").write_bytes(b"2")
    found = desk.look()["a"]
    assert (found.hand_in.state, found.hand_in.may_be_deleted) == (HandInState.READY, False)
    assert found.hand_in.words == "it changed since it was archived"
    assert found.archived is not None
    assert found.archived.what == "continuation"
    assert list(map(str, found.archived.held_by)) == [first, str(found.archived.package.id)]


@pytest.fixture
def share(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is handed in lies on a share, whose clock may be wrong."""
    mounts = [Mount("/", "ext4", "/dev/sda"), Mount(str(desk.folder), "nfs4", "nas:/incoming")]
    monkeypatch.setattr(disks, "_mounts", lambda: iter(mounts))


@posix
@pytest.mark.usefixtures("share")
def test_on_a_share_two_looks_are_needed_and_the_watcher_remembers(desk: Desk) -> None:
    desk.hand_in("a", x=b"1")
    desk.minutes = 60
    assert [states(look) for look in desk.looks(5, 5)] == [[("a", "writing", False)]] * 2 + [[("a", "ready", True)]]


@posix
@pytest.mark.usefixtures("share")
def test_on_a_share_a_command_that_is_given_twice_has_looked_twice(desk: Desk) -> None:
    """A timer that starts one look after the other is as good as a watcher."""
    desk.hand_in("a", x=b"1")
    desk.minutes = 60
    assert states([*desk.look().values()]) == [("a", "writing", False)]
    desk.minutes = 65
    assert states([*desk.look().values()]) == [("a", "writing", False)]
    desk.minutes = 70
    assert states([*desk.look().values()]) == [("a", "ready", True)]


def test_a_folder_that_changes_while_it_is_archived_is_not_archived_at_all(desk: Desk) -> None:
    folder = desk.hand_in("a", x=b"1")
    desk.minutes = 11
    real, extend = desk.lab.node.context.tools.extractor, [lambda: (folder / "later.dat").write_bytes(b"2")]

    def extractor() -> object:
        if extend:
            extend.pop()()
        return real()

    object.__setattr__(desk.lab.node.context.tools, "extractor", extractor)
    first, second = desk.looks(5)
    assert states(first) == [("a", "ready", False)]
    assert "changed while it was archived" in str(first[0].error)
    assert states(second) == [("a", "ready", True)]
    assert desk.lab.node.search("").total == 1


@posix
def test_what_is_no_session_is_told_what_to_do(desk: Desk) -> None:
    (desk.folder / "loose.dat").write_bytes(b"1")
    (desk.folder / "link").symlink_to(desk.lab.root)
    (desk.folder / ".Trash").mkdir()
    desk.hand_in("empty")
    desk.hand_in("locked", x=b"1")
    (desk.folder / "locked" / "x.dat.part").write_bytes(b"1")
    desk.minutes = 11
    found = desk.look()
    assert {name: str(one.hand_in.state) for name, one in found.items()} == {
        "empty": "empty",
        "link": "stray",
        "locked": "writing",
        "loose.dat": "stray",
    }
    assert "a file that is being copied" in found["locked"].hand_in.words
    assert found["loose.dat"].hand_in.words == "put it into a folder of its own: one folder is one session"
    assert json.dumps([one.to_dict() for one in found.values()])


def test_a_folder_of_folders_is_one_session(desk: Desk) -> None:
    folder = desk.hand_in("a", x=b"1")
    for name in ("one", "two"):
        (folder / name).mkdir()
        (folder / name / "y.dat").write_bytes(name.encode())
    desk.minutes = 11
    (done,) = desk.look().values()
    assert done.archived is not None
    assert [entry.name for entry in done.archived.package.files] == ["one/y.dat", "two/y.dat", "x.dat"]


def test_what_was_left_behind_is_noted_and_does_not_block_for_ever(desk: Desk) -> None:
    desk.hand_in("a", x=b"1")
    (desk.folder / "a" / "old.lock").write_bytes(b"1")
    desk.minutes = 25 * 60
    (found,) = desk.look().values()
    assert found.archived is not None
    assert [note.code for note in found.hand_in.notes] == ["lock"]


@posix
def test_names_of_any_bytes_are_remembered_apart(desk: Desk) -> None:
    names = [os.fsdecode(b"\xff"), "100%", "a" * 200, "a" * 199 + "b", "~home", "con", "$1"]
    for name in names:
        desk.hand_in(name, x=name.encode("utf-8", "surrogateescape"))
    desk.minutes = 11
    packages = desk.archived()
    assert sorted(packages) == sorted(names)
    assert {name: found.hand_in.package for name, found in desk.look().items()} == packages


@posix
def test_what_was_left_out_keeps_it_from_being_deleted_until_it_is_mended(desk: Desk) -> None:
    folder = desk.hand_in("a", x=b"1")
    (folder / "link").symlink_to(desk.lab.root)
    desk.minutes = 11
    desk.archived()
    found = desk.look()["a"].hand_in
    assert (found.state, found.omitted, found.may_be_deleted) == (HandInState.ARCHIVED, 1, False)
    assert found.words.endswith("do not delete it: 1 item in it could not be archived and is only here")
    (folder / "link").unlink()
    desk.minutes = 22
    assert list(desk.archived()) == ["a"]
    assert desk.look()["a"].hand_in.may_be_deleted


def test_every_package_that_holds_a_part_of_it_is_asked_for(desk: Desk) -> None:
    desk.lab.add_second()
    desk.policy("minimum = 2")
    folder = desk.hand_in("a", x=b"1" * 1000)
    desk.minutes = 11
    (first,) = desk.archived().values()
    (folder / "y.dat").write_bytes(b"2" * 1000)
    desk.minutes = 22
    (second,) = desk.archived().values()
    assert desk.look()["a"].hand_in.may_be_deleted
    damage(desk.lab.path(first, "main") / "data/x.dat")
    desk.lab.node.scrub()
    told = desk.look()["a"].hand_in
    assert (told.state, told.package, told.may_be_deleted) == (HandInState.ARCHIVED, second, False)
    assert told.words.endswith("do not delete it yet: the policy wants more copies")


def test_what_was_deleted_from_the_archive_is_not_archived_again_nor_said_to_be_safe(desk: Desk) -> None:
    desk.policy("minimum = 1\n[retention]\nyears = 0")
    desk.hand_in("a", x=b"1")
    desk.minutes = 11
    (package,) = desk.archived().values()
    desk.minutes = 12
    desk.lab.node.delete(package, reason="no use")
    told = desk.look()["a"].hand_in
    assert (told.state, told.may_be_deleted) == (HandInState.ARCHIVED, False)
    assert told.words.endswith("do not delete it: it has since been deleted from the archive")


def test_what_is_remembered_goes_when_the_folder_has_gone(desk: Desk) -> None:
    for name in ("a", "b"):
        desk.hand_in(name, x=name.encode())
    desk.minutes = 11
    desk.archived()
    (desk.folder / "a" / "x.dat").unlink()
    (desk.folder / "a").rmdir()
    assert [(name, one.hand_in.state) for name, one in desk.look().items()] == [("b", HandInState.ARCHIVED)]
    desk.hand_in("a", other=b"2")
    assert desk.look()["a"].hand_in.words == "", "it is another"


def test_what_is_remembered_stays_while_the_folder_cannot_be_seen(desk: Desk) -> None:
    desk.hand_in("a", x=b"1")
    desk.minutes = 11
    desk.archived()
    away = desk.folder.rename(desk.lab.root / "aside")
    desk.folder.write_bytes(b"no folder")
    assert desk.look() == {}
    desk.folder.unlink()
    away.rename(desk.folder)
    assert desk.look()["a"].hand_in.may_be_deleted


@pytest.mark.parametrize("damaged", [b"", b"{}", b"[]", b"\xff", b'{"format": "diadem-watch/1"}', b'{"format": 1}'])
def test_what_is_remembered_and_cannot_be_understood_costs_time_only(desk: Desk, damaged: bytes) -> None:
    desk.hand_in("a", x=b"1")
    desk.minutes = 11
    (package,) = desk.archived().values()
    kept = [path for path in (desk.lab.node.path / "incoming").rglob("*.json") if path.is_file()]
    assert len(kept) == 1
    kept[0].write_bytes(damaged)
    (again,) = desk.look().values()
    assert again.archived is not None
    assert (again.archived.what, again.archived.package.id) == ("already", package)
    assert desk.look()["a"].hand_in.may_be_deleted


def _note_of_before(desk: Desk, name: str, package: str, *, form: str = "diadem-incoming/2", omitted: int = 1) -> Path:
    """What an earlier version has noted of a hand-in: one file each, below the id of the store."""
    seen = look(desk.folder / name, Moment(datetime.datetime.now(datetime.UTC), 0.0))
    document = {
        "format": form,
        "name": quote_from_bytes(os.fsencode(name)),
        "packages": [package],
        "payload_id": "ab" * 32,
        "proof": "written",
        "omitted": omitted,
        "digest": seen.digest,
        "archived": "2026-11-02T10:00:00Z",
    }
    store = desk.lab.node.context.settings.store("main").id
    digits = hashlib.sha256(os.fsencode(name)).hexdigest()[:12]
    path = desk.lab.node.path / "incoming" / store / "incoming" / f"{name}~{digits}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document), "utf-8")
    return path


def test_what_an_earlier_version_has_noted_counts(desk: Desk) -> None:
    package = str(desk.lab.node.archive(desk.hand_in("a", x=b"1"), now=True).package.id)
    note = _note_of_before(desk, "a", package)
    desk.minutes = 11
    for _ in range(2):
        found = desk.look()["a"].hand_in
        assert (found.state, found.package, found.omitted) == (HandInState.ARCHIVED, package, 1)
        assert found.words == (
            "archived on 2026-11-02; do not delete it: 1 item in it could not be archived and is only here"
        )
    assert not note.exists(), "it is remembered in one place"


@pytest.mark.parametrize("form", ["diadem-incoming/1", "diadem-incoming/3"])
def test_what_another_version_has_noted_in_another_way_does_not(desk: Desk, form: str) -> None:
    package = str(desk.lab.node.archive(desk.hand_in("a", x=b"1"), now=True).package.id)
    _note_of_before(desk, "a", package, form=form)
    desk.minutes = 11
    (again,) = desk.look().values()
    assert again.archived is not None
    assert again.archived.what == "already"


def test_what_was_refused_is_tried_again_when_a_rule_changes_and_by_the_next_process(desk: Desk) -> None:
    desk.policy("minimum = 1", metadata='"sample.name"')
    desk.hand_in("a", x=b"1")
    first, second, third = desk.looks(11, 1)
    assert [one.hand_in.state for one in first] == [HandInState.WRITING]
    assert "sample.name" in str(second[0].error)
    assert third == []
    assert "sample.name" in str(desk.look()["a"].error), "who looks once is told each time"
    first, second, third = desk.looks(1, lambda: desk.policy("minimum = 1"), 1)
    assert (states(first), second, states(third)) == ([("a", "ready", False)], [], [("a", "ready", True)])


def test_a_damaged_package_that_is_handed_in_stops_no_other(desk: Desk) -> None:
    package = desk.lab.archived("s")
    shutil.copytree(desk.lab.path(package, "main"), desk.folder / "a damaged")
    damage(desk.folder / "a damaged" / "data" / "scan 0.bin")
    desk.hand_in("b", x=b"1" * 500)
    desk.minutes = 11
    found = desk.look()
    assert {name: one.archived is not None for name, one in found.items()} == {"a damaged": False, "b": True}
    assert found["a damaged"].error is not None


def test_one_that_no_store_takes_stops_no_larger_one_that_comes_later(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from diadem.store.folder import FolderStore

    real = FolderStore.check_space

    def check(self: FolderStore, needed: int) -> None:
        if needed < 100_000:
            raise StoreError("every name like this is taken", next="Look into the store.")
        real(self, needed)

    monkeypatch.setattr(FolderStore, "check_space", check)
    desk.hand_in("a", x=b"1")
    desk.minutes = 11
    assert states(list(desk.look().values())) == [("a", "ready", False)]
    for name in ("b", "c"):
        desk.hand_in(name, x=name.encode() * 200_000)
    desk.minutes += 11
    found = desk.look()
    assert {name: one.archived is not None for name, one in found.items()} == {"a": False, "b": True, "c": True}
    assert "every name like this is taken" in str(found["a"].error), "who looks once is told each time"
    assert list(found) == ["b", "c", "a"], "what failed before comes last"


def test_a_watcher_sleeps_while_nobody_can_see_what_was_handed_in(desk: Desk) -> None:
    desk.lab.add_second()
    desk.hand_in("a", x=b"1")
    desk.minutes = 11
    store, away = desk.lab.root / "main", desk.lab.root / "unplugged"
    waits = desk.waits(
        lambda: None,
        lambda: store.rename(away),
        lambda: away.rename(store),
        lambda: desk.folder.rename(desk.lab.root / "aside"),
        lambda: desk.folder.write_bytes(b"no folder"),
        desk.folder.unlink,
        lambda: (desk.lab.root / "aside").rename(desk.folder),
        lambda: store.rename(away),
        lambda: time.sleep(0.6),  # a folder that was seen is believed to be there for half a second
        lambda: desk.lab.node.stores.lose("main", reason="it fell down"),
    )
    assert min(waits[1:]) > 30, waits


def _export(desk: Desk, *names: str) -> Path:
    """An unpacked export of some packages, handed in."""
    folder = desk.folder / "export"
    for name in names:
        given = desk.lab.root / f"{name}.zip"
        desk.lab.node.export(desk.lab.archived(name), given, for_="Marie Curie")
        with zipfile.ZipFile(given) as archive:
            archive.extractall(folder)
    return folder


@pytest.mark.parametrize("beside", ["raw/scan.dat", "notes.txt", "chain-5.json", "chain-5.json/scan.dat"])
def test_what_lies_beside_packages_is_never_said_to_be_safe(desk: Desk, beside: str) -> None:
    folder = _export(desk, "s", "t")
    extra = folder / beside
    extra.parent.mkdir(exist_ok=True)
    extra.write_bytes(b"raw data that is nowhere else")
    desk.minutes = 11
    for _ in range(2):
        found = desk.look()["export"]
        assert found.archived is None
        assert not found.hand_in.may_be_deleted
        assert beside.partition("/")[0] in str(found.error)
    with pytest.raises(Refused, match=beside.partition("/")[0]):
        desk.lab.node.archive(folder, now=True)
    assert len(desk.lab.node.archive(folder, as_one=True, now=True).package.files) > 1
    extra.rename(desk.lab.root / "moved away")
    if extra.parent != folder:
        extra.parent.rmdir()
    (folder / ".DS_Store").write_bytes(b"of a Finder")
    desk.minutes += 11
    assert desk.look()["export"].archived is not None
    assert desk.look()["export"].hand_in.may_be_deleted


def test_the_custody_of_an_export_that_is_handed_in_comes_with_it(desk: Desk) -> None:
    root = desk.lab.root
    with diadem.Node.create(root / "other", name="emlab", user="carla", store=str(root / "other-store")) as other:
        package = str(other.archive(desk.lab.session("s"), now=True).package.id)
        other.export(package, root / "s.zip", for_="Marie Curie")
        with zipfile.ZipFile(root / "s.zip") as archive:
            archive.extractall(desk.folder / "export")
        desk.minutes = 11
        assert desk.look()["export"].archived is not None
        assert other.id in {step.node for step in desk.lab.node.custody(package).steps}


def test_an_earlier_note_of_packages_says_nothing_of_what_lies_beside_them(desk: Desk) -> None:
    folder = _export(desk, "s")
    (folder / "notes.txt").write_bytes(b"nowhere else")
    (package,) = [row.id for row in desk.lab.node.search("").rows]
    _note_of_before(desk, "export", package, omitted=0)
    desk.minutes = 11
    found = desk.look()["export"]
    assert not found.hand_in.may_be_deleted
    assert "notes.txt" in str(found.error)


def test_a_file_that_was_put_into_a_package_is_never_said_to_be_safe(desk: Desk) -> None:
    package = desk.lab.archived("s")
    folder = Path(shutil.copytree(desk.lab.path(package, "main"), desk.folder / "marie"))
    (folder / "notes.txt").write_bytes(b"nowhere else")
    desk.minutes = 11
    for _ in range(2):
        assert not desk.look()["marie"].hand_in.may_be_deleted


def test_what_cannot_be_remembered_is_told_once_and_stops_nothing(desk: Desk) -> None:
    desk.hand_in("a", x=b"1")
    (desk.lab.node.path / "incoming").write_bytes(b"no folder")
    told = desk.looks(11, 1)
    (problem,) = [one for look in told for one in look if one.hand_in.name == "incoming"]
    assert "cannot be kept" in problem.hand_in.words
    assert ("a", "ready", True) in states(told[1])


def test_notes_of_an_earlier_version_stay_until_they_are_kept(desk: Desk) -> None:
    package = str(desk.lab.node.archive(desk.hand_in("a", x=b"1"), now=True).package.id)
    note = _note_of_before(desk, "a", package)
    kept = note.parents[1]
    (kept.with_name(f"{kept.name}.json") / "in the way").mkdir(parents=True)
    desk.minutes = 11
    assert desk.look()["a"].hand_in.omitted == 1
    assert note.exists()


@posix
@pytest.mark.program("an instrument that writes for seconds")
def test_an_instrument_that_writes_has_no_incoming_folder_listed(desk: Desk) -> None:
    """A store may be a share, where each listing is a question over the network."""
    instrument, listed, ended = desk.lab.root / "instrument", list[str](), threading.Event()
    (instrument / "session").mkdir(parents=True)
    desk.lab.node.watched.add(instrument)
    desk.hand_in("waits", a=b"1")

    def note(event: str, arguments: tuple[object, ...]) -> None:
        if not ended.is_set() and event == "os.scandir" and str(arguments[0]) == str(desk.folder):
            listed.append(event)

    def write() -> None:
        for number in range(20):
            (instrument / "session" / f"{number}.dat").write_bytes(b"1")
            time.sleep(0.2)
        ended.set()
        (instrument / "session" / "the last.dat").write_bytes(b"1")  # wakes it once more

    def steady() -> float:
        if ended.is_set():
            raise KeyboardInterrupt
        return time.monotonic()

    sys.addaudithook(note)
    threading.Thread(target=write).start()
    with pytest.raises(Interrupted):
        list(watch(desk.lab.node.context, steady=steady))
    assert 1 <= len(listed) <= 3
