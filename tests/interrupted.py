"""Ctrl-C at one moment after the other of a run on threads: `python -m tests.interrupted RUN`, one of `RUNS`.

Prints each moment at which work went on after the run had ended or given up what it began, and "over" at the end. A run
that never ends is for the caller to find out.
"""

from __future__ import annotations

import inspect
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import _base
from functools import partial
from itertools import count
from types import FrameType
from typing import Any

from diadem import work
from diadem.store import client

TASKS = 16
#: Where the caller's thread is when a signal reaches it; not while it begins a thread, or waits for the end of those.
_FILES = {work.__file__, client.__file__, threading.__file__, _base.__file__}
_BESIDE = {"start", "close", "_threads"}


class Interruption:
    """Raises `KeyboardInterrupt` in the caller's thread at the nth line or return that it passes, each counts twice."""

    def __init__(self, moment: int) -> None:
        self._left = moment
        self._passed: Counter[object] = Counter()
        self.where = ""

    def __call__(self, frame: FrameType, event: str, _: object) -> Any:
        code = frame.f_code
        if code.co_filename not in _FILES or any(name in _BESIDE for name in _callers(frame)):
            return None
        if event == "line" or (event == "return" and not code.co_flags & inspect.CO_GENERATOR):
            self._passed[place := (code, event, frame.f_lineno)] += 1
            self._left -= self._passed[place] <= 2
            if self._left == 0:
                self.where = f"{code.co_qualname}, {event} {frame.f_lineno}"
                raise KeyboardInterrupt
        return self


def _callers(frame: FrameType | None) -> Iterator[str]:
    while frame is not None:
        yield frame.f_code.co_name
        frame = frame.f_back


def do_all(tasks: list[Callable[[], None]], told: Callable[[], None]) -> None:
    work.do_all(tasks, threads=2)


def in_order(tasks: list[Callable[[], None]], told: Callable[[], None]) -> None:
    list(work.in_order(lambda task: task(), tasks, threads=2, ahead=4))


def make_all(tasks: list[Callable[[], None]], told: Callable[[], None]) -> None:
    client.make_all(client.Request(0, task, told) for task in tasks)


RUNS = {"do_all": do_all, "in_order": in_order, "make_all": make_all}


def _note(moments: list[float]) -> None:
    moments.append(time.monotonic())


def main(run: Callable[[list[Callable[[], None]], Callable[[], None]], None]) -> None:
    """Run it again and again, interrupted a moment later each time, until it ends before that."""
    for moment in count(1):
        done: list[float] = []
        told: list[float] = []

        def task(done: list[float] = done) -> None:
            time.sleep(0.002)
            _note(done)

        interruption = Interruption(moment)
        sys.settrace(interruption)
        held = None  # as an error on its way up holds the frames of the run
        try:
            run([task] * TASKS, partial(_note, told))
        except KeyboardInterrupt as error:
            held = error
        finally:
            sys.settrace(None)
        _note(told)
        if held is None:
            sys.stdout.write("over\n")
            return
        time.sleep(0.006)
        if max(done, default=0) > min(told):
            sys.stdout.write(f"goes on after an interruption at {interruption.where}\n")


if __name__ == "__main__":
    main(RUNS[sys.argv[1]])
