"""Records of every version are read for ever: golden files, a made-up past, and a future that keeps its keys."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from diadem.errors import DocumentError
from diadem.serialization.record_json import (
    MIGRATIONS,
    SCHEMA,
    Migration,
    read_record,
    steps_from,
)
from diadem.serialization.record_writer import write_record
from diadem.serialization.validation import validate_record

GOLDEN = Path(__file__).parent / "golden"


def golden(name: str) -> bytes:
    return (GOLDEN / name).read_bytes()


# -- a past that never was: 0.8 called people operators, 0.9 had voltages in kV under another name ---------------------


def _people(head: dict[str, Any]) -> dict[str, Any]:
    operators = head.pop("operators")
    return {**head, "people": [{"name": name} for name in operators]}


def _volts(dataset: dict[str, Any]) -> dict[str, Any]:
    for assertion in (stated := dataset["fields"].pop("beam.kilovolts", [])):
        assertion.update(value=assertion["value"] * 1000, unit="V")
    return {**dataset, "fields": {**dataset["fields"], **({"beam.acceleration_voltage": stated} if stated else {})}}


PAST = (
    Migration((0, 9), (1, 0), dataset=_volts),
    Migration((0, 8), (0, 9), head=_people),
)


@pytest.mark.parametrize("version", ["0.8.0", "0.9.0", "1.0.0", "1.7.0"])
def test_a_golden_record_is_read_as_it_always_was(version: str) -> None:
    data = golden(f"record-{version}.json")
    record = read_record(data, migrations=PAST)
    assert record.to_dict() == json.loads(golden(f"record-{version}.read.json"))
    assert record.value("beam.acceleration_voltage") == 200_000.0
    assert record.people[0]["name"] == "Marie Curie"


@pytest.mark.parametrize("version", ["0.8.0", "0.9.0"])
def test_what_is_migrated_is_a_record_of_this_version(version: str) -> None:
    record = read_record(golden(f"record-{version}.json"), migrations=PAST)
    assert record.schema == SCHEMA
    validate_record(record.to_dict())
    again = pickle.loads(pickle.dumps(record))
    assert again.to_dict() == record.to_dict()
    sink = BytesIO()
    write_record(sink, record)
    assert read_record(sink.getvalue()).to_dict() == record.to_dict()


@pytest.mark.parametrize("version", ["0.8.0", "0.9.0"])
def test_without_its_steps_a_record_is_refused(version: str) -> None:
    with pytest.raises(DocumentError, match=f"diadem-record/{version}"):
        read_record(golden(f"record-{version}.json"))
    with pytest.raises(DocumentError, match=f"diadem-record/{version}"):
        read_record(golden("record-0.8.0.json").replace(b"0.8.0", version.encode()), migrations=PAST[1:])


@pytest.mark.parametrize("layout", [golden, lambda name: json.dumps(json.loads(golden(name))).encode()])
def test_the_original_is_not_touched(layout: Callable[[str], bytes]) -> None:
    """A dataset is migrated each time it is asked for, from what the record has, however it lies there."""
    record = read_record(layout("record-0.8.0.json"), migrations=PAST)
    before = record.to_dict()
    assert before["schema"] == SCHEMA
    assert "operators" not in before
    for dataset in record.datasets:
        dataset.document["fields"].clear()
    assert record.to_dict() == before


def test_a_later_minor_version_keeps_what_we_do_not_know() -> None:
    record = read_record(golden("record-1.7.0.json"))
    assert record.schema == "diadem-record/1.7.0"
    assert record.unknown == {"provenance": {"grade": "A"}}
    assert record.datasets[0].document["mood"] == "good"
    assert record.datasets[0].value("beam.coherence") == 0.7
    sink = BytesIO()
    write_record(sink, record)
    assert read_record(sink.getvalue()).to_dict() == record.to_dict()
    whole = json.dumps(record.to_dict()).encode()
    assert read_record(whole, migrations=PAST).to_dict() == record.to_dict()


def test_the_first_version_has_no_steps() -> None:
    assert tuple(MIGRATIONS) == ()
    assert steps_from(SCHEMA) == steps_from("diadem-record/1.0.9") == steps_from("diadem-record/1.999.0", PAST) == ()
    assert [step.before for step in steps_from("diadem-record/0.8.3", PAST)] == [(0, 8), (0, 9)]


@pytest.mark.parametrize(
    "schema",
    [None, 1, "", "diadem-record/", "diadem-record/1", "diadem-record/1.0", "diadem-record/2.0.0", "record/1.0.0",
     "diadem-record/01.0.0", "diadem-record/1.0.0\n", "diadem-record/1.0.0.0", "diadem-record/0.7.0",
     f"diadem-record/1.{'9' * 50}.0"],
)  # fmt: skip
def test_what_is_no_version_is_refused(schema: object) -> None:
    with pytest.raises(DocumentError, match="is not a record that this version reads"):
        steps_from(schema, PAST)


def test_a_step_leads_forward() -> None:
    with pytest.raises(ValueError, match="later version"):
        Migration((1, 0), (1, 0))
