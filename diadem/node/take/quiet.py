"""Is a session finished? What two looks at a folder say, or one where that is enough.

Finished means: nothing changed for a while by this machine's clock, nobody's lock or temporary file is there, and files
have the size that their own headers promise.

Times of files are claims of whoever keeps them: a share has a clock of its own, copies keep the times of their
originals. So one look is enough only where the disk is this machine's and the newest time in the folder, that of status
changes and of folders included, is old; or where it is older than any clock is wrong. Else two looks must see the same.
Nothing is written to find out.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from diadem.errors import Interrupted, Refused
from diadem.hooks.offers import ReaderOffer
from diadem.model.display import Display
from diadem.model.plain_text import count_text, duration_words, quoted, without_surrogates
from diadem.model.ports import Listener, Progress, silent
from diadem.node.context import utc_now
from diadem.node.take.folder_look import Look, Moment, at_work, examined, look
from diadem.store.whole import write_whole

_ZERO = datetime.timedelta()
#: No clock of a share, time zone included, is wrong by more than this.
_DOUBT = datetime.timedelta(hours=24)
#: A lock, a temporary file or an unfinished file that nobody has touched for so long was left behind.
_LEFT_BEHIND = datetime.timedelta(hours=24)
#: A time further in the future than this is no time of this machine.
_FUTURE = datetime.timedelta(seconds=2)
#: After so long it is worth looking again whether a lock has gone.
_AGAIN = datetime.timedelta(seconds=30)
#: Reasons that are no matter of time.
_HELD = ("lock", "in-use", "short")
#: Files that are named.
_NAMED = 5
#: Seconds that are slept in one go, so that progress is seen.
_NAP = 5.0
#: The least time between two looks, in seconds.
_LEAST = 0.05
#: Looks that are remembered, more than one command has sessions; the oldest go …
_KEPT = 20_000
#: … at one of so many looks: to see which are the oldest takes a while.
_SELDOM = 200


@dataclass(frozen=True, slots=True)
class Reason(Display):
    """Why a session is not finished: ``changed``, ``recent``, ``lock``, ``in-use`` or ``short``; files; words."""

    code: str
    files: Sequence[str]
    words: str

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {"code": self.code, "files": list(self.files), "words": self.words}


@dataclass(frozen=True, slots=True)
class Finished:
    """The session is finished; `notes` names what was left behind in it."""

    notes: Sequence[Reason] = ()


@dataclass(frozen=True, slots=True)
class Unfinished:
    """The session is not finished, or it cannot be known yet."""

    reasons: Sequence[Reason]
    #: After this time it is worth looking again.
    wait: datetime.timedelta

    @property
    def files(self) -> Sequence[str]:
        """The files concerned, the first few of each reason."""
        return tuple(dict.fromkeys(file for reason in self.reasons for file in reason.files))

    @property
    def why(self) -> str:
        """All reasons in words."""
        return "; ".join(reason.words for reason in self.reasons)

    @property
    def held(self) -> Unfinished:
        """What speaks against it besides time: locks, files in use, or not whole."""
        return replace(self, reasons=tuple(reason for reason in self.reasons if reason.code in _HELD))

    @property
    def stuck(self) -> bool:
        """Whether all that speaks against it is a file that is not whole: it may never become so."""
        return bool(self.reasons) and all(reason.code == "short" for reason in self.reasons)

    def told(self, session: str) -> str:
        """All reasons in words, with what to do where waiting may never help."""
        return f"{self.why}; {broken_advice(session)}" if self.stuck else self.why


def judge(
    earlier: Look | None,
    now: Look,
    quiet: datetime.timedelta,
    *,
    readers: Sequence[ReaderOffer] = (),
    watched: bool = False,
) -> Finished | Unfinished:
    """Whether a session is finished; `earlier` is the first of the looks that saw what was seen since.

    `readers` know what the headers of files promise: they are read where nothing else speaks against the session.

    Of what is `watched` no age of files counts: two looks of this machine have to see the same, `quiet` apart by the
    clock that nobody sets. Times of files are claims of a clock that may have been wrong; what was watched is known.
    There is no `earlier` look where the machine was started since.
    """
    reasons: list[Reason] = []
    notes: list[Reason] = []
    wait = _ZERO
    if still := (_unwatched if watched else _still)(earlier, now, quiet):
        reasons.append(still[0])
        wait = still[1]
    for code, files in (("lock", _locks(now)), ("in-use", now.in_use), ("short", now.short)):
        held, left_behind = _parted(now, files, code)
        if held:
            reasons.append(_reason(code, held))
            wait = max(wait, min(_AGAIN, quiet))
        if left_behind:
            notes.append(_reason(code, left_behind, old=", and nobody has touched it for a day"))
    if reasons:
        return Unfinished(tuple(reasons), wait)
    return judge(earlier, examined(now, readers), quiet, watched=watched) if readers else Finished(tuple(notes))


def _unwatched(earlier: Look | None, now: Look, quiet: datetime.timedelta) -> tuple[Reason, datetime.timedelta] | None:
    """Why a session was not yet watched for long enough, and what is left of that time; None where it was."""
    seen = now.since(earlier) if earlier is not None and earlier.same(now) else _ZERO
    if seen >= quiet:
        return None
    return Reason("recent", (), f"waiting for {duration_words(quiet)} without a change"), quiet - seen


def _still(earlier: Look | None, now: Look, quiet: datetime.timedelta) -> tuple[Reason, datetime.timedelta] | None:
    """Why it cannot be said that nothing changed for long enough, and what is left of that time; None where it can."""
    age = now.age(now.newest_ns)
    if age >= quiet + (_ZERO if now.own_clock else _DOUBT):
        return None
    if earlier is not None and earlier.same(now):
        passed = now.since(earlier)
        if passed >= quiet:
            return None
        seen, wanted = span_words(passed), span_words(quiet)
        words = f"unchanged since the last look {seen} ago; it counts as finished after {wanted} without a change"
        return Reason("recent", _newest(now), words), quiet - passed
    left = quiet - age if now.own_clock and age > _ZERO else quiet
    if earlier is not None and earlier.files and now.since(earlier) < quiet:
        return _changed(earlier, now), left
    if age < -_FUTURE:
        words = "files have times in the future, so only a second look can tell"
        return Reason("recent", _newest(now), words), quiet
    if not now.own_clock:
        words = "the clock of a share differs from this machine's, so only a second look can tell"
        return Reason("recent", _newest(now), words), quiet
    written = max((seen.mtime_ns for seen in now.files.values()), default=now.newest_ns)
    copied = now.age(written) >= quiet  # the bytes are old: what is new is that they are here
    what = "something was copied, moved or renamed here" if copied else "it was changed"
    return Reason(
        "recent",
        _newest(now),
        f"{what} {span_words(age)} ago; it counts as finished after {span_words(quiet)} without a change",
    ), left


def _changed(earlier: Look, now: Look) -> Reason:
    """What two looks saw differently."""
    names = sorted({*earlier.files, *now.files})
    changed = [name for name in names if earlier.files.get(name) != now.files.get(name)]
    what = count_text(len(changed), "file") if changed else "what cannot be archived of it"
    words = f"{what} changed since it was looked at"
    return Reason("changed", tuple(map(without_surrogates, changed[:_NAMED])), words)


def _locks(now: Look) -> Mapping[str, str]:
    """Locks and temporary files."""
    named = ((name, at_work(name.rpartition("/")[2])) for name in now.files)
    return {name: words for name, words in named if words}


def _parted(now: Look, files: Mapping[str, str], code: str) -> tuple[dict[str, str], dict[str, str]]:
    """Files that somebody may still be at work on, and those that were left behind."""
    limit = _LEFT_BEHIND + (_ZERO if now.own_clock else _DOUBT)
    held: dict[str, str] = {}
    left_behind: dict[str, str] = {}
    for name, words in files.items():
        seen = now.files.get(name)
        is_old = code != "in-use" and seen is not None and now.age(seen.newest_ns) >= limit
        (left_behind if is_old else held)[name] = words
    return held, left_behind


def _reason(code: str, files: Mapping[str, str], *, old: str = "") -> Reason:
    first, words = next(iter(files.items()))
    name = f"'{without_surrogates(first)}'"
    said = {"short": words, "lock": f"{name} is {words}", "in-use": f"{name}: {words}"}[code]
    more = f" (and {len(files) - 1:,} more)" if len(files) > 1 else ""
    return Reason(code, tuple(map(without_surrogates, list(files)[:_NAMED])), said + more + old)


def _newest(now: Look) -> tuple[str, ...]:
    """The files that changed last."""
    names = sorted(now.files, key=lambda name: -now.files[name].newest_ns)
    return tuple(map(without_surrogates, names[:_NAMED]))


def broken_advice(session: str) -> str:
    """What to do about a session that is `stuck`."""
    return f"it may be broken for good: diadem archive {quoted(session)} --now"


def span_words(span: datetime.timedelta) -> str:
    """``40 seconds``, ``10 minutes``, ``3 hours``, ``2 days``."""
    seconds = max(0, round(span.total_seconds()))
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= 2 * size:
            return f"{seconds // size:,} {unit}s"
    return count_text(seconds, "second")


class EarlierLooks:
    """Looks of earlier runs, a small file for each session: a command that is given twice has looked twice.

    Unless it `keeps` looks, only what was kept is known.
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
        kept = self._path(session, parts)
        write_whole(kept, json.dumps(seen.to_dict()).encode())
        if int(kept.stem, 16) % _SELDOM:
            return
        written = {}
        for path in self._folder.glob("*.json"):
            with contextlib.suppress(FileNotFoundError):  # somebody else has just removed it
                written[path] = path.stat().st_mtime
        for path in sorted(written, key=written.__getitem__)[:-_KEPT]:
            path.unlink(missing_ok=True)

    def _path(self, session: Path, parts: Collection[Path]) -> Path:
        names = "\0".join([str(session.absolute()), *sorted(map(str, parts))])
        return self._folder / f"{hashlib.sha256(os.fsencode(names)).hexdigest()[:32]}.json"


