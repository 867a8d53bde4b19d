"""A parity file, opened: is it sound, and lost leaves of its package made again from it."""

from __future__ import annotations

import bisect
import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator

import numpy as np
from blake3 import blake3

from diadem.errors import DiademError, DigestMismatch, IntegrityError
from diadem.model.layout import joined
from diadem.model.manifest import TAGMANIFEST, FileEntry, PackageId
from diadem.model.ports import Bundle, Listener, Progress, RangeReader, silent
from diadem.model.report import Findings, Level, Report
from diadem.package.examine import TagFiles
from diadem.package.parity.field import DATA, Bytes, absorb, solve
from diadem.package.parity.format import (
    DIGEST,
    SHORT_DIGEST,
    Stripe,
    TagCopy,
    bytes_of,
    read_header,
    short_digest,
    tag_pieces,
)
from diadem.package.tags import parse_manifest

#: Columns that are kept once they have been made again: neighbouring leaves share one.
_KEPT = 4
_AGAIN = "Write the parity file again from the package, once that verifies."
#: One leaf of a file, or all of it.
Suspect = tuple[FileEntry, int | None]


class Parity:
    """A parity file, opened for reading: copies of the tag files, and the blocks that make lost ones again.

    Its tables are read when they are asked for, one at a time; the file stays the caller's to close. Raises
    `IntegrityError` if both copies of the header are damaged, or it is no parity file.
    """

    def __init__(self, file: RangeReader) -> None:
        self.header, self._both = read_header(file)
        self._file = file
        self._table: tuple[int, bytes, bool] = (-1, b"", False)

    @property
    def package(self) -> PackageId:
        """The package that it belongs to."""
        return self.header.package

    # -- copies of the tag files -----------------------------------------------------------------------------------

    def tag_files(self) -> dict[str, TagCopy]:
        """Path to size and SHA-256 of every copy that should be there; the tag manifest's pins the package id."""
        return {tag.path: tag for tag in self.header.tags}

    def tag_blocks(self, path: str) -> Iterator[bytes]:
        """A copy of a tag file, piece by piece. At the end of a damaged one `DigestMismatch` is raised."""
        start, message = self.header.tag_offset(path), "the copy of the tag file beside the parity is damaged"
        yield from tag_pieces(
            self.tag_files()[path],
            lambda offset, length: bytes_of(self._file, start + offset, length),
            DigestMismatch(message, where=path, next=_AGAIN),
        )

    def proves_id(self) -> bool:
        """Whether the copies, as the header lists them, give the package id."""
        tags = self.tag_files()
        try:
            text = b"".join(self.tag_blocks(TAGMANIFEST))
            listed = {path: sha256 for sha256, path in parse_manifest(text, TAGMANIFEST)}
        except (KeyError, DiademError):
            return False
        others = {tag.path: tag.sha256 for tag in tags.values() if tag.path != TAGMANIFEST}
        return hashlib.sha256(text).hexdigest() == self.package.hex and others == listed

    # -- blocks ----------------------------------------------------------------------------------------------------

    def digest(self, stripe: Stripe, region: int, column: int) -> bytes:
        """What the table holds of a block; regions 20 and 21 are P and Q."""
        entry = (region * stripe.columns + column) * SHORT_DIGEST
        return self._table_of(stripe)[0][entry : entry + SHORT_DIGEST]

    def table_is_sound(self, stripe: Stripe) -> bool:
        """Whether a stripe's table is what was written."""
        return self._table_of(stripe)[1]

    def _table_of(self, stripe: Stripe) -> tuple[bytes, bool]:
        if self._table[0] != stripe.offset:
            place = stripe.offset + 2 * stripe.region
            data = bytes_of(self._file, place, stripe.table_size + DIGEST)
            table, digest = data[: stripe.table_size], data[stripe.table_size :]
            self._table = (stripe.offset, table, blake3(table).digest() == digest)
        return self._table[1], self._table[2]

    def read(self, stripe: Stripe, region: int, column: int) -> Bytes | None:
        """A block of P (region 20) or Q (21); None where it cannot be read."""
        data: Bytes = np.empty(stripe.width(column), dtype=np.uint8)
        try:
            got = self._file.readinto_at(stripe.parity_offset(region, column), data.data)
        except (DiademError, OSError):
            return None
        return data if got == len(data) else None

    # -- its own soundness -----------------------------------------------------------------------------------------

    def check(self, *, listener: Listener = silent) -> Report:
        """Read all of the parity file and say what is damaged in it. It is then written anew, never repaired."""
        findings = Findings()
        if not self._both:
            findings.error("parity-header-damaged", "its header, the copy of it or its length is damaged", next=_AGAIN)
        elif not self.proves_id():
            findings.error("parity-tag-file-damaged", "its tag files do not give the package id", next=_AGAIN)
        for path in self.tag_files():
            try:
                for _ in self.tag_blocks(path):
                    pass
            except IntegrityError as error:
                findings.error("parity-tag-file-damaged", error.message, path, next=_AGAIN)
        for number in range(self.header.stripes):
            stripe = self.header.stripe(number)
            if stripe.offset >= self._file.size:
                findings.error("parity-truncated", f"it ends before stripe {number}", next=_AGAIN)
                break
            self._check_stripe(stripe, findings)
            listener(Progress("parity", stripe.offset + stripe.size, self.header.size))
        return Report(str(self.package), Level.FULL, findings.sorted(), str(self.package), {"bytes": self._file.size})

    def _check_stripe(self, stripe: Stripe, findings: Findings) -> None:
        if not self.table_is_sound(stripe):
            findings.error("parity-table-damaged", f"the table at byte {stripe.offset} is damaged", next=_AGAIN)
        for region in (DATA, DATA + 1):
            for column in range(stripe.columns):
                data = self.read(stripe, region, column)
                if data is None or short_digest(data.data) != self.digest(stripe, region, column):
                    place = stripe.parity_offset(region, column)
                    findings.error("parity-block-damaged", f"the block at byte {place} is damaged", next=_AGAIN)


