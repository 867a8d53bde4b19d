"""What the schema refuses in a policy, in words for the person who wrote it: line, rule, close matches, example."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from typing import Any, Final

import jsonschema_rs

from diadem.errors import UsageError
from diadem.policy.measures import read_duration, read_size
from diadem.policy.places import line_of
from diadem.policy.required import keys_that_can_be_required
from diadem.serialization import schemas
from diadem.serialization.schemas import described, shortened
from diadem.terms.fields import close_matches, is_field

#: Faults looked at; the first in the text is told.
_MOST: Final = 50


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong in a policy.

    Attributes
    ----------
    path : tuple of str or int
        Where in the document.
    message : str
        What is wrong, and the rule.
    next : str
        What would be right.
    """

    path: tuple[str | int, ...]
    message: str
    next: str


def first_fault(document: Mapping[str, Any], text: str, stores: Collection[str] | None = None) -> Fault | None:
    """The fault that comes first in the text, its line named and the others counted; None where all is well."""
    found = list(islice(_faults(document, stores), _MOST))
    if not found:
        return None
    placed = sorted(((line_of(text, fault.path) or 0, fault) for fault in found), key=lambda item: item[0])
    line, first = placed[0]
    place = f"line {line}: " if line else ""
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return Fault(first.path, place + first.message + more, first.next)


def _faults(document: Mapping[str, Any], stores: Collection[str] | None) -> Iterator[Fault]:
    refused = False
    for error in schemas.validator(schemas.POLICY).iter_errors(document):
        refused = True
        yield from _unknown_keys(error) if _is_unknown_key(error) else (_broken_rule(error),)
    if not refused:
        yield from _out_of_range(document)
        yield from _unknown_requirements(document)
        yield from _unknown_stores(document, stores)


def _is_unknown_key(error: jsonschema_rs.ValidationError) -> bool:
    return bool(error.schema_path) and error.schema_path[-1] == "additionalProperties"


def _unknown_keys(error: jsonschema_rs.ValidationError) -> Iterator[Fault]:
    path = tuple(error.instance_path)
    known = list(_node(path).get("properties", {}))
    assert isinstance(error.instance, dict)
    for key in error.instance:
        if key not in known:
            advice = _nearest(key, known) or f"Known here: {', '.join(known)}."
            message = f"[{_dotted(path)}] has no key '{key[:80]}'" if path else f"there is no section [{key[:80]}]"
            yield Fault((*path, key), message, advice)


def _nearest(key: str, known: Collection[str]) -> str:
    """A question for the keys that come close; looser than for the many fields of a record, the list being short."""
    near = close_matches(key, known) or get_close_matches(key.lower(), list(known), n=2, cutoff=0.6)
    return f"Did you mean {' or '.join(near)}?" if near else ""


def _broken_rule(error: jsonschema_rs.ValidationError) -> Fault:
    path = tuple(error.instance_path)
    return _refusal(path, error.instance, _node(path))


def _refusal(path: tuple[str | int, ...], value: Any, node: Mapping[str, Any]) -> Fault:
    """The fault of a value that breaks the rule of its node."""
    shown = shortened(json.dumps(value, ensure_ascii=False), 80)
    examples = " or ".join(_line(path, example) for example in node.get("examples", ()))
    return Fault(path, f"{_dotted(path)} = {shown} is refused. The rule: {node['description']}", f"Example: {examples}")


def _line(path: Sequence[str | int], example: Any) -> str:
    """An example as it stands in a policy: ``interval = "90 days"``, ``[copies]`` and a key below it."""
    if isinstance(example, dict):
        inner = ", ".join(_line((key,), value) for key, value in example.items())
        in_list = bool(path) and isinstance(path[-1], int)
        return f"[[{_dotted(path[:-1])}]] with {inner}" if in_list else f"[{_dotted(path)}] with {inner}"
    name = next((part for part in reversed(path) if isinstance(part, str)), "")
    return f"{name} = {_toml(example)}"


def _toml(value: Any) -> str:
    """A value as TOML; of JSON's syntax only objects differ."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _out_of_range(document: Mapping[str, Any]) -> Iterator[Fault]:
    """Durations and sizes outside the range that the schema names in words of its own."""
    for path, value in _texts(document, ()):
        node = _node(path)
        if "x-diadem-least" not in node:
            continue
        read = read_size if "B" in node["x-diadem-least"] else read_duration
        try:
            fits = read(node["x-diadem-least"]) <= read(value) <= read(node["x-diadem-most"])  # type: ignore[operator]
        except (UsageError, OverflowError):
            fits = False
        if not fits:
            yield _refusal(path, value, node)


def _texts(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(item, (*path, key))


def _unknown_stores(document: Mapping[str, Any], stores: Collection[str] | None) -> Iterator[Fault]:
    """Stores that the node does not have, where it is known which it has."""
    for index, name in enumerate(document.get("parity", {}).get("stores", ()) if stores is not None else ()):
        if name not in (stores or ()):
            advice = _nearest(name, stores or ()) or f"Its stores: {', '.join(stores or ()) or 'none yet'}."
            message = f"parity.stores: the node has no store '{name[:80]}'"
            yield Fault(("parity", "stores", index), message, f"{advice} An empty list means all of them.")


def _unknown_requirements(document: Mapping[str, Any]) -> Iterator[Fault]:
    known = keys_that_can_be_required()
    for index, key in enumerate(document.get("metadata", {}).get("required", ())):
        if key not in known:
            yield Fault(("metadata", "required", index), *_why_not_required(key, known))


def _why_not_required(key: str, known: Collection[str]) -> tuple[str, str]:
    if is_field(key):
        message = f"metadata.required: '{key}' is stated by instruments only, and not every file states it"
        return message, "Require what a person can supply: of session, sample, instrument and person."
    advice = _nearest(key, known) or "Keys look like sample.name, person.operator or session.title."
    return f"metadata.required: there is no field '{key[:80]}'", advice


def _node(path: Sequence[str | int]) -> Mapping[str, Any]:
    """The part of the schema for what stands at `path`; an item without words of its own has those of its list."""
    *above, node = described(schemas.schema(schemas.POLICY), path)
    return {**above[-1], **node} if above and "description" not in node else node


def _dotted(path: Sequence[str | int]) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
