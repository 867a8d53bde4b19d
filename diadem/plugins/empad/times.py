"""When an EMPAD scan was taken."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Final

from diadem.hooks import times
from diadem.hooks.fields import Found, Tree, look_up
from diadem.terms.dates import c_time, from_epoch, offset_of

#: How long after its last frame a document is written, at most.
_WRITTEN_WITHIN: Final = dt.timedelta(minutes=10)


def _writings(tree: Tree) -> tuple[dt.datetime | None, dt.datetime | None, str]:
    """Local time, instant, and what stands there."""
    stamp = tree.get("timestamp")
    if not isinstance(stamp, Mapping):
        return None, None, ""
    epoch, local = stamp.get("@timestamp"), stamp.get("@isoformat")
    instant = from_epoch(float(epoch)) if epoch else None
    return dt.datetime.fromisoformat(str(local)) if local else None, instant, f"{local}, {epoch}"


def stamp(tree: Tree) -> Iterator[Found]:
    """The one time of a document of the first generation: local, and as seconds since 1970."""
    local, instant, raw = _writings(tree)
    key = "timestamp/@isoformat + timestamp/@timestamp"
    yield from times.moments("time.acquired_start", key, raw, local=local, instant=instant)


def acquisition(tree: Tree) -> Iterator[Found]:
    """Start and end of a scan of the second generation, and the offset of its clock.

    The document's own stamp gives the offset, by the difference of its two writings. Some programs write UTC as if it
    were local time; then the end of the scan is earlier by just this offset.
    """
    start, end = (c_time(str(look_up(tree, f"acquisition/{key}"))) for key in ("start_time", "end_time"))
    written, instant, _ = _writings(tree)
    apart = None if written is None or instant is None else offset_of(written, instant)
    if start is None or end is None:
        yield from stamp(tree)
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
