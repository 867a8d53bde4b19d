"""The shipped schemas: sound, whole, offline, and each example behaves."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from diadem.errors import DocumentError
from diadem.serialization import schemas, validation
from diadem.serialization.strict_json import parse
from tests.serialization.record_documents import EXAMPLES, example

NAMES = (schemas.RECORD, schemas.DATASET, schemas.METADATA, schemas.FINDING, schemas.REPORT)
JUDGES: Mapping[str, Callable[[Any], object]] = {
    "record": validation.validate_record,
    "dataset": validation.validate_dataset,
    "metadata": validation.validate_metadata,
    "finding": validation.validate_finding,
    "report": validation.validate_report,
}
OF_KIND = {
    "record": schemas.RECORD,
    "dataset": schemas.DATASET,
    "metadata": schemas.METADATA,
    "finding": schemas.FINDING,
    "report": schemas.REPORT,
}
#: What each invalid example must be refused for: a piece of the message.
REASONS = {
    "dataset/absolute_path": "$.files[0].path",
    "dataset/axis_unit_not_si": "$.signals[0].axes[0].unit",
    "dataset/date_with_points": "19.08.2022",
    "dataset/digest_in_upper_case": "64 hex digits in lower case",
    "dataset/empty_source": "a file, a person or a statement",
    "dataset/empty_text": "leave out what is not known",
    "dataset/extension_unjudged": '"validated" is a required property',
    "dataset/misspelt_field": "Did you mean beam.acceleration_voltage",
    "dataset/no_primary": "Exactly one file is the primary",
    "dataset/no_provenance": '"by" is a required property',
    "dataset/no_source": '"source" is a required property',
    "dataset/offset_known_yet_absent": "RFC 3339",
    "dataset/offset_status_missing": '"offset_status" is a required property',
    "dataset/offset_unknown_yet_given": "RFC 3339",
    "dataset/path_leaves_payload": "none of them . or ..",
    "dataset/reference_left": "$.fields['detector.name'][0]",
    "dataset/two_preferred": "at most one assertion is preferred",
    "dataset/unit_missing": '"unit" is a required property',
    "dataset/unit_on_text": "$.fields['detector.name'][0].unit",
    "dataset/unit_with_prefix": '"V" was expected',
    "dataset/unknown_field": "beam.colour",
    "dataset/unknown_key": "Known here: id, files",
    "dataset/voltage_as_text": 'is not of type "number"',
    "dataset/zero_voltage": "less than or equal to the minimum of 0",
    "finding/range_of_one": "$.range",
    "finding/severity_in_words": "$.severity",
    "metadata/bad_namespace": 'Example: {"org.example.cl"',
    "metadata/date_with_points": 'YYYY-MM-DD. Example: "2026-03-14"',
    "metadata/empty_title": "$.session.title: the text is empty",
    "metadata/extension_without_version": "$.extensions['org.example.cl']",
    "metadata/misspelt_key": "Did you mean title?",
    "metadata/misspelt_section": "Did you mean session?",
    "metadata/no_such_day": "2026-02-30",
    "metadata/not_an_element": '$.sample.elements[1]: "Ox"',
    "metadata/orcid_mistyped": "check character",
    "metadata/people_as_object": 'not of type "array"',
    "metadata/person_without_name": 'Example: {"name":"Marie Curie"',
    "metadata/thickness_in_nanometres": "Thickness in metres",
    "record/bad_dataset": '"V" was expected',
    "record/continues_a_name": "Id of the package to which this one adds",
    "record/dataset_id_twice": "an id stands twice: d1",
    "record/later_major_version": "$.schema",
    "record/omitted_without_reason": '"reason" is a required property',
    "record/unknown_key": "comment",
    "report/not_ok_without_error": "exactly if ok is false",
    "report/ok_with_error": "exactly if ok is false",
    "report/package_without_prefix": "$.package",
}


def found(kind: str) -> list[str]:
    """Examples of one kind, as ``schema/name``."""
    folders = [EXAMPLES / kind / name for name in JUDGES]
    return sorted(f"{path.parent.name}/{path.stem}" for folder in folders for path in folder.glob("*.json"))


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


@pytest.mark.parametrize("name", found("valid"))
def test_a_valid_example_passes(name: str) -> None:
    judge, document = JUDGES[Path(name).parent.name], example(f"valid/{name}.json")
    judge(document)
    assert document == example(f"valid/{name}.json")
    with pytest.raises(DocumentError, match="no_such_key"):
        judge({**document, "no_such_key": 1})
    for key in schemas.schema(OF_KIND[Path(name).parent.name]).get("required", ()):
        with pytest.raises(DocumentError, match=f'"{key}" is a required property|exactly if ok'):
            judge({other: value for other, value in document.items() if other != key})


@pytest.mark.parametrize("name", found("invalid"))
def test_an_invalid_example_is_refused_for_its_own_fault(name: str) -> None:
    with pytest.raises(DocumentError) as caught:
        JUDGES[Path(name).parent.name](example(f"invalid/{name}.json"))
    assert REASONS[name] in str(caught.value)


def test_every_reason_has_its_example_and_every_schema_a_valid_one() -> None:
    assert set(found("invalid")) == set(REASONS)
    assert {name.split("/")[0] for name in found("valid")} == set(JUDGES)


def test_nothing_is_fetched() -> None:
    with pytest.raises(Exception, match="not fetched"):
        jsonschema_rs.Draft202012Validator({"$ref": "https://example.org/x"}, retriever=schemas._known)


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
