"""Judging documents: the schema first, then what a schema cannot say. Every refusal names path, rule and example."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from itertools import islice
from typing import Any

import jsonschema_rs

from diadem.errors import DocumentError
from diadem.model.fields import close_matches
from diadem.serialization import schemas
from diadem.serialization.strict_json import MAX_DEPTH, compact, parse

#: Keywords whose own message shows a pattern, or a subtree, and not the rule.
_OPAQUE = frozenset({"anyOf", "contains", "maxContains", "minContains", "not", "pattern"})
_ORCID = re.compile(r"(?:https://orcid\.org/)?((?:\d{4}-){3}\d{3}[\dX])\Z")


def validate_metadata(document: object) -> dict[str, Any]:
    """The document that a person gives with `--meta`: session, sample, people, instrument, extensions.

    Returns
    -------
    dict
        A copy in plain JSON types; dates (as TOML and YAML have them) are text, ORCID iDs are addresses.

    Raises
    ------
    DocumentError
        Names the JSON path, the rule and a valid example.
    """
    plain = _plain(document)
    _check(schemas.METADATA, plain, advise=True)
    result: dict[str, Any] = plain
    for index, person in enumerate(result.get("people", ())):
        if "orcid" in person:
            person["orcid"] = _orcid(person["orcid"], f"$.people[{index}].orcid")
    for name in ("date", "end_date"):
        _require_day(result.get("session", {}).get(name), f"$.session.{name}")
    _require_day(result.get("sample", {}).get("preparation_date"), "$.sample.preparation_date")
    return result


def validate_dataset(document: Mapping[str, Any], *, closed: bool = True) -> None:
    """One dataset, references resolved.

    Parameters
    ----------
    document : mapping
        As `schemas/record/1.0.0/dataset.schema.json` describes it.
    closed : bool
        Whether keys that this version does not know are refused, as when a record is made, or let pass, as when
        one of a later minor version is read.

    Raises
    ------
    DocumentError
        Names the JSON path and the rule.
    """
    _check(schemas.DATASET, document, closed=closed)
    where = f"dataset {document['id']}"
    files = _unique(document["files"], f"{where} $.files")
    signals = _unique(document["signals"], f"{where} $.signals")
    for key, stated in document["fields"].items():
        for index, item in enumerate(stated):
            _require_known_ids(item, files, signals, f"{where} $.fields['{key}'][{index}]")
    for key in ("time.acquired_start", "time.acquired_end", "sample.preparation_date"):
        for index, item in enumerate(document["fields"].get(key, ())):
            _require_day(item["value"][:10], f"{where} $.fields['{key}'][{index}].value")


def validate_record(document: Mapping[str, Any]) -> None:
    """A whole record, as `Record.to_dict` gives it: references resolved.

    Raises
    ------
    DocumentError
        Names the dataset, the JSON path and the rule.
    """
    _check(schemas.RECORD, document)
    _unique(document["datasets"], "$.datasets")
    for dataset in document["datasets"]:
        validate_dataset(dataset)


def validate_head(document: Mapping[str, Any], *, closed: bool = True) -> None:
    """All of a record but its datasets."""
    _check(schemas.RECORD, document, closed=closed)


def validate_finding(document: Mapping[str, Any]) -> None:
    """One finding, as `Finding.to_dict` gives it."""
    _check(schemas.FINDING, document)


def validate_report(document: Mapping[str, Any]) -> None:
    """A report, as `Report.to_dict` gives it."""
    _check(schemas.REPORT, document)


def _check(name: str, document: Any, *, closed: bool = True, advise: bool = False) -> None:
    """Raise for the first fault, or do nothing."""
    compiled = schemas.validator(name) if closed else schemas.reading_validator(name)
    if compiled.is_valid(document):
        return
    errors = sorted(
        islice(compiled.iter_errors(document), 50), key=lambda error: (-len(error.instance_path), error.message)
    )
    raise _refusal(name, errors[0], document, advise=advise)


def _refusal(name: str, error: jsonschema_rs.ValidationError, document: Any, *, advise: bool) -> DocumentError:
    path = list(error.instance_path)
    nodes = _described(schemas.schema(name), path)
    subject = f"dataset {document.get('id')} " if name == schemas.DATASET and isinstance(document, dict) else ""
    advice = [_nearest(error, nodes[-1]), _example(nodes) if advise else ""]
    message = f"{subject}{json_path(path)}: {_rule(error, nodes[-1])}"
    return DocumentError(message, next=" ".join(filter(None, advice)) or None)


def _rule(error: jsonschema_rs.ValidationError, node: Mapping[str, Any]) -> str:
    """What is broken: in the schema's own words where the validator's would be a pattern or a whole subtree."""
    keyword = error.schema_path[-1] if error.schema_path else ""
    rule = node.get("description", "")
    if isinstance(error.instance, str) and not error.instance.strip():
        return "the text is empty; leave out what is not known."
    if rule and keyword in _OPAQUE:
        return f"{_shortened(compact(error.instance, where='').decode(), 80)} is refused. The rule: {rule}"
    said = _shortened(error.message) + "."
    return said if not rule or keyword in {"required", "additionalProperties"} else f"{said} The rule: {rule}"


def json_path(path: Sequence[str | int]) -> str:
    """A path as people write it: ``$.people[0].orcid``, ``$.fields['stage.x'][0]``."""
    parts = [f"[{part}]" if isinstance(part, int) else _member(part) for part in path]
    return "$" + "".join(parts)


def _member(name: str) -> str:
    return f".{name}" if re.fullmatch(r"\w+", name) else f"['{name[:80]}']"


def _shortened(text: str, most: int = 300) -> str:
    return text if len(text) <= most else f"{text[: most // 2]} … {text[-most // 2 :]}"


def _described(root: Mapping[str, Any], path: Sequence[str | int]) -> list[Mapping[str, Any]]:
    """The parts of the schema on the way to what stands at `path`, as far as they are known."""
    nodes = [_target(root, root)]
    for part in path:
        node = nodes[-1]
        below = node.get("items") if isinstance(part, int) else node.get("properties", {}).get(part)
        if not isinstance(below, Mapping):
            below = node.get("additionalProperties")
        if not isinstance(below, Mapping):
            break
        nodes.append(_target(below, root))
    return nodes


def _target(node: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """The node behind a `$ref` within the document, with what stands beside it."""
    reference = node.get("$ref", "")
    if not reference.startswith("#/$defs/"):
        return node
    rest = {key: value for key, value in node.items() if key != "$ref"}
    return _merged(_target(root["$defs"][reference.removeprefix("#/$defs/")], root), rest)


def _merged(general: Mapping[str, Any], special: Mapping[str, Any]) -> Mapping[str, Any]:
    """Both, level by level; the special one wins."""
    both = {key for key in special if isinstance(special[key], dict) and isinstance(general.get(key), dict)}
    return {**general, **special, **{key: _merged(general[key], special[key]) for key in both}}


def _nearest(error: jsonschema_rs.ValidationError, node: Mapping[str, Any]) -> str:
    """For a key that is not known: the known ones that come close, else all of them if they are few."""
    if error.schema_path[-1:] != ["additionalProperties"] or not isinstance(error.instance, dict):
        return ""
    known = list(node.get("properties", {}))
    near = [name for key in error.instance if key not in known for name in close_matches(key, known)]
    if near:
        return f"Did you mean {' or '.join(near[:3])}?"
    return f"Known here: {', '.join(known)}." if len(known) <= 20 else "The schema lists every key."


def _example(nodes: Sequence[Mapping[str, Any]]) -> str:
    """A valid example of the innermost part that has one."""
    examples = next((node["examples"] for node in reversed(nodes) if node.get("examples")), ())
    return "Example: " + compact(examples[0], where="schema").decode() if examples else ""


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


def _orcid(text: str, where: str) -> str:
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
    times = Counter(str(item["id"]) for item in items)
    if len(times) != len(items):
        twice = ", ".join(name for name, count in times.most_common(5) if count > 1)
        raise DocumentError(f"{where}: an id stands twice: {twice}")
    return set(times)


def _require_known_ids(item: Mapping[str, Any], files: set[str], signals: set[str], where: str) -> None:
    """That evidence and scope of an assertion exist in the dataset."""
    file = item["source"].get("file")
    if file is not None and file not in files:
        raise DocumentError(f"{where}.source.file: '{file}' is none of the dataset's files: {', '.join(sorted(files))}")
    if strange := set(item.get("applies_to", ())) - signals:
        raise DocumentError(f"{where}.applies_to: {sorted(strange)} are none of the dataset's signals")
