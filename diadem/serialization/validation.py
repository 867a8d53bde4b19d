"""Judging documents: the schema first, then what a schema cannot say. Every refusal names path, rule and example."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date
from difflib import get_close_matches
from typing import Any

from diadem.errors import DocumentError
from diadem.model.statements import Draft, Statement
from diadem.serialization import schemas
from diadem.serialization.schemas import check
from diadem.serialization.strict_json import MAX_DEPTH, compact, parse

_ORCID = re.compile(r"(?:https://orcid\.org/)?((?:\d{4}-){3}\d{3}[\dX])\Z")


def validate_metadata(document: object) -> dict[str, Any]:
    """The document that a person gives with `--meta`: session, sample, people, instrument, extensions.

    A copy in plain JSON types: dates (as TOML and YAML have them) are text, ORCID iDs are addresses. Raises
    `DocumentError` with the JSON path, the rule and a valid example.
    """
    if not isinstance(document, Mapping):
        raise DocumentError(
            f"a mapping is expected, not {type(document).__name__}",
            where="metadata",
            next="On the command line --meta FILE reads a file; in Python json.load or tomllib.load does.",
        )
    plain = _plain(document)
    check(schemas.METADATA, plain, advise=True)
    result: dict[str, Any] = plain
    for index, person in enumerate(result.get("people", ())):
        if "orcid" in person:
            person["orcid"] = orcid_address(person["orcid"], f"$.people[{index}].orcid")
    for name in ("date", "end_date"):
        _require_day(result.get("session", {}).get(name), f"$.session.{name}")
    _require_day(result.get("sample", {}).get("preparation_date"), "$.sample.preparation_date")
    _require_zone(result.get("instrument", {}).get("time_zone"), "$.instrument.time_zone")
    for index, profile in enumerate(result.get("instruments", ())):
        _require_zone(profile["is"].get("time_zone"), f"$.instruments[{index}].is.time_zone")
    return result


def validate_dataset(document: Mapping[str, Any], *, closed: bool = True, sealed: bool = True) -> None:
    """One dataset, references resolved. Raises `DocumentError` with the JSON path and the rule.

    Keys that this version does not know are refused where it is `closed`, as when a record is made, and pass when one
    of a later minor version is read. Where it is `sealed`, as in a package, every file must have its digest.
    """
    check(schemas.DATASET, document, closed=closed)
    where = f"dataset {document['id']}"
    for index, file in enumerate(document["files"] if sealed else ()):
        if "sha256" not in file:
            raise DocumentError(f'{where} $.files[{index}]: "sha256" is a required property of a sealed record.')
    files = _unique(document["files"], f"{where} $.files")
    signals = _unique(document["signals"], f"{where} $.signals")
    for key, stated in document["fields"].items():
        for index, item in enumerate(stated):
            _require_known_ids(item, files, signals, f"{where} $.fields['{key}'][{index}]")
    for key in ("time.acquired_start", "time.acquired_end", "sample.preparation_date"):
        for index, item in enumerate(document["fields"].get(key, ())):
            _require_day(item["value"][:10], f"{where} $.fields['{key}'][{index}].value")


def validate_record(document: Mapping[str, Any]) -> None:
    """A whole record, as `Record.to_dict` gives it: references resolved. Raises `DocumentError`."""
    check(schemas.RECORD, document)
    _unique(document["datasets"], "$.datasets")
    for dataset in document["datasets"]:
        validate_dataset(dataset, sealed=document.get("sealed", True))


def _plain(document: object) -> Any:
    """Plain JSON types of what a JSON, TOML or YAML parser gives, by way of our own strict parser."""
    advice = "Use texts, numbers, lists and objects only."
    try:
        dated = _dates_as_text(document)
    except RecursionError:
        raise DocumentError(f"nested more than {MAX_DEPTH} deep", where="metadata", next=advice) from None
    return parse(compact(dated, where="metadata"), where="metadata", next=advice)


def _dates_as_text(value: Any) -> Any:
    if isinstance(value, date):  # a datetime is one, too
        return value.isoformat()
    if isinstance(value, Mapping):
        return {key: _dates_as_text(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_dates_as_text(item) for item in value]
    return value


def _require_day(text: str | None, where: str) -> None:
    """That a date, already of the right form, is in the calendar."""
    if text is None:
        return
    try:
        date.fromisoformat(text)
    except ValueError as error:
        raise DocumentError(f"{where}: '{text}' is not a day: {error}", next='Example: "2026-03-14"') from None


def _require_zone(name: str | None, where: str) -> None:
    """That this machine knows a time zone, already of the right form."""
    if name is None:
        return
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones  # no command but a few needs them

    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # a folder of zones, such as Europe, is an OSError
        known = sorted(available_timezones())
        near = get_close_matches(name, known, n=3, cutoff=0.5)
        near = [f"{part}/{name}" for part in ("Europe", "America", "Asia") if f"{part}/{name}" in known] or near
        advice = f"Did you mean {' or '.join(near)}?" if near else 'Example: "Europe/Berlin".'
        if not known:
            advice = "This machine has no list of time zones: pip install tzdata"
        raise DocumentError(f"{where}: '{name}' is not a time zone of the IANA list.", next=advice) from None


def orcid_address(text: str, where: str) -> str:
    """The iD as an address, its check character proven: ISO 7064, MOD 11-2."""
    match = _ORCID.match(text)
    digits = match.group(1).replace("-", "") if match else ""
    total = 0
    for digit in digits[:-1]:
        total = (total + int(digit)) * 2
    expected = "0123456789X"[(12 - total % 11) % 11]
    if match is None or digits[-1] != expected:
        raise DocumentError(
            f"{where}: '{text}' is not an ORCID iD: its check character does not fit the digits.",
            next='One digit is mistyped; copy the iD from orcid.org. Example: "https://orcid.org/0000-0002-1825-0097"',
        )
    return f"https://orcid.org/{match.group(1)}"


def _unique(items: Sequence[Mapping[str, Any]], where: str) -> set[str]:
    """The ids, each of which may stand once."""
    ids = {str(item["id"]) for item in items}
    if len(ids) != len(items):
        times = Counter(str(item["id"]) for item in items)
        twice = ", ".join(name for name, count in times.most_common(5) if count > 1)
        raise DocumentError(f"{where}: an id occurs twice: {twice}")
    return ids


def _require_known_ids(item: Mapping[str, Any], files: set[str], signals: set[str], where: str) -> None:
    """That evidence and scope of an assertion exist in the dataset."""
    file = item["source"].get("file")
    if file is not None and file not in files:
        raise DocumentError(
            f"{where}.source.file: '{file}' is not one of the dataset's files: {', '.join(sorted(files))}"
        )
    if strange := set(item.get("applies_to", ())) - signals:
        raise DocumentError(f"{where}.applies_to: {sorted(strange)} are not among the dataset's signals")


# -- what a record admits of what a reader says --------------------------------------------------------------------

#: Parts that may be left out, and what stands in their place.
_OPTIONAL: Mapping[str, Any] = {"signals": [], "raw": [], "issues": [], "extraction": {}}


def require_admissible(dataset: Mapping[str, Any], *, sealed: bool = True) -> None:
    """Raise `DocumentError` unless the dataset can be written to a record as it is."""
    compact(dataset, where=f"dataset {str(dataset.get('id', '?'))[:64]}")
    validate_dataset(dataset, sealed=sealed)


def admitted(dataset: dict[str, Any], *, sealed: bool = True) -> dict[str, Any]:
    """The dataset without what a record does not admit, and an issue for each part left out.

    `id` and `files` are ours and must be right, else `DocumentError`; the rest comes from a reader, and is kept as far
    as it is valid: field by field and extension by extension, the other parts whole.
    """
    with suppress(DocumentError):
        require_admissible(dataset, sealed=sealed)
        return dataset
    result = {"id": dataset.get("id"), "files": dataset.get("files"), "fields": {}, **_OPTIONAL}
    require_admissible(result, sealed=sealed)
    refused = []
    for part in _OPTIONAL:
        refused += _tried(result, {part: dataset.get(part, _OPTIONAL[part])}, part)
    for key, stated in dataset.get("fields", {}).items():
        refused += _tried(result, {"fields": {**result["fields"], key: stated}}, f"field '{str(key)[:80]}'")
    for name, stated in dataset.get("extensions", {}).items():
        change = {"extensions": {**result.get("extensions", {}), name: stated}}
        refused += _tried(result, change, f"extension '{str(name)[:80]}'")
    return {**result, "issues": [*result["issues"], *refused]}


def _tried(result: dict[str, Any], change: Mapping[str, Any], part: str) -> list[dict[str, str]]:
    """Take the change if it is admissible, else say so."""
    try:
        require_admissible({**result, **change}, sealed=False)  # the files were judged before
    except DocumentError as error:
        said = str(error).encode("utf-8", "backslashreplace").decode()
        return [{"code": "not-recorded", "message": f"{part} was left out of the record: {said}"}]
    result.update(change)
    return []


# -- statements ------------------------------------------------------------------------------------------------------


def validate_draft(draft: Draft) -> None:
    """That a log may sign and keep this. Raises `DocumentError` with kind, JSON path and rule."""
    _check_predicate(draft.kind, draft.predicate)


def validate_statement(statement: Statement) -> None:
    """That a statement is what its kind demands; one of a kind without a schema passes (see `Statement.known`)."""
    if statement.kind in schemas.STATEMENT_KINDS:
        _check_predicate(statement.kind, statement.predicate)


def read_statement(payload: bytes) -> Statement:
    """The statement in the payload of an envelope, judged by its schema.

    Members that this version does not know are kept. A kind that it does not know can be read, but means nothing to it.
    Raises `DocumentError` for what is no statement, is not written canonically, or is refused by its kind's schema.
    """
    statement = Statement.from_payload(payload)
    validate_statement(statement)
    return statement


def _check_predicate(kind: str, predicate: Mapping[str, Any]) -> None:
    document = parse(compact(dict(predicate), where=kind), where=kind)
    try:
        check(f"{schemas.STATEMENT}/{kind}", document)
    except DocumentError as error:
        error.where = f"{kind} statement"
        raise
