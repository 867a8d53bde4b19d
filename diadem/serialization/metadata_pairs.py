"""What a person says on a command line, ``sample.name=S-12``, as the document that `validate_metadata` judges.

::

    session.title=ZnO, first look        a text
    session.keywords=ZnO, HAADF          a list, split at commas; said again, it grows
    sample.thickness=6e-8                a number, in the unit of the schema
    sample.other_names.NMI=ZNO-3         an entry of an object
    people=Marie Curie                   one more person
    people.operator=Marie Curie          … with the role
    people.1.orcid=0000-0002-1825-0097   more of the first person
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from diadem.errors import UsageError
from diadem.serialization import schemas
from diadem.serialization.validation import validate_metadata
from diadem.terms.fields import close_matches

_EXAMPLE: Final = 'Example: "sample.name=S-12". The schema lists every key.'
_ORDINAL: Final = re.compile(r"[1-9][0-9]{0,2}\Z")


def metadata_from_pairs(pairs: Iterable[str], base: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Session, sample, people and instrument from pairs ``key=value``, validated, as `diadem.pack` takes them.

    White space around key and value does not count; of several ``=`` the first divides. What a pair says goes before
    what `base` says, a metadata document; people are added. Raises `UsageError` for a pair that cannot be understood,
    or a key said twice; `DocumentError` where the schema refuses what was said.
    """
    document = validate_metadata(base or {})
    said: set[str] = set()
    people = list(document.get("people", ()))
    own: list[dict[str, Any]] = []
    for pair in pairs:
        key, value = _divided(pair)
        if key.split(".")[0] == "people":
            _person(own, key, value, pair)
            continue
        _set(document, key, value, pair, fresh=key not in said)
        said.add(key)
    if people or own:
        document["people"] = people + own
    return validate_metadata(document)


def _divided(pair: str) -> tuple[str, str]:
    key, found, value = (part.strip() for part in pair.partition("="))
    if not found or not key:
        raise UsageError(f"'{pair[:80]}' is not key=value", where=pair[:80], next=_EXAMPLE)
    if not value:
        raise UsageError(f"'{key}' is given no value", where=pair[:80], next="Leave out what is not known.")
    return key, value


def _set(document: dict[str, Any], key: str, value: str, pair: str, *, fresh: bool) -> None:
    """Put one value where its key says."""
    section, _, rest = key.partition(".")
    if not rest:
        raise UsageError(f"the key '{key}' names no section", where=pair[:80], next=_section_of(key))
    if section in ("extensions", "instruments"):
        raise UsageError(f"{section} cannot be given as pairs", where=pair[:80], next="Give a document with --meta.")
    node = _node(section, rest.partition(".")[0])
    name, _, entry = rest.partition(".")
    there = document.setdefault(section, {})
    kind = node.get("type")
    if kind == "array" and not entry:
        words = [word for word in (part.strip() for part in value.split(",")) if word]
        there[name] = words if fresh else [*there[name], *words]
        return
    if not fresh:
        raise UsageError(f"'{key}' is given twice", where=pair[:80], next="Give it once.")
    if kind == "object" and entry:
        there[name] = {**there.get(name, {}), entry: value}
    else:  # where the key has too many parts the schema names those that it knows
        there[rest] = _number(value) if kind == "number" else value


def _number(value: str) -> float | str:
    """The number; a text that is none is left to the schema, which says what is wanted."""
    try:
        return float(value)
    except ValueError:
        return value


def _person(people: list[dict[str, Any]], key: str, value: str, pair: str) -> None:
    """Enter one more person, or more of one."""
    parts = key.split(".", 2)
    if len(parts) == 1:
        people.append({"name": value})
    elif len(parts) == 2 and not _ORDINAL.match(parts[1]):
        people.append({"name": value, "role": parts[1].replace("_", " ")})
    elif len(parts) == 3 and _ORDINAL.match(parts[1]):
        number = int(parts[1])
        if number > len(people) + 1:
            raise UsageError(f"person {number} is named before person {number - 1}", where=pair[:80])
        if number > len(people):
            people.append({})
        if parts[2] in people[number - 1]:
            raise UsageError(f"'{key}' is given twice", where=pair[:80], next="Give it once.")
        people[number - 1][parts[2]] = value
    else:
        raise UsageError(
            f"the key '{key}' does not name a person",
            where=pair[:80],
            next='Examples: "people=Marie Curie", "people.operator=Marie Curie", "people.1.email=m.curie@example.org".',
        )


def _node(section: str, name: str) -> Mapping[str, Any]:
    """The schema of one key; empty where there is none, which the validation will say."""
    node: Mapping[str, Any] = schemas.schema(schemas.METADATA)["$defs"].get(section, {}).get("properties", {})
    found: Mapping[str, Any] = node.get(name, {})
    return found


def _section_of(key: str) -> str:
    """Which keys might have been meant."""
    definitions = schemas.schema(schemas.METADATA)["$defs"]
    known = [
        f"{section}.{name}" for section in ("session", "sample", "instrument") for name in _names(definitions, section)
    ]
    meant = [name for name in known if name.partition(".")[2] == key]
    meant = meant or [name for name in known if close_matches(key, [name.partition(".")[2]])]
    return f"Did you mean {' or '.join(meant[:3])}?" if meant else _EXAMPLE


def _names(definitions: Mapping[str, Any], section: str) -> Iterable[str]:
    names: Iterable[str] = definitions[section]["properties"]
    return names
