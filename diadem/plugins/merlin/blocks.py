"""Blocks of a MIB file: headers of its frames, and the .hdr file beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from diadem.hooks.fields import Block
from diadem.plugins.merlin.header import LONGEST, Header, parse

#: Files with more frames than this keep the headers of the others only in themselves: each is a seek.
_MOST_HEADERS = 1024
#: Bytes of a .hdr file; the program writes 2048.
_LONGEST_HDR = 1 << 20


def read(path: str, files: Sequence[str]) -> Iterator[Block]:
    """Cut the blocks of a MIB file.

    Parameters
    ----------
    path : str
        The .mib file.
    files : sequence of str
        All files of the dataset.

    Yields
    ------
    Block
        First frame, last frame, the frames between them in one piece, the .hdr file.
    """
    with Path(path).open("rb") as stream:
        first = parse(stream.read(LONGEST))
        if first is not None:
            yield _block("merlin-first-frame", stream, first, 1, 0)
            yield from _others(stream, first)
    for file in files:
        if file.lower().endswith(".hdr"):
            yield from _hdr(str(Path(file)))


def _block(kind: str, stream: BinaryIO, header: Header, number: int, start: int) -> Block:
    """A frame's header as a block."""
    stream.seek(start)
    data = stream.read(header.length)
    place = f"frame {number}"
    return Block(kind, header.tree, data, "text/plain", place, byte_range=(start, start + len(data)))


def _others(stream: BinaryIO, first: Header) -> Iterator[Block]:
    """The last whole frame, and those between."""
    count = stream.seek(0, 2) // first.step if first.step else 0
    if not count:
        return
    start = (count - 1) * first.step
    stream.seek(start)
    last = parse(stream.read(LONGEST))
    if last is not None and count == 1:
        yield Block("merlin-last-frame", last.tree, place="frame 1")
    elif last is not None:
        yield _block("merlin-last-frame", stream, last, count, start)
    if 2 < count <= _MOST_HEADERS:
        between = b"".join(_headers(stream, first, count))
        yield Block("merlin-frames", {}, between, "text/plain", f"frames 2 to {count - 1}")


def _headers(stream: BinaryIO, first: Header, count: int) -> Iterator[bytes]:
    for number in range(1, count - 1):
        stream.seek(number * first.step)
        yield stream.read(first.length)


def _hdr(path: str) -> Iterator[Block]:
    """The .hdr file: a name, a tab and a value on each line."""
    with Path(path).open("rb") as stream:
        text = stream.read(_LONGEST_HDR).decode("latin-1")
    if not text.startswith("HDR"):
        return
    pairs = (line.split("\t", 1) for line in text.splitlines()[1:] if "\t" in line and not line.startswith("End"))
    tree = {name.strip().removesuffix(":"): value.strip() for name, value in pairs}
    yield Block("merlin-hdr", tree, file=path)
