"""Times of acquisition, as far as a file knows them.

A file that states an offset is *known*; one with an instant (epoch, FILETIME) beside its local text lets the offset be
*derived*; local text alone has an offset that is *unknown*. How texts are read is told by `diadem.terms.dates`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from diadem.hooks.fields import AMBIGUOUS, Found
from diadem.hooks.text import number
from diadem.terms.dates import (
    YEARS,
    decided,
    exif,
    from_epoch,
    from_filetime,
    from_ole,
    iso,
    moments_of,
    offset_of,
    text_of,
)

_QUARTER = dt.timedelta(minutes=15)
_LOCAL: Final[Mapping[str, Callable[[Any], Any]]] = {"iso": iso, "exif": exif, "ole": from_ole}
_INSTANT: Final[Mapping[str, Callable[[Any], Any]]] = {
    "epoch": lambda raw: None if (seconds := number(raw)) is None else from_epoch(seconds),
    "filetime": lambda raw: from_filetime(int(raw)) if str(raw).strip().isdecimal() else None,
}
#: What a statement of a time in a `formats.toml` is made of.
PARTS: Final = (*_LOCAL, "date", "clock", "offset", *_INSTANT, "same")


def moments(
    field: str,
    key: str,
    raw: Any,
    *,
    local: dt.datetime | Sequence[dt.datetime] | None = None,
    instant: dt.datetime | None = None,
    same: dt.datetime | None = None,
) -> Iterator[Found]:
    """A time as the record has it, and the offset where there is one.

    Parameters
    ----------
    field : str
        ``time.acquired_start`` or ``time.acquired_end``.
    key, raw
        As in `Found`.
    local : datetime or sequence of datetime, optional
        The file's local time; with a time zone where the file states the offset. Of several readings
        (`diadem.terms.dates.moments_of`) the one is taken that can be; where nothing decides, the record says that the
        date can be two.
    instant : datetime, optional
        The same moment in UTC, from an epoch or FILETIME.
    same : datetime, optional
        The same event by another stamp of the file, to decide between readings.
    """
    if isinstance(local, Sequence):
        readings, local = local, decided(local, instant, same)
        if local is None and instant is None and len(readings) > 1:
            yield Found(field, " or ".join(map(text_of, readings)), key, raw, status=AMBIGUOUS)
    if local is not None and local.year not in YEARS:
        local = None
    if local is not None and local.tzinfo is not None:
        yield from _with_offset(field, key, raw, local, "known")
    elif local is not None and instant is not None and (offset := offset_of(local, instant)) is not None:
        yield from _with_offset(field, key, raw, local.replace(tzinfo=dt.timezone(offset)), "derived")
    elif local is not None:
        # An instant that contradicts the local text is a second statement; the local text alone has no offset.
        yield Found(field, text_of(local), key, raw, status="stated", offset_status="unknown")
        if instant is not None:
            yield Found(field, text_of(instant), key, raw, status="stated", offset_status="known")
    elif instant is not None and instant.year in YEARS:
        yield Found(field, text_of(instant), key, raw, status="stated", offset_status="known")


def universal(field: str, key: str, raw: Any, moment: dt.datetime) -> Iterator[Found]:
    """A time that is written without a zone and proven to be universal: as it stands, and with the zone, derived."""
    for found in moments(field, key, raw, local=moment):
        yield found
        yield replace(found, value=f"{found.value}Z", status="derived", offset_status="derived")


def written(field: str, places: Mapping[str, str], raw: Mapping[str, Any]) -> Iterator[Found]:
    """A time as it is written at several keys: local, or an instant, or both, of which the offset follows.

    `places` has keys by what stands there, one of `PARTS` (`same` is a time like `exif` of the same event), `raw` what
    stands there.
    """
    local, instant = (
        next((moment for name, read in reads.items() if name in raw and (moment := read(raw[name]))), None)
        for reads in (_LOCAL, _INSTANT)
    )
    if local is None and "date" in raw:
        date, clock = str(raw["date"]), str(raw.get("clock", ""))
        local = moments_of(*((date, clock) if "clock" in places else date.strip().partition(" ")[::2]))
    zoned = iso(f"{local.isoformat()}{raw['offset']}") if isinstance(local, dt.datetime) and "offset" in raw else None
    used = [name for name in places if name in raw and name != "same" and (name != "offset" or zoned)]
    keys = list(dict.fromkeys(places[name] for name in used))
    shown = raw[used[0]] if len(keys) == 1 else " ".join(str(raw[name]) for name in used)
    return moments(field, " + ".join(keys), shown, local=zoned or local, instant=instant, same=exif(raw.get("same")))


def _with_offset(field: str, key: str, raw: Any, local: dt.datetime, status: str) -> Iterator[Found]:
    """A time and its offset. Only where a file states UTC it is ``Z``: a clock in London in winter tells local time."""
    how = "stated" if status == "known" else "derived"
    written = text_of(local)
    if status == "derived":
        written = written.replace("Z", "+00:00")
    yield Found(field, written, key, raw, status=how, offset_status=status)
    offset = local.utcoffset()
    assert offset is not None
    if not written.endswith("Z") and offset.total_seconds() % _QUARTER.total_seconds() == 0:
        yield Found("time.utc_offset", written[-6:], key, raw, status=how)
