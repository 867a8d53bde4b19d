"""Values of signals as the assertions of a record: equal ones merged, each with its evidence."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from diadem.extract.axes import describe_axes, in_order, kind_of, number, tidy
from diadem.extract.extraction import issue
from diadem.hooks.formats import Signal
from diadem.terms.units import to_si

#: Characters of a text that a record keeps.
LONGEST_TEXT = 2000
#: Numbers this near each other, relatively, say the same.
SAME = 1e-3
#: Numbers further apart than this, relatively, contradict each other.
APART = 5e-3
#: Times may differ by a time zone and a long exposure.
_TIMES_APART = dt.timedelta(hours=26)
#: Rule of what is taken from a signal's axes: said only where no table has said the same.
FROM_AXES = "axes/scale"
#: Texts that a program writes where nobody wrote anything.
PLACEHOLDERS = frozenset(
    {"undefined", "unknown", "none", "n/a", "-", "[]", "do not edit", "default", "map data", "<undefined>", "null"}
)


@dataclass(frozen=True, slots=True)
class Value:
    """A value for one field as normalised, not yet merged with others, and its evidence.

    `locator` is the path in the tree where `raw` stands, `file` that of the file, "" for the primary.
    """

    field: str
    value: Any
    status: str
    locator: str
    raw: Any
    unit: str = ""
    raw_unit: str | None = None
    rule: str = ""
    offset_status: str = ""
    file: str = ""


@dataclass(frozen=True, slots=True)
class Statement:
    """Values about the same signals by the same plugin; no signals means the whole dataset."""

    signals: tuple[str, ...]
    by: Mapping[str, str]
    values: Sequence[Value]


@dataclass(slots=True)
class _Entry:
    value: Value
    by: Mapping[str, str]
    signals: list[str]

    def meets(self, signals: Sequence[str]) -> bool:
        """Whether it is about some of the same signals."""
        return not self.signals or not signals or bool(set(self.signals) & set(signals))


def clean(value: Any) -> str:
    """A text worth keeping, or ""."""
    if not isinstance(value, str):
        return ""
    text = "".join(character for character in value.strip() if character.isprintable())
    return "" if text.lower() in PLACEHOLDERS else text[:LONGEST_TEXT]


def number_of(value: Any) -> float | None:
    """A finite number, also one written as the whole of a text."""
    if isinstance(value, bytes):
        return None
    if not isinstance(value, str):
        return number(value)
    try:
        return number(float(value))
    except ValueError:
        return None


def plain(value: Any) -> Any:
    """A raw value as JSON: numbers and short texts as they are, the rest as text."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, (int, str)):
        return value[:LONGEST_TEXT] if isinstance(value, str) else int(value)
    as_number = number(value)
    if as_number is not None:
        return int(as_number) if hasattr(value, "dtype") and value.dtype.kind in "iu" else as_number
    return str(value)[:LONGEST_TEXT]


def pixel_sizes(kind: str, axes: Sequence[Mapping[str, Any]], shape: Sequence[int]) -> Iterator[Value]:
    """Pixel sizes of images, from their last two axes, and of maps; of a length beside a time or wavelength, none."""
    described = describe_axes(axes, shape)
    if kind == "spectrum_image":
        pixels = [axis for axis in described if axis.get("unit") == "m"]
    else:
        pixels = described[-2:] if kind in ("image", "image_stack") else []
    if len(pixels) != 2 or any(axis.get("unit") not in ("m", "1/m") for axis in pixels):
        return
    for direction, axis in zip("yx", pixels, strict=True):
        scale, unit = axis.get("scale"), axis.get("unit")
        if not scale or unit not in ("m", "1/m") or (unit == "m" and abs(scale) > 1e-2):
            continue
        field = f"image.pixel_size_{direction}" if unit == "m" else f"image.reciprocal_pixel_size_{direction}"
        stored = axis.get("scale_as_stored", scale)
        locator = f"axes.{axis['name']}.scale"
        status = "stated" if stored == scale else "converted"
        yield Value(field, abs(scale), status, locator, abs(stored), unit, axis.get("unit_as_stored"), FROM_AXES)


def merge(
    statements: Sequence[Statement], file_ids: Mapping[str, str]
) -> tuple[dict[str, list[dict[str, Any]]], list[dict[str, Any]]]:
    """Assertions of a dataset by field, equal values of several signals as one, and issues of contradictions.

    The more trusted statements come first. Where all values of a field are about the same signals, the first is
    preferred; values of different signals, and one for the whole dataset beside those of single signals, stand side by
    side. What one plugin says twice about the same signals is said once. `file_ids` has the id of each path; "" is the
    primary.
    """
    gathered: dict[str, list[_Entry]] = {}
    for statement in statements:
        for value in statement.values:
            _gather(value, statement, gathered.setdefault(value.field, []))
    fields: dict[str, list[dict[str, Any]]] = {}
    issues: list[dict[str, Any]] = []
    for key, entries in sorted(gathered.items()):
        issues += _contradictions(key, entries)
        one_subject = all(entry.meets(entries[0].signals) and not _refines(entry, entries[0]) for entry in entries[1:])
        fields[key] = [
            _assertion(entry, file_ids, preferred=place == 0 and one_subject) for place, entry in enumerate(entries)
        ]
    return fields, issues


