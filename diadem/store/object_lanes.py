"""A few threads that send what one thread reads, with a bound on the bytes under way."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

#: What a job weighs at least, so that a million empty files do not wait in memory.
_WEIGHT = 16 << 10


class Lanes:
    """Jobs on threads. The first failure stops everything and is raised by the next `submit` or by `finish`.

    Parameters
    ----------
    threads : int
        Jobs at once.
    budget : int
        Bytes that may be under way; one job larger than that runs alone.
    """

    def __init__(self, *, threads: int, budget: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="diadem-upload")
        self._budget = budget
        self._change = threading.Condition()
        self._bytes = 0
        self._jobs = 0
        self._error: BaseException | None = None

    def submit(self, size: int, job: Callable[[], None]) -> None:
        """Run a job that holds `size` bytes, as soon as there is room for them."""
        weight = max(size, _WEIGHT)
        with self._change:
            while self._error is None and self._bytes and self._bytes + weight > self._budget:
                self._change.wait(1.0)
            self._raise()
            self._bytes += weight
            self._jobs += 1
        self._pool.submit(self._run, weight, job)

    def finish(self) -> None:
        """Wait for every job."""
        with self._change:
            while self._jobs and self._error is None:
                self._change.wait(1.0)
            self._raise()

    def _run(self, weight: int, job: Callable[[], None]) -> None:
        try:
            if self._error is None:
                job()
        except BaseException as error:  # raised again in the thread that submits
            self._error = self._error or error
        finally:
            with self._change:
                self._bytes -= weight
                self._jobs -= 1
                self._change.notify_all()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def __enter__(self) -> Self:
        """Start."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let no further job begin if there was a failure, and wait for those that run."""
        if error is not None:
            self._error = self._error or error
        self._pool.shutdown(wait=True)
