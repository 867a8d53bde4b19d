"""Giving a session back: every file in its newest version, from whichever copies are whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

from diadem.archive.restore import Piece, Restored, Selection, restore_pieces
from diadem.model.display import Display
from diadem.model.manifest import PackageId
from diadem.model.ports import Listener, silent
from diadem.model.record import Record
from diadem.node.context import Context
from diadem.node.give.read_copies import readers_of
from diadem.node.take.package_chain import Lacking, Session, session_of


@dataclass(frozen=True, slots=True)
class RestoredSession(Display):
    """What was given back.

    Attributes
    ----------
    folder : Path
        Where it is.
    files, bytes : int
        How much it is.
    packages : sequence of PackageId
        What it came from, a package after the one that it continues.
    renamed : sequence of str
        Files that kept their stored name, which this system can hold.
    lacking : sequence of Lacking
        Packages of the session that are gone: what only they held is not there.
    others : int
        Packages of the session that were not asked for.
    damaged : sequence of str
        Stores whose copy turned out to be damaged; the bytes came from another.
    selection : Selection or None
        What was chosen, where not all files were wanted.
    """

    folder: Path
    files: int
    bytes: int
    packages: Sequence[PackageId]
    renamed: Sequence[str] = ()
    lacking: Sequence[Lacking] = ()
    others: int = 0
    damaged: Sequence[str] = ()
    selection: Selection | None = None

    @classmethod
    def of(cls, restored: Restored, session: Session, packages: Sequence[PackageId], damaged: Sequence[str]) -> Self:
        """What was written of a session, from these packages of it."""
        return cls(
            restored.folder,
            restored.files,
            restored.bytes,
            packages,
            restored.renamed,
            session.lacking,
            session.others,
            damaged,
            restored.selection,
        )

    @property
    def ok(self) -> bool:
        """Whether nothing of what was asked for is gone."""
        return not self.lacking

    def to_dict(self) -> dict[str, Any]:
        """A JSON object; ``matched`` and ``companions`` only where not all files were wanted."""
        chosen = self.selection
        return {
            "path": str(self.folder),
            "files": self.files,
            "bytes": self.bytes,
            "packages": [str(package) for package in self.packages],
            "renamed": list(self.renamed),
            "lacking": [one.to_dict() for one in self.lacking],
            "others": self.others,
            "damaged": list(self.damaged),
            **({} if chosen is None else {"matched": list(chosen.matched), "companions": list(chosen.companions)}),
        }


def restore_session(
    context: Context,
    package: str,
    folder: Path,
    *,
    chain: bool = True,
    only: Sequence[str] | str = (),
    listener: Listener = silent,
) -> RestoredSession:
    """Give back the session of a package, or the package alone; with `only` those files of it."""
    session = session_of(context, package, chain=chain)
    copies = readers_of(context, session)
    pieces = [Piece(file.entry, partial(copies[file.package].open, file.entry)) for file in session.files()]

    def records() -> Iterable[Record]:
        return filter(None, (one.readable_record() for one in copies.values()))

    restored = restore_pieces(pieces, records, folder, only=only, listener=listener)
    damaged = sorted({store for one in copies.values() for store in one.damaged})
    return RestoredSession.of(restored, session, list(copies), damaged)
