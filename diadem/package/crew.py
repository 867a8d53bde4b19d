"""Running tasks on several threads so that Ctrl-C and the first failure stop them all."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

Task = Callable[[], None]


def run(tasks: deque[Task], threads: int, stop: threading.Event) -> None:
    """Run all tasks; with one thread, in the caller's.

    Parameters
    ----------
    tasks : deque of callables
        Emptied from the left.
    threads : int
        How many threads share them.
    stop : threading.Event
        Set when the caller is interrupted or a task raises; long tasks look at it.

    Raises
    ------
    BaseException
        The first exception of a task, or the interruption, once every thread has ended.
    """
    if threads <= 1:
        while tasks:
            tasks.popleft()()
        return
    failures: list[BaseException] = []
    crew = [
        threading.Thread(target=_work, args=(tasks, stop, failures), name=f"diadem-{number}", daemon=True)
        for number in range(threads)
    ]
    for member in crew:
        member.start()
    _wait(crew, stop)
    if failures:
        raise failures[0]


def _work(tasks: deque[Task], stop: threading.Event, failures: list[BaseException]) -> None:
    while not stop.is_set():
        try:
            task = tasks.popleft()
        except IndexError:
            return
        try:
            task()
        except BaseException as error:  # raised again in the caller's thread
            failures.append(error)
            stop.set()


def _wait(crew: list[threading.Thread], stop: threading.Event) -> None:
    """Wait for all, with a timeout, so that Ctrl-C is heard on Windows too."""
    try:
        for member in crew:
            while member.is_alive():
                member.join(0.1)
    except BaseException:
        stop.set()
        for member in crew:
            member.join()
        raise
