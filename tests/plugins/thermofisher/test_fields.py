"""Thermo Fisher's tags: real files by another route, and what other files of the format say."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import diadem
from diadem.extract.assertions import Value
from diadem.hooks.tables import tables
from diadem.plugins.thermofisher.tags import read
from tests.plugins.tiff.files import firsts, values, write

TABLES = tables("diadem.plugins.thermofisher")


def made(tmp_path: Path, tags: Mapping[int, str]) -> dict[str, list[Value]]:
    return values(read, TABLES, write(tmp_path / "a.tif", {code: text.encode() for code, text in tags.items()}))


def settings(beam: str = "EBeam", date: str = "06/13/2016", created: str = "", **more: str) -> str:
    """Settings as xT writes them."""
    sections = {
        "User": f"Date={date}\r\nTime=05:06:40 PM\r\nUser=someone",
        "System": more.pop("System", "Type=DualBeam\r\nSystemType=Helios 5 UX\r\nDnumber=9950000"),
        "Beam": f"HV=30000\r\nSpot=\r\nBeam={beam}\r\nScan={'EScan' if beam == 'EBeam' else 'IScan'}",
        "EBeam": "HV=2000\r\nHFW=1e-5\r\nWD=0.004\r\nBeamCurrent=1e-10\r\nScanRotation=0",
        "IBeam": "HV=30000\r\nHFW=2e-5\r\nVFW=1e-5\r\nWD=0.013\r\nBeamCurrent=8e-11\r\nScanRotation=3.14159",
        "IScan": "Dwell=1e-7\r\nPixelWidth=1e-8\r\nPixelHeight=2e-8\r\nLineTime=0.001\r\nFrameTime=1",
        "PrivateFei": f"TimeOfCreation={created}",
        **more,
    }
    return "".join(f"[{name}]\r\n{text}\r\n\r\n" for name, text in sections.items())


def text_of(path: Path, end: bytes = b"\x00") -> str:
    """The settings, found by their first line."""
    data = path.read_bytes()
    start = data.index(b"[User]")
    return data[start : data.find(end, start)].decode("latin-1")


def said(text: str, section: str, key: str) -> str:
    match = re.search(rf"\[{section}\]\r?\n(?:(?!\[).*\r?\n)*?{key}=([^\r\n]*)", text)
    assert match is not None
    return match[1]


@pytest.mark.parametrize("end", ["\r\n", "\r", "\n"])
def test_settings_behind_a_damaged_file(tmp_path: Path, end: str) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(b"II*\0\xff\xff\xff\x7f" + bytes(5000) + settings().replace("\r\n", end).encode() + b"\0\0")
    (dataset,) = diadem.extract(path).datasets
    assert dataset.primary.format == "tiff"
    assert dataset.value("beam.acceleration_voltage") == 2000
    assert dataset.value("instrument.model") == "Helios 5 UX"
    assert dataset.issues


def test_two_times_that_are_months_apart_are_both_told(tmp_path: Path) -> None:
    data = settings(date="12/18/2017", created="03.02.2018 10:00:00")
    write(tmp_path / "a.tif", {34682: data.encode()})
    (dataset,) = diadem.extract(tmp_path / "a.tif").datasets
    told = [one.value for one in dataset.assertions("time.acquired_start")]
    assert told == ["2017-12-18T17:06:40", "2018-02-03T10:00:00"]
    assert "sources-disagree" in {issue["code"] for issue in dataset.issues}


@pytest.mark.parametrize("name", ["FEI-Helios-Ebeam-8bits.tif", "quanta_image.tif", "scios_xml_metadata.tif"])
def test_real_settings_by_regular_expressions(shared_data: Path, name: str) -> None:
    path = shared_data / "tif-fei" / name
    text, found = text_of(path), firsts(values(read, TABLES, path))
    degrees = {"stage.rotation": "StageR", "stage.tilt": "StageT"}
    plain = {
        "beam.acceleration_voltage": ("EBeam", "HV"),
        "optics.field_of_view_x": ("EBeam", "HFW"),
        "optics.field_of_view_y": ("EBeam", "VFW"),
        "optics.working_distance": ("EBeam", "WD"),
        "scan.dwell_time": ("EScan", "Dwell"),
        "scan.line_time": ("EScan", "LineTime"),
        "scan.frame_time": ("EScan", "FrameTime"),
        "stage.x": ("Stage", "StageX"),
        "stage.y": ("Stage", "StageY"),
        "stage.z": ("Stage", "StageZ"),
        "stage.pressure": ("Vacuum", "ChPressure"),
        "image.pixel_size_x": ("Scan", "PixelWidth"),
        "image.pixel_size_y": ("Scan", "PixelHeight"),
    }
    for field, (section, key) in plain.items():
        assert found[field] == pytest.approx(float(said(text, section, key)))
    for field, key in degrees.items():
        assert found[field] == pytest.approx(math.degrees(float(said(text, "Stage", key))))
    for field, (section, key) in {
        "detector.name": ("Detectors", "Name"),
        "instrument.serial": ("System", "Dnumber"),
        "instrument.model": ("System", "SystemType"),
        "instrument.software": ("System", "Software"),
        "person.operator": ("User", "User"),
        "beam.source_type": ("EBeam", "Source"),
    }.items():
        assert found[field] == said(text, section, key)
    assert found["beam.species"] == "electron"
    assert found["instrument.kind"] == ("sem" if name.startswith("quanta") else "fib")
    # The unit of a length: field of view over pixels is a pixel.
    pixels = int(said(text, "Image", "ResolutionX"))
    assert found["optics.field_of_view_x"] / pixels == pytest.approx(found["image.pixel_size_x"], rel=1e-3)


def test_settings_and_document_agree(shared_data: Path) -> None:
    found = values(read, TABLES, shared_data / "tif-fei" / "scios_xml_metadata.tif")
    said_twice = {field: several for field, several in found.items() if len(several) > 1}
    assert {"beam.acceleration_voltage", "beam.current", "stage.x", "stage.rotation", "stage.tilt"} <= set(said_twice)
    for field, several in said_twice.items():
        for value in several[1:]:
            assert value.value == (
                pytest.approx(several[0].value, rel=1e-4) if isinstance(value.value, float) else several[0].value
            ), field
    assert firsts(found)["instrument.vendor"] == "FEI Company"


def test_a_navigation_camera_has_no_beam(shared_data: Path) -> None:
    found = firsts(values(read, TABLES, shared_data / "tif-fei" / "FEI-Helios-navcam.tif"))
    assert not {field for field in found if field.startswith(("beam.", "scan.", "optics.working"))}
    assert found["image.pixel_size_x"] == pytest.approx(0.202732 / 768)
    assert found["image.pixel_size_y"] == pytest.approx(0.135155 / 512)
    assert found["stage.z"] == 0.0


def test_labels_of_a_transmission_microscope(unpacked_data: Path) -> None:
    path = unpacked_data / "tif-fei" / "titan_tem_bf_image_dataZeroed.tif"
    data = path.read_bytes()
    found = values(read, TABLES, path)
    factors = {"kV": 1e3, "V": 1.0, "uA": 1e-6, "um": 1e-6, "x": 1.0, "deg": 1.0}
    for field, label in {
        "beam.acceleration_voltage": b"High tension",
        "beam.extraction_voltage": b"Extraction voltage",
        "beam.emission_current": b"Emission",
        "optics.defocus": b"Defocus",
        "optics.magnification": b"Magnification",
        "stage.x": b"Stage X",
        "stage.y": b"Stage Y",
        "stage.z": b"Stage Z",
        "stage.alpha": b"Stage A",
        "stage.beta": b"Stage B",
    }.items():
        match = re.search(b"<Label>" + label + b"</Label><Value>([^<]*)</Value><Unit>([^<]*)</Unit>", data)
        assert match is not None
        assert found[field][0].value == pytest.approx(float(match[1]) * factors[match[2].decode()])
        assert found[field][0].raw_unit == (None if match[2] == b"x" else match[2].decode())
    assert firsts(found)["instrument.model"] == "Tecnai 200 kV D2211 XTwin"
    assert firsts(found)["instrument.kind"] == "tem"
    assert firsts(found)["beam.mode"] == "TEM uP SA Zoom Image"
    assert firsts(found)["signal.technique"] == "TEM"
    assert "stage.tilt" not in found


def test_the_column_that_made_the_image(tmp_path: Path) -> None:
    electrons, ions = (firsts(made(tmp_path, {34682: settings(beam)})) for beam in ("EBeam", "IBeam"))
    assert (electrons["signal.technique"], ions["signal.technique"]) == ("SEM", "FIB")
    assert electrons["beam.acceleration_voltage"] == 2000
    assert electrons["optics.working_distance"] == 0.004
    assert ions["beam.acceleration_voltage"] == 30000
    assert ions["beam.current"] == 8e-11
    assert ions["scan.rotation"] == pytest.approx(180, abs=1e-3)
    assert ions["scan.dwell_time"] == 1e-7
    assert (ions["image.pixel_size_x"], ions["image.pixel_size_y"]) == (1e-8, 2e-8)
    assert "beam.species" not in ions
    assert "beam.spot_index" not in ions


@pytest.mark.parametrize(
    ("line", "species"),
    [("Source=LMIS", "Ga"), ("PlasmaGas=Xenon", "Xe"), ("PlasmaGas=Argon", None), ("GasType=C dep", None)],
)
def test_ions(tmp_path: Path, line: str, species: str | None) -> None:
    found = firsts(made(tmp_path, {34682: settings("IBeam", IBeam=f"HV=30000\r\n{line}")}))
    assert found.get("beam.species") == species


@pytest.mark.parametrize(
    ("date", "created", "expected"),
    [
        ("06/13/2016", "", "2016-06-13T17:06:40"),
        ("13/06/2016", "", "2016-06-13T17:06:40"),
        ("13.06.2016", "", "2016-06-13T17:06:40"),
        ("03/04/2019", "", None),
        ("03/04/2019", "04.03.2019 17:06:40", "2019-03-04T17:06:40"),
        ("03/04/2019", "03.04.2019 17:06:40", "2019-04-03T17:06:40"),
        ("", "03.04.2019 17:06:40", "2019-04-03T17:06:40"),
        ("", "99.99.2019 17:06:40", None),
        ("", "", None),
    ],
)
def test_day_and_month(tmp_path: Path, date: str, created: str, expected: str | None) -> None:
    found = made(tmp_path, {34682: settings(date=date, created=created)})
    assert firsts(found).get("time.acquired_start") == expected
    assert [value.offset_status for value in found.get("time.acquired_start", ())] == ["unknown"] * bool(expected)


DOCUMENT = """<?xml version="1.0"?><Metadata xmlns:nil="http://schemas.fei.com/Metadata/v1/2013/07">
<Instrument><Manufacturer>FEI Company</Manufacturer><InstrumentClass>Talos F200X</InstrumentClass>
<InstrumentID>6308</InstrumentID></Instrument>
<Acquisition><AcquisitionStartDatetime>2021-03-04T10:11:12.5+01:00</AcquisitionStartDatetime>
<BeamType>Electron</BeamType></Acquisition>
<Optics><AccelerationVoltage>200000</AccelerationVoltage><CameraLength>0.098</CameraLength>
<SpotIndex>5</SpotIndex></Optics>
<StageSettings><StagePosition><X>1e-4</X><Tilt><Alpha>0.1</Alpha><Beta>-0.2</Beta></Tilt></StagePosition></StageSettings>
<Detectors><ScanningDetector><DetectorName>BF</DetectorName></ScanningDetector>
<ScanningDetector><DetectorName>HAADF</DetectorName></ScanningDetector></Detectors>
</Metadata>"""


def test_a_document_of_a_transmission_microscope(tmp_path: Path) -> None:
    found = made(tmp_path, {34682: "", 34683: DOCUMENT})
    first = firsts(found)
    assert first["beam.acceleration_voltage"] == 200000
    assert first["optics.camera_length"] == 0.098
    assert first["stage.alpha"] == pytest.approx(math.degrees(0.1))
    assert first["stage.beta"] == pytest.approx(math.degrees(-0.2))
    assert "stage.tilt" not in found
    assert [value.value for value in found["detector.name"]] == ["BF", "HAADF"]
    assert first["instrument.kind"] == "tem"
    assert found["time.acquired_start"][0].value == "2021-03-04T10:11:12.5+01:00"
    assert found["time.acquired_start"][0].offset_status == "known"
    assert first["time.utc_offset"] == "+01:00"


def test_a_diffraction_pattern(tmp_path: Path) -> None:
    labels = [("Camera length", "1.2", "m"), ("Mode", "TEM uP SA Zoom Diffraction", ""), ("Spot size", "0", "")]
    labels += [("High tension", "", "kV"), ("Screen current", "0.3", "nA"), ("Stage X", "1", "furlongs")]
    entries = "".join(f"<Data><Label>{a}</Label><Value>{b}</Value><Unit>{c}</Unit></Data>" for a, b, c in labels)
    found = firsts(made(tmp_path, {34682: f"<Root>{entries}</Root>"}))
    assert found == {
        "optics.camera_length": 1.2,
        "beam.mode": "TEM uP SA Zoom Diffraction",
        "signal.technique": "diffraction",
        "beam.screen_current": pytest.approx(3e-10),
    }


@pytest.mark.parametrize(
    ("system", "detector", "expected"),
    [("SEM", "LFD", ("electron", "SEM")), ("ESEM", "STEM", ("electron", "STEM")), ("DualBeam", "ETD", (None, None))],
)
def test_a_column_that_is_not_named(
    tmp_path: Path, system: str, detector: str, expected: tuple[str | None, ...]
) -> None:
    """Of a Quanta, which has one; a microscope with two says which."""
    text = f"[System]\r\nType={system}\r\n[Beam]\r\nHV=15000\r\n[Detectors]\r\nName={detector}\r\n"
    found = firsts(made(tmp_path, {34680: text}))
    assert found["beam.acceleration_voltage"] == 15000
    assert (found.get("beam.species"), found.get("signal.technique")) == expected


def test_the_older_text(tmp_path: Path) -> None:
    text = "[DatabarData]\r\nflAccV=10000\r\nflWD=10.1\r\nflSpot=3\r\n[Vector]\r\nMagnification=5000\r\n"
    found = firsts(made(tmp_path, {34680: text}))
    assert found["beam.acceleration_voltage"] == 10000
    assert found["optics.working_distance"] == pytest.approx(0.0101)
    assert found["beam.spot_index"] == 3
    doubtful = firsts(made(tmp_path, {34680: text.replace("10000", "10").replace("10.1", "0.0101")}))
    assert set(doubtful) == {"beam.spot_index"}


def test_empty_and_meaningless_settings(tmp_path: Path) -> None:
    lines = (
        "[Beam]",
        "HV=",
        "Spot=-2",
        "Beam=EBeam",
        "[EBeam]",
        "HV=abc",
        "WD=-1",
        "BeamCurrent=0",
        "[Stage]",
        "StageX=",
    )
    text = "\r\n".join(lines)
    found: dict[str, Any] = firsts(made(tmp_path, {34682: text}))
    assert found == {"beam.species": "electron", "signal.technique": "SEM"}
    assert made(tmp_path, {34682: "no settings at all"}) == {}
