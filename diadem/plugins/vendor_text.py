"""Texts as instruments write them: INI sections, XML, numbers with units, dates with names of months."""

from __future__ import annotations

import datetime as dt
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from typing import Any

from diadem.hooks.times import clock, days

_NUMBER = re.compile(r"\s*([-+]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][-+]?\d+)?)\s*(.*)", re.DOTALL)
_NAMED = re.compile(r"(\d{1,2})[.\s-]+(?:de\s+)?([^\W\d_]{3,})\.?[.\s-]+(?:de\s+)?(\d{4})\Z")
_ORDERED = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})\Z")
_ISO = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(\.\d+)?\s*(Z|[-+]\d\d:?\d\d)?\Z")

#: What computers are called that stand beside an instrument.
_COMPUTER = re.compile(r"console|workstation|desktop|laptop|computer|server|(?:^|[\W_])pc(?:[\W_\d]|$)", re.IGNORECASE)

#: First three letters of months in English, German, French, Spanish, Italian, Portuguese, Dutch and the Nordic
#: languages; none stands for two months. French `juin` and `juillet` need four.
_MONTHS: Mapping[str, int] = {
    **dict.fromkeys(("jan", "ene", "gen"), 1), **dict.fromkeys(("feb", "fév", "fev"), 2),
    **dict.fromkeys(("mar", "mär", "mrz", "mrt", "maa"), 3), **dict.fromkeys(("apr", "avr", "abr"), 4),
    **dict.fromkeys(("may", "mai", "maj", "mei", "mag"), 5), **dict.fromkeys(("jun", "juin", "giu"), 6),
    **dict.fromkeys(("jul", "juil", "lug"), 7), **dict.fromkeys(("aug", "aoû", "ago", "aou"), 8),
    **dict.fromkeys(("sep", "set"), 9), **dict.fromkeys(("oct", "okt", "ott", "out"), 10),
    **dict.fromkeys(("nov",), 11), **dict.fromkeys(("dec", "dez", "déc", "dic", "des"), 12),
}  # fmt: skip


def ini(text: str) -> dict[str, dict[str, str]]:
    """Sections of ``[Name]`` and ``key=value``; lines before the first section are of section ``""``.

    A key that comes twice in a section keeps its first value.
    """
    found: dict[str, dict[str, str]] = {}
    section = ""
    for line in (raw.strip(" \t\x00\r\n\ufeff") for raw in text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip()
            found.setdefault(section, {})
        elif "=" in line:
            key, _, value = line.partition("=")
            found.setdefault(section, {}).setdefault(key.strip(), value.strip())
    return found


def xml(data: bytes) -> tuple[str, Any]:
    """Name of the root and the document as a tree.

    Children are entries by name, several of one name a list; attributes begin with ``@``; the text of an element with
    attributes is ``#text``. Namespaces are left out.

    Parameters
    ----------
    data : bytes
        The document; padding of zeros, control characters and blanks around it is ignored.

    Raises
    ------
    xml.etree.ElementTree.ParseError
        Where it is none.
    """
    element = ET.fromstring(data.strip(b"\x00\x01 \t\r\n"))  # noqa: S314 - expat refuses bombs, no entity is fetched
    return _local(element.tag), _tree(element)


def _tree(element: ET.Element) -> Any:
    """One element: text, or a mapping."""
    text = (element.text or "").strip()
    if not len(element) and not element.attrib:
        return text
    found: dict[str, Any] = {f"@{_local(key)}": value for key, value in element.attrib.items()}
    for child in element:
        name, value = _local(child.tag), _tree(child)
        if name not in found:
            found[name] = value
        elif isinstance(found[name], list):
            found[name].append(value)
        else:
            found[name] = [found[name], value]
    if text:
        found["#text"] = text
    return found


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def quantity(text: str) -> tuple[float, str] | None:
    """A number and what follows it: ``50.00 K X``, ``8100 um``; a comma alone is a decimal sign."""
    match = _NUMBER.match(text)
    if match is None:
        return None
    return float(match[1].replace(",", ".")), match[2].strip()


def number(text: Any) -> float | None:
    """A number that is the whole of a text, with a point or a comma."""
    found = quantity(str(text))
    return found[0] if found is not None and not found[1] else None


def positive(text: Any) -> float | None:
    """A number above zero; what is not is no measurement."""
    found = number(text)
    return found if found is not None and found > 0 else None


def instrument_name(raw: Any) -> str | None:
    """What an instrument is called; None where a computer is: ``ORION-CONSOLE``, ``SUPPORT_PC``."""
    text = raw.strip() if isinstance(raw, str) else ""
    return None if not text or _COMPUTER.search(text) else text


def several_days(text: str) -> list[dt.date]:
    """What a date may mean: year first, with a month's name, or numeric (see `diadem.hooks.times.days`)."""
    text = text.strip()
    ordered, named = _ORDERED.match(text), _NAMED.match(text)
    if ordered:
        parts = (int(ordered[1]), int(ordered[2]), int(ordered[3]))
    elif named and (month := month_of(named[2])):
        parts = (int(named[3]), month, int(named[1]))
    else:
        return days(text)
    try:
        return [dt.date(*parts)]
    except ValueError:
        return []


def month_of(name: str) -> int | None:
    """Number of a month by its name or the beginning of it, in the languages that instruments' computers speak."""
    name = name.lower()
    return _MONTHS.get(name[:4]) or _MONTHS.get(name[:3])


def moments_of(date: str, time: str) -> list[dt.datetime]:
    """Local times that a date and a clock may mean; one where the date is unmistakable."""
    hour = clock(time)
    return [] if hour is None else [dt.datetime.combine(day, hour) for day in several_days(date)]


def moment_of(date: str, time: str, same: dt.datetime | None = None) -> dt.datetime | None:
    """The local time that a date and a clock mean.

    Parameters
    ----------
    date, time : str
        As written.
    same : datetime, optional
        The same event by another stamp of the file whose date is unmistakable; it decides between two meanings.

    Returns
    -------
    datetime or None
        None where day and month cannot be told apart.
    """
    found = moments_of(date, time)
    if len(found) > 1 and same is not None:
        found = [local for local in found if abs(local - same) < dt.timedelta(days=1, hours=3)]
    return found[0] if len(found) == 1 else None


def iso(text: Any) -> dt.datetime | None:
    """A time of ISO 8601, with an offset where one is written; fractions beyond microseconds are cut off."""
    match = _ISO.match(str(text).strip())
    if match is None:
        return None
    fraction = (match[3] or "")[:7]
    offset = (match[4] or "").replace("Z", "+00:00")
    try:
        found = dt.datetime.fromisoformat(f"{match[1]}T{match[2]}{fraction.ljust(7, '0') if fraction else ''}{offset}")
    except ValueError:
        return None
    return found.astimezone(dt.UTC) if found.utcoffset() == dt.timedelta() and match[4] == "Z" else found


def exif(text: Any) -> dt.datetime | None:
    """A local time of TIFF and Exif: ``2022:02:10 13:00:35``."""
    try:
        return dt.datetime.strptime(str(text).strip(), "%Y:%m:%d %H:%M:%S")  # noqa: DTZ007 - no zone is stated
    except ValueError:
        return None


def entries(tree: Any, name: str) -> Iterator[Mapping[str, Any]]:
    """Mappings below a name, whether there is one or a list of them."""
    found = tree.get(name) if isinstance(tree, Mapping) else None
    for item in found if isinstance(found, list) else [found]:
        if isinstance(item, Mapping):
            yield item
