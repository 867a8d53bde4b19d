"""The JSON Schemas that ship with DIADEM, and their compiled validators. Nothing is ever fetched."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, Final

import jsonschema_rs

from diadem.errors import DocumentError
from diadem.model.statement_kinds import KINDS

BASE: Final = "https://diadem-em.org/schemas/"
RECORD: Final = BASE + "record/1.0.0"
DATASET: Final = BASE + "record/1.0.0/dataset"
METADATA: Final = BASE + "record/1.0.0/metadata"
FINDING: Final = BASE + "finding/1.0.0"
REPORT: Final = BASE + "report/1.0.0"
STATEMENT: Final = BASE + "statement/1.0.0"
POLICY: Final = BASE + "policy/1.0.0"
#: Kinds of statement whose predicate has a schema: those that this version writes.
STATEMENT_KINDS: Final = tuple(KINDS)

#: Where each schema lies below `schemas/`.
_FILES: Final[Mapping[str, str]] = {
    RECORD: "record/1.0.0/record.schema.json",
    DATASET: "record/1.0.0/dataset.schema.json",
    METADATA: "record/1.0.0/metadata.schema.json",
    FINDING: "finding/1.0.0/finding.schema.json",
    REPORT: "report/1.0.0/report.schema.json",
    STATEMENT: "statement/1.0.0/statement.schema.json",
    POLICY: "policy/1.0.0/policy.schema.json",
    **{f"{STATEMENT}/{kind}": f"statement/1.0.0/{kind}.schema.json" for kind in STATEMENT_KINDS},
}
_CLOSURES: Final = frozenset({"additionalProperties", "unevaluatedProperties"})


def folder() -> Traversable:
    """`schemas/`: inside the package in an installed wheel, beside it in a checkout."""
    package = resources.files("diadem")
    inside = package / "schemas"
    return inside if inside.is_dir() else package / ".." / "schemas"


@cache
def schema(name: str) -> dict[str, Any]:
    """The schema with this `$id`; a shared object, not to be changed.

    Raises
    ------
    KeyError
        DIADEM has no such schema.
    """
    text = folder().joinpath(*_FILES[name].split("/")).read_text("utf-8")
    document: dict[str, Any] = json.loads(text)
    return document


@cache
def validator(name: str) -> jsonschema_rs.Draft202012Validator:
    """Compiled validator of a schema: closed, as documents are written."""
    return jsonschema_rs.Draft202012Validator(schema(name), retriever=_known, validate_formats=True)


@cache
def reading_validator(name: str) -> jsonschema_rs.Draft202012Validator:
    """The same, open: keys of a later minor version pass, everything that is known must still hold."""
    return jsonschema_rs.Draft202012Validator(_opened(schema(name)), retriever=_known_opened, validate_formats=True)


def _known(address: str) -> Any:
    try:
        return schema(address)
    except KeyError:
        raise DocumentError(f"the schema '{address}' does not ship with DIADEM and is not fetched") from None


def _known_opened(address: str) -> Any:
    return _opened(_known(address))


def _opened(node: Any) -> Any:
    """A schema without its closures; an unknown field key must still be a list of assertions."""
    if isinstance(node, list):
        return [_opened(item) for item in node]
    if not isinstance(node, dict):
        return node
    result = {key: _opened(item) for key, item in node.items() if key not in _CLOSURES or item is not False}
    if node.get("$id") == DATASET:
        result["properties"]["fields"]["additionalProperties"] = {"$ref": "#/$defs/assertions"}
    return result
