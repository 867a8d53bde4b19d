"""EPU's documents: a real one alone and beside its images, and what it does not have."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import diadem
from diadem.extract.tables import apply
from diadem.hooks.fields import Block
from diadem.hooks.manifest import prober
from diadem.hooks.tables import tables
from diadem.plugins.epu.documents import beside, plain
from tests.plugins.opened import blocks

TABLE = tables("diadem.plugins.epu")["epu-xml"]
STEM = "FoilHole_31936319_Data_31923985_31923987_20240831_200517"

EXPECTED: dict[str, list[Any]] = {
    "beam.acceleration_voltage": [(300000.0, "V")],
    "beam.extraction_voltage": [(4058.99, "V")],
    "beam.mode": [("TEM", None)],
    "beam.source_type": [("FieldEmission", None)],
    "beam.spot_index": [(2.0, "1")],
    "camera.binning": [(1, "1")],
    "camera.exposure": [(0.619959, "s")],
    "camera.frame_rate": [(317.762948840165, "1/s")],
    "detector.name": [("EF-Falcon", None)],
    "detector.serial": [("21-24-A1F-AI5", None)],
    "detector.type": [("Falcon 4i", None)],
    "image.pixel_size_x": [(4.15015279087161e-11, "m")],
    "image.pixel_size_y": [(4.15015279087161e-11, "m")],
    "instrument.kind": [("tem", None)],
    "instrument.model": [("TITAN52339260", None)],
    "instrument.serial": [("3926", None)],
    "instrument.software": [("EPU 3.8.1.7603", None)],
    "optics.defocus": [(-1.97079506456477e-06, "m")],
    "optics.energy_filter_slit": [(10.0, "eV")],
    "optics.magnification": [(270000.0, "1")],
    "stage.alpha": [(-0.0092339715705137, "deg")],
    "stage.beta": [(0.0, "deg")],
    "stage.x": [(-0.0006695474423, "m")],
    "stage.y": [(0.000286545992, "m")],
    "stage.z": [(-3.34546231168e-05, "m")],
    "time.acquired_start": [("2024-08-31T20:05:19.233692+02:00", None)],
    "time.utc_offset": [("+02:00", None)],
}


@pytest.fixture(scope="module")
def folder(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The document alone, beside a movie, and beside an image."""
    target = tmp_path_factory.mktemp("epu")
    for name, image in (("alone", ""), ("movie", "_Fractions.mrc"), ("image", ".mrc")):
        (target / name).mkdir()
        shutil.copy(shared_data / "epu-xml" / f"{STEM}.xml", target / name)
        if image:
            mrc(target / name / f"{STEM}{image}")
    return target


def mrc(path: Path) -> None:
    """A small MRC file of numbers without a pixel size."""
    header = np.zeros(256, "<i4")
    header[:4] = (8, 4, 1, 2)
    header[7:10] = (8, 4, 1)
    header[52] = int.from_bytes(b"MAP ", "little")
    header[53] = 0x4444
    path.write_bytes(header.tobytes() + np.zeros((4, 8), "<f4").tobytes())


@pytest.fixture(scope="module")
def found(folder: Path) -> dict[str, Any]:
    """Datasets by the folder of the primary."""
    record = diadem.extract(folder).to_dict()
    return {Path(dataset["files"][0]["path"]).parent.name: dataset for dataset in record["datasets"]}


