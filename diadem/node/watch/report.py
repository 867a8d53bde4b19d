"""What is watched and what is waited for, as `status` shows it: read from what the watcher keeps, in any process."""

from __future__ import annotations

import contextlib
import datetime
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from diadem.errors import DiademError, StoreError
from diadem.model.display import Display
from diadem.model.plain_text import without_surrogates
from diadem.model.times import time_text
from diadem.node.config import WatchSettings
from diadem.node.context import Context
from diadem.node.locks import WATCH_LOCK, node_lock
from diadem.node.watch.memory import FOLDER, Memory

if TYPE_CHECKING:
    from diadem.node.take.arrival import Archived
    from diadem.node.watch.plan import WatchPlan


WATCHER_FILE: Final = f"{FOLDER}/watcher.json"
#: Seconds after which the lock of a watcher is tried again: another that asks who watches holds it for a moment.
_AGAIN: Final = 0.1
#: States of which only the number is told.
COUNTED = ("archived", "left")
#: Of what is told, what is another at each look.
_FIGURES = re.compile(r"\d+ \w+|just now")


@dataclass(frozen=True, slots=True)
class SessionReport(Display):
    """One session that is not archived: name, state, why in words, files, bytes."""

    name: str
    state: str
    words: str
    files: int = 0
    bytes: int = 0

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {name: getattr(self, name) for name in self.__slots__} | {"name": without_surrogates(self.name)}


@dataclass(frozen=True, slots=True)
class FolderReport(Display):
    """One watched folder.

    Attributes
    ----------
    settings : WatchSettings
        What is wished of it.
    state : str
        ``there``, ``away``, ``refused``, or ``new`` before its first look.
    words : str
        Why, or how changes are noticed.
    archived, left : int
        Sessions that are archived, and that were there before and are left.
    sessions : sequence of SessionReport
        The others.
    aside : mapping of str to str
        What is not looked at, and why.
    """

    _display_keys = (
        "folder",
        "state",
        "words",
        "archived",
        "left",
        "store",
        "sessions: name state words",
    )

    settings: WatchSettings
    state: str
    words: str
    archived: int = 0
    left: int = 0
    sessions: Sequence[SessionReport] = ()
    aside: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            **self.settings.to_dict(),
            "folder": without_surrogates(self.settings.folder),
            "state": self.state,
            "words": self.words,
            "archived": self.archived,
            "left": self.left,
            "sessions": [session.to_dict() for session in self.sessions],
            "aside": {without_surrogates(name): words for name, words in self.aside.items()},
        }


@dataclass(frozen=True, slots=True)
class WatchReport(Display):
    """All that is watched for a node.

    Attributes
    ----------
    running : bool
        Whether a watcher lives.
    process : int
        Its number, or that of the last one; 0 where there was none.
    since : str
        When it began; where it does not live, when it was last at work; "" where there was none. UTC.
    folders : sequence of FolderReport
        In the order of the settings.
    plan : WatchPlan
        What a person wants, with every mistake.
    """

    running: bool
    process: int
    since: str
    folders: Sequence[FolderReport]
    plan: WatchPlan

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "running": self.running,
            "process": self.process,
            "since": self.since,
            "folders": [folder.to_dict() for folder in self.folders],
            "plan": self.plan.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class LastWatcher:
    """Who watches, or did last: what it has written of itself."""

    running: bool
    process: int
    #: When it began; when it was last at work. UTC, "" where there was none.
    since: str
    seen: str
    #: The folder that it watches alone; "" for all.
    folder: str
    #: Whether it looked once and ended, as a timer lets it.
    once: bool

    @classmethod
    def of(cls, context: Context) -> LastWatcher:
        """The last watcher of a node, in whatever process."""
        path, about, seen = context.folder / WATCHER_FILE, {}, ""
        with contextlib.suppress(OSError, ValueError):
            seen = time_text(datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC))
            found = json.loads(path.read_bytes())
            about = found if isinstance(found, dict) else {}
        process = about.get("process")
        return cls(
            _is_watched(context),
            process if isinstance(process, int) else 0,
            str(about.get("since", "")),
            seen,
            str(about.get("folder") or ""),
            bool(about.get("once")),
        )


def _is_watched(context: Context) -> bool:
    """Whether a watcher lives; False where a disk that fails lets nobody tell."""
    try:
        lock = node_lock(context.folder, WATCH_LOCK)
        if not (free := lock.acquire()):
            time.sleep(_AGAIN)
            free = lock.acquire()
    except StoreError:
        return False
    lock.release()
    return not free


def folder_report(context: Context, settings: WatchSettings, *, running: bool = True) -> FolderReport:
    """What is known of one watched folder; `running` says whether somebody watches it."""
    memory, now = Memory.read(context.folder, settings.folder), context.clock()
    state, words = memory.folder_state()
    if state == "there" and not memory.known:
        state, words = "new", "it was not looked at yet"
    sessions = []
    for name, note in sorted(memory.notes.items()):
        if note.state == "archiving" and not running:
            words_of_it = "it was being archived when the watcher ended"
            sessions.append(SessionReport(name, "waiting", words_of_it, note.files, note.bytes))
        elif note.state not in COUNTED:
            sessions.append(SessionReport(name, note.state, note.told(now), note.files, note.bytes))
    states = [note.state for note in memory.notes.values()]
    counts = states.count("archived"), states.count("left")
    return FolderReport(settings, state, words, *counts, sessions, dict(memory.aside))


@dataclass(frozen=True, slots=True)
class Watched(Display):
    """What became of a session, or of a whole watched folder, in one look.

    Attributes
    ----------
    folder : str
        The watched folder.
    session : str
        Its name in the folder; "" where it is about the folder.
    state : str
        ``waiting``, ``archived``, ``failed``, ``left``, ``no``, ``later`` or ``empty``; of a folder ``away``,
        ``refused``, ``failed`` or ``there``; of a dry run ``would archive``.
    words : str
        Why.
    files, bytes : int
        What is in it.
    archived : sequence of Archived
        What was archived just now.
    error : DiademError or None
        Why it was not.
    """

    folder: str
    session: str
    state: str
    words: str = ""
    files: int = 0
    bytes: int = 0
    archived: Sequence[Archived] = ()
    error: DiademError | None = None

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "folder": without_surrogates(self.folder),
            "session": without_surrogates(self.session),
            "state": self.state,
            "words": self.words,
            "files": self.files,
            "bytes": self.bytes,
            "archived": [one.to_dict() for one in self.archived],
            "error": self.error.to_dict() if self.error else None,
        }


class News:
    """What was told of each session, so that it is told again only where something else is to be said of it."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}

    def is_new(self, session: str, words: str, error: DiademError | None = None, *, always: bool = False) -> bool:
        """Whether this is to be told; since when nothing has changed is another figure at each look, and no news."""
        said = f"{_FIGURES.sub('', words)} {error}"
        is_new = always or self._told.get(session) != said
        self._told[session] = said
        return is_new