class _Stream:
    """The stream that parity protects: all files of the manifest in its order, end to end."""

    def __init__(self, opened: TagFiles) -> None:
        self._entries = [entry for entry in opened.manifest if entry.size]
        self._starts: list[int] = []
        self.total = 0
        for entry in self._entries:
            self._starts.append(self.total)
            self.total += entry.size
        self._by_path = {entry.path: start for entry, start in zip(self._entries, self._starts, strict=True)}

    def start(self, path: str) -> int:
        """Place of a file's first byte in the stream. KeyError for an empty file, which has none."""
        return self._by_path[path]

    def read(self, bundle: Bundle, start: int, view: memoryview) -> bool:
        """Fill a buffer from the stream; False where a file is missing, too short or cannot be read."""
        number = bisect.bisect_right(self._starts, start) - 1
        while view:
            entry, offset = self._entries[number], start - self._starts[number]
            length = min(len(view), entry.size - offset)
            try:
                with bundle.open(entry.path) as file:
                    got = file.readinto_at(offset, view[:length])
            except (DiademError, OSError):
                return False
            if got != length:
                return False
            start, view, number = start + length, view[length:], number + 1
        return True


class Rebuilder:
    """Makes leaves of a damaged package again from what is left of it and its parity.

    Which blocks are lost is told by the digests in the parity file. Where these mislead (they may be damaged
    themselves), the leaves that a verification found damaged tell it: the suspects. What the tag files say may come
    from anywhere. Nothing leaves here that is not what the package's leaf digests say. Raises `IntegrityError` if the
    parity belongs to another package.
    """

    def __init__(self, parity: Parity, bundle: Bundle, opened: TagFiles, suspects: Iterable[Suspect] = ()) -> None:
        self._stream = _Stream(opened)
        if parity.package != opened.id or parity.header.total != self._stream.total:
            raise IntegrityError(f"the parity belongs to {parity.package}", next="Write the parity file again.")
        self._parity = parity
        self._bundle = bundle
        self._opened = opened
        self._suspects = joined(self._range(entry, leaf) for entry, leaf in suspects if entry.size)
        self._columns: OrderedDict[tuple[int, int, bool], dict[int, Bytes] | None] = OrderedDict()
        self._scratch: Bytes = np.empty(parity.header.block, dtype=np.uint8)

    def leaf(self, entry: FileEntry, leaf: int) -> bytes:
        """One leaf of a file, proven. Raises `IntegrityError` if more is lost than parity can tell."""
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
        start = self._stream.start(entry.path)
        first, stop = (0, entry.size) if leaf is None else self._opened.leaves.span(entry, leaf)
        return start + first, start + stop

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
        if not self._stream.read(self._bundle, first, data.data):
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
