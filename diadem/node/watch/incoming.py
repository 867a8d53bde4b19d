"""What people have put into a store's `incoming/` folder: which of it is finished, archived, or may be deleted.

::

    <store>/incoming/<anything>/                                   one session, handed in from an instrument PC
    <node>/incoming/<store id>/incoming/<name>~<12 hex>.json       what became of it

Nothing of it is moved, changed or deleted: originals never are. What is archived is remembered with what the folder
looked like then, so that a file that comes later is seen, and a person can be told which folders may go: those of which
nothing was left out and every package that holds a part is kept as the policy wants.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import quote_from_bytes

from diadem.errors import NotFound, Refused
from diadem.hooks.offers import ReaderOffer
from diadem.model.display import Display
from diadem.model.manifest import PackageId
from diadem.model.plain_text import count_text
from diadem.model.times import time_text
from diadem.node.take.finished import Reason, Unfinished
from diadem.node.take.finishing import Clock, Watcher, utc_now
from diadem.node.take.looks import Look, look
from diadem.pack.plan import PackPlan, make_plan, text_of
from diadem.store.system import is_link, long_path

INCOMING: Final = "incoming"
FORMAT: Final = "diadem-incoming/2"
#: Digits of a name's digest in the key of its note, for names that differ only in what a key cannot hold.
_DIGITS: Final = 12
_LONGEST: Final = 100


class OwnFiles(Protocol):
    """Small files by their keys, as `diadem.store.own_files.OwnFiles` keeps them."""

    def get(self, key: str) -> bytes | None:
        """The content of one, or None."""

    def put(self, key: str, data: bytes, *, create: bool = False) -> bool:
        """Write one."""

    def keys(self, prefix: str) -> Iterator[str]:
        """Keys below a folder."""

    def delete(self, key: str) -> None:
        """Remove one."""


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
            "name": text_of(os.fsencode(self.name)),
            "path": text_of(os.fsencode(self.path)),
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
class _Note:
    """What is remembered of a hand-in that was archived."""

    package: PackageId
    packages: Sequence[PackageId]
    omitted: int
    digest: str
    archived: str


@dataclass
class Incoming:
    """The `incoming/` folder of one store. Keep it: what was seen in an earlier look counts.

    Attributes
    ----------
    store : Path
        The store's folder.
    own : OwnFiles
        Where it is remembered what was archived: nobody who can write in the store should be able to write there, as
        what stands there says what may be deleted.
    quiet : timedelta
        For how long nothing may have changed in a finished session.
    readers : sequence of ReaderOffer
        Who knows what the headers of files promise, and groups files.
    clock, steady : callable
        This machine's clock, and its steady one in seconds.
    own_clock : bool, optional
        Whether the clock of the store's file system is this machine's; by default that of a local disk is.
    """

    store: Path
    own: OwnFiles
    quiet: datetime.timedelta
    readers: Sequence[ReaderOffer] = ()
    clock: Clock = utc_now
    steady: Callable[[], float] = time.monotonic
    own_clock: bool | None = None
    _watchers: dict[str, Watcher] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where people put their sessions."""
        return self.store / INCOMING

    def look(self, *, kept: Callable[[PackageId], Kept]) -> list[HandIn]:
        """Every entry and where it stands, by name. Nothing is written.

        Parameters
        ----------
        kept : callable
            How a package is kept.
        """
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
        self._watchers = {name: watcher for name, watcher in self._watchers.items() if name in found}
        return [
            self._hand_in(name, kept) if is_folder else self._stray(name) for name, is_folder in sorted(found.items())
        ]

    def ready(self) -> list[HandIn]:
        """Those that can be archived now."""
        return [hand_in for hand_in in self.look(kept=lambda _: Kept.SHORT) if hand_in.state is HandInState.READY]

    def plan(self, hand_in: HandIn, metadata: Mapping[str, Any] | None = None) -> PackPlan:
        """What archiving it would do. Raises `NotFound`, `UsageError`, `DocumentError`."""
        return make_plan([hand_in.path], store=None, metadata=metadata, readers=self.readers)

    def seen(self, hand_in: HandIn) -> Look:
        """What it looks like now: taken before archiving, it is what `archived` compares with. Raises `NotFound`."""
        return look(hand_in.path, now=self.clock(), steady=self.steady(), own_clock=self.own_clock)

    def archived(
        self, hand_in: HandIn, seen: Look, packages: Sequence[str], payload_id: str, *, proof: str, omitted: int
    ) -> None:
        """Remember that a hand-in is archived.

        Parameters
        ----------
        hand_in : HandIn
            It.
        seen : Look
            What it looked like before it was archived.
        packages : sequence of str
            Which packages hold it together; at least one, that which was made of it last.
        payload_id : str
            Payload of the last.
        proof : str
            Why the bytes in the store are known to be right; see `Outcome`.
        omitted : int
            How many things in it are in no package: links, and what could not be read.

        Raises
        ------
        Refused
            The bytes in the store are not proven, or the folder changed meanwhile: it will be looked at again.
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
        self.own.put(_key(hand_in.name), json.dumps(document).encode())

    def tidy(self) -> list[str]:
        """Forget what was remembered of folders that people have deleted; returns their keys."""
        if is_link(self.folder):
            return []
        try:
            names = os.listdir(long_path(self.folder))
        except OSError:  # a folder that cannot be seen is not one that was deleted
            return []
        known = {_key(name) for name in names}
        gone = [key for key in self.own.keys(INCOMING) if key not in known]
        for key in gone:
            self.own.delete(key)
        return gone

    def _stray(self, name: str) -> HandIn:
        words = "put it into a folder of its own: one folder is one session"
        return HandIn(name, self.folder / name, HandInState.STRAY, words=words)

    def _hand_in(self, name: str, kept: Callable[[PackageId], Kept]) -> HandIn:
        path = self.folder / name
        try:
            return self._judged(name, path, kept)
        except NotFound:
            return HandIn(name, path, HandInState.EMPTY, words="it was removed a moment ago")

    def _judged(self, name: str, path: Path, kept: Callable[[PackageId], Kept]) -> HandIn:
        note = self._note(name)
        seen = look(path, now=self.clock(), steady=self.steady(), own_clock=self.own_clock)
        size = sum(one.size for one in seen.files.values())
        package = note.package if note else None
        found = HandIn(name, path, HandInState.READY, len(seen.files), size, package=package)
        if not seen.files:
            return replace(found, state=HandInState.EMPTY, words="there is no file in it")
        words = "it changed since it was archived" if note else ""
        if note is not None and note.digest == seen.digest:
            states = {kept(one) for one in note.packages}
            if Kept.LOST not in states or Kept.DELETED in states:
                return _archived(found, note, states)
            words = "no copy is left of a part of what was archived of it"
        verdict = self._watcher(name, path).verdict(seen)
        if isinstance(verdict, Unfinished):
            return replace(found, state=HandInState.WRITING, words=verdict.told(str(path)))
        return replace(found, words=words, notes=verdict.notes)

    def _watcher(self, name: str, path: Path) -> Watcher:
        if name not in self._watchers:
            self._watchers[name] = Watcher(
                path, self.quiet, readers=self.readers, clock=self.clock, steady=self.steady, own_clock=self.own_clock
            )
        return self._watchers[name]

    def _note(self, name: str) -> _Note | None:
        """What is remembered. What cannot be understood is nothing: archiving again repeats nothing."""
        data = self.own.get(_key(name))
        try:
            document = json.loads(data or b"")
            if document["format"] != FORMAT:
                return None
            packages = [PackageId(one) for one in document["packages"]]
            return _Note(
                packages[-1],
                packages,
                int(document["omitted"]),
                str(document["digest"]),
                str(document["archived"]),
            )
        except Exception:  # anybody may write in a store
            return None


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


def _key(name: str) -> str:
    """The key of the note of a hand-in."""
    data = os.fsencode(name)
    plain = quote_from_bytes(data, safe=" ")[:_LONGEST]
    return f"{INCOMING}/{plain}~{hashlib.sha256(data).hexdigest()[:_DIGITS]}.json"
