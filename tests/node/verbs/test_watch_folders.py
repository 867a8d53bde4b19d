"""Watched folders: nothing of a session is archived before all of it was seen to be silent; nothing is touched."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from diadem.errors import DocumentError, Interrupted, NotFound, Refused, StoreError, UsageError
from diadem.hooks.offers import Magic, ReaderOffer
from diadem.model.scan import PlannedSession
from diadem.node.locks import WATCH_LOCK, node_lock
from diadem.node.watch.events import Events, WakeUp
from diadem.node.watch.memory import Memory
from diadem.node.watch.report import FolderReport, SessionReport, Watched
from diadem.node.watch.watcher import watch
from tests import zygote
from tests.cli.inside import said, said_json
from tests.node.test_adopting import everything
from tests.node.verbs.agreeing import require_agreement
from tests.node.verbs.conftest import Lab

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX links")


class Instrument:
    """A folder in which a microscope writes, a node that watches it, and clocks that tests set."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.minutes = 0.0
        self.set_by = 0.0
        self.folder = lab.root / "titan"
        self.folder.mkdir()
        (lab.node.path / "policy.toml").write_text('[archive]\nquiet = "10 min"\n[copies]\nminimum = 1\n', "utf-8")
        now = lab.node.context.clock
        lab.node.context.clock = lambda: now() + datetime.timedelta(minutes=self.minutes + self.set_by)

    def write(self, session: str, *names: str, data: bytes = b"d" * 3000) -> Path:
        """Write files into a session; their times are those of the clock."""
        folder = self.folder / session
        for name in names:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as file:
                file.write(data + name.encode())
        return folder

    def steady(self) -> float:
        """The clock that nobody sets."""
        return 1000.0 + 60 * self.minutes

    def looks(self, *waits: float | Callable[[], object]) -> list[list[Watched]]:
        """What a new watcher tells at each of its looks: the first at once, each further one so many minutes later.

        Something that can be called is done between two looks; time stands still for it.
        """
        steps = iter(waits)
        told: list[list[Watched]] = [[]]

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
                if isinstance(one, Watched) and one.state != "there":
                    told[-1].append(one)

        with pytest.raises(Interrupted, match="nothing is half archived"):
            tell()
        return told

    def report(self) -> FolderReport:
        """What `status` says of the folder."""
        report = self.lab.node.watched.report()
        assert report is not None
        return report.folders[0]

    def sessions(self) -> dict[str, SessionReport]:
        """What waits, by name."""
        return {one.name: one for one in self.report().sessions}


@pytest.fixture
def titan(lab: Lab) -> Instrument:
    """An instrument whose folder is watched; it is polled, so that looks are where the test puts them."""
    instrument = Instrument(lab)
    lab.node.watched.add(instrument.folder, poll=True)
    return instrument


def states(told: list[Watched]) -> list[tuple[str, str]]:
    return [(one.session, one.state) for one in told]


def names(one: Watched) -> list[list[str]]:
    return [[entry.name for entry in archived.package.files] for archived in one.archived]


# -- silence -------------------------------------------------------------------------------------------------------


def test_a_session_is_archived_when_all_of_it_was_seen_to_be_silent(titan: Instrument) -> None:
    folder = titan.write("2026-03-14 ZnO", "a.dat", "raw/b.dat")
    before: list[object] = []
    first, second, third, fourth = titan.looks(
        4, lambda: titan.write("2026-03-14 ZnO", "raw/c.dat"), 4, lambda: before.append(everything(folder)), 11
    )
    assert states(first) == [("2026-03-14 ZnO", "waiting")]
    assert "10 min" in first[0].words
    assert (second, states(third)) == ([], [])
    assert states(fourth) == [("2026-03-14 ZnO", "archived")]
    assert names(fourth[0]) == [["a.dat", "raw/b.dat", "raw/c.dat"]]
    assert [everything(folder)] == before
    assert titan.looks(11, 11) == [[], [], []]  # told once, and by every later watcher not at all
    require_agreement(titan.lab.node)


def test_later_files_make_a_continuation(titan: Instrument) -> None:
    titan.write("s", "a.dat", "b.dat")
    told = titan.looks(11, lambda: titan.write("s", "later.dat"), 5, 11)
    assert list(map(states, told)) == [
        [("s", "waiting")],
        [("s", "archived")],
        [("s", "waiting")],
        [("s", "archived")],
    ]
    assert [archived.what for one in told for event in one for archived in event.archived] == ["new", "continuation"]
    assert names(told[3][0]) == [["later.dat"]]


