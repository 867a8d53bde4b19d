"""In the place of a catalogue that cannot be opened, while a sick node is looked at."""

from __future__ import annotations

from typing import Any

from diadem.errors import DiademError


class NoCatalogue:
    """Answers every question with the reason why there is no catalogue.

    Parameters
    ----------
    reason : DiademError
        What opening it raised.
    """

    def __init__(self, reason: DiademError) -> None:
        self._reason = reason

    def __getattr__(self, name: str) -> Any:
        """Raise the reason."""
        raise self._reason

    def close(self) -> None:
        """Nothing is open."""
