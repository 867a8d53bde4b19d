"""What a reader says beyond what a record admits becomes an issue; the rest is kept."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.errors import DocumentError
from diadem.serialization.validation import admitted, require_admissible
from tests.serialization.record_documents import assertion, dataset, session_image

ODD = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text() | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


def test_a_valid_dataset_is_as_it_was() -> None:
    assert admitted(session_image(3)) == session_image(3)


def test_one_bad_field_costs_one_issue() -> None:
    item = session_image(3)
    item["fields"]["beam.acceleration_voltage"] = [assertion(200, "kV")]
    item["fields"]["beam.colour"] = [assertion("\ud800")]
    result = admitted(item)
    assert [issue["code"] for issue in result["issues"]] == ["not-recorded", "not-recorded"]
    assert "'beam.acceleration_voltage'" in result["issues"][0]["message"]
    assert set(result["fields"]) == set(session_image(3)["fields"]) - {"beam.acceleration_voltage"}
    assert result["signals"] == item["signals"]


def test_one_bad_extension_costs_one_issue() -> None:
    item = session_image(3)
    good = {"version": "1", "data": {"mirror": "flat"}, "validated": False, "by": {"plugin": "p", "version": "1"}}
    item["extensions"] = {"org.example.good": good, "Bad Name": good, "org.example.nan": {**good, "data": float("nan")}}
    result = admitted(item)
    assert result["extensions"] == {"org.example.good": good}
    assert [issue["code"] for issue in result["issues"]] == ["not-recorded", "not-recorded"]


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.sampled_from(["signals", "raw", "issues", "extraction", "stage.x", "detector.name"]), ODD)
def test_whatever_a_reader_says_the_result_is_admissible(part: str, value: Any) -> None:
    item = dataset(1, stage__x=[assertion(1e-6, "m", applies_to=["s1"])], detector__name=[assertion("BF")])
    if "." in part:
        item["fields"][part] = value
    else:
        item[part] = value
    result = admitted(item)
    require_admissible(result)
    assert result["files"] == item["files"]


def test_our_own_part_must_be_right() -> None:
    item = dataset(1)
    item["files"][0]["path"] = "../x"
    with pytest.raises(DocumentError, match=r"\$\.files\[0\]\.path"):
        admitted(item)
