"""The conformance kit for plugins: one call that tries what DIADEM, and hard times, will do to a plugin."""

from __future__ import annotations

import contextlib
import inspect
import os
import re
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diadem import api
from diadem.errors import PluginError
from diadem.extract.pool import Extractor, Offered
from diadem.hooks.fields import Derived, Rule
from diadem.hooks.inventory import lies
from diadem.hooks.offers import CarrierOffer, CheckOffer, ExporterOffer, FieldsOffer, PreviewOffer, SchemaOffer, target
from diadem.hooks.tables import near, table, unit_fault
from diadem.serialization.extensions import ExtensionSchemas
from diadem.terms import fields
from diadem.testing.exporters import examine_options, try_exporters
from diadem.testing.plugin_examples import Example, archive, prepare, read_elsewhere, read_spoiled, read_whole
from diadem.testing.plugin_report import Notes, PluginReport
from diadem.testing.trial import read_alone

if TYPE_CHECKING:
    from diadem.extract.extraction import Extraction
    from diadem.hooks.manager import Offers, Plugin

#: What only a second and a renamed look, spoiled copies, processes of its own or a package find: each takes long.
_ELSEWHERE = frozenset({"unsteady", "names-fixed", "name-or-time"})
_SPOILED = frozenset({"crash", "hang", "memory", "form", "incomplete-unseen", "not-all-tried"})
_PACKED = frozenset({"load", "package", "not-archived"})
_ALONE = _PACKED | {
    "zone-or-locale", "reader-failed", "not-alone", "left-open", "axis-unit", "table-untried", "rule-raised",
    "rule-untried",
}  # fmt: skip

_EXPORTED = frozenset({
    "export-failed", "export-refused", "export-unsteady", "export-options", "export-damage", "export-left",
    "export-silent", "export-stop",
})  # fmt: skip


def check_plugin(
    plugin: str,
    examples: Sequence[str | os.PathLike[str]] = (),
    *,
    seconds: float = 20.0,
    strict: bool = True,
    only: Collection[str] = (),
    options: Mapping[str, Any] | None = None,
) -> PluginReport:
    """Check a plugin and how it reads example files.

    Without examples: that it loads, that every function that it names can be imported and called, that tables name
    fields that exist, with units that can be converted and with evidence, and that schemas can be used.

    With each example: that it is recognised and read without complaint; that what the plugin promises is in the record;
    that no rule of its tables raises, and which rules found nothing in any example (perhaps a misspelt key);
    that a renamed, touched copy says the same; that the reader writes nothing, uses no network, leaves no file open,
    and says the same in another time zone and locale; that some thirty spoiled copies neither hang nor kill it, and
    that incomplete ones are noticed; and that a package gives back what was read.

    With examples its exporters are tried on a package of them, those to services excepted: that the same comes of the
    same, that wrong options are refused, that a damaged file and Ctrl-C leave nothing half-written.

    Parameters
    ----------
    plugin : str
        Name of its distribution, of its entry point, or of its module, which need not be installed.
    examples : sequence of path
        Primary files of small, real datasets, with their other files beside them. They are copied, never changed.
    seconds : float
        Time that reading an example, or a spoiled copy, may take before it counts as a hang.
    strict : bool
        Whether errors are raised.
    only : collection of str
        Codes of the findings that are looked for, as while one fault is mended: what takes long and finds none of them
        is left out. All are looked for where none is given.
    options : mapping, optional
        What its exporters are told, each the options that it has: what a person would give.

    Returns
    -------
    PluginReport
        What was found, and how much was checked; ``print(report)`` shows both.

    Raises
    ------
    PluginFault
        An `AssertionError` that lists every finding, where there are errors and `strict` is true.
    """
    notes = Notes(frozenset(only))
    with _loaded(plugin, notes) as (offers, found):
        if found:
            mine = offers.made_by(found)
            _examine_offers(mine, offers, notes)
            if examples:
                paths = [Path(path) for path in examples]
                if any(mine.by_kind[kind] for kind in mine.by_kind if kind != "exporters"):
                    _try_examples(paths, mine, offers, notes, seconds)
                if (exporters := mine.of(ExporterOffer)) and notes.wants(_EXPORTED):
                    _try_exporters(paths, exporters, offers, notes, options or {})
            else:
                advice = "Give check_plugin a small, honest file of each kind."
                notes.hint("no-examples", "examples", "without examples only the offers are checked", advice)
    report = notes.report(plugin)
    if strict:
        report.raise_for_findings()
    return report


@contextmanager
def _loaded(plugin: str, notes: Notes) -> Iterator[tuple[Offers, list[Plugin]]]:
    """The plugin among all others, loaded from its module where it is not installed."""
    with api.trying() as offers:
        found = [item for item in offers.plugins if _is_meant(item, plugin)]
        if found:
            _note_failures(found, offers, notes)
            yield offers, found
            return
    with api.trying(plugin) as offers:
        found = [item for item in offers.plugins if item.module == plugin]
        _note_failures(found, offers, notes)
        advice = "Add it to [project.entry-points.diadem] in pyproject.toml, and install the distribution."
        notes.hint("not-installed", plugin, "no installed distribution names it as a plugin", advice)
        yield offers, found


def _is_meant(item: Plugin, name: str) -> bool:
    names = {item.name, item.module, *([] if item.bundled else [item.distribution])}
    return _normal(name) in {_normal(known) for known in names}


