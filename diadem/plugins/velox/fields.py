"""What a Velox document says with more than one of its keys: the detector of the data, techniques, times.

Functions that `formats.toml` names. Times are seconds since 1970, and a log on the clock of the wall: since Velox 3 its
lines have the offset from UTC; before, local time alone (2.10 and 2.13 are an hour ahead of the epoch of the first
frame, in Central European winter).
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from diadem.hooks.fields import Found, Tree, look_up
from diadem.terms.dates import YEARS, from_epoch, offset_of, text_of
from diadem.terms.fields import symbols_of

#: How far a time may be from frames times pixels times dwell time, relatively, to be that of the whole acquisition.
_NEAR: Final = 0.02
_TIMES: Final = (("eds.live_time", "LiveTime"), ("eds.real_time", "RealTime"))

Detector = Mapping[str, Any]


def _own(tree: Tree) -> tuple[str, Detector] | None:
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
        return f"Detectors/{key}", numbered
    found = [(key, one) for key, one in listed.items() if isinstance(one, Mapping) and one.get("DetectorName") == name]
    return (f"Detectors/{found[0][0]}", found[0][1]) if len(found) == 1 else None


def own(tree: Tree) -> Iterator[str]:
    """Where that detector is."""
    if (found := _own(tree)) is not None:
        yield f"{found[0]}/"


def camera(tree: Tree) -> Iterator[str]:
    """Where that detector is, if it is a camera."""
    found = _own(tree)
    if found is not None and found[1].get("DetectorType") in (None, "ImagingDetector"):
        yield f"{found[0]}/"


def properties(tree: Tree) -> Iterator[str]:
    """Where what programs add of the detector is, under its name."""
    name = look_up(tree, "BinaryResult/Detector")
    if not name and (found := _own(tree)) is not None:
        name = found[1].get("DetectorName")
    yield f"CustomProperties/Detectors[{name}]."


def camera_properties(tree: Tree) -> Iterator[str]:
    """The same of a detector that is a camera."""
    if any(camera(tree)):
        yield from properties(tree)


def segment(tree: Tree) -> Iterator[str]:
    """Where the first of its segments is, where the data come from all of them."""
    if _own(tree) is None:
        yield from (f"{key}/" for key, _ in _segments(tree)[:1])


def part(tree: Tree) -> Iterator[str]:
    """Where the detector is, or its first segment."""
    yield from own(tree)
    yield from segment(tree)


def elevated(tree: Tree) -> Iterator[str]:
    """Where its elevation is: its own, or that of a segment where all of them have it."""
    if _own(tree) is not None or len({str(one.get("ElevationAngle")) for _, one in _segments(tree)}) == 1:
        yield from part(tree)


def ring(detector: Detector) -> Iterator[Found]:
    """Range of collection angles of a scanning detector."""
    keys = ["CollectionAngleRange/begin", "CollectionAngleRange/end"]
    inner, outer = (look_up(detector, key) for key in keys)
    if inner is not None and outer is not None and 0 <= float(inner) < float(outer):
        yield Found("detector.collection_inner", float(inner), keys[0], inner, "rad")
        yield Found("detector.collection_outer", float(outer), keys[1], outer, "rad")


def _segments(tree: Tree) -> list[tuple[str, Detector]]:
    """Key and content of the parts of the detector named, SuperXG21 to SuperXG24 of SuperXG2, that were on."""
    name = str(look_up(tree, "BinaryResult/Detector") or "")
    listed = look_up(tree, "Detectors")
    found = []
    for key, one in listed.items() if name and isinstance(listed, Mapping) else ():
        whole = str(one.get("DetectorName", "")) if isinstance(one, Mapping) else ""
        part = whole.removeprefix(name) if whole.startswith(name) else "-"
        if len(part) == 1 and part in "0123456789" and str(one.get("Enabled")).lower() == "true":
            found.append((f"Detectors/{key}", one))
    return found


def times(detector: Detector) -> Iterator[Found]:
    """Live and real time of the detector of a single spectrum."""
    for field, name in _TIMES:
        if (raw := detector.get(name)) is not None:
            yield Found(field, float(raw), name, raw, "s")


def times_of_spectrum_image(tree: Tree) -> Iterator[Found]:
    """Live and real time of a spectrum image, where they are of all of it, and the same in all detectors added up.

    Old programs write the times of the last frame alone.
    """
    parts = _segments(tree)
    whole = _count(tree) * float(look_up(tree, "Scan/DwellTime") or 0)
    for size, near, far in (("height", "top", "bottom"), ("width", "left", "right")):
        part = float(look_up(tree, f"Scan/ScanArea/{far}")) - float(look_up(tree, f"Scan/ScanArea/{near}"))
        whole *= round(float(look_up(tree, f"Scan/ScanSize/{size}")) * part)
    real = [float(one["RealTime"]) for _, one in parts]
    if not real or not all(whole > 0 and abs(time - whole) <= _NEAR * whole for time in real):
        return
    for field, name in _TIMES:
        given = [float(one[name]) for _, one in parts]
        if max(given) - min(given) <= 1e-3 * max(given):
            yield Found(field, given[0], f"{parts[0][0]}/{name}", parts[0][1][name], "s")


# -- values --------------------------------------------------------------------------------------------------------


def field_of_view(tree: Tree) -> Iterator[Found]:
    """Width and height of the image: of the whole scan, less where only a part of it was scanned."""
    for axis, sides in (("x", ("left", "right")), ("y", ("top", "bottom"))):
        key = f"Optics/FullScanFieldOfView/{axis}"
        whole = float(look_up(tree, key))
        near, far = (float(look_up(tree, f"Scan/ScanArea/{side}")) for side in sides)
        if not 0 <= near < far <= 1:
            continue
        field = f"optics.field_of_view_{axis}"
        if (near, far) == (0.0, 1.0):
            yield Found(field, whole, key, look_up(tree, key), "m")
        else:
            value = whole * (far - near)
            yield Found(field, value, f"{key} + Scan/ScanArea", f"{whole}, {near} to {far}", "m", status="derived")


def frames(tree: Tree) -> Iterator[Found]:
    """Frames that were added up."""
    number = _count(tree)
    if number:
        key = "SpectrumImageSettings/endFramePosition"
        yield Found("scan.frames", number, key, look_up(tree, key), "1")


def _count(tree: Tree) -> int:
    """Number of frames of a spectrum image; 0 where it is not told. Newer files say where they begin."""
    end = int(look_up(tree, "SpectrumImageSettings/endFramePosition") or 0)
    return end - int(look_up(tree, "SpectrumImageSettings/startFramePosition") or 1) + 1


def symbols(numbers: Any) -> list[str] | None:
    """Symbols of atomic numbers, each once; none where one of them is no element."""
    if not isinstance(numbers, Sequence) or isinstance(numbers, (str, bytes)):
        return None
    return symbols_of(map(int, numbers)) or None


# -- times -----------------------------------------------------------------------------------------------------------

_START: Final = "Acquisition/AcquisitionStartDatetime/DateTime"
_LINE: Final = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)([+-]\d{4})? (Started|Finished) acquisition", re.ASCII)
#: The oldest program that is known to write local time: two real files, 2.10 and 2.13.
_LOCAL_SINCE: Final = (2, 10)
_MOST_LINES: Final = 10_000


def start(tree: Tree) -> Iterator[Found]:
    """When the frame began; of cameras of old programs the time stamp of the frame less its exposure."""
    raw = look_up(tree, _START)
    instant = None if raw is None else from_epoch(float(raw))
    if instant is not None:
        yield Found("time.acquired_start", text_of(instant), _START, raw, offset_status="known")
    elif (stamp := _stamp(tree)) is not None:
        moment, key, raw = stamp
        exposure = f"Detectors/Detector-{look_up(tree, 'BinaryResult/DetectorIndex')}/ExposureTime"
        began = text_of(moment - dt.timedelta(seconds=float(look_up(tree, exposure))))
        key = f"{key} + {exposure}"
        yield Found("time.acquired_start", began, key, raw, status="derived", offset_status="known")


def end_of_last_frame(tree: Tree) -> Iterator[Found]:
    """When the last frame ended: it began at its start, and took the time of a frame or of an exposure."""
    stamp = _stamp(tree)
    if stamp is not None:
        moment, key, raw = stamp
        yield Found("time.acquired_end", text_of(moment), key, raw, status="stated", offset_status="known")
        return
    raw = look_up(tree, _START)
    began = None if raw is None else from_epoch(float(raw))
    frame = float(look_up(tree, "Scan/FrameTime") or 0)
    if began is not None and 0 < frame < 1e6 and float(look_up(tree, "Scan/ScanSize/width") or 0):
        ended = text_of(began + dt.timedelta(seconds=round(frame)))  # the start has whole seconds
        key, raw = f"{_START} + Scan/FrameTime", f"{raw}, {frame}"
        yield Found("time.acquired_end", ended, key, raw, status="derived", offset_status="known")


def _stamp(tree: Tree) -> tuple[dt.datetime, str, Any] | None:
    """The camera's own time of the frame, in microseconds since 1970; its key and raw value."""
    custom = look_up(tree, "CustomProperties")
    name = f"Detectors[{look_up(tree, 'BinaryResult/Detector')}].TimeStamp"
    raw = custom.get(name, {}).get("value") if isinstance(custom, Mapping) else None
    if raw is None or not re.fullmatch(r"\d{15,17}", str(raw)):
        return None
    moment = from_epoch(int(raw) / 1e6)
    return None if moment is None else (moment, f"CustomProperties/{name}/value", raw)


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of the log: ``Started`` or ``Finished``, when, with a time zone where it has one, and as written."""

    what: str
    moment: dt.datetime
    raw: str


def log(tree: Tree) -> Iterator[Found]:
    """Offset from UTC, and when the last acquisition of the file was finished, of a log and the starts beside it."""
    lines = list(_lines(str(look_up(tree, "text") or "")))
    starts = [dt.datetime.fromisoformat(text) for text in tree["starts"]]
    first = next((line for line in lines if line.what == "Started"), None)
    last = next((line for line in reversed(lines) if line.what == "Finished"), None)
    apart = _offset(lines, starts)
    if apart is None:
        # Nothing tells the offset; where starts are known and none fits, not even the local time is to be believed.
        for field, line in (("time.acquired_start", first), ("time.acquired_end", last)):
            if line is not None and not starts and line.moment.year in YEARS:
                yield Found(field, text_of(line.moment), "text", line.raw, offset_status="unknown")
        return
    stated = any(line.moment.tzinfo is not None for line in lines)
    status, known = ("stated", "known") if stated else ("derived", "derived")
    # A program that shows UTC shows the clock on the wall, if it is known to do so; an older one may show just UTC.
    version = re.match(r"(\d{1,4})\.(\d{1,4})\.", str(tree.get("applicationVersion")))
    local = stated or bool(apart) or (version is not None and (int(version[1]), int(version[2])) >= _LOCAL_SINCE)
    zone = dt.timezone(apart) if local else dt.UTC
    if local:
        minutes = round(apart.total_seconds() / 60)
        written = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
        yield Found("time.utc_offset", written, "text", (first or lines[0]).raw, status=status)
    for field, line in (("time.acquired_start", None if starts else first), ("time.acquired_end", last)):
        if line is not None:
            text = text_of(line.moment.replace(tzinfo=zone))
            yield Found(field, text, "text", line.raw, status=status, offset_status=known)


def _lines(quoted: str) -> Iterator[_Line]:
    """Beginnings and ends in a log as it is stored, with ``%20`` for a blank."""
    for line in unquote(quoted).splitlines()[:_MOST_LINES]:
        if match := _LINE.match(line):
            with suppress(ValueError):
                moment = dt.datetime.fromisoformat(f"{match[1]}T{match[2]}{match[3] or ''}")
                yield _Line(match[4], moment, f"{match[1]} {match[2]}{match[3] or ''}")


def _offset(lines: Sequence[_Line], instants: Sequence[dt.datetime]) -> dt.timedelta | None:
    """Offset of the log's clock from UTC: stated, or of an acquisition whose instant is known; None without either."""
    stated = [line.moment.utcoffset() for line in lines if line.moment.tzinfo is not None]
    began = (line.moment for line in lines if line.what == "Started")
    derived = (offset_of(moment, instant) for moment in began for instant in instants)
    return stated[0] if stated else next((apart for apart in derived if apart is not None), None)
