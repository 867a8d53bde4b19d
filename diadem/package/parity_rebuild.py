"""Making lost leaves again from parity. Nothing leaves here that is not what the package's leaf digests say."""

from __future__ import annotations

import bisect
from collections import OrderedDict
from collections.abc import Iterable, Iterator

import numpy as np

from diadem.errors import IntegrityError
from diadem.model.manifest import FileEntry
from diadem.model.ports import Bundle
from diadem.package.opening import OpenedPackage
from diadem.package.parity import Parity, short_digest
from diadem.package.parity_field import DATA, Bytes, absorb, solve
from diadem.package.parity_format import Stripe
from diadem.package.parity_stream import StreamMap

#: Columns that are kept once they have been made again: neighbouring leaves share one.
_KEPT = 4
#: One leaf of a file, or all of it.
Suspect = tuple[FileEntry, int | None]


class Rebuilder:
    """Makes leaves of a damaged package again from what is left of it and its parity.

    Which blocks are lost is told by the digests in the parity file. Where these mislead (they may be damaged
    themselves), the leaves that a verification found damaged tell it.

    Parameters
    ----------
    parity : Parity
        The parity file of this package.
    bundle : Bundle
        The damaged package.
    opened : OpenedPackage
        What its tag files say, wherever they came from.
    suspects : iterable of (FileEntry, leaf or None)
        Every leaf that is known to be damaged, None for a whole file.

    Raises
    ------
    IntegrityError
        If the parity belongs to another package.
    """

    def __init__(self, parity: Parity, bundle: Bundle, opened: OpenedPackage, suspects: Iterable[Suspect] = ()) -> None:
        self._map = StreamMap(opened)
        if parity.package != opened.id or parity.header.total != self._map.total:
            raise IntegrityError(f"the parity belongs to {parity.package}", next="Write the parity file again.")
        self._parity = parity
        self._bundle = bundle
        self._opened = opened
        self._suspects = _merged(self._range(entry, leaf) for entry, leaf in suspects if entry.size)
        self._columns: OrderedDict[tuple[int, int, bool], dict[int, Bytes] | None] = OrderedDict()
        self._scratch: Bytes = np.empty(parity.header.block, dtype=np.uint8)

    def leaf(self, entry: FileEntry, leaf: int) -> bytes:
        """One leaf of a file, proven.

        Raises
        ------
        IntegrityError
            If more is lost than parity can tell.
        """
        start, stop = self._range(entry, leaf)
        for by_digest in (True, False):
            data = self._assemble(start, stop, by_digest=by_digest)
            if data is not None and self._opened.leaves.proves(entry, leaf, data):
                return data
        raise IntegrityError(
            f"leaf {leaf} cannot be rebuilt from parity: too much of its stripe is damaged",
            where=entry.path,
            next="Take it from another copy.",
        )

    def _range(self, entry: FileEntry, leaf: int | None) -> tuple[int, int]:
        """A leaf, or a file, in the stream."""
        start = self._map.start(entry.path)
        if leaf is None:
            return start, start + entry.size
        size = self._opened.manifest.leaf_size
        return start + leaf * size, start + min((leaf + 1) * size, entry.size)

    def _assemble(self, start: int, stop: int, *, by_digest: bool) -> bytes | None:
        """Some bytes of the stream, from sound blocks and rebuilt ones; None where a block cannot be rebuilt."""
        data = bytearray(stop - start)
        for stripe, region, column in self._blocks(start, stop):
            first, end = stripe.extent(region, column)
            block = self._sound(stripe, region, column, by_digest=by_digest)
            if block is None:
                rebuilt = self._column(stripe, column, by_digest=by_digest)
                if rebuilt is None:
                    return None
                block = rebuilt[region]
            lower, upper = max(first, start), min(end, stop)
            data[lower - start : upper - start] = block[lower - first : upper - first].data
        return bytes(data)

    def _blocks(self, start: int, stop: int) -> Iterator[tuple[Stripe, int, int]]:
        """The blocks that hold some bytes of the stream."""
        for stripe in self._parity.header.stripes_of(start, stop):
            position, end = max(start, stripe.start), min(stop, stripe.start + stripe.length)
            while position < end:
                region, column = stripe.locate(position)
                yield stripe, region, column
                position = stripe.extent(region, column)[1]

    def _sound(self, stripe: Stripe, region: int, column: int, *, by_digest: bool) -> Bytes | None:
        """A data block as it lies in the package; None where it is lost."""
        first, end = stripe.extent(region, column)
        if not by_digest and self._is_suspect(first, end):
            return None
        data: Bytes = np.empty(end - first, dtype=np.uint8)
        if not self._map.read(self._bundle, first, data.data):
            return None
        if by_digest and short_digest(data.data) != self._parity.digest(stripe, region, column):
            return None
        return data

    def _is_suspect(self, first: int, end: int) -> bool:
        number = bisect.bisect_left(self._suspects, (end, end)) - 1
        return number >= 0 and self._suspects[number][1] > first

    def _column(self, stripe: Stripe, column: int, *, by_digest: bool) -> dict[int, Bytes] | None:
        """The lost blocks of a column by region; None where there are too many."""
        key = (stripe.offset, column, by_digest)
        if key not in self._columns:
            self._columns[key] = self._rebuild(stripe, column, by_digest=by_digest)
            if len(self._columns) > _KEPT:
                self._columns.popitem(last=False)
        self._columns.move_to_end(key)
        return self._columns[key]

    def _rebuild(self, stripe: Stripe, column: int, *, by_digest: bool) -> dict[int, Bytes] | None:
        p: Bytes = np.zeros(stripe.width(column), dtype=np.uint8)
        q = p.copy()
        missing = []
        for region in range(DATA):
            block = self._sound(stripe, region, column, by_digest=by_digest)
            if block is None:
                missing.append(region)
            if len(missing) > 2:
                return None
            absorb(p, q, block, self._scratch)
        blocks = solve(
            missing, *(self._left(stripe, DATA + number, column, sum_) for number, sum_ in enumerate((p, q)))
        )
        return None if blocks is None else dict(zip(missing, blocks, strict=True))

    def _left(self, stripe: Stripe, region: int, column: int, absorbed: Bytes) -> Bytes | None:
        """P or Q without the blocks that are there; None where it is lost."""
        parity = self._parity.read(stripe, region, column)
        if parity is None:
            return None
        known = self._parity.table_is_sound(stripe)
        if known and short_digest(parity.data) != self._parity.digest(stripe, region, column):
            return None
        return parity ^ absorbed


def _merged(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges in order, those that touch joined, so that none overlaps another."""
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(ranges):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return merged
