"""EMPAD's documents: a real one, and the dialects that it is not."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import diadem
from diadem.errors import ReaderError
from diadem.extract.tables import apply
from diadem.hooks.fields import Block
from diadem.hooks.tables import tables
from tests.plugins.opened import blocks

OPEN = "diadem.plugins.empad.files:open"
NAME = "EMPAD_v1.2.2_x32_y64_size0.8.xml"


@pytest.fixture(scope="module")
def folder(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real document with raw data of the size that it promises."""
    target = tmp_path_factory.mktemp("empad")
    (target / NAME).write_bytes((shared_data / "empad" / NAME).read_bytes())
    np.zeros((64 * 32, 130, 128), "<f4").tofile(target / "scan_x32_y64.raw")
    return target


@pytest.fixture(scope="module")
def found(folder: Path) -> dict[str, Any]:
    """The dataset."""
    (dataset,) = diadem.extract(folder).to_dict()["datasets"]
    return dict(dataset)


def test_real_file(found: dict[str, Any]) -> None:
    assert found["issues"] == []
    assert found["signals"][0]["shape"] == [64, 32, 128, 128]
    said = {
        field: (one["value"], one.get("unit"), one.get("offset_status")) for field, (one,) in found["fields"].items()
    }
    assert said == {
        "beam.acceleration_voltage": (300000.0, "V", None),
        "beam.mode": ("STEM", None, None),
        "beam.spot_index": (7.0, "1", None),
        "camera.exposure": (0.001, "s", None),
        "detector.name": ("EMPAD", None, None),
        "instrument.software": ("1.2.2 (2021-08-20)", None, None),
        "optics.camera_length": (0.369, "m", None),
        "scan.rotation": (0.0, "deg", None),
        "time.acquired_start": ("2026-03-25T16:47:52.586728-04:00", None, "derived"),
        "time.utc_offset": ("-04:00", None, None),
    }


def test_values_against_the_bytes(found: dict[str, Any], folder: Path) -> None:
    """By regular expressions, not by the parser."""
    text = (folder / NAME).read_text(encoding="utf-8")
    fields = found["fields"]
    for field, tag, factor in (
        ("beam.acceleration_voltage", "high_voltage", 1),
        ("optics.camera_length", "nominal_camera_length", 1),
        ("beam.spot_index", "spot_size_index", 1),
        ("camera.exposure", "exposure_time", 1e-3),
    ):
        (raw,) = re.findall(f"<{tag}>([^<]+)</{tag}>", text)
        assert fields[field][0]["value"] == pytest.approx(float(raw) * factor)
    (epoch,) = re.findall(r'<timestamp timestamp="([^"]+)"', text)
    moment = dt.datetime.fromisoformat(fields["time.acquired_start"][0]["value"])
    assert moment.timestamp() == pytest.approx(float(epoch), abs=1e-5)


def test_the_exposure_cannot_be_in_seconds(folder: Path) -> None:
    """A thousand frames of background, 2048 of the scan: both were taken within the time between the two stamps."""
    text = (folder / NAME).read_text(encoding="utf-8")
    background, scan = (
        float(re.findall(f'<{tag} timestamp="([^"]+)"', text)[0]) for tag in ("background_image", "timestamp")
    )
    assert "cnt_1000" in text
    assert 0 < scan - background < 1000


def document(path: Path, inside: str) -> dict[str, tuple[Any, str]]:
    """Value and status of the offset by field, of a document's tables."""
    path.write_text(f'<?xml version="1.0"?><root name="a">{inside}</root>', encoding="utf-8")
    by_kind = tables("diadem.plugins.empad")
    found: dict[str, tuple[Any, str]] = {}
    for block in blocks(OPEN, path):
        applied = apply(by_kind[block.kind], block, "empad")
        assert applied.issues == []
        found |= {value.field: (value.value, value.offset_status) for value in applied.values}
    return found


def test_first_programs(tmp_path: Path) -> None:
    found = document(
        tmp_path / "a.xml",
        """<raw_file filename="a.raw"/><pix_x>2</pix_x><pix_y>3</pix_y><exposure_time>2</exposure_time>
        <timestamp isoformat="2017-05-03T10:20:30"/>
        <iom_measurements><source.get_voltage>80000</source.get_voltage>
        <optics.get_cameralength>0.115</optics.get_cameralength>
        <column.get_scanrotation>-1.5707963267948966</column.get_scanrotation>
        <beam.get_spotsizeindex>6</beam.get_spotsizeindex>
        <source.get_screencurrent>2.5e-10</source.get_screencurrent></iom_measurements>""",
    )
    assert found == {
        "beam.acceleration_voltage": (80000.0, ""),
        "beam.screen_current": (2.5e-10, ""),
        "beam.spot_index": (6.0, ""),
        "camera.exposure": (0.002, ""),
        "optics.camera_length": (0.115, ""),
        "scan.rotation": (-90.0, ""),
        "time.acquired_start": ("2017-05-03T10:20:30", "unknown"),
    }


