"""The reader of TIFF directories: the same as tifffile's on real files, and an end on whatever else."""

from __future__ import annotations

import io
import struct
import time
from pathlib import Path

import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from diadem.hooks.tiff import MAX_PAGES, NotTiff, Tiff, signals_of
from tests.plugins.tiff.files import write


def opened(data: bytes, base: int = 0) -> Tiff:
    return Tiff(io.BytesIO(data), base)


def directory(entries: list[tuple[int, int, int, int]], after: int = 0, offset: int = 8) -> bytes:
    """A little-endian file of one directory: code, type, count, value or offset."""
    head = b"II*\0" + struct.pack("<I", offset)
    body = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return head + body + struct.pack("<I", after)


def test_real_files_as_tifffile_reads_them(unpacked_data: Path) -> None:
    compared = 0
    for path in sorted(unpacked_data.glob("tif-*/*.tif")):
        with tifffile.TiffFile(path) as reference, Tiff.open(str(path)) as file:
            pages = list(file.pages())
            assert [page.offset for page in pages] == [page.offset for page in reference.pages]
            for page, other in zip(pages, reference.pages, strict=True):
                assert isinstance(other, tifffile.TiffPage)
                for tag in other.tags:
                    mine = page.tags[tag.code]
                    assert (mine.type, mine.count) == (tag.dtype, tag.count)
                    if tag.code not in (33560, 34665, 37706):  # pointers, which tifffile follows
                        reference.filehandle.seek(tag.valueoffset)
                        assert file.data(mine) == reference.filehandle.read(tag.valuebytecount)
                    compared += 1
    assert compared > 150


@pytest.mark.parametrize(("bigtiff", "order"), [(False, "<"), (False, ">"), (True, "<"), (True, ">")])
def test_dialects(tmp_path: Path, bigtiff: bool, order: str) -> None:
    path = write(tmp_path / "a.tif", {65000: b"a vendor's bytes"}, bigtiff=bigtiff, byteorder=order, resolution=(3, 2))
    with Tiff.open(str(path)) as file:
        (page,) = file.pages()
        assert file.data(page.tags[65000]) == b"a vendor's bytes"
        assert path.read_bytes()[page.tags[65000].start : page.tags[65000].end] == b"a vendor's bytes"
        assert file.plain(page)["ImageWidth"] == 8
        assert file.numbers(page.tags[282]) == (3.0,)


def test_within_another_file() -> None:
    data = b"something before" + directory([(256, 3, 1, 7)])
    with opened(data, len(b"something before")) as file:
        (page,) = file.pages()
        assert file.numbers(page.tags[256]) == (7,)
        tag = page.tags[256]
        assert data[tag.start : tag.end] == b"\x07\0"


def test_loops_end() -> None:
    with opened(directory([(256, 3, 1, 7)], after=8)) as file:
        assert len(list(file.pages())) == 1


def test_pages_have_an_end(tmp_path: Path) -> None:
    count = MAX_PAGES + 10
    size = 2 + 12 + 4
    data = b"II*\0" + struct.pack("<I", 8)
    for number in range(count):
        data += struct.pack("<HHHII", 1, 256, 3, 1, 7) + struct.pack("<I", 8 + size * (number + 1))
    started = time.process_time()
    with opened(data) as file:
        assert sum(1 for _ in file.pages()) == MAX_PAGES
    assert time.process_time() - started < 5


def test_values_beyond_the_file_are_none() -> None:
    entries = [(270, 2, 0xFFFFFFFF, 8), (271, 2, 100, 10_000), (272, 99, 1, 0), (305, 2, 0, 0), (256, 3, 1, 7)]
    with opened(directory(entries)) as file:
        (page,) = file.pages()
        assert set(page.tags) == {256}


def test_an_early_end() -> None:
    data = directory([(256, 3, 1, 7), (257, 3, 1, 9)])
    for length in range(len(data)):
        try:
            with opened(data[:length]) as file:
                list(file.pages())
        except NotTiff:
            assert length < 8


def test_a_rational_by_zero_is_left_out() -> None:
    data = directory([(282, 5, 1, 26)]) + struct.pack("<II", 72, 0)
    with opened(data) as file:
        (page,) = file.pages()
        assert file.numbers(page.tags[282]) == ()
        assert file.plain(page) == {}


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=2000)
@given(st.binary(max_size=400), st.sampled_from([b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0", b"MM\0+\0\x08\0\0", b""]))
def test_garbage_ends(garbage: bytes, head: bytes) -> None:
    try:
        with opened(head + garbage) as file:
            for page in file.pages():
                for tag in page.tags.values():
                    assert 0 <= tag.start < tag.end <= len(head + garbage)
                    file.numbers(tag)
                    file.text(tag)
                file.plain(page)
    except NotTiff:
        pass


def test_signals_are_told_by_their_first_page(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", {}, {}, {})
    with Tiff.open(str(path)) as file:
        offsets = [page.offset for page in file.pages()]
    assert signals_of(str(path), None) == {offset: number for number, offset in enumerate(offsets)}
