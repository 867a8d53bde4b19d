"""What must not lie in each other: sources, stores and the node, whose private keys are for nobody else to read."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from diadem.errors import Refused
from diadem.node.context import Context
from diadem.store.addresses import local_path
from diadem.store.system import long_path

#: How one place lies to another.
IS, HOLDS, LIES_IN = "is", "holds", "is in"


def relation_of(place: Path, other: Path) -> str | None:
    """How a place lies to another, whatever links and mounts lead there: `IS`, `HOLDS`, `LIES_IN`, or None: apart.

    They need not exist.
    """
    place, other = Path(os.path.realpath(place)), Path(os.path.realpath(other))
    if _same(place, other):
        return IS
    if any(_same(place, parent) for parent in other.parents):
        return HOLDS
    return LIES_IN if any(_same(parent, other) for parent in place.parents) else None


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:  # one of them is not there
        return one == other


def stores_of(context: Context) -> Iterator[tuple[str, Path]]:
    """Name in words and folder of each store that is a folder."""
    for settings in context.settings.stores:
        if (folder := local_path(settings.url)) is not None:
            yield f"the store '{settings.name}'", folder


def require_no_secrets(context: Context, sources: Sequence[Path], *, shallow: Collection[Path] = ()) -> None:
    """Refuse to archive the node itself: its private keys would lie in every store, readable for whoever reads there.

    The same holds for the recovery file with the root key; and a store would be archived in itself. Of the `shallow`
    sources only the files that lie directly in them are meant.
    """
    whole = {source for source in sources if source not in shallow and source.is_dir()}
    files = [source for source in sources if source not in shallow and source not in whole]
    for source in {*whole, *shallow, *(file.parent for file in files)}:  # thousands of files have few folders
        for name, secret in _secrets(context):
            how = relation_of(source, secret)
            if how == HOLDS and source not in whole and not _is_taken(secret, source, shallow, files):
                continue
            if how is not None:
                raise Refused(
                    f"what is to be archived {how} {name}: private keys would be in every store for others to read",
                    where=str(source),
                    next=_NEXT,
                )
        for name, folder in stores_of(context):
            if source in whole and relation_of(source, folder) in (IS, HOLDS):
                raise Refused(f"the folder holds {name}: it would be archived in itself", where=str(source), next=_NEXT)


def _is_taken(secret: Path, folder: Path, shallow: Collection[Path], files: Sequence[Path]) -> bool:
    """Whether a secret is one of the files that are meant of a folder."""
    if not secret.is_file() or relation_of(folder, secret.parent) != IS:
        return False
    return folder in shallow or any(relation_of(file, secret) == IS for file in files)


_NEXT = "Name the folders of the sessions beside it."


def _secrets(context: Context) -> Iterator[tuple[str, Path]]:
    """What holds private keys."""
    yield "the node", context.folder
    recovery = context.settings.recovery_file
    if recovery and os.path.lexists(long_path(recovery)):
        yield "the node's recovery file", Path(recovery)
