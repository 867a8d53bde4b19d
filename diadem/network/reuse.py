"""Files that need not come: those of packages that were exchanged with the same peer before.

Never those of others: whether this node has what a third party's package holds is nobody's to learn by an offer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from diadem.errors import DiademError
from diadem.model.manifest import FileEntry, leaf_count
from diadem.model.ports import Bundle
from diadem.model.transfers import LOCAL, State
from diadem.network.arrival import Arrival
from diadem.network.desk import Desk
from diadem.network.intake import Follower
from diadem.node.keep.copies import PackageCopies

#: Packages that are looked at, the newest first; and bytes that are read at once.
_MOST: Final = 50
_BLOCK: Final = 4 << 20

Known = tuple[str, FileEntry]


def reuse(desk: Desk, peer: str, arrival: Arrival, follower: Follower) -> int:
    """Take what is here already, each leaf proven as if it came; returns the bytes."""
    exchanged = [
        transfer.package
        for transfer in desk.book.all(peer=peer, states={State.RECEIVED, State.CLOSED})
        if transfer.direction != LOCAL
    ]
    if not exchanged:
        return 0
    wanted = {
        (entry.sha256, entry.size)
        for entry in arrival.manifest
        if entry.size and not arrival.marks.proven[entry.first_leaf]
    }
    known = _known(desk, list(dict.fromkeys(exchanged))[:_MOST], wanted) if wanted else {}
    taken = 0
    for number, entry in enumerate(arrival.manifest.entries):
        found = known.get((entry.sha256, entry.size))
        if found is not None and not arrival.marks.proven[entry.first_leaf]:
            taken += _copy(desk, found, number, arrival, follower)
    return taken


def _known(desk: Desk, packages: Sequence[str], wanted: set[tuple[str, int]]) -> dict[tuple[str, int], Known]:
    """Where files of some packages lie, by SHA-256 and size."""
    known: dict[tuple[str, int], Known] = {}
    for package in packages:
        opened = PackageCopies(desk.context, package).kept_tag_files()
        for entry in opened.manifest if opened is not None else ():
            if (entry.sha256, entry.size) in wanted:
                known.setdefault((entry.sha256, entry.size), (package, entry))
    return known


def _copy(desk: Desk, known: Known, number: int, arrival: Arrival, follower: Follower) -> int:
    """Copy a file from the first of its copies that can be read; what is wrong there is left, and comes."""
    package, source = known
    for _, bundle in PackageCopies(desk.context, package).readable():
        try:
            return _copy_from(bundle, source, number, arrival, follower)
        except (DiademError, OSError):
            continue
    return 0


def _copy_from(bundle: Bundle, source: FileEntry, number: int, arrival: Arrival, follower: Follower) -> int:
    entry, leaf_size = arrival.manifest.entries[number], arrival.manifest.leaf_size
    step = max(1, _BLOCK // leaf_size)
    taken = 0
    with bundle.open(source.path) as reader:
        for leaf in range(0, leaf_count(entry.size, leaf_size), step):
            data = memoryview(reader.read_at(leaf * leaf_size, step * leaf_size))
            whole = len(data) == min(step * leaf_size, entry.size - leaf * leaf_size)
            if whole and arrival.leaves.wrong(entry, leaf * leaf_size, data) is None:
                arrival.put(number, leaf, data)
                follower.written(number, data)
                taken += len(data)
    return taken
