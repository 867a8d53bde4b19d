"""The size of a pixel at the sample, from that on the screen."""

from __future__ import annotations

from collections.abc import Iterator

from diadem.hooks.fields import Found, Tree, look_up
from diadem.hooks.text import positive
from diadem.terms.units import electron_wavelength

_TOP = "ImageDescription/"
_LENGTHS = {"mm": 1e-3, "cm": 1e-2, "m": 1.0}


def _is_scanning(tree: Tree) -> bool:
    return str(look_up(tree, f"{_TOP}Eos/EosMode")).lower().endswith("asid")


def _selector(tree: Tree) -> tuple[float, str, str] | None:
    """Magnification or camera length as selected: number, unit (``X``, ``cm``), key."""
    key = f"{_TOP}ImageFormingSystem/SelectorValue"
    value = positive(look_up(tree, key))
    unit = str(look_up(tree, f"{_TOP}ImageFormingSystem/SelectorUnitString") or "")
    return None if value is None else (value, unit, key)


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
            size = 1 / (density * value * _LENGTHS[unit] * electron_wavelength(volts))
            yield Found(f"image.reciprocal_pixel_size_{axis}", size, keys, [raw, value], "1/m", "derived")
