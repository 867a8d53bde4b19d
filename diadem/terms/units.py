"""Units as files write them, and what they are in the units of the record: the same for a field and for an axis.

Factors are exact fractions until they are used, so that 1/nm is 1e9 and not 999999999.9999999.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from math import pi, sqrt
from typing import Any, Final, NamedTuple


class Meaning(NamedTuple):
    """What a written unit is: a unit of the record, times `factor`, plus `added`."""

    unit: str
    factor: Fraction
    added: Fraction = Fraction()


#: The International System of Units, 9th edition, table 7; and the u that stands for µ.
_PREFIXES: Final = {"": 0, "f": -15, "p": -12, "n": -9, "u": -6, "m": -3, "c": -2, "h": 2, "k": 3, "M": 6, "G": 9}
#: Units of the record, and the prefixes that files write before them.
_PREFIXED: Final[Mapping[str, tuple[str, ...]]] = {
    "m": ("", "c", "m", "u", "n", "p", "f"),
    "s": ("", "m", "u", "n"),
    "V": ("", "k", "m", "M"),
    "A": ("", "m", "u", "n", "p"),
    "eV": ("", "k", "m", "M"),
    "rad": ("", "m", "u"),
    "Pa": ("", "h", "k", "m", "M"),
}
_LENGTHS: Final = {
    **{f"{prefix}m": Fraction(10) ** _PREFIXES[prefix] for prefix in _PREFIXED["m"]},
    **dict.fromkeys(("Å", "A°", "A"), Fraction(1, 10**10)),
}
_OTHERS: Final[Mapping[str, Meaning]] = {
    "min": Meaning("s", Fraction(60)),
    "h": Meaning("s", Fraction(3600)),
    "deg": Meaning("deg", Fraction(1)),
    # Whole numbers that stand for parts of a unit, as the headers of block files and of EM-MENU have them.
    "0.1 V": Meaning("V", Fraction(1, 10)),
    "0.1 us": Meaning("s", Fraction(1, 10**7)),
    "0.1 mm": Meaning("m", Fraction(1, 10**4)),
    "0.01 deg": Meaning("deg", Fraction(1, 100)),
    # ISO 80000-1 exact values.
    "mbar": Meaning("Pa", Fraction(100)),
    "Torr": Meaning("Pa", Fraction(101325, 760)),
    "K": Meaning("K", Fraction(1)),
    "°C": Meaning("K", Fraction(1), Fraction(27315, 100)),
    "1/s": Meaning("1/s", Fraction(1)),
    **{f"{prefix}Hz": Meaning("1/s", Fraction(10) ** _PREFIXES[prefix]) for prefix in ("", "m", "k", "M", "G")},
    "bit": Meaning("bit", Fraction(1)),
    "px": Meaning("px", Fraction(1)),
    "1": Meaning("1", Fraction(1)),
    "x": Meaning("1", Fraction(1)),
    "kx": Meaning("1", Fraction(1000)),
    "%": Meaning("1", Fraction(1, 100)),
}
#: Other spellings. Words are read in any case.
_WORDS: Final[Mapping[str, str]] = {
    "volt": "V", "volts": "V", "picoamps": "pA", "torr": "Torr",
    "sec": "s", "secs": "s", "second": "s", "seconds": "s", "msec": "ms", "usec": "us",
    "mins": "min", "minute": "min", "minutes": "min", "hour": "h", "hours": "h", "kelvin": "K",
    "degree": "deg", "degrees": "deg", "dg": "deg", "radian": "rad", "radians": "rad",
    "meter": "m", "meters": "m", "metre": "m", "metres": "m", "millimeters": "mm",
    "micron": "um", "microns": "um", "micrometer": "um", "micrometers": "um", "nanometer": "nm", "nanometers": "nm",
    "angstrom": "Å", "angstroms": "Å", "ångström": "Å",
    "pix": "px", "pixel": "px", "pixels": "px",
}  # fmt: skip
_SYMBOLS: Final[Mapping[str, str]] = {
    "°": "deg", "C": "°C", "mr": "mrad", "mR": "mrad", "MR": "mrad", "K X": "kx", "MM": "mm", "MRAD": "mrad", "S": "s",
    "MIN": "min", "Min": "min", "MBAR": "mbar", "PX": "px", "Px": "px", "a": "A", "X": "x", "": "1",
}  # fmt: skip
#: µ and Å exist twice in Unicode.
_SAME_LETTERS: Final = str.maketrans(
    {"µ": "u", "μ": "u", "\N{ANGSTROM SIGN}": "Å", "\N{SUPERSCRIPT MINUS}": "-", "¹": "1"}
)
_RECIPROCAL: Final = re.compile(r"1\s*/\s*\(?(.+?)\)?\Z|(.+?)\s*\^?\(?-1\)?\Z")
#: Units that an axis of the record can have, of those that differ from another by a factor alone.
_OF_AXES: Final = ("m", "1/m", "eV", "s", "rad", "deg", "V", "A", "Pa", "px")
#: Units that can be changed into another.
_CHANGED: Final = {("deg", "rad"): pi / 180, ("rad", "deg"): 180 / pi, ("eV", "V"): 1.0}
_ANGSTROMS: Final = (Meaning("m", Fraction(1, 10**10)), Meaning("1/m", Fraction(10**10)))


def _table() -> Iterator[tuple[str, Meaning]]:
    """Every symbol, and each thing that it may mean; of an axis the first."""
    for name, factor in _LENGTHS.items():
        yield name, Meaning("m", factor)
        yield f"1/{name}", Meaning("1/m", 1 / factor)
    for unit, prefixes in _PREFIXED.items():
        if unit != "m":
            for prefix in prefixes:
                yield f"{prefix}{unit}", Meaning(unit, Fraction(10) ** _PREFIXES[prefix])
    yield from _OTHERS.items()


def _gathered(of: Iterator[tuple[str, Meaning]]) -> dict[str, tuple[Meaning, ...]]:
    found: dict[str, tuple[Meaning, ...]] = {}
    for name, meaning in of:
        found[name] = tuple(dict.fromkeys((*found.get(name, ()), meaning)))
    return found


_EXACT: Final = _gathered(_table())
_IN_ANY_CASE: Final = _gathered((name.casefold(), meaning) for name, meaning in _table())


def meanings(written: str) -> tuple[Meaning, ...]:
    """What a unit may be, in any of its spellings: ``um``, ``µm``, ``microns``, ``1/nm``, ``1 / nm``, ``nm^-1`` …

    There are several where the kind of quantity decides: ``A`` is an ångström of a length and an ampere of a current;
    none where it is not understood.
    """
    text = " ".join(written.translate(_SAME_LETTERS).split())
    inverse = _RECIPROCAL.match(text)
    text = (inverse[1] or inverse[2]) if inverse else text
    text = _SYMBOLS.get(text) or _WORDS.get(text.casefold()) or text
    text = f"1/{text}" if inverse else text
    # A capital at the beginning may be mega or peta: MPa is not mPa; and one letter in the other case is another unit.
    case_counts = len(text) == 1 or text.startswith(("M", "P"))
    return _EXACT.get(text) or (() if case_counts else _IN_ANY_CASE.get(text.casefold(), ()))


def convert(value: float, written: str, wanted: str) -> float | None:
    """A number in the unit of the record.

    Parameters
    ----------
    value : float
        As the file has it.
    written : str
        Its unit, in any of the spellings known.
    wanted : str
        The field's unit; it decides what ``A`` is.

    Returns
    -------
    float or None
        None where the unit is not understood or is of another kind. Degrees and radians are changed into each other;
        an energy of electrons is the voltage that gave it to them.
    """
    fitting = [one for one in meanings(written) if one.unit == wanted or (one.unit, wanted) in _CHANGED]
    if len(fitting) != 1:
        return None
    unit, factor, added = fitting[0]
    return value * (float(factor) * _CHANGED.get((unit, wanted), 1.0)) + float(added)


def to_si(written: Any) -> tuple[str, float]:
    """Unit of the record and factor of an axis' unit as a reader gives it: ``("m", 1e-9)``; ``A`` is an ångström.

    ``("", 1.0)`` where there is none, or it is not understood: no quantity is asked for that would tell ``mv`` and
    ``pa`` apart, a siemens from a second, an ampere from a year.
    """
    if not isinstance(written, str) or written.strip().removeprefix("1/") in ("S", "a"):
        return "", 1.0
    found = [meaning for meaning in meanings(written) if meaning.unit in _OF_AXES]
    if not found or (len(found) > 1 and found[0] not in _ANGSTROMS):
        return "", 1.0
    return found[0].unit, float(found[0].factor)


#: CODATA 2018: Planck constant (J s), electron mass (kg), elementary charge (C), speed of light (m/s).
_H, _M, _E, _C = 6.62607015e-34, 9.1093837015e-31, 1.602176634e-19, 299792458.0


def electron_wavelength(volts: float) -> float:
    """De Broglie wavelength in metres of electrons that a voltage has accelerated, relativistic."""
    energy = _E * volts
    return _H / sqrt(2 * _M * energy * (1 + energy / (2 * _M * _C**2)))
