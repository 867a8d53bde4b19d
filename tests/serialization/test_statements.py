"""Statements against their schemas: every kind has valid and invalid examples; the schema and the model agree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.errors import DocumentError
from diadem.model.manifest import PackageId
from diadem.model.statements import KINDS, Draft, Statement, Subject
from diadem.serialization import schemas
from diadem.serialization.strict_json import parse
from diadem.serialization.validation import read_statement, validate_draft
from tests.serialization.examples import INVALID, VALID, invalid, valid

PROPERTY = settings(max_examples=50, derandomize=True, deadline=None)

NAMES = (schemas.STATEMENT, *(f"{schemas.STATEMENT}/{kind}" for kind in schemas.STATEMENT_KINDS))
#: Faults that a schema cannot see: they join several members, or need a calendar.
BEYOND_SCHEMAS = {"name_and_digest_disagree", "no_such_day", "prev_of_another", "subject_twice"}
PACKAGE = Subject.package("ef" * 32)


def _payload(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _fits_schemas(document: Any) -> bool:
    """Whether the shipped schemas alone, as another program would use them, take the document."""
    if not schemas.validator(schemas.STATEMENT).is_valid(document):
        return False
    kind = document["predicateType"].split("/")[-2]
    return kind not in schemas.STATEMENT_KINDS or schemas.validator(f"{schemas.STATEMENT}/{kind}").is_valid(
        document["predicate"]
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_a_schema_says_who_it_is_and_is_strict_json(name: str) -> None:
    document = schemas.schema(name)
    assert document["$id"] == name
    jsonschema_rs.meta.validate(document)
    folder = Path(__file__).resolve().parents[2] / "schemas" / "statement" / "1.0.0"
    files = [path for path in folder.glob("*.schema.json") if json.loads(path.read_text("utf-8"))["$id"] == name]
    assert len(files) == 1
    assert parse(files[0].read_bytes(), where=str(files[0])) == document


def test_every_schema_is_of_a_kind_that_is_known_and_says_what_it_means() -> None:
    assert set(schemas.STATEMENT_KINDS) <= set(KINDS)
    folder = Path(__file__).resolve().parents[2] / "schemas" / "statement" / "1.0.0"
    assert len(list(folder.iterdir())) == len(NAMES)
    for kind in schemas.STATEMENT_KINDS:
        document = schemas.schema(f"{schemas.STATEMENT}/{kind}")
        assert set(document["required"]) <= set(document["properties"])
        assert not {"node", "time", "salt", "prev"} & set(document["properties"])


@pytest.mark.parametrize("name", VALID["statement"])
def test_a_valid_example_is_read_and_kept(name: str) -> None:
    document = valid("statement", name)
    assert _fits_schemas(document)
    statement = read_statement(_payload(document))
    assert statement.to_dict() == document
    assert (statement.known is None) == (name == "unknown_kind")


@pytest.mark.parametrize("name", INVALID["statement"])
def test_an_invalid_example_is_refused_for_its_own_fault(name: str) -> None:
    document = invalid("statement", name)
    with pytest.raises(DocumentError) as caught:
        read_statement(_payload(document))
    assert INVALID["statement"][name]["says"] in str(caught.value)
    assert _fits_schemas(document) == (name in BEYOND_SCHEMAS)


def test_every_schema_has_a_valid_example() -> None:
    kinds = {Statement.from_dict(valid("statement", name)).kind for name in VALID["statement"]}
    assert set(schemas.STATEMENT_KINDS) <= kinds


@pytest.mark.parametrize("name", [name for name in VALID["statement"] if name != "unknown_kind"])
def test_what_is_written_is_judged_before_it_is_signed(name: str) -> None:
    statement = Statement.from_dict(valid("statement", name))
    own = {key: value for key, value in statement.predicate.items() if key not in {"node", "time", "salt", "prev"}}
    validate_draft(Draft(statement.kind, statement.subjects, own))
    for member in schemas.schema(f"{schemas.STATEMENT}/{statement.kind}")["required"]:
        rest = {key: value for key, value in own.items() if key != member}
        with pytest.raises(DocumentError, match=f'"{member}" is a required property'):
            validate_draft(Draft(statement.kind, statement.subjects, rest))


def test_every_kind_has_a_schema() -> None:
    assert set(schemas.STATEMENT_KINDS) == set(KINDS)


def test_ids_and_tuples_of_a_program_are_judged_as_the_json_that_they_become() -> None:
    package = PackageId(PACKAGE.name)
    validate_draft(Draft("fixity", (PACKAGE,), {"store": "nas", "level": "full", "proven": (package,), "findings": ()}))
    with pytest.raises(DocumentError, match=r"\$\.proven\[0\]"):
        validate_draft(Draft("fixity", (PACKAGE,), {"store": "nas", "level": "full", "proven": ("x",)}))


def test_what_is_no_json_is_refused_before_it_is_signed() -> None:
    for value in (float("nan"), "\udcff", {1}, b"x"):
        with pytest.raises(DocumentError):
            validate_draft(Draft("countersign", (PACKAGE,), {"reason": value}))


@PROPERTY
@given(st.data())
def test_whatever_is_read_fits_the_schemas(data: st.DataObject) -> None:
    document = valid("statement", data.draw(st.sampled_from(list(VALID["statement"]))))
    place = document
    while True:
        key = data.draw(st.sampled_from(sorted(place)))
        if not isinstance(place[key], dict) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    odd: st.SearchStrategy[Any] = (
        st.none() | st.booleans() | st.integers(-1, 1) | st.text(max_size=3) | st.just([]) | st.just({})
    )
    place[key] = data.draw(odd)
    try:
        read_statement(_payload(document))
    except DocumentError:
        return
    assert _fits_schemas(document)
