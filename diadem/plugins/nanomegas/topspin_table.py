"""What TopSpin's documents state, and in which units.

TopSpin writes SI units throughout. Proven on a file: a Merlin chip of 256 x 55 um, ``DiffractionCameraLength`` 2.8 and
a ``Scale`` of 2.13e-5 go together for metres and radians only; 25,000 patterns of ``SeriesFrameTime`` 0.01 were taken
between ``StartDateTime`` and ``EndDateTime``, 341 s; ``GunHighVoltage`` is 200000 on a "Talos 200keV".
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from diadem.hooks import times
from diadem.hooks.fields import Derived, Found, Rule, Table, Tree, look_up
from diadem.plugins.nanomegas.topspin import WRITTEN
from diadem.terms.dates import clock, from_epoch, offset_of

_SI = "SI units, proven on a file; see the head of this module"
#: Series are not longer than this.
_LONGEST = dt.timedelta(days=3)
#: An object is written within so much of the moment that the document names.
_AT_ONCE = dt.timedelta(seconds=5)


def _is_true(tree: Tree, key: str) -> bool:
    return str(look_up(tree, key)).lower() == "true"


def _is_scanned(tree: Tree) -> bool:
    return _is_true(tree, "HardwareSettings/StemEnabled")


def _is_imaged(tree: Tree) -> bool:
    """Whether the magnification of the image is the one that counts."""
    return not _is_scanned(tree) and str(look_up(tree, "HardwareSettings/ImagingMode")) == "Imaging"


def _mode(tree: Tree) -> Iterator[Found]:
    """``STEM``, or the mode of the projection."""
    if _is_scanned(tree):
        yield Found("beam.mode", "STEM", "HardwareSettings/StemEnabled", look_up(tree, "HardwareSettings/StemEnabled"))
    elif mode := look_up(tree, "HardwareSettings/ImagingMode"):
        yield Found("beam.mode", str(mode), "HardwareSettings/ImagingMode", mode)


def _precession(raw: Any) -> str | None:
    return "PED" if str(raw).lower() == "true" else None


def _readings(tree: Tree, keys: Sequence[str]) -> list[dict[str, dt.datetime]]:
    """The times of a document, read month first and day first, as far as all of them can be."""
    found: list[dict[str, dt.datetime]] = []
    for order in (0, 1):
        reading: dict[str, dt.datetime] = {}
        for key in keys:
            day, _, written = str(tree[key]).partition(" ")
            hour, possible = clock(written), _in_order(day, order)
            if hour is None or possible is None:
                break
            reading[key] = dt.datetime.combine(possible, hour)
        else:
            found.append(reading)
    return found


def _in_order(day: str, order: int) -> dt.date | None:
    """A date read month first (0) or day first (1)."""
    numbers = [int(part) for part in day.split("/")]
    month, date = numbers[order], numbers[1 - order]
    try:
        return dt.date(numbers[2], month, date)
    except ValueError:
        return None


def _can_be(moments: Sequence[dt.datetime]) -> bool:
    """Whether a session started, ended and was saved in this order, and did not last for weeks."""
    return list(moments) == sorted(moments) and moments[-1] - moments[0] <= _LONGEST


def _offset(tree: Tree, reading: Mapping[str, dt.datetime]) -> dt.timedelta | None:
    """Offset from UTC, where TopSpin wrote the session while it ran: its first object at the start, the picture last.

    A file into which sessions were gathered later has later times, which agree with none of the document's.
    """
    written = tree.get(WRITTEN) or {}
    offsets = set()
    for key, name in (("StartDateTime", "Version"), ("CreatedDateTime", "Thumbnail")):
        instant = from_epoch(written.get(name, 0))
        if instant is None or key not in reading:
            return None
        offset = offset_of(reading[key], instant)
        if offset is None or abs(reading[key].replace(tzinfo=dt.UTC) - instant - offset) > _AT_ONCE:
            return None
        offsets.add(offset)
    return offsets.pop() if len(offsets) == 1 else None


def _acquired(tree: Tree) -> Iterator[Found]:
    """Start and end, where only one order of day and month can be, by themselves or by the file's own instants."""
    keys = [key for key in ("StartDateTime", "EndDateTime", "CreatedDateTime") if tree.get(key)]
    possible = {tuple(reading.items()) for reading in _readings(tree, keys) if _can_be(list(reading.values()))}
    proven = {reading for reading in possible if _offset(tree, dict(reading)) is not None}
    possible = proven or possible
    if len(possible) != 1:
        key = keys[0] if keys else ""
        readings = sorted({dict(reading)[key] for reading in possible})
        yield from times.moments("time.acquired_start", key, tree.get(key), local=readings)
        return
    reading = possible.pop()
    offset = _offset(tree, dict(reading))
    for key, local in reading:
        field = {"StartDateTime": "time.acquired_start", "EndDateTime": "time.acquired_end"}.get(key)
        if field:
            instant = None if offset is None else (local - offset).replace(tzinfo=dt.UTC)
            yield from times.moments(field, key, tree[key], local=local, instant=instant)


SESSION: Table = (
    Rule("beam.acceleration_voltage", "HardwareSettings/GunHighVoltage", "V", float, cite=_SI),
    Rule("optics.camera_length", "HardwareSettings/DiffractionCameraLength", "m", float, cite=_SI),
    Rule("optics.magnification", "HardwareSettings/StemMagnification", "1", float, when=_is_scanned),
    Rule("optics.magnification", "HardwareSettings/ImageMagnification", "1", float, when=_is_imaged),
    Rule("camera.exposure", "ProcedureData/FrameTime", "s", float, cite=_SI),
    Rule("scan.dwell_time", "ProcedureData/SeriesFrameTime", "s", float, when=_is_scanned, cite=_SI),
    Rule("detector.name", "ProcedureData/Camera"),
    Rule("instrument.model", "SystemName"),
    Rule("instrument.model", "HardwareSettings/SystemName"),
    Rule("person.operator", "CreatedBy"),
    Rule("sample.name", "Specimen"),
    Rule("signal.technique", "ProcedureData/IsPrecessionEnabled", read=_precession),
    Derived("mode", _mode),
    Derived("session-time", _acquired),
)
