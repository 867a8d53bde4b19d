"""Where the bytes of an array lie in a file, as far as a format tells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import prod

#: First byte and end (exclusive) of a region.
ByteRange = tuple[int, int]


@dataclass(frozen=True, slots=True)
class ArrayLayout:
    """One array that lies in a file as NumPy's strided model describes it.

    The element with index (i, j, …) is at byte ``offset + i * strides[0] + j * strides[1] + …``. Headers between
    frames, transposed axes and rows stored from the bottom up are all strides.

    Attributes
    ----------
    file : str
        Name of the file.
    offset : int
        Byte of the element with index (0, 0, …).
    dtype : str
        NumPy's name of the stored type, with byte order: ``<u2``.
    shape : tuple of int
        As the reader returns it. The reader may drop axes of length 1, and may split the first axis into several.
    strides : tuple of int
        Bytes from one index to the next, per axis; negative where stored backwards.
    partial : bool
        Whether the reader may leave out the last records of the first axis, as it does for an unfinished scan line.
    """

    file: str
    offset: int
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    partial: bool = False

    @classmethod
    def packed(cls, file: str, offset: int, dtype: str, shape: tuple[int, ...]) -> ArrayLayout:
        """An array without gaps whose last index counts fastest.

        Parameters
        ----------
        file, offset, dtype, shape
            As in the class; the stored type is one of numbers: ``<u2``.
        """
        return cls(file, offset, dtype, shape, steps(shape, int(dtype[2:])))

    @classmethod
    def records(
        cls,
        file: str,
        offset: int,
        dtype: str,
        outer: Sequence[int],
        step: int,
        inner: Sequence[int],
        *,
        up: bool = False,
    ) -> ArrayLayout:
        """Equal arrays without gaps inside them, one after the other: frames, spectra, pages.

        Parameters
        ----------
        file, dtype
            As in the class; the stored type is one of numbers: ``<u2``.
        offset : int
            First byte of the first of them.
        outer : sequence of int
            How they make up the slow axes.
        step : int
            Bytes from one to the next.
        inner : sequence of int
            Shape of each.
        up : bool
            Whether their rows are stored from the lowest up.
        """
        strides = steps(inner, int(dtype[2:]))
        if up:
            offset += (inner[0] - 1) * strides[0]
            strides = (-strides[0], *strides[1:])
        return cls(file, offset, dtype, (*outer, *inner), (*steps(outer, step), *strides))

    def along(self, axes: Sequence[int]) -> ArrayLayout:
        """The array with these of its axes in this order; those left out have one element."""
        return replace(self, shape=tuple(self.shape[of] for of in axes), strides=tuple(self.strides[of] for of in axes))

    @property
    def end(self) -> int:
        """The byte behind the last element, where the first index counts slowest and forwards."""
        return self.offset + self.shape[0] * self.strides[0]


def steps(shape: Sequence[int], item: int) -> tuple[int, ...]:
    """Strides of an array without gaps, of elements or records of so many bytes, the first axis the slowest."""
    return tuple(item * prod(shape[axis + 1 :]) for axis in range(len(shape)))


def pieces_of(array: ArrayLayout) -> list[ByteRange]:
    """Where the records of an array without gaps inside them lie; one piece where nothing is between them."""
    length = prod(array.shape[1:]) * array.strides[-1]
    if array.strides[0] == length:
        return [(array.offset, array.offset + array.shape[0] * length)]
    starts = (array.offset + number * array.strides[0] for number in range(array.shape[0]))
    return [(start, start + length) for start in starts]


def besides(arrays: Sequence[ArrayLayout], size: int) -> list[ByteRange]:
    """All bytes of a file of this size but those of its arrays."""
    pieces = sorted(piece for array in arrays for piece in pieces_of(array))
    edges = [0, *(edge for piece in pieces for edge in piece), size]
    return [(start, stop) for start, stop in zip(edges[::2], edges[1::2], strict=True) if start < stop]


def joined(ranges: Iterable[ByteRange], size: int | None = None) -> list[ByteRange]:
    """The same bytes, of a file of this size, in order: those that touch or overlap are one range."""
    result: list[ByteRange] = []
    for first, last in sorted(ranges):
        start, stop = max(0, first), last if size is None else min(last, size)
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(stop, result[-1][1]))
        elif start < stop:
            result.append((start, stop))
    return result
