"""Which of SmartSEM's parameters are which fields. Their units stand beside the values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from diadem.hooks.fields import Derived, Found, Rule, Table, Tree, look_up
from diadem.hooks.times import moments
from diadem.plugins.vendor_text import exif, moment_of, number, positive

_SAID = "test_tiff_Zeiss_SEM_512pix.tif: the unit stands beside the value"
_PIXEL = (
    "test_tiff_Zeiss_SEM_512pix.tif: the fourth unnamed number, in metres, times 1024 over the image's width is "
    "AP_WIDTH 5.965 µm over 512 pixels; AP_PIXEL_SIZE is of an image of 1024"
)

_COLUMNS = (
    "an Auriga, with an ion column, says FIB Present = Yes, FIB Column = Orsay COBRA; a Merlin, without one, No and "
    "None; both FIB Imaging = SEM"
)

#: Parameters with units: field, and whether zero and less are no measurement.
_QUANTITIES: Mapping[str, tuple[str, bool]] = {
    "AP_ACTUALKV": ("beam.acceleration_voltage", True),
    "AP_IPROBE": ("beam.probe_current", True),
    "AP_MAG": ("optics.magnification", True),
    "AP_WD": ("optics.working_distance", True),
    "AP_WIDTH": ("optics.field_of_view_x", True),
    "AP_HEIGHT": ("optics.field_of_view_y", True),
    "DP_DWELL_TIME": ("scan.dwell_time", True),
    "AP_LINE_TIME": ("scan.line_time", True),
    "AP_STAGE_AT_X": ("stage.x", False),
    "AP_STAGE_AT_Y": ("stage.y", False),
    "AP_STAGE_AT_Z": ("stage.z", False),
    "AP_STAGE_AT_T": ("stage.tilt", False),
    "AP_STAGE_AT_R": ("stage.rotation", False),
    "AP_SYSTEM_VAC": ("stage.pressure", True),
}
_TEXTS: Mapping[str, str] = {
    "DP_DETECTOR_CHANNEL": "detector.name",
    "DP_DETECTOR_TYPE": "detector.type",
    "SV_USER_NAME": "person.operator",
    "SV_OPERATOR": "person.operator",
    "SV_SAMPLE_ID": "sample.name",
    "SV_SERIAL_NUMBER": "instrument.serial",
    "SV_VERSION": "instrument.software",
    "DP_SEM": "instrument.model",
    "DP_SAMPLE_HOLDER": "stage.holder",
}
#: The same of the ion column, for pictures that it has made. Its focus, field and dwell time have no parameters that
#: all versions write.
_IONS: Mapping[str, tuple[str, bool]] = {
    "AP_FIB_EHT_ACTUAL": ("beam.acceleration_voltage", True),
    "AP_FIB_MAGNIFICATION": ("optics.magnification", True),
    "AP_FIB_SCAN_ROTATION": ("scan.rotation", False),
}
#: Prefixes of fields that are the electron column's.
_COLUMN = ("beam.", "optics.", "scan.")
#: How SmartSEM writes units of long times.
_LONG = {"Mins": "min", "Hours": "h"}
_PRESENT = "DP_FIB_PRESENT"
_IMAGING = "DP_FIB_IMAGING"
#: Parameters known by the name that SmartSEM shows.
_SHOWN: Mapping[str, str] = {"Extractor V": "beam.extraction_voltage"}


def _rules() -> Iterator[Rule]:
    for key, (field, above_zero) in _QUANTITIES.items():
        path, read = f"CZ_SEM/{key}", positive if above_zero else number
        when = _by_electrons if field.startswith(_COLUMN) else None
        yield Rule(field, f"{path}/Value", read=read, when=when, unit_key=f"{path}/Unit", cite=_SAID)
    for key, (field, above_zero) in _IONS.items():
        path, read = f"CZ_SEM/{key}", positive if above_zero else number
        yield Rule(field, f"{path}/Value", read=read, when=_by_ions, unit_key=f"{path}/Unit", cite=_COLUMNS)
    for key, field in _TEXTS.items():
        yield Rule(field, f"CZ_SEM/{key}/Value", cite="the parameter's name")


def _parameter(tree: Tree, key: str) -> str:
    """A parameter's value as text, or ""."""
    return str(look_up(tree, f"CZ_SEM/{key}/Value") or "")


def _quantity(tree: Tree, field: str, key: str, read: Callable[[Any], float | None] = positive) -> Iterator[Found]:
    """A parameter with its own unit."""
    raw = _parameter(tree, key)
    if raw and (value := read(raw)) is not None:
        yield Found(field, value, f"CZ_SEM/{key}/Value", raw, str(look_up(tree, f"CZ_SEM/{key}/Unit") or ""))


def _by_electrons(tree: Tree) -> bool:
    """Whether the electron column has made the picture; so it is where nothing is said of an ion column."""
    said = _parameter(tree, _IMAGING).upper()
    return not said or ("SEM" in said and "FIB" not in said)


def _by_ions(tree: Tree) -> bool:
    said = _parameter(tree, _IMAGING).upper()
    return bool(said) and "SEM" not in said and _has_ions(tree) is True


