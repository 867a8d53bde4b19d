"""Proving one file: leaves from any place in it, digests from its beginning to its end."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import Executor, Future

from diadem.errors import DiademError
from diadem.model.manifest import leaf_count
from diadem.model.ports import Bundle, RangeReader
from diadem.package.ledger import FileJob, Ledger
from diadem.trust.hashing import Leaves, leaf_digest

#: Files from this size on have their leaves hashed beside their digest, on another thread.
LARGE = 4 << 20
_RING = 4
_COPY = "Restore this file from another copy."
_LEAF_COPY = "Restore this file, or these bytes of it, from another copy."


class FileCheck:
    """Proves files of one bag against leaf digests and whole-file digests.

    One object serves all threads of a run; each thread has its own buffers, made once.
    """

    def __init__(self, bundle: Bundle, ledger: Ledger, leaves: Leaves, lane: Executor | None = None) -> None:
        self._bundle = bundle
        self._ledger = ledger
        self._leaves = leaves
        self.leaf_size = leaves.size
        self._lane = lane
        self._local = threading.local()

    def check(self, job: FileJob, start: int = 0, stop: int | None = None) -> None:
        """Prove a file, or its leaves from `start` to `stop`; whatever goes wrong is a finding."""
        if job.size != job.present:
            self._ledger.fail(job.path)
        try:
            with self._bundle.open(job.path) as file:
                if file.size != job.present:
                    self._changed(job, f"it had {job.present} bytes, now {file.size}")
                elif job.digests:
                    self._whole(job, file)
                else:
                    self._stretch(job, file, start, stop)
        except (DiademError, OSError) as error:
            self._fail("file-unreadable", _reason(error), job)

    def whole_leaves(self, job: FileJob) -> int:
        """Leaves of a file that are there in full length."""
        if job.present < job.size:
            return job.present // self.leaf_size
        return leaf_count(job.size, self.leaf_size)

    def _stretch(self, job: FileJob, file: RangeReader, start: int, stop: int | None) -> None:
        """Leaves alone, each on its own."""
        count = self.whole_leaves(job)
        buffer = self._buffers(1)[0]
        for leaf in range(start, count if stop is None else min(stop, count)):
            if self._ledger.stop.is_set():
                return
            view = buffer[: self._length(job, leaf)]
            if self._read(job, file, leaf, view):
                self._leaf(job, leaf, view)

    def _whole(self, job: FileJob, file: RangeReader) -> None:
        """Digests of the whole file, and its leaves from the same buffers."""
        hashers = [hashlib.new(name, usedforsecurity=False) for name, _ in job.digests]
        ring = self._buffers(_RING if self._lane is not None and job.size >= LARGE else 1)
        pending: list[Future[None] | None] = [None] * len(ring)
        complete = True
        for leaf in range(leaf_count(job.size, self.leaf_size)):
            if self._ledger.stop.is_set():
                break
            place = leaf % len(ring)
            _settle(pending[place])
            view = ring[place][: self._length(job, leaf)]
            if not self._read(job, file, leaf, view):
                complete = False
                continue
            pending[place] = self._leaf_beside(job, leaf, view, apart=len(ring) > 1)
            for hasher in hashers:
                hasher.update(view)
            if job.size >= LARGE:
                self._ledger.advance(job.path, len(view))
        for one in pending:
            _settle(one)
        if complete and not self._ledger.stop.is_set():
            self._compare(job, [hasher.hexdigest() for hasher in hashers])

    def _compare(self, job: FileJob, digests: list[str]) -> None:
        """Compare the digests of a file; what a leaf has named is not said again."""
        if self._ledger.failed(job.path):
            return
        for (name, expected), digest in zip(job.digests, digests, strict=True):
            if digest != expected:
                self._fail("digest-mismatch", f"its {name} is {digest}; the list has {expected}", job)
        if job.first_leaf is None and not self._ledger.failed(job.path):
            self._ledger.held(job.size)

    def _leaf_beside(self, job: FileJob, leaf: int, view: memoryview, *, apart: bool) -> Future[None] | None:
        """Prove a leaf on the other lane, or here."""
        if job.first_leaf is None:
            return None
        if apart and self._lane is not None:
            return self._lane.submit(self._leaf, job, leaf, view)
        self._leaf(job, leaf, view)
        return None

    def _leaf(self, job: FileJob, leaf: int, view: memoryview) -> None:
        assert job.first_leaf is not None
        if leaf_digest(view) == self._leaves[job.first_leaf + leaf]:
            self._ledger.held(len(view), 1)
            return
        first = leaf * self.leaf_size
        message = f"bytes {first:,} to {first + len(view):,} are not what was archived"
        self._fail("leaf-mismatch", message, job, leaf, len(view))

    def _read(self, job: FileJob, file: RangeReader, leaf: int, view: memoryview) -> bool:
        try:
            got = file.readinto_at(leaf * self.leaf_size, view)
        except (DiademError, OSError) as error:
            self._fail("read-error", _reason(error), job, leaf, len(view))
            return False
        if got == len(view):
            return True
        self._changed(job, "it became shorter while it was read")
        return False

    def _length(self, job: FileJob, leaf: int) -> int:
        return min(self.leaf_size, job.size - leaf * self.leaf_size)

    def _buffers(self, count: int) -> list[memoryview]:
        """This thread's buffers, one leaf long each."""
        buffers: list[memoryview] = self._local.__dict__.setdefault("buffers", [])
        while len(buffers) < count:
            buffers.append(memoryview(bytearray(self.leaf_size)))
        return buffers[:count]

    def _changed(self, job: FileJob, how: str) -> None:
        self._fail("file-changed", f"the file changes while it is verified: {how}", job)

    def _fail(self, code: str, message: str, job: FileJob, leaf: int | None = None, length: int = 0) -> None:
        self._ledger.fail(job.path)
        if leaf is None:
            self._ledger.findings.error(code, message, job.path, next=_COPY)
            return
        first = leaf * self.leaf_size
        self._ledger.findings.error(code, message, job.path, leaf=leaf, range=(first, first + length), next=_LEAF_COPY)


def _settle(future: Future[None] | None) -> None:
    """Wait until a buffer is free again."""
    if future is not None:
        future.result()


def _reason(error: DiademError | OSError) -> str:
    """What a failed read says, in plain words."""
    if isinstance(error, DiademError):
        return error.message
    return f"cannot be read: {error.strerror or error}"
