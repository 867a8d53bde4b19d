"""Values of signals as the assertions of a record: equal ones merged, each with its evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from diadem.extract.axes import number
from diadem.extract.mapping import Leaf

#: Characters of a text that a record keeps.
LONGEST_TEXT = 2000


@dataclass(frozen=True, slots=True)
class Value:
    """A value of one signal for one field, not yet merged with those of other signals."""

    field: str
    value: Any
    status: str
    leaf: Leaf
    unit: str = ""
    raw_unit: str | None = None
    rule: str = ""
    offset_status: str = ""


def plain(value: Any) -> Any:
    """A raw value as JSON: numbers and short texts as they are, the rest as text."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, (int, str)):
        return value[:LONGEST_TEXT] if isinstance(value, str) else value
    as_number = number(value)
    if as_number is not None:
        return int(as_number) if hasattr(value, "dtype") and value.dtype.kind in "iu" else as_number
    return str(value)[:LONGEST_TEXT]


def merge(by_signal: Sequence[tuple[str, Sequence[Value]]], by: Mapping[str, str]) -> dict[str, list[dict[str, Any]]]:
    """Assertions of a dataset: equal values of several signals are one assertion.

    Parameters
    ----------
    by_signal : sequence of (signal id, values)
        In the order of the signals.
    by : mapping
        ``plugin, version, reader`` of the assertions.

    Returns
    -------
    dict of str to list of dict
        By field; a field with one value has it preferred, one with several leaves the choice to the reader.
    """
    gathered: dict[str, dict[Any, tuple[Value, list[str]]]] = {}
    for signal, values in by_signal:
        for value in values:
            key = (repr(value.value), value.leaf.locator)
            entry = gathered.setdefault(value.field, {}).setdefault(key, (value, []))
            if signal not in entry[1]:
                entry[1].append(signal)
    return {
        field: [_assertion(value, signals, by, preferred=len(entries) == 1) for value, signals in entries.values()]
        for field, entries in sorted(gathered.items())
    }


def _assertion(value: Value, signals: list[str], by: Mapping[str, str], *, preferred: bool) -> dict[str, Any]:
    """One assertion as JSON."""
    source = {"file": "f1", "locator": value.leaf.locator[:LONGEST_TEXT], "raw": plain(value.leaf.raw)}
    if value.raw_unit:
        source["raw_unit"] = value.raw_unit
    assertion: dict[str, Any] = {"value": value.value}
    if value.unit:
        assertion["unit"] = value.unit
    assertion.update(applies_to=signals, status=value.status, source=source, by={**by, "rule": value.rule})
    if value.offset_status:
        assertion["offset_status"] = value.offset_status
    if preferred:
        assertion["preferred"] = True
    return assertion
