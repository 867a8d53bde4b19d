"""The record as bytes: round trips, sharing, laziness."""

from __future__ import annotations

import json
from copy import deepcopy
from io import BytesIO
from time import process_time
from typing import Any

import pytest
from hypothesis import given, settings

from diadem.errors import DocumentError
from diadem.serialization.record_json import read_record
from diadem.serialization.record_writer import RecordWriter, build_record, write_record
from diadem.serialization.validation import validate_record
from tests.serialization.examples import valid
from tests.serialization.record_documents import assertion, dataset, dataset_lists, session_image, written


def canonical(value: Any) -> str:
    """Text that tells 1 from 1.0."""
    return json.dumps(value, sort_keys=True)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(dataset_lists())
def test_what_is_written_is_read(datasets: list[dict[str, Any]]) -> None:
    before = canonical(datasets)
    data = written(datasets)
    record = read_record(data)
    whole = record.to_dict()
    assert canonical(datasets) == before
    assert canonical(whole["datasets"]) == before
    assert [canonical(item.document) for item in record.datasets] == [canonical(item) for item in datasets]
    assert data == written(deepcopy(datasets))
    validate_record(whole)


@settings(max_examples=30, derandomize=True, deadline=None)
@given(dataset_lists())
def test_another_layout_of_the_same_document_reads_the_same(datasets: list[dict[str, Any]]) -> None:
    data = written(datasets)
    for text in (json.dumps(json.loads(data), indent=0), json.dumps(json.loads(data), indent=2, sort_keys=True)):
        assert read_record(text.encode()).to_dict() == read_record(data).to_dict()


@settings(max_examples=30, derandomize=True, deadline=None)
@given(dataset_lists())
def test_a_record_that_was_read_is_written_back_byte_for_byte(datasets: list[dict[str, Any]]) -> None:
    data = written(datasets)
    stream = BytesIO()
    write_record(stream, read_record(data))
    assert json.loads(stream.getvalue()) == json.loads(data)
    again = BytesIO()
    write_record(again, read_record(stream.getvalue()))
    assert again.getvalue() == stream.getvalue()


def test_the_file_is_one_document_with_one_dataset_a_line() -> None:
    data = written([session_image(index) for index in range(5)])
    document = json.loads(data)
    head, tail = "schema session sample people instrument", "omitted empty_dirs extensions shared"
    assert list(document) == [*head.split(), "datasets", *tail.split()]
    lines = data.split(b"\n")
    start = lines.index(b'"datasets":[')
    assert [json.loads(line.removesuffix(b","))["id"] for line in lines[start + 1 : start + 6]] == [
        item["id"] for item in document["datasets"]
    ]
    assert lines[start + 6] == b"],"


def test_first_inline_then_shared() -> None:
    first, second, third, fourth = json.loads(written([session_image(index) for index in range(4)]))["datasets"]
    assert first["fields"]["instrument.model"][0]["value"] == "Talos F200X"
    assert set(second["fields"]["instrument.model"][0]) == {"ref"}
    assert set(second["fields"]["stage.x"][0]) == {"ref", "value", "raw"}
    assert second["signals"] == third["signals"] == [{"ref": "s1"}]
    assert third["extraction"] == {"ref": "e1"}
    assert set(fourth["fields"]) == {"ref", "stage.x", "time.acquired_start"}


@pytest.mark.program("a record of 20,000 images")
def test_twenty_thousand_images_are_megabytes_and_open_at_once() -> None:
    begin = process_time()
    data = written([session_image(index) for index in range(20_000)])
    assert process_time() - begin < 30  # about 2 s on an idle core
    assert len(data) < 12_000_000
    begin = process_time()
    record = read_record(data)
    assert record.datasets[12_345].value("stage.x") == pytest.approx(12_345e-7)
    assert process_time() - begin < 1
    assert record.value("beam.acceleration_voltage") == 200000.0


def test_one_dataset_is_parsed_without_the_others() -> None:
    lines = written([session_image(index) for index in range(6)]).split(b"\n")
    at = lines.index(b'"datasets":[') + 1
    lines[at + 2] = b"{this is no JSON},"
    record = read_record(b"\n".join(lines))
    assert len(record.datasets) == 6
    assert record.datasets[4].id == "d4"
    assert record.datasets[-1].id == "d5"
    with pytest.raises(DocumentError, match="not strict JSON"):
        _ = record.datasets[2]


def test_memory_of_the_pool_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diadem.serialization.sharing._MOST_SHARED", 2000)
    datasets = [session_image(index) for index in range(20)]
    data = written(datasets)
    assert len(json.dumps(json.loads(data)["shared"])) < 4000
    assert [dict(item.document) for item in read_record(data).datasets] == datasets


