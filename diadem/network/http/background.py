"""What a node that serves does by itself: periodic jobs, each in a thread, so that none keeps another waiting."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from diadem.errors import DiademError
from diadem.network.jobs import Job

_LOG: Final = logging.getLogger("diadem.network.http.jobs")


class Background:
    """Runs jobs until it is stopped.

    Parameters
    ----------
    jobs : sequence of Job
        What is done.
    told : callable
        Told of each run: the job's name, and whether it went well.
    """

    def __init__(self, jobs: Sequence[Job], told: Callable[[str, bool], None]) -> None:
        self._told, self._jobs = told, jobs
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._go, args=(job,), name=f"job {job.name}") for job in jobs]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.daemon = True
            thread.start()

    def stop(self, patience: float) -> bool:
        """Ask all to end, and wait so many seconds for them together; whether all ended."""
        self._stop.set()
        until = time.monotonic() + patience
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        for job in self._jobs:
            job.settle(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _go(self, job: Job) -> None:
        wait = 0.0
        while not self._stop.wait(wait):
            try:
                more = job.run(self._stop)
            except Exception as error:
                self._told(job.name, False)
                _say(job, error)
                wait = min(job.longest, max(wait, job.every) * 2)
            else:
                self._told(job.name, True)
                wait = 0.0 if more else job.every


def _say(job: Job, error: Exception) -> None:
    """What failed, in one line."""
    words = error.message if isinstance(error, DiademError) else type(error).__name__
    _LOG.warning("job %s failed: %s", job.name, words)
