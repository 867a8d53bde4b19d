"""Locks of folders, shared by the threads of one run: other processes wait, its own sessions of one folder do not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from diadem.node.context import Context
from diadem.node.take.archiving import turn_of


@dataclass(slots=True)
class _Turn:
    """One lock, and how many threads are at work under it."""

    users: int = 0
    taking: threading.Lock = field(default_factory=threading.Lock)
    held: ExitStack | None = None


class Turns:
    """The locks of one run.

    Parameters
    ----------
    context : Context
        The node.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._turns: dict[str, _Turn] = {}
        self._guard = threading.Lock()

    @contextmanager
    def of(self, source: Path) -> Iterator[None]:
        """Hold the lock of a folder as long as any thread of this run is at work in it."""
        name = turn_of(source)
        with self._guard:
            turn = self._turns.setdefault(name, _Turn())
            turn.users += 1
        try:
            with turn.taking:
                if turn.held is None:
                    held = ExitStack()
                    held.enter_context(self._context.locked(name))
                    turn.held = held
            yield
        finally:
            with self._guard:
                turn.users -= 1
                if not turn.users:
                    del self._turns[name]
                    if turn.held is not None:
                        turn.held.close()
