"""What every export has in common: where it may be written, that one process alone does it, and what the log says.

Whatever leaves, the log says so before, and a store holds that; where it does not leave after all, the log says that
too.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from diadem.custody import statements
from diadem.custody.log_entry import Entry
from diadem.errors import DiademError, Refused, Unreachable, UsageError
from diadem.export.stage import Finished, refuse_existing
from diadem.model.manifest import PackageId
from diadem.model.statements import Subject
from diadem.node.context import Context
from diadem.node.locks import node_lock
from diadem.node.separation import IS, LIES_IN, relation_of, stores_of
from diadem.store.system import long_path

#: Packages that one statement is about.
_TOLD: Final = 500
_LONGEST_NAME: Final = 320


@dataclass(slots=True)
class Handover:
    """Packages that are given to somebody in a form, and what the log says of it."""

    context: Context
    packages: Sequence[PackageId]
    to: str
    form: str
    #: Ids of the statements, as soon as they are in the log.
    said: list[str] = field(default_factory=list)
    _file: Mapping[str, Any] = field(default_factory=dict)
    #: Statements about the first package before this.
    _before: int = 0

    def state(
        self,
        file: Mapping[str, Any],
        about: Callable[[Sequence[PackageId]], Mapping[str, Any]] = lambda _some: {},
        *,
        stated: Callable[[], object] = lambda: None,
    ) -> None:
        """State that they are given out as `file`, and wait for a store to hold it; `stated` is called before that.

        `about` says what else is said of some of the packages, as `diadem.custody.statements.handover` takes it.
        """
        drafts = [
            statements.handover(
                list(some), to=self.to, form=self.form, file=file, by=self.context.address, **about(some)
            )
            for some in self._batches()
        ]
        self._file, self._before = file, len(self._log())
        entries = self.context.say(drafts)
        self.said += [entry.statement_id for entry in entries]
        stated()
        for entry in entries:
            _require_durable(self.context, entry)

    def require_durable(self) -> None:
        """That a store holds what was said before."""
        for some in self._batches():
            for entry in self.context.ledger.of_subject(some[0].hex):
                if entry.statement_id in self.said:
                    _require_durable(self.context, entry)

    def withdraw(self, name: str, error: BaseException) -> None:
        """Say that what was stated, if it was, did not happen after all."""
        new = [entry.statement.predicate for entry in self._log()[self._before :]]
        if not self._file or not any(self._file.items() <= {**predicate}.items() for predicate in new):
            return
        reason = str(getattr(error, "message", "")) or repr(error)
        drafts = [
            statements.audit(
                tuple(Subject.package(one) for one in some),
                action=f"hand over {name} to {self.to}",
                actor=self.context.address,
                outcome="failed",
                reason=f"it did not get its name and was removed: {reason}"[:2000],
            )
            for some in self._batches()
        ]
        with suppress(DiademError):  # what stopped the export is told, not this
            self.context.say(drafts)

    def _log(self) -> Sequence[Entry]:
        return self.context.ledger.of_subject(self.packages[0].hex)

    def _batches(self) -> Iterator[Sequence[PackageId]]:
        return (self.packages[start : start + _TOLD] for start in range(0, len(self.packages), _TOLD))


def file_of(path: Path, written: Finished) -> dict[str, Any]:
    """What a handover says of a file or folder."""
    return {"name": path.name, "sha256": written.sha256, "bytes": written.bytes}


def require_place(context: Context, target: Path, to: str, *, suffix: str = ".zip") -> None:
    """That something may be written there, for somebody: nothing is put where only packages belong.

    `suffix` is that of the file; "" where a folder is written.
    """
    if not to.strip() or len(to) > _LONGEST_NAME or not to.isprintable():
        raise UsageError("say who it is for: the log records it", next='Example: --for "Marie Curie <m@x.org>"')
    if suffix and target.is_dir():
        raise UsageError(
            "this is a folder", where=str(target), next=f"Name a file in it: {target / f'session{suffix}'}"
        )
    if suffix:
        refuse_existing(target)
    if not target.parent.is_dir():
        raise UsageError("there is no such folder", where=str(target.parent), next="Make it first.")
    place = Path(os.path.realpath(target.parent))
    if any(os.path.lexists(long_path(each / "bagit.txt")) for each in (place, *place.parents)):
        raise Refused("it would be inside a package", where=str(target), next="Name a place outside it.")
    for each in (context.folder, *(each for _, each in stores_of(context))):
        if relation_of(place, each) in (IS, LIES_IN):
            raise Refused("it would be inside the archive", where=str(target), next="Name a place outside it.")


def require_mirror(context: Context) -> None:
    """That what will be said can be kept in a store, before hours are spent; an attached store cannot say anything."""
    context.ledger.mirrors.check()
    if not any(True for _ in context.stores.opened()):
        raise Unreachable(
            "no store answers, and nothing leaves the node before a store holds the statement about it",
            next="Connect a store of this node: diadem status",
        )


def full_name(context: Context) -> str:
    """The name of the person at work, as a person writes it; "" where it is not known."""
    return next((user.full_name for user in context.settings.users if user.name == context.user), "")


@contextmanager
def alone(context: Context, target: Path) -> Iterator[None]:
    """Be the only one that writes this file."""
    name = hashlib.sha256(os.fsencode(os.path.realpath(target))).hexdigest()[:16]
    lock = node_lock(context.folder, f"export-{name}")
    if not lock.acquire():
        raise Refused("another export is writing this file", where=str(target), next="Wait for it, or name another.")
    try:
        yield
    finally:
        lock.remove()


def _require_durable(context: Context, entry: Entry) -> None:
    """That a store holds the statement: this disk may be lost, what was given away stays away."""
    if why := context.ledger.mirrors.lack(entry.place):
        raise Unreachable(
            f"no store holds the statement about it yet, and nothing leaves the node before that ({why})",
            next="Connect a store of this node and export again: diadem status",
        )
