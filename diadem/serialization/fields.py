"""The closed list of field keys: label, unit and standard terms of each, read from the dataset schema."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from diadem.model.fields import require_known
from diadem.serialization import schemas


@cache
def field_keys() -> frozenset[str]:
    """Every key that a record of this version may have."""
    return frozenset(_declared())


def label(key: str) -> str:
    """The field in plain words: ``Acceleration voltage``. Raises `UnknownField`."""
    return str(_declaration(key)["x-diadem-label"])


def unit(key: str) -> str:
    """The one unit of the field's values: ``V``; "" for texts, times and lists. Raises `UnknownField`."""
    declared = _declaration(key)["items"]["properties"]["unit"]
    return str(declared["const"]) if isinstance(declared, Mapping) else ""


def terms(key: str) -> tuple[str, ...]:
    """What the field means elsewhere: EM Glossary IRI, ``NXem:`` path, ``HyperSpy:`` path. Raises `UnknownField`."""
    return tuple(_declaration(key)["x-diadem-term"])


def term_iri(key: str) -> str:
    """The first term that is an address, or ""."""
    return next((term for term in terms(key) if term.startswith("https://")), "")


def is_field(key: str) -> bool:
    """Whether a record may have such a field."""
    return key in field_keys()


def is_integer(key: str) -> bool:
    """Whether the field's values are whole numbers. Raises `UnknownField`."""
    return bool(_declaration(key)["items"]["properties"]["value"].get("type") == "integer")


def is_list(key: str) -> bool:
    """Whether the field's values are lists. Raises `UnknownField`."""
    return bool(_declaration(key)["items"]["properties"]["value"].get("type") == "array")


def rule(key: str) -> str:
    """What the field can hold, in words, as far as the schema says it so. Raises `UnknownField`."""
    value = _declaration(key)["items"]["properties"]["value"]
    if "description" in value:
        return str(value["description"])
    if "enum" in value:
        return f"It is one of {', '.join(map(str, value['enum'][:20]))}."
    low = [f"more than {value['exclusiveMinimum']:g}"] if "exclusiveMinimum" in value else []
    low += [f"at least {value['minimum']:g}"] if "minimum" in value else []
    high = [f"at most {value['maximum']:g}"] if "maximum" in value else []
    within = " and ".join([*low, *high])
    return f"It is {within}, in {unit(key)}." if within and unit(key) else ""


def admits(key: str, value: Any) -> bool:
    """Whether the field can hold a value: its type, range and pattern. Raises `UnknownField`."""
    return bool(_validator(key).is_valid(value))


@cache
def _validator(key: str) -> Any:
    import jsonschema_rs

    return jsonschema_rs.validator_for(_declaration(key)["items"]["properties"]["value"])


def _declared() -> dict[str, Any]:
    declared: dict[str, Any] = schemas.schema(schemas.DATASET)["properties"]["fields"]["properties"]
    return declared


def _declaration(key: str) -> dict[str, Any]:
    require_known(key, field_keys())
    declaration: dict[str, Any] = _declared()[key]
    return declaration
