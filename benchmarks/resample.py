"""What a record says beyond `expected.json`, read again by another route: all of it, and a random sample."""

from __future__ import annotations

import datetime as dt
import math
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expectations import QUESTIONS, TOLERANCE, moment

from diadem.model.record import Assertion, Dataset
from tests.routes import ROUTES

_SECOND = dt.timedelta(seconds=1)
_CLOCKS = dt.timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Reread:
    """One assertion and what the other route says: confirmed, contradicted, or no other route."""

    file: str
    format: str
    field: str
    value: Any
    other: Any
    verdict: str
    locator: str


def universe(true: Mapping[str, Any], datasets: Mapping[str, Dataset]) -> list[tuple[str, str, int]]:
    """File, field and number of every assertion whose field `expected.json` does not ask for."""
    found = []
    for path, told in sorted(true.items()):
        asked = {QUESTIONS[key].field for key in told["expected"] if key in QUESTIONS}
        for field, assertions in sorted(datasets[path].fields.items()) if path in datasets else ():
            if field not in asked:
                found += [(path, field, number) for number in range(len(assertions))]
    return found


def reread(true: Mapping[str, Any], datasets: Mapping[str, Dataset], folder: Path) -> list[Reread]:
    """A verdict on each of these assertions."""
    known: dict[str, list[tuple[str, Any]]] = {}
    verdicts = []
    for path, field, number in universe(true, datasets):
        format_ = true[path]["format"]
        if path not in known:
            known[path] = list(_routed(folder, datasets[path], path, format_))
        assertion = datasets[path].fields[field][number]
        others = [value for name, value in known[path] if name == field]
        verdicts.append(_verdict(path, format_, field, assertion, others))
    return verdicts


def drawn(verdicts: Sequence[Reread], count: int, seed: int) -> list[Reread]:
    """A random sample, the same for the same assertions and seed."""
    return random.Random(seed).sample(verdicts, min(count, len(verdicts)))


def _routed(folder: Path, dataset: Dataset, path: str, format_: str) -> Iterator[tuple[str, Any]]:
    """What the route of the format finds, as far as it comes."""
    if (route := ROUTES.get(format_)) is None:
        return
    base = folder / path.removesuffix(dataset.path) if path.endswith(dataset.path) else folder
    files = [base / file.path for file in dataset.files]
    try:
        yield from route(folder / path, files)
    except Exception as error:  # a route that fails knows no more; what it found before counts
        print(f"the route of {format_} failed on {path}: {type(error).__name__}: {error}", file=sys.stderr)


def _verdict(path: str, format_: str, field: str, one: Assertion, others: list[Any]) -> Reread:
    locator = str(one.source.get("locator", ""))
    equal = next((other for other in others if agrees(one, other, field)), None)
    verdict = "confirmed" if equal is not None else "contradicted" if others else "no other route"
    shown = equal if equal is not None else list(dict.fromkeys(map(str, others)))[:4]
    return Reread(path, format_, field, one.value, shown, verdict, locator)


def agrees(one: Assertion, other: Any, key: str) -> bool:
    """Whether a value of another route is the assertion's."""
    value = one.value
    if isinstance(other, dt.timedelta):
        return abs(other - _offset(str(value))) <= _CLOCKS
    if isinstance(other, dt.datetime):
        return _same_time(moment(str(value)), other, one.offset_status)
    if isinstance(value, list):
        return sorted(map(str, value)) == sorted(map(str, other)) if isinstance(other, list) else False
    if isinstance(value, (int, float)):
        try:
            return math.isclose(value, float(other), rel_tol=TOLERANCE, abs_tol=1e-15)
        except (TypeError, ValueError):
            return False
    ours, theirs = (str(text).strip().casefold() for text in (value, other))
    if key == "instrument.vendor":  # ``Zeiss``, ``Carl Zeiss``; ``FEI``, ``Thermo Fisher Scientific (FEI)``
        return ours in theirs or theirs in ours
    return ours == theirs


def _same_time(ours: dt.datetime, other: dt.datetime, status: str) -> bool:
    if ours.tzinfo is None or other.tzinfo is None:
        return abs(ours.replace(tzinfo=None) - other.replace(tzinfo=None)) <= _SECOND
    return abs(ours - other) <= (_CLOCKS if status == "derived" else _SECOND)


def _offset(text: str) -> dt.timedelta:
    sign = -1 if text.startswith("-") else 1
    return sign * dt.timedelta(hours=int(text[1:3]), minutes=int(text[4:6]))
