"""What a format's `open` is given, and what it gives: signals, blocks of metadata, and the size that the head promises.

One function a format, named by `ReaderOffer.open` and called as ``open(files)``. The record is made from what it gives,
and so is the signal that `Package.load` returns: what one says of axes and arrays, the other says too.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

from diadem.errors import ReaderError
from diadem.hooks.extensions import Extension
from diadem.hooks.fields import Block
from diadem.model.layout import ArrayLayout, ByteRange
from diadem.model.ports import RangeReader

#: Of a file by its name, what of it a reader needs; a file that is not named is needed whole.
Parts = Mapping[str, Sequence[ByteRange]]
#: What RosettaSciIO's readers return for a signal.
Dictionary = dict[str, Any]


class CutShort(ReaderError):
    """A file that has fewer bytes than it says.

    Parameters
    ----------
    name : str
        The file.
    needed, size : int
        Bytes that it must have at least by what it says, and those that it has.
    """

    def __init__(self, name: str, needed: int, size: int) -> None:
        super().__init__(
            f"the header promises at least {needed:,} bytes, the file has {size:,}",
            where=name,
            next="Copy it again from the instrument, if it is still there.",
        )
        self.name, self.needed, self.size = name, needed, size


class Files(Mapping[str, RangeReader]):
    """The files of a dataset by name (``/`` between folders), each read at any place.

    They lie in a folder of this machine while a record is made, and in a package, perhaps far away, when a signal is
    loaded; there every byte that is read is proven.

    Attributes
    ----------
    entry : str
        What names the dataset: the primary file, or the folder that is the dataset.
    """

    entry: str

    @abstractmethod
    def path(self, parts: Parts | None = None) -> str:
        """A path of the entry, with its neighbours beside it, for a library that takes nothing else.

        Parameters
        ----------
        parts : mapping of str to sequence of (start, stop), optional
            What is needed of the files that it names: of one in a package only these bytes are there, the rest is a
            hole. Without it a package's files are proven whole first.
        """

    @abstractmethod
    def hdf5(self) -> Any:
        """What ``h5py.File`` takes: the path of the entry, or an open file that reads through the package."""

    @abstractmethod
    def read(self, parts: Parts | None = None, *, hdf5: bool = False) -> Sequence[Dictionary]:
        """The signals as the reader gives them that the offer names in `load`, lazily where it can.

        Parameters
        ----------
        parts : mapping of str to sequence of (start, stop), optional
            See `path`: what the reader needs for all but the arrays.
        hdf5 : bool
            Whether the reader is given what `hdf5` gives, in place of a path.
        """


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal of a dataset.

    Attributes
    ----------
    axes : sequence of mapping
        In the order of the array, slow to fast: ``name, size, scale, offset, units, navigate``, or ``axis`` (values)
        for an uneven one, as HyperSpy has them. The unit may be any that `diadem.terms.units` knows; "" is none.
    data : array
        Anything with `shape` and `dtype` that reads what is asked for; None where `array` says all.
    array : ArrayLayout, optional
        Where the bytes lie, in the shape of `axes`: the array is then read from there, piece by piece.
    metadata : mapping
        HyperSpy's: ``General`` with the title, ``Signal`` with the type.
    more : mapping
        What else a reader of RosettaSciIO has said: ``original_metadata``, ``mapping``, ``attributes`` …
    issues : sequence of mapping
        ``code`` and ``message`` of what is wrong with it.
    reader : callable, optional
        Gives what RosettaSciIO's reader says of the signal. Asked only when it is loaded, for people who know its
        metadata; axes and array stay these.
    """

    axes: Sequence[Mapping[str, Any]]
    data: Any = None
    array: ArrayLayout | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)
    issues: Sequence[Mapping[str, Any]] = ()
    reader: Callable[[], Mapping[str, Any]] | None = None

    @classmethod
    def from_reader(cls, dictionary: Any, array: ArrayLayout | None = None) -> Signal:
        """A signal that a reader of RosettaSciIO returns."""
        if not isinstance(dictionary, Mapping):
            return cls(dictionary)  # it fails where it is described: a form that no reader should return
        more = {key: value for key, value in dictionary.items() if key not in ("data", "axes", "metadata", "issues")}
        axes, metadata = dictionary.get("axes") or [], dictionary.get("metadata") or {}
        return cls(axes, dictionary.get("data"), array, metadata, more, dictionary.get("issues", ()))

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array."""
        return self.array.shape if self.array else tuple(int(n) for n in getattr(self.data, "shape", ()))

    @property
    def dtype(self) -> Any:
        """NumPy's type of the array's elements; None where the data have none."""
        import numpy as np  # whoever lists what plugins offer does without

        return np.dtype(self.array.dtype) if self.array else getattr(self.data, "dtype", None)

    def dictionary(self, data: Any) -> Dictionary:
        """As RosettaSciIO would return it, with these data."""
        return {**self.more, "data": data, "axes": [dict(axis) for axis in self.axes], "metadata": self.metadata}


@dataclass(frozen=True, slots=True)
class Opened:
    """A dataset whose head is read.

    Signals and blocks may be generators: each is asked for once and on its own, and what one raises does the other no
    harm. A `CutShort` that is raised says the size as well.

    Attributes
    ----------
    signals : iterable of Signal
        In an order that stays.
    blocks : iterable of Block or Extension
        The maker's metadata, for tables.
    size : int
        Bytes that the primary file must have by what its head says; 0 where it says nothing.
    """

    signals: Iterable[Signal] = ()
    blocks: Iterable[Block | Extension] = ()
    size: int = 0


def laid_out(read: Sequence[Dictionary], arrays: Sequence[ArrayLayout]) -> list[Signal]:
    """Signals of a reader whose arrays are read from where they lie; none where the reader means other arrays.

    Parameters
    ----------
    read : sequence of dict
        What the reader returns.
    arrays : sequence of ArrayLayout
        One for each of them that holds data.
    """
    held = [one for one in read if "data" in one]
    shaped = [fitted(array, one["data"].shape, one["data"].dtype) for one, array in zip(held, arrays, strict=False)]
    if len(held) != len(arrays) or None in shaped:
        return []
    return [Signal.from_reader(one, array) for one, array in zip(held, shaped, strict=True)]


def fitted(layout: ArrayLayout, shape: Sequence[int], dtype: Any) -> ArrayLayout | None:
    """The layout in the shape of the array that the reader made of it, or None where they disagree."""
    import numpy as np

    if np.dtype(layout.dtype) != np.dtype(dtype):
        return None
    wanted = [int(n) for n in shape if n != 1]
    present = [(n, step) for n, step in zip(layout.shape, layout.strides, strict=True) if n != 1]
    if wanted != [n for n, _ in present]:
        split = _split_first(layout, wanted)
        if split is None:
            return None
        present = split
    steps = iter([step for _, step in present])
    strides = tuple(np.dtype(dtype).itemsize if n == 1 else next(steps) for n in shape)
    return replace(layout, shape=tuple(int(n) for n in shape), strides=strides)


def _split_first(layout: ArrayLayout, wanted: Sequence[int]) -> list[tuple[int, int]] | None:
    """Lengths and strides where the reader splits the first axis into several in C order; None if it does not."""
    if not layout.shape:
        return None
    frame = [(n, step) for n, step in zip(layout.shape[1:], layout.strides[1:], strict=True) if n != 1]
    cut = len(wanted) - len(frame)
    if cut < 0:
        return None
    outer, inner = wanted[:cut], wanted[cut:]
    records = prod(outer)
    whole = records == layout.shape[0] or (layout.partial and 0 < records <= layout.shape[0])
    if not whole or list(inner) != [n for n, _ in frame]:
        return None
    steps = [layout.strides[0] * prod(outer[axis + 1 :]) for axis in range(len(outer))]
    return [*zip(outer, steps, strict=True), *frame]
