"""When a session of TopSpin was: its texts have day and month in the order of the computer that wrote them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence

from diadem.hooks import times
from diadem.hooks.fields import Found, Tree
from diadem.plugins.nanomegas.topspin import WRITTEN
from diadem.terms.dates import clock, from_epoch, offset_of

#: Series are not longer than this.
_LONGEST = dt.timedelta(days=3)
#: An object is written within so much of the moment that the document names.
_AT_ONCE = dt.timedelta(seconds=5)


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


def acquired(tree: Tree) -> Iterator[Found]:
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