def stated(dataset: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Value and unit by field, of the document."""
    told = {
        field: [(one["value"], one.get("unit")) for one in ours if one["by"]["rule"].startswith("epu/")]
        for field, ours in dataset["fields"].items()
    }
    return {field: ours for field, ours in told.items() if ours}


def test_real_file_alone(found: dict[str, Any]) -> None:
    dataset = found["alone"]
    assert dataset["files"][0]["format"] == "epu"
    assert dataset["signals"] == []
    assert {issue["code"] for issue in dataset["issues"]} == {"missing-part", "no-signal"}
    assert stated(dataset) == EXPECTED
    assert dataset["fields"]["time.acquired_start"][0]["offset_status"] == "known"


@pytest.mark.parametrize("name", ["movie", "image"])
def test_real_file_beside_its_image(found: dict[str, Any], name: str) -> None:
    dataset = found[name]
    assert dataset["files"][0]["format"] == "mrc"
    assert [(file["role"], Path(file["path"]).suffix) for file in dataset["files"]] == [
        ("primary", ".mrc"),
        ("sidecar", ".xml"),
    ]
    assert stated(dataset) == EXPECTED
    assert dataset["fields"]["optics.magnification"][0]["source"]["file"] == "f2"


def test_values_against_the_bytes(found: dict[str, Any], folder: Path) -> None:
    """By regular expressions, not by the parser."""
    text = (folder / "alone" / f"{STEM}.xml").read_text(encoding="utf-8-sig")
    for field, tag in (
        ("beam.extraction_voltage", "ExtractorVoltage"),
        ("beam.spot_index", "SpotIndex"),
        ("optics.defocus", "Defocus"),
        ("optics.energy_filter_slit", "EnergySelectionSlitWidth"),
        ("stage.x", "X"),
        ("stage.y", "Y"),
        ("stage.z", "Z"),
        ("instrument.serial", "InstrumentID"),
        ("beam.source_type", "Sourcetype"),
    ):
        (raw,) = re.findall(f"<{tag}>([^<]+)</{tag}>", text)
        value = found["alone"]["fields"][field][0]["value"]
        assert value == (raw if isinstance(value, str) else pytest.approx(float(raw))), field
    for field, key in (
        ("detector.serial", "CameraSerialNumber"),
        ("detector.type", "CommercialName"),
        ("camera.frame_rate", "FrameRate"),
    ):
        (raw,) = re.findall(rf"\[EF-Falcon\]\.{key}</a:Key><a:Value[^>]*>([^<]+)<", text)
        assert str(found["alone"]["fields"][field][0]["value"]) == raw


def values(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Values by field."""
    return {value.field: value.value for value in apply(TABLE, Block("a", tree), "epu").values}


@pytest.mark.parametrize("name", ["EpuSession.dm.xml", "EpuSession.dm"])
def test_a_session(shared_data: Path, tmp_path: Path, name: str) -> None:
    shutil.copy(shared_data / "more" / "epu" / "EpuSession.dm.xml", tmp_path / name)
    (dataset,) = diadem.extract(tmp_path).datasets
    assert dataset.primary.format == "epu-session"
    assert dataset.value("time.acquired_start") == "2024-04-05T12:36:47.261633+01:00"
    assert dataset.value("time.utc_offset") == "+01:00"
    assert dataset.value("instrument.software") == "EPU 3.7.0.6930"
    assert (dataset.value("instrument.kind"), dataset.value("sample.name")) == ("tem", "ApoF")
    assert (dataset.value("beam.spot_index"), dataset.value("camera.exposure")) == (5, 1.7)
    assert dataset.value("optics.magnification") is None
    assert {issue["code"] for issue in dataset.issues} == {"no-signal"}


def test_a_session_that_does_not_name_its_program(shared_data: Path, tmp_path: Path) -> None:
    text = (shared_data / "more" / "epu" / "EpuSession.dm.xml").read_text("utf-8-sig")
    (tmp_path / "EpuSession.dm").write_text(re.sub(r' \w*:?Assembly="[^"]*"', "", text, count=1), "utf-8")
    (dataset,) = diadem.extract(tmp_path).datasets
    assert (dataset.value("instrument.kind"), dataset.value("instrument.software")) == ("tem", None)


def test_scanning_and_what_is_not_measured() -> None:
    optics: dict[str, Any] = {
        "ColumnOperatingMode": "STEM", "Defocus": "0", "BeamConvergence": "0.025", "Cameralength": "0.115",
        "EnergyFilter": {"EnergySelectionSlitInserted": "false", "EnergySelectionSlitWidth": "10"},
        "TemMagnification": {"NominalMagnification": "0"}, "StemMagnification": "225000",
    }  # fmt: skip
    tree = {
        "microscopeData": {
            "optics": optics,
            "acquisition": {"acquisitionDateTime": "0001-01-01T00:00:00", "scanSettings": {"DwellTime": "2E-06"}},
            "stage": {"Holder": "Unspecified"},
        },
        "SpatialScale": {"pixelSize": {"x": {"numericValue": "2", "unit": {"_Symbol": "nm"}}}},
    }
    assert values(tree) == {
        "beam.mode": "STEM",
        "beam.convergence_semi_angle": 0.025,
        "instrument.kind": "tem",
        "optics.camera_length": 0.115,
        "optics.magnification": 225000.0,
        "scan.dwell_time": 2e-06,
    }
    optics.update(ColumnOperatingMode="TEM", ProjectorMode="Imaging")
    still = values(tree)
    assert not {"scan.dwell_time", "optics.camera_length", "beam.convergence_semi_angle"} & set(still)
    optics["ProjectorMode"] = "Diffraction"
    assert values(tree)["optics.camera_length"] == 0.115


@pytest.mark.parametrize(
    ("raw", "wanted", "status"),
    [
        ("2024-08-31T20:05:19Z", "2024-08-31T20:05:19Z", "known"),
        ("2024-08-31T20:05:19.5-07:00", "2024-08-31T20:05:19.5-07:00", "known"),
        ("2024-08-31T20:05:19.1234567", "2024-08-31T20:05:19.123456", "unknown"),
        ("31.08.2024 20:05", None, None),
    ],
)
def test_times(raw: str, wanted: str | None, status: str | None) -> None:
    tree = {"microscopeData": {"acquisition": {"acquisitionDateTime": raw}}}
    found = [(value.value, value.offset_status) for value in apply(TABLE, Block("a", tree), "epu").values]
    assert found[:1] == ([(wanted, status)] if wanted else [])


def test_other_documents(tmp_path: Path, shared_data: Path) -> None:
    for other in [*(shared_data / "empad").iterdir(), *(shared_data / "jobinyvon").glob("*.xml")]:
        assert not prober("diadem.plugins.epu/epu")(str(other))
        assert list(beside("a.mrc", [str(other)])) == []


TREES = st.recursive(
    st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["@nil", "#text", "@type", "KeyValueOfstringanyType", "Key", "Value", "a"]), inner
        )
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.text(max_size=3), TREES, max_size=3))
def test_any_document(tree: dict[str, Any]) -> None:
    found = plain(tree)
    assert "KeyValueOfstringanyType" not in found
    apply(TABLE, Block("a", {"microscopeData": found, "CustomData": found, "SpatialScale": found}), "epu")


def test_a_document_without_end(tmp_path: Path) -> None:
    inside = "<a>" * 5000 + "</a>" * 5000
    path = tmp_path / "a.xml"
    path.write_text(f"<MicroscopeImage>{inside}</MicroscopeImage>", encoding="utf-8")
    with pytest.raises((ValueError, RecursionError)):
        blocks("diadem.plugins.epu.documents:open", path)
