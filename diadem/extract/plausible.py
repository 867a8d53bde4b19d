"""What a careful colleague would doubt: values that are right in form and can hardly be true.

Doubts are issues beside the values; nothing is changed. The bounds are wide: they catch a unit that is wrong by a
thousand, a stage outside its column, a clock that was never set, and let every real instrument pass.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from diadem.extract.extraction import issue
from diadem.terms.crosswalk import transmission_mode
from diadem.terms.fields import Bounds, all_fields

Fields = Mapping[str, Sequence[Mapping[str, Any]]]


#: A magnified pixel on the detector or the screen: from a fine camera pixel to a screen in a lecture room.
_DETECTOR_PIXEL = (1e-7, 0.2)
#: A local time without offset, and a disk whose times are of another zone, may lie this far apart.
_SLACK = dt.timedelta(hours=26)
#: A clock that was reset is more than a year off; only siblings that agree among themselves can tell.
_SEASON = dt.timedelta(days=366)
_SESSION = dt.timedelta(days=31)
_SIBLINGS = 3


def doubts(fields: Fields, mtimes_ns: Sequence[int], now: dt.datetime) -> Iterator[dict[str, Any]]:
    """Issues of one dataset.

    Parameters
    ----------
    fields : mapping
        The dataset's assertions.
    mtimes_ns : sequence of int
        Modification times of its files, nanoseconds since 1970.
    now : datetime
        With a time zone.
    """
    transmission = _is_transmission(fields)
    for key, known in all_fields().items():
        for bounds in (known.plausible, known.plausible_tem if transmission else None):
            if bounds is not None:
                yield from _outside(fields, bounds, key)
    yield from _scales(fields)
    yield from _durations(fields)
    yield from _clock(fields, mtimes_ns, now)


def _outside(fields: Fields, bounds: Bounds, key: str) -> Iterator[dict[str, Any]]:
    """Zero is let pass where the field does."""
    for assertion in fields.get(key, ()):
        value = abs(assertion["value"])
        if value and not bounds.least <= value <= bounds.most:
            said = f"{key} is {assertion['value']:g} {assertion.get('unit', '')}".rstrip()
            yield issue("implausible", f"{said}; {bounds.why}", severity="warning")
            return


def _is_transmission(fields: Fields) -> bool:
    """Whether the dataset says so itself; the energy alone does not."""
    kinds = {assertion["value"] for assertion in fields.get("instrument.kind", ())}
    modes = {transmission_mode(str(assertion["value"])) for assertion in fields.get("beam.mode", ())}
    return "tem" in kinds or (not kinds and any(modes))


def _single(fields: Fields, key: str) -> float | None:
    """The value of a field that has one."""
    stated = fields.get(key, ())
    return stated[0]["value"] if len(stated) == 1 else None


def _scales(fields: Fields) -> Iterator[dict[str, Any]]:
    """Pixel size against magnification: their product is a pixel of the detector or the screen."""
    pixel, magnification = _single(fields, "image.pixel_size_x"), _single(fields, "optics.magnification")
    if pixel is None or magnification is None:
        return
    product = pixel * magnification
    if not _DETECTOR_PIXEL[0] <= product <= _DETECTOR_PIXEL[1]:
        message = f"a pixel of {pixel:g} m at a magnification of {magnification:g} would be {product:g} m wide"
        yield issue("implausible", f"{message} on the detector; one of the two is off", severity="warning")


def _durations(fields: Fields) -> Iterator[dict[str, Any]]:
    """A detector cannot live longer than its clock ran, nor an acquisition end before it began."""
    live, real = _single(fields, "eds.live_time"), _single(fields, "eds.real_time")
    if live is not None and real is not None and live > real * 1.001:
        yield issue("implausible", f"eds.live_time is {live:g} s and eds.real_time only {real:g} s", severity="warning")
    start, end = (_moments(fields, key) for key in ("time.acquired_start", "time.acquired_end"))
    if start and end and max(end) + _SLACK < min(start):
        yield issue("clock-disagrees", "the acquisition would have ended before it began", severity="warning")


def _moments(fields: Fields, key: str) -> list[dt.datetime]:
    """Times of a field; one without offset is taken as UTC, for comparisons that allow a day."""
    moments = []
    for assertion in fields.get(key, ()):
        text = str(assertion["value"]).replace(":60", ":59")
        moment = dt.datetime.fromisoformat(text)
        moments.append(moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC))
    return moments


def _clock(fields: Fields, mtimes_ns: Sequence[int], now: dt.datetime) -> Iterator[dict[str, Any]]:
    """A file cannot have been finished before its acquisition began, nor an acquisition begin tomorrow."""
    for moment in _moments(fields, "time.acquired_start"):
        if moment > now + _SLACK:
            yield issue(
                "clock-disagrees", f"the acquisition would be of {moment.date()}, in the future", severity="warning"
            )
            return
        written = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=max(mtimes_ns, default=0) / 1e9)
        if mtimes_ns and moment > written + _SLACK:
            message = (
                f"acquired {moment.date()} by its own clock, but last written {written.date()} by the file system's"
            )
            yield issue("clock-disagrees", message, severity="warning")
            return


class Siblings:
    """Times of the datasets of each folder and microscope, to see one whose clock is years off."""

    def __init__(self) -> None:
        self._times: dict[tuple[str, ...], list[dt.datetime]] = {}

    def doubts(self, folder: str, fields: Fields) -> Iterator[dict[str, Any]]:
        """Issues of a dataset beside those of its folder that came before it.

        Parameters
        ----------
        folder : str
            Where its primary lies.
        fields : mapping
            The dataset's assertions.
        """
        moments = _moments(fields, "time.acquired_start")
        if not moments:
            return
        models = [str(assertion["value"]) for assertion in fields.get("instrument.model", ())]
        known = self._times.setdefault((folder, *models), [])
        known.append(moments[0])
        del known[: -_SIBLINGS - 1]
        *before, last = known
        if len(before) < _SIBLINGS or max(before) - min(before) > _SESSION:
            return
        if min(abs(last - other) for other in before) > _SEASON:
            span = " to ".join(dict.fromkeys((f"{min(before).date()}", f"{max(before).date()}")))
            message = f"acquired {last.date()} by its own clock; the datasets before it in this folder are of {span}"
            yield issue("clock-disagrees", message, severity="info")
