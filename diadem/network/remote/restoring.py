"""Giving a session back from another node: every file in its newest version, of the packages that we may read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from diadem.archive.restore import Piece, restore_pieces, sealed_records
from diadem.errors import NotFound
from diadem.model.manifest import PackageId
from diadem.model.ports import Listener
from diadem.network.remote.package import RemotePackage
from diadem.node.give.restore import RestoredSession
from diadem.node.take.package_chain import ArchivedPackage, Session, chain_of


class RemoteChain:
    """The packages of a node, as a chain of them is followed.

    Parameters
    ----------
    get : callable
        Opens a package. Raises `NotFound` for one that is not there, or not for us.
    continued_by : callable
        Ids of the packages that add to one.
    """

    def __init__(
        self, get: Callable[[PackageId], RemotePackage], continued_by: Callable[[PackageId], Iterable[PackageId]]
    ) -> None:
        self._get, self.continued_by = get, continued_by
        self.opened: dict[PackageId, RemotePackage] = {}

    def get(self, package: PackageId) -> ArchivedPackage | None:
        """A package, or None where we cannot have it."""
        if package not in self.opened:
            try:
                self.opened[package] = self._get(package)
            except NotFound:
                return None
        return self.opened[package].archived()


def restore(
    known: RemoteChain,
    package: PackageId,
    folder: Path,
    *,
    chain: bool,
    only: Sequence[str] | str = (),
    listener: Listener,
) -> RestoredSession:
    """Give back the session of a package, or the package alone; with `only` those files of it.

    Raises
    ------
    NotFound
        The package is not there, or not for us; or no file is called as `only` says.
    Refused
        The folder has content.
    DigestMismatch
        Bytes came that are not what was archived; nothing is left behind.
    """
    found = chain_of(package, known.get, known.continued_by)
    if not found:
        raise NotFound("the package cannot be read", where=package, next="Ask its owner: diadem grant ID --to YOU")
    whole = Session.of(found, lambda _: None, absent="it is not there, or not for you")
    session = whole if chain else whole.alone(package)
    pieces = [Piece(file.entry, partial(known.opened[file.package].open, file.entry.name)) for file in session.files()]
    ids = [one.id for one in session.packages]
    given = [known.opened[one] for one in ids]
    restored = restore_pieces(pieces, lambda: sealed_records(given), folder, only=only, listener=listener)
    return RestoredSession.of(restored, session, ids, ())
