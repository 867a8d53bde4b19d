"""`policy.toml` to `Policy` and back: read by its schema, the default one written, and a policy in sentences.

What the schema refuses is told in words for the person who wrote it: line, rule, close matches, example.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, time
from difflib import get_close_matches
from itertools import islice
from typing import Any, Final

from diadem.errors import DocumentError, UsageError
from diadem.model.measures import read_duration, read_size
from diadem.model.plain_text import count_text, duration_words, size_text
from diadem.model.policy import Policy, key_of, read_table
from diadem.policy.case import joined
from diadem.policy.required import keys_that_can_be_required
from diadem.serialization import schemas
from diadem.serialization.schemas import described, shortened
from diadem.serialization.toml_text import line_of, toml_value
from diadem.terms.fields import close_matches, is_field

#: Largest `policy.toml` that is read; the default one has 4 kB.
MAX_CHARACTERS: Final = 1 << 20
#: Faults looked at; the first in the text is told.
_MOST: Final = 50


def read_policy(text: str, *, where: str = "policy.toml", stores: Collection[str] | None = None) -> Policy:
    """The policy that a TOML text states; what it does not say has its default, and an empty one is the default policy.

    `stores` are the names of the node's stores: another name in it is a mistake; where they are not given, any may be
    right. Raises `DocumentError`, which names the line, the rule, what is allowed and an example.
    """
    document = _parsed(text, where)
    found = list(islice(_faults(document, stores), _MOST))
    if not found:
        return read_table(Policy, document)
    line, first = min(((line_of(text, fault.path) or 0, fault) for fault in found), key=lambda item: item[0])
    place = f"line {line}: " if line else ""
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    raise DocumentError(place + first.message + more, where=where, next=first.next)


def _parsed(text: str, where: str) -> dict[str, Any]:
    advice = "Correct the line; `diadem status` reads the file again."
    if len(text) > MAX_CHARACTERS:
        raise DocumentError(f"a policy of {len(text):,} characters is not read", where=where, next="Is it this file?")
    try:
        document: dict[str, Any] = _plain(tomllib.loads(text.removeprefix("\ufeff")))
    except RecursionError:
        raise DocumentError("the tables are nested too deep", where=where, next=advice) from None
    except ValueError as error:  # TOMLDecodeError, and integers of thousands of digits
        raise DocumentError(f"this is not TOML: {error}", where=where, next=advice) from None
    return document


def _plain(value: Any) -> Any:
    """JSON types; what JSON has not (dates, times, infinities, huge numbers) as text, which no key of ours admits."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, int | float) and not abs(value) < 2**53:
        return f"{value:.3g}" if isinstance(value, float) else "a number of more than 15 digits"
    return value


# -- what is refused --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PolicyFault:
    """One thing that is wrong in a policy: where in the document, what and by which rule, what would be right."""

    path: tuple[str | int, ...]
    message: str
    next: str


def _faults(document: Mapping[str, Any], stores: Collection[str] | None) -> Iterator[PolicyFault]:
    refused = False
    for error in schemas.validator(schemas.POLICY).iter_errors(document):
        refused = True
        path = tuple(error.instance_path)
        if error.schema_path and error.schema_path[-1] == "additionalProperties":
            yield from _unknown_keys(path, error.instance)
        else:
            yield _refusal(path, error.instance, _node(path))
    if not refused:
        yield from _out_of_range(document)
        yield from _unknown_requirements(document)
        yield from _unknown_stores(document, stores)


def _unknown_keys(path: tuple[str | int, ...], table: Any) -> Iterator[PolicyFault]:
    known = list(_node(path).get("properties", {}))
    for key in table:
        if key not in known:
            advice = _nearest(key, known) or f"Known here: {', '.join(known)}."
            message = f"[{_dotted(path)}] has no key '{key[:80]}'" if path else f"there is no section [{key[:80]}]"
            yield PolicyFault((*path, key), message, advice)


def _nearest(key: str, known: Collection[str]) -> str:
    """A question for the keys that come close; looser than for the many fields of a record, the list being short."""
    near = close_matches(key, known) or get_close_matches(key.lower(), list(known), n=2, cutoff=0.6)
    return f"Did you mean {' or '.join(near)}?" if near else ""


def _refusal(path: tuple[str | int, ...], value: Any, node: Mapping[str, Any]) -> PolicyFault:
    """The fault of a value that breaks the rule of its node."""
    shown = shortened(json.dumps(value, ensure_ascii=False), 80)
    examples = " or ".join(_line(path, example) for example in node.get("examples", ()))
    return PolicyFault(
        path, f"{_dotted(path)} = {shown} is refused. The rule: {node['description']}", f"Example: {examples}"
    )


def _line(path: Sequence[str | int], example: Any) -> str:
    """An example as it stands in a policy: ``interval = "90 days"``, ``[copies]`` and a key below it."""
    if isinstance(example, dict):
        inner = ", ".join(_line((key,), value) for key, value in example.items())
        in_list = bool(path) and isinstance(path[-1], int)
        return f"[[{_dotted(path[:-1])}]] with {inner}" if in_list else f"[{_dotted(path)}] with {inner}"
    name = next((part for part in reversed(path) if isinstance(part, str)), "")
    return f"{name} = {toml_value(example)}"


