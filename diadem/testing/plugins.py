"""The conformance kit for plugins: one call that tries what DIADEM, and hard times, will do to a plugin."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from diadem import api
from diadem.extract.pool import Extractor, Offered
from diadem.hooks.offers import CheckOffer, FieldsOffer, PreviewOffer
from diadem.serialization.extensions import ExtensionSchemas
from diadem.testing.plugin_alone import read_alone
from diadem.testing.plugin_copies import Example, prepare
from diadem.testing.plugin_offers import examine_offers
from diadem.testing.plugin_reading import archive, read_elsewhere, read_spoiled, read_whole
from diadem.testing.plugin_report import Notes, PluginReport

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


def check_plugin(
    plugin: str,
    examples: Sequence[str | os.PathLike[str]] = (),
    *,
    seconds: float = 20.0,
    strict: bool = True,
    only: Collection[str] = (),
) -> PluginReport:
    """Check a plugin and how it reads example files.

    Without examples: that it loads, that every function that it names can be imported and called, that tables name
    fields that exist, with units that can be converted and with evidence, and that schemas can be used.

    With each example: that it is recognised and read without complaint; that what the plugin promises is in the record;
    that no rule of its tables raises, and which rules found nothing in any example (perhaps a misspelt key);
    that a renamed, touched copy says the same; that the reader writes nothing, uses no network, leaves no file open,
    and says the same in another time zone and locale; that some thirty spoiled copies neither hang nor kill it, and
    that incomplete ones are noticed; and that a package gives back what was read.

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

    Returns
    -------
    PluginReport
        What was found, and how much was checked; ``print(report)`` shows both.

    Raises
    ------
    PluginFault
        An `AssertionError` that lists every finding, where there are errors and `strict` is true.
    """
    notes = Notes()
    with _loaded(plugin, notes) as (offers, found):
        if found:
            mine = offers.made_by(found)
            examine_offers(mine, offers, ExtensionSchemas(offers.schema_table), notes)
            _try_examples([Path(path) for path in examples], mine, offers, notes, seconds, frozenset(only))
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


def _try_examples(
    examples: Sequence[Path], mine: Offers, offers: Offers, notes: Notes, seconds: float, only: frozenset[str]
) -> None:
    """Try each example, and say where none was given or what no example has tried."""
    if not examples:
        advice = "Give check_plugin a small, honest file of each kind."
        notes.hint("no-examples", "examples", "without examples only the offers are checked", advice)
        return
    with tempfile.TemporaryDirectory(prefix="diadem-plugin-") as folder:
        place, read = Path(folder).resolve(), []
        with _extractor(offers, seconds) as extractor:
            for number, path in enumerate(examples):
                if found := _try(path, place / str(number), mine, offers, extractor, notes, only):
                    read.append((place / str(number), *found))
        for work, example, extraction in read:  # with the worker that has read them
            if not only or only & _ALONE:
                _archive(example, extraction, work, offers, notes, only)
    if only and not only & _ALONE:  # what its tables find is seen there
        return
    for offer in mine.of(FieldsOffer):
        for kind in set(offer.tables) - notes.kinds:
            notes.hint("table-untried", f"fields '{offer.name}'", f"no example has a block of the kind '{kind}'")
    _examine_outcomes({offer.name for offer in mine.of(FieldsOffer)}, notes)


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


def _try(
    path: Path,
    work: Path,
    mine: Offers,
    offers: Offers,
    extractor: Extractor,
    notes: Notes,
    only: frozenset[str],
) -> tuple[Example, Extraction] | None:
    """Have workers read an example, its renamed and its spoiled copies; None where it is not recognised."""
    example = prepare(path, work / "whole", offers.readers, notes)
    if example is None:
        return None
    notes.checked["examples"] += 1
    found = read_whole(example, mine, extractor, notes)
    if found.format in ("", "unknown"):
        return None
    if not only or only & _ELSEWHERE:
        read_elsewhere(example, found, work / "renamed", offers.readers, extractor, notes)
    if not only or only & _SPOILED:
        read_spoiled(example, found, mine, work / "spoiled", extractor, notes)
    return example, found


def _archive(
    example: Example, found: Extraction, work: Path, offers: Offers, notes: Notes, only: frozenset[str]
) -> None:
    """Run an example's reader alone, and through a package."""
    kinds = offers.of(FieldsOffer), offers.of(PreviewOffer), offers.of(CheckOffer)
    readers = {offer.name: offer for offer in offers.readers}
    offered = Offered(readers, *kinds, offers.foreign)
    signals = read_alone(example, found.format, offered, work / "scratch", notes)
    if only and not only & _PACKED:
        return
    if notes.sound(example.name):  # a reader that does what it should not is not called in this process
        archive(example, found, signals, work / "store", notes)
    else:
        notes.hint("not-archived", example.name, "it will be packed and loaded once its errors are corrected")


def _is_foreign(check: str, offers: Offers) -> bool:
    """Whether a check is of a plugin that is being tried: it runs whenever it is to run."""
    return ("checks", check) in offers.foreign


def _extractor(offers: Offers, seconds: float) -> Extractor:
    return Extractor(
        offers.readers,
        offers.of(FieldsOffer),
        previewers=offers.of(PreviewOffer),
        checks=[check for check in offers.of(CheckOffer) if check.when == "extract" or _is_foreign(check.name, offers)],
        schemas=offers.schema_table,
        origins=offers.foreign,
        timeout=seconds,
        lasting=os.name != "nt",
    )
