"""Proving the bytes of many files: every leaf by BLAKE3, whole files by any digest, on all cores, within one file too.

Files are read into buffers, never mapped into memory: a mapped file that shrinks or fails kills the process.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from diadem.errors import DiademError
from diadem.model.manifest import leaf_count
from diadem.model.ports import Bundle, Listener, Meter, RangeReader
from diadem.model.report import Findings
from diadem.trust.hashing import Leaves, leaf_digest
from diadem.work import do_all

Task = Callable[[], None]
#: Files from this size on are cut into stretches, or have their leaves hashed beside their digest, on another thread.
_LARGE = 4 << 20
#: Bytes that a thread takes at once: a stretch of one file, or several small files.
_STRETCH = 16 << 20
_BATCH = 256
_RING = 4
_COPY = "Restore this file from another copy."
_LEAF_COPY = "Restore this file, or these bytes of it, from another copy."


@dataclass(frozen=True, slots=True)
class FileJob:
    """A file to prove.

    `size` is the bytes that it should have, `present` those that it has: where they are fewer, only its whole leaves
    are proven. `first_leaf` is None where leaves are not looked at; `digests` are (hashlib name, hex) of all of it.
    """

    path: str
    size: int
    present: int
    first_leaf: int | None = None
    digests: tuple[tuple[str, str], ...] = ()

    @property
    def available(self) -> int:
        """Bytes that can be read."""
        return min(self.size, self.present)


@dataclass(frozen=True, slots=True)
class Proven:
    """Counts of what was proven: files, bytes, leaves."""

    files: int = 0
    bytes: int = 0
    leaves: int = 0


def core_count() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def prove(
    bundle: Bundle,
    jobs: list[FileJob],
    *,
    findings: Findings,
    listener: Listener,
    leaves: Leaves | None = None,
    workers: int | None = None,
) -> Proven:
    """Read files and compare them with their digests; damage, or a file that cannot be read, is a finding.

    `leaves` are all leaf digests of the package, where they are known; `workers` are threads, by default one for each
    processor. An interruption stops every thread within one leaf and is raised again.
    """
    threads = max(1, workers or core_count())
    beside = threads > 1 and any(job.digests and job.size >= _LARGE for job in jobs)
    lane = ThreadPoolExecutor(threads, "diadem-leaves") if beside else None
    proof = _Proof(bundle, findings, listener, leaves or Leaves(), sum(job.available for job in jobs), lane)
    try:
        tasks = list(_tasks(proof, jobs))
        do_all(tasks, threads=min(threads, len(tasks)), stop=proof.stop.set)
    finally:
        proof.stop.set()
        if lane is not None:
            lane.shutdown()
    return Proven(sum(job.path not in proof.failed for job in jobs), proof.bytes, proof.leaves)


def _tasks(proof: _Proof, jobs: list[FileJob]) -> Iterator[Task]:
    """Cut the work into pieces of similar size: stretches of large files, then batches of small ones."""
    for job in jobs:
        if job.size < _LARGE:
            continue
        whole_leaves = proof.whole_leaves(job)
        if job.digests or not whole_leaves:
            yield partial(proof.check, job)
            continue
        step = max(1, _STRETCH // proof.leaf_size)
        for start in range(0, whole_leaves, step):
            yield partial(proof.check_stretch, job, start, start + step)
    batch: list[FileJob] = []
    filled = 0
    for job in jobs:
        if job.size >= _LARGE:
            continue
        batch.append(job)
        filled += job.available
        if filled >= _STRETCH or len(batch) == _BATCH:
            yield partial(proof.check_batch, batch)
            batch, filled = [], 0
    if batch:
        yield partial(proof.check_batch, batch)


class _Proof:
    """One run over the files of a bag: what was proven, what failed, how far it is. One object serves all its threads.

    Batches of small files are let through one at a time, unless they mostly wait for the disk or the network. Opening
    small files from memory is work for the interpreter, whose threads then only hinder each other (20,000 files of
    16 KiB: one thread 0.27 s, two 0.52 s); while they wait, several threads hide the latency.
    """

    def __init__(
        self,
        bundle: Bundle,
        findings: Findings,
        listener: Listener,
        leaves: Leaves,
        total: int,
        lane: Executor | None,
    ) -> None:
        self.stop = threading.Event()
        self.failed: set[str] = set()
        self.bytes = self.leaves = 0
        self.leaf_size = leaves.size
        self._bundle, self._findings = bundle, findings
        self._meter = Meter("verify", total, listener)
        self._digests = leaves
        self._lane = lane
        self._counts, self._one_batch = threading.Lock(), threading.Lock()
        self._batches_wait = False
        self._local = threading.local()

    def check_batch(self, jobs: list[FileJob]) -> None:
        """Prove small files, alone or beside other batches."""
        if not self._batches_wait:
            with self._one_batch:
                if not self._batches_wait:
                    wall, busy = time.perf_counter(), time.thread_time()
                    self._check_all(jobs)
                    self._batches_wait = 2 * (time.thread_time() - busy) < time.perf_counter() - wall
                    return
        self._check_all(jobs)

    def _check_all(self, jobs: list[FileJob]) -> None:
        for job in jobs:
            if self.stop.is_set():
                return
            self.check(job)
        self._meter.add(sum(job.available for job in jobs), jobs[-1].path)

    def check_stretch(self, job: FileJob, start: int, stop: int) -> None:
        """Prove leaves of a file from `start` to `stop`."""
        self.check(job, start, stop)
        self._meter.add(min(stop * self.leaf_size, job.available) - start * self.leaf_size, job.path)

    def check(self, job: FileJob, start: int = 0, stop: int | None = None) -> None:
        """Prove a file, or its leaves from `start` to `stop`; whatever goes wrong is a finding."""
        if job.size != job.present:
            self.failed.add(job.path)
        try:
            with self._bundle.open(job.path) as file:
                if file.size != job.present:
                    self._changed(job, f"it had {job.present} bytes, now {file.size}")
                elif job.digests:
                    self._check_whole(job, file)
                else:
                    self._check_leaves(job, file, start, stop)
        except (DiademError, OSError) as error:
            self._fail("file-unreadable", _reason(error), job)

    def whole_leaves(self, job: FileJob) -> int:
        """Leaves of a file that are there in full length."""
        if job.present < job.size:
            return job.present // self.leaf_size
        return leaf_count(job.size, self.leaf_size)

    def _check_leaves(self, job: FileJob, file: RangeReader, start: int, stop: int | None) -> None:
        """Leaves alone, each on its own."""
        count = self.whole_leaves(job)
        (buffer,) = self._buffers(1)
        for leaf in range(start, count if stop is None else min(stop, count)):
            if self.stop.is_set():
                return
            view = buffer[: min(self.leaf_size, job.size - leaf * self.leaf_size)]
            if self._read(job, file, leaf, view):
                self._prove_leaf(job, leaf, view)

    def _check_whole(self, job: FileJob, file: RangeReader) -> None:
        """Digests of the whole file, and its leaves from the same buffers: of a large file on the other lane."""
        hashers = [hashlib.new(name, usedforsecurity=False) for name, _ in job.digests]
        lane = self._lane if job.size >= _LARGE and job.first_leaf is not None else None
        ring = self._buffers(1 if lane is None else _RING)
        pending: list[Future[None] | None] = [None] * len(ring)
        complete = True
        for leaf in range(leaf_count(job.size, self.leaf_size)):
            if self.stop.is_set():
                break
            place = leaf % len(ring)
            _wait(pending[place])
            view = ring[place][: min(self.leaf_size, job.size - leaf * self.leaf_size)]
            if not self._read(job, file, leaf, view):
                complete = False
                continue
            if lane is not None:
                pending[place] = lane.submit(self._prove_leaf, job, leaf, view)
            else:
                self._prove_leaf(job, leaf, view)
            for hasher in hashers:
                hasher.update(view)
            if job.size >= _LARGE:
                self._meter.add(len(view), job.path)
        for future in pending:
            _wait(future)
        if complete and not self.stop.is_set() and job.path not in self.failed:  # what a leaf named is not said again
            self._compare(job, hashers)

    def _compare(self, job: FileJob, hashers: list[Any]) -> None:
        for (name, expected), hasher in zip(job.digests, hashers, strict=True):
            if (digest := hasher.hexdigest()) != expected:
                self._fail("digest-mismatch", f"its {name} is {digest}; the list has {expected}", job)
        if job.first_leaf is None and job.path not in self.failed:
            self._count(job.size)

    def _prove_leaf(self, job: FileJob, leaf: int, view: memoryview) -> None:
        if job.first_leaf is None:
            return
        if leaf_digest(view) == self._digests[job.first_leaf + leaf]:
            self._count(len(view), 1)
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

    def _buffers(self, count: int) -> list[memoryview]:
        """This thread's buffers, one leaf long each, made once."""
        buffers: list[memoryview] = self._local.__dict__.setdefault("buffers", [])
        while len(buffers) < count:
            buffers.append(memoryview(bytearray(self.leaf_size)))
        return buffers[:count]

    def _count(self, size: int, leaves: int = 0) -> None:
        """Count bytes, and leaves, whose digest is right."""
        with self._counts:
            self.bytes += size
            self.leaves += leaves

    def _changed(self, job: FileJob, how: str) -> None:
        self._fail("file-changed", f"the file changes while it is verified: {how}", job)

    def _fail(self, code: str, message: str, job: FileJob, leaf: int | None = None, length: int = 0) -> None:
        self.failed.add(job.path)
        if leaf is None:
            self._findings.error(code, message, job.path, next=_COPY)
            return
        first = leaf * self.leaf_size
        self._findings.error(code, message, job.path, leaf=leaf, range=(first, first + length), next=_LEAF_COPY)


def _wait(future: Future[None] | None) -> None:
    """Wait until a buffer is free again."""
    if future is not None:
        future.result()


def _reason(error: DiademError | OSError) -> str:
    """What a failed read says, in plain words."""
    if isinstance(error, DiademError):
        return error.message
    return f"cannot be read: {error.strerror or error}"
