"""What can be said of a plugin's offers without reading a file: targets, tables, schemas, names."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from diadem.errors import PluginError
from diadem.hooks.fields import IN_TEXT, Derived, Rule
from diadem.hooks.offers import CheckOffer, FieldsOffer, PreviewOffer, ReaderOffer, SchemaOffer, TransportOffer
from diadem.hooks.tables import table
from diadem.hooks.targets import target
from diadem.serialization.extensions import ExtensionSchemas
from diadem.terms import fields
from diadem.terms.units import convert
from diadem.testing.plugin_report import Notes


@dataclass(frozen=True, slots=True)
class Mine:
    """The offers of the plugin that is looked at, and names and suffixes that others have."""

    readers: Sequence[ReaderOffer]
    fields: Sequence[FieldsOffer]
    schemas: Sequence[SchemaOffer]
    previews: Sequence[PreviewOffer]
    checks: Sequence[CheckOffer]
    transports: Sequence[TransportOffer]
    others: Sequence[ReaderOffer]

    @property
    def formats(self) -> frozenset[str]:
        """Names of the plugin's own formats."""
        return frozenset(reader.name for reader in self.readers)

    @property
    def count(self) -> int:
        """Offers in all."""
        return sum(map(len, (self.readers, self.fields, self.schemas, self.previews, self.checks, self.transports)))


def examine_offers(mine: Mine, schemas: ExtensionSchemas, notes: Notes) -> None:
    """Look at every offer.

    Parameters
    ----------
    mine : Mine
        What the plugin offers.
    schemas : ExtensionSchemas
        All schemas at hand.
    notes : Notes
        Takes what is found.
    """
    notes.checked["offers"] += mine.count
    if not mine.count:
        notes.error("nothing-offered", "hooks", "the plugin offers nothing", "See docs/plugins.md for the hooks.")
    for where, dotted, arguments in _targets(mine):
        _examine_target(where, dotted, arguments, notes)
    for offer in mine.fields:
        for kind, dotted in offer.tables.items():
            _examine_table(f"table '{kind}' of '{offer.name}'", dotted, notes)
    for namespace, version, reason in schemas.broken():
        if any(offer.namespace == namespace for offer in mine.schemas):
            notes.error("schema-unusable", f"schema {namespace} {version}", reason)
    for schema in mine.schemas:
        for version, document in schema.versions.items():
            if "$id" not in document:
                advice = "Give it an address of yours; nothing needs to be there."
                notes.hint("schema-unnamed", f"schema {schema.namespace} {version}", "it has no $id", advice)
    _examine_formats(mine, notes)


def _targets(mine: Mine) -> Iterator[tuple[str, str, tuple[tuple[Any, ...], dict[str, Any]]]]:
    """Every function, and how it will be called."""
    path, files = "path", ["path"]
    for reader in mine.readers:
        where = f"reader '{reader.name}'"
        if reader.open:
            yield f"{where}: open", reader.open, (({},), {})
        if reader.load:
            yield f"{where}: load", reader.load, ((path,), {"lazy": True, **reader.options})
        for name in ("probe", "describe"):
            if dotted := getattr(reader, name):
                yield f"{where}: {name}", dotted, ((path,), {})
        if reader.layout:
            yield f"{where}: layout", reader.layout, (({}, path), {})
    for offer in mine.fields:
        if ":" in offer.blocks:
            yield f"fields '{offer.name}': blocks", offer.blocks, ((path, files), {})
    for preview in mine.previews:
        yield f"preview '{preview.name}': draw", preview.draw, ((path, files, []), {})
    for check in mine.checks:
        yield f"check '{check.name}': check", check.check, ((path, files, None), {})
    for transport in mine.transports:
        yield f"transport '{transport.scheme}': connect", transport.connect, (("url",), {})


def _examine_target(where: str, dotted: str, arguments: tuple[tuple[Any, ...], dict[str, Any]], notes: Notes) -> None:
    notes.checked["functions"] += 1
    function = _imported(where, dotted, notes)
    if function is None:
        return
    if not callable(function):
        notes.error("target-unusable", where, f"'{dotted}' is no function but {type(function).__name__}")
        return
    fault = _call_fault(function, *arguments)
    if fault:
        notes.error("target-unusable", where, f"'{dotted}' cannot be called as it will be: {fault}")


