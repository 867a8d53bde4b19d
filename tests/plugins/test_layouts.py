"""Where the arrays lie: on files built here, on damaged ones, and on anything at all."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.errors import ReaderError
from diadem.extract.lazyarray import LeafArray
from diadem.extract.opening import array_of
from diadem.hooks.binary import Cursor
from diadem.hooks.formats import Files, Opened
from diadem.model.layout import ArrayLayout
from diadem.plugins.gatan import tags as dm_tags
from diadem.plugins.gatan.files import layouts
from diadem.plugins.gatan.tags import read_directory
from diadem.plugins.merlin import files as merlin
from diadem.plugins.mrc import files as mrc
from diadem.plugins.nanomegas import blockfile
from tests.plugins.merlin.test_merlin import frame
from tests.plugins.nanomegas.test_blockfile import written
from tests.plugins.opened import Bytes, Held


def dm_layout(files: Mapping[str, Bytes], name: str) -> list[ArrayLayout] | None:
    """Where the arrays of a DM file lie."""
    found = layouts(read_directory(files[name], name), name, files[name].size)
    return found or None


def blo_layout(files: Mapping[str, Bytes], name: str) -> list[ArrayLayout] | None:
    """Where the patterns of a block file lie; None where the reader is asked."""
    return _layout_of(blockfile.open, files, name)


def mib_layout(files: Mapping[str, Bytes], name: str) -> list[ArrayLayout] | None:
    """Where the frames of a MIB file lie; None where the reader is asked."""
    return _layout_of(merlin.open, files, name)


def mrc_layout(files: Mapping[str, Bytes], name: str) -> list[ArrayLayout] | None:
    """Where the sections of an MRC file lie; None where the reader is asked."""
    return _layout_of(mrc.open, files, name)


def _layout_of(open_: Callable[[Files], Opened], files: Mapping[str, Bytes], name: str) -> list[ArrayLayout] | None:
    """The arrays that a format's `open` finds, and no reader; the bytes that it read are counted."""
    held = Held({name: b""})
    held.held[name] = files[name]
    try:
        signals = list(open_(held).signals)
    except OSError:
        return None
    return [signal.array for signal in signals if signal.array]


def _array(content: bytes, found: list[ArrayLayout] | None, number: int = 0) -> Any:
    """The array that a layout describes."""
    assert found is not None
    return LeafArray(Bytes(content), found[number])[...]


# -- MRC -----------------------------------------------------------------------------------------------------------


def _mrc(data: Any, mode: int, extended: int = 0) -> bytes:
    header = bytearray(1024)
    struct.pack_into("<4I", header, 0, *data.shape[::-1], mode)
    struct.pack_into("<I", header, 92, extended)
    return bytes(header) + b"\xee" * extended + bytes(data.tobytes())


@pytest.mark.parametrize(("mode", "dtype"), [(0, "u1"), (1, "<i2"), (2, "<f4"), (4, "<c8"), (6, "<u2"), (12, "<f2")])
@pytest.mark.parametrize("extended", [0, 640])
def test_mrc(mode: int, dtype: str, extended: int) -> None:
    data = np.arange(60).reshape(3, 4, 5).astype(dtype)
    content = _mrc(data, mode, extended)
    files = Held({"a.mrc": content})
    (signal,) = mrc.open(files).signals
    assert np.array_equal(array_of(signal, files, "a", lazy=False), data)
    assert files.held["a.mrc"].read == 1024 + data.nbytes


def test_mrc_that_is_not_certain_or_not_whole() -> None:
    data = np.zeros((3, 4, 5), np.uint8)

    def asks_the_reader(files: Mapping[str, bytes]) -> bool:
        with pytest.raises(OSError, match="no reader"):
            list(mrc.open(Held(files)).signals)
        return True

    assert asks_the_reader({"a.mrc": _mrc(data, 101)})
    assert asks_the_reader({"a.mrc": _mrc(data[:0], 0)})
    swapped = bytearray(_mrc(data, 0))
    swapped[:12], swapped[212:214] = struct.pack(">3I", 5, 4, 3), b"\x11\x11"
    assert asks_the_reader({"a.mrc": bytes(swapped)})
    assert mrc.open(Held({"a.mrc": bytes(swapped)})).size == len(swapped)
    packed = Held({"a.mrc": _mrc(np.zeros((3, 4, 5), np.uint8), 101)})
    assert mrc.open(packed).size == 1054
    short = Held({"a.mrc": _mrc(data, 0)[:-1]})
    assert mrc.open(short).size == 1084
    assert asks_the_reader({"a.mrc": _mrc(data, 0)[:-1]})
    with pytest.raises(ReaderError, match="promises at least 1,024 bytes, the file has 5"):
        list(mrc.open(Held({"a.mrc": b"short"})).signals)
    assert asks_the_reader({"1_2_movie.mrc": _mrc(data, 0), "1_2_scan_coordinates.csv": b"0,0"})


