"""Applying tables to blocks: keys looked up, units changed, what is no measurement dropped, evidence noted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from diadem.extract.assertions import Leaf, Value, clean, number_of
from diadem.extract.axes import tidy
from diadem.extract.extraction import issue
from diadem.hooks.fields import AMBIGUOUS, Block, Derived, Dropped, Found, Rule, Table, stated
from diadem.terms import fields
from diadem.terms.units import convert


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one rule.

    Attributes
    ----------
    rule : str
        The field, or the name of a rule that finds several.
    keys : str
        Where it looks.
    verdict : str
        ``found``, ``nothing there``, ``dropped`` or ``raised``.
    why : str
        What was found, or why not.
    """

    rule: str
    keys: str
    verdict: str
    why: str = ""


#: Programs, which some write where the operator is to stand; a maker's bare name may be a login.
_PROGRAMS = re.compile(
    r"(bruker (nano|axs)|edax (team|genesis)|oxford instruments|thermo (fisher|electron|noran)|noran system|hyperspy"
    r"|digitalmicrograph|esprit|aztec)\b.*",
    re.IGNORECASE,
)


def _is_placeholder(field_: str, value: Any, block: Block) -> bool:
    """Whether a program has written what stands there, because nobody measured or said anything.

    A magnification of exactly 1 is that of a column that reports none; one that is the resolution for printing is dots
    in an inch.
    """
    if field_ == "optics.magnification":
        return bool(value in (1, block.tree.get("XResolution")))
    return field_ == "person.operator" and _PROGRAMS.fullmatch(str(value).strip()) is not None


@dataclass(slots=True)
class Applied:
    """What tables made of one block: values, issues for numbers that cannot be, and what became of each rule."""

    values: list[Value] = field(default_factory=list)
    issues: list[dict[str, Any]] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)


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
        applied.outcomes.append(_outcome(rule, block, name, applied))
    return applied


def _outcome(rule: Rule | Derived, block: Block, name: str, applied: Applied) -> Outcome:
    """Apply one rule; its own exceptions give nothing, and are told to who asks."""
    of = rule.field if isinstance(rule, Rule) else rule.name
    keys = rule.key if isinstance(rule, Rule) else " + ".join(rule.keys)
    before = len(applied.values)
    try:
        found = list(stated(rule, block.tree) if isinstance(rule, Rule) else rule.read(block.tree))
        dropped = list(filter(None, (_admit(one, f"{name}/{of}", block, applied) for one in found)))
    except Dropped as why:
        return Outcome(of, keys, "dropped", str(why))
    except Exception as error:  # a table meets values that its author has not seen; the block is kept whole beside it
        del applied.values[before:]
        return Outcome(of, keys, "raised", f"{type(error).__name__}: {error}")
    if not found:
        return Outcome(of, keys, "nothing there")
    taken = [f"{one.field} = {one.value} {one.unit.strip('1')}".rstrip() for one in applied.values[before:]]
    return Outcome(of, keys, "found" if taken else "dropped", "; ".join([*taken, *dropped]))


def _admit(found: Found, rule: str, block: Block, applied: Applied) -> str:
    """Bring a value into the form of its field; in words why it has none, or ""."""
    if not fields.is_field(found.field):
        table = rule.partition("/")[0]
        message = f"the table '{table}' names a field that does not exist: {found.field}"
        applied.issues.append(issue("plugin-fault", message))
        return message
    if found.status == AMBIGUOUS:
        message = f"{found.key} says {found.raw!r}, which can be {found.value}; nothing in the file decides"
        applied.issues.append(issue("ambiguous-date", message, severity="info"))
        return message
    field = fields.field(found.field)
    wanted = field.unit
    value: Any
    status = found.status
    if wanted:
        number = number_of(found.value)
        converted = None if number is None else convert(number, found.unit or "1", wanted)
        if converted is None:
            return f"{found.value!r} {found.unit}".rstrip() + f" is nothing in {wanted}"
        value = tidy(converted)
        if field.type == "integer" and value == int(value):
            value = int(value)
        status = status or ("stated" if number_of(found.raw) == value else "converted")
    else:
        value = _text_of(found.value) if field.type == "text" else found.value
        value = clean(value) if isinstance(value, str) else value
        status = status or "stated"
    locator = f"{block.place}/{found.key}" if block.place else found.key
    if not field.admits(value):
        message = f"{locator} says {found.raw!r} {found.unit}".rstrip()
        message = f"{message}; that is no {field.label.lower()}"
        if value not in (0, "", []):
            applied.issues.append(issue("implausible", message))
        return message
    if _is_placeholder(found.field, value, block):
        return f"{locator} says {found.raw!r}, which programs write where nothing was said"
    said = found.unit if wanted and wanted != "1" else ""
    leaf = Leaf(value, locator, found.raw)
    value_of = Value(found.field, value, status, leaf, wanted, said or None, rule, found.offset_status)
    applied.values.append(replace(value_of, file=block.file))
    return ""


def _text_of(value: Any) -> Any:
    """A number as text, where a text is meant: readers make numbers of what looks like one. Zero says nothing."""
    plain = value.item() if getattr(value, "ndim", None) == 0 else value  # a scalar of NumPy
    if isinstance(plain, bool) or not isinstance(plain, int | float) or not plain:
        return plain
    return str(int(plain)) if plain == int(plain) else str(plain)


def for_signals(block: Block, names: Sequence[str]) -> tuple[str, ...]:
    """Ids of the signals that a block describes; empty for the whole dataset."""
    return tuple(names[number] for number in block.signals if 0 <= number < len(names))
