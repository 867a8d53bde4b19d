"""Zeiss' tags: real files by another route, other languages, other gases."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from diadem.extract.assertions import Value
from diadem.hooks.cuts import cutter
from diadem.hooks.tables import tables
from diadem.plugins.zeiss.blocks import value_of
from tests.plugins.tiff.files import firsts, values, write

TABLES = tables("diadem.plugins.zeiss")
read = cutter("diadem.plugins.zeiss/zeiss")


def smartsem(tmp_path: Path, *lines: str, width: int = 8) -> dict[str, list[Value]]:
    text = "\r\n".join(["0", "0", "0", "1e-9", "5e4", *lines, ""])
    path = write(tmp_path / "a.tif", {34118: text.encode("cp1252")}, shape=(6, width))
    return values(read, TABLES, path)


def orion(tmp_path: Path, **entries: tuple[str, str]) -> dict[str, list[Value]]:
    inner = "".join(
        f"<{name.replace('__', '.')}><Value>{value}</Value><Units>{unit}</Units></{name.replace('__', '.')}>"
        for name, (value, unit) in entries.items()
    )
    path = write(tmp_path / "a.tif", {65000: f"<ImageTags>{inner}</ImageTags>".encode()})
    return values(read, TABLES, path)


def test_real_parameters_by_regular_expressions(shared_data: Path) -> None:
    path = shared_data / "tif-zeiss" / "test_tiff_Zeiss_SEM_512pix.tif"
    data = path.read_bytes()
    found = values(read, TABLES, path)
    factors = {"kV": 1e3, "mm": 1e-3, "K X": 1e3, "µm": 1e-6, "°": 1.0, "mbar": 100.0}
    for field, key in {
        "beam.acceleration_voltage": "AP_ACTUALKV",
        "optics.magnification": "AP_MAG",
        "optics.working_distance": "AP_WD",
        "optics.field_of_view_x": "AP_WIDTH",
        "optics.field_of_view_y": "AP_HEIGHT",
        "stage.x": "AP_STAGE_AT_X",
        "stage.y": "AP_STAGE_AT_Y",
        "stage.z": "AP_STAGE_AT_Z",
        "stage.tilt": "AP_STAGE_AT_T",
        "stage.rotation": "AP_STAGE_AT_R",
        "stage.pressure": "AP_SYSTEM_VAC",
    }.items():
        match = re.search(key.encode() + rb"\r\n[^=]*= *([\d.e+-]+) ([^\r]*)", data)
        assert match is not None
        assert found[field][0].value == pytest.approx(float(match[1]) * factors[match[2].decode("cp1252").strip()])
    first = firsts(found)
    assert first["image.pixel_size_x"] == pytest.approx(first["optics.field_of_view_x"] / 512, rel=1e-3)
    assert first["detector.name"] == "InLens"
    assert (first["person.operator"], first["instrument.serial"]) == ("LIBERATO", "ULTRA 55-36-06")
    assert first["time.acquired_start"] == "2018-09-25T08:20:42"
    assert "sample.name" not in found


def test_real_orion_by_another_parser(shared_data: Path) -> None:
    path = shared_data / "tif-zeiss-orion" / "orion-zeiss_dataZeroed.tif"
    data = path.read_bytes()
    root = ET.fromstring(data[data.index(b"<ImageTags>") : data.index(b"</ImageTags>") + len(b"</ImageTags>")])
    found = firsts(values(read, TABLES, path))
    for field, (name, factor) in {
        "beam.acceleration_voltage": ("AccelerationVoltage", 1.0),
        "beam.current": ("BlankerCurrent", 1e-12),
        "optics.working_distance": ("WorkingDistance", 1e-3),
        "optics.field_of_view_x": ("Fov", 1e-6),
        "scan.dwell_time": ("DwellTime", 1e-6),
        "stage.x": ("StageX", 1e-6),
        "stage.y": ("StageY", 1e-6),
        "stage.z": ("StageZ", 1e-3),
        "stage.tilt": ("StageTilt", 1.0),
        "stage.rotation": ("StageRotate", 1.0),
        "stage.pressure": ("ChamberPressure", 101325 / 760),
        "image.pixel_size_x": ("ScalingX", 1.0),
    }.items():
        assert found[field] == pytest.approx(float(root.findtext(f"{name}/Value") or "") * factor)
    assert found["beam.extraction_voltage"] == 36769
    assert (found["beam.species"], found["instrument.kind"]) == ("He", "him")
    assert found["time.acquired_start"] == "2025-01-01T13:00:00"


def test_orions_numbers_in_smartsems_tag_are_kept(shared_data: Path) -> None:
    path = shared_data / "tif-zeiss-orion" / "orion-zeiss_dataZeroed.tif"
    blocks = [block for block in read(str(path), ()) if block.data]
    assert [block.place for block in blocks] == ["page 1/ImageTags", "page 1/CZ_SEM"]
    for block in blocks:
        assert block.byte_range is not None
        assert path.read_bytes()[slice(*block.byte_range)] == block.data


@pytest.mark.parametrize(("gas", "species"), [("Neon", "Ne"), ("Helium", "He"), ("", None), ("Argon", None)])
def test_gases(tmp_path: Path, gas: str, species: str | None) -> None:
    found = firsts(orion(tmp_path, ColumnType=("GFIS", ""), GFIS__IonGas=(gas, "")))
    assert found.get("beam.species") == species
    assert found.get("signal.technique") == ("HIM" if species else None)
    assert found["instrument.kind"] == "him"


def test_the_console_of_an_orion_is_no_instrument(tmp_path: Path) -> None:
    assert "instrument.name" not in firsts(orion(tmp_path, System__Name=("ORIONPLUS-CONSOLE", "")))
    assert firsts(orion(tmp_path, System__Name=("Carl", "")))["instrument.name"] == "Carl"


def test_units_of_orion_are_its_own(tmp_path: Path) -> None:
    found = orion(
        tmp_path,
        AccelerationVoltage=("30", "KiloVolts"),
        BlankerCurrent=("1.5", "picoAmps"),
        WorkingDistance=("8", "Millimeters"),
        Fov=("2", "Microns"),
        DwellTime=("0", "uSec"),
        TimeStamp=("3/4/2025 1:00:00 PM", ""),
        MagnificationDisplay=("0", "X"),
    )
    assert firsts(found) == {
        "beam.current": pytest.approx(1.5e-12),
        "optics.working_distance": pytest.approx(0.008),
        "optics.field_of_view_x": pytest.approx(2e-6),
    }


def test_parameters_in_other_languages(tmp_path: Path) -> None:
    found = firsts(
        smartsem(
            tmp_path,
            *("AP_WD", "AA =  3,9 mm", "AP_ACTUALKV", "EHT = 800 V", "AP_MAG", "Mag = 250 X"),
            *("AP_DATE", "Datum :3 März 2011", "AP_TIME", "Zeit :19:10:46", "AP_IPROBE", "I Probe = 200 pA"),
            *("AP_STAGE_AT_T", "T = -5.0 °", "AP_FRAME_TIME", "Cycle Time = 48.7 Secs"),
            *("DP_DWELL_TIME", "Dwell time = 100 ns", "DP_DETECTOR_TYPE", "Detector = SE2"),
        )
    )
    assert found["optics.working_distance"] == pytest.approx(0.0039)
    assert found["beam.acceleration_voltage"] == 800
    assert found["optics.magnification"] == 250
    assert found["time.acquired_start"] == "2011-03-03T19:10:46"
    assert found["beam.probe_current"] == pytest.approx(2e-10)
    assert "beam.current" not in found
    assert found["stage.tilt"] == -5
    assert found["scan.frame_time"] == 48.7
    assert found["scan.dwell_time"] == pytest.approx(1e-7)
    assert found["detector.type"] == "SE2"
    assert found["signal.technique"] == "SEM"


@pytest.mark.parametrize(("mode", "expected"), [("Off", None), ("On", 30.0)])
def test_scan_rotation_may_be_off(tmp_path: Path, mode: str, expected: float | None) -> None:
    lines = ("AP_SCANROTATION", "Scan Rotation = 30.0 °", "DP_SCAN_ROT", f"Scan Rot = {mode}")
    assert firsts(smartsem(tmp_path, *lines)).get("scan.rotation") == expected


@pytest.mark.parametrize(("written", "seconds"), [("40.5 Secs", 40.5), ("1.9  Mins", 114.0), ("850 ms", 0.85)])
def test_frame_times_in_seconds_or_minutes(tmp_path: Path, written: str, seconds: float) -> None:
    found = firsts(smartsem(tmp_path, "AP_FRAME_TIME", f"Cycle Time = {written}"))
    assert found["scan.frame_time"] == pytest.approx(seconds)


def test_numbers_of_old_microscopes(tmp_path: Path) -> None:
    lines = ("6", "20000", "2.309", "2e-07", "0.0085")
    found = firsts(smartsem(tmp_path, *lines))
    assert found["beam.acceleration_voltage"] == 20e3
    assert (found["optics.magnification"], found["optics.working_distance"]) == (5e4, 0.0085)
    named = firsts(smartsem(tmp_path, *lines, "AP_ACTUALKV", "EHT = 5.00 kV"))
    assert named["beam.acceleration_voltage"] == 5e3


def test_pixels_as_stated_or_scaled(tmp_path: Path) -> None:
    stated = smartsem(tmp_path, "AP_IMAGE_PIXEL_SIZE", "Image Pixel Size = 2.791 nm")["image.pixel_size_x"]
    assert [value.value for value in stated] == [pytest.approx(2.791e-9)]
    scaled = smartsem(tmp_path, "AP_PIXEL_SIZE", "Pixel Size = 1 nm", width=16)["image.pixel_size_x"]
    assert [(value.value, value.status) for value in scaled] == [(pytest.approx(1e-9 * 1024 / 16), "derived")]


_FOCUS = ("AP_WD", "WD = 5 mm", "AP_ACTUALKV", "EHT = 2 kV", "AP_IPROBE", "I Probe = 50 pA")


def test_an_ion_column_shows(tmp_path: Path) -> None:
    found = firsts(smartsem(tmp_path, "DP_FIB_PRESENT", "FIB Present = Yes", *_FOCUS))
    assert found["instrument.kind"] == "fib"
    assert "beam.species" not in found
    assert firsts(smartsem(tmp_path, *_FOCUS))["instrument.kind"] == "sem"
    assert firsts(smartsem(tmp_path, "DP_FIB_COLUMN", "FIB Column = Orsay COBRA", *_FOCUS))["instrument.kind"] == "fib"
    assert "instrument.kind" not in smartsem(tmp_path, "DP_FIB_MODE", "FIB Mode = Off", *_FOCUS)


def test_parameters_of_an_ion_column_are_written_without_one(tmp_path: Path) -> None:
    none = (
        "DP_FIB_MODE",
        "FIB Mode = Imaging",
        "DP_FIB_COLUMN",
        "FIB Column = None",
        "DP_FIB_IMAGING",
        "Imaging = SEM",
    )
    gun = ("DP_FIB_FG_MODE_TARGET", "Flood Gun Mode Target = Low Energy Mode", "DP_FIB_PRESENT", "FIB Present = No")
    for lines in (none, gun, (*gun, *none)):
        found = firsts(smartsem(tmp_path, *lines, *_FOCUS))
        assert found["instrument.kind"] == "sem"
        assert (found["beam.species"], found["signal.technique"]) == ("electron", "SEM")


def test_the_column_that_made_the_picture(tmp_path: Path) -> None:
    ions = ("AP_FIB_EHT_ACTUAL", "FIB EHT = 30.0 kV", "AP_FIB_MAGNIFICATION", "FIB Mag = 1.57 K X")
    both = (*_FOCUS, "AP_MAG", "Mag = 4.53 K X", "DP_FIB_PRESENT", "FIB Present = Yes", *ions)
    electrons = firsts(smartsem(tmp_path, *both, "DP_FIB_IMAGING", "FIB Imaging = SEM"))
    assert (electrons["beam.acceleration_voltage"], electrons["optics.magnification"]) == (2000, 4530)
    assert (electrons["beam.species"], electrons["signal.technique"]) == ("electron", "SEM")
    assert electrons["instrument.kind"] == "fib"
    made = firsts(smartsem(tmp_path, *both, "DP_FIB_IMAGING", "FIB Imaging = FIB"))
    assert (made["beam.acceleration_voltage"], made["optics.magnification"]) == (30000, 1570)
    assert made["signal.technique"] == "FIB"
    assert not {"beam.species", "beam.current", "beam.probe_current", "optics.working_distance"} & set(made)
    unclear = firsts(smartsem(tmp_path, *both, "DP_FIB_IMAGING", "FIB Imaging = SEM+FIB"))
    assert not {"beam.acceleration_voltage", "optics.magnification", "beam.species", "signal.technique"} & set(unclear)


def test_frames(tmp_path: Path) -> None:
    counts = ("AP_FRAME_AVERAGE_COUNT", "Frames to average = 16", "AP_FRAME_INT_COUNT", "Frames to integrate = 0")
    assert firsts(smartsem(tmp_path, *counts, "DP_NOISE_REDUCTION", "Noise = Frame Avg"))["scan.frames"] == 16
    assert "scan.frames" not in smartsem(tmp_path, *counts, "DP_NOISE_REDUCTION", "Noise = Line Avg")


def test_values() -> None:
    assert value_of("50.00 K X") == {"Value": "50.00", "Unit": "K X"}
    assert value_of("19/21 inch display") == {"Value": "19/21 inch display"}
    assert value_of("V05.04.03.00 : 16-Apr-10") == {"Value": "V05.04.03.00 : 16-Apr-10"}
    assert value_of("1     ") == {"Value": "1     "}
