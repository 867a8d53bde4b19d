"""Datasets for the tests: one by hand, and Hypothesis strategies for many."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from hypothesis import strategies as st

from diadem.serialization.record_writer import RecordWriter

BY = {"plugin": "diadem-test", "version": "1.0.0", "rule": "test/1", "reader": "rosettasciio 0.15.0"}


def assertion(value: Any, unit: str | None = None, **more: Any) -> dict[str, Any]:
    """One assertion about signal s1 from file f1."""
    stated = {"value": value, "status": "stated", "source": {"file": "f1", "locator": "Tag/x", "raw": value}, "by": BY}
    return {**stated, **({"unit": unit} if unit else {}), **more}


def dataset(index: int = 1, **fields: list[dict[str, Any]]) -> dict[str, Any]:
    """A small image; field keys are given with ``__`` for the dot."""
    return {
        "id": f"d{index}",
        "files": [
            {
                "id": "f1",
                "path": f"session/image_{index:05}.tif",
                "role": "primary",
                "bytes": 16384 + index,
                "sha256": f"{index:064x}",
                "format": "tiff",
                "format_evidence": ["magic", "suffix"],
            }
        ],
        "signals": [
            {
                "id": "s1",
                "kind": "image",
                "shape": [64, 128],
                "dtype": "<u2",
                "axes": [
                    {"name": "y", "size": 64, "scale": 2e-9, "offset": 0.0, "unit": "m", "unit_as_stored": "nm"},
                    {"name": "x", "size": 128, "scale": 2e-9, "offset": 0.0, "unit": "m", "unit_as_stored": "nm"},
                ],
            }
        ],
        "fields": {key.replace("__", "."): stated for key, stated in fields.items()},
        "raw": [],
        "issues": [],
        "extraction": {"run": "r1", "tool": "diadem-em 0.1.0", "tz": "UTC"},
    }


def session_image(index: int) -> dict[str, Any]:
    """One of many images of a session: most values are the same, stage and time are not."""
    return dataset(
        index,
        beam__acceleration_voltage=[assertion(200000.0, "V")],
        optics__magnification=[assertion(50000, "1")],
        instrument__model=[assertion("Talos F200X")],
        detector__name=[assertion("HAADF"), assertion("BF")],
        scan__dwell_time=[assertion(1e-6, "s")],
        camera__exposure=[assertion(0.5, "s")],
        stage__x=[assertion(index * 1e-7, "m")],
        time__acquired_start=[
            assertion(f"2026-03-14T10:{index // 60 % 60:02}:{index % 60:02}", offset_status="unknown")
        ],
    )


def written(datasets: list[dict[str, Any]], **tail: Any) -> bytes:
    """The bytes of a record of these datasets."""
    stream = BytesIO()
    writer = RecordWriter(stream, metadata={"session": {"title": "A session"}})
    for item in datasets:
        writer.add(item)
    writer.finish(omitted=tail.get("omitted", []), empty_dirs=tail.get("empty_dirs", []))
    return stream.getvalue()


TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
WORDS = st.sampled_from(["HAADF", "BF", "µ-Detektor", "a\nb", '"', "\\u0041", "a\u2028b", "😀"])
RAW = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
STATUS = st.sampled_from(["stated", "converted", "derived", "assumed"])


@st.composite
def assertions(draw: st.DrawFn, values: st.SearchStrategy[Any], unit: str | None) -> list[dict[str, Any]]:
    """One to three assertions, at most one preferred; few distinct ones, so that some are shared."""
    result = []
    for _ in range(draw(st.integers(1, 3))):
        source: dict[str, Any] = {"file": "f1", "locator": draw(st.sampled_from(["A/b", "C"]))}
        if draw(st.booleans()):
            source["raw"] = draw(RAW)
        stated: dict[str, Any] = {"value": draw(values), "status": draw(STATUS), "source": source, "by": BY}
        if unit:
            stated["unit"] = unit
        result.append(stated)
    if draw(st.booleans()):
        result[0]["preferred"] = True
    return result


@st.composite
def dataset_lists(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Up to eight datasets that have much in common."""
    voltages = st.sampled_from([80000.0, 200000, 200000.0, 3e5])
    result = []
    for index in range(draw(st.integers(0, 8))):
        fields = {}
        if draw(st.booleans()):
            fields["beam.acceleration_voltage"] = draw(assertions(voltages, "V"))
        if draw(st.booleans()):
            fields["detector.name"] = draw(assertions(WORDS, None))
        if draw(st.booleans()):
            fields["stage.x"] = draw(assertions(st.floats(-1, 1), "m"))
        item = dataset(index)
        item["fields"] = fields
        item["extraction"] = {"run": draw(st.sampled_from(["r1", "r2"])), "note": draw(TEXTS)}
        item["issues"] = [{"code": "odd", "message": draw(WORDS)}] if draw(st.booleans()) else []
        result.append(item)
    return result