# -- DigitalMicrograph ---------------------------------------------------------------------------------------------


class Gatan:
    """Writes DM3 or DM4 tags."""

    def __init__(self, version: int) -> None:
        self.version = version
        self.wide = ">q" if version == 4 else ">i"

    def number(self, value: int) -> bytes:
        return struct.pack(self.wide, value)

    def _sized(self, content: bytes) -> bytes:
        return (struct.pack(">q", len(content)) if self.version == 4 else b"") + content

    def group(self, name: str, tags: list[bytes]) -> bytes:
        head = struct.pack(">bh", 20, len(name)) + name.encode() + b"\1\0"
        body = self.number(len(tags)) + b"".join(tags)
        return head + self._sized(body)

    def data(self, name: str, info: list[int], content: bytes) -> bytes:
        head = struct.pack(">bh", 21, len(name)) + name.encode()
        body = b"%%%%" + self.number(len(info)) + b"".join(map(self.number, info)) + content
        return head + self._sized(body)

    def image(self, array: Any, kind: int, element: list[int]) -> bytes:
        lengths = [self.data("", [5], struct.pack("<I", n)) for n in array.shape[::-1]]
        data = self.data("Data", [20, *element, array.size], array.tobytes())
        code = self.data("DataType", [5], struct.pack("<I", kind))
        return self.group("", [self.group("ImageData", [data, code, self.group("Dimensions", lengths)])])

    def file(self, tags: list[bytes], little: int = 1) -> bytes:
        body = b"\1\0" + self.number(len(tags)) + b"".join(tags)
        size = struct.pack(">Q" if self.version == 4 else ">I", len(body))
        return struct.pack(">I", self.version) + size + struct.pack(">I", little) + body + b"\0" * 8


@pytest.fixture(params=[3, 4])
def gatan(request: pytest.FixtureRequest) -> Gatan:
    """A writer of either version."""
    return Gatan(request.param)


def test_dm(gatan: Gatan) -> None:
    small = np.zeros((2, 2), "<i4")
    image = np.arange(20, dtype="<u2").reshape(4, 5)
    cube = np.arange(24, dtype="<f4").reshape(2, 3, 4)
    wave = (np.arange(6) * 1j).astype("<c8")
    thumbnail = gatan.group("Thumbnails", [gatan.group("", [gatan.data("ImageIndex", [5], struct.pack("<I", 0))])])
    images = [
        gatan.image(small, 7, [3]),
        gatan.image(image, 10, [4]),
        gatan.image(cube, 2, [6]),
        gatan.image(wave, 3, [15, 0, 2, 0, 6, 0, 6]),
    ]
    others = [
        gatan.data("Text", [18, 5], b"hello"),
        gatan.data("Struct", [15, 0, 2, 0, 3, 0, 7], bytes(12)),
        gatan.data("Nested", [20, 20, 3, 4, 2], bytes(0)),
    ]
    content = gatan.file([others[0], others[1], gatan.group("ImageList", images), thumbnail])
    found = dm_layout({"a.dm": Bytes(content)}, "a.dm")
    for number, array in enumerate((image, cube, wave)):
        assert np.array_equal(_array(content, found, number), array)
    assert found is not None
    assert len(found) == 3


def test_dm_that_is_not_certain(gatan: Gatan) -> None:
    image = np.arange(20, dtype="<u2").reshape(4, 5)

    def layout(tags: list[bytes], little: int = 1) -> Any:
        return dm_layout({"a.dm": Bytes(gatan.file([gatan.group("ImageList", tags)], little))}, "a.dm")

    good = gatan.image(image, 10, [4])
    assert layout([good]) is not None
    assert layout([good], little=0) is None
    assert layout([gatan.image(image, 23, [4])]) is None
    assert layout([gatan.image(image, 5, [4])]) is None
    assert layout([gatan.image(image, 7, [4])]) is None  # four bytes by its code, two by its tag
    assert layout([]) is None
    short = gatan.group("", [gatan.group("ImageData", [gatan.data("DataType", [5], struct.pack("<I", 10))])])
    assert layout([short]) is None
    twice = gatan.data("DataType", [5], struct.pack("<I", 10))
    assert layout([gatan.group("", [gatan.group("ImageData", [twice, twice])])]) is None


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize(
    ("info", "match"),
    [([20, 4, 1 << 30], "promises"), ([18, 1 << 30], "promises"), ([-5], "length of -5"), ([99, 1], "kind 99")],
)
def test_dm_with_lengths_that_lie(version: int, info: list[int], match: str) -> None:
    gatan = Gatan(version)
    content = gatan.file([gatan.data("Lie", info, b"")])
    with pytest.raises(ReaderError, match=match):
        read_directory(Bytes(content), "a.dm")


