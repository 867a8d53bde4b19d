"""What of EPU's documents is no data: what stands below a camera's own name, and the one sample of a session."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from diadem.hooks.fields import Found, Tree, look_up
from diadem.hooks.text import positive
from diadem.hooks.times import moments
from diadem.plugins.epu.blocks import WRITER
from diadem.terms.dates import iso

_CAMERA = "microscopeData/acquisition/camera/Name"
_SAMPLE = "Samples/_items/SampleXml"
_VERSION = re.compile(r"Applications\.Epu\S*, Version=([\d.]+)")
#: The purpose whose settings are those of the images; others are of finding and focusing.
_IMAGES = "Acquisition"


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
    name = look_up(tree, _CAMERA)
    if not name:
        return
    yield Found("detector.name", str(name), _CAMERA, name)
    for field, what, unit in (
        ("detector.type", "CommercialName", ""),
        ("detector.serial", "CameraSerialNumber", ""),
        ("camera.frame_rate", "FrameRate", "1/s"),
    ):
        key = f"CustomData/Detectors[{name}].{what}"
        if (raw := look_up(tree, key)) is not None:
            yield Found(field, raw if not unit else float(raw), key, raw, unit)


def _sample(tree: Tree) -> tuple[str, Any]:
    """Path and tree of the one sample; a list of several has none that is the session's."""
    found = look_up(tree, _SAMPLE)
    present = [one for one in found if one] if isinstance(found, list) else [found]
    if len(present) != 1 or not isinstance(present[0], Mapping):
        return "", {}
    return (f"{_SAMPLE}/{found.index(present[0])}" if isinstance(found, list) else _SAMPLE), present[0]


def session_times(tree: Tree) -> Iterator[Found]:
    """Start and end: of the sample with the offset, of the session in UTC."""
    place, sample = _sample(tree)
    for name, field in (("StartDateTime", "time.acquired_start"), ("EndDateTime", "time.acquired_end")):
        known = [(f"{place}/{name}", sample.get(name)), (name, tree.get(name))]
        key, raw = next(((key, raw) for key, raw in known if raw), ("", None))
        yield from moments(field, key, raw, local=iso(raw))


def session_program(tree: Tree) -> Iterator[Found]:
    """The program, and the kind of instrument that it drives."""
    raw = str(tree.get(WRITER))
    if match := _VERSION.match(raw):
        yield Found("instrument.software", f"EPU {match[1]}", WRITER, raw, status="derived")
    yield Found("instrument.kind", "tem", WRITER, raw, status="derived")


def session_settings(tree: Tree) -> Iterator[Found]:
    """Spot and exposure with which images are taken; the magnification is a place in the microscope's list: 30."""
    place, sample = _sample(tree)
    pairs = look_up(sample, "MicroscopeSettings/KeyValuePairs") or {}
    (listed,) = pairs.values()
    for number, pair in enumerate(listed if isinstance(listed, list) else [listed]):
        if pair.get("key") != _IMAGES:
            continue
        for field, key, unit in (
            ("beam.spot_index", "Optics/SpotIndex", "1"),
            ("camera.exposure", "Acquisition/camera/ExposureTime", "s"),
        ):
            raw = look_up(pair, f"value/{key}")
            if raw is not None and (value := positive(raw)):
                yield Found(field, value, f"{place}/MicroscopeSettings/{number}/value/{key}", raw, unit)
