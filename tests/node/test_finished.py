"""Is a session finished? Looks at real folders, with clocks that are wrong, and writers that are still at work."""

from __future__ import annotations

import datetime
import os
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diadem.api.tools import tools
from diadem.errors import Interrupted, NotFound, Refused
from diadem.model.ports import Progress
from diadem.node.context import utc_now
from diadem.node.take import quiet
from diadem.node.take.folder_look import Look, Moment, at_work, examined, look, only_browsing
from diadem.node.take.quiet import (
    EarlierLooks,
    Finished,
    FinishWaiter,
    Unfinished,
    judge,
)
from tests.node.test_adopting import everything

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no time of status changes")
QUIET = datetime.timedelta(minutes=10)
HOUR = datetime.timedelta(hours=1)


@pytest.fixture
def session(tmp_path: Path) -> Path:
    """Two files that were written this moment."""
    folder = tmp_path / "session"
    (folder / "raw").mkdir(parents=True)
    (folder / "raw" / "a.dat").write_bytes(b"a" * 100)
    (folder / "b.dat").write_bytes(b"b")
    return folder


def seen(folder: Path, later: datetime.timedelta = HOUR, *, own_clock: bool = True, **options: Any) -> Look:
    """A look by a clock that is later than the files."""
    moment = Moment(utc_now() + later, time.monotonic() + later.total_seconds(), own_clock)
    return look(folder, moment, **options)


def unfinished(verdict: Finished | Unfinished, code: str) -> Unfinished:
    """The verdict, which must be this one, for this reason."""
    assert isinstance(verdict, Unfinished)
    assert [reason.code for reason in verdict.reasons] == [code]
    return verdict


@pytest.mark.parametrize(
    "name",
    [
        "~$report.docx",
        ".~lock.table.ods#",
        "scan.emd.tmp",
        "SCAN.LOCK",
        "acquisition.lck",
        "a.mrc.part",
        "a.mrc.partial",
        "a.mrc.filepart",
        "a.zip.crdownload",
        "~DM1234.tmp",
        "~scan.dm4",
        ".scan.dm4.a1B2c3",
        "scan.dm4.~1a2b",
        ".tmp",
    ],
)
def test_names_of_somebody_at_work(name: str) -> None:
    assert at_work(name)


@pytest.mark.parametrize(
    "name",
    [
        "scan.dm4",
        "template.tif",
        "part.1",
        "lock",
        "tmp",
        "party",
        "run.temp",
        ".hidden.backup",
        "~",
        "a~b.tif",
        "$a.b",
        "",
    ],
)
def test_names_of_data(name: str) -> None:
    assert at_work(name) is None


def test_a_folder_of_this_machine_that_rests_needs_one_look_that_writes_nothing(session: Path) -> None:
    before = everything(session)
    assert judge(None, seen(session), QUIET) == Finished()
    assert everything(session) == before


def test_what_was_changed_a_moment_ago_is_named_with_the_time_that_is_left(session: Path) -> None:
    verdict = unfinished(judge(None, seen(session, 2 * QUIET / 5), QUIET), "recent")
    assert datetime.timedelta(minutes=5, seconds=50) < verdict.wait <= datetime.timedelta(minutes=6)
    assert set(verdict.files) == {"b.dat", "raw/a.dat"}
    assert verdict.why == "it was changed 4 minutes ago; it counts as finished after 10 minutes without a change"


@posix
def test_a_copy_that_keeps_old_times_is_not_taken_for_old(session: Path) -> None:
    for path in session.rglob("*.dat"):
        os.utime(path, ns=(10**18, 10**18))
    unfinished(judge(None, seen(session, QUIET / 2), QUIET), "recent")


@posix
def test_a_copy_of_old_files_is_told_as_a_copy(session: Path) -> None:
    for path in (session / "raw" / "a.dat", session / "b.dat"):
        os.utime(path, (1_500_000_000, 1_500_000_000))
    now = seen(session, datetime.timedelta(minutes=3))
    assert "copied, moved or renamed here 3 minutes ago" in unfinished(judge(None, now, QUIET), "recent").why


