"""The parser of JEOL's tagged trees: what is written is read, and no bytes make it hang, crash or fill the memory."""

from __future__ import annotations

import contextlib
import struct
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diadem.errors import ReaderError
from diadem.hooks.binary import Cursor
from diadem.hooks.formats import CutShort
from diadem.plugins.jeol.headers import COUNTS, DEEPEST, Damaged, read_header, single
from diadem.plugins.jeol.headers import read_tree as read_tree_at
from tests.plugins.opened import Bytes

NAMES = st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1, max_size=12)
VALUES = st.one_of(
    st.integers(-(2**31), 2**31 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=30),
    st.lists(st.integers(0, 65535), min_size=2, max_size=5),
)
TREES = st.recursive(
    st.dictionaries(NAMES, VALUES, max_size=4),
    lambda inner: st.dictionaries(NAMES, st.one_of(VALUES, inner), max_size=4),
    max_leaves=20,
)


def read_tree(data: bytes) -> dict[str, Any]:
    """The tree that begins with the bytes."""
    return read_tree_at(Cursor(Bytes(data), "a.pts"))


def entry(name: str, kind: int, value: bytes, inside: bytes = b"") -> bytes:
    """One entry of a tree."""
    raw = name.encode() + b"\0"
    return b"\x01" + struct.pack("<i", len(raw)) + raw + struct.pack("<ii", kind, len(value)) + value + inside + b"\xff"


def written(tree: dict[str, Any]) -> bytes:
    """A tree as Analysis Station writes it, without the byte that ends it."""
    data = b""
    for name, value in tree.items():
        if isinstance(value, dict):
            data += entry(name, 0, b"", written(value))
        elif isinstance(value, int):
            data += entry(name, 3, struct.pack("<i", value))
        elif isinstance(value, float):
            data += entry(name, 5, struct.pack("<d", value))
        elif isinstance(value, str):
            data += entry(name, 12, value.encode() + b"\0")
        else:
            data += entry(name, 7, struct.pack(f"<{len(value)}H", *value))
    return data


@given(TREES)
def test_what_is_written_is_read(tree: dict[str, Any]) -> None:
    assert read_tree(written(tree) + b"\xff") == tree


@given(TREES, st.data())
def test_a_truncated_tree_is_refused(tree: dict[str, Any], data: st.DataObject) -> None:
    whole = written(tree)
    kept = data.draw(st.integers(0, max(0, len(whole) - 1)))
    with pytest.raises(CutShort):
        read_tree(whole[:kept])


def test_a_real_header_with_any_byte_changed_ends_soon(view: Path) -> None:
    data = bytearray((view / "View000_0000006.pts").read_bytes()[317:13438])
    started = time.process_time()
    for place in range(0, len(data), 7):
        damaged = bytearray(data)
        damaged[place] ^= 0xFF
        try:
            read_tree(bytes(damaged))
        except ReaderError:
            continue
    assert time.process_time() - started < 20


def test_endless_depth_and_huge_lengths_are_refused() -> None:
    opening = entry("a", 0, b"")[:-1]
    with pytest.raises(Damaged, match="inside one another"):
        read_tree(opening * (DEEPEST + 1))
    with pytest.raises(CutShort, match="the file has"):
        read_tree(b"\x01" + struct.pack("<i", 2) + b"a\0" + struct.pack("<ii", 7, 2**31 - 1))
    with pytest.raises(Damaged, match="a name of"):
        read_tree(b"\x01" + struct.pack("<i", 2**31 - 1))


def test_pages_values_beside_entries_and_pixels() -> None:
    data = (
        entry("PARAMPAGE0", 12, b"SEM\0", entry("AccKV", 4, struct.pack("<f", 15), entry("Limits", 65553, b"kV")))
        + entry("Bits", 6, b"\x01\x02\x03\x04")
        + entry("Long", 8, bytes(80_000))
        + entry("List", 13, b"None\0SEI\0")
    )
    tree = read_tree(data + b"\0")
    assert tree["PARAMPAGE0_SEM"] == {"AccKV": {"value": 15.0, "Limits": b"kV"}}
    assert tree["Bits"]["dtype"] == "|u1"
    assert tree["Bits"]["count"] == 4
    assert data[tree["Bits"]["offset"] :].startswith(b"\x01\x02\x03\x04")
    assert (tree["Long"]["dtype"], tree["Long"]["count"]) == ("<i4", 20_000)
    assert tree["List"] == ["None", "SEI"]


def test_japanese_texts() -> None:
    data = entry("Memo", 12, "試料".encode("shift_jis") + b"\0") + entry("Note", 12, "試料".encode() + b"\0")
    assert read_tree(data + b"\xff") == {"Memo": "試料", "Note": "試料"}


@given(st.binary(max_size=300), st.integers(0, 2000))
def test_any_spectrum_ends_in_a_tree_or_an_ordinary_exception(tail: bytes, channels: int) -> None:
    data = bytearray(COUNTS)
    struct.pack_into("<d", data, 10, 43276.6)
    struct.pack_into("<i", data, 454, channels)
    with contextlib.suppress(Damaged, CutShort):
        assert "Header" in read_header(Bytes(bytes(data) + tail), "a.eds").tree


def test_a_truncated_spectrum_is_refused(spectrum: Path) -> None:
    data = spectrum.read_bytes()
    for kept in (0, 457, 5000, 8700, len(data) - 900):
        with pytest.raises(CutShort):
            read_header(Bytes(data[:kept]), "a.eds")


@pytest.mark.parametrize("number", [22.3, 0.000123457, 16777.217, 90.0, 3.5000012, 1.9999999])
def test_numbers_of_32_bits_have_the_digits_that_make_them_again(number: float) -> None:
    assert single(struct.unpack("<f", struct.pack("<f", number))[0]) == number
