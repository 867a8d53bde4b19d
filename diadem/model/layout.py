"""Where the bytes of a signal lie in its file: what a format's *layout* function returns.

A layout function is named by `ReaderOffer.layout` and called as ``layout(files, name)``: `files` maps the name of every
file of the dataset to a `RangeReader`, `name` is the primary file's. It reads headers and returns

- a `FileLayout`: the arrays lie flat in the file, here; the reader needs these header bytes and no others;
- a `FileObject`: the reader itself can read from an open binary file (HDF5);
- None: not certain, so the whole dataset has to be proven before a reader sees it.

It raises `ReaderError` where the file is shorter than it declares.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from diadem.model.ports import RangeReader

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


@dataclass(frozen=True, slots=True)
class FileLayout:
    """Where all arrays of a dataset lie, in the order in which the reader returns its signals.

    Attributes
    ----------
    arrays : sequence of ArrayLayout
        One a signal.
    header : mapping of str to sequence of ByteRange
        File name to the regions from which the reader takes everything that is not the array.
        A file that is not named is needed whole.
    """

    arrays: Sequence[ArrayLayout]
    header: Mapping[str, Sequence[ByteRange]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FileObject:
    """The reader takes an open binary file in place of a path, and reads from it only what it needs."""


LayoutFunction = Callable[[Mapping[str, RangeReader], str], FileLayout | FileObject | None]
