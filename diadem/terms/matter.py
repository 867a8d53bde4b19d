"""Elements and electrons: what is the same in every file."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from diadem.terms.fields import chemical_symbols

#: CODATA 2018: Planck constant (J s), electron mass (kg), elementary charge (C), speed of light (m/s).
_H, _M, _E, _C = 6.62607015e-34, 9.1093837015e-31, 1.602176634e-19, 299792458.0


def symbols_of(numbers: Iterable[int], *, last: int = 118) -> list[str]:
    """Symbols of atomic numbers, each once; none where one of them is no element up to `last`."""
    found = list(numbers)
    if not all(0 < number <= last for number in found):
        return []
    return list(dict.fromkeys(chemical_symbols()[number - 1] for number in found))


def symbols_among(names: Iterable[object]) -> list[str]:
    """Chemical symbols in their order, each once; none where one of the names is no symbol."""
    found = list(dict.fromkeys(map(str, names)))
    return found if set(found) <= set(chemical_symbols()) else []


def electron_wavelength(volts: float) -> float:
    """De Broglie wavelength in metres of electrons that a voltage has accelerated, relativistic."""
    energy = _E * volts
    return _H / math.sqrt(2 * _M * energy * (1 + energy / (2 * _M * _C**2)))


def ion_of(source: object) -> str:
    """Ion of a source by what it is called, "" where that says nothing; liquid metal ion sources are of gallium."""
    match = re.search(r"\b(?:(gallium|ga\+?|lmis)|(xenon|xe\+?))\b", str(source), re.IGNORECASE)
    return "" if match is None else "Ga" if match[1] else "Xe"
