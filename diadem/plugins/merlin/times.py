"""When the frames of a Merlin detector were taken."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator

from diadem.hooks import times
from diadem.hooks.fields import Found, Tree
from diadem.hooks.text import quantity
from diadem.terms.dates import YEARS, clock, iso, text_of

_EXPOSURE = "Acquisition Shutter Time (ns)"


def _instant(tree: Tree) -> dt.datetime | None:
    """The extended time stamp, which ends with Z."""
    found = iso(tree.get("Time Stamp Extended"))
    return found if found is not None and found.tzinfo is not None else None


def start(tree: Tree) -> Iterator[Found]:
    """When the first frame began; its stamp of the first part is in the local time of the computer."""
    raw, instant = [tree.get("Time Stamp"), tree.get("Time Stamp Extended")], _instant(tree)
    local = iso(raw[0])
    if instant is None:
        yield from times.moments("time.acquired_start", "Time Stamp", raw[0], local=local)
        return
    yield from times.moments("time.acquired_start", "Time Stamp Extended", raw[1], instant=instant)
    if local is not None:
        both = "Time Stamp + Time Stamp Extended"
        for found in times.moments("", both, f"{raw[0]}, {raw[1]}", local=local, instant=instant):
            if found.field == "time.utc_offset":
                yield found


def end(tree: Tree) -> Iterator[Found]:
    """When the last frame ended: it began at its time stamp, and the shutter was open for the shutter time."""
    instant = _instant(tree)
    moment, key = (instant, "Time Stamp Extended") if instant else (iso(tree.get("Time Stamp")), "Time Stamp")
    if moment is None or moment.year not in YEARS:
        return
    shutter, factor = (_EXPOSURE, 1e-9) if _EXPOSURE in tree else ("Acquisition Shutter Time", 1.0)
    open_for, unit = quantity(str(tree[shutter])) or (0.0, "")
    if unit != ("ns" if shutter == _EXPOSURE else ""):
        return
    end, raw = moment + dt.timedelta(seconds=open_for * factor), f"{tree[key]}, {tree[shutter]}"
    known = "known" if instant is not None else "unknown"
    yield Found("time.acquired_end", text_of(end), f"{key} + {shutter}", raw, status="derived", offset_status=known)


def written(tree: Tree) -> Iterator[Found]:
    """When the .hdr file was written; the order of day, month and year stands in the name of the line."""
    for key, raw in tree.items():
        order = re.match(r"Time and Date Stamp \((\w+), *(\w+), *(\w+),", key)
        if order is None:
            continue
        day, _, time = str(raw).partition(" ")
        numbers = dict(zip((name[:1].lower() for name in order.groups()), re.split(r"[/.-]", day), strict=True))
        hour = clock(time)
        if hour is not None:
            date = dt.date(int(numbers["y"]), int(numbers["m"]), int(numbers["d"]))
            yield from times.moments("time.acquired_start", key, raw, local=dt.datetime.combine(date, hour))
