"""Units as files write them, and what they are in the units of the record: the same for a field and for an axis.

`units.toml` beside this module lists them. Factors are exact fractions until they are used.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import cache
from importlib import resources
from math import pi, sqrt
from typing import Any, Final, NamedTuple


class Meaning(NamedTuple):
    """What a written unit is: a unit of the record, times `factor`, plus `added`."""

    unit: str
    factor: Fraction
    added: Fraction = Fraction()


#: µ and Å exist twice in Unicode.
_SAME_LETTERS: Final = str.maketrans(
    {"µ": "u", "μ": "u", "\N{ANGSTROM SIGN}": "Å", "\N{SUPERSCRIPT MINUS}": "-", "¹": "1"}
)
#: A quantity with its unit in brackets, as the standards of spectra have it: ``Energy Loss (eV)``.
_OF_QUANTITY: Final = re.compile(r"[A-Za-z][A-Za-z -]* \(([^()-]+)\)\Z")
_RECIPROCAL: Final = re.compile(r"1\s*/\s*\(?(.+?)\)?\Z|(.+?)\s*\^?\(?-1\)?\Z")
#: Units that an axis of the record can have, of those that differ from another by a factor alone.
_OF_AXES: Final = ("m", "1/m", "eV", "s", "rad", "deg", "V", "A", "Pa", "px")
#: Units that can be changed into another.
_CHANGED: Final = {("deg", "rad"): pi / 180, ("rad", "deg"): 180 / pi, ("eV", "V"): 1.0}
_ANGSTROMS: Final = (Meaning("m", Fraction(1, 10**10)), Meaning("1/m", Fraction(10**10)))


@cache
def _document() -> Mapping[str, Any]:
    return tomllib.loads(resources.files("diadem.terms").joinpath("units.toml").read_text("utf-8"))


def _table() -> Iterator[tuple[str, Meaning]]:
    """Every symbol, and each thing that it may mean; of an axis the first."""
    said = _document()
    prefixed = {
        unit: {f"{prefix}{unit}": Fraction(10) ** said["prefixes"][prefix] for prefix in prefixes}
        for unit, prefixes in said["prefixed"].items()
    }
    lengths = {name: Fraction(factor) for name, factor in said["lengths"].items()}
    for name, factor in {**prefixed.pop("m"), **lengths}.items():
        yield name, Meaning("m", factor)
        yield f"1/{name}", Meaning("1/m", 1 / factor)
    for unit, factors in prefixed.items():
        yield from ((name, Meaning(unit, factor)) for name, factor in factors.items())
    for name, (unit, *numbers) in said["others"].items():
        yield name, Meaning(unit, *map(Fraction, numbers))


@cache
def _symbols(*, any_case: bool) -> Mapping[str, tuple[Meaning, ...]]:
    """What each symbol may mean, as it stands or without regard to large letters."""
    found: dict[str, tuple[Meaning, ...]] = {}
    for name, meaning in _table():
        key = name.casefold() if any_case else name
        found[key] = tuple(dict.fromkeys((*found.get(key, ()), meaning)))
    return found


@cache
def _spellings(kind: str) -> Mapping[str, str]:
    return {spelling: symbol for symbol, known in _document()[kind].items() for spelling in known}


def meanings(written: str) -> tuple[Meaning, ...]:
    """What a unit may be, in any of its spellings: ``um``, ``µm``, ``micron``, ``1 / nm``, ``nm^-1``, ``Energy (EV)`` …

    There are several where the kind of quantity decides: ``A`` is an ångström of a length and an ampere of a current;
    none where it is not understood.
    """
    text = " ".join(written.translate(_SAME_LETTERS).split())
    text = named[1].strip() if (named := _OF_QUANTITY.match(text)) else text
    inverse = _RECIPROCAL.match(text)
    text = (inverse[1] or inverse[2]) if inverse else text
    text = _spellings("symbols").get(text) or _spellings("words").get(text.casefold()) or text
    text = f"1/{text}" if inverse else text
    # A capital at the beginning may be mega or peta: MPa is not mPa; and one letter in the other case is another unit.
    case_counts = len(text) == 1 or text.startswith(("M", "P"))
    exact = _symbols(any_case=False).get(text)
    return exact or (() if case_counts else _symbols(any_case=True).get(text.casefold(), ()))


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


def symbol(written: Any) -> str:
    """An axis' unit as programs of others read it: ``keV`` for ``KEV``, ``angstrom`` for ``A``; "" as for `to_si`."""
    meant = to_si(written)
    names = (name for name, one in _table() if (one.unit, float(one.factor)) == meant and " " not in name)
    return next(names, "").replace("Å", "angstrom")


#: CODATA 2018: Planck constant (J s), electron mass (kg), elementary charge (C), speed of light (m/s).
_H, _M, _E, _C = 6.62607015e-34, 9.1093837015e-31, 1.602176634e-19, 299792458.0


def electron_wavelength(volts: float) -> float:
    """De Broglie wavelength in metres of electrons that a voltage has accelerated, relativistic."""
    energy = _E * volts
    return _H / sqrt(2 * _M * energy * (1 + energy / (2 * _M * _C**2)))
