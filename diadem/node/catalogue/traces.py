"""What a folder that was archived is recognised by when it comes again: where it was, and its largest files.

A trace is a guess that costs a comparison of names; the proof is a hash of every byte. Kept are the source and the
largest files only, so that a session of 20,000 frames has as few as one of ten.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable

#: Files of a package that leave a trace.
_KEPT = 32


def of_file(name: bytes, size: int) -> int:
    """The trace of a file by its original path, relative to what was archived, and its size."""
    return _trace(b"file\0%d\0%s" % (size, name))


def of_source(source: str) -> int:
    """The trace of a folder by its place."""
    return _trace(b"source\0" + source.encode("utf-8", "surrogateescape"))


def of_package(files: Iterable[tuple[bytes, int]], source: str) -> frozenset[int]:
    """The traces that a package leaves."""
    largest = heapq.nlargest(_KEPT, files, key=lambda file: (file[1], file[0]))
    traces = {of_file(name, size) for name, size in largest}
    return frozenset(traces | {of_source(source)} if source else traces)


def _trace(data: bytes) -> int:
    """64 bits with a sign, as databases have them."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big", signed=True)
