"""The tag directory: made-up files of both versions and byte orders, damaged ones, and anything at all."""

from __future__ import annotations

import random
import struct
import time
import tracemalloc
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rsciio.digitalmicrograph import file_reader

from diadem.errors import ReaderError
from diadem.plugins.gatan import tags
from diadem.plugins.gatan.files import images
from diadem.plugins.gatan.tags import Directory, read_directory
from tests.plugins.gatan.dm_file import Writer, document, image
from tests.plugins.opened import Bytes, blocks

PIXELS = np.arange(12, dtype="H").reshape(3, 4)
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="./"), min_size=1, max_size=12).filter(
    lambda name: not name.startswith(("Data", "TagGroup"))
)
VALUES = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20),
    st.floats(allow_nan=False),
    st.integers(-(2**62), 2**62),
    st.tuples(st.integers(-9, 9), st.floats(-9, 9)),
)


def directory(content: bytes) -> Directory:
    return read_directory(Bytes(content), "a.dm4")


@settings(max_examples=80, deadline=None)
@given(
    tree=st.recursive(
        st.dictionaries(NAMES, VALUES, min_size=1, max_size=4),
        lambda inner: st.dictionaries(NAMES, inner, min_size=1, max_size=3),
        max_leaves=12,
    ),
    version=st.sampled_from([3, 4]),
    little=st.booleans(),
)
def test_what_is_written_is_read(tree: Mapping[str, Any], version: int, *, little: bool) -> None:
    found = directory(Writer(version, little=little).file(tree))
    assert found.tree == tree
    assert found.whole
    assert (found.version, found.little_endian) == (version, little)


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("little", [True, False])
def test_pixels_are_left_out_and_small_arrays_kept(version: int, *, little: bool) -> None:
    tree = document(image(PIXELS), image(PIXELS, {"EELS": {"Dark": np.arange(5, dtype="d")}}))
    content = Writer(version, little=little).file(tree)
    found = directory(content)
    assert [array.tag for array in found.left_out] == [
        "ImageList/TagGroup0/ImageData/Data",
        "ImageList/TagGroup1/ImageData/Data",
    ]
    assert len(found.data) == len(content) - 2 * PIXELS.nbytes
    (_, shown), *others = images(found.tree)
    assert others == []
    assert np.array_equal(shown["ImageTags"]["EELS"]["Dark"], np.arange(5))
    array = shown["ImageData"]["Data"]
    stored = np.frombuffer(content[array["offset"] :][: array["bytes"]], "<u2" if little else ">u2")
    assert np.array_equal(stored, PIXELS.ravel())


def test_large_arrays_are_left_out_and_the_directory_stays_small() -> None:
    many = {f"array {number}": np.zeros(40_000, dtype="d") for number in range(30)}
    found = directory(Writer(4).file(document(image(PIXELS), image(PIXELS, {"Large": many}))))
    assert len(found.data) < 10_000
    assert found.tree["ImageList"]["TagGroup1"]["ImageTags"]["Large"]["array 0"]["bytes"] == 320_000
    small = {f"array {number}": np.zeros(20_000, dtype="d") for number in range(60)}
    found = directory(Writer(4).file(document(image(PIXELS), image(PIXELS, {"Small": small}))))
    assert len(found.data) <= tags.MAX_DIRECTORY


def test_names_of_older_files_are_in_the_code_page_of_the_pc() -> None:
    content = Writer(3).file({"Info": {"Emission Current (uA)": 1.0}})
    older = content.replace(b"(uA)", b"(\xb5A)")
    assert directory(older).tree == {"Info": {"Emission Current (µA)": 1.0}}