def test_a_file_that_went_is_a_change(session: Path) -> None:
    later = QUIET * 2
    (session / "b.dat").unlink()
    old = time.time() - 10_000
    for path in (session / "raw" / "a.dat", session / "raw"):
        os.utime(path, (old, old))
    verdict = judge(None, seen(session, datetime.timedelta(seconds=5)), QUIET)
    unfinished(verdict, "recent")
    assert judge(None, seen(session, later), QUIET) == Finished()


def test_times_in_the_future_need_two_looks(session: Path) -> None:
    far = time.time() + 10**7
    os.utime(session / "b.dat", (far, far))
    first = seen(session)
    verdict = unfinished(judge(None, first, QUIET), "recent")
    assert "in the future" in verdict.why
    assert verdict.files[0] == "b.dat"
    unfinished(judge(first, seen(session, HOUR + QUIET / 2), QUIET), "recent")
    assert judge(first, seen(session, HOUR + QUIET), QUIET) == Finished()


def test_a_time_beyond_the_calendar_is_a_time_in_the_future(session: Path) -> None:
    try:
        os.utime(session / "b.dat", ns=(0, 2**62))
    except OSError:
        pytest.skip("this file system holds no such time")
    if (session / "b.dat").stat().st_mtime_ns != 2**62:
        pytest.skip("this file system holds no such time")
    unfinished(judge(None, seen(session), QUIET), "recent")


def test_the_clock_of_a_share_is_not_trusted(session: Path) -> None:
    first = seen(session, own_clock=False)
    verdict = unfinished(judge(None, first, QUIET), "recent")
    assert "clock of a share" in verdict.why
    assert verdict.wait == QUIET
    assert judge(first, seen(session, HOUR + QUIET, own_clock=False), QUIET) == Finished()
    assert judge(None, seen(session, datetime.timedelta(hours=25), own_clock=False), QUIET) == Finished()


def test_a_file_that_grows_between_two_looks_is_named(session: Path) -> None:
    first = seen(session, own_clock=False)
    with (session / "raw" / "a.dat").open("ab") as file:
        file.write(b"more")
    (session / "new.dat").write_bytes(b"n")
    verdict = unfinished(judge(first, seen(session, HOUR + QUIET / 2, own_clock=False), QUIET), "changed")
    assert verdict.files == ("new.dat", "raw/a.dat")
    assert verdict.why == "2 files changed since it was looked at"


@pytest.mark.parametrize("name", [".DS_Store", "Thumbs.db", "desktop.ini", "._b.dat"])
def test_looking_at_a_folder_with_a_file_manager_is_no_change(session: Path, name: str) -> None:
    assert only_browsing(name)
    first = seen(session, own_clock=False)
    (session / name).write_bytes(b"1")
    assert first.same(seen(session, own_clock=False))


def test_a_lock_is_waited_for_until_a_day_has_passed(session: Path) -> None:
    (session / "raw" / "~$notes.docx").write_bytes(b"lock")
    verdict = unfinished(judge(None, seen(session), QUIET), "lock")
    assert verdict.files == ("raw/~$notes.docx",)
    assert verdict.why == "'raw/~$notes.docx' is the lock of Microsoft Office"
    assert verdict.wait == datetime.timedelta(seconds=30)
    left = judge(None, seen(session, datetime.timedelta(hours=24, minutes=1)), QUIET)
    assert isinstance(left, Finished)
    assert [note.code for note in left.notes] == ["lock"]
    assert "nobody has touched it for a day" in left.notes[0].words
    unfinished(judge(None, seen(session, datetime.timedelta(hours=25), own_clock=False), QUIET), "lock")
    (session / "raw" / "~$notes.docx").unlink()
    assert judge(None, seen(session), QUIET) == Finished()


def write_mrc(path: Path, sections: int, promised: int) -> None:
    """An MRC file of 16 × 16 bytes a section, with fewer sections than it promises."""
    head = bytearray(1024)
    struct.pack_into("<4I", head, 0, 16, 16, promised, 0)
    struct.pack_into("<3I", head, 64, 1, 2, 3)
    struct.pack_into("<I", head, 108, 20140)
    head[208:216] = b"MAP " + bytes((0x44, 0x44, 0, 0))
    path.write_bytes(bytes(head) + bytes(256 * sections))


