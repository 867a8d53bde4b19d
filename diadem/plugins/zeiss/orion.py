"""Which of Orion's values are which fields. Their units stand beside the values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from diadem.hooks.fields import Derived, Found, Rule, Table, Tree, look_up
from diadem.hooks.times import moments
from diadem.plugins.vendor_text import number, positive
from diadem.terms.dates import exif, moment_of

_SAID = "orion-zeiss_dataZeroed.tif: the unit stands beside the value; Fov 1 Microns / ImageWidth 1024 = ScalingX"

#: Values: field, and whether zero and less are no measurement. `GFIS.…` are the gas field ion source's.
_QUANTITIES: Mapping[str, tuple[str, bool]] = {
    "AccelerationVoltage": ("beam.acceleration_voltage", True),
    "GFIS.AccelerationVoltage": ("beam.acceleration_voltage", True),
    "BlankerCurrent": ("beam.current", True),
    "GFIS.BeamCurrent": ("beam.current", True),
    "WorkingDistance": ("optics.working_distance", True),
    "GFIS.WorkingDistance": ("optics.working_distance", True),
    "Fov": ("optics.field_of_view_x", True),
    "GFIS.FieldOfView": ("optics.field_of_view_x", True),
    "ScalingX": ("image.pixel_size_x", True),
    "ScalingY": ("image.pixel_size_y", True),
    "DwellTime": ("scan.dwell_time", True),
    "ScanRotate": ("scan.rotation", False),
    "StageX": ("stage.x", False),
    "StageY": ("stage.y", False),
    "StageZ": ("stage.z", False),
    "StageTilt": ("stage.tilt", False),
    "StageRotate": ("stage.rotation", False),
    "ChamberPressure": ("stage.pressure", True),
}
_TEXTS: Mapping[str, str] = {
    "DetectorName": "detector.name",
    "System.Model": "instrument.model",
    "System.Name": "instrument.name",
    "ColumnMode": "beam.mode",
    "ColumnType": "beam.source_type",
}
#: Gases of the ion source, and the metal of the third column of the NanoFab.
_SPECIES: Mapping[str, str] = {"helium": "He", "neon": "Ne", "gallium": "Ga", "he": "He", "ne": "Ne", "ga": "Ga"}


def _rules() -> Iterator[Rule]:
    for name, (field, above_zero) in _QUANTITIES.items():
        key = f"ImageTags/{name}"
        read = positive if above_zero else number
        yield Rule(field, f"{key}/Value", read=read, unit_key=f"{key}/Units", cite=_SAID)
    for name, field in _TEXTS.items():
        yield Rule(field, f"ImageTags/{name}/Value", cite="the element's name")
    yield Rule("beam.spot_index", "ImageTags/SpotNumber/Value", "1", positive, cite="Units says Unitless")


def _extraction(tree: Tree) -> Iterator[Found]:
    """Extraction voltage without its sign: the source is positive towards the extractor."""
    for name in ("ExtractionVoltage", "GFIS.ExtractionVoltage"):
        key = f"ImageTags/{name}/Value"
        if (volts := number(look_up(tree, key))) is not None and volts:
            unit = str(look_up(tree, f"ImageTags/{name}/Units"))
            yield Found("beam.extraction_voltage", abs(volts), key, look_up(tree, key), unit)


def _species(tree: Tree) -> Iterator[Found]:
    key = "ImageTags/GFIS.IonGas/Value"
    raw = look_up(tree, key)
    if species := _SPECIES.get(str(raw).lower()):
        yield Found("beam.species", species, key, raw, status="stated")
        technique = "FIB" if species == "Ga" else "HIM"
        yield Found("signal.technique", technique, key, raw, status="derived")


def _kind(tree: Tree) -> Iterator[Found]:
    """Helium ion microscopes have a gas field ion source."""
    key = "ImageTags/ColumnType/Value"
    raw = look_up(tree, key)
    if raw == "GFIS" or any(str(name).startswith("GFIS.") for name in tree["ImageTags"]):
        yield Found("instrument.kind", "him", key, raw, status="derived")


def _frames(tree: Tree) -> Iterator[Found]:
    """Frames averaged, where it averages frames and not lines."""
    key = "ImageTags/NumAverages/Value"
    if look_up(tree, "ImageTags/AveragingMode/Value") == "Frame" and (count := positive(look_up(tree, key))):
        yield Found("scan.frames", int(count), key, look_up(tree, key), "1")


def _magnification(tree: Tree) -> Iterator[Found]:
    """The magnification on the screen, else that of a print of 4 x 5 inches."""
    for name in ("MagnificationDisplay", "Magnification4x5"):
        key = f"ImageTags/{name}/Value"
        if (value := positive(look_up(tree, key))) is not None:
            yield Found("optics.magnification", value, key, look_up(tree, key), "1")
            return


def _time(tree: Tree) -> Iterator[Found]:
    key = "ImageTags/TimeStamp/Value"
    raw = str(look_up(tree, key) or "")
    date, _, hour = raw.partition(" ")
    yield from moments("time.acquired_start", key, raw, local=moment_of(date, hour, exif(tree.get("DateTime"))))


TABLE: Table = (
    *_rules(),
    Derived("extraction-voltage", _extraction, cite=_SAID),
    Derived("species", _species, cite="the ion source's gas by name"),
    Derived("kind", _kind, cite="GFIS is the gas field ion source of helium ion microscopes"),
    Derived("frames", _frames, cite="the elements' names"),
    Derived("magnification", _magnification, cite="114300 x Fov 1 Microns = 114.3 mm = 4.5 inches"),
    Derived("acquisition-time", _time, cite="local, no zone is stated; day and month by the numbers where they tell"),
)
