"""What the records of EDAX's files state, against the bytes and against the program's own export."""

from __future__ import annotations

import math
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diadem.api import extract, pack
from diadem.extract.tables import apply
from diadem.hooks.fields import Block, Table
from diadem.hooks.tables import tables
from diadem.plugins.edax.files import SPECTRUM_SIZE, read_image, read_map, read_spectrum
from tests.plugins.opened import blocks

IMAGE, MAP, SPECTRUM = (tables("diadem.plugins.edax")[f"edax-{kind}"] for kind in ("ipr", "spd", "spc"))


@pytest.fixture(scope="module")
def spectrum(shared_data: Path) -> Path:
    return shared_data / "spc" / "leo_edax_test.spc"


@pytest.fixture(scope="module")
def dataset(spectrum: Path) -> Any:
    return extract(spectrum).datasets[0]


@pytest.fixture(scope="module")
def export(shared_data: Path) -> dict[str, str]:
    """The same spectrum as the program exported it: keys with units, as text."""
    text = (shared_data / "msa" / "leo_edax_test.msa").read_text()
    return {key.strip(): value.strip() for key, value in re.findall(r"^#+([^:\n]+):([^\n]*)$", text, re.MULTILINE)}


@pytest.mark.parametrize("version", [0.57, 0.58])
def test_older_spectra_have_the_same_header(spectrum: Path, tmp_path: Path, version: float) -> None:
    data = struct.pack("<f", version) + spectrum.read_bytes()[4:]
    (tmp_path / "a.spc").write_bytes(data)
    (found,) = extract(tmp_path / "a.spc").datasets
    assert (found.value("stage.tilt"), found.value("time.acquired_start")) == (-1.0, "2022-08-29T10:14:08")


def test_what_the_file_does_not_state_is_absent(dataset: Any) -> None:
    for field in ("eds.real_time", "detector.type", "sample.name", "person.operator", "optics.magnification"):
        assert dataset.assertions(field) == ()


def test_values_against_the_export(dataset: Any, export: dict[str, str]) -> None:
    """The program's own text of the same spectrum names the units."""
    assert dataset.value("beam.acceleration_voltage") == 1e3 * float(export["BEAMKV   -kV"])
    assert dataset.value("eds.live_time") == float(export["LIVETIME  -s"])
    assert dataset.value("detector.elevation") == float(export["ELEVANGLE-dg"])
    assert dataset.value("detector.azimuth") == float(export["AZIMANGLE-dg"])
    assert dataset.value("stage.tilt") == float(export["Tilt Angle"])
    assert dataset.value("eds.resolution") == pytest.approx(float(export["RESO (MnKa)"]), abs=0.05)
    assert export["Elements"] == "8,27,16"
    assert (export["DATE"], export["TIME"]) == ("29-Aug-2022", "10:14")


def test_working_distance_by_the_geometry(spectrum: Path, dataset: Any) -> None:
    """The take-off angle that the program computed follows from the distances, the elevation and the tilt."""
    data = spectrum.read_bytes()
    takeoff, elevation = (struct.unpack_from("<f", data, place)[0] for place in (464, 512))
    meeting, distance, scale = (number / 100 for number in struct.unpack_from("<3h", data, 34))
    angle = math.radians(elevation)
    seen = math.degrees(math.atan((scale * math.sin(angle) + distance - meeting) / (scale * math.cos(angle))))
    assert seen + dataset.value("stage.tilt") == pytest.approx(takeoff, abs=0.02)
    assert dataset.value("optics.working_distance") == pytest.approx(distance / 1e3)


def test_bytes_before_and_behind_the_counts_are_kept(spectrum: Path, dataset: Any) -> None:
    data = spectrum.read_bytes()
    kept = {block.path: block for block in dataset.vendor()}
    assert kept["header"].data == data[:3840]
    assert kept["footer"].data == data[3840 + 4 * 4096 :]


