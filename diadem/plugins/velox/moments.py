"""When the acquisitions of a Velox file began and ended: seconds since 1970, and a log on the clock of the wall."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from typing import Any

from diadem.hooks.fields import Found, Tree, look_up
from diadem.plugins.velox import log
from diadem.terms.dates import YEARS, from_epoch, text_of

_START = "Acquisition/AcquisitionStartDatetime/DateTime"


def start(tree: Tree) -> Iterator[Found]:
    """When the frame began; of cameras of old programs the time stamp of the frame less its exposure."""
    raw = look_up(tree, _START)
    instant = None if raw is None else from_epoch(float(raw))
    if instant is not None:
        yield Found("time.acquired_start", text_of(instant), _START, raw, offset_status="known")
        return
    stamp = _stamp(tree)
    if stamp is not None:
        moment, key, raw = stamp
        exposure, exposure_key = _exposure(tree)
        began = text_of(moment - exposure)
        key = f"{key} + {exposure_key}"
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
        ended = began + dt.timedelta(seconds=round(frame))  # the start has whole seconds
        key = f"{_START} + Scan/FrameTime"
        yield Found(
            "time.acquired_end", text_of(ended), key, f"{raw}, {frame}", status="derived", offset_status="known"
        )


def _stamp(tree: Tree) -> tuple[dt.datetime, str, Any] | None:
    """The camera's own time of the frame, in microseconds since 1970; its key and raw value."""
    custom = look_up(tree, "CustomProperties")
    detector = str(look_up(tree, "BinaryResult/Detector"))
    name = f"Detectors[{detector}].TimeStamp"
    raw = custom.get(name, {}).get("value") if isinstance(custom, Mapping) else None
    if raw is None or not re.fullmatch(r"\d{15,17}", str(raw)):
        return None
    moment = from_epoch(int(raw) / 1e6)
    return None if moment is None else (moment, f"CustomProperties/{name}/value", raw)


def _exposure(tree: Tree) -> tuple[dt.timedelta, str]:
    """Exposure of the camera that took the image."""
    number = look_up(tree, "BinaryResult/DetectorIndex")
    key = f"Detectors/Detector-{number}/ExposureTime"
    return dt.timedelta(seconds=float(look_up(tree, key))), key


def of_log(tree: Tree) -> Iterator[Found]:
    """Offset from UTC, and when the last acquisition of the file was finished."""
    entries = log.entries(str(look_up(tree, "text") or ""))
    starts = [dt.datetime.fromisoformat(text) for text in tree["starts"]]
    apart = log.offset(entries, starts)
    if apart is None:
        yield from _local(entries, starts)
        return
    stated = "stated" if any(entry.moment.tzinfo is not None for entry in entries) else "derived"
    local = log.is_local(entries, apart, tree.get("applicationVersion"))
    began = next(entry for entry in entries if entry.what == "Started") if _started(entries) else entries[0]
    if local:
        yield Found("time.utc_offset", _written(apart), "text", began.raw, status=stated)
    zone = dt.timezone(apart) if local else dt.UTC
    known = "known" if stated == "stated" else "derived"
    if not starts and _started(entries):
        yield _moment("time.acquired_start", began, zone, stated, known)
    for entry in reversed(entries):
        if entry.what == "Finished":
            yield _moment("time.acquired_end", entry, zone, stated, known)
            return


def _started(entries: list[log.Entry]) -> bool:
    return any(entry.what == "Started" for entry in entries)


def _moment(field: str, entry: log.Entry, zone: dt.timezone, status: str, known: str) -> Found:
    text = text_of(entry.moment.replace(tzinfo=zone))
    return Found(field, text, "text", entry.raw, status=status, offset_status=known)


def _local(entries: list[log.Entry], starts: list[dt.datetime]) -> Iterator[Found]:
    """Times of a log whose offset nothing tells; none where it fits no acquisition whose instant is known."""
    for field, what, ordered in (
        ("time.acquired_start", "Started", entries),
        ("time.acquired_end", "Finished", entries[::-1]),
    ):
        entry = next((entry for entry in ordered if entry.what == what), None)
        if entry is not None and not starts and entry.moment.year in YEARS:
            yield Found(field, text_of(entry.moment), "text", entry.raw, offset_status="unknown")


def _written(apart: dt.timedelta) -> str:
    """``+01:00``."""
    minutes = round(apart.total_seconds() / 60)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
