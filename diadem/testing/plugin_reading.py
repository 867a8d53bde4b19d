"""A plugin's examples in the worker: read as promised, alike under another name, harmless when spoiled."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diadem import api
from diadem.archive.package import Package
from diadem.errors import DiademError, line_of
from diadem.extract.extraction import Extraction
from diadem.extract.pool import Extractor
from diadem.extract.survey import DatasetPlan
from diadem.hooks.offers import CheckOffer, FieldsOffer, PreviewOffer, ReaderOffer, SchemaOffer
from diadem.serialization.validation import require_admissible, validate_record
from diadem.testing.plugin_copies import Example, renamed, spoiled_copies
from diadem.testing.plugin_report import Notes
from diadem.testing.trial import digest

if TYPE_CHECKING:
    from diadem.hooks.manager import Offers

#: Seconds beyond which a small example is read slowly.
_SLOW = 10.0
#: What must not become of a worker.
_DEATHS = frozenset({"reader-crashed", "reader-timeout", "memory-limit", "plugin-stopped", "worker-lost"})
#: Spoiled copies that may end a worker before no more are tried.
_MOST_DEATHS = 3
#: Issues that are the plugin's own fault, however small.
_OWN_FAULTS = frozenset({"check-failed", "preview-refused", "extension-unjudged"})


def read_whole(example: Example, mine: Offers, extractor: Extractor, notes: Notes) -> Extraction:
    """Read an example as it is: recognised, without complaint, with fields, extensions and picture as promised."""
    started = time.monotonic()
    found = extractor.extract(example.plan, example.root)
    if (seconds := time.monotonic() - started) > _SLOW:
        notes.hint("slow", example.name, f"reading it took {seconds:.0f} s, a worker's start included")
    _recognised(example, found, mine, notes)
    for issue in found.issues:
        own = any(str(issue["code"]).startswith(f"{check.name}-") for check in mine.of(CheckOffer))
        mild = own or (issue.get("severity") == "info" and issue["code"] not in _OWN_FAULTS)
        note = notes.hint if mild else notes.error
        note("example-issue", example.name, f"{issue['code']}: {issue['message']}")
    if not found.signals:
        notes.error("no-signal", example.name, "the reader found no signal")
    _promised(example, found, mine, notes)
    try:
        require_admissible(dataset_of(example.plan, found))
    except DiademError as error:
        notes.error("record", example.name, f"the record would refuse it: {error.line}")
    return found


def _recognised(example: Example, found: Extraction, mine: Offers, notes: Notes) -> None:
    """That it is read by whom it should be, for the reasons that the offer names."""
    offers = {offer.name: offer for offer in mine.readers}
    fields, previews, checks = mine.of(FieldsOffer), mine.of(PreviewOffer), mine.of(CheckOffer)
    formats = [*(one.formats for one in fields), *(one.formats for one in previews), *(one.formats for one in checks)]
    wanted = {name for names in formats for name in names} | set(offers)
    if wanted and not {found.format, "*"} & wanted:
        expected = " or ".join(f"'{name}'" for name in sorted(wanted))
        notes.error("not-recognised", example.name, f"it is read as '{found.format}', not as {expected}")
    offer = offers.get(found.format)
    if offer is not None and offer.magic and "magic" not in found.evidence and example.path.is_file():
        notes.error("magic", example.name, "it begins with none of the magic numbers of the offer")


def _promised(example: Example, found: Extraction, mine: Offers, notes: Notes) -> None:
    """Fields, extensions and a picture, where the plugin offers them for the format."""
    asked = {found.format, "*"}
    rules = tuple(f"{offer.name}/" for offer in mine.of(FieldsOffer) if offer.tables and asked & set(offer.formats))
    stated = [item for items in found.fields.values() for item in items if item["by"]["rule"].startswith(rules)]
    notes.checked["fields"] += len(stated)
    if rules and not stated:
        notes.error("no-field", example.name, "the plugin's tables make no field of it")
    known = {offer.namespace for offer in mine.of(SchemaOffer)}
    for namespace, extension in found.extensions.items():
        notes.checked["extensions"] += 1
        if not extension["validated"]:
            note = notes.error if namespace in known else notes.hint
            message = f"no plugin offers a schema for version {extension['version']} of '{namespace}'"
            note("extension-unjudged", example.name, message)
    previews = [offer.name for offer in mine.of(PreviewOffer) if asked & set(offer.formats)]
    drawn = str(found.extraction.get("preview", ""))
    if previews and not any(drawn.startswith(f"drawn by {name} of") for name in previews):
        notes.error(
            "preview", example.name, f"the plugin's preview is not the one that is shown ({drawn or 'DIADEM’s'})"
        )


def read_elsewhere(
    example: Example,
    found: Extraction,
    root: Path,
    readers: Sequence[ReaderOffer],
    extractor: Extractor,
    notes: Notes,
) -> None:
    """That a second look, and a copy with another name, place and time, say the same as `found`."""
    again = extractor.extract(example.plan, example.root)
    if changed := difference(stated_by(found), stated_by(again)):
        notes.error("unsteady", example.name, f"read twice, it says different things: {changed}")
    other = renamed(example, root, readers)
    if other is None:
        advice = "Write the patterns of groups with {stem}."
        notes.hint("names-fixed", example.name, "a renamed copy is no longer a complete dataset", advice)
        return
    notes.checked["renamed copies"] += 1
    if changed := difference(stated_by(found), stated_by(extractor.extract(other.plan, other.root))):
        advice = "A record states what the file states: not its name, place or time."
        notes.error("name-or-time", example.name, f"a renamed copy says something else: {changed}", advice)


def read_spoiled(
    example: Example, found: Extraction, mine: Offers, root: Path, extractor: Extractor, notes: Notes
) -> None:
    """That no spoiled copy hangs or kills the worker, and that the plugin's reader notices what is incomplete."""
    shapes = [signal["shape"] for signal in found.signals]
    deaths = 0
    for copy in spoiled_copies(example, root):
        notes.checked["spoiled copies"] += 1
        read = extractor.extract(copy.example.plan, copy.example.root)
        where = f"{example.name}, {copy.what}"
        for issue in read.issues:
            if issue["code"] in _DEATHS:
                notes.error(_death(issue), where, issue["message"], "Check sizes and counts before you trust them.")
            elif "of no known form" in issue["message"]:
                notes.error("form", where, issue["message"])
        deaths += any(issue["code"] in _DEATHS for issue in read.issues)
        if deaths >= _MOST_DEATHS:
            notes.hint("not-all-tried", example.name, f"after {deaths} dead workers no more spoiled copies were tried")
            return
        if (
            copy.incomplete
            and found.format in {offer.name for offer in mine.readers}
            and read.signals
            and not read.issues
        ):
            same = [signal["shape"] for signal in read.signals] == shapes
            note = notes.error if same else notes.hint
            note("incomplete-unseen", where, "it is read without complaint, as if it were complete", "Raise an error.")


