"""The size of a pixel at the sample, from that on the screen."""

from __future__ import annotations

import math
from collections.abc import Iterator

from diadem.hooks.fields import Found, Tree, look_up
from diadem.hooks.quantities import positive

_TOP = "ImageDescription/"
#: CODATA 2018: Planck constant (J s), electron mass (kg), elementary charge (C), speed of light (m/s).
_H, _M, _E, _C = 6.62607015e-34, 9.1093837015e-31, 1.602176634e-19, 299792458.0
_LENGTHS = {"mm": 1e-3, "cm": 1e-2, "m": 1.0}


def _is_scanning(tree: Tree) -> bool:
    return str(look_up(tree, f"{_TOP}Eos/EosMode")).lower().endswith("asid")


def _selector(tree: Tree) -> tuple[float, str, str] | None:
    """Magnification or camera length as selected: number, unit (``X``, ``cm``), key."""
    key = f"{_TOP}ImageFormingSystem/SelectorValue"
    value = positive(look_up(tree, key))
    unit = str(look_up(tree, f"{_TOP}ImageFormingSystem/SelectorUnitString") or "")
    return None if value is None else (value, unit, key)


def _wavelength(volts: float) -> float:
    """De Broglie wavelength of electrons in metres, relativistic."""
    energy = _E * volts
    return _H / math.sqrt(2 * _M * energy * (1 + energy / (2 * _M * _C**2)))


def pixel_size(tree: Tree) -> Iterator[Found]:
    """Pixel size at the sample from that on the screen, over the magnification, or camera length and wavelength."""
    selected = _selector(tree)
    place = f"{_TOP}Measurement/MeasurementFormat/DrawImageInformation/PixelsPerMeter"
    if selected is None or _is_scanning(tree):
        return
    value, unit, key = selected
    for axis, direction in (("x", "Horizontal"), ("y", "Vertical")):
        raw = look_up(tree, f"{place}/{direction}")
        keys = f"{place}/{direction} + {key}"
        if not (density := positive(raw)):
            continue
        if unit.upper() == "X":
            yield Found(f"image.pixel_size_{axis}", 1 / (density * value), keys, [raw, value], "m", "derived")
        elif unit in _LENGTHS and (volts := positive(look_up(tree, f"{_TOP}ElectronGun/AccelerationVoltage"))):
            size = 1 / (density * value * _LENGTHS[unit] * _wavelength(volts))
            yield Found(f"image.reciprocal_pixel_size_{axis}", size, keys, [raw, value], "1/m", "derived")
