"""What people have put into a store's `incoming/` folder: which of it is finished, archived, or may be deleted.

::

    <store>/incoming/<anything>/       one session, handed in from an instrument PC

Nothing of it is moved, changed or deleted: originals never are. What is archived is remembered with what the folder
looked like then, so that a file that comes later is seen, and a person can be told which folders may go: those of which
nothing was left out and every package that holds a part is kept as the policy wants. It is remembered in the node:
nobody who can write in the store should be able to write there, as what stands there says what may be deleted.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Final
from urllib.parse import unquote_to_bytes

from diadem.errors import DiademError, NotFound, Refused
from diadem.export.zip_bag import packages_in
from diadem.model.display import Display
from diadem.model.manifest import PackageId
from diadem.model.plain_text import count_text, without_surrogates
from diadem.model.ports import Listener
from diadem.model.times import time_text
from diadem.node.archive_state import is_well_kept
from diadem.node.config import WatchSettings
from diadem.node.context import Context
from diadem.node.take.arrival import Archived
from diadem.node.take.continuation import is_gone
from diadem.node.take.files_beside import names_beside
from diadem.node.take.folder_look import Look, Moment
from diadem.node.take.quiet import Finished, Reason, Unfinished
from diadem.node.watch.folder import FolderWatch
from diadem.node.watch.memory import Memory, Note, StoreBackoff
from diadem.node.watch.plan import Line, WatchPlan
from diadem.node.watch.report import Watched
from diadem.node.watch.units import Listing, Unit, UnitArchived
from diadem.store.addresses import local_path
from diadem.store.system import is_link, long_path

INCOMING: Final = "incoming"
_STRAY: Final = "put it into a folder of its own: one folder is one session"
#: Earlier versions kept a file for each hand-in, with this format.
_BEFORE: Final = "diadem-incoming/2"


class HandInState(StrEnum):
    """Where a hand-in stands."""

    WRITING = "writing"  # not finished
    READY = "ready"  # finished and not archived, or changed since it was
    ARCHIVED = "archived"
    EMPTY = "empty"
    STRAY = "stray"  # a file or a link beside the folders


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


_STATES: Final = {
    "waiting": HandInState.WRITING,
    "failed": HandInState.READY,
    "archived": HandInState.ARCHIVED,
    "empty": HandInState.EMPTY,
}


@dataclass
class HandInFolder(FolderWatch):
    """The `incoming/` folder of one store: each folder in it is one session, and nothing else is."""

    as_one: ClassVar[bool | None] = True
    #: That a hand-in is archived is told, since that says whether it may be deleted.
    settled: ClassVar[Sequence[str]] = ()
    store: str = ""
    #: By name, what was left behind in those that are finished and not archived yet.
    _ready: dict[str, Sequence[Reason]] = field(default_factory=dict)
    _deletable: set[str] = field(default_factory=set)
    #: What was refused is tried again by each process, so that who looks once is told why.
    _process: str = field(default_factory=lambda: uuid.uuid4().hex)

    @classmethod
    def of(
        cls,
        context: Context,
        name: str,
        *,
        steady: Callable[[], float] = time.monotonic,
        every: float = 60.0,
        backoff: StoreBackoff,
    ) -> HandInFolder | None:
        """Where people hand in to a store; None where it is not a folder, or does not answer."""
        place = local_path(context.settings.store(name).url)
        if place is None or not context.stores.reachable(name):
            return None
        with contextlib.suppress(OSError):
            (place / INCOMING).mkdir(exist_ok=True)
        return cls(context, WatchSettings(str(place / INCOMING), poll=True), steady, every, backoff, store=name)

    def __post_init__(self) -> None:
        """Remember, also what an earlier version has noted."""
        kept = self.context.folder / INCOMING / (self.context.settings.store(self.store).id or self.store)
        self.memory = Memory.read(self.context.folder, self.settings.folder, kept.with_name(f"{kept.name}.json"))
        if kept.is_dir():
            self.memory.notes = dict(_notes_of_before(kept / INCOMING)) | self.memory.notes
            if self._remember(now=True):
                shutil.rmtree(kept, ignore_errors=True)

    def hand_ins(self, listener: Listener, *, failed: bool = False) -> Iterator[Handed]:
        """Look at every hand-in, archive those that are finished, and tell what is new of them.

        First at all others, then at those that `failed` before.
        """
        for one in self.retry(WatchPlan(), listener) if failed else self.round(WatchPlan(), listener):
            yield Handed(self.store, self._hand_in(one), next(iter(one.archived), None), one.error)
        for name, words in sorted(self.memory.aside.items()):
            if self._news.is_new(name, words):
                yield Handed(self.store, HandIn(name, self.root / name, HandInState.STRAY, words=words))

    def _hand_in(self, told: Watched) -> HandIn:
        name, note = told.session, self.memory.notes.get(told.session, Note())
        if not name:  # it is about the folder
            return HandIn(INCOMING, self.root, HandInState.STRAY, words=told.words)
        state = HandInState.READY if name in self._ready else _STATES[note.state]
        return HandIn(
            name,
            self.root / name,
            state,
            told.files,
            told.bytes,
            told.words,
            self._ready.get(name, ()),
            PackageId(note.packages[-1]) if note.packages else None,
            note.omitted if state is HandInState.ARCHIVED else 0,
            name in self._deletable,
        )

    # -- what is another than in the folder of an instrument -------------------------------------------------------

    def _listed(self, moment: Moment) -> Listing | None:
        """What lies in the folder; None where it cannot be seen, which says of nothing that it was deleted."""
        memory = self.memory
        memory.problem = ""
        if is_link(self.root):  # it might lead to the node's own keys
            memory.problem = "it is a link, which is not followed: put a folder in its place"
            return None
        try:
            return self._list(moment)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            memory.problem = f"it cannot be listed: {error.strerror or error}"
            return None

    def _list(self, moment: Moment) -> Listing:  # noqa: ARG002  there are no loose files to be looked at
        listing = Listing()
        with os.scandir(long_path(self.root)) as entries:
            found = {entry.name: entry.is_dir(follow_symlinks=False) for entry in entries}
        for name, is_folder in sorted(found.items()):
            if is_folder and not name.startswith("."):
                listing.units[name] = Unit(name, self.root / name)
            elif not name.startswith("."):
                listing.aside[name] = _STRAY
        return listing

    def _judged(
        self,
        unit: Unit,
        before: Note,
        seen: Look,
        line: Line,
        *,
        held: tuple[str, str] | None,
        watched: bool = False,
    ) -> tuple[Note, Finished | Unfinished | None]:
        """What is to be noted of a hand-in, and whether it is to be archived.

        Where the files lie on a disk of this machine their age is enough, as for a session that a person names.
        """
        self._ready.pop(unit.name, None)
        self._deletable.discard(unit.name)
        words = "it changed since it was archived" if before.packages else ""
        if names_beside(unit.path, packages_in(unit.path)):  # an earlier version has archived the packages alone
            words = ""
        elif seen.files and before.packages and seen.digest == before.digest:
            reasons = self._reasons_to_keep(before)
            if reasons is not None:
                then = "; ".join(reasons) or "you may delete it"
                if not reasons:
                    self._deletable.add(unit.name)
                note = replace(before, state="archived", files=len(seen.files), bytes=seen.bytes, look=None)
                return replace(note, words=f"archived on {before.archived[:10]}; {then}"), None
            words = "no copy is left of a part of what was archived of it"
        anew = replace(before, digest="")
        note, verdict = super()._judged(unit, anew, seen, line, held=held, watched=watched)
        if isinstance(verdict, Finished):
            self._ready[unit.name] = verdict.notes
            note = replace(note, words=words)
        return replace(note, digest=before.digest), verdict

    def _under(self, line: Line) -> str:
        return f"{super()._under(line)}|{self._process}"

    def _archived(self, note: Note, seen: Look, taken: UnitArchived) -> Note:
        """What is noted besides: when, and what was left out. Raises `Refused` where nothing is proven."""
        (done,) = taken.archived
        if done.outcome.proof in ("", "none"):
            raise Refused("the copy is not proven yet", where=str(done.package.url), next="Verify it: diadem scrub")
        then, omitted = time_text(self.context.clock()), len(done.outcome.omissions)
        return replace(super()._archived(note, seen, taken), words=note.words, archived=then, omitted=omitted)

    def _reasons_to_keep(self, note: Note) -> list[str] | None:
        """Why one that is as it was archived may not be deleted, in words; None where a part is lost, and only here.

        It may be where nothing was left out, the policy wants no further copy of any of its packages, and no damage of
        one is known.
        """
        states = {_kept(self.context, PackageId(one)) for one in note.packages}
        if "lost" in states and "deleted" not in states:
            return None
        reasons = []
        if "deleted" in states:
            reasons.append("it has since been deleted from the archive")
        if note.omitted:
            items = count_text(note.omitted, "item")
            reasons.append(f"{items} in it could not be archived and {'is' if note.omitted == 1 else 'are'} only here")
        if "short" in states:
            reasons.append("the policy wants more copies")
        if reasons:  # more copies may come; what was deleted or left out is nowhere else
            yet = "" if "deleted" in states or note.omitted else " yet"
            reasons[0] = f"do not delete it{yet}: {reasons[0]}"
        return reasons


def _kept(context: Context, package: PackageId) -> str:
    """How a package is kept: ``well``, ``short`` of what the policy wants, ``lost``, or ``deleted`` on purpose."""
    try:
        state = context.catalogue.package_state(package)
    except NotFound:  # the hand-in may be all that is left of it
        return "lost"
    except DiademError:
        return "short"
    if state.tombstoned:
        return "deleted"
    if is_gone(context, package):
        return "lost"
    return "well" if is_well_kept(context, package) else "short"


def _notes_of_before(folder: Path) -> Iterator[tuple[str, Note]]:
    """What an earlier version has noted. What cannot be understood is nothing: archiving again repeats nothing."""
    for path in folder.glob("*.json"):
        with contextlib.suppress(Exception):  # it may have been written by anybody
            document = json.loads(path.read_bytes())
            if document["format"] == _BEFORE:
                yield (
                    os.fsdecode(unquote_to_bytes(document["name"])),
                    Note(
                        "archived",
                        digest=str(document["digest"]),
                        packages=tuple(str(PackageId(one)) for one in document["packages"]),
                        as_one=True,
                        archived=str(document["archived"]),
                        omitted=int(document["omitted"]),
                    ),
                )
