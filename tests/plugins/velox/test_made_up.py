"""What the real Velox files do not have: other modes, placeholders, damage, very many frames."""

from __future__ import annotations

import datetime as dt
import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import diadem
from diadem.extract.tables import apply
from diadem.hooks.fields import Block, Table
from diadem.hooks.tables import tables
from diadem.plugins.velox.container import MOST_FRAMES, parsed
from tests.plugins.opened import blocks as blocks_of
from tests.plugins.velox.made_up import MINIMAL, columns, merged, velox

VELOX = tables("diadem.plugins.velox")
OPEN = "diadem.plugins.velox.files:open"


def values(table: Table, tree: dict[str, Any]) -> dict[str, Any]:
    """Values by field, of a table applied to a tree."""
    return {value.field: value.value for value in apply(table, Block("a", tree), "velox").values}


def image(**changes: Any) -> dict[str, Any]:
    """Values of a document with changes."""
    return values(VELOX["velox-image"], merged(MINIMAL, changes))


def test_placeholders_are_absent() -> None:
    found = image(
        Optics={"BeamConvergence": "-0.01", "LastMeasuredScreenCurrent": "0", "Defocus": "0", "CameraLength": "0"},
        CustomProperties={"StemMagnification": {"type": "bool", "value": "1"}},
        Stage={"HolderType": "None"},
        Sample="",
        Acquisition={"AcquisitionStartDatetime": {"DateTime": "0"}, "SourceType": ""},
    )
    assert set(found) == {
        "beam.acceleration_voltage", "beam.mode", "detector.name", "detector.type", "image.pixel_size_x",
        "image.pixel_size_y", "instrument.kind", "instrument.model", "instrument.serial", "instrument.vendor",
        "scan.dwell_time", "scan.frame_time", "signal.technique", "stage.alpha", "stage.beta",
        "stage.x", "stage.y", "stage.z",
    }  # fmt: skip
    assert found["stage.alpha"] == 0


def test_negative_convergence_makes_no_issue() -> None:
    applied = apply(VELOX["velox-image"], Block("a", merged(MINIMAL, {"Optics": {"BeamConvergence": "-1"}})), "velox")
    assert applied.issues == []


def test_diffraction() -> None:
    found = image(
        BinaryResult={"PixelUnitX": "1/m", "PixelUnitY": "1/m", "PixelSize": {"width": "4e7", "height": "5e7"}},
        Optics={"OperatingMode": "1", "ProjectorMode": "1", "CameraLength": "0.42"},
    )
    assert found["image.reciprocal_pixel_size_x"] == 4e7
    assert found["image.reciprocal_pixel_size_y"] == 5e7
    assert "image.pixel_size_x" not in found
    assert (found["optics.camera_length"], found["beam.mode"]) == (0.42, "TEM")


@pytest.mark.parametrize(
    ("optics", "unit", "stated"),
    [
        ({"OperatingMode": "1", "ProjectorMode": "2"}, "m", False),
        ({"OperatingMode": "1", "ProjectorMode": "1"}, "1/m", True),
        ({"OperatingMode": "1"}, "m", False),
        ({"OperatingMode": "1"}, "1/m", True),
        ({"OperatingMode": "2", "ProjectorMode": "1"}, "m", True),
    ],
)
def test_the_mode_decides_whether_a_camera_length_holds(optics: dict[str, str], unit: str, stated: bool) -> None:
    """Behind an image it is that of the last pattern; a beam that stands still has no convergence of a probe."""
    optics |= {"CameraLength": "0.4", "BeamConvergence": "0.02"}
    found = image(Optics=optics, BinaryResult={"PixelUnitX": unit, "PixelUnitY": unit})
    assert ("optics.camera_length" in found) == stated
    assert ("beam.convergence_semi_angle" in found) == (optics["OperatingMode"] == "2")


CAMERA = {"Detector-0": {"DetectorName": "HAADF", "DetectorType": "ImagingDetector"}}
SEGMENT = {"Detector-1": {"DetectorName": "SuperXG21", "ElevationAngle": "0.3", "Enabled": "true"}}
RECIPROCAL = {"PixelUnitX": "1/m", "PixelUnitY": "1/m"}


