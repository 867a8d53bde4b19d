"""An executor whose workers die where they are told to: real processes, and real deaths."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Collection
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

from diadem.node.tasks import Task


class Deadly(Executor):
    """Passes tasks on to another executor; packing some sessions ends the process that does it.

    Parameters
    ----------
    inner : Executor
        Of processes.
    victims : collection of str
        Titles of sessions whose packing is deadly.
    when : str
        ``before`` a byte is read, or ``after`` the package is in the store and nobody knows.
    marker : Path, optional
        Where it is noted that a death was died; where it is given, one is enough for each session.
    """

    def __init__(self, inner: Executor, victims: Collection[str], when: str, marker: Path | None = None) -> None:
        self._inner, self._victims, self._when, self._marker = inner, victims, when, marker

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """As the other, but for the victims."""
        task = args[0]
        if task.name == "pack" and task.arguments["plan"].tree.title in self._victims:
            marker = None if self._marker is None else f"{self._marker}-{task.arguments['plan'].tree.title}"
            return self._inner.submit(deadly, fn, task, self._when, marker)
        return self._inner.submit(fn, *args, **kwargs)


def deadly(fn: Callable[..., Any], task: Task, when: str, marker: str | None) -> Any:
    """Do a task and die."""
    if marker is not None and Path(marker).exists():
        return fn(task)
    if marker is not None:
        Path(marker).touch()
    if when == "after":
        fn(task)
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
    return None