def test_old_times_prove_nothing_until_it_was_watched(titan: Instrument) -> None:
    """A disk whose clock was an hour slow, a copy that keeps its times: only what was watched is known."""
    folder = titan.write("s", "a.dat")
    titan.minutes = 120
    first, second = titan.looks(9)
    assert (states(first), second) == ([("s", "waiting")], [])
    os.utime(folder / "a.dat", (0, 0))
    assert [states(one) for one in titan.looks(2, 9)] == [[("s", "waiting")], [], [("s", "archived")]]


def test_a_restart_shortens_no_silence_and_one_of_the_machine_begins_it_anew(
    titan: Instrument, monkeypatch: pytest.MonkeyPatch
) -> None:
    titan.write("s", "a.dat")
    titan.looks(4)
    titan.minutes += 4
    assert [states(one) for one in titan.looks(1, 2)] == [[("s", "waiting")], [], [("s", "archived")]]  # 11 in all
    titan.write("t", "a.dat")
    titan.looks()
    titan.minutes += 9
    monkeypatch.setattr("diadem.node.watch.memory.started", lambda: "another start of the machine")
    assert [states(one) for one in titan.looks(9, 2)] == [[("t", "waiting")], [], [("t", "archived")]]


def test_a_clock_that_jumps_ends_no_silence(titan: Instrument) -> None:
    titan.write("s", "a.dat")

    def jump() -> None:
        titan.set_by += 600

    told = titan.looks(1, jump, 1, 9.5, 1)
    assert [states(one) for one in told] == [[("s", "waiting")], [], [], [], [("s", "archived")]]


def test_locks_and_temporary_files_hold_a_session_and_status_names_them(titan: Instrument) -> None:
    folder = titan.write("s", "a.dat", "scan 3.dm4.tmp")
    titan.looks(11, 11)
    waits = titan.sessions()["s"]
    assert waits.state == "waiting"
    assert "'scan 3.dm4.tmp' is a temporary file" in waits.words
    (folder / "scan 3.dm4.tmp").rename(folder / "scan 3.bin")
    told = titan.looks(11)
    assert names(told[-1][0]) == [["a.dat", "scan 3.bin"]]


def test_a_session_that_goes_on_while_it_is_read_is_not_archived_at_all(titan: Instrument) -> None:
    """The last byte is read, and the session looks otherwise than when that began: nothing becomes visible."""
    titan.write("s", "a.dat", "b.dat")
    extend: list[Callable[[], object]] = [lambda: titan.write("s", "a.dat")]
    real = titan.lab.node.context.tools.extractor

    def extractor() -> Any:
        if extend:
            extend.pop()()
        return real()

    object.__setattr__(titan.lab.node.context.tools, "extractor", extractor)
    told = titan.looks(11, 5, 11)
    assert [states(one) for one in told] == [[("s", "waiting")], [("s", "waiting")], [], [("s", "archived")]]
    assert "changed while it was archived" in str(told[1][0].error)
    assert titan.lab.node.search("").total == 1
    (found,) = (titan.lab.root / "main").glob("*/*/data/a.dat")
    assert found.read_bytes() == (titan.folder / "s/a.dat").read_bytes()


# -- what is a session ---------------------------------------------------------------------------------------------


def test_loose_files_go_by_datasets_and_folders_by_their_depth(lab: Lab) -> None:
    titan = Instrument(lab)
    lab.node.watched.add(titan.folder, poll=True, depth=2)
    titan.write("alice", "scan.bin", "scan.txt", "other.bin", "s 1/a.dat", "s 2/a.dat")
    titan.write("bob", "s 1/deep/a.dat")
    told = titan.looks(11)
    assert states(told[1]) == [
        (name, "archived") for name in ("bob/s 1", "alice/s 1", "alice/s 2", "alice/other.bin", "alice/scan.bin")
    ]
    assert {one.session: names(one) for one in told[1]}["alice/scan.bin"] == [["scan.bin", "scan.txt"]]
    titan.write("alice", "scan.bin")
    assert states(titan.looks(11)[1]) == [("alice/scan.bin", "archived")]