def image(**values: Any) -> bytes:
    """An image description of version 334."""
    layout = (
        "version:H imageType:H label:8s sMin:H sMax:H color:H presetMode:H presetTime:I dataType:H old:H r1:h roiS:H "
        "roiE:H umin:h umax:h iADC:H r2:h iBits:H nReads:H nFrames:H fDwell:f accV:H tilt:h takeoff:h mag:I wd:H "
        "mppX:f mppY:f nTextLines:H charText:128s r3:16s nOverlay:H colors:32s newTime:f r4:8s"
    )
    names, codes = zip(*(part.split(":") for part in layout.split()), strict=True)
    given_ = {"version": 334, **values}
    return struct.pack(
        "<" + "".join(codes),
        *(given_.get(name, b"" if code.endswith("s") else 0) for name, code in zip(names, codes, strict=True)),
    )


def fields_of(table: Table, kind: str, tree: dict[str, Any] | None) -> dict[str, Any]:
    assert tree is not None
    applied = apply(table, Block(kind, tree), "edax")
    assert applied.issues == []
    return {value.field: value.value for value in applied.values}


def test_an_image_description() -> None:
    data = image(imageType=2, label=b"FeK", presetTime=200, accV=150, tilt=20, mag=2500, wd=10, mppX=0.25, mppY=0.125)
    assert fields_of(IMAGE, "edax-ipr", read_image(data)) == {
        "beam.acceleration_voltage": 15_000.0,
        "optics.magnification": 2500.0,
        "optics.working_distance": 0.01,
        "stage.tilt": 20.0,
        "image.pixel_size_x": 2.5e-7,
        "image.pixel_size_y": 1.25e-7,
        "scan.dwell_time": 0.2,
    }
    found = fields_of(IMAGE, "edax-ipr", read_image(image(imageType=1, presetTime=200)))
    assert found == {"stage.tilt": 0.0}


@pytest.mark.parametrize("named", ["map.ipr", "map_Img.ipr"])
def test_a_map_with_its_spectrum_and_image(spectrum: Path, tmp_path: Path, named: str) -> None:
    """All three headers make the record, each value with the file that it comes from."""
    header = struct.pack(
        "<16s3i5I120s", b"MAPSPECTRA_DATA", 1, 6, 3, 2, 8, 1, 1068, 4, named.replace("ipr", "bmp").encode()
    )
    counts = np.arange(6 * 8, dtype=np.uint8)
    (tmp_path / "map.spd").write_bytes(header.ljust(1068, b"\0") + counts.tobytes())
    (tmp_path / "map.spc").write_bytes(spectrum.read_bytes())
    (tmp_path / named).write_bytes(image(imageType=1, accV=100, mag=2500, wd=10, mppX=0.25, mppY=0.25))
    (found,) = extract(tmp_path).datasets
    assert found.path == "map.spd"
    assert [signal.shape for signal in found.signals] == [(2, 3, 8)]
    assert found.value("scan.frames") == 4
    assert found.value("optics.magnification") == 2500
    assert found.value("beam.acceleration_voltage") == 10_000
    assert found.value("eds.live_time") == 30
    files = {file.id: file.path for file in found.files}
    assert files[found.assertions("eds.live_time")[0].source["file"]] == "map.spc"
    assert files[found.assertions("optics.magnification")[0].source["file"]] == named


def test_counts_are_read_from_where_they_lie(spectrum: Path, tmp_path: Path) -> None:
    """Of a map, a line and a spectrum; a header that promises more is told."""
    counts = np.arange(6 * 8, dtype="<u2")
    for name, rows, columns in (("map.spd", 2, 3), ("line.lsd", 1, 6)):
        header = struct.pack("<16s3i5I120s", b"MAPSPECTRA_DATA", 1, 6, columns, rows, 8, 2, 1100, 1, b"")
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(header.ljust(1100, b"\0") + counts.tobytes())
    (tmp_path / "in" / "point.spc").write_bytes(spectrum.read_bytes())
    package = pack(tmp_path / "in", tmp_path / "out")
    for name, shape in (("map.spd", (2, 3, 8)), ("line.lsd", (6, 8))):
        signal = package.load(name)
        assert signal.metadata.General.diadem.verify == "leaves"
        assert np.array_equal(signal.data.compute(), counts.reshape(shape))
    found = package.load("point.spc", lazy=False).data
    assert np.array_equal(found, np.frombuffer(spectrum.read_bytes(), "<u4", 4096, 3840))
    (tmp_path / "in" / "map.spd").write_bytes((tmp_path / "in" / "map.spd").read_bytes()[:-1])
    (short,) = extract(tmp_path / "in" / "map.spd").datasets
    assert "truncated" in {one["code"] for one in short.issues}


