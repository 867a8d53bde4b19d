"""When an image was acquired: local texts of the PC's language beside instants that need none."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

from diadem.hooks.fields import Found, Tree, look_up
from diadem.hooks.times import moments
from diadem.terms.dates import c_time, decided, from_epoch, from_filetime, moments_of, offset_of

#: FILETIMEs of the moment that `Acquisition Date` and `Acquisition Time` tell; the second one in versions before 2.
_FILETIMES = ("DataBar/Acquisition Time (OS)", "DataBar/System Info")
#: Milliseconds since 1970 when the camera was told to begin.
_EPOCH = "Acquisition/Frame/Sequence/Acquisition Start Time (epoch)"
#: Groups with a date, a start and an end of their own.
_SPANS = ("SI", "EELS", "EDS", "CL")
#: Of spectra of a photomultiplier behind a grating that is turned.
_SERIAL = "CL/Acquisition/Acquisition begin"
_START, _END = "time.acquired_start", "time.acquired_end"


def acquired(base: str, tree: Tree) -> Iterator[Found]:
    """Start and end of an acquisition.

    Parameters
    ----------
    base : str
        Path of the image's tags in the tree.
    tree : mapping
        One image of ``ImageList``.

    Yields
    ------
    Found
        Start and end of spectra; then the time of the data bar, which of spectra is that of their first frame, with
        the offset where an instant stands beside it. Of a date whose order of day and month nothing decides, only
        what the instant says.
    """
    tags = look_up(tree, base)
    instant, key, raw = _instant(tags)
    readings, locator, written = _data_bar(tags, instant)
    local = readings[0] if len(readings) == 1 else None
    yield from _span(base, tags, instant, local)
    yield from _begun(base, tags, instant)
    if local is not None and instant is not None:
        yield from moments(_START, f"{base}/{locator} + {key}", f"{written} + {raw}", local=local, instant=instant)
    elif instant is not None:
        yield from moments(_START, f"{base}/{key}", raw, instant=instant)
    else:
        yield from moments(_START, f"{base}/{locator}", written, local=readings)


def _instant(tags: Any) -> tuple[dt.datetime | None, str, Any]:
    """The moment in UTC, its tag and what stands there."""
    for key in _FILETIMES:
        raw = look_up(tags, key)
        if isinstance(raw, (int, float)) and (moment := from_filetime(int(raw))) is not None:
            return moment, key, raw
    raw = look_up(tags, _EPOCH)
    if isinstance(raw, (int, float)) and (moment := from_epoch(raw / 1e3)) is not None:
        return moment, _EPOCH, raw
    return None, "", None


def _data_bar(tags: Any, instant: dt.datetime | None) -> tuple[list[dt.datetime], str, str]:
    """What the local time of the data bar may be, its tags and what stands there."""
    date, clock = look_up(tags, "DataBar/Acquisition Date"), look_up(tags, "DataBar/Acquisition Time")
    if not isinstance(date, str) or not isinstance(clock, str):
        return [], "", ""
    readings = moments_of(date, clock)
    local = _decided(readings, tags, instant)
    return [local] if local else readings, "DataBar/Acquisition Date + DataBar/Acquisition Time", f"{date} {clock}"


def _decided(candidates: list[dt.datetime], tags: Any, near: dt.datetime | None) -> dt.datetime | None:
    """The one local time that can be, by an instant, else by the day that the scan generator notes in English."""
    local = decided(candidates, near)
    stamp = look_up(tags, "DigiScan/TimeStamp")
    noted = c_time(stamp) if local is None and isinstance(stamp, str) else None
    if noted is None:
        return local
    close = [candidate for candidate in candidates if abs(candidate - noted) < dt.timedelta(hours=6)]
    return close[0] if len(close) == 1 else None


def _span(base: str, tags: Any, instant: dt.datetime | None, local: dt.datetime | None) -> Iterator[Found]:
    """Start and end of a spectrum or spectrum image, of the first group that tells them."""
    for group in _SPANS:
        date, clock, end = (look_up(tags, f"{group}/Acquisition/{key}") for key in ("Date", "Start time", "End time"))
        if not isinstance(date, str) or not isinstance(clock, str):
            continue
        place, raw = f"{base}/{group}/Acquisition/", f"{date} {clock}"
        start = _same_clock(readings := moments_of(date, clock), tags, instant, local)
        if start is None:
            yield from moments(_START, f"{place}Date + {place}Start time", raw, local=readings)
            continue
        apart = _offset(start, local, instant)
        yield from moments(_START, f"{place}Date + {place}Start time", raw, local=start, instant=_utc(start, apart))
        if isinstance(end, str) and len(ends := moments_of(date, end)) >= 1:
            yield from _ended(place, f"{date} {end}", start, ends, apart)
        return


def _begun(base: str, tags: Any, instant: dt.datetime | None) -> Iterator[Found]:
    """Start of a spectrum that was measured channel by channel: date and time of day in one text."""
    raw = look_up(tags, _SERIAL)
    if not isinstance(raw, str):
        return
    date, _, clock = raw.strip().partition(" ")
    local = _decided(readings := moments_of(date, clock), tags, instant)
    yield from moments(_START, f"{base}/{_SERIAL}", raw, local=local or readings)


def _offset(start: dt.datetime, local: dt.datetime | None, instant: dt.datetime | None) -> dt.timedelta | None:
    """Offset of the data bar's clock, where a spectrum was begun within a day of it: it is the clock of the same PC."""
    if local is None or instant is None or abs(start - local) > dt.timedelta(days=1):
        return None
    return offset_of(local, instant)


def _utc(local: dt.datetime, apart: dt.timedelta | None) -> dt.datetime | None:
    return None if apart is None else (local - apart).replace(tzinfo=dt.UTC)


def _same_clock(
    candidates: list[dt.datetime], tags: Any, instant: dt.datetime | None, local: dt.datetime | None
) -> dt.datetime | None:
    """The candidate on the day of the data bar where several can be: one PC has written both."""
    if len(candidates) > 1 and local is not None:
        candidates = [one for one in candidates if abs(one - local) < dt.timedelta(days=1)] or candidates
    return _decided(candidates, tags, instant)


def _ended(
    place: str, raw: str, start: dt.datetime, ends: list[dt.datetime], apart: dt.timedelta | None
) -> Iterator[Found]:
    """The end: the first reading of its clock after the start, next day if need be."""
    later = sorted(
        dt.datetime.combine(start.date() + dt.timedelta(days=day), end.time()) for end in ends for day in (0, 1)
    )
    end = next((moment for moment in later if moment >= start), None)
    if end is not None:
        yield from moments(_END, f"{place}Date + {place}End time", raw, local=end, instant=_utc(end, apart))
