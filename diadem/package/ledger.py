"""What the threads of one verification write down together: what was proven, what failed, how far they are."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from diadem.model.ports import Listener, Progress
from diadem.package.findings import Findings


@dataclass(frozen=True, slots=True)
class FileJob:
    """A file to prove.

    Attributes
    ----------
    path : str
        Path in the bag.
    size : int
        Bytes that it should have.
    present : int
        Bytes that it has. Where they are fewer, only its whole leaves are proven.
    first_leaf : int or None
        Index of its first leaf digest; None where leaves are not looked at.
    digests : sequence of (hashlib name, hex)
        Digests of the whole file to prove.
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


class Ledger:
    """Counts, failures and progress of one run. Safe to use from several threads.

    Parameters
    ----------
    findings : Findings
        Where damage is entered.
    listener : callable
        Told of progress.
    total : int
        Bytes to read.
    """

    def __init__(self, findings: Findings, listener: Listener, total: int) -> None:
        self.findings = findings
        self.stop = threading.Event()
        self._listener = listener
        self._total = total
        self._lock = threading.Lock()
        self._failed: set[str] = set()
        self._done = self._bytes = self._leaves = 0

    def fail(self, path: str) -> None:
        """Remember that a file is not proven."""
        self._failed.add(path)

    def failed(self, path: str) -> bool:
        """Whether something was found in a file."""
        return path in self._failed

    def held(self, size: int, leaves: int = 0) -> None:
        """Count bytes, and leaves, whose digest is right."""
        with self._lock:
            self._bytes += size
            self._leaves += leaves

    def advance(self, path: str, size: int) -> None:
        """Tell the listener that bytes have been read."""
        with self._lock:
            self._done += size
            done = self._done
        self._listener(Progress("verify", done, self._total, path))

    def proven(self, jobs: list[FileJob]) -> Proven:
        """What was proven of the jobs, once all are done."""
        return Proven(sum(job.path not in self._failed for job in jobs), self._bytes, self._leaves)