def _death(issue: Mapping[str, Any]) -> str:
    """In one word how a worker died."""
    if issue["code"] == "memory-limit":
        return "memory"
    late = "no answer" in issue["message"] or "processor time" in issue["message"]
    return "hang" if late else "crash"


def archive(
    example: Example, found: Extraction, signals: Sequence[Mapping[str, Any]], store: Path, notes: Notes
) -> None:
    """Pack an example, and compare what the package says and gives with what was read before."""
    notes.checked["packages"] += 1
    try:
        packed = api.pack(example.root, store)
        opened = api.open(packed.url)
        document = opened.record.to_dict()
        validate_record(document)
    except DiademError as error:
        notes.error("package", example.name, f"no package can be made of it: {error.line}")
        return
    if changed := difference(packed.record.to_dict(), document):
        notes.error("package", example.name, f"the package says something else when it is opened again: {changed}")
    if not opened.verify().ok:
        notes.error("package", example.name, "the package is not intact")
    sealed: Mapping[str, Any] = next(
        (item for item in document["datasets"] if item["files"][0]["path"] == example.files[0]), {}
    )
    kept = {key: sealed.get(key, {}) for key in ("signals", "fields", "extensions")}
    if changed := difference(stated_by(found), kept):
        notes.error("package", example.name, f"the record in the package is another: {changed}")
    for lazy in (True, False):
        _load(example, opened, signals, notes, lazy=lazy)


def _load(
    example: Example, package: Package, signals: Sequence[Mapping[str, Any]], notes: Notes, *, lazy: bool
) -> None:
    """Load the dataset as HyperSpy signals, and compare their arrays with the reader's."""
    how = "lazily" if lazy else "whole"
    try:
        loaded = package.load(example.files[0], lazy=lazy)
        arrays = [item.data for item in (loaded if isinstance(loaded, list) else [loaded])]
        digests = [digest(array) for array in arrays]
    except Exception as error:  # the reader's own, or HyperSpy's on what the reader returned
        notes.error("load", example.name, f"loaded {how}, it fails: {type(error).__name__}: {line_of(error)}")
        return
    notes.checked["signals loaded"] += len(digests)
    read = [(signal["shape"], signal["sha256"]) for signal in signals]
    given = [(list(array.shape), text) for array, text in zip(arrays, digests, strict=True)]
    if signals and read != given:
        notes.error("load", example.name, f"loaded {how}, the arrays are not those that the reader returns")


# -- what two readings have in common -------------------------------------------------------------------------------


def stated_by(found: Extraction) -> dict[str, Any]:
    """What an extraction says of the content: signals, fields, extensions."""
    return {"signals": found.signals, "fields": found.fields, "extensions": found.extensions}


def dataset_of(plan: DatasetPlan, found: Extraction) -> dict[str, Any]:
    """The dataset as a record would hold it, its bytes left aside."""
    files: list[dict[str, Any]] = [
        {"id": file.id, "path": file.path, "role": file.role, "bytes": file.size, "sha256": "0" * 64}
        for file in plan.files
    ]
    files[0].update(format=found.format, format_evidence=list(found.evidence))
    about = {"id": plan.id, "files": files, "raw": [], "issues": found.issues, "extraction": found.extraction}
    return {**about, **stated_by(found)}


def difference(one: Any, other: Any, path: str = "") -> str:
    """Where two JSON values first differ, and how; "" where they do not."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in (*one, *(key for key in other if key not in one)):
            if key not in one or key not in other:
                return f"{path}/{key} is there only {'at first' if key in one else 'then'}"
            if found := difference(one[key], other[key], f"{path}/{key}"):
                return found
        return ""
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return next(filter(None, (difference(a, b, f"{path}/{place}") for place, (a, b) in pairs)), "")
    return "" if one == other else f"{path or 'it'} is {_brief(one)}, then {_brief(other)}"


def _brief(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else f"{text[:77]}…"