def _normal(name: str) -> str:
    return re.sub(r"[-_]+", "-", name).lower()


def _note_failures(found: Sequence[Plugin], offers: Offers, notes: Notes) -> None:
    names = {item.name for item in found}
    for failure in offers.failures:
        if failure.where in names:
            notes.error("plugin-failed", str(failure.where), failure.message)


# -- its offers -------------------------------------------------------------------------------------------------------


def _examine_offers(mine: Offers, offers: Offers, notes: Notes) -> None:
    """What can be said of offers without reading a file: targets, tables, schemas, names."""
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
    for namespace, version, reason in ExtensionSchemas(offers.schema_table).broken():
        if any(offer.namespace == namespace for offer in mine.of(SchemaOffer)):
            notes.error("schema-unusable", f"schema {namespace} {version}", reason)
    for schema in mine.of(SchemaOffer):
        for version, document in schema.versions.items():
            if "$id" not in document:
                advice = "Give it an address of your own; nothing needs to be there."
                notes.hint("schema-unnamed", f"schema {schema.namespace} {version}", "it has no $id", advice)
    examine_options(mine.of(ExporterOffer), notes)
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
    for exporter in mine.of(ExporterOffer):
        yield f"exporter '{exporter.name}': export", exporter.export, ((None, None), dict.fromkeys(exporter.options))


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


# -- its examples -----------------------------------------------------------------------------------------------------


def _try_examples(examples: Sequence[Path], mine: Offers, offers: Offers, notes: Notes, seconds: float) -> None:
    """Try each example, and say what no example has tried."""
    foreign = {name for kind, name in offers.foreign if kind == "checks"}  # being tried, they run whenever they are to
    extractor = Extractor(
        offers.readers,
        offers.of(FieldsOffer),
        previewers=offers.of(PreviewOffer),
        checks=[check for check in offers.of(CheckOffer) if check.when == "extract" or check.name in foreign],
        schemas=offers.schema_table,
        origins=offers.foreign,
        timeout=seconds,
        lasting=os.name != "nt",
    )
    with tempfile.TemporaryDirectory(prefix="diadem-plugin-") as folder:
        read: list[tuple[Path, Example, Extraction]] = []
        with extractor:
            for number, path in enumerate(examples):
                work = Path(folder).resolve() / str(number)
                example = prepare(path, work / "whole", offers.readers, notes)
                if example is None:
                    continue
                notes.checked["examples"] += 1
                found = read_whole(example, mine, extractor, notes)
                if found.format in ("", "unknown"):
                    continue
                read.append((work, example, found))
                if notes.wants(_ELSEWHERE):
                    read_elsewhere(example, found, work / "renamed", offers.readers, extractor, notes)
                if notes.wants(_SPOILED):
                    read_spoiled(example, found, mine, work / "spoiled", extractor, notes)
        if not notes.wants(_ALONE):
            return
        kinds = offers.of(FieldsOffer), offers.of(PreviewOffer), offers.of(CheckOffer)
        offered = Offered({offer.name: offer for offer in offers.readers}, *kinds, offers.foreign)
        for work, example, found in read:  # with the worker that has read them
            signals = read_alone(example, found.format, offered, work / "scratch", notes)
            if not notes.wants(_PACKED):
                continue
            if notes.sound(example.name):  # a reader that does what it should not is not called in this process
                archive(example, found, signals, work / "store", notes)
            else:
                notes.hint("not-archived", example.name, "it will be packed and loaded once its errors are corrected")
    for offer in mine.of(FieldsOffer):
        for kind in set(offer.tables) - notes.kinds:
            notes.hint("table-untried", f"fields '{offer.name}'", f"no example has a block of the kind '{kind}'")
    _examine_outcomes({offer.name for offer in mine.of(FieldsOffer)}, notes)


def _try_exporters(
    examples: Sequence[Path],
    exporters: Sequence[ExporterOffer],
    offers: Offers,
    notes: Notes,
    options: Mapping[str, Any],
) -> None:
    with tempfile.TemporaryDirectory(prefix="diadem-plugin-", ignore_cleanup_errors=True) as folder:
        work = Path(folder).resolve()
        prepared = [prepare(path, work / f"e{number}", offers.readers, notes) for number, path in enumerate(examples)]
        if roots := [example.root for example in prepared if example is not None]:
            try_exporters(exporters, roots, work / "trial", notes, options)


def _examine_outcomes(tables: Collection[str], notes: Notes) -> None:
    """That no rule raises, and what each has found in some example."""
    rules: dict[tuple[str, str, str, str], dict[str, str]] = {}
    for outcome in notes.outcomes:
        if outcome["table"] in tables:
            told = (outcome["table"], outcome["block"], outcome["rule"], outcome["keys"])
            rules.setdefault(told, {}).setdefault(outcome["verdict"], outcome["why"])
    for (name, kind, rule, keys), verdicts in rules.items():
        where, at = f"table '{kind}' of '{name}', {rule}", f" at '{keys}'" if keys else ""
        if "raised" in verdicts:
            notes.error(
                "rule-raised", where, f"it raises{at}: {verdicts['raised']}", "Return None where there is no value."
            )
        elif "found" not in verdicts:
            why = f"what is there{at} is dropped: {verdicts['dropped']}" if "dropped" in verdicts else f"nothing is{at}"
            advice = "Is the key misspelt? Give an example that has it."
            notes.hint("rule-untried", where, f"it finds nothing in any example: {why}", advice)
