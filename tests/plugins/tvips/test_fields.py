"""EM-MENU's structure: the real file as tifffile reads it, patterns, version 1."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import pytest
import tifffile

from diadem.extract.assertions import Value
from diadem.extract.tables import apply
from diadem.hooks.cuts import cutter
from diadem.hooks.fields import Block
from diadem.hooks.tables import tables
from diadem.plugins.tvips.structure import parse
from tests.plugins.tiff.files import firsts, values

read = cutter("diadem.plugins.tvips/tvips")

TABLES = tables("diadem.plugins.tvips")
REAL = "tif-tvips/TVIPS_bin4.tif"
#: Bytes from the beginning of the structure to members that tests change.
MODE, MAGNIFICATION, CORRECTION, PIXEL_X, STAGE = 3532, 3536, 3540, 2968, 3552


@pytest.fixture
def real(shared_data: Path) -> Path:
    """The real file."""
    return shared_data / REAL


def reference(path: Path) -> dict[str, Any]:
    with tifffile.TiffFile(path) as file:
        header: dict[str, Any] = file.pages.first.tags[37706].value
    return header


def changed(real: Path, tmp_path: Path, **members: tuple[int, bytes]) -> dict[str, list[Value]]:
    """Values of the file with other bytes in its structure."""
    data = bytearray(real.read_bytes())
    for offset, content in members.values():
        data[57550 + offset : 57550 + offset + len(content)] = content
    path = tmp_path / "a.tif"
    path.write_bytes(data)
    return values(read, TABLES, path)


def test_members_as_tifffile_reads_them(real: Path) -> None:
    header = reference(real)
    raw, tree = read(str(real), ())
    assert raw.byte_range == (57550, 63862)
    assert real.read_bytes()[57550:63862] == raw.data
    mine = tree.tree["TVIPS"]
    compared = 0
    for name, value in header.items():
        if name not in ("PostMagnification", "ImageStatistics", "CommentV1"):
            assert mine[name] == value, name
            compared += 1
    assert compared > 85
    assert mine["TemPostMagnification"] == header["PostMagnification"]


def test_what_the_real_file_says(real: Path) -> None:
    header, found = reference(real), values(read, TABLES, real)
    first = firsts(found)
    assert first["beam.acceleration_voltage"] == header["TemHighTension"] == 99000
    assert first["camera.exposure"] == pytest.approx(header["ExposureTime"] * 1e-3)
    assert first["optics.magnification"] == header["TemMagnification"] == 32000
    assert first["camera.binning"] == 4
    assert first["detector.name"] == "F416"
    assert first["stage.y"] == pytest.approx(header["TemStagePosition"][1])
    # The unit of a pixel: physical size times binning over all magnifications.
    corrections = header["TemMagnificationCorrection"] * header["PostMagnification"]
    physical = header["PhysicalPixelSizeX"] * 1e-9 * header["BinningX"] / (32000 * corrections)
    assert first["image.pixel_size_x"] == first["image.pixel_size_y"] == pytest.approx(physical, rel=1e-4)
    # The date, in the name of the picture too.
    assert "12-04-2017" in header["ImageName"]
    assert first["time.acquired_start"] == "2017-04-12T09:01:17"
    assert found["time.acquired_start"][0].offset_status == "unknown"
    assert "stage.alpha" not in found


def test_a_pattern_whose_camera_length_explains_its_pixels(real: Path, tmp_path: Path) -> None:
    wavelength = 3.7205e-12  # of electrons of 99 kV
    size = 15600e-9 * 4 / (0.5 * wavelength) * 1e-9
    found = firsts(
        changed(
            real,
            tmp_path,
            mode=(MODE, struct.pack("<i", 3)),
            length=(MAGNIFICATION, struct.pack("<3f", 500, 1, 1)),
            pixels=(PIXEL_X, struct.pack("<2f", size, size)),
        )
    )
    assert found["optics.camera_length"] == pytest.approx(0.5)
    assert found["image.reciprocal_pixel_size_x"] == pytest.approx(size * 1e9, rel=1e-6)
    assert "optics.magnification" not in found
    assert "image.pixel_size_x" not in found


def test_a_pattern_that_nothing_explains(real: Path, tmp_path: Path) -> None:
    found = changed(real, tmp_path, mode=(MODE, struct.pack("<i", 3)))
    assert not {field for field in found if field.startswith(("optics.", "image."))}


def test_a_stage_at_zero_is_no_stage(real: Path, tmp_path: Path) -> None:
    found = changed(real, tmp_path, stage=(STAGE, struct.pack("<5f", 0, 0, 0, 0, 0)))
    assert not {field for field in found if field.startswith("stage.")}


def test_version_1(real: Path, tmp_path: Path) -> None:
    found = changed(real, tmp_path, version=(0, struct.pack("<i", 1)))
    first = firsts(found)
    assert first["beam.acceleration_voltage"] == pytest.approx(99000)
    assert first["camera.exposure"] == pytest.approx(0.4)
    assert first["camera.binning"] == 4
    assert first["time.acquired_start"] == "2017-04-12T09:01:17"
    assert "optics.magnification" not in found


@pytest.mark.parametrize(("raw", "binning"), [(20000, 2), (19999, 2), (20001, 2), (0, None), (-20000, None)])
def test_binning_of_version_1_is_rounded(raw: int, binning: int | None) -> None:
    tree = {"TVIPS": {"Version": 1, "Binning": raw}}
    values = apply(TABLES["tvips-tiff"], Block("x", tree), "tvips").values
    assert {one.field: one.value for one in values}.get("camera.binning") == binning


def test_another_version_or_a_broken_end_is_none(real: Path, tmp_path: Path) -> None:
    assert changed(real, tmp_path, version=(0, struct.pack("<i", 7))) == {}
    assert changed(real, tmp_path, magic=(6308, b"\0\0\0\0")) == {}


@pytest.mark.parametrize(("date", "seconds"), [(0, 0), (-1, 0), (132187148, 86400), (132187148, -1)])
def test_a_time_that_is_none(date: int, seconds: int, real: Path, tmp_path: Path) -> None:
    known = parse(real.read_bytes()[57550:63862])
    place = real.read_bytes()[57550:63862].rindex(struct.pack("<2i", known["Date"], known["Time"]))
    assert "time.acquired_start" in changed(real, tmp_path)
    assert "time.acquired_start" not in changed(real, tmp_path, time=(place, struct.pack("<2i", date, seconds)))


def test_offsets_of_this_test(real: Path) -> None:
    data = parse(real.read_bytes()[57550:63862])
    raw = real.read_bytes()[57550:63862]
    assert struct.unpack_from("<i", raw, MODE)[0] == data["TemMode"]
    assert math.isclose(struct.unpack_from("<f", raw, MAGNIFICATION)[0], data["TemMagnification"])
    assert math.isclose(struct.unpack_from("<f", raw, CORRECTION)[0], data["TemMagnificationCorrection"])
    assert struct.unpack_from("<2f", raw, PIXEL_X) == (data["PixelSizeX"], data["PixelSizeY"])
    assert list(struct.unpack_from("<5f", raw, STAGE)) == data["TemStagePosition"]