def test_a_file_that_is_shorter_than_it_promises_is_still_being_written(session: Path) -> None:
    write_mrc(session / "raw" / "tilt.mrc", 3, 40)
    readers = tools().readers
    assert judge(None, seen(session), QUIET) == Finished()  # by names and times alone
    verdict = unfinished(judge(None, examined(seen(session), readers), QUIET), "short")
    assert verdict.files == ("raw/tilt.mrc",)
    assert "promises 11264 bytes, 1792 are there" in verdict.why
    left = judge(None, examined(seen(session, datetime.timedelta(hours=25)), readers), QUIET)
    assert isinstance(left, Finished)
    assert [note.code for note in left.notes] == ["short"]
    write_mrc(session / "raw" / "tilt.mrc", 40, 40)
    assert judge(None, examined(seen(session), readers), QUIET) == Finished()


def test_of_a_session_in_parts_only_the_parts_and_locks_beside_them_count(session: Path) -> None:
    parts = [session / "raw" / "a.dat"]
    first = seen(session, own_clock=False, parts=parts)
    assert list(first.files) == ["raw/a.dat"]
    (session / "raw" / "other.dat").write_bytes(b"1")
    (session / "other.tmp").write_bytes(b"1")
    assert first.same(seen(session, own_clock=False, parts=parts))
    (session / "raw" / "other.lock").write_bytes(b"1")
    unfinished(judge(None, seen(session, parts=parts), QUIET), "lock")


def test_one_file_is_a_session_too(session: Path) -> None:
    assert list(seen(session / "b.dat").files) == ["b.dat"]
    assert judge(None, seen(session / "b.dat"), QUIET) == Finished()
    with pytest.raises(NotFound):
        seen(session / "nothing")


def test_time_between_looks_is_the_shorter_of_two_clocks_and_survives_a_restart(session: Path) -> None:
    first = look(session, Moment(utc_now(), 1000.0, own_clock=False))

    def after(wall: datetime.timedelta, steady: float) -> float:
        return look(session, Moment(first.taken + wall, steady)).since(first).total_seconds()

    assert after(HOUR, 1010.0) == 10  # somebody set the clock
    assert after(datetime.timedelta(seconds=10), 5000.0) == 10
    assert after(HOUR, 20.0) == 3600  # the machine began anew
    assert after(-HOUR, 1010.0) == 0


def test_a_command_that_is_given_twice_has_looked_twice(session: Path, tmp_path: Path) -> None:
    looks = EarlierLooks(tmp_path / "node" / "looks")
    moment = utc_now() + HOUR

    def watcher(minutes: int) -> FinishWaiter:
        span = datetime.timedelta(minutes=minutes)
        return FinishWaiter(
            session,
            QUIET,
            looks=looks,
            moment=lambda: Moment(moment + span, 1000.0 + 60 * minutes, own_clock=False),
        )

    unfinished(watcher(0).verdict(), "recent")
    assert "since the last look 4 minutes ago" in unfinished(watcher(4).verdict(), "recent").why
    assert watcher(10).verdict() == Finished()
    (session / "b.dat").write_bytes(b"bb")
    unfinished(watcher(11).verdict(), "recent")
    assert watcher(21).verdict() == Finished()
    for path in (tmp_path / "node" / "looks").iterdir():
        for damage in (b"", b"{}", b"[1]", path.read_bytes().replace(b"digest", b"other")):
            path.write_bytes(damage)
            unfinished(watcher(30).verdict(), "recent")


def test_a_command_for_many_sessions_that_is_given_twice_has_looked_twice_at_each(
    session: Path, tmp_path: Path
) -> None:
    looks, now = EarlierLooks(tmp_path / "looks"), seen(session)
    sessions = [tmp_path / f"session {number}" for number in range(500)]
    for one in sessions:
        looks.keep(one, now)
    assert all(looks.earlier(one) is not None for one in sessions)