def test_datasets_behave_as_a_sequence() -> None:
    record = build_record([dataset(index) for index in range(5)])
    assert [item.id for item in record.datasets] == ["d0", "d1", "d2", "d3", "d4"]
    assert [item.id for item in record.datasets[1:3]] == ["d1", "d2"]
    assert record.datasets[-1].id == "d4"
    with pytest.raises(IndexError):
        _ = record.datasets[5]


def test_a_record_without_datasets_is_a_record() -> None:
    record = read_record(written([], omitted=[{"path": "x", "kind": "symlink", "reason": "not archived"}]))
    assert len(record.datasets) == 0
    assert record.value("stage.x") is None
    assert record.omitted == [{"path": "x", "kind": "symlink", "reason": "not archived"}]


def test_a_continuation_names_its_predecessor_there_and_back() -> None:
    earlier = "diadem:" + "ab" * 32
    stream, again = BytesIO(), BytesIO()
    RecordWriter(stream, metadata={}).finish(omitted=[], empty_dirs=[], continues=earlier)
    record = read_record(stream.getvalue())
    assert record.continues == record.to_dict()["continues"] == earlier
    assert not record.unknown
    write_record(again, record)
    assert again.getvalue() == stream.getvalue()
    assert "continues" not in read_record(written([])).to_dict()
    with pytest.raises(DocumentError, match="continues"):
        RecordWriter(BytesIO(), metadata={}).finish(omitted=[], empty_dirs=[], continues="the package before")


def test_a_refused_dataset_leaves_no_trace() -> None:
    datasets = [session_image(index) for index in range(4)]
    stream = BytesIO()
    writer = RecordWriter(stream, metadata={"session": {"title": "A session"}})
    for item in datasets:
        for bad in (
            {**deepcopy(item), "comment": "x"},
            dataset(9, stage__x=[assertion(float("nan"), "m")]),
            dataset(9, stage__x=[assertion(1e-6, "m", applies_to=["s2"])]),
            dataset(9, stage__x=[{**assertion(1e-6, "m"), "source": {"file": "f9"}}]),
            dataset(9, detector__name=[assertion("\udc80")]),
        ):
            with pytest.raises(DocumentError):
                writer.add(bad)
        writer.add(item)
        with pytest.raises(DocumentError, match="two datasets"):
            writer.add(item)
    writer.finish(omitted=[], empty_dirs=[])
    assert stream.getvalue() == written(datasets)


def test_nothing_is_written_for_refused_metadata_and_extensions_are_kept() -> None:
    stream = BytesIO()
    with pytest.raises(DocumentError):
        RecordWriter(stream, metadata={"sesion": {}})
    assert stream.getvalue() == b""
    writer = RecordWriter(stream, metadata=valid("metadata", "everything"))
    writer.finish(omitted=[], empty_dirs=["a"])
    record = read_record(stream.getvalue())
    assert set(record.extensions) == {"org.example.cl"}
    assert record.empty_dirs == ["a"]
    assert record.sample["name"] == "ZnO nanorods"


def test_keys_of_a_later_minor_version_are_kept_and_written_back() -> None:
    datasets = [session_image(index) for index in range(3)]
    document = json.loads(written(datasets))
    document["schema"] = "diadem-record/1.7.0"
    document["provenance"] = {"new": [1, 2.0]}
    document["session"]["mood"] = "good"
    document["datasets"][0]["colour"] = "blue"
    document["datasets"][1]["fields"]["beam.colour"] = [assertion("blue")]
    document["datasets"][1]["files"][0]["owner"] = "me"
    document["datasets"][2]["fields"]["stage.x"] = [{**assertion(0.5, "m"), "mood": "good"}]
    record = read_record(json.dumps(document).encode())
    assert record.datasets[1].value("beam.colour") == "blue"
    stream = BytesIO()
    write_record(stream, record)
    whole = read_record(stream.getvalue()).to_dict()
    assert whole == record.to_dict()
    assert whole["provenance"] == {"new": [1, 2.0]}
    assert whole["schema"] == "diadem-record/1.7.0"
    assert whole["session"]["mood"] == "good"
    assert whole["datasets"][0]["colour"] == "blue"
    assert whole["datasets"][1]["files"][0]["owner"] == "me"
    assert whole["datasets"][2]["fields"]["stage.x"][0]["mood"] == "good"


def test_the_dictionary_shares_nothing() -> None:
    record = read_record(written([session_image(index) for index in range(4)]))
    whole = record.to_dict()
    whole["datasets"][2]["fields"]["instrument.model"][0]["value"] = "changed"
    assert whole["datasets"][3]["fields"]["instrument.model"][0]["value"] == "Talos F200X"
    assert record.value("instrument.model") == "Talos F200X"