def _out_of_range(document: Mapping[str, Any]) -> Iterator[PolicyFault]:
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


def _unknown_stores(document: Mapping[str, Any], stores: Collection[str] | None) -> Iterator[PolicyFault]:
    """Stores that the node does not have, where it is known which it has."""
    for index, name in enumerate(document.get("parity", {}).get("stores", ()) if stores is not None else ()):
        if name not in (stores or ()):
            advice = _nearest(name, stores or ()) or f"Its stores: {', '.join(stores or ()) or 'none yet'}."
            message = f"parity.stores: the node has no store '{name[:80]}'"
            yield PolicyFault(("parity", "stores", index), message, f"{advice} An empty list means all of them.")


def _unknown_requirements(document: Mapping[str, Any]) -> Iterator[PolicyFault]:
    known = keys_that_can_be_required()
    for index, key in enumerate(document.get("metadata", {}).get("required", ())):
        if key not in known:
            yield PolicyFault(("metadata", "required", index), *_why_not_required(key, known))


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


# -- what is written ---------------------------------------------------------------------------------------------------

_HEAD: Final = """\
# The policy of this archive. `diadem status` checks every rule here, says for which packages
# it does not hold, and names the command that mends it. Change what does not suit the group;
# a line that is taken out has the value that stands here now.
# Durations: "10 min", "12 h", "90 days", "2 years". Sizes: "200 MB", "500 GB", "2 TB".
"""


def default_policy() -> str:
    """The `policy.toml` that `diadem init` writes: the defaults, and what each rule is for. It states `Policy()`."""
    return "\n".join([_HEAD, *_blocks()])


def _blocks() -> Iterator[str]:
    """The tables of the default policy, each with the notes of its keys."""
    for section in fields(Policy):
        tables, lines = [], []
        for member in fields(type(getattr(Policy(), section.name))):
            key, name = key_of(member), f"{section.name}.{member.name}"
            default, note = key.schema["default"], [f"# {line}" for line in key.note.splitlines()]
            if key.schema.get("type") == "object":
                tables.append([f"[{name}]", *note, *_lines(default)])
            elif key.schema.get("items", {}).get("$ref"):
                tables.append([*note, *(line for table in default for line in (f"[[{name}]]", *_lines(table)))])
            else:
                lines += [*note, *_lines({member.name: default})]
        for table in ([f"[{section.name}]", *lines] if lines else [], *tables):
            if table:
                yield "\n".join(table) + "\n"


def _lines(table: Mapping[str, Any]) -> list[str]:
    return [f"{name} = {toml_value(value)}" for name, value in table.items()]


# -- in sentences ------------------------------------------------------------------------------------------------------


def policy_sentences(policy: Policy) -> Iterator[tuple[str, str]]:
    """What a policy asks for: the name of each section of `policy.toml`, and what it says."""
    kinds = [f"{count} on {kind}" for kind, count in policy.copies.kinds.items()]
    copies = count_text(policy.copies.minimum, "proven copy", "proven copies")
    yield (
        "copies",
        f"{copies} of everything, on different disks, shares or buckets"
        + (f"; at least {joined(kinds)}." if kinds else "."),
    )
    other = [f"{duration_words(span)} on {kind}" for kind, span in policy.scrub.kinds.items()]
    yield (
        "scrub",
        f"Every copy is read again within {duration_words(policy.scrub.interval)}"
        + (f" ({joined(other)})." if other else "."),
    )
    yield "stores", f"A store may be away for {duration_words(policy.stores.unseen)}."
    parity = policy.parity
    on = joined(list(parity.stores)) if parity.stores else "every store"
    yield "parity", f"Parity is beside the packages on {on}." if parity.enabled else "No parity is wanted."
    required = list(policy.metadata.required)
    yield "metadata", f"A session must state {joined(required)}." if required else "A session need not state anything."
    yield "archive", f"A session is finished when nothing in it has changed for {duration_words(policy.archive.quiet)}."
    if policy.archive.license:
        yield "licence", f"{policy.archive.license}, where nothing else is said."
    yield "watch", f"A session in a watched folder waits {duration_words(policy.watch.waiting)} at most."
    yield "retention", f"Packages are kept for {count_text(policy.retention.years, 'year')} at least."
    seen = "its owner and whom the owner grants it" if policy.access.default == "private" else "every user of the node"
    yield "access", f"A new package is for {seen}."
    who = {"owner": "its owner", "*": "every user here"}
    allowed = [f"{who.get(one.who, one.who)} to {one.to.replace('*', 'anybody')}" for one in policy.transfer.allow]
    yield "transfer", f"It may be sent by {joined(allowed)}." if allowed else "Nothing may be sent to other nodes."
    yield (
        "incoming",
        (
            f"Others may offer packages of up to {size_text(policy.incoming.max_size)}, "
            f"{policy.incoming.max_per_day:,} a day."
        ),
    )
