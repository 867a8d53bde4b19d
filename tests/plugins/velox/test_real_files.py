"""Real Velox files: what is said of them, checked against the tags, the bytes and another time zone."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import pytest

import diadem
from tests.plugins.opened import blocks as blocks_of

FOLDER = "emd-velox"
SI, STEM, DPC = "fei_emd_si.emd", "fei_emd_image.emd", "fei_example_dpc_titles.emd"
CAMERA, STACK = "1532 Camera Ceta.emd", "fei_example_tem_stack.emd"
REDUCED, EELS = "Test SI 16x16 ReducedData 215 kx.emd", "example_velox_EELS_EDS.emd"

#: Ground truth by key: field, factor to its unit, unit.
KEYS: dict[str, tuple[str, float, str | None]] = {
    "beam_energy_keV": ("beam.acceleration_voltage", 1e3, "V"),
    "camera_length_m": ("optics.camera_length", 1, "m"),
    "magnification": ("optics.magnification", 1, "1"),
    "convergence_semi_angle_mrad": ("beam.convergence_semi_angle", 1e-3, "rad"),
    "screen_current_A": ("beam.screen_current", 1, "A"),
    "stage_alpha_deg": ("stage.alpha", 1, "deg"),
    "stage_beta_deg": ("stage.beta", 1, "deg"),
    "stage_x_m": ("stage.x", 1, "m"),
    "stage_y_m": ("stage.y", 1, "m"),
    "stage_z_m": ("stage.z", 1, "m"),
    "dwell_time_s": ("scan.dwell_time", 1, "s"),
    "pixel_size": ("image.pixel_size_x", 1, "m"),
    "microscope": ("instrument.model", 0, None),
    "manufacturer": ("instrument.vendor", 0, None),
    "instrument_serial": ("instrument.serial", 0, None),
    "detector": ("detector.name", 0, None),
    "acquisition_utc": ("time.acquired_start", 0, None),
}

#: What stands in images of a still beam as it was set last, and is none of theirs.
OF_THE_LAST_PROBE = ("camera_length_m", "convergence_semi_angle_mrad")

#: Values that `expected.json` does not have: unit, and values in the order of the record.
MORE: dict[str, dict[str, tuple[str | None, list[Any]]]] = {
    CAMERA: {
        "beam.mode": (None, ["TEM"]),
        "beam.spot_index": ("1", [4]),
        "beam.extraction_voltage": ("V", [4098.9010989]),
        "camera.exposure": ("s", [1]),
        "camera.binning": ("1", [2]),
        "optics.defocus": ("m", [1.51499409e-07]),
        "stage.holder": (None, ["FEI Double Tilt"]),
        "instrument.kind": (None, ["tem"]),
        "instrument.software": (None, ["Velox 2.2.1.144-67c21af"]),
        "time.acquired_start": (None, ["2017-11-30T15:32:21.914275Z"]),
        "time.acquired_end": (None, ["2017-11-30T15:32:22Z"]),
    },
    STACK: {
        "camera.exposure": ("s", [0.8]),
        "time.acquired_end": (None, ["2019-12-05T10:03:47.038967Z", "2019-12-05T11:04:07+01:00"]),
        "time.utc_offset": (None, ["+01:00"]),
    },
    STEM: {
        "scan.frame_time": ("s", [6.0416]),
        "scan.line_time": ("s", [0.0118]),
        "scan.rotation": ("deg", [95.0]),
        "optics.field_of_view_x": ("m", [2.7148363970517e-06]),
        "detector.type": (None, ["ScanningDetector"]),
        "time.acquired_end": (None, ["2017-03-06T09:56:47Z"]),
    },
    SI: {
        "scan.frames": ("1", [5]),
        "optics.field_of_view_x": ("m", [8.48386374e-08]),
        "detector.elevation": ("deg", [22.0000003]),
        "detector.name": (None, ["HAADF", "SuperXG2"]),
        "time.acquired_end": (None, ["2017-03-06T09:58:01Z", "2017-03-06T09:58:02Z"]),
    },
    REDUCED: {
        "eds.live_time": ("s", [0.492103811, 0.51199645, 0.499736259, 0.502818448]),
        "eds.real_time": ("s", [0.5119965, 0.51199645, 0.5119956, 0.511995625]),
        "detector.azimuth": ("deg", [45, 315, 135, 225]),
        "detector.elevation": ("deg", [18.0000003]),
        "detector.collection_inner": ("rad", [0.05005584]),
        "detector.collection_outer": ("rad", [0.2]),
        "sample.elements": (None, [["C", "O", "Ca", "Cu"]]),
        "person.operator": (None, ["Thorsten"]),
        "sample.name": (None, ["Test"]),
        "time.acquired_end": (None, ["2024-02-29T07:58:05+01:00"]),
        "time.utc_offset": (None, ["+01:00"]),
    },
    EELS: {
        "eels.dispersion": ("eV", [0.1692]),
        "eels.collection_semi_angle": ("rad", [0.00334354929]),
        "eels.aperture": ("m", [0.005]),
        "camera.exposure": ("s", [0.004, 0.005, 2e-06]),
        "eds.real_time": ("s", [2.9071472]),
        "scan.frames": ("1", [1]),
        "sample.identifier": (None, ["4979A"]),
        "sample.name": (None, ["Co2FeO4_AR_100CVs"]),
        "person.operator": (None, ["ortega"]),
        "sample.elements": (None, [["O", "Fe", "Co"]]),
        "time.acquired_start": (None, ["2026-06-11T10:01:03Z", "2026-06-11T10:01:02Z", "2026-06-11T09:55:49Z"]),
        "time.utc_offset": (None, ["+02:00"]),
    },
    DPC: {
        "beam.source_type": (None, ["Monochromator"]),
        "detector.collection_outer": ("rad", [0.00336298742]),
        "time.acquired_end": (None, ["2020-10-29T14:16:30+01:00"]),
        "time.utc_offset": (None, ["+01:00"]),
    },
}


@pytest.fixture(scope="module")
def folder(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the real files."""
    target = tmp_path_factory.mktemp("velox") / FOLDER
    shutil.copytree(shared_data / FOLDER, target)
    return target


