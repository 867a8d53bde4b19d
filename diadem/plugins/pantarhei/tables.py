"""What Panta Rhei's metadata state, and in which units.

The program keeps SI units without prefixes. Proven on a file: ``electron_gun.voltage`` 200000, calibrations that name
``m``, and RosettaSciIO's reader, which changes ``electron_gun.voltage`` and the semi-angles of condenser and filter
into keV and mrad; for exposure and dispersion the table of the extractor for OSC-EM (``ms_conversions_prz.csv``).
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from typing import Any

from diadem.hooks import times
from diadem.hooks.fields import Derived, Found, Rule, Table, Tree

_SI = "SI units; see the head of this module"
#: Keys of times, the one of the acquisition itself first.
_TIMES = ("acquisition.time", "scan_generator.start_time", "camera.time")


def _is_scanned(tree: Tree) -> bool:
    return tree.get("source.type") == "scan_generator"


def _is_camera(tree: Tree) -> bool:
    return tree.get("source.type") == "camera"


def _is_pattern(tree: Tree) -> bool:
    return "DIFF" in str(tree.get("projector.mode", "")).upper()


def _is_image(tree: Tree) -> bool:
    return _is_camera(tree) and not _is_pattern(tree)


def _is_loss(tree: Tree) -> bool:
    return tree.get("filter.mode") == "EELS"


def _has_camera_length(tree: Tree) -> bool:
    """A camera behind an imaging projector has a magnification instead."""
    return not _is_image(tree)


def _acquired(tree: Tree) -> Iterator[Found]:
    """ISO 8601, with an offset or without."""
    key = next((one for one in _TIMES if tree.get(one)), None)
    if key is not None:
        raw = str(tree[key])
        yield from times.moments("time.acquired_start", key, raw, local=dt.datetime.fromisoformat(raw))


def _binning(tree: Tree) -> Iterator[Found]:
    """Of a camera, where it is the same both ways."""
    across, down = tree["camera.binning"]
    if _is_camera(tree) and across == down and across == int(across):
        yield Found("camera.binning", int(across), "camera.binning", tree["camera.binning"], "1")


def _aperture(tree: Tree) -> Iterator[Found]:
    """A text that names its unit: ``5 mm``."""
    raw = str(tree["filter.aperture"])
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(mm|um|µm)\s*", raw)
    if match is not None:
        yield Found("eels.aperture", float(match[1]), "filter.aperture", raw, match[2])


def technique(raw: Any) -> str | None:
    """Of a filter's mode."""
    return "EELS" if raw == "EELS" else None


METADATA: Table = (
    Rule("beam.acceleration_voltage", "electron_gun.voltage", "V", cite=_SI),
    Rule("beam.mode", "condenser.mode"),
    Rule("beam.convergence_semi_angle", "condenser.convergence_semi_angle", "rad", drop=(0,), cite=_SI),
    Rule("eels.collection_semi_angle", "filter.collection_semi_angle", "rad", cite=_SI),
    Rule("eels.dispersion", "filter.dispersion", "eV", abs, when=_is_loss, cite=_SI),
    Derived("entrance-aperture", _aperture, "the unit stands in the text"),
    Rule("signal.technique", "filter.mode", read=technique),
    Rule("optics.magnification", "scan_driver.magnification", "1", when=_is_scanned),
    Rule("optics.magnification", "projector.magnification", "1", when=_is_image),
    Rule("optics.camera_length", "projector.camera_length", "m", when=_has_camera_length, cite=_SI),
    Rule("scan.dwell_time", "scan_generator.dwell_time", "s", when=_is_scanned, cite=_SI),
    Rule("scan.flyback_time", "scan_generator.flyback_time", "s", when=_is_scanned, cite=_SI),
    Rule("camera.exposure", "camera.exposure_time", "s", when=_is_camera, cite=_SI),
    Derived("binning", _binning),
    Rule("detector.name", "scan_generator.detector", when=_is_scanned),
    Rule("detector.name", "source.detector_config.description", when=_is_camera),
    Derived("acquisition-time", _acquired),
)
