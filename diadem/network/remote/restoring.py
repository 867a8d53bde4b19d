"""Giving a session back from another node: every file in its newest version, of the packages that we may read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from diadem.archive.restore import Piece, restore_pieces, select
from diadem.errors import NotFound
from diadem.model.manifest import PackageId
from diadem.model.ports import Listener
from diadem.network.remote.package import RemotePackage
from diadem.node.give.restore import RestoredSession
from diadem.node.take.package_chain import ArchivedPackage, Lacking, Session, chain_of


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
    whole = chain_of(package, known.get, known.continued_by)
    if not whole:
        raise NotFound("the package cannot be read", where=package, next="Ask its owner: diadem grant ID --to YOU")
    there = {one.id for one in whole}
    before = dict.fromkeys(one.continues for one in whole if one.continues is not None and one.continues not in there)
    lacking = [Lacking(one, "it is not there, or not for you") for one in before] if chain else []
    session = Session(whole if chain else [one for one in whole if one.id == package], lacking)
    given = [known.opened[one.id] for one in session.packages]
    files, names = session.files(), {file.entry.name for file in session.files()}
    selection = select([file.entry for file in files], only, (one.sealed_record for one in given)) if only else None
    if selection is not None:
        files = [file for file in files if file.entry.name in selection.names]
    pieces = [Piece(file.entry, partial(known.opened[file.package].open, file.entry.name)) for file in files]
    empty = (lambda: _empty_folders(given, names)) if selection is None else tuple
    restored = restore_pieces(pieces, empty, folder, listener=listener)
    return RestoredSession(
        restored.folder,
        restored.files,
        restored.bytes,
        [one.id for one in session.packages],
        restored.renamed,
        session.lacking,
        len(whole) - len(session.packages),
        selection=selection,
    )


def _empty_folders(packages: Iterable[RemotePackage], files: set[str]) -> Iterator[str]:
    for package in packages:
        for folder in package.sealed_record.empty_dirs:
            parts = folder.split("/")
            if not any("/".join(parts[:depth]) in files for depth in range(1, len(parts) + 1)):
                yield folder
