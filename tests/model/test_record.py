"""The record as its readers use it."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from diadem.errors import AmbiguousValue
from diadem.model.record import Axis, Dataset, Datasets, Quantity, Record
from diadem.terms.fields import UnknownField

KNOWN = frozenset({"beam.acceleration_voltage", "beam.current", "detector.name", "sample.elements", "stage.x"})
BY = {"plugin": "diadem-test", "version": "1", "rule": "r/1"}


def stated(value: Any, unit: str = "", **more: Any) -> dict[str, Any]:
    """One assertion."""
    unit_part = {"unit": unit} if unit else {}
    return {"value": value, **unit_part, "status": "stated", "source": {"file": "f1"}, "by": BY, **more}


def dataset(name: str = "d1", **fields: list[dict[str, Any]]) -> Dataset:
    """A dataset with two files and a signal."""
    return Dataset(
        {
            "id": name,
            "files": [
                {"id": "f2", "path": "a_1.ser", "role": "sidecar", "bytes": 2, "sha256": "1e" * 32},
                {"id": "f1", "path": "a.emi", "role": "primary", "bytes": 1, "sha256": "0f" * 32, "format": "tia"},
            ],
            "signals": [
                {"id": "s1", "shape": [3, 4], "dtype": "<u2", "axes": [{"name": "y", "size": 3, "unit_as_stored": "?"}]}
            ],
            "fields": {key.replace("__", "."): items for key, items in fields.items()},
            "raw": [],
            "issues": [{"code": "odd", "message": "Odd."}],
            "extraction": {"tz": "UTC"},
            "novelty": 1,
        },
        KNOWN,
    )


def record(*datasets: Dataset) -> Record:
    """A record of these datasets."""
    return Record(schema="diadem-record/1.0.0", datasets=Datasets(datasets), known=KNOWN)


def test_the_parts_of_a_dataset() -> None:
    item = dataset()
    assert (item.id, item.path, item.primary.format) == ("d1", "a.emi", "tia")
    assert [file.role for file in item.files] == ["sidecar", "primary"]
    assert item.signals[0].shape == (3, 4)
    assert item.signals[0].axes == (Axis("y", 3, unit_as_stored="?"),)
    assert item.issues[0]["code"] == "odd"
    assert item.extraction == {"tz": "UTC"}
    assert item.raw == ()


def test_nothing_can_be_set() -> None:
    with pytest.raises(FrozenInstanceError):
        dataset().known = frozenset()  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        record().schema = "x"  # type: ignore[misc]


def test_preferred_goes_before_first() -> None:
    item = dataset(beam__current=[stated(1e-9, "A"), stated(2e-9, "A", preferred=True)], stage__x=[stated(0, "m")])
    assert item.value("beam.current") == 2e-9
    assert item.quantity("beam.current") == Quantity(2e-9, "A")
    assert item.value("stage.x") == 0
    assert item.value("detector.name") is None
    assert item.quantity("detector.name") is None
    assert [found.value for found in item.assertions("beam.current")] == [1e-9, 2e-9]
    assert item.assertions("beam.current")[1].preferred
    assert item.fields.keys() == {"beam.current", "stage.x"}


def test_a_signal_sees_its_own_and_the_general() -> None:
    names = [stated("all"), stated("HAADF", applies_to=["s1"]), stated("BF", applies_to=["s2"])]
    item = dataset(detector__name=names)
    assert item.value("detector.name") == "all"
    assert item.value("detector.name", "s1") == "HAADF"
    assert item.value("detector.name", "s2") == "BF"
    assert item.value("detector.name", "s3") == "all"


def test_an_unknown_key_is_an_error_that_helps() -> None:
    for call in (dataset().value, dataset().quantity, dataset().assertions, record(dataset()).value, record().value):
        with pytest.raises(UnknownField, match=r"Did you mean beam\.current\?"):
            call("beam.curent")


def test_a_key_of_a_later_version_that_is_there_can_be_asked_for() -> None:
    assert dataset(beam__colour=[stated("blue")]).value("beam.colour") == "blue"
    first, second = dataset("d1", beam__colour=[stated("blue")]), dataset("d2", beam__colour=[stated("blue")])
    assert record(first, second).value("beam.colour") == "blue"


def test_datasets_that_agree() -> None:
    first, silent, second = (
        dataset("d1", sample__elements=[stated(["Zn", "O"])], stage__x=[stated(1, "m")]),
        dataset("d2"),
        dataset("d3", sample__elements=[stated(["Zn", "O"])], stage__x=[stated(1.0, "m")]),
    )
    assert record(first, silent, second).value("sample.elements") == ["Zn", "O"]
    assert record(first, silent, second).value("stage.x") == 1
    assert record(first, silent, second).value("beam.current") is None


def test_datasets_that_do_not_agree_are_named() -> None:
    many = [dataset(f"d{index}", stage__x=[stated(index % 2, "m")]) for index in range(9)]
    with pytest.raises(AmbiguousValue) as caught:
        record(*many).value("stage.x")
    assert "0 in d0, d2, d4 and 2 more; 1 in d1, d3, d5 and 1 more" in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_the_dictionary_keeps_what_is_unknown_and_shares_nothing() -> None:
    whole = Record(
        schema="diadem-record/1.2.0", datasets=Datasets([dataset()]), known=KNOWN, unknown={"later": [1]}
    ).to_dict()
    assert whole["later"] == [1]
    assert whole["datasets"][0]["novelty"] == 1
    assert whole["datasets"][0] is not dataset().document
