"""Applying tables to blocks: keys looked up, units changed, what is no measurement dropped, evidence noted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from diadem.extract.assertions import Leaf, Value, clean, number_of
from diadem.extract.axes import tidy
from diadem.extract.extraction import issue
from diadem.hooks.fields import Block, Derived, Found, Rule, Table, look_up
from diadem.hooks.units import convert
from diadem.terms import fields


@dataclass(slots=True)
class Applied:
    """What tables made of one block: values, and issues for numbers that cannot be."""

    values: list[Value] = field(default_factory=list)
    issues: list[dict[str, Any]] = field(default_factory=list)


def apply(table: Table, block: Block, name: str) -> Applied:
    """Apply a table to a block.

    Parameters
    ----------
    table : sequence of Rule and Derived
        In the order of preference where two give the same field.
    block : Block
        What to look into.
    name : str
        Of the table, for the evidence: ``velox``.

    Returns
    -------
    Applied
        A value that its field cannot hold is an issue, unless it is zero or empty: then nobody measured.
    """
    applied = Applied()
    for rule in table:
        for found in _found(rule, block):
            if not fields.is_field(found.field):
                message = f"the table '{name}' names a field that does not exist: {found.field}"
                applied.issues.append(issue("plugin-fault", message))
                continue
            _admit(found, rule, block, name, applied)
    return applied


def _found(rule: Rule | Derived, block: Block) -> Iterable[Found]:
    """What one rule finds; its own exceptions give nothing."""
    try:
        return list(rule.read(block.tree)) if isinstance(rule, Derived) else list(_stated(rule, block))
    except Exception:  # a table meets values that its author has not seen; the block is kept whole beside it
        return []


def _stated(rule: Rule, block: Block) -> Iterator[Found]:
    raw = look_up(block.tree, rule.key)
    if raw is None or raw in rule.drop or (rule.when is not None and not rule.when(block.tree)):
        return
    unit = rule.unit
    if rule.unit_key and (written := look_up(block.tree, rule.unit_key)) is not None:
        unit = str(written)
    value = rule.read(raw) if rule.read is not None else raw
    if value is not None and value not in rule.drop:
        yield Found(rule.field, value, rule.key, raw, unit)


def _admit(found: Found, rule: Rule | Derived, block: Block, name: str, applied: Applied) -> None:
    """Bring a value into the form of its field, or say why it has none."""
    field = fields.field(found.field)
    wanted = field.unit
    value: Any
    status = found.status
    if wanted:
        number = number_of(found.value)
        converted = None if number is None else convert(number, found.unit or "1", wanted)
        if converted is None:
            return
        value = tidy(converted)
        if field.type == "integer" and value == int(value):
            value = int(value)
        status = status or ("stated" if number_of(found.raw) == value else "converted")
    else:
        value = clean(found.value) if isinstance(found.value, str) else found.value
        status = status or "stated"
    locator = f"{block.place}/{found.key}" if block.place else found.key
    if not field.admits(value):
        if value not in (0, "", []):
            message = f"{locator} says {found.raw!r} {found.unit}".rstrip()
            applied.issues.append(issue("implausible", f"{message}; that is no {field.label.lower()}"))
        return
    said = found.unit if wanted and wanted != "1" else ""
    leaf = Leaf(value, locator, found.raw)
    kind = rule.name if isinstance(rule, Derived) else found.field
    value_of = Value(found.field, value, status, leaf, wanted, said or None, f"{name}/{kind}", found.offset_status)
    applied.values.append(replace(value_of, file=block.file))


def for_signals(block: Block, names: Sequence[str]) -> tuple[str, ...]:
    """Ids of the signals that a block describes; empty for the whole dataset."""
    return tuple(names[number] for number in block.signals if 0 <= number < len(names))
