"""What two or more of Olympus' values say together."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from diadem.hooks.fields import Found, Tree, look_up
from diadem.hooks.times import moments


def pixel_size(tree: Tree) -> Iterator[Found]:
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


def acquired(tree: Tree) -> Iterator[Found]:
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
