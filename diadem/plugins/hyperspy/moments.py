"""Date and time of HyperSpy's tree: believed where the reader that filled it in has not made them up."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from typing import Any

from diadem.hooks import times
from diadem.hooks.fields import Found, Tree, look_up

#: Readers whose date and time are those of the reading machine, of the reading, or of day and month as they come.
_MADE_UP = frozenset(
    {"blockfile", "tvips", "phenom", "topspin", "mrcz", "impulse", "jobinyvon", "empad", "nexus", "trivista", "ripple"}
)
#: Readers that take day and month of a text in the order of English.
_GUESSED = frozenset({"digitalmicrograph", "tiff", "fei", "zeiss", "tia"})
#: Readers that change an instant into local time and say into which.
_INSTANTS = frozenset({"emd", ""})
_OFFSET = re.compile(r"(?:UTC|GMT)?([+-]\d\d):?(\d\d)\Z")


def acquired(tree: Tree, general: str) -> Iterator[Found]:
    """Start of the acquisition.

    Parameters
    ----------
    tree : mapping
        Of a signal, with the reader's name in ``read by``.
    general : str
        Path of the group with date and time.
    """
    said: Mapping[str, Any] = look_up(tree, general) or {}
    reader = str(tree.get("read by", ""))
    local = _local(said)
    if local is None or reader in _MADE_UP:
        return
    keys = f"{general}/date + {general}/time".lstrip("/")
    raw = f"{said['date']} {said['time']}"
    if reader in _GUESSED and local.day <= 12 and local.day != local.month:
        readings = [local, local.replace(month=local.day, day=local.month)]  # the reader did not know
        yield from times.moments("time.acquired_start", keys, raw, local=readings)
        return
    zone = said.get("time_zone")
    if zone is None or reader not in _INSTANTS:
        if zone is None:
            yield from times.moments("time.acquired_start", keys, raw, local=local)
        return
    offset = _offset(str(zone))
    if offset is not None:
        keys, raw = f"{keys} + {general}/time_zone", f"{raw} {zone}"
        yield from times.moments("time.acquired_start", keys, raw, local=local.replace(tzinfo=offset))


def _local(said: Mapping[str, Any]) -> dt.datetime | None:
    """ISO date and time; the first versions of HyperSpy may have other texts."""
    try:
        return dt.datetime.combine(dt.date.fromisoformat(said["date"]), dt.time.fromisoformat(said["time"]))
    except (KeyError, TypeError, ValueError):
        return None


def _offset(zone: str) -> dt.tzinfo | None:
    """An offset that a text states; names of zones do not."""
    if zone in ("UTC", "Z"):
        return dt.UTC
    match = _OFFSET.match(zone)
    if match is None:
        return None
    hours = dt.timedelta(hours=int(match[1]), minutes=int(match[1][0] + match[2]))
    return dt.timezone(hours) if abs(hours) <= dt.timedelta(hours=14) else None