@pytest.mark.parametrize("version", [3, 4])
def test_a_file_that_was_cut_off_tells_what_stands_before_the_cut(version: int) -> None:
    content = Writer(version).file(document(image(PIXELS), image(PIXELS, {"Microscope Info": {"Voltage": 2e5}})))
    whole = directory(content)
    for length in range(20, len(content) - 8, 7):
        try:
            found = directory(content[:length])
        except ReaderError:
            continue
        assert not found.whole
        for name, value in found.tree.items():
            assert name in whole.tree, value
        assert len(found.data) <= length


def test_a_cut_file_gives_tags_for_the_whole_dataset_or_none(tmp_path: Path) -> None:
    tagged = {"Microscope Info": {"Voltage": 2e5}}
    content = Writer(3).file(document(image(PIXELS, tagged), image(PIXELS, tagged), thumbnail=False))
    path = tmp_path / "a.dm3"
    path.write_bytes(content[: content.rindex(b"InImageMode")])
    kinds = [(block.kind, block.signals) for block in blocks("diadem.plugins.gatan.files:open", path)]
    assert kinds[1:] == [("gatan-unsure", ()), ("gatan-unsure", ())]
    path.write_bytes(content)
    kinds = [(block.kind, block.signals) for block in blocks("diadem.plugins.gatan.files:open", path)]
    assert kinds[1:] == [("gatan-image", (0,)), ("gatan-image", (1,))]


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32), changes=st.integers(1, 8))
def test_damaged_bytes_end_soon(seed: int, changes: int) -> None:
    damage = random.Random(seed)
    content = bytearray(Writer(4).file(document(image(PIXELS), image(PIXELS, {"A": {"B": (1, 2.0), "C": "text"}}))))
    for _ in range(changes):
        content[damage.randrange(16, len(content))] = damage.randrange(256)
    started = time.process_time()
    with suppress(ReaderError):
        directory(bytes(content))
    assert time.process_time() - started < 2


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([3, 4]))
def test_anything_at_all(content: bytes, version: int) -> None:
    with suppress(ReaderError):
        directory(struct.pack(">I", version) + content)


def test_endless_counts_cost_neither_time_nor_memory() -> None:
    """A group of two thousand million tags, an array of as many values, a structure of no field, repeated for ever."""
    writer = Writer(4)
    head = struct.pack(">I", 4) + writer.number(1 << 40) + struct.pack(">I", 1) + b"\1\0" + writer.number(1 << 31)
    empty = b"\x15\0\1A" + bytes(8) + b"%%%%" + b"".join(map(writer.number, [6, 20, 15, 0, 0, 1 << 60]))
    huge = b"\x15\0\1B" + bytes(8) + b"%%%%" + b"".join(map(writer.number, [3, 20, 7, 1 << 58]))
    for content in (head, head + empty, head + empty + huge, head + huge):
        tracemalloc.start()
        started = time.process_time()
        with suppress(ReaderError):
            directory(content)
        assert time.process_time() - started < 1
        assert tracemalloc.get_traced_memory()[1] < 5 << 20
        tracemalloc.stop()


def test_too_many_tags_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tags, "MAX_TAGS", 10)
    with pytest.raises(ReaderError, match="more than 10 tags"):
        directory(Writer(3).file({"g": {f"n{number}": number for number in range(11)}}))


@pytest.mark.parametrize("version", [3, 4])
def test_images_are_those_of_the_reader(tmp_path: Path, version: int) -> None:
    """Thumbnails are told by their place in the list, wherever they stand."""
    listed = {f"TagGroup{number}": image(PIXELS + number, {}, name=f"image {number}") for number in range(4)}
    tree = {"ImageList": listed, "Thumbnails": {"TagGroup0": {"ImageIndex": 2}, "TagGroup1": {"ImageIndex": 0}}}
    path = tmp_path / f"a.dm{version}"
    path.write_bytes(Writer(version).file(tree))
    ours = [one["Name"] for _, one in images(directory(path.read_bytes()).tree)]
    assert (
        ours == [signal["metadata"]["General"]["title"] for signal in file_reader(str(path))] == ["image 1", "image 3"]
    )
