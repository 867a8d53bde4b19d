"""What the records of Bruker's maps and spectra state, against the XML that the files hold."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

import pytest
from rsciio.bruker._api import SFS_reader

from diadem.api import extract, pack
from diadem.extract.tables import apply
from diadem.hooks.fields import Block
from diadem.hooks.tables import tables
from diadem.plugins.bruker.files import DEEPEST, read_xml
from tests.plugins.opened import blocks

OPEN = "diadem.plugins.bruker.files:open"
TABLES = tables("diadem.plugins.bruker")


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Path:
    return shared_data / "bruker"


@pytest.fixture(scope="module")
def datasets(real: Mapping[str, Any]) -> Mapping[str, Any]:
    return {Path(path).name: dataset for path, dataset in real.items() if path.startswith("bruker/")}


def header(path: Path) -> bytes:
    """The map's XML, as the container has it."""
    return bytes(SFS_reader(str(path)).get_file("EDSDatabase/HeaderData").get_as_BytesIO_string().getvalue())


def test_the_detector_is_the_maps(datasets: Mapping[str, Any]) -> None:
    for name in ("Hitachi_TM3030Plus.bcf", "bcf-edx-ebsd.bcf", "test_TEM.bcf"):
        (assertion,) = datasets[name].assertions("detector.elevation")
        assert list(assertion.applies_to) == ["s2"]


def test_what_nobody_measured_is_absent(datasets: Mapping[str, Any]) -> None:
    """Stages of five zeros, no working distance in a transmission microscope, serial number 9990, names of maps."""
    for dataset in datasets.values():
        assert not [field for field in dataset.fields if field.startswith("stage.")]
        for field in ("sample.name", "detector.serial", "instrument.kind", "beam.mode"):
            assert dataset.assertions(field) == ()
    assert datasets["test_TEM.bcf"].assertions("optics.working_distance") == ()


@pytest.mark.parametrize("name", ["Hitachi_TM3030Plus.bcf", "bcf-edx-ebsd.bcf", "test_TEM.bcf"])
def test_values_against_the_bytes(folder: Path, datasets: Mapping[str, Any], name: str) -> None:
    """By searching the XML, without a parser."""
    text = header(folder / name).decode("cp1252")

    def number(tag: str, after: str) -> float:
        match = re.compile(rf"<{tag}>([^<]+)<").search(text, text.index(after))
        assert match is not None
        return float(match[1])

    dataset = datasets[name]
    assert dataset.value("beam.acceleration_voltage") == 1e3 * number("HV", 'Type="TRTSEMData"')
    assert dataset.value("optics.magnification") == number("Mag", 'Type="TRTSEMData"')
    assert dataset.value("detector.elevation") == number("ElevationAngle", 'Type="TRTESMAHeader"')
    distance = number("WD", 'Type="TRTSEMData"')
    assert dataset.value("optics.working_distance") == (pytest.approx(distance / 1e3) if distance > 0 else None)


def test_pixels_of_a_map_are_as_wide_as_those_of_its_picture(datasets: Mapping[str, Any]) -> None:
    picture, spectra = datasets["bcf-edx-ebsd.bcf"].signals
    assert [axis.scale for axis in spectra.axes[:2]] == [axis.scale for axis in picture.axes]
    assert picture.axes[1].scale == pytest.approx(4.145152257e-7)


def test_the_header_is_kept_as_bytes(folder: Path, datasets: Mapping[str, Any]) -> None:
    for name in ("Hitachi_TM3030Plus.bcf", "bcf-edx-ebsd.bcf", "test_TEM.bcf"):
        kept = {block.path: block for block in datasets[name].vendor()}["EDSDatabase/HeaderData"]
        assert kept.data == header(folder / name)
        assert kept.media_type == "application/xml"


def test_settings_of_diffraction_patterns_are_kept_without_pictures(datasets: Mapping[str, Any]) -> None:
    kept = {block.path: block for block in datasets["bcf-edx-ebsd.bcf"].vendor()}
    assert kept["EBSDData/Calibration"].tree["TEBSDCalibration"]["ProbeTilt"] == "1.221730476"
    assert "EBSDData/SEMImage" not in kept
    assert "EBSDData/FrameData" not in kept


def test_how_the_units_are_proven(folder: Path) -> None:
    """Values drawn with their units; counts against count rates; one tilt in degrees and in radians."""
    text = header(folder / "bcf-edx-ebsd.bcf").decode("cp1252")
    assert "MAG: 5000x    HV: 20 kV    WD: 6.0 mm    Px: 0.41 µm" in text
    tilt = float(re.findall(r"<TiltAngle>([^<]+)<", text)[-1])
    trees = {block.place: block.tree for block in blocks(OPEN, folder / "bcf-edx-ebsd.bcf")}
    assert tilt == pytest.approx(1.221730476 * 180 / 3.141592653589793, rel=1e-6)
    assert trees["EBSDData/Calibration"]["TEBSDCalibration"]["ProbeTilt"] == "1.221730476"
    spectrum = (folder / "bruker_nano.spx").read_text("cp1252")
    counts = sum(map(int, re.findall(r"<Channels>([^<]+)<", spectrum)[0].split(",")))
    zero, rate = (float(re.findall(rf"<{tag}>([^<]+)<", spectrum)[0]) for tag in ("ZeroPeakFrequency", "PulseDensity"))
    assert counts / 7.385 - zero == pytest.approx(rate, rel=2e-3)


