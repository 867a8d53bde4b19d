"""MRC: SerialEM's lists, Direct Electron's settings and FEI's extended headers, on real files and made-up bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diadem.api import extract
from diadem.extract.tables import apply
from diadem.hooks.binary import Structure
from diadem.hooks.fields import Block, Table
from diadem.hooks.tables import tables
from diadem.plugins.mrc import extended, sidecars
from diadem.plugins.mrc.files import HEADER, header
from tests.plugins.opened import blocks

MRC = tables("diadem.plugins.mrc")
OPEN = "diadem.plugins.mrc.files:open"


def values(table: Table, tree: Mapping[str, Any]) -> dict[str, Any]:
    """Values by field, each of which is given once."""
    applied = apply(table, Block("kind", tree), "mrc")
    found = {one.field: one.value for one in applied.values}
    assert len(found) == len(applied.values)
    return found


@pytest.fixture(scope="module")
def datasets(real: Mapping[str, Any]) -> Mapping[str, Any]:
    return {Path(path).name: dataset for path, dataset in real.items() if path.startswith(("mrc/", "mdoc/"))}


def test_what_is_not_stated_is_absent(datasets: Mapping[str, Any]) -> None:
    """Tilts of Velox are of an unknown unit; the camera has not made a picture of a scanned beam."""
    absent = ("stage.alpha", "camera.binning", "camera.exposure", "optics.magnification", "optics.defocus")
    for field in absent:
        assert datasets["HAADFscan.mrc"].assertions(field) == ()
    assert datasets["20241021_00405_movie.mrc"].assertions("detector.serial") == ()


def test_a_field_of_view_is_all_pixels(datasets: Mapping[str, Any]) -> None:
    """The scan is of 256 pixels, by its right end."""
    dataset = datasets["HAADFscan.mrc"]
    assert dataset.value("optics.field_of_view_x") / 256 == pytest.approx(dataset.value("image.pixel_size_x"))


def test_axes_have_the_sizes_that_settings_state(datasets: Mapping[str, Any]) -> None:
    """0.1 and 0.2 nm; the unit of 0.1 of a pattern is not stated."""
    (signal,) = datasets["20241021_00405_movie.mrc"].signals
    axes = {axis.name: (axis.scale, axis.unit) for axis in signal.axes}
    assert axes == {
        "x": (pytest.approx(1e-10), "m"),
        "y": (pytest.approx(2e-10), "m"),
        "kx": (1, None),
        "ky": (1, None),
    }


def test_headers_are_kept_as_bytes(shared_data: Path, datasets: Mapping[str, Any]) -> None:
    data = (shared_data / "mrc" / "HAADFscan.mrc").read_bytes()
    kept = {block.path: block.data for block in datasets["HAADFscan.mrc"].vendor()}
    assert kept["header"] == data[:HEADER]
    assert kept["extended header"] == data[HEADER : HEADER + 909312]


def stack(path: Path, cell: float = 0.0, extended: bytes = b"", kind: bytes = b"", count: int = 4) -> Path:
    """A stack of two sections of 4 x 4 bytes."""
    head = bytearray(HEADER)
    struct.pack_into("<10i", head, 0, 4, 4, 2, 0, 0, 0, 0, count, count, 2)
    struct.pack_into("<6f", head, 40, cell, cell, 2 * cell, 90, 90, 90)
    struct.pack_into("<i", head, 92, len(extended))
    head[104 : 104 + len(kind)] = kind
    head[208:212] = b"MAP "
    path.write_bytes(bytes(head) + extended + bytes(32))
    return path


@pytest.mark.parametrize(
    ("cell", "count", "size"), [(40.0, 4, 1e-9), (-40.0, 4, None), (0.0, 4, None), (40.0, 0, None)]
)
def test_a_header_without_a_cell_states_no_size(tmp_path: Path, cell: float, count: int, size: float | None) -> None:
    (dataset,) = extract(stack(tmp_path / "a.mrc", cell, count=count)).datasets
    found = [one.value for one in dataset.assertions("image.pixel_size_x")]
    assert found == ([] if size is None else [pytest.approx(size)])


def test_a_list_beside_its_stack_is_of_the_stack(tmp_path: Path) -> None:
    stack(tmp_path / "a.mrc", 40.0)
    (tmp_path / "a.mrc.mdoc").write_text("Voltage = 200\n\n[ZValue = 0]\nTiltAngle = 1.5\nBinning = 0.5\n")
    (dataset,) = extract(tmp_path).datasets
    assert (dataset.primary.format, len(dataset.signals)) == ("mrc", 1)
    assert dataset.value("beam.acceleration_voltage") == 200e3
    assert dataset.value("stage.alpha") == 1.5
    assert dataset.assertions("camera.binning") == ()


ONE = """PixelSpacing = 1.35
[T = SerialEM: Acquired on Talos   12-Oct-2021  09:08:07 ]
[FrameSet = 0]
Voltage = 200
TiltAngle = 0.01
Defocus = -1.5
DateTime = 12-Oct-2021  09:08:07
FilterSlitAndLoss = 0 0
"""


def test_a_single_picture() -> None:
    found = values(MRC["serialem-mdoc"], sidecars.mdoc(ONE.encode()))
    assert found["beam.acceleration_voltage"] == 200e3
    assert found["optics.defocus"] == pytest.approx(-1.5e-6)
    assert found["image.pixel_size_y"] == pytest.approx(1.35e-10)
    assert found["time.acquired_start"] == "2021-10-12T09:08:07"
    assert found["instrument.software"] == "SerialEM"
    assert not {"time.acquired_end", "optics.energy_filter_slit", "stage.x"} & set(found)


@pytest.mark.parametrize(
    ("place", "title", "software"),
    [(9, "SerialEM: Digitized on JEOL", "SerialEM"), (0, "serialem: a note", None)],
)
def test_the_title_is_one_of_ten(place: int, title: str, software: str | None) -> None:
    titles = ["a note"] * 10
    titles[place] = title
    assert values(MRC["serialem-mdoc"], {"Titles": titles}).get("instrument.software") == software


def test_what_changes_in_a_series_is_no_value_of_the_stack(tmp_path: Path) -> None:
    keys = ("TiltAngle = {0}", "StagePosition = {0} 2", "StageZ = 3.5", "Defocus = {0}", "SpotSize = 6")
    lines = "\n".join(keys)
    written = "".join(f"[ZValue = {number}]\n{lines.format(1.5 * number)}\n" for number in range(3))
    assert values(MRC["serialem-mdoc"], sidecars.mdoc(written.encode())) == {"stage.z": 3.5e-6, "beam.spot_index": 6.0}
    moved = record(**{**PICTURE, "Alpha_tilt": 3.0, "Defocus": -2e-6, "Beta_tilt": 0.5})
    data = record(**{**PICTURE, "Beta_tilt": 0.5}) + moved
    cut = {block.kind: block.tree for block in blocks(OPEN, stack(tmp_path / "a.mrc", extended=data, kind=b"FEI1"))}
    found = values(MRC["fei-extended-header"], cut["fei-extended-header"])
    assert found["stage.beta"] == 0.5
    assert not {"stage.alpha", "optics.defocus"} & set(found)
    records = [struct.pack("<13f", angle, 0, 1e-5, 2e-5, 3e-5, 0, 0, 0, 1.5, 0, 84, 2.5e-10, 8e4) for angle in (1, 2)]
    tree = extended.fei_early(b"".join(one.ljust(128, b"\0") for one in records).ljust(extended.EARLY_SIZE, b"\0"), 2)
    found = values(MRC["fei-early-header"], tree)
    assert "stage.alpha" not in found
    assert found["stage.x"] == pytest.approx(1e-5)


def test_times_of_a_series_that_is_in_order() -> None:
    sections = [f"[ZValue = {number}]\nDateTime = 12-Oct-21  09:0{number}:00\n" for number in range(3)]
    found = values(MRC["serialem-mdoc"], sidecars.mdoc("".join(sections).encode()))
    assert found == {"time.acquired_start": "2021-10-12T09:00:00", "time.acquired_end": "2021-10-12T09:02:00"}
    assert values(MRC["serialem-mdoc"], sidecars.mdoc("".join(reversed(sections)).encode())) == {}
    assert values(MRC["serialem-mdoc"], sidecars.mdoc("".join([*sections, "[ZValue = 3]\n"]).encode())) == {}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("03-May-23  13:59:32", "2023-05-03T13:59:32"),
        ("2021-10-12 09:08:07", "2021-10-12T09:08:07"),
        ("03/04/23 13:59:32", None),
        ("03-May-23", None),
        ("", None),
    ],
)
def test_dates_of_sections(written: str, expected: str | None) -> None:
    found = values(MRC["serialem-mdoc"], sidecars.mdoc(f"[ZValue = 0]\nDateTime = {written}\n".encode()))
    assert found.get("time.acquired_start") == expected


SETTINGS = """Server Software Version                 = 2.7.2
Timestamp (seconds since Epoch)         = 1695682755
Camera Model                            = CeleritasXS
Camera SN                               = 812
Binning X = 2
Binning Y = 2
Exposure Time (seconds) = 0.5
Instrument Accelerating Voltage (V) = -1
Instrument Project Magnification = -1
Instrument Project Camera Length (centimeters) = 20
Scan - Enable = Disable
Scan - Dwell Time (microseconds) = 20.3
Specimen Pixel Size X (nanometers) = -1
"""


def test_settings_of_a_camera() -> None:
    tree = sidecars.settings(SETTINGS.encode())
    found = values(MRC["de-settings"], tree)
    assert found == {
        "camera.exposure": 0.5, "camera.binning": 2, "detector.name": "CeleritasXS", "detector.serial": "812",
        "instrument.software": "2.7.2", "time.acquired_start": "2023-09-25T22:59:15Z",
    }  # fmt: skip
    assert sidecars.pixel_sizes(tree) == {}
    scanned = sidecars.settings(SETTINGS.replace("Disable", "Enable").encode())
    found = values(MRC["de-settings"], {**scanned, "Hardware Binning X": "2", "Hardware Binning Y": "2"})
    assert found["optics.camera_length"] == pytest.approx(0.2)
    assert found["scan.dwell_time"] == pytest.approx(20.3e-6)
    assert "camera.binning" not in found
    assert sidecars.settings(b"Camera Model = other's") == {}


def record(mask: int = 0xFFFFFFFF, **members: Any) -> bytes:
    """A record of FEI1."""
    given = {
        "Metadata size": 768,
        "Metadata version": 0,
        **dict.fromkeys(("Bitmask 1", "Bitmask 2", "Bitmask 3"), mask),
    }
    given |= {name.replace("_", " "): value for name, value in members.items()}
    return b"".join(
        struct.pack("<" + code, given.get(name, b"" if code.endswith("s") else 0))
        for name, (_, code) in Structure("diadem.plugins.mrc", "fei").members.items()
    ).ljust(768, b"\0")


PICTURE: Mapping[str, Any] = {
    "Application": b"EPU", "HT": 200e3, "Alpha_tilt": -1.25, "Instrument_mode": 1, "Projection_mode": 2,
    "Camera_name": b"Falcon", "STEM_Detector_name": b"HAADF", "Binning_Width": 2, "Binning_Height": 2,
    "Integration_time": 0.8, "Magnification": 92000.0, "Camera_length": 1.5, "Timestamp": 44900.5, "Slit_width": 20.0,
    "Defocus": -1e-6, "Dwell_time": 1.0, "Pixel_size_X": 1e-10,
}  # fmt: skip


def test_a_picture_of_a_transmission_microscope(tmp_path: Path) -> None:
    second = record(**{**PICTURE, "Timestamp": 44900.75})
    path = stack(tmp_path / "a.mrc", extended=record(**PICTURE) + second, kind=b"FEI1")
    cut = {block.kind: block.tree for block in blocks(OPEN, path)}
    found = values(MRC["fei-extended-header"], cut["fei-extended-header"])
    assert found["stage.alpha"] == -1.25
    assert (found["detector.name"], found["camera.binning"], found["camera.exposure"]) == ("Falcon", 2, 0.8)
    assert (found["signal.technique"], found["optics.magnification"]) == ("TEM", 92000)
    assert found["optics.defocus"] == -1e-6
    assert not {"optics.camera_length", "scan.dwell_time", "optics.energy_filter_slit"} & set(found)
    assert found["time.acquired_start"] == "2022-12-05T12:00:00"
    assert values(MRC["fei-last-record"], cut["fei-last-record"]) == {"time.acquired_end": "2022-12-05T18:00:00"}


def test_patterns_have_a_camera_length_and_no_pixel_size() -> None:
    (tree,) = extended.fei_records(record(**{**PICTURE, "Projection_mode": 1}), "FEI1", 1)
    found = values(MRC["fei-extended-header"], tree)
    assert (found["signal.technique"], found["optics.camera_length"]) == ("diffraction", 1.5)
    assert "image.pixel_size_x" not in found


def test_members_that_are_not_filled_in_are_absent() -> None:
    (tree,) = extended.fei_records(record(0, **PICTURE), "FEI1", 1)
    assert values(MRC["fei-extended-header"], tree) == {}
    (tree,) = extended.fei_records(record(0, **{**PICTURE, "Bitmask_1": 1 << 5}), "FEI1", 1)
    assert values(MRC["fei-extended-header"], tree) == {"beam.acceleration_voltage": 200e3}


def early(*numbers: float) -> bytes:
    return struct.pack(f"<{len(numbers)}f", *numbers).ljust(extended.EARLY_SIZE, b"\0")


@pytest.mark.parametrize(
    ("x", "expected"), [(2.5e-5, pytest.approx(2.5e-5)), (25.0, pytest.approx(2.5e-5)), (0.0, None), (0.5, None)]
)
def test_the_first_extended_header(x: float, expected: Any) -> None:
    tree = extended.fei_early(early(-60.5, 0, x, 0, 0, 0, 0, 0, 1.5, 0, 84, 2.5e-10, 80000))
    found = values(MRC["fei-early-header"], tree)
    assert (found["stage.alpha"], found["camera.exposure"], found["optics.magnification"]) == (-60.5, 1.5, 80000)
    assert found["image.pixel_size_x"] == pytest.approx(2.5e-10)
    assert found.get("stage.x") == expected
    assert extended.fei_early(early(1, 2, 3)) == {}
    assert extended.fei_early(b"") == {}


def trees(data: bytes) -> Iterator[Any]:
    yield header(data)
    yield sidecars.mdoc(data)
    yield sidecars.settings(data)
    yield extended.fei_records(data, "FEI1", 3)
    yield extended.fei_early(data)


@given(st.binary(max_size=2000))
def test_any_bytes_have_an_answer(data: bytes) -> None:
    assert len(list(trees(data))) == 5
    assert len(list(trees(data.ljust(extended.EARLY_SIZE, b"\xff")))) == 5


@given(st.integers(0, 0xFFFFFFFF), st.floats(width=64), st.integers(-(1 << 31), (1 << 31) - 1))
def test_any_numbers_have_an_answer(mask: int, number: float, sections: int) -> None:
    data = record(mask, HT=number, Timestamp=number, Magnification=number, Instrument_mode=1)
    for tree in extended.fei_records(data, "FEI1", sections):
        apply(MRC["fei-extended-header"], Block("fei-extended-header", tree), "mrc")