def test_dm_that_is_too_deep_or_endless(gatan: Gatan, monkeypatch: pytest.MonkeyPatch) -> None:
    nested = b""
    for _ in range(dm_tags.MAX_DEPTH + 2):
        nested = gatan.group("g", [nested] if nested else [])
    with pytest.raises(ReaderError, match="deep"):
        dm_layout({"a.dm": Bytes(gatan.file([nested]))}, "a.dm")
    monkeypatch.setattr(dm_tags, "MAX_TAGS", 10)
    with pytest.raises(ReaderError, match="more than 10 tags"):
        dm_layout({"a.dm": Bytes(gatan.file([gatan.group("g", []) for _ in range(11)]))}, "a.dm")
    endless = gatan.file([])[: 16 if gatan.version == 3 else 20] + b"\1\0" + gatan.number(2**31 - 1)
    with pytest.raises(ReaderError):
        dm_layout({"a.dm": Bytes(endless)}, "a.dm")


def test_dm_array_of_structures_is_passed_over(gatan: Gatan) -> None:
    image = np.arange(20, dtype="<u2").reshape(4, 5)
    others = [
        gatan.data("A", [20, 15, 0, 2, 0, 3, 0, 7, 3], bytes(36)),
        gatan.data("B", [20, 20, 4, 6, 2], bytes(24)),
        gatan.data("C", [20, 18, 7, 2], bytes(14)),
    ]
    content = gatan.file([*others, gatan.group("ImageList", [gatan.image(image, 10, [4])])])
    assert np.array_equal(_array(content, dm_layout({"a.dm": Bytes(content)}, "a.dm")), image)


# -- any bytes at all ----------------------------------------------------------------------------------------------

_EXAMPLES = {
    "a.mrc": (
        mrc_layout,
        _mrc(np.zeros((3, 4, 5), "<i2"), 1, 64),
    ),
    "a.blo": (blo_layout, written(np.zeros((2, 2, 4, 4), np.uint8))),
    "a.mib": (mib_layout, frame("U08") + frame("U08", number=2)),
    "a.dm3": (
        dm_layout,
        Gatan(3).file([Gatan(3).group("ImageList", [Gatan(3).image(np.zeros((4, 5), "<u2"), 10, [4])])]),
    ),
    "a.dm4": (
        dm_layout,
        Gatan(4).file([Gatan(4).group("ImageList", [Gatan(4).image(np.zeros((4, 5), "<u2"), 10, [4])])]),
    ),
}


@pytest.mark.parametrize("name", _EXAMPLES)
@settings(max_examples=150, deadline=None, derandomize=True)
@given(data=st.data())
def test_changed_headers_never_lead_out_of_the_file(name: str, data: st.DataObject) -> None:
    layout, content = _EXAMPLES[name]
    changed = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, min(len(changed), 400) - 1))
        new = data.draw(st.sampled_from([b"\xff", b"\0", b"\x7f", b"\xff\xff\xff\xff", b"\0\0\0\x80", b"\1"]))
        changed[place : place + len(new)] = new
    cut = bytes(changed[: data.draw(st.sampled_from([len(changed), len(changed) // 2, 30]))])
    reader = Bytes(cut)
    try:
        found = layout({name: reader}, name)
    except ReaderError:
        return
    assert reader.read <= 4 * len(cut) + 10_000
    for array in found if found else ():
        assert LeafArray(reader, array)[...].shape == array.shape


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.binary(max_size=600), st.sampled_from(sorted(_EXAMPLES)))
def test_any_bytes(content: bytes, name: str) -> None:
    reader = Bytes(content)
    try:
        found = _EXAMPLES[name][0]({name: reader}, name)
    except ReaderError:
        return
    assert reader.read <= 4 * len(content) + 10_000
    for array in found if found else ():
        assert 0 <= array.offset <= len(content)
        assert LeafArray(reader, array)[...].shape == array.shape


# -- the rest ------------------------------------------------------------------------------------------------------


def test_a_cursor_stops_at_the_end() -> None:
    cursor = Cursor(Bytes(bytes(range(10))), "a")
    assert cursor.take(4) == bytes(range(4))
    cursor.skip(2)
    assert cursor.unpack(">H") == (0x0607,)
    with pytest.raises(ReaderError):
        cursor.take(3)
    with pytest.raises(ReaderError):
        cursor.skip(-1)


def test_real_headers_are_small(unpacked_data: Path) -> None:
    """A layout of a real file reads little of it: the leaves of the data stay untouched."""
    for path, layout in (("dm/Titan_survey_image_dataZeroed.dm3", dm_layout), ("blo/test1.blo", blo_layout)):
        reader = Bytes((unpacked_data / path).read_bytes())
        assert layout({path: reader}, path) is not None
        assert reader.read < reader.size / 2
