"""What people have put into a store's `incoming/` folder: which of it is finished, archived, or may be deleted.

::

    <store>/incoming/<anything>/                                   one session, handed in from an instrument PC
    <node>/incoming/<store id>/incoming/<name>~<12 hex>.json       what became of it

Nothing of it is moved, changed or deleted: originals never are. What is archived is remembered with what the folder
looked like then, so that a file that comes later is seen, and a person can be told which folders may go: those of which
nothing was left out and every package that holds a part is kept as the policy wants.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote_from_bytes

from diadem.errors import DiademError, NotFound, Refused, Unreachable
from diadem.export.zip_bag import packages_in
from diadem.hooks.offers import ReaderOffer
from diadem.model.display import Display
from diadem.model.manifest import PackageId
from diadem.model.plain_text import count_text, without_surrogates
from diadem.model.ports import Listener
from diadem.model.times import time_text
from diadem.node.archive_state import archive_state
from diadem.node.context import Context
from diadem.node.take.archive import ArchiveOptions, archive
from diadem.node.take.arrival import Archived
from diadem.node.take.continuation import is_gone
from diadem.node.take.folder_look import Look, look
from diadem.node.take.quiet import Clock, FinishWaiter, Reason, Unfinished, utc_now
from diadem.node.watch.report import News, unexpected
from diadem.node.watch.silence import NO_FILE
from diadem.policy.engine import judge
from diadem.store.addresses import local_path
from diadem.store.own_files import FolderFiles, OwnFiles
from diadem.store.system import is_link, long_path

INCOMING: Final = "incoming"
_STRAY: Final = "put it into a folder of its own: one folder is one session"
FORMAT: Final = "diadem-incoming/2"
#: Digits of a name's digest in the key of its note, for names that differ only in what a key cannot hold.
_DIGITS: Final = 12
_LONGEST: Final = 100
#: Seconds after which what was refused is tried again though it did not change: a full disk may have room by then.
_AGAIN: Final = 3600.0


class HandInState(StrEnum):
    """Where a hand-in stands."""

    WRITING = "writing"  # not finished
    READY = "ready"  # finished and not archived, or changed since it was
    ARCHIVED = "archived"
    EMPTY = "empty"
    STRAY = "stray"  # a file or a link beside the folders


class Kept(StrEnum):
    """How a package is kept."""

    WELL = "well"  # as the policy wants
    SHORT = "short"  # not yet: copies are missing, damaged, or not proven
    LOST = "lost"  # no copy counts any more
    DELETED = "deleted"  # on purpose


@dataclass(frozen=True, slots=True)
class HandIn(Display):
    """One entry of `incoming/`.

    Attributes
    ----------
    name : str
        As it lies there.
    path : Path
        Where it is.
    state : HandInState
        Where it stands.
    files, bytes : int
        What is in it.
    words : str
        Why it is not finished, what became of it, or what to do with it.
    notes : sequence of Reason
        What was left behind in a finished session.
    package : PackageId or None
        The package in which it is archived, or was before it changed.
    omitted : int
        Of an archived one, how many things in it are in no package: links, and what could not be read.
    may_be_deleted : bool
        Whether all that is in it is archived, nothing left out, in as many copies as the policy wants.
    """

    name: str
    path: Path
    state: HandInState
    files: int = 0
    bytes: int = 0
    words: str = ""
    notes: Sequence[Reason] = ()
    package: PackageId | None = None
    omitted: int = 0
    may_be_deleted: bool = False

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "name": without_surrogates(self.name),
            "path": without_surrogates(str(self.path)),
            "state": str(self.state),
            "files": self.files,
            "bytes": self.bytes,
            "words": self.words,
            "notes": [note.to_dict() for note in self.notes],
            "package": self.package,
            "omitted": self.omitted,
            "may_be_deleted": self.may_be_deleted,
        }


@dataclass(frozen=True, slots=True)
class Handed(Display):
    """What became of one hand-in in one look.

    Attributes
    ----------
    store : str
        In whose ``incoming/`` it lies.
    hand_in : HandIn
        What it looks like.
    archived : Archived or None
        What was archived just now.
    error : DiademError or None
        Why it was not.
    """

    store: str
    hand_in: HandIn
    archived: Archived | None = None
    error: DiademError | None = None

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "store": self.store,
            **self.hand_in.to_dict(),
            "archived": self.archived.to_dict() if self.archived else None,
            "error": self.error.to_dict() if self.error else None,
        }


@dataclass
class HandInFolder:
    """The `incoming/` folder of one store. Keep it: what was seen and told in an earlier look counts."""

    #: The store's name.
    store: str
    folder: Path
    #: Where it is remembered what was archived: nobody who can write in the store should be able to write there, as
    #: what stands there says what may be deleted.
    notes: OwnFiles
    #: For how long nothing may have changed in a finished session.
    quiet: datetime.timedelta
    #: How a package is kept.
    kept: Callable[[PackageId], Kept]
    readers: Sequence[ReaderOffer] = ()
    clock: Clock = utc_now
    steady: Callable[[], float] = time.monotonic
    own_clock: bool | None = None
    _waiters: dict[str, FinishWaiter] = field(default_factory=dict)
    _news: News = field(default_factory=News)
    #: By name, what was refused: looking how, and when.
    _refused: dict[str, tuple[str, float]] = field(default_factory=dict)

    @classmethod
    def of(cls, context: Context, name: str) -> HandInFolder | None:
        """Where people hand in to a store; None where it is not a folder, or does not answer."""
        settings = context.settings.store(name)
        store = local_path(settings.url)
        if store is None or not context.stores.reachable(name):
            return None
        with contextlib.suppress(OSError):
            (store / INCOMING).mkdir(exist_ok=True)
        return cls(
            name,
            store / INCOMING,
            FolderFiles(context.folder / "incoming" / (settings.id or name)),
            context.policy.archive.quiet,
            partial(_kept, context),
            readers=tuple(context.tools.readers),
            clock=context.clock,
        )

    def round(self, context: Context, listener: Listener) -> Iterator[Handed]:
        """Look at every hand-in, archive those that are finished, and tell what is new of them."""
        self.tidy()
        for hand_in in self.look():
            handed: Handed | None = Handed(self.store, hand_in)
            if hand_in.state is HandInState.READY:
                handed = self._archive(context, hand_in, listener)
            if handed is not None and self._news.is_new(
                hand_in.name, f"{hand_in.state} {hand_in.words}", handed.error, always=handed.archived is not None
            ):
                yield handed

    def _archive(self, context: Context, hand_in: HandIn, listener: Listener) -> Handed | None:
        """What became of one that is finished; None where just this was tried in vain not long ago."""
        try:
            seen = self.seen(hand_in)
            digest, at = self._refused.get(hand_in.name, ("", 0.0))
            if digest == seen.digest and time.monotonic() - at < _AGAIN:
                return None
            self._refused[hand_in.name] = (seen.digest, time.monotonic())
            options = ArchiveOptions(now=True, as_one=not packages_in(hand_in.path))  # a package is taken in as it is
            done = archive(context, hand_in.path, options, listener=listener)
            self.remember(
                hand_in,
                seen,
                done.held_by,
                done.package.payload_id,
                proof=done.outcome.proof,
                omitted=len(done.outcome.omissions),
            )
            del self._refused[hand_in.name]
            return Handed(self.store, hand_in, archived=done)
        except Exception as failure:  # one hand-in stops no other, whatever is wrong with it
            error = failure if isinstance(failure, DiademError) else unexpected(failure)
            if error.exit_code == 6:
                raise
            if isinstance(error, Unreachable):  # nothing was read, and the store may be back at the next look
                self._refused.pop(hand_in.name, None)
            return Handed(self.store, hand_in, error=error)

    def look(self) -> list[HandIn]:
        """Every entry and where it stands, by name. Nothing is written."""
        if is_link(self.folder):  # it might lead to the node's own keys
            words = "it is a link, which is not followed: put a folder in its place"
            return [HandIn(INCOMING, self.folder, HandInState.STRAY, words=words)]
        try:
            with os.scandir(long_path(self.folder)) as entries:
                found = {
                    entry.name: entry.is_dir(follow_symlinks=False)
                    for entry in entries
                    if not entry.name.startswith(".")
                }
        except (FileNotFoundError, NotADirectoryError):
            return []
        self._waiters = {name: waiter for name, waiter in self._waiters.items() if name in found}
        hand_ins = []
        for name, is_folder in sorted(found.items()):
            hand_in = HandIn(name, self.folder / name, HandInState.STRAY, words=_STRAY)
            try:
                hand_ins.append(self._judged(hand_in) if is_folder else hand_in)
            except NotFound:
                hand_ins.append(replace(hand_in, state=HandInState.EMPTY, words="it was removed a moment ago"))
        return hand_ins

    def seen(self, hand_in: HandIn) -> Look:
        """What it looks like now: taken before archiving, it is what `remember` compares with. Raises `NotFound`."""
        return look(hand_in.path, now=self.clock(), steady=self.steady(), own_clock=self.own_clock)

    def _judged(self, hand_in: HandIn) -> HandIn:
        """Where a folder stands. Raises `NotFound` where it has gone since it was listed."""
        note, seen = self._note(hand_in.name), self.seen(hand_in)
        package = note.packages[-1] if note else None
        found = replace(hand_in, words="", files=len(seen.files), bytes=seen.bytes, package=package)
        if not seen.files:
            return replace(found, state=HandInState.EMPTY, words=NO_FILE)
        words = "it changed since it was archived" if note else ""
        if note is not None and note.digest == seen.digest:
            states = {self.kept(one) for one in note.packages}
            if Kept.LOST not in states or Kept.DELETED in states:
                return _archived(found, note, states)
            words = "no copy is left of a part of what was archived of it"
        if found.name not in self._waiters:
            self._waiters[found.name] = FinishWaiter(
                found.path,
                self.quiet,
                readers=self.readers,
                clock=self.clock,
                steady=self.steady,
                own_clock=self.own_clock,
            )
        verdict = self._waiters[found.name].verdict(seen)
        if isinstance(verdict, Unfinished):
            return replace(found, state=HandInState.WRITING, words=verdict.told(str(found.path)))
        return replace(found, state=HandInState.READY, words=words, notes=verdict.notes)

    # -- what is remembered ----------------------------------------------------------------------------------------

    def remember(
        self, hand_in: HandIn, seen: Look, packages: Sequence[str], payload_id: str, *, proof: str, omitted: int
    ) -> None:
        """Remember that a hand-in is archived, in these packages together, the last of them with this payload.

        `seen` is what it looked like before; `proof` why the bytes in the store are known to be right; `omitted` how
        many things in it are in no package. Raises `Refused` where nothing is proven, or the folder changed meanwhile:
        it will be looked at again.
        """
        if proof in ("", "none"):
            raise Refused("the copy is not proven yet", where=str(hand_in.path), next="Verify it: diadem scrub")
        if not self.seen(hand_in).same(seen):
            raise Refused(
                "the folder changed while it was archived",
                where=str(hand_in.path),
                next="Archive it again when it is finished: only what is new will be added.",
            )
        document = {
            "format": FORMAT,
            "name": quote_from_bytes(os.fsencode(hand_in.name)),
            "packages": [str(PackageId(one)) for one in packages],
            "payload_id": payload_id,
            "proof": proof,
            "omitted": omitted,
            "digest": seen.digest,
            "archived": time_text(self.clock()),
        }
        self.notes.put(_key(hand_in.name), json.dumps(document).encode())

    def tidy(self) -> list[str]:
        """Forget what was remembered of folders that people have deleted; returns their keys."""
        if is_link(self.folder):
            return []
        try:
            names = os.listdir(long_path(self.folder))
        except OSError:  # a folder that cannot be seen is not one that was deleted
            return []
        known = {_key(name) for name in names}
        gone = [key for key in self.notes.keys(INCOMING) if key not in known]
        for key in gone:
            self.notes.delete(key)
        return gone

    def _note(self, name: str) -> _Note | None:
        """What is remembered. What cannot be understood is nothing: archiving again repeats nothing."""
        data = self.notes.get(_key(name))
        try:
            document = json.loads(data or b"")
            if document["format"] != FORMAT or not document["packages"]:
                return None
            packages = [PackageId(one) for one in document["packages"]]
            return _Note(packages, int(document["omitted"]), str(document["digest"]), str(document["archived"]))
        except Exception:  # it may have been written by anybody, or by another version
            return None


@dataclass(frozen=True, slots=True)
class _Note:
    """What is remembered of a hand-in that was archived."""

    packages: Sequence[PackageId]
    omitted: int
    digest: str
    archived: str


def _key(name: str) -> str:
    """The key of the note of a hand-in."""
    data = os.fsencode(name)
    plain = quote_from_bytes(data, safe=" ")[:_LONGEST]
    return f"{INCOMING}/{plain}~{hashlib.sha256(data).hexdigest()[:_DIGITS]}.json"


def _archived(found: HandIn, note: _Note, states: Collection[Kept]) -> HandIn:
    """What became of a hand-in that is as it was archived: its owner learns whether it is needed any longer."""
    reasons = []
    if Kept.DELETED in states:
        reasons.append("it has since been deleted from the archive")
    if note.omitted:
        items = count_text(note.omitted, "item")
        reasons.append(f"{items} in it could not be archived and {'is' if note.omitted == 1 else 'are'} only here")
    if Kept.SHORT in states:
        reasons.append("the policy wants more copies")
    yet = " yet" if Kept.DELETED not in states and not note.omitted else ""
    then = f"do not delete it{yet}: {'; '.join(reasons)}" if reasons else "you may delete it"
    words = f"archived on {note.archived[:10]}; {then}"
    state = HandInState.ARCHIVED
    return replace(found, state=state, words=words, omitted=note.omitted, may_be_deleted=not reasons)


def _kept(context: Context, package: PackageId) -> Kept:
    """How a package is kept: whether the policy wants no further copy of it, and no damage of it is known."""
    try:
        state = context.catalogue.package_state(package)
    except NotFound:  # the hand-in may be all that is left of it
        return Kept.LOST
    except DiademError:
        return Kept.SHORT
    if state.tombstoned:
        return Kept.DELETED
    if is_gone(context, package):
        return Kept.LOST
    status = judge(context.policy, archive_state(context, packages=[state]), context.clock())
    wanting = ("copies.minimum", "copies.kinds", "replica.")
    return Kept.SHORT if any(finding.rule.startswith(wanting) for finding in status.findings) else Kept.WELL
