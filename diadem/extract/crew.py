"""Workers as a crew: started when needed, lent to one caller at a time, replaced when they die or have grown."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from diadem.errors import UsageError
from diadem.extract.parking import park, take
from diadem.extract.process import WorkerProcess, WorkerStopped, environment

#: A worker that has used more memory than this is replaced after its job.
RETIRE_ABOVE = 1 << 30
#: Seconds that a caller waits for one of the workers before another is started, at least and at most; in between it is
#: so many times what a start took, for with the imports of its first datasets a new worker is of use only then.
PATIENCE, MOST_PATIENCE = 2.0, 10.0
_STARTS = 4.0
_A_MOMENT = 0.1


class Crew:
    """At most so many workers.

    Parameters
    ----------
    workers : int
        Processes at most.
    memory : int
        Bytes of address space for each.
    modules : sequence of str
        What each imports at its start.
    large : sequence of str
        What it imports as well where nobody waits for it, and else when a reader asks for it.
    packages : mapping, optional
        Where the code of foreign plugins lies.
    lasting : bool
        Whether workers may come from an earlier crew of the same kind, and wait for a later one.
    """

    def __init__(
        self,
        workers: int,
        memory: int,
        modules: Sequence[str],
        large: Sequence[str] = (),
        packages: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        lasting: bool = False,
    ) -> None:
        self.size = max(1, workers)
        self._memory = memory
        self._modules = modules
        self._large = large
        self._packages = packages
        self._lasting = lasting
        self._idle: list[WorkerProcess] = []
        self._all: set[WorkerProcess] = set()
        self._free = threading.Condition()
        self._starting = 0
        self._closed = False
        self._broken: WorkerStopped | None = None

    def warm(self, workers: int = 1) -> None:
        """Start workers, unless there are so many; their imports are not waited for."""
        wanted = min(workers, self.size)
        for _ in range(wanted):
            with self._free:
                if self._closed or len(self._all) + self._starting >= wanted:
                    return
                if (waiting := self._from_parking()) is not None:
                    self._idle.append(waiting)
                    continue
                self._starting += 1
            self._give_back(self._start([*self._modules, *self._large]))

    def ask(self, job: Mapping[str, Any], seconds: float) -> tuple[dict[str, Any], Mapping[str, Any]]:
        """Have a free worker do a job; one that was lost before it got the job is replaced once.

        Returns
        -------
        answer : dict
            The worker's answer.
        about : mapping
            What the worker said of itself at its start.

        Raises
        ------
        WorkerStopped
            The job was not done. Once workers do not start at all, none is tried again.
        UsageError
            The crew is closed.
        """
        for attempt in (1, 2):
            if self._broken is not None:
                raise self._broken
            worker = self._take()
            try:
                answer = worker.ask(job, seconds)
            except WorkerStopped as stopped:
                self._drop(worker)
                if stopped.code != "worker-lost":
                    raise
                if attempt == 2:
                    self._broken = stopped if worker.about is None else None
                    raise
                continue
            except BaseException:
                self._drop(worker)
                raise
            if worker.peak > RETIRE_ABOVE:
                self._drop(worker)
            else:
                self._give_back(worker)
            return answer, worker.about or {}
        raise AssertionError("unreachable")

    def release(self) -> None:
        """Go home after work that ended well: idle workers of a lasting crew wait for the next one."""
        with self._free:
            idle = list(self._idle) if self._lasting else []
            self._all.difference_update(idle)
        self.close()
        park(self._kind(), [worker for worker in idle if _rests(worker)])

    def _kind(self) -> str:
        """What makes two workers alike: limits, modules, plugins, and all that a process sees of its surroundings."""
        return repr((self._memory, self._modules, self._packages, sorted(environment(Path()).items())))

    def close(self) -> None:
        """End all workers, also busy ones."""
        with self._free:
            self._closed = True
            workers = list(self._all)
            self._idle.clear()
            self._all.clear()
            self._free.notify_all()
        for worker in workers:
            worker.end()

    def _take(self) -> WorkerProcess:
        """A free worker, the next to become free, or a new one where that would take longer."""
        with self._free:
            since = time.monotonic()
            while True:
                if self._closed:
                    raise _closed()
                if self._idle:
                    return self._idle.pop()
                if (waiting := self._from_parking()) is not None:
                    return waiting
                if self._is_one_short(time.monotonic() - since):
                    self._starting += 1
                    break
                if self._is_one_starting():
                    since = time.monotonic()
                self._free.wait(_A_MOMENT)
        return self._start(self._modules)

    def _from_parking(self) -> WorkerProcess | None:
        """One that waits for a crew of this kind; it costs nothing."""
        if not self._lasting or len(self._all) + self._starting >= self.size:
            return None
        if (waiting := take(self._kind())) is not None:
            self._all.add(waiting)
        return waiting

    def _is_one_short(self, waited: float) -> bool:
        """Whether one more is to be started for a caller who has waited so many seconds for the others to be free."""
        there = len(self._all) + self._starting
        slowest = max((worker.seconds_to_start for worker in self._all), default=0.0)
        return not there or (there < self.size and waited >= min(MOST_PATIENCE, max(PATIENCE, _STARTS * slowest)))

    def _is_one_starting(self) -> bool:
        return bool(self._starting) or any(worker.about is None for worker in self._all)

    def _start(self, modules: Sequence[str]) -> WorkerProcess:
        """Start a process that has been counted in `_starting`."""
        try:
            worker = WorkerProcess(self._memory, modules, self._packages, self._large)
        except OSError as error:
            with self._free:
                self._starting -= 1
                self._free.notify()
            raise WorkerStopped("worker-lost", f"no worker can be started: {error.strerror}") from error
        with self._free:
            self._starting -= 1
            if not self._closed:
                self._all.add(worker)
                return worker
        worker.end()
        raise _closed()

    def _give_back(self, worker: WorkerProcess) -> None:
        """Let the next caller have the worker."""
        with self._free:
            if worker in self._all:
                self._idle.append(worker)
                self._free.notify()

    def _drop(self, worker: WorkerProcess) -> None:
        """End a worker; the next caller starts another."""
        worker.end()
        with self._free:
            self._all.discard(worker)
            self._free.notify()


def _rests(worker: WorkerProcess) -> bool:
    """Whether a worker could be sent to rest; one that is gone is ended."""
    try:
        worker.rest()
    except WorkerStopped:
        worker.end()
        return False
    return True


def _closed() -> UsageError:
    """The error of a crew that has gone home."""
    return UsageError("the extractor is closed", next="Make a new one.")