@pytest.mark.parametrize(
    ("changes", "technique"),
    [
        ({}, "STEM"),
        ({"BinaryResult": RECIPROCAL}, None),
        ({"Detectors": CAMERA, "Optics": {"OperatingMode": "1", "ProjectorMode": "2"}}, "TEM"),
        (
            {"Detectors": CAMERA, "Optics": {"OperatingMode": "1", "ProjectorMode": "2"}, "BinaryResult": RECIPROCAL},
            None,
        ),
        (
            {"Detectors": CAMERA, "Optics": {"OperatingMode": "1", "ProjectorMode": "1"}, "BinaryResult": RECIPROCAL},
            "diffraction",
        ),
        ({"Detectors": {"Detector-0": {"DetectorType": "AnalyticalDetector"}}}, None),
        ({"Detectors": SEGMENT, "BinaryResult": {"Detector": "SuperXG2", "DetectorIndex": None}}, "EDS"),
    ],
)
def test_technique_of_images(changes: dict[str, Any], technique: str | None) -> None:
    """A transform of an image is none of the techniques; a map of elements may be of X-rays or of losses."""
    assert image(**changes).get("signal.technique") == technique


def test_technique_of_spectra() -> None:
    def tree(**changes: Any) -> dict[str, Any]:
        return merged(MINIMAL, {"Detectors": {"Detector-0": {"DetectorType": "AnalyticalDetector", **changes}}})

    assert values(VELOX["velox-spectrum"], tree(ElevationAngle="0.3"))["signal.technique"] == "EDS"
    assert values(VELOX["velox-stream"], tree(ElevationAngle="0.3"))["signal.technique"] == "EDS"
    assert "signal.technique" not in values(VELOX["velox-spectrum"], tree())
    assert values(VELOX["velox-eels"], tree())["signal.technique"] == "EELS"


@pytest.mark.parametrize(("inserted", "width"), [("true", 10.0), ("false", None), ("", None)])
def test_energy_filter(inserted: str, width: float | None) -> None:
    filter_ = {"EnergySelectionSlitInserted": inserted, "EnergySelectionSlitWidth": "10"}
    assert image(EnergyFilter=filter_).get("optics.energy_filter_slit") == width


def test_a_detector_number_that_contradicts_the_name() -> None:
    detectors = {
        "Detector-0": {"DetectorName": "BF", "CollectionAngleRange": {"begin": "0", "end": "0.01"}},
        "Detector-1": {"DetectorName": "HAADF", "CollectionAngleRange": {"begin": "0.05", "end": "0.2"}},
    }
    found = image(Detectors=detectors)
    assert (found["detector.collection_inner"], found["detector.collection_outer"]) == (0.05, 0.2)


@pytest.mark.parametrize(("kind", "rate"), [("ImagingDetector", 40.0), ("ScanningDetector", None)])
def test_frame_rates_are_of_cameras(kind: str, rate: float | None) -> None:
    detector = {"DetectorName": "BM-Ceta", "DetectorType": kind}
    found = image(
        Detectors={"Detector-0": detector},
        BinaryResult={"Detector": "BM-Ceta", "DetectorIndex": "0"},
        CustomProperties={"Detectors[BM-Ceta].FrameRate": {"type": "double", "value": "40"}},
    )
    assert found.get("camera.frame_rate") == rate


