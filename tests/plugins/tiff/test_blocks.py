"""Blocks of TIFF tags: bytes of every page, trees of the pages that begin signals."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from diadem.hooks.fields import Block
from diadem.hooks.tiff import MAX_TOTAL, cut, in_tags
from tests.plugins.tiff.files import write


def parse(data: bytes) -> Any:
    if data.startswith(b"bad"):
        raise ValueError("bad bytes")
    return {"text": data.decode()} if data.startswith(b"ours") else None


LOOK = in_tags("test", {65000: parse})


def test_bytes_stand_where_they_are_said_to(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", {65000: b"ours, once"})
    raw, tree = cut(str(path), "test", LOOK)
    assert (raw.place, raw.data, raw.tree) == ("page 1/ImageTags", b"ours, once", {})
    assert raw.byte_range is not None
    assert path.read_bytes()[slice(*raw.byte_range)] == raw.data
    assert tree.place == "page 1"
    assert tree.signals == ()
    assert tree.tree["ImageTags"] == {"text": "ours, once"}
    assert tree.tree["ImageWidth"] == 8


def test_pictures_of_one_file_are_told_apart(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", {65000: b"ours, first"}, {}, {65000: b"ours, third"})
    blocks = list(cut(str(path), "test", LOOK))
    assert [(block.place, block.signals) for block in blocks if block.tree] == [("page 1", (0,)), ("page 3", (2,))]


def test_every_frame_of_a_stack_is_kept_and_the_first_describes(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        for number in range(3):
            extra = [(65000, 7, 6, b"ours %d" % number, False)]
            file.write(np.zeros((4, 4), np.uint8), photometric="minisblack", extratags=extra, metadata=None)
    blocks = list(cut(str(path), "test", LOOK))
    assert [block.data for block in blocks if block.data] == [b"ours 0", b"ours 1", b"ours 2"]
    assert [block.tree["ImageTags"]["text"] for block in blocks if block.tree] == ["ours 0"]


def test_another_vendor_has_no_blocks(tmp_path: Path) -> None:
    assert list(cut(str(write(tmp_path / "a.tif", {65000: b"theirs"})), "test", LOOK)) == []
    assert list(cut(str(write(tmp_path / "b.tif", {})), "test", LOOK)) == []
    (tmp_path / "c.tif").write_bytes(b"no TIFF at all")
    assert list(cut(str(tmp_path / "c.tif"), "test", LOOK)) == []


def test_bytes_are_kept_where_they_cannot_be_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", {65000: b"bad"}, {65000: b"ours"})
    kept: list[Block] = []
    with pytest.raises(ValueError, match="bad bytes"):
        kept.extend(cut(str(path), "test", LOOK))
    assert [block.data for block in kept if block.data] == [b"bad", b"ours"]
    assert [block.place for block in kept if block.tree] == ["page 2"]


def test_many_pages_that_share_a_long_value_are_not_all_kept(tmp_path: Path) -> None:
    length, count = 4 << 20, 100
    size = 2 + 12 + 4
    value = 8 + size * count
    data = b"II*\0" + (8).to_bytes(4, "little")
    for number in range(count):
        following = 8 + size * (number + 1) if number + 1 < count else 0
        data += struct.pack("<HHHIII", 1, 65000, 7, length, value, following)
    path = tmp_path / "a.tif"
    path.write_bytes(data + b"ours" + b" " * (length - 4))
    blocks = [block for block in cut(str(path), "test", LOOK) if block.data]
    assert len(blocks) == MAX_TOTAL // length
