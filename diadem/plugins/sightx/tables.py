"""Which of the report's values are which fields.

Left out: `BeamCurrent`, which is `DarkCurrent` and `EmissionCurrent` together, the current of the high tension supply
and not of the beam; stage positions, of which nothing tells nanometres from micrometres.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from diadem.hooks.fields import Derived, Found, Rule, Table, Tree, look_up
from diadem.hooks.times import moments
from diadem.plugins.vendor_text import number, positive, quantity
from diadem.terms.dates import iso

_TOP = "ImageDescription/"
_EXAMPLE = "JEOL-SightX-TEM-mag-dummy.tif: "
_PIXEL = (
    _EXAMPLE + "1 / PixelsPerMeter 3642 / SelectorValue 150000 = 1.8305 nm; the program's own measurement in the file "
    "says 247.72nm for a line of 135.33 pixels, which is the same. TIFF's XResolution is rounded to whole numbers"
)
_EMISSION = (
    _EXAMPLE
    + "DarkCurrent 101 + EmissionCurrent 158.9 = BeamCurrent 259.9; a filament emits neither 158.9 nA nor 158.9 mA"
)
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


def _optics(tree: Tree) -> Iterator[Found]:
    selected = _selector(tree)
    if selected is None:
        return
    value, unit, key = selected
    if unit.upper() == "X":
        yield Found("optics.magnification", value, key, look_up(tree, key), "1")
    elif unit in _LENGTHS:
        yield Found("optics.camera_length", value, key, look_up(tree, key), unit)


def _mode(tree: Tree) -> Iterator[Found]:
    key = f"{_TOP}Eos/EosMode"
    raw = look_up(tree, key)
    if not raw:
        return
    mode = "STEM" if _is_scanning(tree) else "TEM"
    yield Found("beam.mode", mode, key, raw, status="derived")
    selected = _selector(tree)
    pattern = mode == "TEM" and selected is not None and selected[1] in _LENGTHS
    yield Found("signal.technique", "diffraction" if pattern else mode, key, raw, status="derived")


def _source(tree: Tree) -> Iterator[Found]:
    """The filament, or the kind of gun where it has none."""
    gun, filament = (str(look_up(tree, f"{_TOP}ElectronGun/{name}") or "") for name in ("GunType", "FilamentType"))
    if gun == "gunFilament" and filament:
        key = f"{_TOP}ElectronGun/FilamentType"
        yield Found("beam.source_type", filament.removeprefix("filament"), key, filament, status="stated")
    elif gun:
        yield Found("beam.source_type", gun.removeprefix("gun"), f"{_TOP}ElectronGun/GunType", gun, status="stated")


def _defocus(tree: Tree) -> Iterator[Found]:
    """Defocus with its unit, unless it is zero, as after a reset."""
    key = f"{_TOP}ImageFormingSystem/DefocusValue"
    raw = str(look_up(tree, key) or "")
    found = quantity(raw)
    if found is not None and found[0] and found[1]:
        yield Found("optics.defocus", found[0], key, raw, found[1])


def _cameras(tree: Tree) -> Iterator[Found]:
    """The camera: a section of its own with `Parameter`; its exposure has a unit."""
    for name, section in tree["ImageDescription"].items():
        if not isinstance(section, Mapping) or not isinstance(section.get("Parameter"), Mapping):
            continue
        place, parameter = f"{_TOP}{name}", section["Parameter"]
        if isinstance(section.get("Modelname"), str):
            yield Found("detector.name", section["Modelname"], f"{place}/Modelname", section["Modelname"])
        raw = str(parameter.get("ExposureTimeString") or "")
        exposure = quantity(raw)
        if exposure is not None and exposure[0] > 0:
            yield Found("camera.exposure", exposure[0], f"{place}/Parameter/ExposureTimeString", raw, exposure[1])
        binning = [positive(parameter.get(f"Binning{direction}Size")) for direction in ("Horizontal", "Vertical")]
        if binning[0] and binning[0] == binning[1]:
            key = f"{place}/Parameter/BinningHorizontalSize"
            yield Found("camera.binning", int(binning[0]), key, parameter["BinningHorizontalSize"], "1")


def _wavelength(volts: float) -> float:
    """De Broglie wavelength of electrons in metres, relativistic."""
    energy = _E * volts
    return _H / math.sqrt(2 * _M * energy * (1 + energy / (2 * _M * _C**2)))


def _pixels(tree: Tree) -> Iterator[Found]:
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


def _time(tree: Tree) -> Iterator[Found]:
    key = f"{_TOP}DateTime"
    raw = look_up(tree, key)
    yield from moments("time.acquired_start", key, raw, local=iso(raw))


def _kind(tree: Tree) -> Iterator[Found]:
    del tree
    yield Found("instrument.kind", "tem", "ImageDescription", "TemReporter", status="derived")


def _rule(field: str, key: str, unit: str = "", read: Any = None, drop: Any = (), cite: str = "the key's name") -> Rule:
    return Rule(field, f"{_TOP}{key}", unit, read, drop, cite=cite)


TABLE: Table = (
    _rule(
        "beam.acceleration_voltage",
        "ElectronGun/AccelerationVoltage",
        "V",
        positive,
        cite=_EXAMPLE + "200000 of a microscope of 200 kV",
    ),
    _rule("beam.emission_current", "ElectronGun/EmissionCurrent", "uA", positive, cite=_EMISSION),
    _rule("beam.spot_index", "IlluminationSystem/SpotSizeString", "1", positive, cite="as the screen shows it"),
    _rule("instrument.model", "Instruments"),
    _rule("instrument.vendor", "Manufacturer"),
    _rule("person.operator", "Operator"),
    _rule("sample.name", "Specimen"),
    _rule("stage.holder", "GonioStage/HolderInformation/Name", drop=("Nothing",)),
    _rule(
        "stage.alpha",
        "GonioStage/StagePosition/TX",
        "deg",
        number,
        cite=_EXAMPLE + "the limit beside it is 10, no angle in radians",
    ),
    _rule(
        "stage.beta",
        "GonioStage/StagePosition/TY",
        "deg",
        number,
        cite=_EXAMPLE + "the limit beside it is 10, no angle in radians",
    ),
    Derived("optics", _optics, cite="the unit stands beside the value"),
    Derived("mode", _mode, cite="ASID is JEOL's name for its scanning attachment"),
    Derived("source", _source, cite="the keys' names"),
    Derived("defocus", _defocus, cite="the unit stands beside the value"),
    Derived("cameras", _cameras, cite="the unit stands beside the value"),
    Derived("pixel-size", _pixels, cite=_PIXEL),
    Derived("acquisition-time", _time, cite="the offset is written"),
    Derived("kind", _kind, cite="the document's name"),
)
