"""What can be said of a plugin's offers without reading a file: targets, tables, schemas, names."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from diadem.errors import PluginError
from diadem.hooks.fields import Derived, Rule
from diadem.hooks.inventory import lies
from diadem.hooks.offers import CarrierOffer, CheckOffer, FieldsOffer, PreviewOffer, SchemaOffer, target
from diadem.hooks.tables import near, table, unit_fault
from diadem.serialization.extensions import ExtensionSchemas
from diadem.terms import fields
from diadem.testing.plugin_report import Notes

if TYPE_CHECKING:
    from diadem.hooks.manager import Offers


def examine_offers(mine: Offers, offers: Offers, schemas: ExtensionSchemas, notes: Notes) -> None:
    """Look at every offer."""
    count = sum(map(len, mine.by_kind.values()))
    notes.checked["offers"] += count
    if not count:
        notes.error("nothing-offered", "plugin", "it offers nothing", "docs/plugins.md says what can be offered.")
    for name, lie in lies(offers):
        if name in {plugin.name for plugin in mine.plugins}:
            notes.error("untrue", name, lie)
    for where, dotted, arguments in _targets(mine):
        _examine_target(where, dotted, arguments, notes)
    for offer in mine.of(FieldsOffer):
        for kind, dotted in offer.tables.items():
            _examine_table(f"table '{kind}' of '{offer.name}'", dotted, notes)
    for namespace, version, reason in schemas.broken():
        if any(offer.namespace == namespace for offer in mine.of(SchemaOffer)):
            notes.error("schema-unusable", f"schema {namespace} {version}", reason)
    for schema in mine.of(SchemaOffer):
        for version, document in schema.versions.items():
            if "$id" not in document:
                advice = "Give it an address of your own; nothing needs to be there."
                notes.hint("schema-unnamed", f"schema {schema.namespace} {version}", "it has no $id", advice)
    _examine_suffixes(mine, offers, notes)


def _targets(mine: Offers) -> Iterator[tuple[str, str, tuple[tuple[Any, ...], dict[str, Any]]]]:
    """Every function, and how it will be called."""
    path, files = "path", ["path"]
    for reader in mine.readers:
        where = f"reader '{reader.name}'"
        if reader.open:
            yield f"{where}: open", reader.open, (({},), {})
        if reader.load:
            yield f"{where}: load", reader.load, ((path,), {"lazy": True, **reader.options})
        if reader.probe:
            yield f"{where}: probe", reader.probe, ((path,), {})
    for offer in mine.of(FieldsOffer):
        if ":" in offer.blocks:
            yield f"fields '{offer.name}': blocks", offer.blocks, ((path, files), {})
    for preview in mine.of(PreviewOffer):
        yield f"preview '{preview.name}': draw", preview.draw, ((path, files, []), {})
    for check in mine.of(CheckOffer):
        yield f"check '{check.name}': check", check.check, ((path, files, None), {})
    for carrier in mine.of(CarrierOffer):
        yield f"carrier '{carrier.scheme}': connect", carrier.connect, (("url",), {})


def _examine_target(where: str, dotted: str, arguments: tuple[tuple[Any, ...], dict[str, Any]], notes: Notes) -> None:
    notes.checked["functions"] += 1
    try:
        function = target(dotted)
    except Exception as error:  # whatever the module does
        notes.error("target-unusable", where, f"'{dotted}' cannot be imported: {type(error).__name__}: {error}")
        return
    if not callable(function):
        notes.error("target-unusable", where, f"'{dotted}' is not a function but {type(function).__name__}")
        return
    with contextlib.suppress(TypeError, ValueError):  # compiled code may have no signature
        signature = inspect.signature(function)
        try:
            signature.bind(*arguments[0], **arguments[1])
        except TypeError as error:
            told = f"'{dotted}' cannot be called the way DIADEM calls it: {error}; its parameters are {signature}"
            notes.error("target-unusable", where, told)


def _examine_table(where: str, dotted: str, notes: Notes) -> None:
    try:
        found: Any = table(dotted)
    except Exception as error:  # whatever the module does, or a fault in its TOML
        message = error.message if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
        notes.error("target-unusable", where, f"'{dotted}' cannot be used: {message}")
        return
    if not isinstance(found, Sequence) or isinstance(found, str):
        notes.error("table-rule", where, f"'{dotted}' is not a sequence of Rule and Derived but {type(found).__name__}")
        return
    notes.checked["rules"] += len(found)
    for place, rule in enumerate(found) if "/" not in dotted else ():  # one in a `formats.toml` is judged by `lies`
        if not isinstance(rule, Rule | Derived):
            notes.error("table-rule", where, f"item {place} is neither Rule nor Derived but {type(rule).__name__}")
            continue
        at = f"{where}, rule {place} ({rule.name})"
        if not rule.cite.strip():
            advice = "Say in `cite` what proves meaning and unit: a specification, or a file and an independent check."
            notes.error("table-cite", at, "nothing says how it is known", advice)
        if isinstance(rule, Derived):
            continue
        if not fields.is_field(rule.field):
            advice = f"docs/fields.md lists them{near(rule.field, fields.field_keys())}"
            notes.error("table-field", at, "the record has no such field; use an extension", advice)
        elif fault := unit_fault(rule.field, rule.unit, elsewhere=bool(rule.unit_key)):
            notes.error("table-unit", at, fault)
        if not rule.key:
            notes.error("table-rule", at, "the key is empty")


def _examine_suffixes(mine: Offers, offers: Offers, notes: Notes) -> None:
    """That suffixes which others have, too, can be told apart."""
    others = [reader for reader in offers.readers if reader not in mine.readers]
    for reader in mine.readers:
        shared = {suffix: other.name for other in others for suffix in set(other.suffixes) & set(reader.suffixes)}
        if shared and not reader.magic and not reader.probe:
            named = ", ".join(f"{suffix} ({name})" for suffix, name in sorted(shared.items()))
            advice = "Give it a magic number or a probe, so that neither takes the other's files."
            notes.hint("suffix-shared", f"reader '{reader.name}'", f"others read the same suffixes: {named}", advice)
