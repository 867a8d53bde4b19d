"""What a watcher knows of one folder, kept in the node's directory: after a restart it counts, and `status` reads it.

::

    <node>/watch/<16 hex of the folder's path>.json     one watched folder, ``diadem-watch/1``
    <node>/incoming/<store id>.json                     the `incoming/` folder of a store, in the same way
    <node>/watch/watcher.json                           who watches, and since when
    <node>/watch/plan.csv                               what a person wants of single sessions
    <node>/locks/watch.lock                             held while a watcher lives

Written whole or not at all. What cannot be understood was not seen: sessions are looked at anew, and what is archived
is recognised. Looks hold only while the machine runs, because only then its steady clock tells how long ago they were.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from diadem.errors import DiademError, Refused, StoreError
from diadem.hooks.offers import ReaderOffer
from diadem.model.display import Display
from diadem.model.plain_text import duration_words, without_surrogates
from diadem.model.times import read_time
from diadem.node.take.folder_look import Look
from diadem.node.take.quiet import Finished, Unfinished, judge, span_words
from diadem.store.system import translated
from diadem.store.whole import write_whole

FORMAT: Final = "diadem-watch/1"
FOLDER: Final = "watch"
#: States of a session that is to be archived and is not yet.
WAITING: Final = ("waiting", "archiving", "failed", "held")
NO_FILE: Final = "there is no file in it"
#: How what waits for a store is told.
NO_ROOM: Final = "no store can take it now"
_ZERO: Final = datetime.timedelta()
#: First and longest wait before what failed is tried again, in seconds …
_FIRST, _LONGEST = 60.0, 3600.0
#: … and where it was refused for what it is: reading it all again helps only where somebody has changed a rule.
_FIRST_REFUSED, _LONGEST_REFUSED = 3600.0, 86400.0
#: Seconds by which the moment of the machine's start, reckoned from both clocks, may seem to move.
_TOLERANCE = 5.0
#: Seconds between two writes of what changes at each look.
_RARELY = 2.0


@dataclass(frozen=True, slots=True)
class Note(Display):
    """What is known of one session of a watched folder."""

    #: ``waiting``, ``archiving``, ``archived``, ``failed``, ``left`` (it was there before), ``no`` or ``later`` (the
    #: plan says so), ``held`` (its line of the plan, or the plan, is wrong), ``empty``.
    state: str = "waiting"
    #: Why, but for what changes with time.
    words: str = ""
    files: int = 0
    bytes: int = 0
    #: The newest time in it; when it was first seen as it is. UTC.
    changed: str = ""
    seen: str = ""
    #: For how many seconds it has to be silent.
    quiet: float = 0.0
    #: What it looked like when it was archived, or left.
    digest: str = ""
    packages: tuple[str, ...] = ()
    #: Whether it was archived as one session; None where that was not decided.
    as_one: bool | None = None
    #: How often in a row archiving it failed, when it is tried again, and what the plan and the policy said then: where
    #: they say something else it is tried at once.
    failures: int = 0
    again: str = ""
    under: str = ""
    #: The first of the looks since which nothing has changed.
    look: Look | None = None
    #: Since when it has been waiting to be archived, UTC; "" where it is not.
    waits: str = ""
    #: Of what was handed in: when it was archived, UTC, and how many things in it are in no package.
    archived: str = ""
    omitted: int = 0

    def judged(
        self,
        seen: Look,
        quiet: datetime.timedelta,
        *,
        session: str,
        watched: bool,
        under: str,
        readers: Sequence[ReaderOffer],
    ) -> tuple[Note, Finished | Unfinished | None]:
        """What is to be noted after a look, and whether the session is finished; None: it does not matter now.

        `session` is its path, for advice; of what is `watched` only looks count, see `judge`; `under` is what plan and
        policy say.
        """
        note = replace(self, files=len(seen.files), bytes=seen.bytes, quiet=quiet.total_seconds())
        if not seen.files:
            return replace(note, state="empty", words=NO_FILE, look=None), None
        earlier = self.look
        if earlier is None or not earlier.same(seen):  # it looks otherwise than before
            if earlier is not None:  # what failed of it before is no matter any more
                note = replace(note, failures=0, again="", under="")
            note = replace(note, look=seen)
            if watched:
                age = min(seen.age(seen.newest_ns), quiet)
                changed = seen.taken - age if seen.own_clock and age > _ZERO else seen.taken
                bare = replace(seen, files={}, in_use={}, short={})  # there may be many; the digest stands for them
                note = replace(note, look=bare, changed=changed.isoformat(), seen=seen.taken.isoformat())
        found = judge(earlier, seen, quiet, readers=readers, watched=watched)
        if isinstance(found, Unfinished):
            told = found.held if watched else found  # how long it was watched for is told when it is read
            return replace(note, state="waiting", words=told.told(session)), found
        if note.again and note.under == under and seen.taken < read_time(note.again):
            return replace(note, state="failed"), None
        return replace(note, state="waiting", words=""), found

    def told(self, now: datetime.datetime) -> str:
        """What it waits for, or what became of it, at the time at which this is read."""
        if self.state == "failed":
            times = {1: "once", 2: "twice"}.get(self.failures, f"{self.failures:,} times")
            return f"failed {times}: {self.words}; tried again at {_clock(self.again)[:16]} UTC"
        if self.state != "waiting" or not self.changed or self.words.startswith(NO_ROOM):
            return self.words
        quiet, seen, changed = datetime.timedelta(seconds=self.quiet), read_time(self.seen), read_time(self.changed)
        if self.words and now - seen >= quiet:  # it has been silent for long enough; something else speaks against it
            return self.words
        since = f"changed {ago(now - changed)}"
        if not _ZERO <= now - changed < quiet:
            since = f"first seen like this {ago(now - seen)}"
        held = f"{self.words}; " if self.words else ""
        return f"{held}{since}; archived after {duration_words(quiet)} without a change"

    def to_dict(self) -> dict[str, Any]:
        """A JSON object without what says nothing."""
        values = {name: getattr(self, name) for name in self.__slots__ if name != "look"}
        kept = {name: value for name, value in values.items() if value is False or value not in ("", 0, None, ())}
        return kept | ({"look": self.look.to_dict()} if self.look is not None else {})

    @classmethod
    def from_dict(cls, root: Path, document: Mapping[str, Any]) -> Note:
        """What was written. Raises `ValueError`, `KeyError` or `TypeError` for anything else."""
        values = dict(document)
        looked = values.pop("look", None)
        values["packages"] = tuple(map(str, values.get("packages", ())))
        for name in ("waits", "changed", "seen", "again", "archived"):
            if values.get(name):
                read_time(values[name])
        note = cls(**values)
        if not all(map(isinstance, (note.state, note.digest, note.failures, note.omitted), (str, str, int, int))):
            raise TypeError("no note")
        return replace(note, look=Look.from_dict(root, looked) if looked is not None else None)


@dataclass
class Memory:
    """What is known of one watched folder."""

    path: Path
    folder: str
    #: By the name of the session.
    notes: dict[str, Note] = field(default_factory=dict)
    #: What is not looked at, and why.
    aside: dict[str, str] = field(default_factory=dict)
    #: Since when the folder has not been there; "" while it is.
    away: str = ""
    #: Why nothing of it is archived; "" where nothing hinders.
    problem: str = ""
    #: Whether the system tells of changes or is asked at intervals, and why, in words.
    how: str = ""
    #: Whether there was a memory when it was read.
    known: bool = False
    _written: bytes = b""
    _at: float = float("-inf")

    @classmethod
    def read(cls, node: Path, folder: str, path: Path | None = None) -> Memory:
        """What is remembered; empty where nothing is, or nothing that can be understood. `path` is another place."""
        usual = node / FOLDER / f"{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}.json"
        memory = cls(path or usual, folder)
        try:
            document = json.loads(memory.path.read_bytes())
            if document["format"] != FORMAT:
                return memory
            root = Path(folder)
            notes = {str(name): Note.from_dict(root, one) for name, one in document["sessions"].items()}
            memory.notes, memory.known = notes, True
            if not _is_this_start(document["started"]):
                memory.forget_looks()
            memory.aside = {str(name): str(words) for name, words in document["aside"].items()}
            memory.away, memory.problem, memory.how = (str(document[key]) for key in ("away", "problem", "how"))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, DiademError):
            memory.notes, memory.known = {}, False
        return memory

    def folder_state(self) -> tuple[str, str]:
        """How the folder stands, ``there``, ``away`` or ``refused``, and why, or how changes are noticed."""
        if self.problem:
            return "refused", self.problem
        if self.away:
            what = "all that was in it has gone" if Path(self.folder).is_dir() else "it is not there"
            return "away", f"{what} since {_clock(self.away)} UTC: is its disk or share connected?"
        return "there", self.how

    def forget_looks(self) -> None:
        """What was seen before no longer counts: nobody knows how long ago it was."""
        self.notes = {name: replace(note, look=None) for name, note in self.notes.items()}

    def keep_only(self, names: Collection[str]) -> None:
        """Forget the sessions that people have taken away."""
        self.notes = {name: note for name, note in self.notes.items() if name in names}

    def write(self, *, now: bool = False) -> None:
        """Keep it, if it is other than what was written last; unless `now`, not again within seconds.

        Raises `StoreError` where it cannot be written.
        """
        if not now and time.monotonic() - self._at < _RARELY:
            return
        document = {
            "format": FORMAT,
            "folder": without_surrogates(self.folder),
            "started": started(),
            "away": self.away,
            "problem": self.problem,
            "how": self.how,
            "aside": self.aside,
            "sessions": {name: note.to_dict() for name, note in sorted(self.notes.items())},
        }
        compared = json.dumps({**document, "started": None}).encode()
        if compared == self._written:
            return
        with translated(str(self.path), "nothing was changed"):
            self.path.parent.mkdir(exist_ok=True)
        write_whole(self.path, json.dumps(document).encode())
        self._written, self._at = compared, time.monotonic()

    def forget(self) -> None:
        """Remove what was kept."""
        self.path.unlink(missing_ok=True)


def wait_after(error: DiademError, failures: int) -> float:
    """Seconds until what failed so many times is tried again."""
    own = isinstance(error, Refused) and not isinstance(error, StoreError)
    first, longest = (_FIRST_REFUSED, _LONGEST_REFUSED) if own else (_FIRST, _LONGEST)
    return float(min(longest, first * 2 ** min(failures - 1, 20)))


@dataclass
class StoreBackoff:
    """While no store can take sessions of some size, none is tried: each would fail alike.

    That one session fails at its store says nothing of others: the fault may be its own.
    """

    #: Bytes of the smallest session that found no room; 0 where no store answers.
    size: int = 0
    #: By the steady clock.
    until: float = float("-inf")
    #: Why; "" while there is none.
    words: str = ""
    #: How often in a row.
    failures: int = 0
    #: Path and bytes of the session that was the last to fail; none since a store has taken something.
    last: tuple[str, int] | None = None

    def holds(self, size: int, steady: float) -> bool:
        """Whether a session of this size has to wait."""
        return bool(self.words) and steady < self.until and size >= self.size

    def note(self, error: DiademError, session: str, size: int, steady: float, *, away: bool) -> float | None:
        """Wait for what happened to a session: seconds, or None where the fault may be its own.

        `away` is that no store answers; else two different sessions have to fail in a row.
        """
        before, self.last = self.last, (session, size)
        if not away and (before is None or before[0] == session):
            return None
        self.failures += 1
        wait = wait_after(error, self.failures)
        self.size = 0 if away or before is None else min(size, before[1])
        self.until, self.words = steady + wait, error.message
        return wait

    def end(self) -> None:
        """A store has taken something."""
        self.words, self.failures, self.last = "", 0, None


def started() -> str:
    """What tells one start of this machine from the next: the system's own word, or the moment, in seconds."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return f"{time.time() - time.monotonic():.1f}"


def _is_this_start(before: object) -> bool:
    """Whether the machine has not been started since. A clock that was set seems to be a start, which only waits."""
    current = started()
    if before == current:
        return True
    try:
        return abs(float(str(before)) - float(current)) < _TOLERANCE
    except ValueError:
        return False


def ago(span: datetime.timedelta) -> str:
    """``just now``, ``40 seconds ago``, ``3 minutes ago``, ``2 hours ago``, ``5 days ago``."""
    return f"{span_words(span)} ago" if round(span.total_seconds()) > 0 else "just now"


def _clock(text: str) -> str:
    return text.replace("T", " ").removesuffix("Z")
