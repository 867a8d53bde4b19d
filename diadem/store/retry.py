"""Trying a request again: the one place, so that waits do not multiply. The clients' own retries are switched off."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from diadem.errors import DiademError
from diadem.store.translate import is_transient, translate

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a store may fail before it counts as unreachable.

    Attributes
    ----------
    tries : int
        Requests in all.
    first_wait, longest_wait : float
        Seconds before the second request, doubled each time up to the longest; each wait is varied by half so that
        many writers do not come back together.
    enough : float
        Seconds after which no further request is made; each may itself last as long as the client's time-out.
    """

    tries: int = 6
    first_wait: float = 0.2
    longest_wait: float = 10.0
    enough: float = 240.0

    def waits(self) -> list[float]:
        """Seconds before each further try."""
        return [min(self.first_wait * 2**step, self.longest_wait) for step in range(self.tries - 1)]


def persist(action: Callable[[], T], where: str, patience: Patience) -> T:
    """Do `action` until it succeeds, fails for good, or patience ends.

    Raises
    ------
    DiademError
        What the last failure means (see `diadem.store.translate`).
    """
    waits = patience.waits()
    end = time.monotonic() + patience.enough
    while True:
        try:
            return action()
        except DiademError:
            raise
        except Exception as error:
            if waits and time.monotonic() < end and is_transient(error):
                time.sleep(waits.pop(0) * random.uniform(0.5, 1.5))  # noqa: S311  a wait is no secret
                continue
            meaning = translate(error, where)
            if meaning is None:
                raise
            raise meaning from error
