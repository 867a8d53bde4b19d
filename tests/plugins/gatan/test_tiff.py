"""TIFF files of DigitalMicrograph: calibrations, and the image's tags."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile

from diadem.errors import ReaderError
from diadem.hooks.cuts import cutter
from diadem.hooks.fields import Block
from diadem.hooks.tables import tables
from tests.plugins.tiff.files import firsts, values

TABLES = tables("diadem.plugins.gatan")
read = cutter("diadem.plugins.gatan/gatan-tiff")
REAL = "tif-gatan/test_loading_image_saved_with_DM.tif"


def made(path: Path, unit: str, scale: float = 0.5, tags: bytes = b"") -> Path:
    text = unit.encode("latin-1") + b"\0"
    extra: list[tuple[int, int, int, bytes | float, bool]] = []
    for code in (65003, 65004):
        extra.append((code, 2, len(text), text, False))
    for code in (65009, 65010):
        extra.append((code, 12, 1, scale, False))
    if tags:
        extra.append((65027, 1, len(tags), tags, False))
    tifffile.imwrite(path, np.zeros((4, 4), np.uint8), photometric="minisblack", extratags=extra, metadata=None)
    return path


def test_the_real_file_by_its_bytes(shared_data: Path) -> None:
    path = shared_data / REAL
    data = path.read_bytes()
    found = values(read, TABLES, path)
    first = firsts(found)
    assert first["image.pixel_size_x"] == pytest.approx(0.16867469251155853e-6)

    def number(name: bytes, code: str) -> float:
        """The value behind a tag of DM4: name, length, four marks, length of the description, type, value."""
        at = data.index(len(name).to_bytes(2, "big") + name) + 2 + len(name)
        assert data[at + 8 : at + 12] == b"%%%%"
        return float(struct.unpack_from(f"<{code}", data, at + 28)[0])

    assert first["beam.acceleration_voltage"] == number(b"Voltage", "d") == 200000
    assert first["optics.magnification"] == number(b"Indicated Magnification", "d") == 51
    assert first["camera.exposure"] == number(b"Exposure Time (s)", "d") == 0.5
    text = "7/20/2015".encode("utf-16-le")
    assert text in data
    assert "6:48:25 PM".encode("utf-16-le") in data
    assert first["time.acquired_start"] == "2015-07-20T18:48:25+02:00"
    assert found["time.acquired_start"][0].offset_status == "derived"
    assert first["instrument.kind"] == "tem"


def test_bytes_of_the_tags_are_kept(shared_data: Path) -> None:
    path = shared_data / REAL
    raw, tree = read(str(path), ())
    assert raw.byte_range == (18994, 29579)
    assert path.read_bytes()[slice(*raw.byte_range)] == raw.data
    assert tree.tree["ImageTags"]["Microscope Info"]["Voltage"] == 200000


@pytest.mark.parametrize(
    ("unit", "field", "size"),
    [
        ("nm", "image.pixel_size_x", 0.5e-9),
        ("µm", "image.pixel_size_x", 0.5e-6),
        ("1/nm", "image.reciprocal_pixel_size_x", 0.5e9),
        ("s", None, 0.0),
        ("", None, 0.0),
    ],
)
def test_units(tmp_path: Path, unit: str, field: str | None, size: float) -> None:
    found = firsts(values(read, TABLES, made(tmp_path / "a.tif", unit)))
    assert set(found) == (set() if field is None else {field, field.replace("_x", "_y")})
    assert field is None or found[field] == pytest.approx(size)


def test_tags_that_are_none_are_kept_and_said(tmp_path: Path) -> None:
    path = made(tmp_path / "a.tif", "nm", tags=b"\0\0\0\4 and no more")
    kept: list[Block] = []
    with pytest.raises(ReaderError):
        kept.extend(read(str(path), ()))
    assert [block.data for block in kept] == [b"\0\0\0\4 and no more", b""]
    assert kept[1].tree["Calibrations"]["X scale"] == 0.5


def test_files_of_others(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 4), np.uint8))
    assert list(read(str(tmp_path / "a.tif"), ())) == []
