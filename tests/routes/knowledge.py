"""How routes say what they know: the end of a path in a file, the field it is, and what makes its number SI."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Leaf = tuple[str, Any]
Value = tuple[str, Any]
#: A factor to the field's unit, or a function to one or several values; None drops it.
Conversion = float | Callable[[Any], Any]


#: Symbols by atomic number.
SYMBOLS = re.findall(
    r"[A-Z][a-z]?",
    "HHeLiBeBCNOFNeNaMgAlSiPSClArKCaScTiVCrMnFeCoNiCuZnGaGeAsSeBrKrRbSrYZrNbMoTcRuRhPdAgCdInSnSbTeIXeCsBaLaCePrNdPmSm"
    "EuGdTbDyHoErTmYbLuHfTaWReOsIrPtAuHgTlPbBiPoAtRnFrRaAcThPaU",
)


@dataclass(frozen=True, slots=True)
class Known:
    """Paths that match `pattern` at their end are `field`."""

    pattern: str
    field: str
    convert: Conversion = 1.0


def same(value: Any) -> Any:
    """A text as it stands."""
    return value.decode("latin-1").strip("\0 ") if isinstance(value, bytes) else str(value).strip("\0 ")


def read(leaves: Iterable[Leaf], known: Iterable[Known]) -> Iterator[Value]:
    """Fields and values of the leaves that are known."""
    compiled = [(re.compile(f"(?:^|[./@ ])(?:{one.pattern})$"), one) for one in known]
    for path, raw in leaves:
        for pattern, one in compiled:
            if pattern.search(path):
                yield from ((one.field, value) for value in _converted(raw, one.convert))


def _converted(raw: Any, convert: Conversion) -> Iterator[Any]:
    try:
        value = convert(raw) if callable(convert) else number(raw) * convert
    except (TypeError, ValueError, IndexError, OverflowError):
        return
    if value is not None:
        yield from value if isinstance(value, (list, tuple)) else [value]


def number(raw: Any) -> float:
    """The number that a text begins with, or a number."""
    if isinstance(raw, bytes):
        raw = raw.decode("latin-1")
    if isinstance(raw, str):
        found = re.match(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)", raw)
        if found is None:
            raise ValueError(raw)
        return float(found[1])
    return float(raw)


def kinds(raw: Any) -> list[str]:
    """What kind of instrument a product, or a mode, is of; one with two beams may be called by either of them."""
    text = str(same(raw))
    if re.search(r"(?i)helios|scios|dualbeam|amber|solaris|crossbeam|quanta 3d|versa 3d", text):
        return ["fib", "sem"]
    if re.search(r"(?i)orion", text):
        return ["him"]
    if re.search(r"(?i)titan|talos|tecnai|spectra|themis|krios|glacios|arctica|\bjem|\barm\d|tem\b|tvips", text):
        return ["tem"]
    if re.search(r"(?i)quanta|ultra|merlin|gemini|sigma|phenom|verios|apreo|mira|clara|sem\b", text):
        return ["sem"]
    return []


def rounded(raw: Any) -> int:
    """A whole number."""
    return round(number(raw))


def when(*forms: str) -> Callable[[Any], list[datetime]]:
    """A reader of times of these forms (`strptime`)."""

    def convert(raw: Any) -> list[datetime]:
        found = []
        for form in forms:
            try:
                found.append(datetime.strptime(" ".join(str(same(raw)).split()), form))  # noqa: DTZ007 - as written
            except ValueError:
                continue
        return found

    return convert


_PREFIX = {"k": 1e3, "K": 1e3, "m": 1e-3, "µ": 1e-6, "u": 1e-6, "n": 1e-9, "p": 1e-12, "": 1.0}


def with_unit(raw: str) -> float | None:
    """A number behind which a unit stands with its prefix: ``3.9 mm``."""
    found = re.match(r"\s*([-+\d.eE]+)\s*(.*)", raw)
    if found is None:
        return None
    if special := {"mbar": 100.0, "Mins": 60.0, "Torr": 133.322368}.get(found[2].strip()):
        return float(found[1]) * special
    unit = re.match(r"([kKmµunp]?)(?:m|V|A|s|Pa|Sec\w*)\b", found[2].strip())
    return float(found[1]) * _PREFIX[unit[1]] if unit else None


def times_as_text(raw: str) -> float:
    """``X150k``."""
    found = re.match(r"[Xx]\s*([\d.]+)\s*([kKM]?)", raw)
    if found is None:
        raise ValueError(raw)
    return float(found[1]) * {"k": 1e3, "K": 1e3, "M": 1e6, "": 1.0}[found[2]]


def seconds(raw: str) -> float:
    """``5 ms``; without a unit seconds."""
    return number(raw) * {"ms": 1e-3, "us": 1e-6, "µs": 1e-6, "min": 60.0}.get(raw.rsplit(maxsplit=1)[-1], 1.0)


def iso_time(raw: str) -> datetime:
    """ISO 8601 with a fraction of any length."""
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", raw))
