"""Refusing a session that is not finished, or waiting until it is."""

from __future__ import annotations

import datetime
import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from diadem.errors import Interrupted, Refused
from diadem.hooks.offers import ReaderOffer
from diadem.model.plain_text import count_text
from diadem.model.ports import Listener, Progress, silent
from diadem.node.take.finished import Finished, Unfinished, broken_advice, judge
from diadem.node.take.looks import Look, examined, look
from diadem.store.whole import write_whole

Clock = Callable[[], datetime.datetime]

#: Seconds that are slept in one go, so that progress is seen.
_NAP = 5.0
#: The least time between two looks, in seconds.
_LEAST = 0.05
#: Looks that are remembered; the oldest go.
_KEPT = 200


def utc_now() -> datetime.datetime:
    """This machine's clock."""
    return datetime.datetime.now(datetime.UTC)


class Looks:
    """Looks of earlier runs, so that a command that is given twice has looked twice.

    Parameters
    ----------
    folder : Path
        Where they are kept, one small file for each session; made when the first is kept.
    keeps : bool
        Whether looks are kept; else only what was kept is known.
    """

    def __init__(self, folder: Path, *, keeps: bool = True) -> None:
        self._folder, self._keeps = folder, keeps

    def earlier(self, session: Path, parts: Collection[Path] = ()) -> Look | None:
        """The look that was kept, or None."""
        try:
            document = json.loads(self._path(session, parts).read_bytes())
            return Look.from_dict(session, document)
        except (OSError, ValueError, KeyError, TypeError):  # what cannot be understood was not seen
            return None

    def keep(self, session: Path, seen: Look, parts: Collection[Path] = ()) -> None:
        """Keep a look. Raises `StoreError`."""
        if not self._keeps:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        write_whole(self._path(session, parts), json.dumps(seen.to_dict()).encode())
        kept = sorted(self._folder.glob("*.json"), key=lambda path: path.stat().st_mtime)
        for path in kept[:-_KEPT]:
            path.unlink(missing_ok=True)

    def _path(self, session: Path, parts: Collection[Path]) -> Path:
        names = "\0".join([str(session.absolute()), *sorted(map(str, parts))])
        return self._folder / f"{hashlib.sha256(os.fsencode(names)).hexdigest()[:32]}.json"


@dataclass
class Watcher:
    """Looks at one session again and again.

    Attributes
    ----------
    session : Path
        A folder or a file.
    quiet : timedelta
        For how long nothing may have changed.
    parts : collection of Path
        Where the session is only some files of the folder.
    readers : sequence of ReaderOffer
        Who knows what the headers of files promise; none looks at no header.
    looks : Looks, optional
        Where looks are remembered.
    clock, steady : callable
        This machine's clock, and its steady one in seconds.
    own_clock : bool, optional
        See `look`.
    """

    session: Path
    quiet: datetime.timedelta
    parts: Collection[Path] = ()
    readers: Sequence[ReaderOffer] = ()
    looks: Looks | None = None
    clock: Clock = utc_now
    steady: Callable[[], float] = time.monotonic
    own_clock: bool | None = None
    _earlier: Look | None = None

    def __post_init__(self) -> None:
        """Remember what was seen before."""
        if self._earlier is None and self.looks is not None:
            self._earlier = self.looks.earlier(self.session, self.parts)

    def verdict(self, now: Look | None = None) -> Finished | Unfinished:
        """Look once more, or take a look that was made this moment. Raises `NotFound`."""
        if now is None:
            now = look(self.session, parts=self.parts, now=self.clock(), steady=self.steady(), own_clock=self.own_clock)
        found = judge(self._earlier, now, self.quiet)
        if isinstance(found, Finished) and self.readers:
            now = examined(now, self.readers)
            found = judge(self._earlier, now, self.quiet)
        if self._earlier is None or not self._earlier.same(now):
            self._earlier = now
            if self.looks is not None and isinstance(found, Unfinished):
                self.looks.keep(self.session, now, self.parts)
        return found


def refuse_unfinished(
    session: Path,
    quiet: datetime.timedelta,
    *,
    parts: Collection[Path] = (),
    readers: Sequence[ReaderOffer] = (),
    looks: Looks | None = None,
) -> Finished:
    """Return if a session is finished.

    Parameters
    ----------
    session, quiet, parts, readers, looks
        See `Watcher`.

    Raises
    ------
    Refused
        It is not; names files and reasons.
    NotFound
        It is not there.
    """
    found = Watcher(session, quiet, parts, readers, looks).verdict()
    if isinstance(found, Finished):
        return found
    raise unfinished_error(session, found)


def unfinished_error(session: Path, found: Unfinished) -> Refused:
    """The refusal of a session that is not finished."""
    files = [file for file in found.files if file not in found.why]  # some reasons name their file
    named = ", ".join(files[:3]) + (", …" if len(files) > 3 else "")
    seconds = max(1, math.ceil(found.wait.total_seconds()))
    when = count_text(seconds, "second") if seconds < 120 else f"{-(-seconds // 60)} minutes"
    finished = f"If nobody is writing to it, {broken_advice(str(session))}"
    return Refused(
        f"the session is not finished: {found.why}" + (f" ({named})" if named else ""),
        where=str(session),
        next=finished
        if found.stuck
        else f"Try again in {when}, or add --wait; if you know that it is finished, add --now.",
    )


def wait_until_finished(
    session: Path,
    quiet: datetime.timedelta,
    *,
    parts: Collection[Path] = (),
    readers: Sequence[ReaderOffer] = (),
    looks: Looks | None = None,
    listener: Listener = silent,
    sleep: Callable[[float], None] = time.sleep,
) -> Finished:
    """Return when a session is finished.

    Parameters
    ----------
    session, quiet, parts, readers, looks
        See `Watcher`.
    listener : callable
        Told what is waited for, stage ``wait``, in seconds.
    sleep : callable
        Waits for some seconds.

    Raises
    ------
    NotFound
        It is not there, or not any more.
    Interrupted
        On Ctrl-C.
    """
    watcher = Watcher(session, quiet, parts, readers, looks)
    try:
        while isinstance(found := watcher.verdict(), Unfinished):
            _sleep(max(found.wait.total_seconds(), _LEAST), found.told(str(session)), listener, sleep)
    except KeyboardInterrupt as error:
        raise Interrupted("waiting was stopped", where=str(session), next="Run the same command again.") from error
    return found


def _sleep(seconds: float, why: str, listener: Listener, sleep: Callable[[float], None]) -> None:
    """Wait in short pieces, and tell."""
    done = 0.0
    while done < seconds:
        listener(Progress("wait", int(done), max(1, round(seconds)), why, "s"))
        nap = min(_NAP, seconds - done)
        sleep(nap)
        done += nap