def _gather(value: Value, statement: Statement, entries: list[_Entry]) -> None:
    for entry in entries:
        if value.rule == FROM_AXES and entry.meets(statement.signals) and _same(entry.value.value, value.value):
            return
        if entry.by.get("plugin") != statement.by.get("plugin") or not _same(entry.value.value, value.value):
            continue
        if entry.meets(statement.signals) and set(statement.signals) <= set(entry.signals):
            return
        if not (entry.signals and statement.signals) or repr(entry.value.value) != repr(value.value):
            continue
        if entry.value.locator == value.locator or entry.value.rule == value.rule:
            entry.signals += [name for name in statement.signals if name not in entry.signals]
            return
    entries.append(_Entry(value, statement.by, list(statement.signals)))


def _refines(one: _Entry, other: _Entry) -> bool:
    """Whether a plugin says one of single signals and the other of the whole dataset, from one file: it means both."""
    same_source = one.by.get("plugin") == other.by.get("plugin") and one.value.file == other.value.file
    return same_source and bool(one.signals) and not other.signals


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, int | float) and isinstance(other, int | float):
        return abs(one - other) <= SAME * max(abs(one), abs(other))
    return repr(one) == repr(other)


def _contradictions(key: str, entries: Sequence[_Entry]) -> list[dict[str, Any]]:
    """One issue where two values about the same signals cannot both be right. A dataset may have several detectors."""
    if key.startswith(("detector.", "camera.")):
        return []
    for place, entry in enumerate(entries):
        for other in entries[:place]:
            if _refines(entry, other) or _refines(other, entry) or not entry.meets(other.signals):
                continue
            if _contradict(key, other.value.value, entry.value.value):
                told = " and ".join(f"{item.value.value} {item.value.unit}".strip() for item in (other, entry))
                places = " and ".join(f"'{item.value.locator}'" for item in (other, entry))
                return [issue("sources-disagree", f"{key}: {told} are both stated, in {places}")]
    return []


def _contradict(key: str, one: Any, other: Any) -> bool:
    if isinstance(one, int | float) and isinstance(other, int | float):
        return abs(one - other) > APART * max(abs(one), abs(other))
    if not key.startswith("time.acquired"):
        return False
    first, second = (dt.datetime.fromisoformat(str(text)).replace(tzinfo=None) for text in (one, other))
    return abs(first - second) > _TIMES_APART


def _assertion(entry: _Entry, file_ids: Mapping[str, str], *, preferred: bool) -> dict[str, Any]:
    """One assertion as JSON."""
    value = entry.value
    file = file_ids.get(value.file, "f1")
    source = {"file": file, "locator": value.locator[:LONGEST_TEXT], "raw": plain(value.raw)}
    if value.raw_unit:
        source["raw_unit"] = value.raw_unit
    assertion: dict[str, Any] = {"value": value.value}
    if value.unit:
        assertion["unit"] = value.unit
    if entry.signals:
        assertion["applies_to"] = entry.signals
    assertion.update(status=value.status, source=source, by={**entry.by, "rule": value.rule})
    if value.offset_status:
        assertion["offset_status"] = value.offset_status
    if preferred:
        assertion["preferred"] = True
    return assertion


def calibrated(signal: Signal, name: str, fields: Mapping[str, Sequence[Mapping[str, Any]]]) -> Signal:
    """A picture, or a stack of them, whose axes have the pixel sizes that tables state in the record's fields.

    So the record's axes and those of the signal that is loaded come from the same statements.
    """
    axes = list(in_order(signal.axes))
    if kind_of(axes, signal.shape, signal.metadata) not in ("image", "image_stack"):
        return signal
    names = [axis.get("name") for axis in axes]
    rows, columns = (names.index("height"), names.index("width")) if {"height", "width"} <= {*names} else (-2, -1)
    for prefix, unit in (("", "m"), ("reciprocal_", "1/m")):
        height, width = (_stated(fields.get(f"image.{prefix}pixel_size_{direction}", ()), name) for direction in "yx")
        if height is None or width is None:
            continue
        for place, size in ((rows, height), (columns, width)):
            axis = axes[place]
            if "scale" in axis and (signal.tables_first or to_si(axis.get("units"))[0] in ("", "px")):
                axes[place] = {**axis, **_with_size(axis, size, unit)}
        return replace(signal, axes=axes)
    return signal


def _stated(assertions: Sequence[Mapping[str, Any]], name: str) -> float | None:
    """What a table states of a signal, before what one states of the whole dataset; not what others merely say."""
    meant = {
        bool(one.get("applies_to")): one["value"]
        for one in reversed(assertions)
        if one["by"].get("rule", FROM_AXES) != FROM_AXES
        and name in (one.get("applies_to") or (name,))
        and (one.get("preferred") or "statement" not in one.get("source", ()))
    }
    return meant.get(True, meant.get(False))


def _with_size(axis: Mapping[str, Any], size: float, unit: str) -> dict[str, Any]:
    """Scale and unit of an axis; its own unit where that is of the same kind."""
    kind, factor = to_si(axis.get("units"))
    own = axis.get("units") if kind == unit else unit
    factor = factor if kind == unit else 1.0
    same = kind == unit and math.isclose(axis["scale"] * factor, size, rel_tol=1e-6)
    return {"units": own, "scale": axis["scale"] if same else tidy(size / factor)}
