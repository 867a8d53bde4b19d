"""Values in the words of a microscopist: 200 kV, 3.2 nm, 512 × 512."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

_TIME = re.compile(r"\A(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)?\Z")
_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p"))
#: Units that people write with a prefix.
_PREFIXED = frozenset({"V", "A", "m", "s", "Pa", "eV", "rad", "Hz"})


def quantity_text(value: Any, unit: str = "") -> str:
    """A value with its unit, scaled to a handy prefix.

    Parameters
    ----------
    value : any JSON value
        A number, text, truth value or list.
    unit : str
        SI unit without prefix; ``""`` or ``"1"`` for none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ", ".join(str(item) for item in value) if isinstance(value, list) else _text(str(value))
    if unit == "1/m":
        return f"{_number(value * 1e-9)} 1/nm"
    if unit not in _PREFIXED or value == 0 or not math.isfinite(value):
        return _number(value) + (f" {unit}" if unit not in ("", "1") else "")
    scale, prefix = next((pair for pair in _PREFIXES if abs(value) >= pair[0] * 0.9999), _PREFIXES[-1])
    return f"{_number(value / scale)} {prefix}{unit}"


def _text(value: str) -> str:
    """A text; a time as people write it: without the T, to the second."""
    return _TIME.sub(r"\1 \2\3", value)


def _number(value: float) -> str:
    if isinstance(value, int) or 1e4 <= abs(value) < 1e15:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def signal_text(signal: Mapping[str, Any]) -> str:
    """One line about a signal: its title, shape and the size of a step along its first calibrated axis."""
    shape = " × ".join(f"{size:,}" for size in signal["shape"]) or "one value"
    kind = str(signal.get("kind") or "").replace("_", " ")
    parts = [str(signal.get("title") or kind or signal["id"]), shape]
    steps = [
        f"{axis.get('name') or 'axis'} {quantity_text(axis['scale'], axis['unit'])}"
        for axis in signal.get("axes", ())
        if axis.get("unit") not in (None, "px", "1") and axis.get("scale")
    ]
    return ", ".join(parts) + (f" ({'; '.join(steps)} per step)" if steps else "")
