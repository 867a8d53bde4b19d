"""Sizes of fields and pixels: of SightX Viewer from those on the screen, of text files where their lines agree."""

from __future__ import annotations

from collections.abc import Iterator

from diadem.hooks.fields import Found, Tree, look_up
from diadem.hooks.text import positive, quantity
from diadem.terms.units import electron_wavelength

_TOP = "ImageDescription/"
_LENGTHS = {"mm": 1e-3, "cm": 1e-2, "m": 1.0}


def pixel_size(tree: Tree) -> Iterator[Found]:
    """Pixel size at the sample from that on the screen, over the magnification, or camera length and wavelength.

    What is selected has the unit ``X`` where it is a magnification.
    """
    key, place = f"{_TOP}ImageFormingSystem/SelectorValue", f"{_TOP}Measurement/MeasurementFormat/DrawImageInformation"
    value, unit = positive(look_up(tree, key)), str(look_up(tree, f"{_TOP}ImageFormingSystem/SelectorUnitString") or "")
    scanning = str(look_up(tree, f"{_TOP}Eos/EosMode")).lower().endswith("asid")
    for axis, direction in (("x", "Horizontal"), ("y", "Vertical")):
        raw = look_up(tree, f"{place}/PixelsPerMeter/{direction}")
        keys = f"{place}/PixelsPerMeter/{direction} + {key}"
        density = positive(raw)
        if value is None or density is None or scanning:
            continue
        if unit.upper() == "X":
            yield Found(f"image.pixel_size_{axis}", 1 / (density * value), keys, [raw, value], "m", "derived")
        elif unit in _LENGTHS and (volts := positive(look_up(tree, f"{_TOP}ElectronGun/AccelerationVoltage"))):
            size = 1 / (density * value * _LENGTHS[unit] * electron_wavelength(volts))
            yield Found(f"image.reciprocal_pixel_size_{axis}", size, keys, [raw, value], "1/m", "derived")


def _view(tree: Tree) -> list[float]:
    """Width and height of the field in micrometres, where the magnification agrees; else nothing."""
    lengths = [positive(part) or 0.0 for part in str(tree.get("$CM_FIELD_OF_VIEW", "")).split()]
    known = len(lengths) == 2 and all(lengths)
    agrees = known and 0.09 <= lengths[0] * (positive(tree.get("$CM_MAG")) or 0.0) / 1e6 <= 0.2
    return lengths if agrees else []


def field_of_view(tree: Tree) -> Iterator[Found]:
    """The field of view, and pixel sizes from it."""
    raw, lengths = tree.get("$CM_FIELD_OF_VIEW", ""), _view(tree)
    for direction, length in zip("xy", lengths, strict=False):
        yield Found(f"optics.field_of_view_{direction}", length, "$CM_FIELD_OF_VIEW", raw, "um")
    counts = [positive(part) for part in str(tree.get("$CM_IMAGE_SIZE", "")).split()]
    for direction, length, count in zip("xy", lengths, counts, strict=False):
        if count:
            key = "$CM_FIELD_OF_VIEW + $CM_IMAGE_SIZE"
            said = [raw, tree["$CM_IMAGE_SIZE"]]
            yield Found(f"image.pixel_size_{direction}", length / count, key, said, "um", "derived")


def bar(tree: Tree) -> Iterator[Found]:
    """Pixel size from the bar where nothing is more exact: its length with a unit, over its pixels."""
    keys = "$$SM_MICRON_MARKER", "$$SM_MICRON_BAR"
    label, pixels = quantity(str(tree.get(keys[0], ""))), positive(tree.get(keys[1]))
    exact = _view(tree) and tree.get("$CM_IMAGE_SIZE")
    if exact or label is None or label[0] <= 0 or not label[1] or pixels is None:
        return
    for direction in "xy":
        raw = [tree[key] for key in keys]
        yield Found(f"image.pixel_size_{direction}", label[0] / pixels, " + ".join(keys), raw, label[1], "derived")
