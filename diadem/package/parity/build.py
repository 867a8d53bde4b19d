"""Writing the parity file of a sound package, in one pass over its bytes."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Generator, Iterator

import numpy as np
from blake3 import blake3

from diadem.errors import DiademError, DigestMismatch, line_of
from diadem.model.manifest import TAGMANIFEST, FileEntry
from diadem.model.ports import Bundle, Listener, Meter, silent
from diadem.package.examine import LIMITS, TagFiles
from diadem.package.parity.field import DATA, Bytes, absorb
from diadem.package.parity.format import Header, TagCopy, block_size, short_digest, tag_pieces
from diadem.package.tags import parse_manifest

Chunk = bytes | memoryview


def plan(bundle: Bundle, opened: TagFiles, *, block: int | None = None) -> Header:
    """What the header of a package's parity file will say; its `size` is that of the parity file.

    `block` is the bytes of a block, a power of two from 2 KiB to 1 MiB; by default fitted to the size of the package.
    Raises `DigestMismatch` if the package is another one now, `NotFound` or `PackageError` if a tag file is not there
    or cannot be read.
    """
    text = bundle.read(TAGMANIFEST, LIMITS[TAGMANIFEST])
    digest = hashlib.sha256(text).hexdigest()
    if digest != opened.id.hex:
        raise DigestMismatch(f"the package is no longer {opened.id}", where=TAGMANIFEST, next="Repair it first.")
    tags = []
    for sha256, path in [(digest, TAGMANIFEST), *parse_manifest(text, TAGMANIFEST)]:
        with bundle.open(path) as file:
            tags.append(TagCopy(path, file.size, sha256))
    total = sum(entry.size for entry in opened.manifest)
    size = opened.manifest.leaf_size
    return Header(opened.id, total, len(opened.manifest), size, block or block_size(total), tuple(tags))


def build(
    bundle: Bundle,
    opened: TagFiles,
    *,
    block: int | None = None,
    listener: Listener = silent,
    pace: Callable[[int], None] | None = None,
) -> Iterator[Chunk]:
    """Write the parity file of a package, piece by piece; a view is good until the next piece is asked for.

    Every leaf and tag file is proven while it is read: at the first that is not what was archived, `DigestMismatch` is
    raised, for parity of damaged bytes would preserve the damage. `block` is as in `plan`; `listener` is told of
    progress in bytes of the stream; `pace` is called with the bytes that are about to be read, and may wait.
    """
    header = plan(bundle, opened, block=block)
    yield header.front()
    for tag in header.tags:
        damaged = DigestMismatch("no parity is made from a damaged tag file", where=tag.path, next="Repair it first.")
        with bundle.open(tag.path) as file:
            yield from tag_pieces(tag, file.read_at, damaged)
    region = header.stripe(0).region if header.stripes else 0
    whole_p, whole_q = np.empty(region, dtype=np.uint8), np.empty(region, dtype=np.uint8)
    scratch: Bytes = np.empty(header.block, dtype=np.uint8)
    with contextlib.closing(_blocks(header, _proven_leaves(bundle, opened, listener, pace))) as blocks:
        for number in range(header.stripes):
            stripe = header.stripe(number)
            p, q = whole_p[: stripe.region], whole_q[: stripe.region]
            p.fill(0)
            q.fill(0)
            table = bytearray()
            for _ in range(DATA):
                for column in range(stripe.columns):
                    data = next(blocks)
                    place = slice(column * stripe.block, column * stripe.block + stripe.width(column))
                    absorb(p[place], q[place], data, scratch)
                    table += short_digest(data.data)
            for parity in (p, q):
                for column in range(stripe.columns):
                    first = column * stripe.block
                    table += short_digest(parity[first : first + stripe.width(column)].data)
            yield p.data
            yield q.data
            yield bytes(table)
            yield blake3(table).digest()
    yield header.back()


def _blocks(header: Header, leaves: Iterator[memoryview]) -> Generator[Bytes]:
    """The stream, which is all files end to end, cut into the blocks of the stripes, region by region."""
    room: Bytes = np.empty(header.block, dtype=np.uint8)
    rest = memoryview(b"")
    for number in range(header.stripes):
        stripe = header.stripe(number)
        for region in range(DATA):
            for column in range(stripe.columns):
                first, stop = stripe.extent(region, column)
                data = room[: stop - first]
                view = data.data
                while view:
                    rest = rest or next(leaves)
                    length = min(len(view), len(rest))
                    view[:length] = rest[:length]
                    view, rest = view[length:], rest[length:]
                yield data


def _proven_leaves(
    bundle: Bundle, opened: TagFiles, listener: Listener, pace: Callable[[int], None] | None
) -> Iterator[memoryview]:
    """All leaves of all files in their order, each proven; good until the next is asked for."""
    meter = Meter("parity", sum(entry.size for entry in opened.manifest), listener)
    buffer = memoryview(bytearray(opened.leaves.size))
    for entry in opened.manifest:
        if not entry.size:
            continue
        try:
            file = bundle.open(entry.path)
        except (DiademError, OSError) as error:
            raise _damaged(entry, 0, line_of(error)) from error
        with file:
            if file.size != entry.size:
                raise _damaged(entry, 0, f"the file has {file.size} bytes, not {entry.size}")
            for leaf in range(opened.leaves.count(entry)):
                start, stop = opened.leaves.span(entry, leaf)
                view = buffer[: stop - start]
                if pace is not None:
                    pace(len(view))
                try:
                    got = file.readinto_at(start, view)
                except (DiademError, OSError) as error:
                    raise _damaged(entry, start, line_of(error)) from error
                if got != len(view):
                    raise _damaged(entry, start, "the file became shorter while it was read")
                if not opened.leaves.proves(entry, leaf, view):
                    raise _damaged(entry, start, "not what was archived", leaf)
                meter.add(len(view), entry.path)
                yield view


def _damaged(entry: FileEntry, offset: int, reason: str, leaf: int | None = None) -> DigestMismatch:
    message = f"no parity is made from a damaged package: {reason}"
    advice = "Repair the package first."
    return DigestMismatch(message, where=entry.path, leaf=leaf, range=(offset, entry.size), next=advice)