@pytest.fixture(scope="module")
def found(folder: Path) -> dict[str, Any]:
    """Datasets by file name."""
    record = diadem.extract(folder).to_dict()
    return {Path(dataset["files"][0]["path"]).name: dataset for dataset in record["datasets"]}


def alike(one: Any, other: Any) -> bool:
    """Whether two values are the same, numbers to seven digits."""
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return math.isclose(one, other, rel_tol=1e-7, abs_tol=1e-15)
    return bool(one == other)


def test_ground_truth(found: dict[str, Any], shared_data: Path) -> None:
    truths = json.loads((shared_data / "expected.json").read_text(encoding="utf-8"))["files"]
    compared = 0
    for name, dataset in found.items():
        assert dataset["issues"] == [], name
        for key, truth in truths[f"{FOLDER}/{name}"]["expected"].items():
            if key not in KEYS:
                continue
            if name in (CAMERA, STACK) and key in OF_THE_LAST_PROBE:
                assert KEYS[key][0] not in dataset["fields"]
                continue
            field, factor, unit = KEYS[key]
            wanted = truth["value"] * factor if factor else truth["value"]
            ours = dataset["fields"][field]
            assert any(alike(one["value"], wanted) or str(wanted) == str(one["value"]) for one in ours), (name, field)
            assert {one.get("unit") for one in ours} == {unit}, (name, field)
            compared += 1
    assert compared == 106


@pytest.mark.parametrize("name", sorted(MORE))
def test_more_values(found: dict[str, Any], name: str) -> None:
    for field, (unit, wanted) in MORE[name].items():
        ours = found[name]["fields"][field]
        assert len(ours) == len(wanted), (field, ours)
        assert all(alike(one["value"], value) for one, value in zip(ours, wanted, strict=True)), (field, ours)
        assert {one.get("unit") for one in ours} == {unit}, field


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
                    assert any(alike(one["value"], value) for value in raw), (name, field)
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
