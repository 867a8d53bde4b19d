"""While no store can take sessions, none is tried."""

from __future__ import annotations

from dataclasses import dataclass

from diadem.errors import DiademError, StoreError
from diadem.node.watch.silence import wait_after


@dataclass
class Pause:
    """While no store can take sessions of some size, none is tried: each would fail alike.

    Attributes
    ----------
    size : int
        Bytes of the smallest session that found no room; 0 where no store answers.
    until : float
        By the steady clock.
    words : str
        Why; "" where there is no pause.
    failures : int
        How often in a row.
    """

    size: int = 0
    until: float = float("-inf")
    words: str = ""
    failures: int = 0

    def holds(self, size: int, steady: float) -> bool:
        """Whether a session of this size has to wait."""
        return bool(self.words) and steady < self.until and size >= self.size

    def note(self, error: DiademError, size: int, steady: float) -> float:
        """Pause for what happened; returns for how many seconds."""
        self.failures += 1
        wait = wait_after(error, self.failures)
        self.size = size if isinstance(error, StoreError) else 0
        self.until, self.words = steady + wait, error.message
        return wait

    def end(self) -> None:
        """A store has taken something."""
        self.words, self.failures = "", 0
