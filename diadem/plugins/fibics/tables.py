"""Which of Fibics' values are which fields.

Elements of `Scan` and `Stage` carry their units. Those of `BeamInfo` do not; they are taken only where no other unit
gives a value that such a column can have.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from diadem.hooks.fields import Derived, Found, Rule, Table, Tree, look_up
from diadem.hooks.text import instrument_name, number, positive
from diadem.hooks.times import moments
from diadem.terms.dates import exif, iso, moments_of

_SAID = "the attribute 'units' beside the value"
_STEPS = (
    "Ux, Uy and Vx, Vy are the steps of the scan from pixel to pixel in micrometres: the length of U is FOV_X, in um "
    "by its attribute, over Width; so NLM's ITK reader IASEMImportSeries takes them"
)

_QUANTITIES: Mapping[str, tuple[str, bool]] = {
    "Scan/Dwell": ("scan.dwell_time", True),
    "Scan/FOV_X": ("optics.field_of_view_x", True),
    "Scan/FOV_Y": ("optics.field_of_view_y", True),
    "Scan/ScanRot": ("scan.rotation", False),
    "Stage/X": ("stage.x", False),
    "Stage/Y": ("stage.y", False),
    "Stage/Z": ("stage.z", False),
    "Stage/Tilt": ("stage.tilt", False),
    "Stage/Rot": ("stage.rotation", False),
}
_TEXTS: Mapping[str, str] = {
    "Image/Detector": "detector.name",
    "Image/Machine": "instrument.name",
    "Application/Version": "instrument.software",
}
_SPECIES: Mapping[str, str] = {
    "sem": "electron", "electron": "electron", "helium": "He", "he": "He", "neon": "Ne", "ne": "Ne",
    "gallium": "Ga", "ga": "Ga", "xenon": "Xe", "xe": "Xe",
}  # fmt: skip


def _rules() -> Iterator[Rule]:
    for name, (field, above_zero) in _QUANTITIES.items():
        key = f"FibicsXML/{name}"
        read: Callable[[Any], Any] = positive if above_zero else number
        yield Rule(field, f"{key}/#text", read=read, unit_key=f"{key}/@units", cite=_SAID)
    for name, field in _TEXTS.items():
        read = instrument_name if field == "instrument.name" else _plain
        yield Rule(field, f"FibicsXML/{name}", read=read, cite="the element's name")


def _plain(raw: object) -> str | None:
    return raw if isinstance(raw, str) else None


def _describes(tree: Tree) -> bool:
    """Whether the XML is of an image of this size; a resized copy keeps it."""
    for name, own in (("Width", "ImageWidth"), ("Height", "ImageLength")):
        stated = number(look_up(tree, f"FibicsXML/Image/{name}"))
        if stated and own in tree and stated != tree[own]:
            return False
    return True


def _pixels(tree: Tree) -> Iterator[Found]:
    """Lengths of the two steps of the scan."""
    if not _describes(tree):
        return
    for direction, first, second in (("x", "Ux", "Uy"), ("y", "Vx", "Vy")):
        keys = [f"FibicsXML/Scan/{name}" for name in (first, second)]
        raw = [look_up(tree, key) for key in keys]
        parts = [number(value) for value in raw]
        if parts[0] is not None and parts[1] is not None and (length := math.hypot(parts[0], parts[1])):
            yield Found(f"image.pixel_size_{direction}", length, " + ".join(keys), raw, "um", "derived")


def _voltage(tree: Tree) -> Iterator[Found]:
    """Volts: 100 and more can be no kilovolts in a scanning microscope."""
    key = "FibicsXML/BeamInfo/AccV"
    volts = number(look_up(tree, key))
    if volts is not None and 100 <= abs(volts) <= 60000:
        yield Found("beam.acceleration_voltage", abs(volts), key, look_up(tree, key), "V")


def _gas(tree: Tree) -> Iterator[Found]:
    """Species of a gas field ion source, the kind of instrument that has one, and the current of its beam.

    Such a source gives up to some 100 pA: 0.2 to 200 can be no nanoamperes.
    """
    key = "FibicsXML/BeamInfo/GFISGas"
    gas = look_up(tree, key)
    if not gas:
        return
    yield Found("instrument.kind", "him", key, gas, status="derived")
    if species := _SPECIES.get(str(gas).lower()):
        yield Found("beam.species", species, key, gas)
    current = number(look_up(tree, "FibicsXML/BeamInfo/BeamI"))
    if current is not None and 0.2 <= current <= 200:
        key = "FibicsXML/BeamInfo/BeamI"
        yield Found("beam.current", current, key, look_up(tree, key), "pA")


def _beam(tree: Tree) -> Iterator[Found]:
    key = "FibicsXML/Image/Beam"
    species = _SPECIES.get(str(look_up(tree, key)).lower())
    if species:
        yield Found("beam.species", species, key, look_up(tree, key), status="derived")


def _time(tree: Tree) -> Iterator[Found]:
    key = "FibicsXML/Application/Date"
    raw = str(look_up(tree, key) or "")
    date, _, hour = raw.partition(" ")
    local, same = iso(raw) or moments_of(date, hour), exif(tree.get("DateTime"))
    yield from moments("time.acquired_start", key, raw, local=local, same=same)


TABLE: Table = (
    *_rules(),
    Derived("steps", _pixels, cite=_STEPS),
    Derived("voltage", _voltage, cite="no scanning microscope has 100 kV and more"),
    Derived("gas", _gas, cite="a gas field ion source's gas by name; its currents are of picoamperes"),
    Derived("beam", _beam, cite="the element's name"),
    Derived("acquisition-time", _time, cite="the offset as written; without one, local"),
)
