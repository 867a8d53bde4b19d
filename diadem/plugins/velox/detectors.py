"""The detector that a set of data comes from, among all detectors that a Velox document lists."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from diadem.hooks.fields import Found, Tree, look_up
from diadem.plugins.velox.values import count

#: How far a time may be from frames times pixels times dwell time, relatively, to be that of the whole acquisition.
_NEAR: Final = 0.02
_SEGMENTS: Final = "0123456789"

Detector = Mapping[str, Any]


def own(tree: Tree) -> tuple[str, Detector] | None:
    """Key and content of the one detector that the data come from; None where there is none or are several."""
    listed = look_up(tree, "Detectors")
    if not isinstance(listed, Mapping):
        return None
    name = look_up(tree, "BinaryResult/Detector")
    number = look_up(tree, "BinaryResult/DetectorIndex")
    key = f"Detector-{number}"
    numbered = listed.get(key) if number is not None else None
    # A number that leads to another detector than the name is not to be trusted; the name is.
    if isinstance(numbered, Mapping) and (not name or numbered.get("DetectorName") == name):
        return key, numbered
    found = [(key, one) for key, one in listed.items() if isinstance(one, Mapping) and one.get("DetectorName") == name]
    return found[0] if len(found) == 1 else None


def own_names(tree: Tree) -> Iterator[Found]:
    """Type and serial number of the detector."""
    found = own(tree)
    if found is not None and (type_ := found[1].get("DetectorType")):
        yield Found("detector.type", str(type_), f"Detectors/{found[0]}/DetectorType", type_)
    key = f"CustomProperties/Detectors[{look_up(tree, 'BinaryResult/Detector')}].CameraSerialNumber/value"
    if serial := look_up(tree, key):
        yield Found("detector.serial", str(serial), key, serial)


def angles(tree: Tree) -> Iterator[Found]:
    """Range of collection angles of a scanning detector; where an X-ray detector stands."""
    found = own(tree)
    if found is None:
        yield from _shared_elevation(tree)
        return
    key, detector = f"Detectors/{found[0]}", found[1]
    inner, outer = (look_up(detector, f"CollectionAngleRange/{end}") for end in ("begin", "end"))
    if inner is not None and outer is not None and 0 <= float(inner) < float(outer):
        yield Found("detector.collection_inner", float(inner), f"{key}/CollectionAngleRange/begin", inner, "rad")
        yield Found("detector.collection_outer", float(outer), f"{key}/CollectionAngleRange/end", outer, "rad")
    for field, name in (("detector.elevation", "ElevationAngle"), ("detector.azimuth", "AzimuthAngle")):
        if (raw := detector.get(name)) is not None:
            yield Found(field, float(raw), f"{key}/{name}", raw, "rad")


def segments(tree: Tree) -> list[tuple[str, Detector]]:
    """Detectors that are parts of the one named: SuperXG21 to SuperXG24 of SuperXG2. Those that were off are left out.

    Returns
    -------
    list of (str, mapping)
        Key below ``Detectors`` and content.
    """
    name = str(look_up(tree, "BinaryResult/Detector") or "")
    listed = look_up(tree, "Detectors")
    found = []
    for key, one in listed.items() if name and isinstance(listed, Mapping) else ():
        whole = str(one.get("DetectorName", "")) if isinstance(one, Mapping) else ""
        part = whole.removeprefix(name) if whole.startswith(name) else "-"
        if len(part) == 1 and part in _SEGMENTS and str(one.get("Enabled")).lower() == "true":
            found.append((f"Detectors/{key}", one))
    return found


def _shared_elevation(tree: Tree) -> Iterator[Found]:
    """The elevation that all segments of a detector have."""
    found = [(key, one.get("ElevationAngle")) for key, one in segments(tree)]
    raw = {str(value) for _, value in found}
    if len(raw) == 1 and None not in (value for _, value in found):
        key, value = found[0]
        yield Found("detector.elevation", float(str(value)), f"{key}/ElevationAngle", value, "rad")


def camera(tree: Tree) -> Iterator[Found]:
    """Exposure, binning and frame rate of a camera."""
    found = own(tree)
    if found is None or found[1].get("DetectorType") not in (None, "ImagingDetector"):
        return
    key, detector = f"Detectors/{found[0]}", found[1]
    if (raw := detector.get("ExposureTime")) is not None:
        yield Found("camera.exposure", float(raw), f"{key}/ExposureTime", raw, "s")
    across, down = (look_up(detector, f"Binning/{side}") for side in ("width", "height"))
    if across is not None and across == down and int(across) > 0:
        yield Found("camera.binning", int(across), f"{key}/Binning/width", across, "1")
    rate = f"CustomProperties/Detectors[{detector.get('DetectorName')}].FrameRate/value"
    if (raw := look_up(tree, rate)) is not None:
        yield Found("camera.frame_rate", float(raw), rate, raw, "1/s")


def times_of_spectrum(tree: Tree) -> Iterator[Found]:
    """Live and real time of the detector of a single spectrum."""
    found = own(tree)
    if found is None:
        return
    for field, name in (("eds.live_time", "LiveTime"), ("eds.real_time", "RealTime")):
        if (raw := found[1].get(name)) is not None:
            yield Found(field, float(raw), f"Detectors/{found[0]}/{name}", raw, "s")


def times_of_spectrum_image(tree: Tree) -> Iterator[Found]:
    """Live and real time of a spectrum image, where they are of all of it, and the same in all detectors added up.

    Old programs write the times of the last frame alone.
    """
    parts = segments(tree)
    dwell = float(look_up(tree, "Scan/DwellTime") or 0)
    whole = count(tree) * math.prod(_pixels(tree)) * dwell
    real = [float(one["RealTime"]) for _, one in parts]
    if not real or not all(whole > 0 and abs(time - whole) <= _NEAR * whole for time in real):
        return
    for field, name in (("eds.live_time", "LiveTime"), ("eds.real_time", "RealTime")):
        given = [float(one[name]) for _, one in parts]
        if max(given) - min(given) <= 1e-3 * max(given):
            yield Found(field, given[0], f"{parts[0][0]}/{name}", parts[0][1][name], "s")


def _pixels(tree: Tree) -> tuple[int, int]:
    """Lines and columns that were scanned."""
    sides = []
    for size, near, far in (("height", "top", "bottom"), ("width", "left", "right")):
        part = float(look_up(tree, f"Scan/ScanArea/{far}")) - float(look_up(tree, f"Scan/ScanArea/{near}"))
        sides.append(round(float(look_up(tree, f"Scan/ScanSize/{size}")) * part))
    return sides[0], sides[1]