def test_a_folder_with_several_sessions_is_divided_as_a_scan_divides_it_unless_the_plan_says_one(
    titan: Instrument,
) -> None:
    for name in ("one", "two"):
        titan.write("mixed", f"{name}/a.dat", f"{name}/b.dat", "notes/n.txt")
        titan.write("whole", f"{name}/a.dat", f"{name}/b.dat")

    def scan(folder: Path, **_: object) -> Any:
        """What a scan says of files of a known format, without the workers that read them."""
        found = [
            PlannedSession(name, name != "notes", name, "2026-03-14", str(Path(folder) / name), why="unknown")
            for name in sorted(os.listdir(folder))
        ]
        return SimpleNamespace(sessions=found)

    object.__setattr__(titan.lab.node.context.tools, "scan", scan)
    plan = titan.lab.node.path / "watch" / "plan.csv"
    plan.parent.mkdir(exist_ok=True)
    plan.write_text(f"folder,as\n{titan.folder / 'whole'},one\n", "utf-8")
    mixed, whole = titan.looks(11)[1]
    assert names(mixed) == [["a.dat", "b.dat"]] * 2
    assert "1 part of it not archived: notes (unknown)" in mixed.words
    assert names(whole) == [["one/a.dat", "one/b.dat", "two/a.dat", "two/b.dat"]]
    titan.write("mixed", "two/c.dat")
    (more,) = titan.looks(11)[1]
    assert [archived.what for archived in more.archived] == ["already", "continuation"]
    shutil.rmtree(titan.folder / "mixed" / "one")
    titan.write("mixed", "two/d.dat")
    (last,) = titan.looks(11)[1]
    assert names(last) == [["d.dat"]], "what was divided stays divided, also for the next watcher"


