"""What an EMPAD document states: of the first generation in three dialects of its program, and of the second.

Names and units are those of the microscope's own interface, which counts in volts, metres and radians; each is proven
by a value that can be right in no other unit, in the documents that the tests have.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any, Final

from diadem.hooks import times
from diadem.hooks.fields import Derived, Found, Rule, Table, Tree, look_up
from diadem.hooks.text import positive
from diadem.terms.dates import c_time, from_epoch, offset_of

_VOLTS = "300000.0 for a microscope of 300 kV"
_METRES = "0.369 and 1.197: camera lengths of a Titan are 0.03 to 5 m"
#: Background of 1000 frames at 684 s before the scan's time, in EMPAD_v1.2.2_x32_y64_size0.8.xml: no second each.
_MILLISECONDS = (
    "EMPAD_v1.2.2_x32_y64_size0.8.xml: 1000 frames of background and 2048 of the scan were taken within 684 s"
)
_SECONDS = "0.0001 in a scan that its operator named dwell100us (second generation)"
_RADIANS = "-2.8274333882308174 is -162 degrees (second generation); the interface's get_scan_rotation is in radians"
_AMPERES = "1.9e-12 with the screen lifted, as in Velox's documents of the same interface, beside volts and metres"
#: How long after its last frame a document is written, at most.
_WRITTEN_WITHIN: Final = dt.timedelta(minutes=10)


def _software(raw: Any) -> str:
    return " ".join(str(raw).split())


def mode(tree: Tree) -> Iterator[Found]:
    """Whether the column was scanning."""
    key = "iom_measurements/is_column_in_stem_mode"
    raw = look_up(tree, key)
    if str(raw).lower() == "true":
        yield Found("beam.mode", "STEM", key, raw, status="derived")


def detector(tree: Tree) -> Iterator[Found]:
    """The detector, of which the first generation does not write the name: only it has these frames."""
    raw = look_up(tree, "raw_file/@filename")
    if raw and "camserver_parameters" in tree:
        yield Found("detector.name", "EMPAD", "camserver_parameters + raw_file/@filename", raw, status="derived")


def _stamp(tree: Tree) -> tuple[dt.datetime | None, dt.datetime | None, str]:
    """Local time, instant, and what stands there."""
    stamp = tree.get("timestamp")
    if not isinstance(stamp, Mapping):
        return None, None, ""
    epoch, local = stamp.get("@timestamp"), stamp.get("@isoformat")
    instant = from_epoch(float(epoch)) if epoch else None
    return dt.datetime.fromisoformat(str(local)) if local else None, instant, f"{local}, {epoch}"


def timestamp(tree: Tree) -> Iterator[Found]:
    """The one time of a document of the first generation: local, and as seconds since 1970."""
    local, instant, raw = _stamp(tree)
    key = "timestamp/@isoformat + timestamp/@timestamp"
    yield from times.moments("time.acquired_start", key, raw, local=local, instant=instant)


def acquisition(tree: Tree) -> Iterator[Found]:
    """Start and end of a scan of the second generation, and the offset of its clock.

    The document's own stamp gives the offset, by the difference of its two writings. Some programs write UTC as if it
    were local time; then the end of the scan is earlier by just this offset.
    """
    start, end = (c_time(str(look_up(tree, f"acquisition/{key}"))) for key in ("start_time", "end_time"))
    written, instant, _ = _stamp(tree)
    apart = None if written is None or instant is None else offset_of(written, instant)
    if start is None or end is None:
        yield from timestamp(tree)
        return
    fits = apart is not None and written is not None and _fits(written - end, apart)
    for field, key, moment in (
        ("time.acquired_start", "acquisition/start_time", start),
        ("time.acquired_end", "acquisition/end_time", end),
    ):
        raw = look_up(tree, key)
        exact = moment - apart if fits and apart is not None else None
        yield from times.moments(
            field, key, raw, local=moment, instant=None if exact is None else exact.replace(tzinfo=dt.UTC)
        )


def _fits(later: dt.timedelta, apart: dt.timedelta) -> bool:
    """Whether a document was written soon after its scan, by the same clock or by one that shows UTC."""
    return any(dt.timedelta(0) <= later - shift <= _WRITTEN_WITHIN for shift in (dt.timedelta(0), -apart))


FIRST: Table = (
    Rule("beam.acceleration_voltage", "iom_measurements/high_voltage", "V", positive, cite=_VOLTS),
    Rule("beam.acceleration_voltage", "iom_measurements/source.get_voltage", "V", positive, cite=_VOLTS),
    Rule("optics.camera_length", "iom_measurements/nominal_camera_length", "m", positive, cite=_METRES),
    Rule("optics.camera_length", "iom_measurements/optics.get_cameralength", "m", positive, cite=_METRES),
    Rule("beam.spot_index", "iom_measurements/spot_size_index", "1", positive),
    Rule("beam.spot_index", "iom_measurements/beam.get_spotsizeindex", "1", positive),
    Rule("beam.screen_current", "iom_measurements/source.get_screencurrent", "A", positive, cite=_AMPERES),
    Rule("scan.rotation", "iom_measurements/scan_rotation", "rad", float, cite=_RADIANS),
    Rule("scan.rotation", "iom_measurements/column.get_scanrotation", "rad", float, cite=_RADIANS),
    Rule("camera.exposure", "exposure_time", "ms", positive, cite=_MILLISECONDS),
    Rule("instrument.software", "software_version", read=_software),
    Derived("mode", mode),
    Derived("detector", detector),
    Derived("timestamp", timestamp, cite="Unix seconds beside local time: a whole offset apart"),
)

_COLUMN = "iom_measurements/Column"

SECOND: Table = (
    Rule("beam.acceleration_voltage", f"{_COLUMN}SourceHighVoltage", "V", positive, cite=_VOLTS),
    Rule("optics.camera_length", f"{_COLUMN}OpticsGetCameraLengthNominalCameraLength", "m", positive, cite=_METRES),
    Rule("beam.spot_index", f"{_COLUMN}OpticsSpotSizeIndex", "1", positive),
    Rule("scan.rotation", f"{_COLUMN}GetScanRotation", "rad", float, cite=_RADIANS),
    Rule("camera.exposure", "scan/exposure_time", "s", positive, cite=_SECONDS),
    Rule("camera.exposure", "sensor/exposure_time", "s", positive, cite=_SECONDS),
    Rule("detector.name", "sensor/type"),
    Rule("detector.serial", "pdcu/SerialNumber"),
    Rule("instrument.software", "software_version", read=_software),
    Derived("acquisition", acquisition, cite="start and end by the clock of the wall; the stamp has the offset"),
)
