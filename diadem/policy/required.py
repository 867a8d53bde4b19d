"""Required metadata: which keys of the policy nothing in a record states, and how a person supplies them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from diadem.errors import Refused
from diadem.model.policy import Policy
from diadem.model.record import Record
from diadem.policy.case import joined
from diadem.serialization import schemas
from diadem.serialization.toml_text import toml_value

#: Sections of the metadata document that hold one object each.
SECTIONS: Final = ("session", "sample", "instrument")
#: Fields of datasets whose name in the metadata document is another one.
ALIASES: Final[Mapping[str, str]] = {"sample.prep_step": "sample.preparation"}
#: And the other way round.
_FIELDS: Final[Mapping[str, str]] = {name: field for field, name in ALIASES.items()}
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
    """The required keys that no dataset and nothing said of session, sample, instrument and people states, in order."""
    open_keys = [key for key in dict.fromkeys(policy.metadata.required) if not _said(key, record)]
    for dataset in record.datasets:
        if not open_keys:
            break
        stated = dataset.document.get("fields", {})
        open_keys = [key for key in open_keys if not stated.get(_FIELDS.get(key, key))]
    return open_keys


def require_stated(policy: Policy, record: Record, *, where: str | None = None) -> None:
    """Raise `Refused` where a required key is missing: it names the keys, and how to supply each."""
    if missing := required_missing(policy, record):
        raise Refused(missing_message(missing), where=where, next=supply_advice(missing))


def missing_message(missing: Sequence[str]) -> str:
    """``the policy requires sample.name and person.operator, and neither the files nor anybody states them``."""
    them = "it" if len(missing) == 1 else "them"
    return f"the policy requires {joined(missing)}, and neither the files nor the session's metadata state {them}"


def supply_advice(missing: Sequence[str]) -> str:
    """How to supply the keys: options to add to the command, or the lines of a file for `--meta`."""
    pairs = [pair.partition("=") for pair in example_pairs(missing)]
    options = " ".join(f'--set {key}="{value}"' for key, _, value in pairs)
    return f"Add to the command: {options}\nor --meta session.toml, a file with:\n{meta_lines(missing)}"


def example_pairs(keys: Sequence[str]) -> list[str]:
    """Pairs ``sample.name=ZnO nanorods`` for `--set` that state the keys, with examples as values."""
    pairs = list(dict.fromkeys(_pair(key) for key in keys if not key.startswith("person.")))
    people = [key for key in keys if key.startswith("person.")]
    if people == [OPERATOR]:
        return [*pairs, f"people.operator={_text_example(OPERATOR)}"]
    if people == ["person.name"]:
        return [*pairs, f"people={_text_example('person.name')}"]
    said = {"name": _text_example("person.name")} if people else {}
    for key in people:
        said |= {"role": "operator"} if key == OPERATOR else {key.removeprefix("person."): _text_example(key)}
    return pairs + [f"people.1.{name}={value}" for name, value in said.items()]


def meta_lines(keys: Sequence[str]) -> str:
    """The lines of a metadata file (TOML) that states the keys, with examples as values."""
    sections: dict[str, dict[str, str]] = {}
    for key in keys:
        section, _, name = ALIASES.get(key, key).partition(".")
        if section == "person":
            lines = sections.setdefault("[[people]]", {"name": toml_value(_example("person.name"))})
            lines |= {"role": '"operator"'} if key == OPERATOR else {name: toml_value(_example(key))}
        else:
            sections.setdefault(f"[{section}]", {})[name] = toml_value(_example(key))
    texts = [
        "\n".join([header, *(f"{name} = {text}" for name, text in lines.items())]) for header, lines in sections.items()
    ]
    return "\n".join(texts)


def _pair(key: str) -> str:
    example = _example(key)
    name = ALIASES.get(key, key)
    if isinstance(example, dict):
        inner, value = next(iter(example.items()))
        return f"{name}.{inner}={value}"
    return f"{name}={_text_example(key)}"


def _text_example(key: str) -> str:
    example = _example(key)
    return ", ".join(example) if isinstance(example, list) else str(example)


def _example(key: str) -> Any:
    """A valid value, from the schema."""
    section, _, name = ALIASES.get(key, key).partition(".")
    name = "name" if key == OPERATOR else name
    return _definitions()[section]["properties"][name]["examples"][0]


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
