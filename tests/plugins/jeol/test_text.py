"""JEOL's side files, as other programs quote them."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

import diadem
from diadem.extract.assertions import Value
from diadem.hooks.cuts import cutter
from diadem.hooks.tables import tables
from tests.plugins.tiff.files import firsts, values, write

read = cutter("diadem.plugins.sem_text/sem-text")

LINES = (
    "$CM_FORMAT JEOL/SEM",
    "$CM_VERSION 1.0",
    "$CM_INSTRUMENT JSM-7800F",
    "$CM_OPERATOR someone",
    "$CM_SIGNAL SEI",
    "$CM_MAG 5000",
    "$CM_ACCEL_VOLT 15.00",
    "$CM_DATE 2019/03/12",
    "$CM_TIME 10:21:55",
    "$CM_FULL_SIZE 1280 960",
    "$$SM_MICRON_BAR 180",
    "$$SM_MICRON_MARKER 5um",
    "$$SM_WD 10.0",
)


def made(tmp_path: Path, *lines: str) -> dict[str, list[Value]]:
    text = tmp_path / "img.txt"
    text.write_bytes("\r\n".join(lines).encode())
    return values(read, tables("diadem.plugins.sem_text"), write(tmp_path / "img.tif"), [text])


def test_a_side_file(tmp_path: Path) -> None:
    found = made(tmp_path, *LINES)
    assert firsts(found) == {
        "beam.acceleration_voltage": 15000,
        "optics.magnification": 5000,
        "optics.working_distance": pytest.approx(0.01),
        "instrument.model": "JSM-7800F",
        "instrument.kind": "sem",
        "person.operator": "someone",
        "detector.name": "SEI",
        "image.pixel_size_x": pytest.approx(5e-6 / 180),
        "image.pixel_size_y": pytest.approx(5e-6 / 180),
        "time.acquired_start": "2019-03-12T10:21:55",
    }
    assert found["time.acquired_start"][0].offset_status == "unknown"


@pytest.mark.parametrize("coding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("between", [" ", "\t", " = "])
def test_other_ways_to_write_it(tmp_path: Path, coding: str, between: str) -> None:
    text = tmp_path / "img.txt"
    text.write_bytes("\r\n".join(line.replace(" ", between, 1) for line in LINES).encode(coding))
    found = firsts(values(read, tables("diadem.plugins.sem_text"), write(tmp_path / "img.tif"), [text]))
    assert (found["beam.acceleration_voltage"], found["optics.magnification"]) == (15000, 5000)
    assert (found["person.operator"], found["instrument.model"]) == ("someone", "JSM-7800F")


def test_a_field_of_view_that_the_magnification_proves(tmp_path: Path) -> None:
    lines = (*LINES, "$CM_IMAGE_SIZE 1280 960", "$CM_FIELD_OF_VIEW 25.6 19.2")
    found = firsts(made(tmp_path, *lines))
    assert found["optics.field_of_view_x"] == pytest.approx(25.6e-6)
    assert found["image.pixel_size_x"] == pytest.approx(20e-9)
    assert found["image.pixel_size_y"] == pytest.approx(20e-9)
    doubtful = firsts(made(tmp_path, *LINES, "$CM_IMAGE_SIZE 1280 960", "$CM_FIELD_OF_VIEW 25600 19200"))
    assert "optics.field_of_view_x" not in doubtful
    assert doubtful["image.pixel_size_x"] == pytest.approx(5e-6 / 180)


def test_a_transmission_microscope(tmp_path: Path) -> None:
    lines = (
        "$CM_INSTRUMENT JEM-2200FS",
        "$CM_ACCEL_VOLT 200",
        "$CM_SIGNAL TEM",
        "$CM_DATE 5/25/2026",
        "$CM_TIME 1:02:03 PM",
    )
    found = firsts(made(tmp_path, *lines))
    assert found == {
        "instrument.model": "JEM-2200FS",
        "instrument.kind": "tem",
        "beam.acceleration_voltage": 200000,
        "time.acquired_start": "2026-05-25T13:02:03",
    }


def test_a_date_that_nothing_decides(tmp_path: Path) -> None:
    assert "time.acquired_start" not in made(tmp_path, "$CM_DATE 05/06/2020", "$CM_TIME 10:00:00")


def test_texts_of_others(tmp_path: Path) -> None:
    assert made(tmp_path, "a diary", "$100 spent") == {}
    assert made(tmp_path, "$SM_WD 10") == {}
    assert made(tmp_path, "a diary", "it costs $CM_MAG 5000") == {}


@given(st.text(max_size=200))
def test_any_text_has_an_answer(text: str) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "img.txt")
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        list(read(str(path), [str(path)]))


def test_a_long_text_of_blank_lines_ends_soon(tmp_path: Path) -> None:
    started = time.process_time()
    assert made(tmp_path, "\n \t" * 300_000) == {}
    assert time.process_time() - started < 5


def test_a_list_of_serialem_goes_before_the_text(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 6), np.uint8))
    (tmp_path / "a.txt").write_text("$CM_MAG 100000\n$$SM_MICRON_BAR 100\n$$SM_MICRON_MARKER 1um\n")
    (tmp_path / "a.tif.mdoc").write_text("PixelSpacing = 2.5\nImageFile = a.tif\n\n[ZValue = 0]\nTiltAngle = 0\n")
    (dataset,) = diadem.extract(tmp_path).datasets
    assert dataset.value("optics.magnification") == 100000
    assert dataset.value("image.pixel_size_x") == pytest.approx(2.5e-10)
