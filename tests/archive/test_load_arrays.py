"""`LeafArray` against NumPy's own view of the same bytes."""

from __future__ import annotations

import time
from math import prod
from typing import Any

import dask
import dask.array
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.errors import ReaderError
from diadem.extract import lazyarray
from diadem.extract.lazyarray import LeafArray, as_dask, chunk_shape
from diadem.hooks.formats import fitted
from diadem.model.layout import ArrayLayout
from diadem.model.ports import InMemory


class Bytes(InMemory):
    """It notes its reads."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.reads: list[int] = []

    def read_at(self, offset: int, length: int) -> bytes:
        assert offset >= 0
        self.reads.append(length)
        return super().read_at(offset, length)


@st.composite
def layouts(draw: st.DrawFn) -> ArrayLayout:
    """Axes in any order in the file, some stored backwards, with gaps between their steps."""
    shape = tuple(draw(st.lists(st.integers(1, 6), min_size=0, max_size=4)))
    dtype = draw(st.sampled_from(["|u1", "<u2", ">u2", "<f4", "<c8"]))
    step = np.dtype(dtype).itemsize
    strides, offset = [0] * len(shape), draw(st.integers(0, 20))
    for axis in draw(st.permutations(range(len(shape)))):
        stride = step + draw(st.sampled_from([0, 0, 3, 200]))
        backwards = draw(st.booleans())
        offset += (shape[axis] - 1) * stride if backwards else 0
        strides[axis] = -stride if backwards else stride
        step = stride * shape[axis]
    return ArrayLayout("a", offset, dtype, shape, tuple(strides))


def file_of(layout: ArrayLayout) -> bytes:
    """Random bytes up to the last element."""
    end = layout.offset + sum(max(0, (n - 1) * s) for n, s in zip(layout.shape, layout.strides, strict=True))
    return np.random.default_rng(end).bytes(end + np.dtype(layout.dtype).itemsize)


def expected(layout: ArrayLayout, data: bytes) -> Any:
    return np.ndarray(layout.shape, layout.dtype, data, layout.offset, layout.strides)


def indices(shape: tuple[int, ...]) -> st.SearchStrategy[tuple[Any, ...]]:
    """An integer or a slice for each axis."""
    one = [
        st.one_of(st.integers(-n, n - 1), st.slices(n).filter(lambda item: item.step is None or item.step != 0))
        for n in shape
    ]
    return st.tuples(*one)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.data())
@pytest.mark.parametrize("block", [48, 1 << 20])
def test_any_slice_of_any_layout(block: int, data: st.DataObject) -> None:
    layout = data.draw(layouts())
    content = file_of(layout)
    index = data.draw(indices(layout.shape))
    with pytest.MonkeyPatch.context() as patch:  # small blocks, so that small arrays take the ways of large ones
        patch.setattr(lazyarray, "_BLOCK", block)
        patch.setattr(lazyarray, "_GAP", min(block, 8))
        found = LeafArray(Bytes(content), layout)[index]
    wanted = expected(layout, content)[(*index, ...)]  # the ellipsis keeps single elements arrays
    assert found.dtype == wanted.dtype
    assert found.tobytes() == np.ascontiguousarray(wanted).tobytes()
    assert found.shape == wanted.shape


def test_ellipsis_and_missing_axes() -> None:
    layout = ArrayLayout("a", 0, "|u1", (2, 3, 4), (12, 4, 1))
    content = bytes(range(24))
    array, wanted = LeafArray(Bytes(content), layout), expected(layout, content)
    assert np.array_equal(array[...], wanted)
    assert np.array_equal(array[1], wanted[1])
    assert np.array_equal(array[..., 2], wanted[..., 2])
    assert np.array_equal(array[0, ..., 1:], wanted[0, ..., 1:])
    assert np.array_equal(array[:, [2, 0]], wanted[:, [2, 0]])
    assert np.array_equal(array[1, np.array([True, False, True]), ::2], wanted[1][np.array([True, False, True]), ::2])
    with pytest.raises(IndexError):
        array[2]
    with pytest.raises(IndexError):
        array[0, 0, 0, 0]


def test_contiguous_data_is_one_read_and_a_column_does_not_read_the_file() -> None:
    size = 1 << 20
    layout = ArrayLayout("a", 0, "|u1", (8, size), (size, 1))
    whole = Bytes(bytes(8 * size))
    LeafArray(whole, layout)[2:6]
    assert whole.reads == [4 * size]
    column = Bytes(bytes(8 * size))
    LeafArray(column, layout)[:, 5]
    assert sum(column.reads) < 1000


def test_frames_with_headers_are_read_together() -> None:
    layout = ArrayLayout("a", 6, "|u1", (100, 10, 10), (106, 10, 1))
    reader = Bytes(bytes(106 * 100))
    LeafArray(reader, layout)[...]
    assert len(reader.reads) == 1


def test_a_file_that_ends_early() -> None:
    layout = ArrayLayout("scan.mrc", 0, "<u2", (10, 10), (20, 2))
    with pytest.raises(ReaderError, match="ends at byte 200, the file at byte 150"):
        LeafArray(Bytes(bytes(150)), layout)[...]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(layouts(), st.sampled_from([1, 16, 100, 1000]))
def test_chunks_cover_the_array_and_keep_to_the_target(layout: ArrayLayout, target: int) -> None:
    chunks = chunk_shape(layout, target)
    assert len(chunks) == len(layout.shape)
    assert all(1 <= chunk <= n for chunk, n in zip(chunks, layout.shape, strict=True))
    assert prod(chunks) * np.dtype(layout.dtype).itemsize <= max(target, np.dtype(layout.dtype).itemsize)


def test_chunks_are_whole_frames_of_a_scan() -> None:
    frame = 256 * 256 * 2
    scan = ArrayLayout("a", 0, "<u2", (512, 512, 256, 256), (512 * frame, frame, 512, 2))
    assert chunk_shape(scan) == (1, 256, 256, 256)


def test_dask_computes_the_same_and_has_a_stable_name() -> None:
    layout = ArrayLayout("a", 4, ">u2", (5, 6, 7), (100, 14, 2))
    content = file_of(layout)
    one = as_dask(LeafArray(Bytes(content), layout), chunk_shape(layout), "x")
    two = as_dask(LeafArray(Bytes(content), layout), chunk_shape(layout), "x")
    assert one.name == two.name == "diadem-x"
    assert np.array_equal(one.compute(), expected(layout, content))
    assert np.array_equal(one[1:3, ::2, -1].compute(), expected(layout, content)[1:3, ::2, -1])


@pytest.mark.parametrize(
    ("stored", "partial", "wanted", "strides"),
    [
        ((12, 4, 5), False, (12, 4, 5), (100, 10, 2)),
        ((12, 4, 5), False, (3, 4, 4, 5), (400, 100, 10, 2)),
        ((1, 4, 5), False, (4, 5), (10, 2)),
        ((12, 4, 5), False, (12, 1, 4, 5), (100, 2, 10, 2)),
        ((12, 4, 5), True, (2, 5, 4, 5), (500, 100, 10, 2)),
        ((12, 4, 5), False, (2, 5, 4, 5), None),
        ((12, 4, 5), True, (3, 5, 4, 5), None),
        ((12, 4, 5), False, (12, 5, 4), None),
        ((12, 4, 5), False, (240,), None),
        ((1, 1, 1), False, (), ()),
        ((2, 1, 1), False, (), None),
    ],
)
def test_fitting_to_the_shape_of_the_reader(
    stored: tuple[int, ...], partial: bool, wanted: tuple[int, ...], strides: tuple[int, ...] | None
) -> None:
    layout = ArrayLayout("a", 0, "<u2", stored, (100, 10, 2), partial)
    found = fitted(layout, wanted, "<u2")
    assert (found.strides if found else None) == strides
    assert fitted(layout, wanted, ">u2") is None


def test_a_readers_array_of_many_chunks_is_computed_as_soon_as_it_is_without_us() -> None:
    library: Any = dask  # its functions have no types
    many = [library.array.from_delayed(library.delayed(np.full)((4, 4), n), (4, 4), "i8") for n in range(300)]
    readers = library.array.stack(many)
    ours = as_dask(readers, readers.chunks, "many", lambda: None)
    assert np.array_equal(ours[7:9, 1].compute(), readers[7:9, 1].compute())
    assert np.array_equal(ours[[3, 5]].compute(), readers[[3, 5]].compute())

    def seconds(array: Any) -> float:
        begun = time.process_time()
        assert array.sum().compute(scheduler="synchronous") == 16 * sum(range(300))
        return time.process_time() - begun

    seconds(ours)
    assert seconds(ours) < 10 * seconds(readers)