@pytest.mark.program("400 sessions, and eight threads")
def test_many_at_once_keep_what_they_have_seen(session: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads and processes that look at many sessions remove each other's oldest looks."""
    monkeypatch.setattr(quiet, "_KEPT", 200)
    monkeypatch.setattr(quiet, "_SELDOM", 1)
    looks, now = EarlierLooks(tmp_path / "looks"), seen(session)
    sessions = [tmp_path / f"session {number}" for number in range(400)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda one: looks.keep(one, now), sessions))
    known = [one for one in sessions if looks.earlier(one) is not None]
    assert 100 < len(known) <= 208


def test_a_session_that_is_not_finished_is_refused_with_its_files(session: Path) -> None:
    with pytest.raises(Refused) as caught:
        FinishWaiter(session, QUIET).require_finished()
    assert caught.value.exit_code == 4
    assert caught.value.where == str(session)
    assert "b.dat" in caught.value.message
    assert caught.value.next == "Try again in 10 minutes, or add --wait; if you know that it is finished, add --now."
    time.sleep(0.05)
    assert FinishWaiter(session, datetime.timedelta(seconds=0.02)).require_finished() == Finished()


WRITER = """
import sys, time
with open(sys.argv[1], "ab", buffering=0) as file:
    for number in range(8):
        file.write(b"frame")
        print(time.time_ns(), flush=True)
        time.sleep(0.1)
"""


@pytest.mark.parametrize("own_clock", [True, False])
def test_waiting_ends_when_the_writer_has_been_quiet_for_long_enough(session: Path, own_clock: bool) -> None:
    quiet = datetime.timedelta(seconds=0.5)
    told: list[Progress] = []
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(session / "raw" / "a.dat")], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        watcher = FinishWaiter(session, quiet, moment=lambda: Moment(utc_now(), time.monotonic(), own_clock))
        if own_clock:
            assert FinishWaiter(session, quiet).wait(told.append) == Finished()
            assert {step.stage for step in told} == {"wait"}
        else:
            while isinstance(found := watcher.verdict(), Unfinished):
                time.sleep(found.wait.total_seconds())
        end = time.time_ns()
        last = int(writer.stdout.read().split()[-1])
    assert end - last >= 490_000_000
    assert end - last < 5_000_000_000


def test_an_interruption_of_the_waiting_is_told_as_such(session: Path) -> None:
    def stop(seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        FinishWaiter(session, QUIET).wait(sleep=stop)


def test_a_session_that_goes_while_it_is_waited_for_is_not_found(session: Path) -> None:
    def remove(seconds: float) -> None:
        if session.exists():
            session.rename(session.with_name("elsewhere"))

    with pytest.raises(NotFound):
        FinishWaiter(session, QUIET).wait(sleep=remove)


SPANS = st.integers(-3600 * 48, 3600 * 48).map(lambda seconds: datetime.timedelta(seconds=seconds))
START = datetime.datetime(2026, 3, 14, tzinfo=datetime.UTC)


@given(SPANS, SPANS, st.booleans(), st.booleans(), st.booleans())
def test_nothing_is_called_finished_without_enough_time_on_a_clock_that_counts(
    age: datetime.timedelta, passed: datetime.timedelta, own_clock: bool, same: bool, looked: bool
) -> None:
    steady = passed.total_seconds()
    now = Look(Path("x"), "d", int((START - age).timestamp() * 10**9), START, 10**6, own_clock)
    earlier = Look(Path("x"), "d" if same else "e", 0, START - passed, 10**6 - steady, own_clock)
    verdict = judge(earlier if looked else None, now, QUIET)
    by_time = age >= QUIET + (datetime.timedelta() if own_clock else datetime.timedelta(hours=24))
    by_looks = looked and same and passed >= QUIET
    assert isinstance(verdict, Finished) == (by_time or by_looks)
    if isinstance(verdict, Unfinished):
        assert datetime.timedelta() <= verdict.wait <= QUIET
        assert verdict.why
