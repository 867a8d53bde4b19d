"""Real Velox files: what is said of them, checked against the tags and the bytes."""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import pytest

from diadem.model.record import Dataset
from tests.plugins.opened import blocks as blocks_of

FOLDER = "emd-velox"
SI, STEM, DPC = "fei_emd_si.emd", "fei_emd_image.emd", "fei_example_dpc_titles.emd"
CAMERA, STACK = "1532 Camera Ceta.emd", "fei_example_tem_stack.emd"
REDUCED, EELS = "Test SI 16x16 ReducedData 215 kx.emd", "example_velox_EELS_EDS.emd"


@pytest.fixture(scope="module")
def folder(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the real files."""
    target = tmp_path_factory.mktemp("velox") / FOLDER
    shutil.copytree(shared_data / FOLDER, target)
    return target


@pytest.fixture(scope="module")
def found(real: Mapping[str, Dataset]) -> dict[str, Any]:
    """Datasets by file name."""
    return {Path(path).name: dataset.document for path, dataset in real.items() if path.startswith(f"{FOLDER}/")}


def test_nothing_is_at_fault(found: dict[str, Any]) -> None:
    assert [dataset["issues"] for dataset in found.values()] == [[]] * 7


def test_what_is_not_measured_is_absent(found: dict[str, Any]) -> None:
    camera = found[CAMERA]["fields"]
    assert not [field for field in camera if field.startswith("scan.")]  # times of the scan before it
    assert "beam.screen_current" not in camera
    assert "time.utc_offset" not in camera  # a log of an old program that may be in UTC
    assert "optics.defocus" not in found[STEM]["fields"]
    assert "beam.convergence_semi_angle" not in found[STEM]["fields"]
    assert "eds.live_time" not in found[SI]["fields"]  # that of one frame of five


def test_offsets_are_known_or_derived(found: dict[str, Any]) -> None:
    starts = {one["offset_status"] for dataset in found.values() for one in dataset["fields"]["time.acquired_start"]}
    assert starts == {"known"}
    ends = {name: found[name]["fields"]["time.acquired_end"][-1]["offset_status"] for name in found}
    assert {name for name, status in ends.items() if status == "known"} == {REDUCED, EELS}
    assert set(ends.values()) == {"known", "derived"}


def test_evidence_names_the_signals(found: dict[str, Any]) -> None:
    fields = found[EELS]["fields"]
    by_length = {one["value"]: one["applies_to"] for one in fields["optics.camera_length"]}
    assert by_length[0.087709] == ["s14"]
    assert len(by_length[0.434912]) == 17
    assert fields["eels.dispersion"][0]["applies_to"] == ["s15", "s16", "s17"]
    names = {one["value"]: one["applies_to"] for one in fields["detector.name"]}
    assert names["UltraX4"] == ["s4", "s18"]
    assert names["Zebra"] == ["s7", "s8", "s9", "s15", "s16", "s17"]


def test_signals(found: dict[str, Any]) -> None:
    signals = found[EELS]["signals"]
    assert [signal["shape"] for signal in signals[-4:]] == [[16, 20, 2048]] * 3 + [[16, 20, 4096]]
    assert [axis["name"] for axis in signals[-2]["axes"]] == ["y", "x", "Energy-loss"]
    assert [signal["title"] for signal in found[DPC]["signals"]] == [
        "B-D", "DPC", "iDPC", "DF4-C", "DF4-B", "DF4-A", "A-C", "DF4-D", "Filtered iDPC",
    ]  # fmt: skip
    assert found[DPC]["signals"][1]["dtype"] == "<c8"


def documents(path: Path) -> Iterator[str]:
    """The JSON texts of the first frames, cut out by the HDF5 library alone."""
    with h5py.File(path, "r") as root:
        for kind in root["Data"]:
            for key in root["Data"][kind] if kind != "Text" else ():
                if "Metadata" in root["Data"][kind][key]:
                    yield root["Data"][kind][key]["Metadata"][:, 0].tobytes().rstrip(b"\0").decode()


#: Field, a regular expression for its tag, and the factor between them.
BY_EXPRESSION = [
    ("beam.extraction_voltage", r'"ExtractorVoltage":\s*"([^"]+)"', 1),
    ("beam.spot_index", r'"SpotIndex":\s*"([^"]+)"', 1),
    ("optics.defocus", r'"Defocus":\s*"([^"]+)"', 1),
    ("scan.line_time", r'"LineTime":\s*"([^"]+)"', 1),
    ("scan.frame_time", r'"FrameTime":\s*"([^"]+)"', 1),
    ("scan.rotation", r'"ScanRotation":\s*"([^"]+)"', 180 / math.pi),
    ("detector.elevation", r'"ElevationAngle":\s*"([^"]+)"', 180 / math.pi),
    ("detector.azimuth", r'"AzimuthAngle":\s*"([^"]+)"', 180 / math.pi),
    ("detector.collection_inner", r'"begin":\s*"([^"]+)"', 1),
    ("detector.collection_outer", r'"end":\s*"([^"]+)"', 1),
    ("camera.exposure", r'"ExposureTime":\s*"([^"]+)"', 1),
    ("eels.aperture", r'"EntranceApertureDiameter":\s*"([^"]+)"', 1),
    ("image.pixel_size_y", r'"PixelSize":\s*\{[^}]*"height":\s*"([^"]+)"', 1),
]


def test_values_against_the_text_of_the_file(found: dict[str, Any], folder: Path) -> None:
    """By regular expressions, not by the parser."""
    checked = set()
    for name, dataset in found.items():
        texts = "\n".join(documents(folder / name))
        for field, expression, factor in BY_EXPRESSION:
            raw = [float(text) * factor for text in re.findall(expression, texts)]
            for one in dataset["fields"].get(field, ()):
                if "AcquisitionMetadata" not in one["source"]["locator"]:
                    near = pytest.approx(one["value"], rel=1e-7, abs=1e-15)
                    assert any(value == near for value in raw), (name, field)
                    checked.add((name, field))
    assert len(checked) == 53


def test_every_frame_is_kept(folder: Path, tmp_path: Path) -> None:
    blocks = blocks_of("diadem.plugins.velox.files:open", folder / SI)
    with h5py.File(folder / SI, "r") as root:
        for kind in ("Image", "SpectrumStream", "SpectrumImage"):
            (key,) = root["Data"][kind]
            stored = root["Data"][kind][key]["Metadata"][:]
            frames = [stored[:, frame].tobytes().rstrip(b"\0") for frame in range(stored.shape[1])]
            ours = [block.data for block in blocks if f"Data/{kind}/" in block.place]
            assert b"\x1e".join([ours[0], *(part.lstrip(b"\x1e") for part in ours[1:])]) == b"\x1e".join(frames)
