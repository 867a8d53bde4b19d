"""What a folder that was archived is recognised by when it comes again: where it was, and its largest files.

A trace is a guess that costs a comparison of names; the proof is a hash of every byte. Kept are the source and the
largest files only, so that a session of 20,000 frames has as few as one of ten.
"""

from __future__ import annotations

import hashlib
import heapq
import os
from collections.abc import Iterable

from diadem.model.manifest import FileEntry

#: Files of a package that leave a trace with their time, and of these, without it.
_KEPT, _TIMELESS = 32, 4


def of_file(name: bytes, size: int, mtime_ns: int | None = None) -> int:
    """The trace of a file by its original path, relative to what was archived, its size, and its time in seconds."""
    time = b"" if mtime_ns is None else b"%d" % (mtime_ns // 1_000_000_000)
    return _trace(b"file\0%d\0%s\0%s" % (size, time, name))


def of_source(source: str) -> int:
    """The trace of a folder by its place."""
    return _trace(b"source\0" + os.fsencode(source))


def of_package(files: Iterable[FileEntry], source: str) -> frozenset[int]:
    """The traces that a package leaves."""
    largest = heapq.nlargest(_KEPT, files, key=lambda file: (file.size, file.original_name))
    traces = {of_file(file.original_name, file.size, file.mtime_ns) for file in largest}
    traces |= {of_file(file.original_name, file.size) for file in largest[:_TIMELESS]}
    return frozenset(traces | {of_source(source)} if source else traces)


def _trace(data: bytes) -> int:
    """64 bits with a sign, as databases have them."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big", signed=True)
