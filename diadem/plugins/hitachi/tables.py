"""Which of Hitachi's values are which fields.

Values with units have them beside the number (``15000 Volt``, ``8100 um``). Pixel size and stage are nanometres.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from diadem.hooks.fields import Derived, Found, Rule, Table, Tree, look_up
from diadem.hooks.times import moments
from diadem.plugins.vendor_text import number, positive, quantity
from diadem.terms.dates import moment_of

_BESIDE = "the unit stands beside the value: AcceleratingVoltage=15000 Volt, WorkingDistance=8100 um, 10000 nA"
_NANOMETRES = (
    "Bio-Formats' HitachiReader takes PixelSize as nanometres; programs that join pictures by StagePositionX and Y "
    "take these as nanometres too. Taken where no other unit gives a position that a stage has: 10 µm to 300 mm"
)
#: Keys with units beside the number.
_QUANTITIES: Mapping[str, str] = {
    "AcceleratingVoltage": "beam.acceleration_voltage",
    "EmissionCurrent": "beam.emission_current",
    "WorkingDistance": "optics.working_distance",
    "Vacuum": "stage.pressure",
}
_TEXTS: Mapping[str, str] = {
    "InstructName": "instrument.model",
    "Instrument name": "instrument.model",
    "SerialNumber": "instrument.serial",
    "SampleName": "sample.name",
    "SignalName": "detector.name",
    "LensMode": "beam.mode",
}


def _section(tree: Tree) -> str:
    return "SemImageFile" if "SemImageFile" in tree else "TemImageFile"


def _quantities(tree: Tree) -> Iterator[Found]:
    section = _section(tree)
    for name, field in _QUANTITIES.items():
        raw = str(look_up(tree, f"{section}/{name}") or "")
        found = quantity(raw)
        if found is not None and found[0] > 0 and found[1]:
            yield Found(field, found[0], f"{section}/{name}", raw, found[1])


def _optics(tree: Tree) -> Iterator[Found]:
    """Magnification and pixel size."""
    section = _section(tree)
    raw = look_up(tree, f"{section}/Magnification")
    if (magnification := positive(raw)) is not None:
        yield Found("optics.magnification", magnification, f"{section}/Magnification", raw, "1")
    raw = look_up(tree, f"{section}/PixelSize")
    if (size := positive(raw)) is not None:
        for direction in "xy":
            yield Found(f"image.pixel_size_{direction}", size, f"{section}/PixelSize", raw, "nm")


def _stage(tree: Tree) -> Iterator[Found]:
    section = _section(tree)
    for axis in "XYZ":
        raw = look_up(tree, f"{section}/StagePosition{axis}")
        position = number(raw)
        if position is not None and 1e4 <= abs(position) <= 3e8:
            yield Found(f"stage.{axis.lower()}", position, f"{section}/StagePosition{axis}", raw, "nm")


def _kind(tree: Tree) -> Iterator[Found]:
    section = _section(tree)
    yield Found("instrument.kind", section[:3].lower(), section, section, status="derived")
    yield Found("signal.technique", section[:3].upper(), section, section, status="derived")
    if section == "SemImageFile":
        yield Found("beam.species", "electron", section, section, status="derived")


def _time(tree: Tree) -> Iterator[Found]:
    section = _section(tree)
    date, hour = (str(look_up(tree, f"{section}/{name}") or "") for name in ("Date", "Time"))
    key = f"{section}/Date + {section}/Time"
    yield from moments("time.acquired_start", key, f"{date} {hour}", local=moment_of(date, hour))


def _texts() -> Iterator[Rule]:
    for section in ("SemImageFile", "TemImageFile"):
        for name, field in _TEXTS.items():
            yield Rule(field, f"{section}/{name}", cite="the key's name")


TABLE: Table = (
    *_texts(),
    Derived("quantities", _quantities, cite=_BESIDE),
    Derived("optics", _optics, cite=_NANOMETRES),
    Derived("stage", _stage, cite=_NANOMETRES),
    Derived("kind", _kind, cite="the section's name"),
    Derived("acquisition-time", _time, cite="day and month where the numbers tell; no zone is stated"),
)
