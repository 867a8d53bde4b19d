"""ASPEX's descriptions: a real file, and what it does not have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import diadem
from diadem.hooks.cuts import cutter
from diadem.hooks.tables import tables
from tests.plugins.tiff.files import firsts, values, write

read = cutter("diadem.plugins.aspex/aspex")

EXPECTED = {
    "beam.acceleration_voltage": 20e3, "optics.working_distance": 0.019, "beam.current": 3.125e-10,
    "optics.magnification": 138.91, "eds.live_time": 120.03, "eds.real_time": 211.81, "detector.elevation": 35.0,
    "stage.x": 0.020401, "stage.y": -0.007028, "stage.z": 0.0, "stage.rotation": 0.0, "stage.tilt": 0.0,
    "person.operator": "Nicholas W. M. Ritchie", "sample.name": "Pure Gold", "instrument.model": "PSEM001",
    "time.acquired_start": "2005-04-26T13:17:43", "image.pixel_size_x": 2.49998e-6, "image.pixel_size_y": 2.49998e-6,
}  # fmt: skip


def test_a_real_file(shared_data: Path) -> None:
    (dataset,) = diadem.extract(shared_data / "more" / "tif-aspex" / "Gold.tif").datasets
    found = {field: dataset.value(field) for field in EXPECTED}
    assert {field: value if isinstance(value, str) else pytest.approx(value) for field, value in found.items()} == (
        EXPECTED
    )
    assert dataset.signals[0].axes[1].scale == pytest.approx(2.49998e-6)
    assert not dataset.issues


def made(tmp_path: Path, *lines: str) -> dict[str, Any]:
    text = "\n".join(("Pixel_Size=1 µm", "Stage_X=0.000 mm", *lines)).encode("latin-1")
    return firsts(values(read, tables("diadem.plugins.aspex"), write(tmp_path / "a.tif", {270: text})))


def test_what_is_not_measured(tmp_path: Path) -> None:
    found = made(
        tmp_path, "beam_current=0 nA", "working_distance=", "Analysis_Date=4/5/2005", "Analysis_Time=1:00:00 PM"
    )
    assert set(found) == {
        "image.pixel_size_x", "image.pixel_size_y", "stage.x", "instrument.kind", "beam.species",
    }  # fmt: skip


@pytest.mark.parametrize("text", [b"ImageJ=1.5\nunit=um", b"Pixel_Size=1", b"A Pixel_Size=1 and a Stage_X"])
def test_other_descriptions(tmp_path: Path, text: bytes) -> None:
    assert list(read(str(write(tmp_path / "a.tif", {270: text})), ())) == []
