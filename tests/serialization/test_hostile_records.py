"""Records made to hurt: each is refused with DocumentError, at once or when the dataset is asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.errors import DocumentError
from diadem.serialization import record_json
from diadem.serialization.record_json import read_record
from tests.serialization.record_documents import session_image, written

GOOD = written([session_image(index) for index in range(4)])


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    """The good record, changed, in another layout."""
    document = json.loads(GOOD)
    change(document)
    return json.dumps(document).encode()


def line_changed(old: bytes, new: bytes) -> bytes:
    """The good record in its own layout with one piece replaced."""
    assert GOOD.count(old)
    return GOOD.replace(old, new, 1)


HOSTILE = {
    "nothing": b"",
    "not_json": b"hello",
    "a_list": b"[]",
    "an_empty_object": b"{}",
    "deep": b'{"schema":"diadem-record/1.0.0","datasets":' + b"[" * 200_000,
    "deep_and_closed": b'{"schema":' + b"[" * 500 + b"]" * 500 + b"}",
    "deep_in_a_line": line_changed(b'"issues":[]', b'"issues":' + b"[" * 100_000 + b"]" * 100_000),
    "duplicate_key": b'{"schema":"diadem-record/1.0.0",' + GOOD[1:],
    "duplicate_key_in_a_dataset": line_changed(b'{"id":"d1"', b'{"id":"d7","id":"d1"'),
    "nan": line_changed(b'"bytes":16385', b'"bytes":NaN'),
    "infinity_by_size": line_changed(b'"bytes":16385', b'"bytes":1e999'),
    "digits": line_changed(b'"bytes":16385', b'"bytes":' + b"9" * 50_000),
    "lone_surrogate": line_changed(b"image_00001.tif", b"image_\\ud800.tif"),
    "not_utf8": line_changed(b"image_00001.tif", b"image_\xff.tif"),
    "two_datasets_on_a_line": line_changed(b'{"ref":"e1"}},\n', b'{"ref":"e1"}},'),
    "later_major": changed(lambda d: d.update(schema="diadem-record/2.0.0")),
    "schema_is_a_list": changed(lambda d: d.update(schema=["diadem-record/1.0.0"])),
    "no_datasets": changed(lambda d: d.pop("datasets")),
    "datasets_is_text": changed(lambda d: d.update(datasets="x" * 100)),
    "dataset_is_text": changed(lambda d: d["datasets"].append("x")),
    "shared_is_text": changed(lambda d: d.update(shared="x")),
    "shared_assertions_is_a_list": changed(lambda d: d["shared"].update(assertions=[1])),
    "dangling": changed(lambda d: d["datasets"][2]["signals"].append({"ref": "s99"})),
    "dangling_extraction": changed(lambda d: d["datasets"][2].update(extraction={"ref": "a1"})),
    "dangling_group": changed(lambda d: d["datasets"][3]["fields"].update(ref="f99")),
    "reference_is_a_list": changed(lambda d: d["datasets"][2]["signals"].append({"ref": ["s1"]})),
    "loop": changed(lambda d: d["shared"]["signals"].update(s1={"ref": "s1"})),
    "loop_of_groups": changed(lambda d: d["shared"]["fields"]["f1"].update(ref="f1")),
    "loop_in_a_group": changed(lambda d: d["shared"]["assertions"].update(a1={"ref": "a2"})),
    "more_beside_a_reference": changed(lambda d: d["datasets"][1]["signals"][0].update(id="s9")),
    "form_without_value": changed(lambda d: d["datasets"][1]["fields"]["stage.x"][0].pop("value")),
    "unit_by_the_back_door": changed(lambda d: d["shared"]["assertions"]["a1"].update(unit="kV")),
    "path_leaves": changed(lambda d: d["datasets"][0]["files"][0].update(path="../../etc/passwd")),
    "fields_is_a_list": changed(lambda d: d["datasets"][0].update(fields=[1])),
    "signals_is_text": changed(lambda d: d["datasets"][0].update(signals="x")),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_records_are_refused(name: str) -> None:
    with pytest.raises(DocumentError):
        read_record(HOSTILE[name]).to_dict()


def test_a_list_hidden_in_the_head_is_not_taken_for_the_datasets() -> None:
    hidden = b'"session":{\n"datasets":[\n{"id":"evil"}\n],\n"title":"x"}'
    record = read_record(line_changed(b'"session":{"title":"A session"}', hidden))
    assert [item.id for item in record.datasets] == ["d0", "d1", "d2", "d3"]


def test_a_large_record_in_a_foreign_layout_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = json.dumps(json.loads(GOOD)).encode()
    assert len(read_record(foreign).datasets) == 4
    monkeypatch.setattr(record_json, "MAX_WHOLE", 100)
    assert len(read_record(GOOD).datasets) == 4
    with pytest.raises(DocumentError, match="more than the 100 that are read"):
        read_record(foreign)
    monkeypatch.setattr(record_json, "MAX_BYTES", 100)
    with pytest.raises(DocumentError, match="more than the 100 that are read"):
        read_record(GOOD)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.binary(max_size=3), st.integers(0, 3))
def test_damage_is_refused_or_reads_as_valid(at: int, patch: bytes, cut: int) -> None:
    damaged = GOOD[:at] + patch + GOOD[at + cut :]
    try:
        whole = read_record(damaged).to_dict()
    except DocumentError:
        return
    read_record(json.dumps(whole).encode())
    assert len(json.loads(damaged)["datasets"]) == len(whole["datasets"])
