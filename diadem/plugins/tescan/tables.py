"""Which of TESCAN's values are which fields. All are in SI units without prefixes, angles in degrees."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from diadem.hooks.fields import Derived, Found, Table, Tree, look_up
from diadem.hooks.text import number, positive
from diadem.hooks.times import moments
from diadem.terms.dates import exif, moments_of

_SI = (
    "tescan-pfib_dataZeroed.hdr: HV 15000 of a microscope of 0.2 to 30 kV; MagnificationReference 0.32 / Magnification "
    "160000 = 1280 pixels x PixelSizeX 1.5625e-9; StageX, StageY within a chamber; ChamberPressure 6e-4 at high vacuum"
)
_DEGREES = "tescan-pfib_dataZeroed.hdr: StageRotation=30.0 is no angle in radians"

#: Instruments with an ion column, by the names that TESCAN sells them under.
_DUAL = re.compile(r"\b(AMBER|SOLARIS|LYRA|FERA|GAIA|XEIA|VELA)", re.IGNORECASE)
_IONS = (
    (re.compile(r"\b(gallium|ga\+?|lmis)\b", re.IGNORECASE), "Ga"),
    (re.compile(r"\b(xenon|xe\+?)\b", re.IGNORECASE), "Xe"),
)

#: Keys of the column's section: field, unit, whether zero and less are no measurement.
_COLUMN: Mapping[str, tuple[str, str, bool]] = {
    "HV": ("beam.acceleration_voltage", "V", True),
    "AcceleratorVoltage": ("beam.acceleration_voltage", "V", True),
    "BeamCurrent": ("beam.current", "A", True),
    "PredictedBeamCurrent": ("beam.current", "A", True),
    "EmissionCurrent": ("beam.emission_current", "A", True),
    "WD": ("optics.working_distance", "m", True),
    "DwellTime": ("scan.dwell_time", "s", True),
    "ScanRotation": ("scan.rotation", "deg", False),
    "ChamberPressure": ("stage.pressure", "Pa", True),
    "StageX": ("stage.x", "m", False),
    "StageY": ("stage.y", "m", False),
    "StageZ": ("stage.z", "m", False),
    "StageRotation": ("stage.rotation", "deg", False),
    "StageTilt": ("stage.tilt", "deg", False),
}
_MAIN: Mapping[str, tuple[str, str, bool]] = {
    "Magnification": ("optics.magnification", "1", True),
    "PixelSizeX": ("image.pixel_size_x", "m", True),
    "PixelSizeY": ("image.pixel_size_y", "m", True),
}
_COLUMN_TEXTS: Mapping[str, str] = {"Detector": "detector.name", "Gun": "beam.source_type", "ScanMode": "beam.mode"}
_MAIN_TEXTS: Mapping[str, str] = {
    "Device": "instrument.model",
    "SerialNumber": "instrument.serial",
    "SoftwareVersion": "instrument.software",
}


def _place(tree: Tree, section: str) -> str:
    """Key of a section: those of a tag stand below the tag's name."""
    return f"TESCAN/{section}" if "TESCAN" in tree else section


def _columns(tree: Tree) -> list[str]:
    """Sections of columns; a header has the one that made the image."""
    sections = look_up(tree, "TESCAN") if "TESCAN" in tree else tree
    return [name for name in ("SEM", "FIB") if isinstance(sections.get(name), Mapping)]


def _numbers(tree: Tree, place: str, keys: Mapping[str, tuple[str, str, bool]]) -> Iterator[Found]:
    for name, (field, unit, above_zero) in keys.items():
        raw = look_up(tree, f"{place}/{name}")
        if raw and (value := positive(raw) if above_zero else number(raw)) is not None:
            yield Found(field, value, f"{place}/{name}", raw, unit)


def _texts(tree: Tree, place: str, keys: Mapping[str, str]) -> Iterator[Found]:
    for name, field in keys.items():
        raw = look_up(tree, f"{place}/{name}")
        if raw:
            yield Found(field, raw, f"{place}/{name}", raw)


def _main(tree: Tree) -> Iterator[Found]:
    place = _place(tree, "MAIN")
    yield from _numbers(tree, place, _MAIN)
    yield from _texts(tree, place, _MAIN_TEXTS)
    user = next((name for name in ("FullUserName", "UserName") if look_up(tree, f"{place}/{name}")), "")
    yield from _texts(tree, place, {user: "person.operator"} if user else {})
    frames = positive(look_up(tree, f"{place}/AccFrames"))
    if frames:
        yield Found("scan.frames", int(frames), f"{place}/AccFrames", look_up(tree, f"{place}/AccFrames"), "1")


def _column(tree: Tree) -> Iterator[Found]:
    columns = _columns(tree)
    if len(columns) == 1:
        place = _place(tree, columns[0])
        yield from _numbers(tree, place, _COLUMN)
        yield from _texts(tree, place, _COLUMN_TEXTS)


def _species(tree: Tree) -> Iterator[Found]:
    columns = _columns(tree)
    if len(columns) == 1:
        yield Found("signal.technique", columns[0], _place(tree, columns[0]), columns[0], status="derived")
    if columns == ["SEM"]:
        yield Found("beam.species", "electron", _place(tree, "SEM"), "SEM", status="derived")
    if columns != ["FIB"]:
        return
    place = _place(tree, "FIB")
    section: Mapping[str, Any] = look_up(tree, place)
    for key, raw in section.items():
        if re.search("gun|source|ion|column|species", key, re.IGNORECASE):
            for pattern, ion in _IONS:
                if pattern.search(str(raw)):
                    yield Found("beam.species", ion, f"{place}/{key}", raw, status="derived")
                    return


def _kind(tree: Tree) -> Iterator[Found]:
    """An instrument with an ion column by its section or its name; others are scanning electron microscopes."""
    key = f"{_place(tree, 'MAIN')}/Device"
    device = str(look_up(tree, key) or "")
    columns = _columns(tree)
    if "FIB" in columns:
        yield Found("instrument.kind", "fib", _place(tree, "FIB"), "FIB", status="derived")
    elif columns:
        kind = "fib" if _DUAL.search(device) else "sem"
        yield Found("instrument.kind", kind, key, device, status="derived")


def _vendor(tree: Tree) -> Iterator[Found]:
    """The maker as TIFF's tag names it: ``TESCAN - http://www.tescan.com/``."""
    raw = str(tree.get("Make") or "")
    if raw:
        yield Found("instrument.vendor", raw.partition(" - ")[0], "Make", raw, status="stated")


def _time(tree: Tree) -> Iterator[Found]:
    place = _place(tree, "MAIN")
    date, hour = (str(look_up(tree, f"{place}/{name}") or "") for name in ("Date", "Time"))
    readings, same = moments_of(date, hour), exif(tree.get("DateTime"))
    yield from moments(
        "time.acquired_start", f"{place}/Date + {place}/Time", f"{date} {hour}", local=readings, same=same
    )


TABLE: Table = (
    Derived("column", _column, cite=f"{_SI}; {_DEGREES}"),
    Derived("main", _main, cite=_SI),
    Derived("species", _species, cite="the column's section; names of ion sources"),
    Derived("kind", _kind, cite="the column's section; names of products with an ion column"),
    Derived("vendor", _vendor, cite="TIFF's own tag"),
    Derived("acquisition-time", _time, cite="no zone is stated, and the tag DateTime is of the saving"),
)