def test_times_of_a_spectrum_image_only_where_they_are_of_all_of_it() -> None:
    tree: dict[str, Any] = {
        "BinaryResult": {"Detector": "SuperXG2"},
        "Detectors": {
            f"Detector-{number}": {
                "DetectorName": f"SuperXG2{number}", "Enabled": "true", "RealTime": "0.512", "LiveTime": "0.5",
            }
            for number in (1, 2)
        },
        "Scan": {
            "ScanSize": {"width": "128", "height": "128"},
            "ScanArea": {"left": "0", "right": "0.125", "top": "0.5", "bottom": "0.625"},
            "DwellTime": "0.001",
        },
        "SpectrumImageSettings": {"startFramePosition": "1", "endFramePosition": "2"},
    }  # fmt: skip
    assert values(VELOX["velox-spectrum-image"], tree) == {
        "scan.frames": 2,
        "eds.live_time": 0.5,
        "eds.real_time": 0.512,
    }
    tree["SpectrumImageSettings"] = {"endFramePosition": "5"}
    assert values(VELOX["velox-spectrum-image"], tree) == {"scan.frames": 5}
    tree["SpectrumImageSettings"] = {"endFramePosition": "2"}
    tree["Detectors"]["Detector-2"]["LiveTime"] = "0.4"
    assert values(VELOX["velox-spectrum-image"], tree) == {"scan.frames": 2, "eds.real_time": 0.512}


def test_an_element_that_does_not_exist() -> None:
    chosen: Any
    for chosen in ([26, 119], [0], "26", None, [True, "x"]):
        shared = {"EDSSpectrumQuantificationSettings": {"a": {"elementSelection": chosen}}}
        assert values(VELOX["velox-settings"], {"SharedProperties": shared}) == {}
    tree = {"Operations": {"ImageQuantificationOperation": {"a": {"elementSelection": ["26", "8", "26"]}}}}
    assert values(VELOX["velox-settings"], tree) == {"sample.elements": ["Fe", "O"]}


LOCAL = (
    "2019-07-05 12:03:44 Started acquisition for experiment of type Camera\n2019-07-05 12:04:07 Finished acquisition\n"
)


@pytest.mark.parametrize(
    ("text", "program", "starts", "wanted"),
    [
        (LOCAL, "2.10.0", ["2019-07-05T10:03:40Z"], ("+02:00", "2019-07-05T12:04:07+02:00", "derived")),
        (LOCAL, "1.4.0", ["2019-07-05T12:03:40Z"], (None, "2019-07-05T12:04:07Z", "derived")),
        (LOCAL, "3.1.0", ["2019-07-05T12:03:40Z"], ("+00:00", "2019-07-05T12:04:07Z", "derived")),
        (LOCAL, "2.10.0", [], (None, "2019-07-05T12:04:07", "unknown")),
        (LOCAL, "2.10.0", ["2019-07-01T10:00:00Z"], (None, None, None)),
        (LOCAL.replace(" S", "-0330 S"), "3.1.0", [], ("-03:30", "2019-07-05T12:04:07-03:30", "known")),
    ],
)
def test_logs(text: str, program: str, starts: list[str], wanted: tuple[str | None, ...]) -> None:
    tree = {"text": text, "starts": starts, "applicationVersion": program}
    found = {value.field: value for value in apply(VELOX["velox-log"], Block("a", tree), "velox").values}
    end = found.get("time.acquired_end")
    offset = found.get("time.utc_offset")
    assert (offset and offset.value, end and end.value, end and end.offset_status) == wanted
    assert ("time.acquired_start" in found) == (not starts)


@given(st.text(), st.text())
def test_any_text_is_a_log(text: str, line: str) -> None:
    tree = {"text": f"{text}\n2019-07-05 12:03:44{line} Started acquisition\n", "starts": []}
    for one in apply(VELOX["velox-log"], Block("a", tree), "velox").values:
        assert one.field.startswith("time.")