def database(*parts: str, name: str = "Map") -> bytes:
    """A map's header with some parts."""
    inside = "".join(parts)
    return (
        '<?xml version="1.0" encoding="WINDOWS-1252"?><TRTSpectrumDatabase><RTHeader/>'
        f'<ClassInstance Type="TRTSpectrumDatabase" Name="{name}">{inside}</ClassInstance></TRTSpectrumDatabase>'
    ).encode("cp1252")


def fields_of(data: bytes) -> dict[str, Any]:
    applied = apply(TABLES["bruker-map"], Block("bruker-map", read_xml(data)), "bruker")
    assert applied.issues == []
    return {value.field: value.value for value in applied.values}


def test_a_stage_that_was_asked() -> None:
    stage = (
        '<ClassInstance Type="TRTSEMStageData"><X>66940.81</X><Y>54233.16</Y><Z>0</Z><Rotation>326.1</Rotation>'
        "<Tilt>0</Tilt></ClassInstance>"
    )
    found = fields_of(database(stage))
    assert found["stage.x"] == pytest.approx(66.94081e-3)
    assert found["stage.y"] == pytest.approx(54.23316e-3)
    assert (found["stage.z"], found["stage.tilt"]) == (0, 0)
    assert "stage.alpha" not in found
    assert found["stage.rotation"] == 326.1


@pytest.mark.parametrize(
    ("date", "time", "expected"),
    [
        ("3.4.2019", "9:5:7", "2019-04-03T09:05:07"),
        ("31.12.1999", "23:59:59", "1999-12-31T23:59:59"),
        ("4/3/2019", "9:05:07", None),
        ("31.2.2019", "9:05:07", None),
        ("3.4.2019", "25:00:00", None),
        ("30.12.1899", "0:00:00", None),
    ],
)
def test_dates(date: str, time: str, expected: str | None) -> None:
    found = fields_of(database(f"<Header><Date>{date}</Date><Time>{time}</Time></Header>"))
    assert found.get("time.acquired_start") == expected


def test_numbers_that_are_none() -> None:
    sem = '<ClassInstance Type="TRTSEMData"><HV>0</HV><WD>-1</WD><Mag>abc</Mag></ClassInstance>'
    assert fields_of(database(sem)) == {}
    twice = sem.replace("0</HV>", "15</HV>") + sem
    assert fields_of(database(twice)) == {}


def test_a_spectrum_of_an_older_detector_without_any_header() -> None:
    data = b'<TRTSpectrum><ClassInstance Type="TRTSpectrum"><Channels>1,2,3</Channels></ClassInstance></TRTSpectrum>'
    tree = read_xml(data)
    assert apply(TABLES["bruker-spectrum"], Block("bruker-spectrum", tree), "bruker").values == []
    assert "Channels" not in str(tree)


@pytest.mark.parametrize("serial", ["8279_80", "007", "8273/74"])
def test_a_serial_number_is_a_text(folder: Path, tmp_path: Path, serial: str) -> None:
    text, changed = re.subn("<Serial>[^<]*<", f"<Serial>{serial}<", (folder / "bruker_nano.spx").read_text("cp1252"))
    assert changed
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "one.spx").write_text(text, "cp1252")
    package = pack(tmp_path / "in", tmp_path / "out")
    (dataset,) = package.record.datasets
    assert [found.value for found in dataset.assertions("detector.serial")] == [serial]
    assert package.load("one.spx").original_metadata.Detector.Serial == serial


def test_hostile_xml() -> None:
    deep = b"<a>" * 5000 + b"</a>" * 5000
    tree: Any = read_xml(deep)
    depth = 0
    while tree:
        tree, depth = tree.get("a"), depth + 1
    assert depth <= DEEPEST + 1
    laughs = b'<!DOCTYPE a [<!ENTITY b "' + b"x" * 1000 + b'">' + b'<!ENTITY c "' + b"&b;" * 1000 + b'">'
    laughs += b'<!ENTITY d "' + b"&c;" * 1000 + b'">]><a>' + b"&d;" * 100 + b"</a>"
    with pytest.raises(ParseError):
        read_xml(laughs)


def test_a_truncated_container_fails_by_an_exception(folder: Path, tmp_path: Path) -> None:
    data = (folder / "test_TEM.bcf").read_bytes()
    for kept in (8, 300, 20_000, 60_000):
        (tmp_path / "short.bcf").write_bytes(data[:kept])
        with pytest.raises((struct.error, IndexError, ParseError)):  # RosettaSciIO's own
            blocks(OPEN, tmp_path / "short.bcf")


def test_a_container_that_lost_its_end_says_so(folder: Path, tmp_path: Path) -> None:
    data = (folder / "test_TEM.bcf").read_bytes()
    for lost in (0, 5000):
        (tmp_path / "short.bcf").write_bytes(data[: len(data) - lost])
        codes = {one["code"] for one in extract(tmp_path / "short.bcf").datasets[0].issues}
        assert ("truncated" in codes) == bool(lost)


def test_the_tube_of_a_fluorescence_instrument() -> None:
    tree = {"TRTSpectrum": {"TRTHeaderedClass": {"TRTXrfHeader": {"Voltage": "50", "Current": "600"}}}}
    (found,) = apply(TABLES["bruker-spectrum"], Block("bruker-spectrum", tree), "bruker").values
    assert (found.field, found.value) == ("beam.acceleration_voltage", 50_000.0)
