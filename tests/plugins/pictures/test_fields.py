"""Exif data: the real picture as Pillow reads it, offsets, other files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from diadem.hooks.binary import stream_of
from diadem.hooks.fields import Block
from diadem.hooks.tables import tables
from diadem.hooks.tiff import NotTiff, Tiff
from diadem.plugins.pictures.files import _tree
from tests.plugins import opened
from tests.plugins.tiff.files import firsts, values

TABLES = tables("diadem.plugins.pictures")


def read(path: str, files: object) -> list[Block]:
    del files
    return opened.blocks("diadem.plugins.pictures.files:open", Path(path))


def made(path: Path, **exif: Any) -> Path:
    tags = {"Make": 0x010F, "Model": 0x0110, "Software": 0x0131}
    inner = {"DateTimeOriginal": 0x9003, "OffsetTimeOriginal": 0x9011, "ExposureTime": 0x829A}
    data = Image.Exif()
    for name, value in exif.items():
        if name in tags:
            data[tags[name]] = value
        else:
            data.get_ifd(0x8769)[inner[name]] = value
    Image.new("L", (20, 10)).save(path, exif=data)
    return path


def test_the_real_picture_as_pillow_reads_it(shared_data: Path) -> None:
    path = shared_data / "image" / "renishaw_wire.jpg"
    with Image.open(path) as picture:
        other, (width, height) = picture.getexif(), picture.size
    found = firsts(values(read, TABLES, path))
    assert found["instrument.vendor"] == other[0x010F] == "Renishaw"
    field = other[0xFEA1]
    assert found["optics.field_of_view_x"] == pytest.approx(field[0] * 1e-6)
    assert found["optics.field_of_view_y"] == pytest.approx(field[1] * 1e-6)
    assert found["image.pixel_size_x"] == pytest.approx(field[0] * 1e-6 / width) == pytest.approx(2.42207446e-6)
    assert found["image.pixel_size_y"] == pytest.approx(field[1] * 1e-6 / height) == pytest.approx(2.503827e-6)


def test_the_bytes_are_kept(shared_data: Path) -> None:
    path = shared_data / "image" / "renishaw_wire.jpg"
    (block,) = read(str(path), ())
    assert block.byte_range is not None
    assert path.read_bytes()[slice(*block.byte_range)] == block.data
    assert block.data.startswith(b"MM\0*")


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_times_with_and_without_offset(tmp_path: Path, suffix: str) -> None:
    path = made(
        tmp_path / f"a{suffix}",
        Make="Maker",
        Model="Model 1",
        DateTimeOriginal="2020:01:02 03:04:05",
        OffsetTimeOriginal="+09:00",
    )
    found = values(read, TABLES, path)
    assert firsts(found) == {
        "instrument.vendor": "Maker",
        "instrument.model": "Model 1",
        "time.acquired_start": "2020-01-02T03:04:05+09:00",
        "time.utc_offset": "+09:00",
    }
    bare = values(read, TABLES, made(tmp_path / f"b{suffix}", Make="M", DateTimeOriginal="2020:01:02 03:04:05"))
    assert [(value.value, value.offset_status) for value in bare["time.acquired_start"]] == [
        ("2020-01-02T03:04:05", "unknown")
    ]


def test_the_time_of_saving_is_not_that_of_taking(tmp_path: Path) -> None:
    picture = Image.new("L", (4, 4))
    data = Image.Exif()
    data[0x0132] = "2020:01:02 03:04:05"
    picture.save(tmp_path / "a.jpg", exif=data)
    assert values(read, TABLES, tmp_path / "a.jpg") == {}


def test_pictures_without_exif(tmp_path: Path) -> None:
    for suffix in ("jpg", "png", "bmp", "gif"):
        Image.new("L", (4, 4)).save(tmp_path / f"a.{suffix}")
        assert list(read(str(tmp_path / f"a.{suffix}"), ())) == []


@given(st.binary(max_size=300), st.sampled_from([b"\xff\xd8\xff\xe1\x00\x20Exif\0\0", b"\x89PNG\r\n\x1a\n"]))
def test_garbage_ends(tmp_path_factory: pytest.TempPathFactory, garbage: bytes, head: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "garbage.jpg"
    path.write_bytes(head + garbage)
    try:
        for block in read(str(path), ()):
            assert block.byte_range is not None
            assert path.read_bytes()[slice(*block.byte_range)] == block.data
    except NotTiff:
        pass


def test_tags_that_mean_nothing_here_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    exif = Image.Exif()
    exif[0x0110] = "Camera"
    exif[0xC000] = "x" * (1 << 20)
    Image.new("L", (20, 10)).save(path, exif=exif)
    data = path.read_bytes()
    place = data.index(b"eXIf") + 4
    held = opened.Bytes(data)
    tiff = Tiff(stream_of(held), place)
    assert _tree(tiff) == {"Model": "Camera"}
    assert held.read < 1 << 18