def test_a_line_with_its_spectrum(spectrum: Path, tmp_path: Path) -> None:
    header = struct.pack("<16s3i5I120s", b"MAPSPECTRA_DATA", 1, 3, 3, 1, 8, 1, 1068, 1, b"")
    (tmp_path / "line.lsd").write_bytes(header.ljust(1068, b"\0") + bytes(range(24)))
    (tmp_path / "line.spc").write_bytes(spectrum.read_bytes())
    (found,) = extract(tmp_path).datasets
    assert [signal.shape for signal in found.signals] == [(3, 8)]
    assert found.value("eds.live_time") == 30


def test_placeholders_and_leftovers_of_memory(spectrum: Path) -> None:
    data = bytearray(spectrum.read_bytes())
    for place in (456, 472, 532):
        struct.pack_into("<f", data, place, 0.0)
    struct.pack_into("<h", data, 36, 0)
    struct.pack_into("<hBBBBBB", data, 16, 0, 0, 0, 0, 0, 0, 0)
    struct.pack_into("<h", data, 638, 2)
    struct.pack_into("<2H", data, 640, 26, 40162)
    data[104:120] = b"\x8c\xd9\x20\0ab\x01\x02".ljust(16, b"\0")
    found = fields_of(SPECTRUM, "edax-spc", read_spectrum(bytes(data)))
    assert set(found) == {"stage.tilt", "detector.elevation", "detector.azimuth"}


def test_a_named_sample_and_a_known_detector(spectrum: Path) -> None:
    data = bytearray(spectrum.read_bytes())
    data[104:120] = b"Steel 42".ljust(16, b"\0")
    struct.pack_into("<I", data, 476, 50)
    found = fields_of(SPECTRUM, "edax-spc", read_spectrum(bytes(data)))
    assert (found["sample.name"], found["detector.type"]) == ("Steel 42", "APOLLO-X")


@pytest.mark.parametrize("numbers", [(2023, 31, 2, 0, 0, 0, 0), (2023, 1, 13, 0, 0, 0, 0), (2023, 1, 1, 60, 0, 0, 0)])
def test_dates_that_are_none(spectrum: Path, numbers: tuple[int, ...]) -> None:
    data = bytearray(spectrum.read_bytes())
    struct.pack_into("<hBBBBBB", data, 16, *numbers)
    assert "time.acquired_start" not in fields_of(SPECTRUM, "edax-spc", read_spectrum(bytes(data)))


@given(st.binary(max_size=2 * SPECTRUM_SIZE))
def test_any_bytes_are_a_header_or_none(data: bytes) -> None:
    for parse, start in ((read_spectrum, struct.pack("<f", 0.7)), (read_image, b"\x4e\x01"), (read_map, b"MAPSPECTRA_DATA")):  # fmt: skip # noqa: E501
        found = parse(start + data)
        assert found is None or isinstance(found, dict)
    for table, kind, tree in ((SPECTRUM, "edax-spc", read_spectrum(data)), (MAP, "edax-spd", read_map(data))):
        if tree is not None:
            apply(table, Block(kind, tree), "edax")


def test_a_file_cut_in_its_header_has_no_blocks(spectrum: Path, tmp_path: Path) -> None:
    (tmp_path / "a.spc").write_bytes(spectrum.read_bytes()[: SPECTRUM_SIZE - 1])
    assert blocks("diadem.plugins.edax.files:open", tmp_path / "a.spc") == []
