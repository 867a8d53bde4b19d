"""Hitachi's side files, as other programs quote them."""

from __future__ import annotations

from pathlib import Path

import pytest

from diadem.extract.assertions import Value
from diadem.hooks.cuts import cutter
from diadem.hooks.tables import tables
from tests.plugins.tiff.files import firsts, values, write

read = cutter("diadem.plugins.hitachi/hitachi")

LINES = (
    "[SemImageFile]",
    "InstructName=SU8230",
    "SerialNumber=8230-01",
    "SampleName=steel",
    "Format=tif",
    "ImageName=img.tif",
    "Date=2019/03/12",
    "Time=10:22:13",
    "DataSize=1280x960",
    "PixelSize=9.921875",
    "SignalName=SE(U)",
    "AcceleratingVoltage=15000 Volt",
    "DecelerationVoltage=0 Volt",
    "Magnification=10000",
    "WorkingDistance=8100 um",
    "EmissionCurrent=10000 nA",
    "LensMode=High",
    "StagePositionX=49905000",
    "StagePositionY=-50120000",
    "StagePositionZ=8000000",
)


def made(tmp_path: Path, *lines: str, coding: str = "cp1252") -> dict[str, list[Value]]:
    text = tmp_path / "img.txt"
    text.write_bytes("\r\n".join(lines).encode(coding))
    return values(read, tables("diadem.plugins.hitachi"), write(tmp_path / "img.tif"), [tmp_path / "img.tif", text])


@pytest.mark.parametrize("coding", ["cp1252", "utf-8-sig", "utf-16"])
def test_a_side_file(tmp_path: Path, coding: str) -> None:
    found = made(tmp_path, *LINES, coding=coding)
    assert firsts(found) == {
        "instrument.model": "SU8230",
        "instrument.serial": "8230-01",
        "instrument.kind": "sem",
        "beam.species": "electron",
        "signal.technique": "SEM",
        "sample.name": "steel",
        "detector.name": "SE(U)",
        "beam.mode": "High",
        "beam.acceleration_voltage": 15000,
        "beam.emission_current": pytest.approx(1e-5),
        "optics.working_distance": pytest.approx(0.0081),
        "optics.magnification": 10000,
        "image.pixel_size_x": pytest.approx(9.921875e-9),
        "image.pixel_size_y": pytest.approx(9.921875e-9),
        "stage.x": pytest.approx(0.049905),
        "stage.y": pytest.approx(-0.05012),
        "stage.z": pytest.approx(0.008),
        "time.acquired_start": "2019-03-12T10:22:13",
    }
    # 1280 pixels of the pixel size are the field of a screen of 127 mm at this magnification.
    assert pytest.approx(0.127, rel=1e-3) == 1280 * 9.921875e-9 * 10000
    assert {value.file for several in found.values() for value in several} == {str(tmp_path / "img.txt")}


@pytest.mark.parametrize("code", [40092, 40093])
def test_the_same_text_in_the_picture(tmp_path: Path, code: int) -> None:
    path = write(tmp_path / "img.tif", {code: ("\r\n".join(LINES) + "\0").encode("utf-16-le")})
    found = values(read, tables("diadem.plugins.hitachi"), path, [path])
    assert firsts(found)["optics.working_distance"] == pytest.approx(0.0081)
    assert firsts(found)["instrument.model"] == "SU8230"
    other = write(tmp_path / "other.tif", {code: "a comment".encode("utf-16-le")})
    assert list(read(str(other), [str(other)])) == []


@pytest.mark.parametrize(("date", "expected"), [("03/25/2020", "2020-03-25T10:22:13"), ("03/05/2020", None)])
def test_day_and_month(tmp_path: Path, date: str, expected: str | None) -> None:
    found = made(tmp_path, "[SemImageFile]", f"Date={date}", "Time=10:22:13")
    assert firsts(found).get("time.acquired_start") == expected


def test_what_is_not_measured(tmp_path: Path) -> None:
    lines = (
        "PixelSize=0",
        "StagePositionX=0",
        "StagePositionY=120",
        "WorkingDistance=8.1",
        "AcceleratingVoltage= Volt",
    )
    found = made(tmp_path, "[TemImageFile]", *lines)
    assert firsts(found) == {"instrument.kind": "tem", "signal.technique": "TEM"}


def test_texts_of_others(tmp_path: Path) -> None:
    assert made(tmp_path, "[Other]", "PixelSize=1") == {}
    assert made(tmp_path, "a diary") == {}
