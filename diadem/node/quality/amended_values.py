"""A new value for a field as people write it: ``300 kV``, ``Zn, O``, ``S-12``. Pure."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from typing import Any

from diadem.catalogue import vocabulary
from diadem.catalogue.quantities import Unreadable, in_unit, split
from diadem.errors import UsageError
from diadem.model.amendments import Change
from diadem.model.effective import DATES, OF_SESSION, TITLE
from diadem.terms import fields
from diadem.terms.fields import Field, require_known


def changes_of(values: Mapping[str, Any], dataset: str) -> tuple[Change, ...]:
    """What is to be stated of fields, judged by the schema.

    Parameters
    ----------
    values : mapping of str to Any
        By field: a number in the field's unit, a text with a number and its unit, a text, a list; None withdraws.
    dataset : str
        Id of a dataset; "" for all of them and the session.

    Raises
    ------
    UnknownField
        There is no such field.
    UsageError
        The field cannot hold the value; says what it can hold.
    """
    if not values:
        raise UsageError("there is nothing to correct", next='Example: {"sample.identifier": "S-12"}')
    return tuple(change for field, value in values.items() for change in _changes(field, value, dataset))


def _changes(field: str, value: Any, dataset: str) -> tuple[Change, ...]:
    """The change of a field; of a session's date that is a span of days, ``2016-08-08/2019-01-02``, two."""
    first, divided, last = value.partition("/") if isinstance(value, str) else ("", "", "")
    if field not in (DATES[0], "date") or not divided:
        return (change_of(field, value, dataset),)
    days = change_of(DATES[0], first, dataset), change_of(DATES[1], last, dataset)
    if days[1].value < days[0].value:
        raise UsageError(f"the session would end before it begins: {value}", where=DATES[0])
    return days


def change_of(field: str, value: Any, dataset: str = "") -> Change:
    """The change of one field; see `changes_of`."""
    if field in (TITLE, "title"):
        return _title(value, dataset)
    if field in (*DATES, "date"):
        return _date("session.date" if field == "date" else field, value, dataset)
    short = vocabulary.find(field)  # voltage, dwell: as in a search, where that is one field
    field = short.of[0] if short is not None and len(short.of) == 1 and fields.is_field(short.of[0]) else field
    require_known(field, fields.field_keys() | OF_SESSION)
    if value is None:
        return Change(field, dataset, None)
    known = fields.field(field)
    found = _read(known, value)
    if not _fits(known, found):
        raise UsageError(f"{field} cannot be {value!r}", where=field, next=known.rule or None)
    return Change(field, dataset, found, known.unit)


def _fits(field: Field, value: Any) -> bool:
    try:
        return field.admits(value)
    except (TypeError, ValueError):  # nothing that JSON has
        return False


def _title(value: Any, dataset: str) -> Change:
    if dataset:
        raise UsageError("the title is the session's, not a dataset's", where=TITLE)
    if not isinstance(value, str) or not value.strip():
        raise UsageError("the title of a session is a text that is not empty", where=TITLE)
    return Change(TITLE, "", value.strip())


def _date(field: str, value: Any, dataset: str) -> Change:
    if dataset:
        raise UsageError("the date is the session's, not a dataset's", where=field, next="Leave the dataset out.")
    if value is None:
        return Change(field, "", None)
    try:
        return Change(field, "", datetime.date.fromisoformat(str(value).strip()).isoformat())
    except ValueError:
        raise UsageError(
            f"{field} cannot be {value!r}",
            where=field,
            next="Write year, month and day: 2026-03-14; or two days: 2026-03-14/2026-03-16",
        ) from None


def _read(field: Field, value: Any) -> Any:
    if field.type == "elements":
        if isinstance(value, str):
            return [part.strip() for part in value.split(",") if part.strip()]
        return list(value) if isinstance(value, tuple) else value
    if not field.unit:
        return value.strip() if isinstance(value, str) else value
    number = _number(field, value)
    return int(number) if field.type == "integer" and number.is_integer() else number


def _number(field: Field, value: Any) -> float:
    """A number in the field's unit."""
    if isinstance(value, str):
        try:
            number, written = split(value)
            return in_unit(number, written, field.unit)
        except Unreadable as error:
            raise UsageError(f"{field.key}: {error.why}", where=field.key, next=error.instead) from None
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        said = f" in {field.unit}" if field.unit != "1" else ""
        raise UsageError(f"{field.key} is a number{said}, not {value!r}", where=field.key)
    return number
