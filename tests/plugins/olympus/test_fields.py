"""Olympus' structure, made as tifffile and Bio-Formats read it."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
import tifffile

from diadem.extract.assertions import Value
from diadem.hooks.cuts import cutter
from diadem.hooks.tables import tables
from tests.plugins.tiff.files import firsts, values, write

read = cutter("diadem.plugins.olympus/olympus")

#: Pixel size and magnification of a JEM-2100 picture (HyperSpy issue 2511).
PIXEL, MAGNIFICATION = 0.02392791775876109, 600000.0


def structure(
    start: int,
    exponent: int = -9,
    month: int = 10,
    camera: bytes = b"Veleta",
    magnification: float = MAGNIFICATION,
    weekday: int = 4,
) -> bytes:
    header = struct.pack("<4s4x7h4x32sH", b"SIS0", 37, 42, 19, 15, month, 118, weekday, b"30592", 2)
    entries = struct.pack("<hhI", 10, 1, 0) + struct.pack("<hhI", 1, 1, start + 76)
    general = struct.pack("<10xh2d8xd2x34s32s", exponent, PIXEL, PIXEL * 2, magnification, camera, b"")
    return header + entries + general


def made(path: Path, text: bytes = b"", **options: float | bytes) -> dict[str, list[Value]]:
    """A file of two pages whose second has the tag, as JEOL's cameras write it."""
    tags = {33560: b"\0\0\0\0", **({33471: text} if text else {})}
    write(path, {}, tags)
    data = bytearray(path.read_bytes())
    entry = data.index(struct.pack("<HHI", 33560, 7, 4))
    start = len(data)
    data[entry : entry + 12] = struct.pack("<HHII", 33560, 4, 1, start)
    path.write_bytes(bytes(data) + structure(start, **options))  # type: ignore[arg-type]
    return values(read, tables("diadem.plugins.olympus"), path)


def test_the_structure(tmp_path: Path) -> None:
    found = made(tmp_path / "a.tif")
    assert firsts(found) == {
        "image.pixel_size_x": pytest.approx(2.392791775876109e-11),
        "image.pixel_size_y": pytest.approx(4.785583551752218e-11),
        "optics.magnification": 600000,
        "detector.name": "Veleta",
        "time.acquired_start": "2018-11-15T19:42:37",
    }
    assert firsts(made(tmp_path / "b.tif", weekday=2))["time.acquired_start"] == "2018-11-15T19:42:00"
    assert found["time.acquired_start"][0].offset_status == "unknown"


def test_it_is_of_the_page_that_has_it(tmp_path: Path) -> None:
    made(tmp_path / "a.tif", b"[Microscope]\r\nName=JEM-2100\r\n")
    blocks = list(read(str(tmp_path / "a.tif"), ()))
    assert [block.place for block in blocks] == [
        "page 2/OlympusSIS",
        "page 2/OlympusSIS/general",
        "page 2/OlympusINI",
        "page 2",
    ]
    assert blocks[-1].signals == (1,)
    assert blocks[-1].tree["OlympusINI"] == {"Microscope": {"Name": "JEM-2100"}}
    for block in blocks[:-1]:
        assert block.byte_range is not None
        assert (tmp_path / "a.tif").read_bytes()[slice(*block.byte_range)] == block.data


def test_as_tifffile_reads_it(tmp_path: Path) -> None:
    found = firsts(made(tmp_path / "a.tif"))
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        page = file.pages[1]
        assert isinstance(page, tifffile.TiffPage)
        other = page.tags[33560].value
    assert found["image.pixel_size_x"] == pytest.approx(other["pixelsizex"])
    assert found["image.pixel_size_y"] == pytest.approx(other["pixelsizey"])
    assert found["optics.magnification"] == other["magnification"]
    assert found["time.acquired_start"] == other["datetime"].replace(second=37).isoformat()  # it leaves seconds out


def test_what_cannot_be_is_left_out(tmp_path: Path) -> None:
    found = made(tmp_path / "a.tif", exponent=40, month=12, camera=b"", magnification=0.0)
    assert found == {}


def test_a_pointer_that_leads_nowhere(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", {33560: struct.pack("<I", 0xFFFFFFF0)})
    assert list(read(str(path), ())) == []