SECOND = """<timestamp timestamp="{epoch}" isoformat="{iso}"/>
<software_version>v2.0_3</software_version>
<scan><type>scan</type><shape>(256, 256)</shape><exposure_time>0.0001</exposure_time></scan>
<sensor><type>EMPAD2</type><shape>(128,128)</shape><exposure_time>0.0001</exposure_time></sensor>
<pdcu><SerialNumber>20-12-A0L-SX3</SerialNumber></pdcu>
<acquisition><start_time>Tue Jun 22 00:44:37 2021</start_time>
<end_time>Tue Jun 22 00:44:46 2021</end_time></acquisition>
<iom_measurements><ColumnGetScanRotation>-2.8274333882308174</ColumnGetScanRotation>
<ColumnOpticsSpotSizeIndex>8</ColumnOpticsSpotSizeIndex>
<ColumnOpticsGetCameraLengthNominalCameraLength>1.197</ColumnOpticsGetCameraLengthNominalCameraLength>
<ColumnSourceHighVoltage>300000.0</ColumnSourceHighVoltage></iom_measurements>
<rawfile><datatype>float32</datatype><filename>scan_x256_y256.raw</filename></rawfile>"""


def test_second_generation(tmp_path: Path) -> None:
    """Its program wrote UTC as local time, and the epoch of that: the clock of the scan tells what is meant."""
    inside = SECOND.format(epoch="1624351503.609866", iso="2021-06-22T04:45:03.609866")
    assert document(tmp_path / "a.xml", inside) == {
        "beam.acceleration_voltage": (300000.0, ""),
        "beam.spot_index": (8.0, ""),
        "camera.exposure": (0.0001, ""),
        "detector.name": ("EMPAD2", ""),
        "detector.serial": ("20-12-A0L-SX3", ""),
        "instrument.software": ("v2.0_3", ""),
        "optics.camera_length": (1.197, ""),
        "scan.rotation": (-162.0, ""),
        "time.acquired_start": ("2021-06-22T00:44:37-04:00", "derived"),
        "time.acquired_end": ("2021-06-22T00:44:46-04:00", "derived"),
        "time.utc_offset": ("-04:00", ""),
    }


@pytest.mark.parametrize(
    ("epoch", "iso", "start", "status"),
    [
        ("1624337103.6", "2021-06-22T00:45:03.6", "2021-06-22T00:44:37-04:00", "derived"),
        ("1624337103.6", "2021-06-22T09:45:03.6", "2021-06-22T00:44:37", "unknown"),
        ("1624423503.6", "2021-06-23T00:45:03.6", "2021-06-22T00:44:37", "unknown"),
    ],
)
def test_clocks_of_the_second_generation(tmp_path: Path, epoch: str, iso: str, start: str, status: str) -> None:
    found = document(tmp_path / "a.xml", SECOND.format(epoch=epoch, iso=iso))
    assert found["time.acquired_start"] == (start, status)


def test_other_documents_have_no_block(tmp_path: Path) -> None:
    for text in ("<other><raw_file/></other>", "<root>text</root>"):
        (tmp_path / "a.xml").write_text(text, encoding="utf-8")
        with pytest.raises(ReaderError):
            blocks(OPEN, tmp_path / "a.xml")


def test_a_bomb_is_no_document(tmp_path: Path) -> None:
    entities = "".join(f'<!ENTITY a{n} "{10 * f"&a{n - 1};"}">' for n in range(1, 12))
    text = f'<!DOCTYPE root [<!ENTITY a0 "ten bytes!">{entities}]><root><raw_file filename="&a11;"/></root>'
    (tmp_path / "a.xml").write_text(text, encoding="utf-8")
    with pytest.raises(SyntaxError):
        blocks(OPEN, tmp_path / "a.xml")


def test_frames_are_read_from_where_they_lie(folder: Path, tmp_path: Path) -> None:
    """Without the two rows behind each of them; a chunk that is damaged costs no other."""
    (tmp_path / "in").mkdir()
    frames = np.arange(2 * 3 * 130 * 128, dtype="<f4").reshape(3, 2, 130, 128)
    text = (folder / NAME).read_text(encoding="utf-8").replace("scan_x32_y64", "scan_x2_y3")
    (tmp_path / "in" / NAME).write_text(text, encoding="utf-8")
    frames.tofile(tmp_path / "in" / "scan_x2_y3.raw")
    package = diadem.pack(tmp_path / "in", tmp_path / "out")
    signal = package.load(NAME)
    assert signal._lazy
    assert signal.metadata.General.diadem.verify == "leaves"
    assert np.array_equal(signal.data.compute(), frames[:, :, :128])
    assert [axis.size for axis in signal.axes_manager.navigation_axes] == [2, 3]
    (tmp_path / "in" / "scan_x2_y3.raw").write_bytes(frames.tobytes()[:-1])
    (short,) = diadem.extract(tmp_path / "in").datasets
    assert "399360" in next(one["message"] for one in short.issues if one["code"] == "truncated")


@given(
    st.dictionaries(st.sampled_from(["timestamp", "acquisition", "iom_measurements", "sensor"]), st.text(max_size=9))
)
def test_any_values(tree: dict[str, Any]) -> None:
    stamp = {"@timestamp": tree.get("timestamp"), "@isoformat": tree.get("acquisition")}
    for one in (tree, {"timestamp": stamp, "acquisition": {"start_time": tree.get("sensor")}}):
        for table in tables("diadem.plugins.empad").values():
            assert apply(table, Block("a", one), "empad").issues == []