@given(st.integers(631_152_000, 3_786_912_000), st.integers(-56, 56))
def test_offsets_of_logs(seconds: int, quarters: int) -> None:
    instant = dt.datetime.fromtimestamp(seconds, dt.UTC)
    apart = dt.timedelta(minutes=15 * quarters)
    text = f"{instant + apart:%Y-%m-%d %H:%M:%S} Started acquisition"
    tree = {"text": text, "starts": [instant.isoformat()], "applicationVersion": "3.0.0"}
    found = {one.field: one.value for one in apply(VELOX["velox-log"], Block("a", tree), "velox").values}
    hours, minutes = divmod(abs(15 * quarters), 60)
    assert found["time.utc_offset"] == f"{'-' if quarters < 0 else '+'}{hours:02d}:{minutes:02d}"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["0", "1e-9", "-1", "nan", "1e999"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
GROUPS = ["Instrument", "Acquisition", "Optics", "Stage", "Scan", "Detectors", "BinaryResult", "CustomProperties"]


@given(st.sampled_from(GROUPS), JSON)
def test_any_value_of_any_group(group: str, value: Any) -> None:
    for table in VELOX.values():
        applied = apply(table, Block("a", {**MINIMAL, group: value}), "velox")
        assert all(issue["code"] == "implausible" for issue in applied.issues)


@given(st.binary(max_size=64))
def test_any_bytes_are_no_document_or_one(text: bytes) -> None:
    with suppress(ValueError):
        assert isinstance(parsed(text), dict)


def test_a_document_without_end() -> None:
    with pytest.raises(ValueError, match="deeply"):
        parsed(b'{"a":' * 100_000)


def test_damaged_documents(tmp_path: Path) -> None:
    text = json.dumps(MINIMAL).encode()
    blocks = blocks_of(OPEN, velox(tmp_path / "a.emd", [text[:-20], text, b"", b"\xff\xfe"]))
    kinds = [(block.kind, bool(block.tree)) for block in blocks[:3]]
    assert kinds == [("velox-image", False), ("velox-frames", False), ("velox-last-frame", False)]
    assert blocks[0].data == text[:-20]


def test_very_many_frames(tmp_path: Path) -> None:
    frames = MOST_FRAMES + 500
    text = json.dumps(MINIMAL).encode()
    path = tmp_path / "a.emd"
    velox(path, [text])
    with h5py.File(path, "r+") as root:
        group = root["Data/Image/" + 32 * "a"]
        del group["Metadata"], group["Data"]
        group.create_dataset("Metadata", data=columns([text] * frames, 2000), chunks=(2000, 1))
        group["Data"] = np.zeros((2, 2, frames), np.uint8)
    started = time.process_time()
    blocks = [block for block in blocks_of(OPEN, path) if "Data/Image" in block.place]
    assert time.process_time() - started < 10
    assert len(blocks) == 3
    assert blocks[1].data == b"".join(b"\x1e" + text for _ in range(MOST_FRAMES))
    assert blocks[1].place.endswith(f"[:,1:{MOST_FRAMES + 1}], 498 more in the file")
    assert blocks[2].place.endswith(f"[:,{frames - 1}]")


def test_metadata_of_absurd_size(tmp_path: Path) -> None:
    path = velox(tmp_path / "a.emd")
    with h5py.File(path, "r+") as root:
        group = root["Data/Image/" + 32 * "a"]
        del group["Metadata"]
        group.create_dataset("Metadata", shape=(1 << 40, 1 << 20), dtype="u1", chunks=(1 << 16, 1))
    assert [block.kind for block in blocks_of(OPEN, path)] == [
        "velox-program",
        "velox-unread",
    ]


def test_the_whole_way(tmp_path: Path) -> None:
    """A stack of four frames: the last one ends it, the vendor's texts are all kept, the record is the same again."""
    starts = ("1562321020", "1562321030", "1562321040", "1562321050")
    frames = [merged(MINIMAL, {"Acquisition": {"AcquisitionStartDatetime": {"DateTime": one}}}) for one in starts]
    velox(tmp_path / "a.emd", frames, log=LOCAL.replace("44", "40"), program="2.10.0.716")
    (dataset,) = diadem.extract(tmp_path).to_dict()["datasets"]
    assert dataset["issues"] == []
    assert dataset["signals"][0]["shape"] == [4, 3, 4]
    fields = dataset["fields"]
    assert fields["time.acquired_start"][0]["value"] == "2019-07-05T10:03:40Z"
    assert [one["value"] for one in fields["time.acquired_end"]] == [
        "2019-07-05T10:04:10Z",
        "2019-07-05T12:04:07+02:00",
    ]
    assert fields["image.pixel_size_y"][0]["value"] == 2e-9
