"""Part 1 of a package: its tag files, in the order of the tag manifest, each behind its length; given and taken."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from diadem.errors import DiademError, DigestMismatch, PackageError, StoreError, Unreachable
from diadem.model.manifest import TAGMANIFEST
from diadem.model.names import require_sound_names
from diadem.model.ports import Bundle
from diadem.network.limits import BLOCK, PORTION
from diadem.network.link import Reader
from diadem.package.examine import LIMITS
from diadem.package.tags import parse_manifest

LENGTH: Final = struct.Struct(">Q")
#: Tag files that a package may have, and bytes of one that this version does not know.
_MOST: Final = 64
_UNKNOWN_LIMIT: Final = 1 << 20
_MEND: Final = "Run: diadem scrub, then diadem repair"
_AGAIN: Final = "Its sender must repair the package: diadem repair"


def tag_files(tagmanifest: bytes) -> list[tuple[str, str]]:
    """Digest and path of every other tag file.

    Raises
    ------
    PackageError
        A path is no tag file's.
    """
    listed = parse_manifest(tagmanifest, TAGMANIFEST)
    if len(listed) > _MOST:
        raise PackageError(f"it lists {len(listed)} tag files", where=TAGMANIFEST, next="Do not trust it.")
    # besides these: none of them is the payload's, or the tag manifest itself, on any system
    require_sound_names(["data", TAGMANIFEST, *(path for _, path in listed)])
    return listed


def tag_part(bundle: Bundle, paths: Iterable[str]) -> tuple[int, Iterator[bytes]]:
    """Bytes of some tag files, each behind its length, and these, block by block.

    Raises
    ------
    StoreError
        A file became shorter, or its disk fails; that comes while the blocks are read.
    """
    sizes = []
    for path in paths:
        with bundle.open(path) as reader:
            sizes.append((path, reader.size))
    return sum(LENGTH.size + size for _, size in sizes), _blocks_of(bundle, sizes)


def _blocks_of(bundle: Bundle, sizes: list[tuple[str, int]]) -> Iterator[bytes]:
    for path, size in sizes:
        yield LENGTH.pack(size)
        try:
            with bundle.open(path) as reader:
                for at in range(0, size, BLOCK):
                    block = reader.read_at(at, wanted := min(BLOCK, size - at))
                    if len(block) != wanted:  # the next file must not stand in its place
                        raise StoreError("it became shorter while it was sent", where=path, next=_MEND)
                    yield block
        except OSError as error:
            if isinstance(error, DiademError):
                raise
            raise StoreError(f"it cannot be read: {error.strerror or error}", where=path, next=_MEND) from error


def limit_of(path: str) -> int:
    """Bytes of a tag file at most."""
    return LIMITS.get(path, _UNKNOWN_LIMIT)


def read_tag_files(
    incoming: Reader,
    listed: list[tuple[str, str]],
    room: int,
    keep: Callable[[str, Iterator[memoryview]], None],
) -> int:
    """Take part 1 apart, as it comes.

    Parameters
    ----------
    incoming : Reader
        The part.
    listed : list of (digest, path)
        As `tag_files` gives them.
    room : int
        Bytes of all tag files at most.
    keep : callable
        Writes a file: path, and its blocks.

    Returns
    -------
    int
        Bytes that came.

    Raises
    ------
    PackageError
        A file is longer than is read, or something follows the last one.
    DigestMismatch
        A file is not the one that the tag manifest lists.
    """
    came = 0
    for digest, path in listed:
        (size,) = LENGTH.unpack(_exactly(incoming, LENGTH.size))
        came += LENGTH.size + size
        if size > limit_of(path) or came > room:
            raise PackageError(f"{size:,} bytes are more than a tag file may have", where=path, next="Do not trust it.")
        hasher = hashlib.sha256()
        keep(path, _hashing(incoming, size, hasher.update))
        if hasher.hexdigest() != digest:
            raise DigestMismatch("the tag file is not what the tag manifest lists", where=path, next=_AGAIN)
    if incoming.readinto(memoryview(bytearray(1))):
        raise PackageError("more bytes came than the tag files have", where=TAGMANIFEST, next="Do not trust it.")
    return came


def _hashing(incoming: Reader, size: int, update: Callable[[memoryview], None]) -> Iterator[memoryview]:
    buffer = memoryview(bytearray(min(PORTION, size)))
    while size:
        count = incoming.readinto(buffer[: min(len(buffer), size)])
        if not count:
            raise Unreachable(
                "the connection ended in the middle of a tag file", next="Continue: diadem transfer resume"
            )
        update(buffer[:count])
        yield buffer[:count]
        size -= count


def _exactly(incoming: Reader, size: int) -> bytes:
    return b"".join(bytes(block) for block in _hashing(incoming, size, lambda _: None))
