"""Tables for TIA's documents. Units of the description stand in the file, beside each value."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from diadem.hooks.fields import Derived, Found, Rule, Table, Tree, look_up
from diadem.hooks.times import moments
from diadem.plugins.tia.series import PLACED, SPECTRA
from diadem.terms.dates import c_time, from_epoch, offset_of

_BESIDE = "the unit stands beside the value"
_SECONDS = "dwell time × pixels is 0.83 of the frame time in all files with both: the rest is the way back of each line"
_CLOCKS = ".ser Time is in seconds of UTC: whole hours beside AcquireDate in 4 files of two sites"
_DESCRIPTION = "ExperimentalDescription"
#: Relative difference of a scale and a number with two digits behind the point.
_SAME_SCALE = 1e-2


def _number(value: Any) -> float:
    """A number without the sign of a zero."""
    return float(value) + 0.0


def _scope(value: str) -> str:
    """``Microscope Titan 300 kV …`` without the first word."""
    return value.removeprefix("Microscope ").strip()


def _label(field: str, label: str, unit: str, *, drop: tuple[Any, ...] = ()) -> Rule:
    """A number of the description, in the unit beside it."""
    place = f"{_DESCRIPTION}/{label}"
    return Rule(field, f"{place}/Value", unit, _number, drop, unit_key=f"{place}/Unit", cite=_BESIDE)


def _camera(tree: Tree) -> bool:
    return bool(look_up(tree, "AcquireInfo/CameraNamePath"))


def _scanner(tree: Tree) -> bool:
    return not _camera(tree)


def _mode(tree: Tree) -> str:
    found = look_up(tree, f"{_DESCRIPTION}/Mode/Value")
    return found.strip() if isinstance(found, str) else ""


def _illumination(tree: Tree) -> str:
    """First word of the mode: ``TEM``, ``STEM``, with an energy filter ``EFTEM``, ``EFSTEM``."""
    return _mode(tree).partition(" ")[0]


def _scanning(tree: Tree) -> bool:
    return _illumination(tree).endswith("STEM")


def _placed(tree: Tree) -> bool:
    """Whether it is a series at several places of the beam."""
    count = look_up(tree, "ser/ValidNumberElements")
    return look_up(tree, "ser/TagTypeID") == PLACED and isinstance(count, int) and count > 1


def _stepped(tree: Tree) -> Iterator[Found]:
    """Dwell time of a camera that takes one picture at each place."""
    exposure = look_up(tree, "AcquireInfo/DwellTimePath")
    if _camera(tree) and _placed(tree) and exposure:
        yield Found("scan.dwell_time", exposure, "AcquireInfo/DwellTimePath", exposure, "s", status="derived")


def _slit(tree: Tree) -> bool:
    return bool(look_up(tree, f"{_DESCRIPTION}/Filter slit state/Value") == "Inserted")


def _energy_loss(tree: Tree) -> bool:
    """Whether it is a spectrum of the filter: its scale is the dispersion that is selected."""
    selected = look_up(tree, f"{_DESCRIPTION}/Filter selected dispersion/Value")
    scale = look_up(tree, "ser/CalibrationDelta")
    if selected is None or scale is None or look_up(tree, "ser/DataTypeID") != SPECTRA:
        return False
    return abs(float(scale) - float(selected)) <= _SAME_SCALE * abs(float(scale))


def _millimetres(value: str) -> float:
    """The number of ``2.0 mm``, ``3mm``."""
    return float(value.lower().removesuffix("mm").strip())


def _spectra(tree: Tree) -> bool:
    """Whether it describes spectra: by its series, or where none is joined to it by what only spectra have."""
    kind = look_up(tree, "ser/DataTypeID")
    if kind is not None:
        return bool(kind == SPECTRA)
    return any(look_up(tree, key) is not None for key in ("AcquireInfo/ShapingTime", "DetectorRange/Start"))


def _technique(tree: Tree) -> Iterator[Found]:
    """What was measured, and by what kind of instrument."""
    mode, key = _mode(tree), f"{_DESCRIPTION}/Mode/Value"
    if _illumination(tree).endswith("TEM"):
        yield Found("instrument.kind", "tem", key, mode, status="derived")
    if _spectra(tree):
        if look_up(tree, "AcquireInfo/ShapingTime") is not None:
            shaping = look_up(tree, "AcquireInfo/ShapingTime")
            yield Found("signal.technique", "EDS", "AcquireInfo/ShapingTime", shaping, status="derived")
        elif _energy_loss(tree):
            selected = look_up(tree, f"{_DESCRIPTION}/Filter selected dispersion/Value")
            place = f"{_DESCRIPTION}/Filter selected dispersion/Value + ser/CalibrationDelta"
            yield Found("signal.technique", "EELS", place, selected, status="derived")
    elif mode:
        pattern = "Diffraction" in mode
        still = _camera(tree) or not _scanning(tree)
        technique = "STEM" if not still else "diffraction" if pattern else "TEM"
        yield Found("signal.technique", technique, key, mode, status="derived")


def _local(tree: Tree) -> tuple[dt.datetime | None, str]:
    date = look_up(tree, "AcquireDate")
    return (c_time(date), date) if isinstance(date, str) else (None, "")


def _surveyed(tree: Tree) -> Iterator[Found]:
    """When an image was acquired that no series holds."""
    local, raw = _local(tree)
    yield from moments("time.acquired_start", "AcquireDate", raw, local=local)


def _acquired(tree: Tree) -> Iterator[Found]:
    """Start by both clocks, end by that of the series."""
    local, raw = _local(tree)
    first, last = (from_epoch(look_up(tree, f"ser/{key}") or 0) for key in ("Time", "Time of the last element"))
    if local is not None and first is not None:
        both = f"{raw} + {look_up(tree, 'ser/Time')}"
        yield from moments("time.acquired_start", "AcquireDate + ser/Time", both, local=local, instant=first)
    elif local is not None:
        yield from moments("time.acquired_start", "AcquireDate", raw, local=local)
    elif first is not None:
        yield from moments("time.acquired_start", "ser/Time", look_up(tree, "ser/Time"), instant=first)
    if first is not None and last is not None and last > first:
        offset = offset_of(local, first) if local is not None else None
        wall = None if offset is None else (last + offset).replace(tzinfo=None)
        key = "ser/Time of the last element"
        yield from moments("time.acquired_end", key, look_up(tree, key), local=wall, instant=last)


def _alone(tree: Tree) -> Iterator[Found]:
    """The same of a series without its .emi file."""
    for found in _acquired({"ser": tree}):
        yield replace(found, key=found.key.removeprefix("ser/"))


_STAGE: Table = (
    _label("stage.x", "Stage X", "um"),
    _label("stage.y", "Stage Y", "um"),
    _label("stage.z", "Stage Z", "um"),
    _label("stage.alpha", "Stage A", "deg"),
    _label("stage.beta", "Stage B", "deg"),
)

OBJECT: Table = (
    _label("beam.acceleration_voltage", "High tension", "kV"),
    Rule("beam.acceleration_voltage", "ExperimentalConditions/MicroscopeConditions/AcceleratingVoltage", "V",
         cite="200000 beside a high tension of 200 kV"),
    _label("beam.extraction_voltage", "Extraction voltage", "V"),
    _label("beam.emission_current", "Emission", "uA"),
    _label("optics.magnification", "Magnification", "x"),
    _label("optics.camera_length", "Camera length", "m"),
    _label("optics.defocus", "Defocus", "um", drop=(0.0,)),
    *_STAGE,
    Rule("scan.rotation", f"{_DESCRIPTION}/Stem rotation/Value", "deg", _number, when=_scanning,
         unit_key=f"{_DESCRIPTION}/Stem rotation/Unit", cite=_BESIDE),
    Rule("optics.energy_filter_slit", f"{_DESCRIPTION}/Filter slit width/Value", "eV", _number, when=_slit,
         unit_key=f"{_DESCRIPTION}/Filter slit width/Unit", cite=_BESIDE),
    Rule("eels.dispersion", f"{_DESCRIPTION}/Filter selected dispersion/Value", "eV", when=_energy_loss,
         cite="'eV/Channel' beside the value, which is the scale of the series"),
    Rule("eels.aperture", f"{_DESCRIPTION}/Filter selected aperture/Value", "mm", _millimetres, when=_energy_loss,
         cite="the unit is in the text"),
    Rule("beam.spot_index", f"{_DESCRIPTION}/Spot size/Value"),
    Rule("beam.source_type", f"{_DESCRIPTION}/Gun type/Value"),
    Rule("beam.mode", f"{_DESCRIPTION}/Mode/Value", read=str.strip),
    Rule("instrument.model", f"{_DESCRIPTION}/Microscope/Value", read=_scope),
    Rule("person.operator", f"{_DESCRIPTION}/User/Value"),
    Rule("detector.name", "AcquireInfo/CameraNamePath"),
    Rule("camera.exposure", "AcquireInfo/DwellTimePath", "s", when=_camera, cite=_SECONDS),
    Rule("camera.binning", "AcquireInfo/Binning", read=int, when=_camera),
    Rule("scan.dwell_time", "AcquireInfo/DwellTimePath", "s", when=_scanner, cite=_SECONDS),
    Rule("scan.dwell_time", "AcquireInfo/IntegrationTime", "s", when=_placed,
         cite="10 s a place in a map of six, 0.05 s where 5 places took less than a second"),
    Derived("stepped", _stepped),
    Rule("scan.frame_time", "AcquireInfo/FrameTime", "s", when=_scanner, cite=_SECONDS),
    Derived("technique", _technique),
    Derived("acquired", _acquired, _CLOCKS),
)  # fmt: skip

#: Of an image that is shown beside a recorded map, what may differ from the map's: it stands for the whole dataset.
SURVEY: Table = (
    Derived("acquired", _surveyed, _CLOCKS),
    Rule("scan.dwell_time", "AcquireInfo/DwellTimePath", "s", when=_scanner, cite=_SECONDS),
    _label("optics.magnification", "Magnification", "x"),
    *_STAGE,
)

SERIES: Table = (Derived("acquired", _alone, _CLOCKS),)