def _has_ions(tree: Tree) -> bool | None:
    """Whether the instrument has an ion column; None where that is not said.

    Newer versions of SmartSEM write the parameters of one for every instrument: FIB Mode = Imaging, and a flood gun, of
    a Merlin, which has none.
    """
    present, column = _parameter(tree, _PRESENT).lower(), _parameter(tree, "DP_FIB_COLUMN").lower()
    if present in ("yes", "no"):
        return present == "yes"
    if column:
        return column != "none"
    if (volts := positive(_parameter(tree, "AP_FIB_EHT_ACTUAL"))) is not None:
        return volts > 0
    return None if any("FIB" in key for key in tree["CZ_SEM"]) else False


def _frame_time(tree: Tree) -> Iterator[Found]:
    """Time of a frame: ``40.5 Secs``, ``1.9 Mins``."""
    if _by_electrons(tree):
        for found in _quantity(tree, "scan.frame_time", "AP_FRAME_TIME"):
            yield replace(found, unit=_LONG.get(found.unit, found.unit))


def _shown(tree: Tree) -> Iterator[Found]:
    """Parameters by the name on the screen."""
    for key, entry in tree["CZ_SEM"].items():
        field = _SHOWN.get(entry.get("Name", "")) if isinstance(entry, Mapping) else None
        if field and _by_electrons(tree):
            yield from _quantity(tree, field, key)


def _rotation(tree: Tree) -> Iterator[Found]:
    """Scan rotation, unless it is switched off."""
    if _parameter(tree, "DP_SCAN_ROT") != "Off" and _by_electrons(tree):
        yield from _quantity(tree, "scan.rotation", "AP_SCANROTATION", number)


def _frames(tree: Tree) -> Iterator[Found]:
    """Frames averaged or integrated, where noise is reduced so."""
    way = _parameter(tree, "DP_NOISE_REDUCTION").lower()
    for begin, key in (("frame avg", "AP_FRAME_AVERAGE_COUNT"), ("frame int", "AP_FRAME_INT_COUNT")):
        raw = _parameter(tree, key)
        if way.startswith(begin) and (count := positive(raw)):
            yield Found("scan.frames", int(count), f"CZ_SEM/{key}/Value", raw, "1")


def _pixels(tree: Tree) -> Iterator[Found]:
    """Pixel size: as stated for the image, else the instrument's scaled to the width of the image."""
    stated = [
        found for direction in "xy" for found in _quantity(tree, f"image.pixel_size_{direction}", "AP_IMAGE_PIXEL_SIZE")
    ]
    yield from stated
    unnamed: Sequence[float] = look_up(tree, "CZ_SEM/unnamed") or ()
    width = tree.get("ImageWidth")
    if not stated and len(unnamed) > 3 and unnamed[3] > 0 and width:
        key = "CZ_SEM/unnamed/3 + ImageWidth"
        size = unnamed[3] * 1024 / width
        for direction in "xy":
            yield Found(f"image.pixel_size_{direction}", size, key, [unnamed[3], width], "m", "derived")


def _kind(tree: Tree) -> Iterator[Found]:
    """The tag is SmartSEM's, the program of Zeiss' scanning electron microscopes; those with an ion column say so."""
    named = [key for key in tree["CZ_SEM"] if key.startswith(("AP_", "DP_"))]
    ions = _has_ions(tree)
    if not named or ions is None:
        return
    key = next((key for key in (_PRESENT, "DP_FIB_COLUMN", "AP_FIB_EHT_ACTUAL") if _parameter(tree, key)), named[0])
    said = _parameter(tree, key) if key != named[0] else key
    yield Found("instrument.kind", "fib" if ions else "sem", f"CZ_SEM/{key}", said, status="derived")


def _technique(tree: Tree) -> Iterator[Found]:
    """By the column that made the picture, where it is said or there is one only."""
    named = [key for key in tree["CZ_SEM"] if key.startswith(("AP_", "DP_"))]
    key = _IMAGING if _parameter(tree, _IMAGING) else named[0] if named else ""
    if not key:
        return
    said = _parameter(tree, key) if key == _IMAGING else key
    if _has_ions(tree) is False or (key == _IMAGING and _by_electrons(tree)):
        yield Found("beam.species", "electron", f"CZ_SEM/{key}", said, status="derived")
        detector = _parameter(tree, "DP_DETECTOR_TYPE") + _parameter(tree, "DP_DETECTOR_CHANNEL")
        technique = "STEM" if "STEM" in detector.upper() else "SEM"
        yield Found("signal.technique", technique, f"CZ_SEM/{key}", said, status="derived")
    elif _by_ions(tree):
        yield Found("signal.technique", "FIB", f"CZ_SEM/{key}", said, status="derived")


def _time(tree: Tree) -> Iterator[Found]:
    date, hour = _parameter(tree, "AP_DATE"), _parameter(tree, "AP_TIME")
    local = moment_of(date, hour, exif(tree.get("DateTime")))
    key = "CZ_SEM/AP_DATE/Value + CZ_SEM/AP_TIME/Value"
    yield from moments("time.acquired_start", key, f"{date} {hour}", local=local)


TABLE: Table = (
    *_rules(),
    Derived("frame-time", _frame_time, cite=_SAID),
    Derived("shown", _shown, cite="the name that SmartSEM shows; the unit stands beside the value"),
    Derived("scan-rotation", _rotation, cite=_SAID),
    Derived("frames", _frames, cite="the parameters' names"),
    Derived("pixel-size", _pixels, cite=_PIXEL),
    Derived("kind", _kind, cite=_COLUMNS),
    Derived("technique", _technique, cite=_COLUMNS),
    Derived("acquisition-time", _time, cite="dates have names of months; local, no zone is stated"),
)
