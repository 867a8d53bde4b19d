"""The parity file of a package, `<package id>.pq`: where everything lies in it.

::

    "DIADEMPQ"  u32 version  u32 length of the header        numbers are little-endian
    header      JSON, ASCII                                  what `Header` holds
    32 bytes    BLAKE3 of the header
    tag files   verbatim, one after the other, in the order of the header
    stripe 0    P, Q, table, 32 bytes BLAKE3 of the table
    stripe 1    …
    header      once more
    32 bytes    BLAKE3 of the header
    u32 length of the header  "QPMEDAID"

What is protected is the stream: all files of the manifest in its order, end to end. It is cut into stripes of 20
regions; a stripe's regions are consecutive. Region and parities are cut into blocks; blocks at the same place of their
region form a column, and of the 22 blocks in a column any two can be lost. The table holds, in 16 bytes each, the
beginnings of the BLAKE3 digests of the stripe's blocks: region 0 block by block … region 19, P, Q. They tell which
blocks are lost; they do not prove what is rebuilt, which the package's own leaves do.

A region is a twentieth of its stripe and, but in very small stripes, one block more. So any damage in one place of up
to a tenth of the stripe (128 MiB of 1.25 GiB) touches each column at most twice, wherever it begins.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from blake3 import blake3

from diadem.errors import DiademError, DigestMismatch, IntegrityError
from diadem.model.manifest import PackageId
from diadem.model.ports import RangeReader
from diadem.package.parity.field import DATA

FORMAT = "diadem-parity/1"
MAGIC, END_MAGIC = b"DIADEMPQ", b"QPMEDAID"
VERSION = 1
#: Bytes of a digest in a table, and of those that guard header and tables.
SHORT_DIGEST, DIGEST = 16, 32
#: Smallest and largest block: below, the tables would outgrow the parities; above, one flip would cost a long block.
MIN_BLOCK, MAX_BLOCK = 2 << 10, 1 << 20
#: Blocks in a full region: 64, and one for damage that begins in the middle of a block.
_REGION_BLOCKS = 65
#: Blocks that a stripe needs before a region gets its block more: it then costs less than 1 % of the data.
_ENOUGH_BLOCKS = 256
#: Regions are a multiple of this many bytes.
_GRAIN = 64
_PIECE = 1 << 20
_BLOCKS_AIMED_AT = 640
_MAX_HEADER = 1 << 20
_FRONT = struct.Struct("<8sII")
_BACK = struct.Struct("<I8s")
_AGAIN = "Write it again from the package, once that verifies."


@dataclass(frozen=True, slots=True)
class Stripe:
    """One stripe: its bytes in the stream, the bytes of a region (of P and of Q too) and of a block, of which the last
    of a region may be shorter, and the offset in the parity file at which its P begins.
    """

    start: int
    length: int
    region: int
    block: int
    offset: int

    @property
    def columns(self) -> int:
        """Blocks in a region."""
        return -(-self.region // self.block)

    @property
    def table_size(self) -> int:
        """Bytes of the table."""
        return (DATA + 2) * self.columns * SHORT_DIGEST

    @property
    def size(self) -> int:
        """Bytes of the stripe in the parity file."""
        return 2 * self.region + self.table_size + DIGEST

    def width(self, column: int) -> int:
        """Bytes of the blocks of a column."""
        return min(self.block, self.region - column * self.block)

    def extent(self, region: int, column: int) -> tuple[int, int]:
        """First byte and end in the stream of a data block; empty where the stream has ended."""
        end = self.start + self.length
        first = min(self.start + region * self.region + column * self.block, end)
        return first, min(first + self.width(column), end)

    def parity_offset(self, region: int, column: int) -> int:
        """Where a block of P (region 20) or Q (region 21) lies in the parity file."""
        return self.offset + (region - DATA) * self.region + column * self.block

    def locate(self, position: int) -> tuple[int, int]:
        """Region and column of a byte of the stream."""
        region, rest = divmod(position - self.start, self.region)
        return region, rest // self.block


@dataclass(frozen=True, slots=True)
class TagCopy:
    """A tag file that the parity file holds a copy of."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Header:
    """What the header of a parity file says: the package, the bytes of its stream and the files in it, the bytes in a
    leaf and in a block, and the copies of tag files, in order.
    """

    package: PackageId
    total: int
    files: int
    leaf_size: int
    block: int
    tags: tuple[TagCopy, ...]

    def to_bytes(self) -> bytes:
        """The header's JSON."""
        members = {
            "block": self.block,
            "field": "GF(2^8) 0x11d",
            "files": self.files,
            "format": FORMAT,
            "k": DATA,
            "leaf": self.leaf_size,
            "p": 2,
            "package": str(self.package),
            "tags": [[tag.path, tag.size, tag.sha256] for tag in self.tags],
            "total": self.total,
        }
        return json.dumps(members, sort_keys=True, separators=(",", ":")).encode()

    def front(self) -> bytes:
        """The beginning of the parity file, up to the tag files."""
        text = self.to_bytes()
        return _FRONT.pack(MAGIC, VERSION, len(text)) + text + blake3(text).digest()

    def back(self) -> bytes:
        """The end of the parity file."""
        text = self.to_bytes()
        return text + blake3(text).digest() + _BACK.pack(len(text), END_MAGIC)

    @property
    def size(self) -> int:
        """Bytes of the whole parity file."""
        last = self.stripe(self.stripes - 1) if self.stripes else None
        end = self._stripes_offset if last is None else last.offset + last.size
        return end + len(self.back())

    def tag_offset(self, path: str) -> int:
        """Where the copy of a tag file begins; KeyError if there is none."""
        offset = len(self.front())
        for tag in self.tags:
            if tag.path == path:
                return offset
            offset += tag.size
        raise KeyError(path)

    @property
    def _stripes_offset(self) -> int:
        return len(self.front()) + sum(tag.size for tag in self.tags)

    @property
    def stripes(self) -> int:
        """Number of stripes; an empty stream has none."""
        return -(-self.total // self._full)

    @property
    def _full(self) -> int:
        """Bytes of the stream in a full stripe."""
        return DATA * _REGION_BLOCKS * self.block

    def stripe(self, number: int) -> Stripe:
        """A stripe, from 0."""
        start = number * self._full
        length = min(self._full, self.total - start)
        full = Stripe(0, self._full, region_size(self._full, self.block), self.block, 0)
        offset = self._stripes_offset + number * full.size
        return Stripe(start, length, region_size(length, self.block), self.block, offset)

    def stripes_of(self, start: int, stop: int) -> Iterator[Stripe]:
        """The stripes that hold some bytes of the stream."""
        if start < stop:
            yield from (self.stripe(number) for number in range(start // self._full, (stop - 1) // self._full + 1))


def short_digest(data: memoryview) -> bytes:
    """What a table holds of a block."""
    return blake3(data).digest(SHORT_DIGEST)


def block_size(total: int) -> int:
    """Bytes of a block for a stream of so many bytes: a power of two, at least a 640th of it."""
    aim = -(-total // _BLOCKS_AIMED_AT)
    return min(max(MIN_BLOCK, 1 << max(0, aim - 1).bit_length()), MAX_BLOCK)


def region_size(length: int, block: int) -> int:
    """Bytes of a region in a stripe of `length` bytes."""
    twentieth = -(-length // (DATA * _GRAIN)) * _GRAIN
    slack = block if length >= _ENOUGH_BLOCKS * block else 0
    return min(twentieth + slack, _REGION_BLOCKS * block)


def tag_pieces(tag: TagCopy, read: Callable[[int, int], bytes], damaged: DigestMismatch) -> Iterator[bytes]:
    """A tag file, piece by piece, as `read` gives bytes at an offset. At its end `damaged` is raised, if it is so."""
    digest, offset = hashlib.sha256(), 0
    while offset < tag.size and (piece := read(offset, min(_PIECE, tag.size - offset))):
        digest.update(piece)
        offset += len(piece)
        yield piece
    if offset != tag.size or digest.hexdigest() != tag.sha256:
        raise damaged


def read_header(file: RangeReader) -> tuple[Header, bool]:
    """The header of a parity file, from whichever of its two copies is sound, and whether both are.

    Raises `IntegrityError` if neither is, or it is no parity file of this version.
    """
    copies: list[bytes] = []
    front, back = bytes_of(file, 0, _FRONT.size), bytes_of(file, file.size - _BACK.size, _BACK.size)
    if len(front) == _FRONT.size:
        magic, version, length = _FRONT.unpack(front)
        if (magic, version) == (MAGIC, VERSION):
            copies += _guarded(file, _FRONT.size, length)
    if len(back) == _BACK.size:
        length, magic = _BACK.unpack(back)
        if magic == END_MAGIC:
            copies += _guarded(file, file.size - _BACK.size - DIGEST - length, length)
    if not copies:
        raise IntegrityError("is not a parity file, or both copies of its header are damaged", next=_AGAIN)
    header = _parsed(copies[0])
    return header, len(copies) == 2 and copies[0] == copies[1] and file.size == header.size


def bytes_of(file: RangeReader, offset: int, length: int) -> bytes:
    """Bytes of the file; none where the disk cannot read them."""
    try:
        return file.read_at(offset, length) if offset >= 0 else b""
    except (DiademError, OSError):
        return b""


def _guarded(file: RangeReader, offset: int, length: int) -> list[bytes]:
    """The header there, if the digest behind it is right."""
    data = bytes_of(file, offset, length + DIGEST) if length <= _MAX_HEADER else b""
    text = data[:length]
    return [text] if len(data) == length + DIGEST and blake3(text).digest() == data[length:] else []


def _parsed(text: bytes) -> Header:
    """A header whose digest is right; it is still not trusted to be one of ours."""
    try:
        members: dict[str, Any] = json.loads(text)
        tags = tuple(TagCopy(str(path), int(size), str(sha256)) for path, size, sha256 in members["tags"])
        total, files, leaf_size, block = (int(members[name]) for name in ("total", "files", "leaf", "block"))
        header = Header(PackageId(members["package"]), total, files, leaf_size, block, tags)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, DiademError) as error:
        raise IntegrityError("the header of the parity file cannot be read", next=_AGAIN) from error
    sound = total >= 0 and block & (block - 1) == 0 and MIN_BLOCK <= block <= MAX_BLOCK
    if header.to_bytes() != text or not sound or min((tag.size for tag in tags), default=0) < 0:
        raise IntegrityError("the header of the parity file contradicts itself", next=_AGAIN)
    return header
