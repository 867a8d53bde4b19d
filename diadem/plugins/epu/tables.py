"""What EPU's document states: SI without prefixes, angles in radians, a time with its offset.

The lengths of the image have their unit beside them (`SpatialScale`); the others are of the same interface that writes
Velox's JSON (see the `formats.toml` of `diadem.plugins.velox`), and proven there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from diadem.hooks.fields import Derived, Found, Rule, Table, Tree, look_up
from diadem.hooks.times import moments
from diadem.terms.dates import iso

_NOBODY = ("", "None", "Unspecified", "Unknown", "Undefined")
_DATA = "microscopeData/"
_OPTICS = _DATA + "optics/"
_CAMERA = _DATA + "acquisition/camera/"
_VOLTS = "300000 in a Titan Krios; extractor voltages of its XFEG are 3 to 5 kV"
_RADIANS = "the interface of Velox's Stage.AlphaTilt, where 0.088313660150913062 is 5.06 degrees"
_METRES = "the unit m stands with the pixel size of the same document; stages move 1 mm"
_RATE = "317.76 in a document of a Falcon 4i, which takes 320 frames in a second"


def positive(raw: Any) -> float | None:
    """A number above zero; 0 is written for what was not measured."""
    value = float(raw)
    return value if value > 0 else None


def nonzero(raw: Any) -> float | None:
    """A number that is not zero."""
    return float(raw) or None


def _slit_is_in(tree: Tree) -> bool:
    return str(look_up(tree, _OPTICS + "EnergyFilter/EnergySelectionSlitInserted")).lower() == "true"


def _scans(tree: Tree) -> bool:
    return str(look_up(tree, _OPTICS + "ColumnOperatingMode")).upper() == "STEM"


def _has_camera_length(tree: Tree) -> bool:
    """Whether the projector made a pattern; behind an image the number is that of the last pattern."""
    return _scans(tree) or str(look_up(tree, _OPTICS + "ProjectorMode")) == "Diffraction"


def moment(key: str, raw: Any, field: str = "time.acquired_start") -> Iterator[Found]:
    """A time as .NET writes it, with seven digits of a second."""
    yield from moments(field, key, raw, local=iso(raw))


def start(tree: Tree) -> Iterator[Found]:
    """When the image was taken."""
    key = _DATA + "acquisition/acquisitionDateTime"
    yield from moment(key, look_up(tree, key))


def program(tree: Tree) -> Iterator[Found]:
    """Name and version of the program."""
    keys = (_DATA + "core/ApplicationSoftware", _DATA + "core/ApplicationSoftwareVersion")
    name, version = (look_up(tree, key) for key in keys)
    if name and version:
        found = f"{name} {version}"
        yield Found("instrument.software", found, " + ".join(keys), f"{name}, {version}", status="derived")


def mode(tree: Tree) -> Iterator[Found]:
    """Whether the beam was scanned; every microscope that the program drives is a transmission microscope."""
    key = _OPTICS + "ColumnOperatingMode"
    raw = str(look_up(tree, key))
    if raw.upper() in ("TEM", "STEM"):
        yield Found("beam.mode", raw.upper(), key, raw)
        yield Found("instrument.kind", "tem", key, raw, status="derived")


def pixel_sizes(tree: Tree) -> Iterator[Found]:
    """Size of a pixel, where its unit is the metre."""
    for axis in "xy":
        key = f"SpatialScale/pixelSize/{axis}/numericValue"
        unit = look_up(tree, f"SpatialScale/pixelSize/{axis}/unit")
        symbols = [value for name, value in (unit or {}).items() if "Symbol" in name]
        raw = look_up(tree, key)
        if symbols == ["m"] and raw is not None:
            yield Found(f"image.pixel_size_{axis}", abs(float(raw)), key, raw, "m")


def camera(tree: Tree) -> Iterator[Found]:
    """The camera, with what is said of it under its own name."""
    name = look_up(tree, _CAMERA + "Name")
    if not name:
        return
    yield Found("detector.name", str(name), _CAMERA + "Name", name)
    for field, what, unit in (
        ("detector.type", "CommercialName", ""),
        ("detector.serial", "CameraSerialNumber", ""),
        ("camera.frame_rate", "FrameRate", "1/s"),
    ):
        key = f"CustomData/Detectors[{name}].{what}"
        if (raw := look_up(tree, key)) is not None:
            yield Found(field, raw if not unit else float(raw), key, raw, unit)
    across, down = (look_up(tree, f"{_CAMERA}Binning/{axis}") for axis in "xy")
    if across is not None and across == down and int(across) > 0:
        yield Found("camera.binning", int(across), f"{_CAMERA}Binning/x", across, "1")


TABLE: Table = (
    Derived("start", start, cite="the offset stands in the text"),
    Derived("program", program),
    Derived("mode", mode),
    Derived("camera", camera, cite=_RATE),
    Derived("pixel-size", pixel_sizes, cite="the unit stands beside it"),
    Rule("instrument.model", _DATA + "instrument/InstrumentModel", drop=_NOBODY),
    Rule("instrument.serial", _DATA + "instrument/InstrumentID", drop=("", "0")),
    Rule("beam.acceleration_voltage", _DATA + "gun/AccelerationVoltage", "V", positive, cite=_VOLTS),
    Rule("beam.extraction_voltage", _DATA + "gun/ExtractorVoltage", "V", positive, cite=_VOLTS),
    Rule("beam.source_type", _DATA + "gun/Sourcetype", drop=_NOBODY),
    Rule("beam.spot_index", _OPTICS + "SpotIndex", "1", positive),
    Rule("beam.convergence_semi_angle", _OPTICS + "BeamConvergence", "rad", positive, when=_scans, cite="as in Velox"),
    Rule("optics.camera_length", _OPTICS + "Cameralength", "m", positive, when=_has_camera_length, cite=_METRES),
    Rule("optics.defocus", _OPTICS + "Defocus", "m", nonzero, cite=_METRES),
    Rule("optics.magnification", _OPTICS + "TemMagnification/NominalMagnification", "x", positive),
    Rule("optics.magnification", _OPTICS + "StemMagnification", "x", positive, when=_scans),
    Rule(
        "optics.energy_filter_slit",
        _OPTICS + "EnergyFilter/EnergySelectionSlitWidth",
        "eV",
        positive,
        when=_slit_is_in,
        cite="10 and 20 with slits of 10 and 20 eV",
    ),
    Rule("camera.exposure", _CAMERA + "ExposureTime", "s", positive, cite="0.619959 s: 197 frames of 1/317.76 s"),
    Rule("scan.dwell_time", _DATA + "acquisition/scanSettings/DwellTime", "s", positive, when=_scans),
    Rule("stage.x", _DATA + "stage/Position/X", "m", cite=_METRES),
    Rule("stage.y", _DATA + "stage/Position/Y", "m", cite=_METRES),
    Rule("stage.z", _DATA + "stage/Position/Z", "m", cite=_METRES),
    Rule("stage.alpha", _DATA + "stage/Position/A", "rad", cite=_RADIANS),
    Rule("stage.beta", _DATA + "stage/Position/B", "rad", cite=_RADIANS),
    Rule("stage.holder", _DATA + "stage/Holder", drop=_NOBODY),
    Rule("sample.name", _DATA + "sample/Description", drop=_NOBODY),
    Rule("sample.identifier", _DATA + "sample/ID", drop=_NOBODY),
)
