"""Numbers as instruments write them into texts, and their units."""

from __future__ import annotations

import math
import re
from typing import Any

_NUMBER = re.compile(r"\s*([-+]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][-+]?\d+)?)\s*(.*)", re.DOTALL)


def quantity(text: str) -> tuple[float, str] | None:
    """A number and what follows it: ``50.00 K X``, ``8100 um``; a comma alone is a decimal sign."""
    match = _NUMBER.match(text)
    if match is None:
        return None
    return float(match[1].replace(",", ".")), match[2].strip()


def number(text: Any) -> float | None:
    """A number, or a text that is one and no more, with a point or a comma."""
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        return float(text) if math.isfinite(text) else None
    found = quantity(str(text))
    return found[0] if found is not None and not found[1] else None


def positive(text: Any) -> float | None:
    """A number above zero; what is not is no measurement."""
    found = number(text)
    return found if found is not None and found > 0 else None
