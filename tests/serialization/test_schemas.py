"""The shipped schemas: sound, whole, offline, and each example behaves."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema
import jsonschema_rs
import pytest
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from diadem.errors import DocumentError
from diadem.serialization import schemas, validation
from diadem.serialization.strict_json import parse
from tests.serialization.examples import INVALID, VALID, invalid, names, valid

NAMES = (schemas.RECORD, schemas.DATASET, schemas.METADATA, schemas.FINDING, schemas.REPORT)
JUDGES: Mapping[str, Callable[[Any], object]] = {
    "record": validation.validate_record,
    "dataset": validation.validate_dataset,
    "metadata": validation.validate_metadata,
    "finding": partial(schemas.check, schemas.FINDING),
    "report": partial(schemas.check, schemas.REPORT),
}
OF_KIND = {
    "record": schemas.RECORD,
    "dataset": schemas.DATASET,
    "metadata": schemas.METADATA,
    "finding": schemas.FINDING,
    "report": schemas.REPORT,
}


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_a_schema_and_says_who_it_is(name: str) -> None:
    document = schemas.schema(name)
    assert document["$id"] == name
    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema_rs.meta.validate(document)


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_file_is_strict_json(name: str) -> None:
    checkout = Path(__file__).resolve().parents[2] / "schemas"
    files = [path for path in checkout.rglob("*.schema.json") if json.loads(path.read_text("utf-8"))["$id"] == name]
    assert len(files) == 1
    assert parse(files[0].read_bytes(), where=str(files[0])) == schemas.schema(name)


@pytest.mark.parametrize(("kind", "name"), names(VALID, JUDGES))
def test_a_valid_example_passes(kind: str, name: str) -> None:
    judge, document = JUDGES[kind], valid(kind, name)
    judge(document)
    assert document == valid(kind, name)
    with pytest.raises(DocumentError, match="no_such_key"):
        judge({**document, "no_such_key": 1})
    for key in schemas.schema(OF_KIND[kind]).get("required", ()):
        with pytest.raises(DocumentError, match=f'"{key}" is a required property|exactly if ok'):
            judge({other: value for other, value in document.items() if other != key})


@pytest.mark.parametrize(("kind", "name"), names(INVALID, JUDGES))
def test_an_invalid_example_is_refused_for_its_own_fault(kind: str, name: str) -> None:
    with pytest.raises(DocumentError) as caught:
        JUDGES[kind](invalid(kind, name))
    assert INVALID[kind][name]["says"] in caught.value.line


def test_every_kind_of_document_has_valid_and_invalid_examples() -> None:
    assert set(VALID) == set(INVALID) == {*JUDGES, "policy", "statement"}
    assert all(VALID.values())
    assert all(INVALID.values())


@pytest.mark.parametrize("cases", [VALID, INVALID], ids=["valid", "invalid"])
def test_another_validator_finds_the_same_faults_at_the_same_places(cases: Mapping[str, Mapping[str, Any]]) -> None:
    known = [*NAMES, schemas.STATEMENT, *(f"{schemas.STATEMENT}/{kind}" for kind in schemas.STATEMENT_KINDS)]
    resources = [(name, DRAFT202012.create_resource(schemas.schema(name))) for name in known]
    registry: Registry[Any] = Registry().with_resources(resources)
    formats = jsonschema.Draft202012Validator.FORMAT_CHECKER
    for kind, name in names(cases, cases):
        document = (valid if cases is VALID else invalid)(kind, name)
        parts = {f"{schemas.BASE}{kind}/1.0.0": document} if kind not in OF_KIND else {OF_KIND[kind]: document}
        predicate = f"{schemas.STATEMENT}/{str(document.get('predicateType', '')).split('/')[-2:][0]}"
        if predicate.rpartition("/")[2] in schemas.STATEMENT_KINDS:
            parts[predicate] = document["predicate"]
        for schema, part in parts.items():
            other = jsonschema.Draft202012Validator(schemas.schema(schema), registry=registry, format_checker=formats)
            found = {tuple(error.absolute_path) for error in other.iter_errors(part)}
            ours = {tuple(error.instance_path) for error in schemas.validator(schema).iter_errors(part)}
            assert found == ours, f"{kind} {name}"


@pytest.mark.parametrize("closed", [True, False])
def test_nothing_is_fetched(closed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemas, "schema", {"of elsewhere": {"$ref": "https://example.org/x"}}.__getitem__)
    with pytest.raises(Exception, match="not fetched"):
        schemas.validator("of elsewhere", closed=closed)


def test_examples_in_the_metadata_schema_are_valid() -> None:
    metadata, documents = schemas.schema(schemas.METADATA), []
    for name in ("session", "sample", "people", "instrument", "extensions"):
        documents += [{name: value} for value in metadata["$defs"][name]["examples"]]
        for key, node in metadata["$defs"][name].get("properties", {}).items():
            documents += [{name: {key: value}} for value in node["examples"]]
    for key, node in metadata["$defs"]["person"]["properties"].items():
        documents += [{"people": [{"name": "Marie Curie", key: value}]} for value in node["examples"]]
    for document in [*documents, metadata["examples"][0]]:
        assert without_orcid(validation.validate_metadata(document)) == without_orcid(document)
    assert len(documents) > 40


def without_orcid(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document whose ORCID iDs, which become addresses, are left out."""
    people = [{key: value for key, value in each.items() if key != "orcid"} for each in document.get("people", ())]
    return {**document, "people": people}
