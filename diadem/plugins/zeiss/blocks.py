"""SmartSEM's tag (34118), lines of parameters, and what is not data in its table.

That is which column made the picture, and the size of its pixels.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from diadem.hooks import text as texts
from diadem.hooks.fields import Block, Found, Tree, look_up
from diadem.hooks.text import decode, positive
from diadem.hooks.tiff import Page, Tiff, in_tags

_KEY = re.compile(r"[A-Z]{2}_[A-Z0-9_]+\Z")
_SAID = re.compile(r"([^=:]*?)\s*[=:]\s?(.*)\Z")
#: Words that are no unit though they follow a number: names such as ``3 - 5``.
_UNIT = re.compile(r"(|%|°|K? ?X|x|[a-zA-Zµμ°²/-]{1,6})\Z")
_PRESENT = "DP_FIB_PRESENT"
_IMAGING = "DP_FIB_IMAGING"


def look(file: Tiff, page: Page, tree: dict[str, Any]) -> Iterator[Block]:
    """SmartSEM's tag. Orion writes a few numbers into it too; they are kept, and said better in its own."""
    yield from _IN_TAGS(file, page, tree)
    orion = page.tags.get(65000)
    if orion is not None and b"<ImageTags" in file.data(orion)[:200]:
        tree.clear()


def parse_smartsem(data: bytes) -> dict[str, Any]:
    """SmartSEM's parameters by name, as on screen and with their unit; ``unnamed`` are the numbers before them."""
    found: dict[str, Any] = {}
    unnamed: list[float] = []
    key = ""
    for line in decode(data.split(b"\x00", 1)[0]).splitlines():
        if _KEY.match(line.strip()):
            key = line.strip()
        elif key:
            match = _SAID.match(line.strip())
            if match is not None:
                found.setdefault(key, {"Name": match[1].strip(), **value_of(match[2].strip())})
            key = ""
        elif (number := texts.number(line)) is not None and not found:
            unnamed.append(number)
    return {"unnamed": unnamed, **found} if found or unnamed else {}


_IN_TAGS = in_tags("zeiss-sem", {34118: parse_smartsem}, "text/plain")


def value_of(text: str) -> dict[str, str]:
    """A value, divided into number and unit where it is one: ``50.00 K X``."""
    quantity = texts.quantity(text)
    if quantity is None or not _UNIT.match(quantity[1]) or not quantity[1]:
        return {"Value": text}
    return {"Value": text[: len(text) - len(quantity[1])].strip(), "Unit": quantity[1]}


def _parameter(tree: Tree, key: str) -> str:
    """A parameter's value as text, or ""."""
    return str(look_up(tree, f"CZ_SEM/{key}/Value") or "")


def by_electrons(tree: Tree) -> bool:
    """Whether the electron column has made the picture; so it is where nothing is said of an ion column."""
    said = _parameter(tree, _IMAGING).upper()
    return not said or ("SEM" in said and "FIB" not in said)


def by_ions(tree: Tree) -> bool:
    said = _parameter(tree, _IMAGING).upper()
    return bool(said) and "SEM" not in said and _has_ions(tree) is True


def _has_ions(tree: Tree) -> bool | None:
    """Whether the instrument has an ion column; None where that is not said.

    Newer versions of SmartSEM write the parameters of one for every instrument: FIB Mode = Imaging, and a flood gun, of
    a Merlin, which has none.
    """
    present, column = _parameter(tree, _PRESENT).lower(), _parameter(tree, "DP_FIB_COLUMN").lower()
    if present in ("yes", "no"):
        return present == "yes"
    if column:
        return column != "none"
    if (volts := positive(_parameter(tree, "AP_FIB_EHT_ACTUAL"))) is not None:
        return volts > 0
    return None if any("FIB" in key for key in tree["CZ_SEM"]) else False


def pixel_size(tree: Tree) -> Iterator[Found]:
    """Pixel size of the instrument scaled to the width of the image."""
    unnamed: Sequence[float] = look_up(tree, "CZ_SEM/unnamed") or ()
    width = tree.get("ImageWidth")
    if len(unnamed) > 3 and unnamed[3] > 0 and width:
        size, key = unnamed[3] * 1024 / width, "CZ_SEM/unnamed/3 + ImageWidth"
        for direction in "xy":
            yield Found(f"image.pixel_size_{direction}", size, key, [unnamed[3], width], "m", "derived")


def kind(tree: Tree) -> Iterator[Found]:
    """The tag is SmartSEM's, the program of Zeiss' scanning electron microscopes; those with an ion column say so."""
    named = [key for key in tree["CZ_SEM"] if key.startswith(("AP_", "DP_"))]
    ions = _has_ions(tree)
    if not named or ions is None:
        return
    key = next((key for key in (_PRESENT, "DP_FIB_COLUMN", "AP_FIB_EHT_ACTUAL") if _parameter(tree, key)), named[0])
    said = _parameter(tree, key) if key != named[0] else key
    yield Found("instrument.kind", "fib" if ions else "sem", f"CZ_SEM/{key}", said, status="derived")


def technique(tree: Tree) -> Iterator[Found]:
    """By the column that made the picture, where it is said or there is one only."""
    named = [key for key in tree["CZ_SEM"] if key.startswith(("AP_", "DP_"))]
    key = _IMAGING if _parameter(tree, _IMAGING) else named[0] if named else ""
    if not key:
        return
    said = _parameter(tree, key) if key == _IMAGING else key
    if _has_ions(tree) is False or (key == _IMAGING and by_electrons(tree)):
        yield Found("beam.species", "electron", f"CZ_SEM/{key}", said, status="derived")
        detector = _parameter(tree, "DP_DETECTOR_TYPE") + _parameter(tree, "DP_DETECTOR_CHANNEL")
        technique = "STEM" if "STEM" in detector.upper() else "SEM"
        yield Found("signal.technique", technique, f"CZ_SEM/{key}", said, status="derived")
    elif by_ions(tree):
        yield Found("signal.technique", "FIB", f"CZ_SEM/{key}", said, status="derived")
