"""An array whose elements are read, and proven, when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from importlib import import_module
from itertools import accumulate, pairwise
from typing import Any, cast

import numpy as np

from diadem.errors import ReaderError
from diadem.model.layout import ArrayLayout
from diadem.model.ports import RangeReader
from diadem.model.reopenable import Reopenable

#: Bytes that one Dask chunk aims at: enough work for a thread, and several fit into memory.
CHUNK_BYTES = 32 << 20
#: Longest run of bytes read at once when the elements do not lie side by side.
_BLOCK = 4 << 20
#: A gap up to this is read and dropped, rather than split into two reads.
_GAP = 64 << 10

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class _Selection:
    """A strided set of bytes in the file: of the whole array, or of what a slice takes of it."""

    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    itemsize: int

    def bounds(self) -> tuple[int, int]:
        """First byte and end of everything selected."""
        reach = [(n - 1) * stride for n, stride in zip(self.shape, self.strides, strict=True)]
        start = self.offset + sum(min(0, step) for step in reach)
        return start, self.offset + sum(max(0, step) for step in reach) + self.itemsize

    def outer(self) -> int:
        """The axis whose steps are the longest in the file; -1 for a single element."""
        axes = [axis for axis, n in enumerate(self.shape) if n > 1]
        return max(axes, key=lambda axis: abs(self.strides[axis]), default=-1)

    def part(self, axis: int, start: int, stop: int) -> _Selection:
        """The indices from start to stop of one axis."""
        shape = (*self.shape[:axis], stop - start, *self.shape[axis + 1 :])
        return replace(self, offset=self.offset + start * self.strides[axis], shape=shape)

    def dense(self) -> bool:
        """Whether reading from the first byte to the last wastes little on every axis."""
        inner = self.itemsize
        for stride, n in sorted((abs(stride), n) for stride, n in zip(self.strides, self.shape, strict=True) if n > 1):
            if stride - inner > max(_GAP, inner):
                return False
            inner = max(inner, (n - 1) * stride + inner)
        return True


class LeafArray:
    """An array that lies flat in a file. Reads from several threads at once.

    The reader raises `DigestMismatch` for bytes that are not what they were.
    """

    def __init__(self, reader: RangeReader, layout: ArrayLayout) -> None:
        self._reader = reader
        self._layout = layout
        self.dtype = np.dtype(layout.dtype)
        self.shape = layout.shape
        self.ndim = len(layout.shape)

    def __getitem__(self, index: Any) -> Array:
        """The elements that integers, slices, an ellipsis, or one list or array of integers select, as a new array.

        Raises `ReaderError` where the file ends before the array does.
        """
        items = self._complete(index if isinstance(index, tuple) else (index,))
        if any(_is_list(item) for item in items):
            outer = self[tuple(slice(None) if _is_list(item) else item for item in items)]
            return outer[tuple(item if _is_list(item) else slice(None) for item in items if _keeps_axis(item))]
        selection, kept = self._select(items)
        out = np.empty(selection.shape, self.dtype)
        if out.size:
            self._fill(out, selection)
        return out.reshape(kept)

    def _select(self, items: Sequence[Any]) -> tuple[_Selection, tuple[int, ...]]:
        """What an index means in bytes, and the shape of its result."""
        offset, shape, strides, kept = self._layout.offset, [], [], []
        for item, n, stride in zip(items, self.shape, self._layout.strides, strict=True):
            if isinstance(item, slice):
                start, stop, step = item.indices(n)
                count = len(range(start, stop, step))
                kept.append(count)
            else:
                start, step, count = _position(item, n), 1, 1
            offset += start * stride if count else 0
            shape.append(count)
            strides.append(step * stride)
        return _Selection(offset, tuple(shape), tuple(strides), self.dtype.itemsize), tuple(kept)

    def _complete(self, index: tuple[Any, ...]) -> tuple[Any, ...]:
        """The index with one item for every axis."""
        place = next((i for i, item in enumerate(index) if item is Ellipsis), len(index))
        head, tail = index[:place], index[place + 1 :]
        missing = self.ndim - len(head) - len(tail)
        if missing < 0:
            raise IndexError(f"{len(index)} indices for an array of {self.ndim} axes")
        return (*head, *([slice(None)] * missing), *tail)

    def _fill(self, out: Array, selection: _Selection) -> None:
        """Read a selection, in as few reads as is reasonable."""
        if out.flags.c_contiguous and _side_by_side(out, selection.strides):
            self._read_into(out, selection.offset)
            return
        start, stop = selection.bounds()
        dense = selection.dense()
        if dense and stop - start <= _BLOCK:
            data = self._read(start, stop)
            out[...] = np.ndarray(out.shape, out.dtype, data, selection.offset - start, selection.strides)
            return
        axis = selection.outer()
        count = selection.shape[axis]
        step = max(1, min(count - 1, _BLOCK // abs(selection.strides[axis]))) if dense else 1
        for first in range(0, count, step):
            last = min(first + step, count)
            part = out[(slice(None),) * axis + (slice(first, last),)]
            self._fill(part, selection.part(axis, first, last))

    def _read_into(self, out: Array, offset: int) -> None:
        buffer = memoryview(out.reshape(-1).view(np.uint8).data)
        if self._reader.readinto_at(offset, buffer) != len(buffer):
            self._ended_early(offset + len(buffer))

    def _read(self, start: int, stop: int) -> Array:
        data = np.empty(stop - start, np.uint8)  # filled in place: bytes would be a second copy for a moment
        if self._reader.readinto_at(start, data.data) != len(data):
            self._ended_early(stop)
        return data

    def _ended_early(self, stop: int) -> None:
        raise ReaderError(
            f"the array ends at byte {stop}, the file at byte {self._reader.size}",
            where=self._layout.file,
            next="The file was cut short before it was archived.",
        )


def _is_list(item: Any) -> bool:
    """Whether an index is a list or array of integers or truth values."""
    return isinstance(item, list) or (isinstance(item, np.ndarray) and item.ndim > 0)


def _keeps_axis(item: Any) -> bool:
    return isinstance(item, slice) or _is_list(item)


def _position(item: Any, n: int) -> int:
    """A single index, counted from the front."""
    place = int(item)
    if not -n <= place < n:
        raise IndexError(f"index {place} is out of range for an axis of length {n}")
    return place % n


def _side_by_side(out: Array, strides: Sequence[int]) -> bool:
    """Whether the file holds the elements in the order and with the spacing that `out` has in memory."""
    return all(a == b for a, b, n in zip(out.strides, strides, out.shape, strict=True) if n > 1)


def chunk_shape(layout: ArrayLayout, target: int = CHUNK_BYTES) -> tuple[int, ...]:
    """Shape of chunks that lie together in the file, of up to about `target` bytes.

    The axes with the short steps (a frame, a spectrum) stay whole for as long as they fit; one axis is cut into equal
    pieces, and the axes outside it are taken one index at a time.
    """
    room = max(1, target // np.dtype(layout.dtype).itemsize)
    chunks = [1] * len(layout.shape)
    for axis in sorted(range(len(chunks)), key=lambda axis: abs(layout.strides[axis])):
        pieces = -(-layout.shape[axis] // max(1, room))
        chunks[axis] = max(1, -(-layout.shape[axis] // max(1, pieces)))
        room //= chunks[axis]
        if pieces > 1:
            break
    return tuple(chunks)


class StoredArray(Reopenable):
    """An array of a dataset as Dask holds it. In another process it is found again when an element is asked for.

    `find` finds it there, by the address of its dataset; `array` is the one that is open here.
    """

    def __init__(
        self, shape: tuple[int, ...], dtype: Any, token: str, find: Callable[[], Any] | None, array: Any = None
    ) -> None:
        self.shape, self.ndim, self.dtype = shape, len(shape), dtype
        self._token, self._find, self.array = token, find, array
        self.again = None if find is None else partial(StoredArray, shape, dtype, token, find)

    def __dask_tokenize__(self) -> str:
        """Equal tokens, equal arrays."""
        return self._token

    def __getitem__(self, index: Any) -> Array:
        """The elements that an index selects, in memory; raises what reading them does."""
        if self.array is None and self._find is not None:
            found = self._find()
            if (found.shape, found.dtype) != (self.shape, self.dtype):
                raise ReaderError(
                    f"this process reads {_described(found)}, the one that sent it {_described(self)}",
                    next="Install the same versions of DIADEM, RosettaSciIO and plugins in both.",
                )
            self.array = _beneath(found)
        return cast("Array", self.array[index])


def _described(array: Any) -> str:
    return f"{' × '.join(map(str, array.shape))} {array.dtype}"


class _Chunks:
    """A reader's Dask array, computed chunk by chunk, as they are asked for.

    Its graph is written out once: to let Dask look through all of it for each chunk takes minutes where there are a
    thousand.
    """

    def __init__(self, array: Any) -> None:
        self.shape, self.dtype = array.shape, array.dtype
        self._array = array

    @cached_property
    def _graph(self) -> dict[Any, Any]:
        return dict(self._array.dask)

    @cached_property
    def _places(self) -> list[dict[tuple[int, int], int]]:
        """The number of each chunk along an axis, by its first index and its end."""
        ends = [list(accumulate(sizes)) for sizes in self._array.chunks]
        return [{pair: n for n, pair in enumerate(pairwise([0, *axis]))} for axis in ends]

    def __getitem__(self, index: Any) -> Array:
        dask, cull = cast("Any", import_module("dask")), cast("Any", import_module("dask.optimization").cull)
        items = index if isinstance(index, tuple) else (index,)
        if len(items) == len(self.shape) and all(isinstance(one, slice) and one.step in (None, 1) for one in items):
            key = tuple(axis.get((one.start, one.stop)) for axis, one in zip(self._places, items, strict=True))
            if None not in key:
                needed, _ = cull(self._graph, [(self._array.name, *key)])
                return cast("Array", dask.get(needed, (self._array.name, *key)))
        return cast("Array", self._array[index].compute(scheduler="synchronous"))


def _beneath(array: Any) -> Any:
    """What the chunks of an array are read from: of a Dask array of ours, or a reader's of HDF5 or Zarr, what is
    beneath it, which needs no lock.
    """
    if not hasattr(array, "dask"):
        return array
    layers = array.dask.layers
    originals = [layer[name] for name, layer in layers.items() if name.startswith("original-")]
    if len(layers) != 2 or len(originals) != 1:
        return _Chunks(array)
    source = getattr(originals[0], "value", originals[0])
    if isinstance(source, StoredArray) and source.array is not None:
        source = source.array
    elif type(source).__module__.partition(".")[0] not in ("h5py", "zarr"):
        return _Chunks(array)
    return source if (source.shape, source.dtype) == (array.shape, array.dtype) else _Chunks(array)


def as_dask(array: Any, chunks: Any, token: str, find: Callable[[], Any] | None = None) -> Any:
    """A Dask array of the elements of another array, one read task a chunk, without a lock; see `StoredArray`."""
    from dask.array import from_array

    make = cast("Callable[..., Any]", from_array)
    return make(
        StoredArray(tuple(array.shape), array.dtype, token, find, _beneath(array)),
        chunks=chunks,
        name=f"diadem-{token}",
        lock=False,
        asarray=True,  # with this and `fancy` Dask moves slices into the read: a frame reads its own leaves only
        fancy=True,
        meta=np.empty((0,) * array.ndim, array.dtype),
    )
