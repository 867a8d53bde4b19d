"""TESCAN's header beside a picture and in its tag."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest

import diadem
from diadem.hooks.cuts import cutter
from diadem.hooks.tables import tables
from diadem.plugins.tescan.header import records
from tests.plugins.tiff.files import firsts, values, write

read = cutter("diadem.plugins.tescan/tescan")

TABLES = tables("diadem.plugins.tescan")
MAIN = "Date=2020-05-06\r\nTime=07:08:09\r\nDevice=LYRA3 GM\r\nMagnification=1000\r\nPixelSizeX=1e-8\r\nUserName=me\r\n"


def record(kind: int, text: str) -> bytes:
    return (len(text) + 2).to_bytes(4, "little") + kind.to_bytes(2, "little") + text.encode()


def test_a_real_header_by_another_parser(unpacked_data: Path) -> None:
    folder = unpacked_data / "tif-tescan"
    header = configparser.ConfigParser(interpolation=None)
    header.read(folder / "tescan-pfib_dataZeroed.hdr", encoding="utf-8")
    picture = folder / "tescan-pfib_dataZeroed.tif"
    found = firsts(values(read, TABLES, picture, [folder / "tescan-pfib_dataZeroed.hdr"]))
    for field, (section, key) in {
        "beam.acceleration_voltage": ("SEM", "HV"),
        "beam.current": ("SEM", "PredictedBeamCurrent"),
        "beam.emission_current": ("SEM", "EmissionCurrent"),
        "optics.working_distance": ("SEM", "WD"),
        "optics.magnification": ("MAIN", "Magnification"),
        "image.pixel_size_x": ("MAIN", "PixelSizeX"),
        "scan.dwell_time": ("SEM", "DwellTime"),
        "stage.x": ("SEM", "StageX"),
        "stage.y": ("SEM", "StageY"),
        "stage.z": ("SEM", "StageZ"),
        "stage.rotation": ("SEM", "StageRotation"),
        "stage.tilt": ("SEM", "StageTilt"),
        "stage.pressure": ("SEM", "ChamberPressure"),
    }.items():
        assert found[field] == pytest.approx(float(header[section][key]))
    for field, (section, key) in {
        "detector.name": ("SEM", "Detector"),
        "beam.source_type": ("SEM", "Gun"),
        "instrument.model": ("MAIN", "Device"),
        "instrument.serial": ("MAIN", "SerialNumber"),
        "instrument.software": ("MAIN", "SoftwareVersion"),
        "person.operator": ("MAIN", "FullUserName"),
    }.items():
        assert found[field] == header[section][key]
    assert found["time.acquired_start"] == f"{header['MAIN']['Date']}T{header['MAIN']['Time']}"
    assert (found["beam.species"], found["instrument.kind"]) == ("electron", "fib")


def test_the_tag_says_what_the_header_says(unpacked_data: Path) -> None:
    folder = unpacked_data / "tif-tescan"
    picture = folder / "tescan-pfib_dataZeroed.tif"
    alone = firsts(values(read, TABLES, picture))
    assert alone.pop("instrument.vendor") == "TESCAN"
    beside = next(iter(read(str(picture), [str(folder / "tescan-pfib_dataZeroed.hdr")])))
    assert beside.kind == "tescan-header"
    assert beside.file.endswith(".hdr")
    both = firsts(values(read, TABLES, picture, [folder / "tescan-pfib_dataZeroed.hdr"]))
    both.pop("instrument.vendor")
    assert alone == both


def test_a_picture_that_was_written_before_it_was_scanned(unpacked_data: Path) -> None:
    """By two clocks, then, and the scan's is of universal time."""
    picture = unpacked_data / "tif-tescan/tescan-pfib_dataZeroed.tif"
    stated, derived = diadem.extract(picture).datasets[0].assertions("time.acquired_start")
    assert (stated.value, stated.status, stated.offset_status) == ("2025-12-03T17:19:26", "stated", "unknown")
    assert (derived.value, derived.status, derived.offset_status) == ("2025-12-03T17:19:26Z", "derived", "derived")


@pytest.mark.parametrize(
    ("written", "universal"),
    [
        ("2020:05:06 02:09:15", True),
        ("2020:05:05 23:08:30", True),
        ("2020:05:06 07:09:15", False),  # of one clock, or in London
        ("2020:05:06 09:08:30", False),  # written two hours later, or east of London
        ("2020:05:06 02:14:15", False),  # no whole quarters of an hour
        ("2019:05:06 02:09:15", False),
    ],
)
def test_when_a_picture_was_scanned_and_written(tmp_path: Path, written: str, universal: bool) -> None:
    tag = record(2, MAIN) + record(3, "HV=5000\r\nWD=0.01\r\n")
    picture = write(tmp_path / "a.tif", {50431: tag}, datetime=written)
    values = [one.value for one in diadem.extract(picture).datasets[0].assertions("time.acquired_start")]
    assert values == ["2020-05-06T07:08:09", "2020-05-06T07:08:09Z"][: 1 + universal]


@pytest.mark.parametrize(("gun", "species"), [("i-FIB+ Xe", "Xe"), ("Ga LMIS", "Ga"), ("Mistral", None)])
def test_an_ion_image(tmp_path: Path, gun: str, species: str | None) -> None:
    header = tmp_path / "a.hdr"
    header.write_text(f"[MAIN]\r\n{MAIN}[FIB]\r\nHV=30000\r\nGun={gun}\r\nStageTilt=55\r\nColumnTilt=55\r\n")
    found = firsts(values(read, TABLES, write(tmp_path / "a.tif"), [header]))
    assert found["beam.acceleration_voltage"] == 30000
    assert found["stage.tilt"] == 55
    assert found.get("beam.species") == species
    assert found["instrument.kind"] == "fib"
    assert found["signal.technique"] == "FIB"
    assert found["person.operator"] == "me"


def test_records() -> None:
    data = record(1, "a picture") + record(2, MAIN) + record(3, "HV=5000\r\nWD=0.01\r\n") + b"\x02\0\0\0\0\0"
    assert set(records(data)) == {"MAIN", "SEM"}
    assert records(data)["SEM"]["HV"] == "5000"
    assert set(records(record(2, MAIN) + record(4, "HV=1\r\nColumnTilt=55\r\n"))) == {"MAIN", "FIB"}


def test_scattered_lines() -> None:
    found = records(b"\xff" * 40 + MAIN.encode() + b"\0\0" + b"HV=5000\nWD=0.01\nGun=W\nDetector=SE\n" + b"\0")
    assert found["MAIN"]["Device"] == "LYRA3 GM"
    assert found["SEM"]["WD"] == "0.01"


def test_a_header_without_sections(tmp_path: Path) -> None:
    header = tmp_path / "a.hdr"
    header.write_text("Device=MIRA3 LMU\nPixelSizeX=1e-9\nPixelSizeY=1e-9\nHV=5000\nDetector=SE\n")
    found = firsts(values(read, TABLES, write(tmp_path / "a.tif"), [header]))
    assert (found["instrument.model"], found["detector.name"], found["image.pixel_size_x"]) == ("MIRA3 LMU", "SE", 1e-9)


def test_headers_of_others(tmp_path: Path) -> None:
    header = tmp_path / "a.hdr"
    header.write_text("HDR,\nTime and Date Stamp:\t1/2/2020\n")
    assert list(read(str(write(tmp_path / "a.tif")), [str(header)])) == []
