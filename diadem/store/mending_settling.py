"""What a mender that died has left: found, put in order, and remembered as long as it is damage."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from diadem.errors import Refused
from diadem.store.mending_place import Place, package_folder
from diadem.store.mending_record import Intent, dead_places
from diadem.store.system import discard


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A repair that a crash cut short.

    Attributes
    ----------
    package : str
        Path of the package in the store.
    file : str
        Path of the file in the bag.
    leaf : int or None
        Index of the leaf; None for a whole file.
    complete : bool
        Whether the right bytes are there all the same. If not, this leaf or file is still as damaged as it was.
    """

    package: str
    file: str
    leaf: int | None
    complete: bool


def unfinished(root: Path) -> list[Unfinished]:
    """Repairs that a crash cut short and nobody has put right since. Changes nothing."""
    return [_outcome(root, desk, intent) for desk in dead_places(root) for intent in desk.values() if intent]


def settle(root: Path) -> list[Unfinished]:
    """Tidy what dead menders left: times and permissions as they were, no half-written file beside a package.

    Returns
    -------
    list of Unfinished
        What was found. A leaf that is still damaged keeps its record until it is mended.
    """
    found: list[Unfinished] = []
    for desk in dead_places(root):
        outcomes = {path: _outcome(root, desk, intent) for path, intent in desk.items() if intent}
        for path, intent in desk.items():
            if intent is not None:
                _put_in_order(root, intent)
            if path not in outcomes or _is_settled(root, outcomes[path]):
                discard(path)
        found += outcomes.values()
    return found


def _outcome(root: Path, desk: Iterable[str], intent: Intent) -> Unfinished:
    return Unfinished(intent.package, intent.file, intent.leaf, complete=_is_complete(root, desk, intent))


def _is_complete(root: Path, desk: Iterable[str], intent: Intent) -> bool:
    """Whether the announced bytes are there: a leaf tells by its digest, a file by its stage being gone."""
    if intent.leaf is None:
        return not any(path.endswith(".part") for path in desk) and _is_there(root, intent)
    offset = intent.leaf * intent.leaf_size
    try:
        with Place(package_folder(root, intent.package), intent.file) as place:
            found = place.digest(offset, min(intent.leaf_size, intent.size - offset))
    except (OSError, Refused):
        return False
    return found is not None and found.hex() == intent.digest


def _is_settled(root: Path, outcome: Unfinished) -> bool:
    """Whether there is nothing more to remember: it is mended, or a whole file that is as it was, or it is gone."""
    return outcome.complete or outcome.leaf is None or not _is_there(root, outcome)


def _is_there(root: Path, one: Intent | Unfinished) -> bool:
    try:
        with Place(package_folder(root, one.package), one.file) as place:
            return place.status() is not None
    except (OSError, Refused):
        return False


def _put_in_order(root: Path, intent: Intent) -> None:
    """Time and permissions as they were before the mender came."""
    with contextlib.suppress(OSError, Refused), Place(package_folder(root, intent.package), intent.file) as place:
        place.reseal(intent.mtime_ns)
