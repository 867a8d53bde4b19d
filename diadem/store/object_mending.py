"""Putting right what is damaged in a package of an object store: objects are sent again, whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from diadem.errors import DigestMismatch, Refused, UsageError
from diadem.model.manifest import TAGMANIFEST, FileEntry, leaf_count
from diadem.package.names import unsafe
from diadem.store.object_client import ObjectClient, Stat
from diadem.store.object_parts import SINGLE_SIZE, PartedObject, part_size

#: Bytes asked for at once where an object is read only to be written again.
_STEP = 8 << 20


def replace_leaf(client: ObjectClient, path: str, entry: FileEntry, leaf: int, leaf_size: int, data: bytes) -> None:
    """Send a file again with one leaf exchanged; the rest is what lies there.

    Raises
    ------
    DigestMismatch
        If the data has not the length of the leaf.
    Refused
        If the file is missing or of another size.
    """
    if not 0 <= leaf < leaf_count(entry.size, leaf_size):
        raise UsageError(f"the file has no leaf {leaf}", where=entry.path)
    start = leaf * leaf_size
    if len(data) != min(leaf_size, entry.size - start):
        raise DigestMismatch("the bytes do not have the length of the leaf", where=entry.path, leaf=leaf)
    key = _key(path, entry.path)
    stat = client.stat(key)
    if stat is None or stat.size != entry.size:
        there = "is not there" if stat is None else f"has {stat.size} bytes, not {entry.size}"
        raise Refused(f"the file {there}", where=key, next="Replace the whole file.")
    put_blocks(client, key, _patched(client, stat, start, data), entry.size)


def replace_file(client: ObjectClient, path: str, file: str, blocks: Iterable[bytes], size: int) -> None:
    """Send a file, in place of whatever is there.

    Raises
    ------
    DigestMismatch
        If there are more or fewer bytes than `size`; what was there stays, where the store can do that.
    """
    if file != TAGMANIFEST and client.stat(_key(path, TAGMANIFEST)) is None:
        raise Refused("the package is not there", where=path, next="Copy it from another store.")
    put_blocks(client, _key(path, file), blocks, size)


def put_blocks(client: ObjectClient, key: str, blocks: Iterable[bytes], size: int) -> None:
    """Write an object from blocks of any length."""
    exact = _exactly(blocks, size, key)
    if size <= SINGLE_SIZE:
        data = b"".join(exact)
        client.put(key, data, sha256=hashlib.sha256(data).digest())
    elif not client.has_parts:
        client.put_stream(key, exact)
    else:
        parted = PartedObject(client, key, size)
        try:
            for number, part in enumerate(_regrouped(exact, part_size(size)), 1):
                parted.send(number, part)
        except BaseException:
            parted.give_up()
            raise


def _key(path: str, file: str) -> str:
    if reason := unsafe(file):
        raise Refused(f"is not touched: {reason}", where=file, next="Name a file of the package.")
    return f"{path}/{file}"


def _patched(client: ObjectClient, stat: Stat, start: int, data: bytes) -> Iterator[bytes]:
    end = start + len(data)
    for first, last in ((0, start), (end, stat.size)):
        for offset in range(first, last, _STEP):
            yield client.get(stat.key, offset, min(offset + _STEP, last), stat.version)
        if last == start:
            yield data


def _exactly(blocks: Iterable[bytes], size: int, where: str) -> Iterator[bytes]:
    """The blocks; an error at the end, before anything is complete, unless they are `size` bytes."""
    left = size
    for block in blocks:
        left -= len(block)
        if left < 0:
            break
        yield block
    if left:
        message = f"the number of bytes found for the file is not {size}; nothing was changed"
        raise DigestMismatch(message, where=where, next="Look for another copy.")


def _regrouped(blocks: Iterable[bytes], length: int) -> Iterator[bytes]:
    """The same bytes in blocks of one length, the last one perhaps shorter."""
    held = bytearray()
    for block in blocks:
        held += block
        while len(held) > length:  # the last one is kept back until the end is known to be right
            yield bytes(held[:length])
            del held[:length]
    if held:
        yield bytes(held)
