"""Which of Olympus' values are which fields."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from diadem.hooks.fields import Derived, Found, Rule, Table, Tree, look_up
from diadem.hooks.times import moments

_LENGTH = "tifffile and Bio-Formats (SISReader) both take xcal and ycal times ten to the power of lenexp as metres"


def _pixels(tree: Tree) -> Iterator[Found]:
    """Pixel sizes in metres; the exponent is that of the unit."""
    place = "OlympusSIS/general"
    exponent = look_up(tree, f"{place}/lenexp")
    if exponent is None or not -15 <= exponent <= 0:
        return
    for direction in "xy":
        raw = look_up(tree, f"{place}/{direction}cal")
        if 0 < raw * 10.0**exponent < 0.01:
            key = f"{place}/{direction}cal + {place}/lenexp"
            yield Found(f"image.pixel_size_{direction}", raw * 10.0**exponent, key, [raw, exponent], "m", "converted")


def _time(tree: Tree) -> Iterator[Found]:
    """Local time; to the second where the day of the week shows that the structure is C's."""
    known = tree["OlympusSIS"]
    try:
        local = dt.datetime(*(known[part] for part in ("year", "month", "day", "hour", "minute")))  # noqa: DTZ001
    except ValueError:
        return
    written = f"{known['year']}-{known['month']}-{known['day']} {known['hour']}:{known['minute']}"
    if known["weekday"] == local.isoweekday() % 7 and 0 <= known["second"] < 60:
        local = local.replace(second=known["second"])
        written += f":{known['second']:02d}"
    yield from moments("time.acquired_start", "OlympusSIS", written, local=local)


TABLE: Table = (
    Rule(
        "optics.magnification",
        "OlympusSIS/general/magnification",
        "1",
        read=lambda value: value if value > 0 else None,
        cite="600000 of a JEM-2100 image of 24 pm pixels (HyperSpy issue 2511)",
    ),
    Rule("detector.name", "OlympusSIS/general/cameraname", cite="a camera's name, by tifffile and Bio-Formats"),
    Rule("person.operator", "Artist", cite="TIFF 6.0: the person who created the image"),
    Derived("pixel-size", _pixels, cite=_LENGTH),
    Derived("acquisition-time", _time, cite="by tifffile and Bio-Formats, without seconds; no zone is stated"),
)
