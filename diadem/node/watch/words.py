"""What is said of watched folders and their sessions, at the time at which it is read."""

from __future__ import annotations

import datetime
from pathlib import Path

from diadem.model.times import read_time
from diadem.node.watch.memory import Memory, Note
from diadem.node.watch.silence import times, waiting_words


def note_words(note: Note, now: datetime.datetime) -> str:
    """What a session waits for, or what became of it."""
    if note.state == "failed":
        return f"failed {times(note.failures)}: {note.words}; tried again at {_clock(note.again)[:16]} UTC"
    if note.state != "waiting" or not note.changed or note.words.startswith(NO_ROOM):
        return note.words
    quiet, seen = datetime.timedelta(seconds=note.quiet), read_time(note.seen)
    if note.words and now - seen >= quiet:  # it has been silent for long enough; something else speaks against it
        return note.words
    held = f"{note.words}; " if note.words else ""
    return held + waiting_words(read_time(note.changed), seen, quiet, now)


#: How what waits for a store is told.
NO_ROOM = "no store can take it now"


def away_words(memory: Memory) -> str:
    """What is said of a folder that is not there, or in which there is nothing left."""
    what = "all that was in it has gone" if Path(memory.folder).is_dir() else "it is not there"
    return f"{what} since {_clock(memory.away)} UTC: is its disk or share connected?"


def _clock(text: str) -> str:
    return text.replace("T", " ").removesuffix("Z")