def _call_fault(function: Callable[..., Any], positional: tuple[Any, ...], named: dict[str, Any]) -> str:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # compiled code may have none
        return ""
    try:
        signature.bind(*positional, **named)
    except TypeError as error:
        return f"{error}; its parameters are {signature}"
    return ""


def _imported(where: str, dotted: str, notes: Notes) -> Any:
    try:
        return target(dotted)
    except Exception as error:  # whatever the module does
        notes.error("target-unusable", where, f"'{dotted}' cannot be imported: {type(error).__name__}: {error}")
        return None


def _examine_table(where: str, dotted: str, notes: Notes) -> None:
    try:
        found: Any = table(dotted)
    except Exception as error:  # whatever the module does, or a fault in its TOML
        message = error.message if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
        notes.error("target-unusable", where, f"'{dotted}' cannot be used: {message}")
        return
    if not isinstance(found, Sequence) or isinstance(found, str):
        notes.error("table-rule", where, f"'{dotted}' is no sequence of Rule and Derived but {type(found).__name__}")
        return
    for place, rule in enumerate(found):
        notes.checked["rules"] += 1
        if isinstance(rule, Rule):
            _examine_rule(f"{where}, rule {place} ({rule.field})", rule, notes)
        elif isinstance(rule, Derived):
            if "." in rule.name:  # a statement of one field, in a form of several keys
                _examine_field(f"{where}, rule {place} ({rule.name})", rule.name, notes)
        else:
            notes.error("table-rule", where, f"item {place} is neither Rule nor Derived but {type(rule).__name__}")
        if isinstance(rule, Rule | Derived) and not rule.cite.strip():
            name = rule.field if isinstance(rule, Rule) else rule.name
            advice = "Say in `cite` what proves meaning and unit: a specification, or a file and an independent check."
            notes.error("table-cite", f"{where}, rule {place} ({name})", "nothing says how it is known", advice)


def _examine_field(where: str, key: str, notes: Notes) -> bool:
    """Whether there is such a field."""
    if fields.is_field(key):
        return True
    near = fields.close_matches(key, sorted(fields.field_keys()))
    advice = f"Did you mean {' or '.join(near[:3])}?" if near else "docs/plugins.md says where the fields are listed."
    notes.error("table-field", where, "the record has no such field; use an extension", advice)
    return False


def _examine_rule(where: str, rule: Rule, notes: Notes) -> None:
    if not _examine_field(where, rule.field, notes):
        return
    wanted = fields.field(rule.field).unit
    if not wanted and rule.unit:
        notes.error("table-unit", where, f"the field has no unit, and the rule says '{rule.unit}'")
    elif wanted and rule.unit != IN_TEXT and not rule.unit_key and convert(1.0, rule.unit or "1", wanted) is None:
        said = f"'{rule.unit}'" if rule.unit else "no unit"
        notes.error("table-unit", where, f"the rule says {said}, which is nothing in the field's unit, {wanted}")
    if not rule.key:
        notes.error("table-rule", where, "the key is empty")


def _examine_formats(mine: Mine, notes: Notes) -> None:
    """That what is for a format is for one that exists, and that suffixes can be told apart."""
    known = mine.formats | {reader.name for reader in mine.others} | {"*"}
    offers: list[tuple[str, FieldsOffer | PreviewOffer | CheckOffer]] = [
        *((f"fields '{offer.name}'", offer) for offer in mine.fields),
        *((f"preview '{offer.name}'", offer) for offer in mine.previews),
        *((f"check '{offer.name}'", offer) for offer in mine.checks),
    ]
    for where, offer in offers:
        for missing in set(offer.formats) - known:
            near = fields.close_matches(missing, sorted(known))
            advice = f"Did you mean {' or '.join(near[:3])}?" if near else "`diadem plugins` lists them."
            notes.error("unknown-format", where, f"no reader offers the format '{missing}'", advice)
    for reader in mine.readers:
        shared = {suffix: other.name for other in mine.others for suffix in set(other.suffixes) & set(reader.suffixes)}
        if shared and not reader.magic and not reader.probe:
            named = ", ".join(f"{suffix} ({name})" for suffix, name in sorted(shared.items()))
            advice = "Give it a magic number or a probe, so that neither takes the other's files."
            notes.hint("suffix-shared", f"reader '{reader.name}'", f"others read the same suffixes: {named}", advice)
