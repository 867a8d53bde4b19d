"""Parity of a package: twenty parts of data and two of parity, of which any two may be lost.

`build` writes the parity file of a sound package in one pass over its bytes; `Parity` is such a file, opened: copies of
the tag files, and the blocks from which `Rebuilder` (`diadem.package.parity_rebuild`) makes lost leaves again. Parity
lies in the same store as the package, so it mends local damage and never counts as a copy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import numpy as np
from blake3 import blake3

from diadem.errors import DiademError, DigestMismatch, IntegrityError
from diadem.model.ids import PackageId
from diadem.model.manifest import TAGMANIFEST
from diadem.model.ports import Bundle, Listener, Progress, RangeReader, silent
from diadem.model.report import Level, Report
from diadem.package.bagit import parse_manifest
from diadem.package.findings import Findings
from diadem.package.opening import LIMITS, OpenedPackage
from diadem.package.parity_field import DATA, Bytes, absorb
from diadem.package.parity_format import (
    DIGEST,
    SHORT_DIGEST,
    Header,
    Stripe,
    TagFile,
    block_size,
    read_header,
)
from diadem.package.parity_stream import ProvenStream

_PIECE = 1 << 20
_AGAIN = "Write the parity file again from the package, once that verifies."
Chunk = bytes | memoryview


def plan(bundle: Bundle, opened: OpenedPackage, *, block: int | None = None) -> Header:
    """What the header of a package's parity file will say; its `size` is that of the parity file.

    Parameters
    ----------
    bundle, opened : Bundle, OpenedPackage
        The package, and what its tag files say.
    block : int, optional
        Bytes of a block, a power of two; by default fitted to the size of the package.

    Raises
    ------
    DigestMismatch
        If the package is another one now.
    NotFound, PackageError
        If a tag file is not there or cannot be read.
    """
    text = bundle.read(TAGMANIFEST, LIMITS[TAGMANIFEST])
    digest = hashlib.sha256(text).hexdigest()
    if digest != opened.id.hex:
        raise DigestMismatch(f"the package is no longer {opened.id}", where=TAGMANIFEST, next="Repair it first.")
    listed = [(digest, TAGMANIFEST), *parse_manifest(text, TAGMANIFEST)]
    tags = tuple(TagFile(path, _size(bundle, path), sha256) for sha256, path in listed)
    total = sum(entry.size for entry in opened.manifest)
    return Header(opened.id, total, len(opened.manifest), opened.manifest.leaf_size, block or block_size(total), tags)


def _size(bundle: Bundle, path: str) -> int:
    with bundle.open(path) as file:
        return file.size


def build(
    bundle: Bundle,
    opened: OpenedPackage,
    *,
    block: int | None = None,
    listener: Listener = silent,
    pace: Callable[[int], None] | None = None,
) -> Iterator[Chunk]:
    """Write the parity file of a package.

    Parameters
    ----------
    bundle : Bundle
        The package. Every leaf and tag file is proven while it is read.
    opened : OpenedPackage
        What its tag files say.
    block : int, optional
        Bytes of a block, a power of two from 2 KiB to 1 MiB; by default fitted to the size of the package.
    listener : callable
        Told of progress, in bytes of the stream.
    pace : callable, optional
        Called with the number of bytes that are about to be read; may wait.

    Yields
    ------
    bytes or memoryview
        The parity file, piece by piece; a view is good until the next piece is asked for.

    Raises
    ------
    DigestMismatch
        At the first leaf or tag file that is not what was archived: there is no parity of damage.
    """
    header = plan(bundle, opened, block=block)
    yield header.front()
    for tag in header.tags:
        yield from _tag_file(bundle, tag)
    stream = ProvenStream(bundle, opened, listener)
    try:
        accumulators = _Accumulators(header, stream, pace)
        for number in range(header.stripes):
            yield from accumulators.stripe(header.stripe(number))
    finally:
        stream.close()
    yield header.back()


def _tag_file(bundle: Bundle, tag: TagFile) -> Iterator[bytes]:
    digest, offset = hashlib.sha256(), 0
    with bundle.open(tag.path) as file:
        while offset < tag.size and (piece := file.read_at(offset, min(_PIECE, tag.size - offset))):
            digest.update(piece)
            offset += len(piece)
            yield piece
    if offset != tag.size or digest.hexdigest() != tag.sha256:
        raise DigestMismatch("no parity is made from a damaged tag file", where=tag.path, next="Repair it first.")


class _Accumulators:
    """Room for P and Q of one stripe, used again for the next."""

    def __init__(self, header: Header, stream: ProvenStream, pace: Callable[[int], None] | None) -> None:
        self._stream = stream
        self._pace = pace
        region = header.stripe(0).region if header.stripes else 0
        self._p: Bytes = np.empty(region, dtype=np.uint8)
        self._q: Bytes = np.empty(region, dtype=np.uint8)
        self._data: Bytes = np.empty(header.block, dtype=np.uint8)
        self._scratch: Bytes = np.empty(header.block, dtype=np.uint8)

    def stripe(self, stripe: Stripe) -> Iterator[Chunk]:
        """P, Q and the table of one stripe."""
        p, q = self._p[: stripe.region], self._q[: stripe.region]
        p.fill(0)
        q.fill(0)
        table = bytearray()
        for region in range(DATA):
            for column in range(stripe.columns):
                table += self._take(stripe, region, column)
        for parity in (p, q):
            for column in range(stripe.columns):
                first = column * stripe.block
                table += short_digest(parity[first : first + stripe.width(column)].data)
        yield p.data
        yield q.data
        yield bytes(table)
        yield blake3(table).digest()

    def _take(self, stripe: Stripe, region: int, column: int) -> bytes:
        """Read a block into both parities; its digest."""
        first, stop = stripe.extent(region, column)
        data = self._data[: stop - first]
        if self._pace is not None:
            self._pace(stop - first)
        self._stream.fill(data.data)
        place = slice(column * stripe.block, column * stripe.block + stripe.width(column))
        absorb(self._p[place], self._q[place], data, self._scratch)
        return short_digest(data.data)


def short_digest(data: memoryview) -> bytes:
    """What a table holds of a block."""
    return blake3(data).digest(SHORT_DIGEST)


class Parity:
    """A parity file, opened for reading. Its tables are read when they are asked for, one at a time.

    Parameters
    ----------
    file : RangeReader
        The file; it stays the caller's to close.

    Raises
    ------
    IntegrityError
        If both copies of the header are damaged, or it is no parity file.
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

    def tag_files(self) -> dict[str, TagFile]:
        """Path to size and SHA-256 of every copy that should be there; the tag manifest's pins the package id."""
        return {tag.path: tag for tag in self.header.tags}

    def tag_blocks(self, path: str) -> Iterator[bytes]:
        """A copy of a tag file, piece by piece.

        Raises
        ------
        DigestMismatch
            At the end, if the copy is damaged: take nothing of it.
        """
        tag = self.tag_files()[path]
        digest, offset = hashlib.sha256(), 0
        start = self.header.tag_offset(path)
        while offset < tag.size:
            try:
                piece = self._file.read_at(start + offset, min(_PIECE, tag.size - offset))
            except (DiademError, OSError):
                piece = b""
            if not piece:
                break
            digest.update(piece)
            offset += len(piece)
            yield piece
        if offset != tag.size or digest.hexdigest() != tag.sha256:
            raise DigestMismatch("the copy of the tag file beside the parity is damaged", where=path, next=_AGAIN)

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
            try:
                data = self._file.read_at(place, stripe.table_size + DIGEST)
            except (DiademError, OSError):
                data = b""
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
            self._check_tag_file(path, findings)
        for number in range(self.header.stripes):
            stripe = self.header.stripe(number)
            if stripe.offset >= self._file.size:
                findings.error("parity-truncated", f"it ends before stripe {number}", next=_AGAIN)
                break
            self._check_stripe(stripe, findings)
            listener(Progress("parity", stripe.offset + stripe.size, self.header.size))
        return Report(str(self.package), Level.FULL, findings.sorted(), str(self.package), {"bytes": self._file.size})

    def _check_tag_file(self, path: str, findings: Findings) -> None:
        try:
            for _ in self.tag_blocks(path):
                pass
        except IntegrityError as error:
            findings.error("parity-tag-file-damaged", error.message, path, next=_AGAIN)

    def _check_stripe(self, stripe: Stripe, findings: Findings) -> None:
        if not self.table_is_sound(stripe):
            findings.error("parity-table-damaged", f"the table at byte {stripe.offset} is damaged", next=_AGAIN)
        for region in (DATA, DATA + 1):
            for column in range(stripe.columns):
                data = self.read(stripe, region, column)
                if data is None or short_digest(data.data) != self.digest(stripe, region, column):
                    place = stripe.parity_offset(region, column)
                    findings.error("parity-block-damaged", f"the block at byte {place} is damaged", next=_AGAIN)