@dataclass
class FinishWaiter:
    """Looks at one session, a folder or a file, again and again; nothing may have changed in it for `quiet`."""

    session: Path
    quiet: datetime.timedelta
    #: Where the session is only some files of the folder.
    parts: Collection[Path] = ()
    #: Who knows what the headers of files promise; none looks at no header.
    readers: Sequence[ReaderOffer] = ()
    looks: EarlierLooks | None = None
    moment: Callable[[], Moment] = lambda: Moment(utc_now(), time.monotonic())
    _earlier: Look | None = None

    def __post_init__(self) -> None:
        """Remember what was seen before."""
        if self._earlier is None and self.looks is not None:
            self._earlier = self.looks.earlier(self.session, self.parts)

    def verdict(self) -> Finished | Unfinished:
        """Look once more. Raises `NotFound`."""
        now = look(self.session, self.moment(), parts=self.parts)
        found = judge(self._earlier, now, self.quiet, readers=self.readers)
        if self._earlier is None or not self._earlier.same(now):
            self._earlier = now
            if self.looks is not None and isinstance(found, Unfinished):
                self.looks.keep(self.session, now, self.parts)
        return found

    def require_finished(self) -> Finished:
        """Return if the session is finished. Raises `Refused`, with files and reasons, and `NotFound`."""
        found = self.verdict()
        if isinstance(found, Finished):
            return found
        files = [file for file in found.files if file not in found.why]  # some reasons name their file
        named = ", ".join(files[:3]) + (", …" if len(files) > 3 else "")
        seconds = max(1, math.ceil(found.wait.total_seconds()))
        when = count_text(seconds, "second") if seconds < 120 else f"{-(-seconds // 60)} minutes"
        broken = f"If nobody is writing to it, {broken_advice(str(self.session))}"
        later = f"Try again in {when}, or add --wait; if you know that it is finished, add --now."
        raise Refused(
            f"the session is not finished: {found.why}" + (f" ({named})" if named else ""),
            where=str(self.session),
            next=broken if found.stuck else later,
        )

    def wait(self, listener: Listener = silent, sleep: Callable[[float], None] = time.sleep) -> Finished:
        """Return when the session is finished; the listener is told what is waited for, stage ``wait``, in seconds."""
        try:
            while isinstance(found := self.verdict(), Unfinished):
                seconds, done = max(found.wait.total_seconds(), _LEAST), 0.0
                while done < seconds:
                    why = found.told(str(self.session))
                    listener(Progress("wait", int(done), max(1, round(seconds)), why, "s"))
                    nap = min(_NAP, seconds - done)
                    sleep(nap)
                    done += nap
        except KeyboardInterrupt as error:
            again = "Run the same command again."
            raise Interrupted("waiting was stopped", where=str(self.session), next=again) from error
        return found
