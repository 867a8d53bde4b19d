"""Times of a movie's frames: seconds and milliseconds."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

from diadem.hooks import times
from diadem.hooks.fields import Found, Tree
from diadem.plugins.tvips_movie.blocks import is_copy
from diadem.terms.dates import from_epoch


def _moment(frame: Mapping[str, Any]) -> dt.datetime | None:
    """Seconds since 1970 and milliseconds."""
    instant = from_epoch(frame["ITime"])
    return None if instant is None else instant + dt.timedelta(milliseconds=min(frame["IMS"], 999))


def first_frame_time(tree: Tree) -> Iterator[Found]:
    """The first frame's time. HyperSpy makes its own of a local time where no zone is known."""
    frame = tree["first frame"]
    instant = _moment(frame)
    raw = f"{frame['ITime']}, {frame['IMS']}"
    key = "first frame/ITime + first frame/IMS"
    if instant is not None and is_copy(tree):
        yield from times.moments("time.acquired_start", key, raw, local=instant.replace(tzinfo=None))
    else:
        yield from times.moments("time.acquired_start", key, raw, instant=instant)


def last_frame_time(tree: Tree) -> Iterator[Found]:
    """The last frame's time."""
    raw = f"{tree['ITime']}, {tree['IMS']}"
    yield from times.moments("time.acquired_end", "ITime + IMS", raw, instant=_moment(tree))