@posix
def test_links_packages_stores_and_system_folders_are_left_alone(titan: Instrument, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("k")
    (titan.folder / "link").symlink_to(secret)
    titan.write("System Volume Information", "x.dat")
    titan.write(".hidden", "x.dat")
    (titan.folder / "bag" / "diadem").mkdir(parents=True)
    (titan.folder / "bag" / "bagit.txt").write_text("")
    titan.write("empty").mkdir()
    first, second = titan.looks(11)
    assert (states(first), second) == ([("empty", "empty")], [])
    assert titan.report().aside == {"link": "it is a link, which is not followed", "bag": "it is a package"}


def test_what_was_there_before_is_left_until_it_changes(lab: Lab) -> None:
    titan = Instrument(lab)
    titan.write("old", "a.dat")
    titan.write("older", "a.dat")
    lab.node.watched.add(titan.folder, new_only=True, poll=True)
    titan.write("new", "a.dat")
    told = titan.looks(11, lambda: titan.write("old", "b.dat"), 11, 11)
    assert [state for one in told for state in states(one)] == [
        ("new", "waiting"), ("new", "archived"), ("old", "waiting"), ("old", "archived"),
    ]  # fmt: skip
    assert (titan.report().left, titan.report().archived) == (1, 2)


# -- what goes wrong -----------------------------------------------------------------------------------------------


def test_one_that_is_refused_stops_no_other_and_is_tried_again_when_a_rule_changes(titan: Instrument) -> None:
    policy = titan.lab.node.path / "policy.toml"
    policy.write_text(policy.read_text("utf-8") + '[metadata]\nrequired = ["sample.name"]\n', "utf-8")
    plan = titan.lab.node.path / "watch" / "plan.csv"
    plan.parent.mkdir(exist_ok=True)
    titan.write("a", "a.dat")
    titan.write("b", "b.dat")
    plan.write_text(f"archive,folder,sample\nyes,{titan.folder / 'b'},S-12\n", "utf-8")
    told = titan.looks(11, 1, 1)
    assert states(told[1]) == [("a", "failed"), ("b", "archived")]
    assert told[2:] == [[], []]
    words = titan.sessions()["a"].words
    assert words.startswith("failed once: ")
    assert "sample.name" in words
    assert "tried again at" in words
    plan.write_text(f"archive,folder,sample\n,{titan.folder / 'a'},S-13\n", "utf-8")
    assert states(titan.looks(1)[0]) == [("a", "archived")]
    assert titan.lab.node.search("sample:S-13").total == 1


def test_while_no_store_answers_nothing_is_tried_and_it_goes_on_when_one_does(titan: Instrument) -> None:
    titan.write("a", "a.dat")
    titan.write("b", "b.dat")
    store, away = titan.lab.root / "main", titan.lab.root / "unplugged"
    told = titan.looks(9, lambda: store.rename(away), 2, lambda: away.rename(store), 0.5, 2)
    assert states(told[2]) == [("a", "failed"), ("b", "waiting")]
    assert "no store can take it now" in told[2][1].words
    assert told[3] == []
    assert states(told[4]) == [("b", "archived"), ("a", "archived")]


def test_without_room_for_two_a_smaller_session_is_tried(titan: Instrument, monkeypatch: pytest.MonkeyPatch) -> None:
    from diadem.store.folder import FolderStore

    real = FolderStore.check_space

    def check(self: FolderStore, needed: int) -> None:
        if needed > 10_000:
            raise StoreError("the store is full", next="Make room.")
        real(self, needed)

    monkeypatch.setattr(FolderStore, "check_space", check)
    titan.write("a large", "a.dat", data=bytes(range(256)) * 400)
    titan.write("b larger", "b.dat", data=bytes(range(256)) * 800)
    titan.write("c larger still", "c.dat", data=bytes(range(256)) * 900)
    titan.write("d small", "d.dat")
    told = titan.looks(11)
    assert states(told[1]) == [
        ("a large", "failed"),
        ("b larger", "failed"),
        ("c larger still", "waiting"),
        ("d small", "archived"),
    ]
    assert "the store is full" in titan.sessions()["a large"].words


def test_a_folder_that_is_not_there_is_away_not_deleted(titan: Instrument) -> None:
    titan.write("a", "a.dat")
    titan.write("b", "b.dat")
    titan.looks(11)
    away = titan.lab.root / "unmounted"
    titan.folder.rename(away)
    told = titan.looks(1)
    assert [one.state for look in told for one in look] == ["away"]
    assert (titan.report().state, titan.report().archived) == ("away", 2)
    titan.folder.mkdir()  # the mount point of a disk that is away
    assert "all that was in it has gone since" in titan.looks(1)[0][0].words
    titan.folder.rmdir()
    away.rename(titan.folder)
    assert titan.looks(11, 11) == [[], [], []]  # what is archived is known
    assert titan.report().state == "there"


def test_a_store_that_comes_into_a_watched_folder_stops_it(titan: Instrument) -> None:
    titan.write("a", "a.dat")
    (titan.folder / "disk").mkdir()
    titan.lab.node.stores.add(str(titan.folder / "disk"), name="late")
    told = titan.looks(11)
    assert [one.state for look in told for one in look] == ["refused"]
    assert "holds the store 'late'" in titan.report().words


def test_a_watcher_sleeps_while_nothing_of_a_folder_may_be_archived(titan: Instrument) -> None:
    titan.write("a", "a.dat")
    (titan.folder / "disk").mkdir()
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 1:
            titan.lab.node.stores.add(str(titan.folder / "disk"), name="late")
        if len(waits) == 4:
            raise KeyboardInterrupt
        titan.minutes += 1

    with pytest.raises(Interrupted):
        list(watch(titan.lab.node.context, sleep=sleep, steady=titan.steady))
    assert min(waits[1:]) > 30, waits


def test_only_one_watcher_is_at_work(titan: Instrument) -> None:
    lock = node_lock(titan.lab.node.path, WATCH_LOCK)
    (titan.lab.node.path / "locks").mkdir(exist_ok=True)
    assert lock.acquire()
    with pytest.raises(Refused, match="another watcher is at work"):
        list(titan.lab.node.watch(once=True))
    report = titan.lab.node.watched.report()
    assert report is not None
    assert report.running
    threading.Timer(0.05, lock.release).start()
    report = titan.lab.node.watched.report()
    assert report is not None
    assert not report.running, "another that asks whether somebody watches is no watcher"
    list(titan.lab.node.watch(once=True))


def test_a_memory_that_cannot_be_written_is_told_once_and_ends_no_watcher(titan: Instrument) -> None:
    titan.write("a", "a.dat")
    memory = Memory.read(titan.lab.node.path, str(titan.folder)).path
    titan.looks()
    memory.unlink()
    (memory / "in the way").mkdir(parents=True)
    told = titan.looks(11, 1, (memory / "in the way").rmdir, memory.rmdir, 1)
    (problem,) = [one for look in told for one in look if not one.session]
    assert "cannot be kept" in problem.words
    assert [state for look in told for state in states(look) if state[0]][-1] == ("a", "archived")
    assert Memory.read(titan.lab.node.path, str(titan.folder)).notes["a"].state == "archived"


def test_a_memory_that_cannot_be_read_costs_time_only(titan: Instrument) -> None:
    titan.write("a", "a.dat")
    titan.looks(11)
    memory = Memory.read(titan.lab.node.path, str(titan.folder))
    whole = memory.path.read_bytes()
    for damaged in (b"", b"{", whole[:-20], whole.replace(b'"digest"', b'"digits"'), b"[]"):
        memory.path.write_bytes(damaged)
        assert not Memory.read(titan.lab.node.path, str(titan.folder)).known
    told = titan.looks(11)
    assert [archived.what for one in told[1] for archived in one.archived] == ["already"]


# -- the plan ------------------------------------------------------------------------------------------------------


def test_the_plan_excludes_puts_off_names_and_waits_longer(titan: Instrument) -> None:
    for name in ("no", "later", "titled", "long", "plain"):
        titan.write(name, f"{name}.dat")
    titan.looks()
    report = titan.lab.node.watched.plan()
    assert report.lines == 5
    text = report.path.read_text("utf-8-sig")
    for name, cells in (("no", "no,{},,,,,,"), ("later", "later,{},,,,,,")):
        text = text.replace(f",{titan.folder / name},,,,,,", cells.format(titan.folder / name))
    text = text.replace(
        f",{titan.folder / 'titled'},,,,,,",
        f',{titan.folder / "titled"},Grain 7,2026-03-14,S-12,"people.name=Marie Curie",one,',
    ).replace(f",{titan.folder / 'long'},,,,,,", f",{titan.folder / 'long'},,,,,,1 h")
    report.path.write_text(text, "utf-8-sig")
    told = titan.looks(11, 40, 10)
    assert [states(one) for one in told[1:]] == [
        [("plain", "archived"), ("titled", "archived")],
        [],
        [("long", "archived")],
    ]
    record = next(one for one in told[1] if one.session == "titled").archived[0].package.record
    assert (record.session["title"], record.session["date"], record.sample["name"]) == ("Grain 7", "2026-03-14", "S-12")
    waits = titan.sessions()
    assert {name: (one.state, one.words) for name, one in waits.items()} == {
        "later": ("later", "postponed by row 2 of the plan"),
        "no": ("no", "excluded by row 4 of the plan"),
    }
    assert titan.lab.node.watched.plan().lines == 5  # nothing is said twice
    assert titan.lab.node.watched.plan(titan.lab.root / "copy.csv").path == titan.lab.root / "copy.csv"


def test_a_wrong_line_holds_its_own_session_only_and_is_told(titan: Instrument) -> None:
    for name in ("a", "b", "c"):
        titan.write(name, f"{name}.dat")
    plan = titan.lab.root / "mine.csv"
    plan.write_text(
        f"archive;folder;wait\nmaybe;{titan.folder / 'a'};\nno;b;\n"
        f";{titan.folder / 'b'};soon\n;{titan.folder / 'b'};\n",
        "utf-8",
    )
    report = titan.lab.node.watched.plan(plan)
    assert report.taken
    assert [row for row, _ in report.plan.mistakes] == [2, 3, 4, 5]
    told = titan.looks(11)
    assert states(told[1]) == [("c", "archived")]
    assert {name: one.state for name, one in titan.sessions().items()} == {"a": "held", "b": "held"}
    assert "row 2 of the plan: the column 'archive' says 'maybe'" in titan.sessions()["a"].words
    document = titan.lab.node.watched.report()
    assert document is not None
    assert len(document.to_dict()["plan"]["mistakes"]) == 4


def test_a_plan_that_cannot_be_read_holds_everything(titan: Instrument) -> None:
    titan.write("a", "a.dat")
    plan = titan.lab.node.path / "watch" / "plan.csv"
    plan.parent.mkdir(exist_ok=True)
    plan.write_bytes(b"\xff\xfe no plan")
    assert states(titan.looks(11)[0]) == [("a", "held")]
    with pytest.raises(DocumentError, match="not UTF-8"):
        titan.lab.node.watched.plan()
    plan.unlink()
    assert states(titan.looks(11)[1]) == [("a", "archived")]


# -- settings ------------------------------------------------------------------------------------------------------


def test_folders_are_added_changed_listed_and_taken_away(lab: Lab, tmp_path: Path) -> None:
    titan = Instrument(lab)
    watched = lab.node.watched
    watched.add(titan.folder, set=["instrument.name=Titan"], store="main")
    titan.write("a", "a.dat")
    told = titan.looks(11)
    assert told[1][0].archived[0].package.record.instrument == {"name": "Titan"}
    watched.add(titan.folder, depth=2)
    assert [one.settings.depth for one in lab.reopened().watched] == [2]
    mirrored = next((lab.root / "main/.diadem/nodes").glob("*/node.toml")).read_text("utf-8")
    assert "[[watch]]" in mirrored
    for folder, error in (
        (lab.root / "none", NotFound), (lab.node.path / "policy.toml", UsageError), (lab.node.path, Refused),
        (lab.root / "main/incoming", Refused), (lab.root, Refused), (titan.folder / "a", Refused),
    ):  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True) if error is Refused else None
        with pytest.raises(error):
            watched.add(folder)
    with pytest.raises(UsageError):
        watched.add(titan.folder, set=["nothing"])
    with pytest.raises(NotFound, match="no store"):
        watched.add(titan.folder, store="attic")
    assert watched.rm(titan.folder).folder == str(titan.folder)
    assert list(watched.ls()) == []
    with pytest.raises(NotFound, match="not watched"):
        watched.rm(titan.folder)
    assert json.loads(json.dumps(watched.report().to_dict()))["folders"] == []  # type: ignore[union-attr]


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(titan: Instrument) -> None:
    titan.write("old", "a.dat")
    titan.minutes = 60
    before = everything(titan.lab.node.path)
    told = {one.session: one.state for one in titan.lab.node.watch(dry_run=True) if isinstance(one, Watched)}
    assert told == {"old": "would archive"}
    titan.minutes = 0
    (waits,) = titan.lab.node.watch(titan.folder, dry_run=True)
    assert isinstance(waits, Watched)
    assert (waits.state, "after 10 minutes without" in waits.words) == ("waiting", True)
    assert everything(titan.lab.node.path) == before
    shutil.rmtree(titan.folder)
    assert [one.to_dict()["state"] for one in titan.lab.node.watch(dry_run=True)] == ["away"]


