"""The pure parts of watching: when a session is silent, when it is tried again, lines of a plan, what is remembered."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from diadem.errors import DiademError, Refused, StoreError, Unreachable
from diadem.node.take.folder_look import Look, Seen
from diadem.node.take.quiet import Finished, Unfinished, judge
from diadem.node.watch.memory import Memory, Note, ago, started, wait_after
from diadem.node.watch.plan import Line, plan_bytes, read_watch_plan

START = datetime.datetime(2026, 11, 26, 12, tzinfo=datetime.UTC)
QUIET = datetime.timedelta(minutes=10)
SECONDS = st.floats(min_value=0, max_value=7200)


def look(at: float, *, digest: str = "a", wall: float | None = None, newest: float = 0.0, own: bool = True) -> Look:
    """A look at a moment of the steady clock; `wall` is what the other clock says, both in seconds."""
    taken = START + datetime.timedelta(seconds=at if wall is None else wall)
    ns = int((START.timestamp() + newest) * 1e9)
    return Look(Path("/s"), digest, ns, taken, at, own, {"a.dat": Seen(1, ns, ns)})


@given(SECONDS, SECONDS, SECONDS, st.floats(min_value=-7200, max_value=7200), st.booleans(), st.booleans())
def test_nothing_is_silent_before_it_was_watched_for_long_enough(
    first: float, passed: float, newest: float, jump: float, same: bool, own: bool
) -> None:
    """Whatever the clocks of files and machine say."""
    earlier = look(first, newest=newest, own=own)
    now = look(first + passed, wall=first + passed + jump, digest="a" if same else "b", newest=newest, own=own)
    found = judge(earlier, now, QUIET, watched=True)
    if not same or passed < QUIET.total_seconds():
        assert isinstance(found, Unfinished)
        assert found.wait > datetime.timedelta()
    elif jump >= 0:
        assert isinstance(found, Finished)
    assert isinstance(judge(None, now, QUIET, watched=True), Unfinished)


@given(st.integers(min_value=1, max_value=10_000))
def test_waits_grow_to_an_end(failures: int) -> None:
    for error, longest in (
        (Unreachable("x"), 3600),
        (StoreError("x"), 3600),
        (Refused("x"), 86400),
        (DiademError("x"), 3600),
    ):
        assert 60 <= wait_after(error, failures) <= wait_after(error, failures + 1) <= longest


def test_words() -> None:
    now = START

    def minutes(number: int) -> datetime.datetime:
        return now - datetime.timedelta(minutes=number)

    def waiting(changed: int, seen: int, words: str = "") -> str:
        first, newest = minutes(seen).isoformat(), minutes(changed).isoformat()
        return Note("waiting", words, quiet=QUIET.total_seconds(), changed=newest, seen=first).told(now)

    assert waiting(3, 1) == "changed 3 minutes ago; archived after 10 min without a change"
    assert waiting(90, 4).startswith("first seen like this 4 minutes ago; ")
    assert waiting(3, 1, "locked").startswith("locked; changed 3 minutes ago; ")
    assert waiting(90, 20, "locked") == "locked"
    assert [ago(datetime.timedelta(seconds=number)) for number in (-5, 0.4, 1, 2, 119, 120, 7200, 200_000)] == [
        "just now", "just now", "1 second ago", "2 seconds ago", "119 seconds ago", "2 minutes ago", "2 hours ago",
        "2 days ago",
    ]  # fmt: skip


_TEXT = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=12)


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0/\\"), min_size=1, max_size=12),
            st.sampled_from(["", "yes", "no", "later"]), st.sampled_from(["", "one"]), _TEXT,
            st.sampled_from([None, QUIET, datetime.timedelta(days=2)]),
        ), max_size=5, unique_by=lambda row: row[0],
    )
)  # fmt: skip
def test_a_plan_that_was_written_is_read_back(rows: list[tuple[str, str, str, str, datetime.timedelta | None]]) -> None:
    import tempfile

    top = Path.home().anchor + "data/"
    lines = [
        Line(number, top + name, archive, title, "2026-03-14", "", way, (), wait)
        for number, (name, archive, way, title, wait) in enumerate(rows, start=2)
        if name not in (".", "..")
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plan.csv"
        path.write_bytes(plan_bytes(lines))
        plan = read_watch_plan(path)
    assert (plan.broken, list(plan.mistakes)) == ("", [])
    for line in lines:
        found = plan.line(Path(line.folder))
        assert (found.folder, found.archive, found.way, found.wait) == (line.folder, line.archive, line.way, line.wait)


def test_a_plan_that_is_no_file_is_not_taken_for_none(tmp_path: Path) -> None:
    (tmp_path / "plan.csv").mkdir()
    assert read_watch_plan(tmp_path / "plan.csv").broken
    assert not read_watch_plan(tmp_path / "none.csv").broken
    assert not read_watch_plan(tmp_path / "none.csv" / "deeper.csv").broken


def test_a_plan_whose_cells_have_moved_is_not_read(tmp_path: Path) -> None:
    """A comma in a name that no quotes hold makes two cells of it: ``held, later`` would be ``held``."""
    path = tmp_path / "plan.csv"
    for data, said in (
        (f"archive,folder\nyes,{tmp_path}/held, later\n".encode(), "row 2 has more cells than the first row"),
        (f"archive,folder\nyes,{tmp_path}\n".encode("utf-16"), "not UTF-8"),
        (b"archive,folder,folder\n", "two columns are named 'folder'"),
        (b"archive,date\n", "does not name the column 'folder'"),
        (b"", "does not name the column 'folder'"),
    ):
        path.write_bytes(data)
        assert said in read_watch_plan(path).broken
    path.write_text(f"folder,archive,title\n{tmp_path}\n\n  ,,\n,no\n", "utf-8")
    plan = read_watch_plan(path)
    assert (plan.broken, plan.line(tmp_path).archive, [row for row, _ in plan.mistakes]) == ("", "", [5])


def test_what_an_earlier_version_has_remembered_is_read(tmp_path: Path) -> None:
    """As it was written on 30 November 2026, by a watcher that was stopped while one session waited."""
    document = {
        "format": "diadem-watch/1",
        "folder": "/data/titan",
        "started": "another start",
        "away": "",
        "problem": "",
        "how": "the system reports changes",
        "aside": {"link": "it is a link, which is not followed"},
        "sessions": {
            "done": {
                "state": "archived", "files": 1, "bytes": 3005, "changed": "2026-11-30T13:51:48.632884+00:00",
                "seen": "2026-11-30T13:51:48.762084+00:00", "quiet": 600.0, "digest": "c6" * 32,
                "packages": ["diadem:" + "d2" * 32], "as_one": True,
            },
            "waits": {
                "state": "waiting", "files": 2, "bytes": 10, "changed": "2026-11-30T13:51:48.632884+00:00",
                "seen": "2026-11-30T13:51:48.762084+00:00", "quiet": 600.0, "waits": "2026-11-30T13:51:48Z",
                "look": {"digest": "ab" * 32, "newest_ns": 1764510708632884000, "steady": 12.5, "own_clock": True,
                         "taken": "2026-11-30T13:51:48.762084+00:00"},
            },
        },
    }  # fmt: skip
    path = Memory.read(tmp_path, "/data/titan").path
    path.parent.mkdir()
    for start, is_kept in (("another start", False), (started(), True)):
        path.write_text(json.dumps({**document, "started": start}), "utf-8")
        memory = Memory.read(tmp_path, "/data/titan")
        assert memory.known
        assert {name: (note.state, len(note.packages), note.as_one) for name, note in memory.notes.items()} == {
            "done": ("archived", 1, True),
            "waits": ("waiting", 0, None),
        }
        assert (memory.notes["waits"].look is not None) == is_kept
        memory.write(now=True)
        assert json.loads(path.read_bytes())["sessions"]["done"] == document["sessions"]["done"]  # type: ignore[index]


def test_a_note_is_read_back_and_others_are_not_understood() -> None:
    note = Note("failed", "why", 2, 3, START.isoformat(), START.isoformat(), 600.0, "d", ("p",), True, 2, look=look(1))
    back = Note.from_dict(Path("/s"), note.to_dict())
    assert back.look is not None
    assert back.to_dict() == note.to_dict()
    wrongs: list[dict[str, object]] = [{"state": 1}, {"other": 1}, {"again": "soon"}, {"look": {}}, {"failures": "2"}]
    for wrong in wrongs:
        try:
            Note.from_dict(Path("/s"), wrong)
        except (ValueError, KeyError, TypeError, DiademError):
            continue
        raise AssertionError(wrong)
