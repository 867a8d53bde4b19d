"""Required metadata: which keys of the policy nothing in a record states, and how a person supplies them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any, Final

from diadem.errors import Refused
from diadem.model.policy import Policy
from diadem.model.record import Record
from diadem.serialization import schemas

#: Sections of the metadata document that hold one object each.
SECTIONS: Final = ("session", "sample", "instrument")
#: Fields of datasets whose name in the metadata document is another one.
ALIASES: Final[Mapping[str, str]] = {"sample.prep_step": "sample.preparation"}
OPERATOR: Final = "person.operator"


@cache
def keys_that_can_be_required() -> frozenset[str]:
    """Keys that a person can supply at archiving: of session, sample, instrument and people.

    What only an instrument's files can state (``beam.acceleration_voltage``) is not among them: where a file does
    not state it, nobody could ever archive that file.
    """
    parts = _definitions()
    keys = {f"{section}.{name}" for section in SECTIONS for name in parts[section]["properties"]}
    people = {f"person.{name}" for name in parts["person"]["properties"]}
    return frozenset(keys | people | {OPERATOR, *ALIASES})


def required_missing(policy: Policy, record: Record) -> list[str]:
    """The required keys that no dataset and nothing said of session, sample, instrument and people states.

    Parameters
    ----------
    policy : Policy
        Its ``metadata.required`` counts.
    record : Record
        Of the package that is to be archived.

    Returns
    -------
    list of str
        In the order of the policy.
    """
    open_keys = [key for key in dict.fromkeys(policy.metadata.required) if not _said(key, record)]
    for dataset in record.datasets:
        if not open_keys:
            break
        stated = dataset.document.get("fields", {})
        open_keys = [key for key in open_keys if not stated.get(key)]
    return open_keys


def require_stated(policy: Policy, record: Record, *, where: str | None = None) -> None:
    """Raise where a required key is missing.

    Raises
    ------
    Refused
        Names the keys, and how to supply each.
    """
    if missing := required_missing(policy, record):
        raise Refused(missing_message(missing), where=where, next=supply_advice(missing))


def missing_message(missing: Sequence[str]) -> str:
    """``the policy requires sample.name and person.operator, and neither the files nor anybody states them``."""
    names = missing[0] if len(missing) == 1 else f"{', '.join(missing[:-1])} and {missing[-1]}"
    them = "it" if len(missing) == 1 else "them"
    return f"the policy requires {names}, and neither the files nor the session's metadata state {them}"


def supply_advice(missing: Sequence[str]) -> str:
    """How to supply the keys: options to add to the command, or the lines of a file for `--meta`."""
    options = " ".join(_option(key) for key in missing)
    return f"Add to the command: {options}\nor --meta session.toml, a file with:\n{meta_lines(missing)}"


def meta_lines(keys: Collection[str]) -> str:
    """The lines of a metadata file that states the keys, with examples as values."""
    sections: dict[str, list[str]] = {}
    for key in keys:
        section, _, name = ALIASES.get(key, key).partition(".")
        header = "[[people]]" if section == "person" else f"[{section}]"
        lines = sections.setdefault(header, [])
        if section == "person" and not any(line.startswith("name = ") for line in lines):
            lines.insert(0, f"name = {_example('person.name')}")
        if key == OPERATOR:
            lines.append('role = "operator"')
        elif key != "person.name":
            lines.append(f"{name} = {_example(key)}")
    return "\n".join("\n".join([header, *dict.fromkeys(lines)]) for header, lines in sections.items())


def _option(key: str) -> str:
    value = json.loads(_example(key))
    text = ",".join(value) if isinstance(value, list) else str(value)
    return f'--set {key}="{text}"'


def _example(key: str) -> str:
    """A valid value, as JSON and TOML write it."""
    section, _, name = ALIASES.get(key, key).partition(".")
    if key == OPERATOR:
        name = "name"
    example = _definitions()[section]["properties"][name]["examples"][0]
    return json.dumps(example, ensure_ascii=False)


def _said(key: str, record: Record) -> bool:
    """Whether a person said it of the session, the sample, the instrument or somebody who took part."""
    section, _, name = ALIASES.get(key, key).partition(".")
    if key == OPERATOR:
        return any("operator" in str(person.get("role", "")).lower() for person in record.people)
    if section == "person":
        return any(person.get(name) for person in record.people)
    sections = {"session": record.session, "sample": record.sample, "instrument": record.instrument}
    return bool(sections.get(section, {}).get(name))


def _definitions() -> Mapping[str, Any]:
    definitions: Mapping[str, Any] = schemas.schema(schemas.METADATA)["$defs"]
    return definitions