# -- the command ---------------------------------------------------------------------------------------------------


def test_the_commands(lab: Lab) -> None:
    titan = Instrument(lab)
    policy = lab.node.path / "policy.toml"
    policy.write_text(policy.read_text("utf-8").replace("10 min", "0 min"), "utf-8")
    on = ("--node", lab.node.path)
    assert "no folder is watched" in said("watch", "ls", *on)
    assert "Watching" not in said("status", *on)
    assert f"diadem watch --node {lab.node.path} --dry-run" in said(
        "watch", "add", titan.folder, "--set", "instrument.name=Titan", *on
    )
    titan.write("a", "a.dat")
    titan.write("held", "x.tmp")
    assert "would archive" in said("watch", "--dry-run", *on)
    (archived, held) = said_json("watch", "--once", *on)["watched"]
    assert (archived["session"], archived["state"], held["state"]) == ("a", "archived", "waiting")
    text = said("status", *on)
    assert "NOT watching since" in text
    assert "1 session archived, 1 waiting" in text
    assert "held (1 file, 3 kB): 'x.tmp' is a temporary file" in text
    watched = said_json("status", *on)["watch"]
    assert (watched["running"], watched["folders"][0]["archived"]) == (False, 1)
    assert "held" in said("watch", "ls", *on)
    assert "1 line" in said("watch", "plan", *on)
    text = said("watch", "plan", lab.root / "plan.csv", *on)
    assert "1 line" in text
    assert "then: diadem watch plan " in text, "a watcher reads the node's own plan only"
    (lab.root / "plan.csv").write_text(f"folder,archive\n{titan.folder / 'held'},perhaps\n", "utf-8")
    assert "WRONG            row 2" in said("watch", "plan", lab.root / "plan.csv", *on, code=1)
    assert "row 2 of the plan is wrong" in said("status", *on)
    assert "options of its own" in said("watch", titan.folder, "--once", "--poll", *on, code=2)
    assert "for one folder" in said("watch", "--once", "--poll", *on, code=2)
    assert "not watched" in said("watch", "rm", titan.folder, *on)
    other = lab.root / "sem"
    (other / "s").mkdir(parents=True)
    (other / "s" / "a.dat").write_bytes(b"a")
    assert [one["state"] for one in said_json("watch", "run", other, "--once", *on)["watched"]] == ["archived"]
    assert "nothing waits" in said("watch", other, "--once", *on)
    said("watch", "add", other, *on)
    assert "nothing waits" in said("watch", "--once", *on)
    lab.add_second()
    lab.second.rename(lab.root / "unplugged")
    (other / "t").mkdir()
    (other / "t" / "t.dat").write_bytes(b"t")
    assert "OWED             second: " in said("watch", "--once", *on)


