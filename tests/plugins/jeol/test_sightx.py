"""JEOL's report: the real file by regular expressions, patterns, scanning images."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest

from diadem.hooks.cuts import cutter
from diadem.hooks.tables import tables
from tests.plugins.tiff.files import firsts, values, write

read = cutter("diadem.plugins.sightx/sightx")

TABLES = tables("diadem.plugins.sightx")


def made(tmp_path: Path, **changes: str) -> dict[str, Any]:
    """Values of a report with other texts in its elements."""
    elements = {
        "Eos": "<EosMode>eosTEM</EosMode>",
        "ElectronGun": "<GunType>gunFEG</GunType><AccelerationVoltage>200000</AccelerationVoltage>",
        "ImageFormingSystem": "<SelectorValue>50</SelectorValue><SelectorUnitString>cm</SelectorUnitString>",
        "Measurement": (
            "<MeasurementFormat><DrawImageInformation><PixelsPerMeter><Horizontal>4000</Horizontal>"
            "<Vertical>2000</Vertical></PixelsPerMeter></DrawImageInformation></MeasurementFormat>"
        ),
        **changes,
    }
    inner = "".join(f"<{name}>{text}</{name}>" for name, text in elements.items())
    text = f'<?xml version="1.0"?><TemReporter>{inner}</TemReporter>\0\x01\0'
    return values(read, TABLES, write(tmp_path / "a.tif", {270: text.encode()}))


def test_the_real_report_by_regular_expressions(shared_data: Path) -> None:
    path = shared_data / "tif-jeol" / "JEOL-SightX-TEM-mag-dummy.tif"
    text = path.read_bytes().decode("latin-1")
    found = values(read, TABLES, path)

    def said(name: str) -> str:
        match = re.search(rf"<{name}>([^<]*)</{name}>", text)
        assert match is not None
        return match[1]

    first = firsts(found)
    assert first["beam.acceleration_voltage"] == float(said("AccelerationVoltage")) == 200000
    assert first["beam.emission_current"] == pytest.approx(float(said("EmissionCurrent")) * 1e-6)
    assert first["optics.magnification"] == float(said("SelectorValue")) == 150000
    assert first["stage.alpha"] == float(said("TX"))
    assert first["stage.beta"] == float(said("TY"))
    assert first["instrument.model"] == said("Instruments")
    assert first["instrument.vendor"] == "JEOL Ltd."
    assert first["person.operator"] == said("Operator")
    assert first["detector.name"] == said("Modelname")
    assert f"{first['camera.exposure'] * 1e3:.2f} msec" == said("ExposureTimeString")
    assert first["time.acquired_start"] == "2019-11-27T16:11:26.62054+09:00"
    assert found["time.acquired_start"][0].offset_status == "known"
    assert first["time.utc_offset"] == "+09:00"
    # Not the beam's: dark current and emission together.
    assert float(said("DarkCurrent")) + float(said("EmissionCurrent")) == pytest.approx(float(said("BeamCurrent")))
    assert "beam.current" not in found


def test_pixels_as_the_program_measures_them(shared_data: Path) -> None:
    path = shared_data / "tif-jeol" / "JEOL-SightX-TEM-mag-dummy.tif"
    text = path.read_bytes().decode("latin-1")
    line = re.search(r'"Measure_Line".*?<HandlePoint>(.*?)</HandlePoint>.*?<Text>([\d.]+)nm</Text>', text, re.DOTALL)
    assert line is not None
    x0, y0, x1, y1 = (float(number) for number in re.findall(r"<[XY]>([\d.]+)</[XY]>", line[1]))
    measured = float(line[2]) * 1e-9 / math.hypot(x1 - x0, y1 - y0)
    assert firsts(values(read, TABLES, path))["image.pixel_size_x"] == pytest.approx(measured, rel=1e-4)


def test_a_pattern(tmp_path: Path) -> None:
    found = firsts(made(tmp_path))
    assert found["optics.camera_length"] == pytest.approx(0.5)
    assert found["beam.source_type"] == "FEG"
    assert found["signal.technique"] == "diffraction"
    assert "optics.magnification" not in found
    # 2.5079 pm is the wavelength at 200 kV (Williams and Carter, table 1.2).
    assert found["image.reciprocal_pixel_size_x"] == pytest.approx(1 / (4000 * 0.5 * 2.5079e-12), rel=1e-3)
    assert found["image.reciprocal_pixel_size_y"] == pytest.approx(1 / (2000 * 0.5 * 2.5079e-12), rel=1e-3)


def test_a_scanning_image(tmp_path: Path) -> None:
    selected = "<SelectorValue>80000</SelectorValue><SelectorUnitString>X</SelectorUnitString>"
    found = firsts(made(tmp_path, Eos="<EosMode>eosASID</EosMode>", ImageFormingSystem=selected))
    assert found["beam.mode"] == found["signal.technique"] == "STEM"
    assert found["optics.magnification"] == 80000
    assert not {field for field in found if field.startswith("image.")}


@pytest.mark.parametrize(("text", "defocus"), [("-1250.0 nm", -1.25e-6), ("0.0 nm", None), ("12", None)])
def test_defocus(tmp_path: Path, text: str, defocus: float | None) -> None:
    found = firsts(made(tmp_path, ImageFormingSystem=f"<DefocusValue>{text}</DefocusValue>"))
    assert found.get("optics.defocus") == (None if defocus is None else pytest.approx(defocus))


def test_placeholders(tmp_path: Path) -> None:
    stage = "<HolderInformation><Name>Nothing</Name></HolderInformation>"
    found = made(tmp_path, GonioStage=stage, Specimen="", Operator="", DateTime="yesterday")
    assert not {"stage.holder", "sample.name", "person.operator", "time.acquired_start"} & set(found)


@pytest.mark.parametrize("text", [b"ImageJ=1.53", b"<OME/>", b"<OME><TemReporter/></OME>"])
def test_descriptions_of_others(tmp_path: Path, text: bytes) -> None:
    assert list(read(str(write(tmp_path / "a.tif", {270: text})), ())) == []


def test_a_damaged_report_is_kept(tmp_path: Path) -> None:
    cutting = iter(read(str(write(tmp_path / "a.tif", {270: b"<TemReporter><a>"})), ()))
    assert next(cutting).data == b"<TemReporter><a>"
    with pytest.raises(SyntaxError):
        list(cutting)
