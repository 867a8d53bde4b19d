"""Units that files are written in, and what they are in the units of the record."""

from __future__ import annotations

from collections.abc import Mapping

_LENGTHS = {"m": 1.0, "cm": 1e-2, "mm": 1e-3, "um": 1e-6, "nm": 1e-9, "pm": 1e-12, "fm": 1e-15, "Å": 1e-10, "A°": 1e-10}
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "min": 60.0, "h": 3600.0}
#: pi / 180.
_DEGREE = 0.017453292519943295

#: Unit as written to (unit of the record, factor, what is added after the factor).
UNITS: Mapping[str, tuple[str, float, float]] = {
    **{name: ("m", factor, 0.0) for name, factor in _LENGTHS.items()},
    **{f"1/{name}": ("1/m", 1 / factor, 0.0) for name, factor in _LENGTHS.items()},
    **{name: ("s", factor, 0.0) for name, factor in _SECONDS.items()},
    **{f"{prefix}V": ("V", factor, 0.0) for prefix, factor in (("", 1.0), ("k", 1e3), ("m", 1e-3), ("M", 1e6))},
    **{
        f"{prefix}A": ("A", factor, 0.0)
        for prefix, factor in (("", 1.0), ("m", 1e-3), ("u", 1e-6), ("n", 1e-9), ("p", 1e-12))
    },
    **{f"{prefix}eV": ("eV", factor, 0.0) for prefix, factor in (("", 1.0), ("k", 1e3), ("m", 1e-3))},
    **{f"{prefix}rad": ("rad", factor, 0.0) for prefix, factor in (("", 1.0), ("m", 1e-3), ("u", 1e-6))},
    **{f"{prefix}Pa": ("Pa", factor, 0.0) for prefix, factor in (("", 1.0), ("h", 1e2), ("k", 1e3), ("m", 1e-3))},
    "deg": ("deg", 1.0, 0.0),
    # Whole numbers that stand for parts of a unit, as the headers of block files have them.
    "0.1 mm": ("m", 1e-4, 0.0),
    "0.01 deg": ("deg", 0.01, 0.0),
    # ISO 80000-1 exact values.
    "mbar": ("Pa", 1e2, 0.0),
    "Torr": ("Pa", 101325 / 760, 0.0),
    "K": ("K", 1.0, 0.0),
    "°C": ("K", 1.0, 273.15),
    "1/s": ("1/s", 1.0, 0.0),
    "Hz": ("1/s", 1.0, 0.0),
    "bit": ("bit", 1.0, 0.0),
    "1": ("1", 1.0, 0.0),
    "x": ("1", 1.0, 0.0),
    "kx": ("1", 1e3, 0.0),
    "%": ("1", 1e-2, 0.0),
}

#: Other spellings; after `µ` has become `u`.
_SPELLINGS: Mapping[str, str] = {
    "volt": "V", "volts": "V", "kv": "kV", "KV": "kV", "kev": "keV", "ev": "eV", "na": "nA", "torr": "Torr",
    "sec": "s", "seconds": "s", "msec": "ms", "usec": "us", "Kelvin": "K", "C": "°C",
    "°": "deg", "degree": "deg", "degrees": "deg", "dg": "deg", "mR": "mrad", "radian": "rad", "radians": "rad",
    "X": "x", "K X": "kx", "kX": "kx", "KX": "kx", "": "1",
    "Volt": "V", "Volts": "V", "picoAmps": "pA", "Secs": "s", "uSec": "us", "Degrees": "deg",
    "Mins": "min", "Hours": "h",
    "Microns": "um", "Millimeters": "mm", "micron": "um", "microns": "um",
    "meter": "m", "meters": "m", "A^-1": "1/Å", "nm^-1": "1/nm",
}  # fmt: skip


def convert(value: float, written: str, wanted: str) -> float | None:
    """A number in the unit of the record.

    Parameters
    ----------
    value : float
        As the file has it.
    written : str
        Its unit, in any of the spellings known.
    wanted : str
        The field's unit.

    Returns
    -------
    float or None
        None where the unit is not understood or is of another kind. Degrees and radians are changed into each other.
    """
    text = written.strip().replace("µ", "u").replace("μ", "u").replace("Å", "Å").replace("⁻¹", "^-1")
    known = UNITS.get(text) or UNITS.get(_SPELLINGS.get(text, "?"))
    if known is None:
        return None
    unit, factor, added = known
    if (unit, wanted) == ("deg", "rad"):
        unit, factor = "rad", _DEGREE
    elif (unit, wanted) == ("rad", "deg"):
        unit, factor = "deg", factor / _DEGREE
    return value * factor + added if unit == wanted else None