@posix
def test_where_the_system_would_follow_links_it_is_not_listened_to(lab: Lab) -> None:
    titan = Instrument(lab)
    titan.write("s", "a.dat")
    (titan.folder / "s" / "up").symlink_to(lab.root)
    bell = WakeUp()
    events = Events(titan.folder, bell)
    assert events.begin() == ""
    bell.sleep(20)
    assert "'s/up' is a link to a folder" in events.failure
    events.end()


def _dashes(path: Path) -> None:
    """An `.npy` whose head is 4 kB of minus signs: to evaluate it goes deeper than Python's stack."""
    head = b"-" * 4000 + b"1"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head)


def _version_9_9(path: Path) -> None:
    """An archive whose member needs a version of ZIP that does not exist."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.npy", b"d" * 100)
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\1\2") + 6] = 99
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "spoil"),
    [("a.npy", _dashes), ("a.prz", _version_9_9), ("a.zspy", _version_9_9)],
    ids=["npy", "prz", "zspy"],
)
def test_a_head_that_breaks_its_parser_keeps_no_session_out(lab: Lab, name: str, spoil: Callable[[Path], None]) -> None:
    titan = Instrument(lab)
    (lab.node.path / "policy.toml").write_text('[archive]\nquiet = "0 s"\n[copies]\nminimum = 1\n', "utf-8")
    for session in ("a watched", "z after it"):
        titan.write(session, "scan.dat")
    spoil(titan.folder / "a watched" / name)
    by_hand = titan.write("by hand", "scan.dat")
    spoil(by_hand / name)
    shutil.move(by_hand, lab.root / "by hand")
    told = said_json("watch", titan.folder, "--once", "--node", lab.node.path)["watched"]
    assert {one["session"]: one["state"] for one in told if one["session"]} == {
        "a watched": "archived",
        "z after it": "archived",
    }
    done = said_json("archive", lab.root / "by hand", "--node", lab.node.path)
    record = lab.node.get(done["package"]["id"]).record
    assert {one["code"] for dataset in record.datasets for one in dataset.issues} & {"odd-header", "reader-failed"}


class _Odd(bytes):
    """The magic number of a plugin with a fault."""

    def __eq__(self, other: object) -> bool:
        raise RecursionError("of its own")

    __hash__ = bytes.__hash__


def test_a_session_that_fails_in_an_unknown_way_costs_itself_alone(titan: Instrument) -> None:
    context = titan.lab.node.context
    tools = context.tools
    odd = ReaderOffer(name="odd", suffixes=(".odd",), magic=(Magic(0, _Odd(b"odd")),), load="nowhere:read")
    broken = replace(tools, readers=(odd, *tools.readers))
    context.gather = lambda: broken
    titan.write("a", "a.odd")
    titan.write("z", "z.dat")
    _, second, third = titan.looks(11, 120)
    assert states(second) == [("a", "failed"), ("z", "archived")]
    assert third == []  # told once
    assert second[0].error is not None
    assert "other sessions are archived" in str(second[0].error.next)
    assert titan.sessions()["a"].state == "failed"
    context.gather = lambda: tools
    assert states(titan.looks()[0]) == [("a", "archived")]


def test_a_watcher_that_was_killed_while_it_archived_is_seen(titan: Instrument) -> None:
    titan.write("s", "a.dat")
    titan.looks()
    memory = Memory.read(titan.lab.node.path, str(titan.folder))
    memory.notes["s"] = replace(memory.notes["s"], state="archiving", words="it is being archived")
    memory.write(now=True)
    assert titan.sessions()["s"].words == "it was being archived when the watcher ended"
    assert states(titan.looks(11)[1]) == [("s", "archived")]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no Ctrl-C for one process alone")
def test_a_process_hears_of_changes_tells_them_line_by_line_and_ends_at_once(lab: Lab) -> None:
    titan = Instrument(lab)
    (lab.node.path / "policy.toml").write_text('[archive]\nquiet = "1 s"\n[copies]\nminimum = 1\n', "utf-8")
    lab.node.watched.add(titan.folder)
    line = [sys.executable, "-m", "diadem", "watch", "--every", "300", "--json", "--node", str(lab.node.path)]
    with zygote.start(line, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        lines = (json.loads(text) for text in process.stdout)
        assert next(lines)["words"] == "the system reports changes"
        report = lab.node.watched.report()
        assert report is not None
        assert (report.running, report.process) == (True, process.pid)
        titan.write("s", "a.dat")
        assert [(one["session"], one["state"]) for one in (next(lines), next(lines))] == [
            ("s", "waiting"), ("s", "archived"),
        ]  # fmt: skip
        process.send_signal(signal.SIGTERM)
        assert next(lines)["error"]["code"] == "interrupted"
        assert process.wait(timeout=20) == 6
    report = lab.node.watched.report()
    assert report is not None
    assert not report.running


def alarms(lab: Lab, *, code: int) -> list[str]:
    """What `status` calls broken; `doctor` says the same of what is watched."""
    document = said_json("status", "--node", lab.node.path, code=code)
    broken = [line["rule"] for line in document["rules"] if line["mark"] == "broken"]
    checks = said_json("doctor", "--node", lab.node.path, code=code)["checks"]
    assert any(check["verdict"] == "wrong" for check in checks if check["name"] == "watch") == bool(broken)
    return broken


def test_a_folder_that_nobody_watches_is_an_alarm(lab: Lab) -> None:
    titan = Instrument(lab)
    on = ("--node", lab.node.path)
    said("watch", "add", titan.folder, *on)
    assert alarms(lab, code=1) == ["watch.not-running"]
    assert "nobody watches 1 watched folder" in " ".join(said("status", *on, code=1).split())
    said("watch", "--once", *on)  # a timer does that
    assert alarms(lab, code=0) == []
    watcher = zygote.start(
        [sys.executable, "-m", "diadem", "watch", "--node", str(lab.node.path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while '"once": false' not in (lab.node.path / "watch" / "watcher.json").read_text("utf-8"):
            assert watcher.poll() is None
        assert alarms(lab, code=0) == []
    finally:
        watcher.kill()
        watcher.wait()
    assert alarms(lab, code=1) == ["watch.not-running"]


def test_a_timer_that_starts_no_more_and_a_watcher_of_one_folder_are_alarms(lab: Lab) -> None:
    titan = Instrument(lab)
    sem = lab.root / "sem"
    sem.mkdir()
    lab.node.watched.add(titan.folder)
    lab.node.watched.add(sem)
    list(lab.node.watch(once=True))
    assert lab.node.status().holds["watch.not-running"]
    titan.minutes = 25 * 60
    assert not lab.node.status().holds["watch.not-running"]
    titan.minutes = 0
    list(lab.node.watch(sem, once=True))
    (finding,) = [one for one in lab.node.status().findings if one.rule == "watch.not-running"]
    assert str(titan.folder) in finding.message
    assert str(sem) not in finding.message


def test_a_session_that_waits_for_too_long_is_an_alarm(titan: Instrument) -> None:
    node = titan.lab.node
    titan.write("held", "x.tmp")

    def findings() -> list[tuple[str, str]]:
        return [(one.rule, one.message) for one in node.status().findings if one.rule == "watch.waiting"]

    titan.looks(60, 22 * 60)
    assert findings() == []
    titan.looks(lambda: titan.write("held", "y.tmp"), 90)
    ((_, message),) = findings()
    assert "1 session has waited" in message
    assert "held (" in message
    titan.minutes += 10
    (titan.folder / "held" / "x.tmp").rename(titan.folder / "held" / "x.dat")
    (titan.folder / "held" / "y.tmp").rename(titan.folder / "held" / "y.dat")
    titan.looks(11)
    assert findings() == []


def test_a_session_that_fails_from_its_first_look_on_is_an_alarm(
    titan: Instrument, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError("input/output error")

    monkeypatch.setattr("diadem.node.watch.folder.look_at", fails)
    titan.write("a", "a.dat")
    assert states(titan.looks(60, 25 * 60)[0]) == [("a", "failed")]
    assert [one for one in titan.lab.node.status().findings if one.rule == "watch.waiting"]


def test_a_watched_folder_that_is_not_there_is_told_and_becomes_an_alarm(titan: Instrument) -> None:
    node = titan.lab.node
    titan.looks(1)
    titan.folder.rename(titan.lab.root / "unplugged")
    titan.looks(1)
    (line,) = [line for line in node.status().rules if line.rule == "watch.away"]
    assert line.mark == "warning"
    titan.minutes += 25 * 60
    (line,) = [line for line in node.status().rules if line.rule == "watch.away"]
    assert line.mark == "broken"
    (titan.lab.root / "unplugged").rename(titan.folder)
    titan.looks(1)
    assert node.status().holds["watch.away"]
