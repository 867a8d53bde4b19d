"""Settings of Direct Electron's cameras, ``<name>_info.txt``: units stand in the names. -1 means not known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from diadem.hooks.fields import Derived, Found, Rule, Table, Tree
from diadem.hooks.times import from_epoch, moments
from diadem.plugins.tiff_tags import decode
from diadem.plugins.vendor_text import positive

_NAMED = "the unit stands in the name"
_TIME = "Timestamp (seconds since Epoch)"
#: One of these is in every such text.
_OWN = ("Server Software Version", "Camera Model")


def parse(data: bytes) -> dict[str, str]:
    """Names and values; none where the text is another's."""
    found: dict[str, str] = {}
    for line in decode(data).splitlines():
        name, equals, value = line.partition("=")
        if equals:
            found.setdefault(name.strip(), value.strip())
    return found if all(name in found for name in _OWN) else {}


def scans(tree: Tree) -> bool:
    """Whether the beam was scanned."""
    return bool(tree.get("Scan - Enable") == "Enable")


def sizes(tree: Tree) -> dict[str, float]:
    """Pixel sizes at the sample in nm, by axis; those that are not known are left out."""
    found = {axis: positive(tree.get(f"Specimen Pixel Size {axis.upper()} (nanometers)")) for axis in "xy"}
    return {axis: size for axis, size in found.items() if size is not None}


def _binning(tree: Tree) -> Iterator[Found]:
    """Where it is the same both ways and the hardware has added up no pixels before."""
    values = [positive(tree.get(f"Binning {axis}")) for axis in "XY"]
    before = [positive(tree.get(f"Hardware Binning {axis}", "1")) for axis in "XY"]
    if values[0] and values[0] == values[1] and before == [1, 1]:
        yield Found("camera.binning", int(values[0]), "Binning X", tree["Binning X"], "1")


def _time(tree: Tree) -> Iterator[Found]:
    raw: Any = tree[_TIME]
    yield from moments("time.acquired_start", _TIME, raw, instant=from_epoch(float(raw)))


TABLE: Table = (
    Rule("beam.acceleration_voltage", "Instrument Accelerating Voltage (V)", "V", positive, cite=_NAMED),
    Rule("optics.magnification", "Instrument Project Magnification", "1", positive, cite="the name"),
    Rule(
        "optics.camera_length",
        "Instrument Project Camera Length (centimeters)",
        "cm",
        positive,
        when=scans,
        cite=_NAMED,
    ),
    Rule("camera.exposure", "Exposure Time (seconds)", "s", positive, cite=_NAMED),
    Rule("camera.frame_rate", "Frames Per Second", "1/s", positive, cite=_NAMED),
    Rule("scan.dwell_time", "Scan - Dwell Time (microseconds)", "us", positive, when=scans, cite=_NAMED),
    Rule("detector.name", "Camera Model", cite="the name"),
    Rule("detector.serial", "Camera SN", cite="the name"),
    Rule("instrument.software", "Server Software Version", cite="the name"),
    Derived("binning", _binning, cite="the names"),
    Derived("acquisition-time", _time, cite=_NAMED),
)
