"""What a format's `open` is given, and what it gives: signals, blocks of metadata, and the size that the head promises.

One function a format, named by `ReaderOffer.open` and called as ``open(files)``. The record is made from what it gives,
and so is the signal that `Package.load` returns: what one says of axes and arrays, the other says too.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, Self

from diadem.errors import ReaderError
from diadem.hooks.fields import Block, Extension
from diadem.model.layout import ArrayLayout, ByteRange, steps
from diadem.model.ports import RangeReader

#: Of a file by its name, what of it a reader needs; a file that is not named is needed whole.
Parts = Mapping[str, Sequence[ByteRange]]
#: What RosettaSciIO's readers return for a signal.
Dictionary = dict[str, Any]
_COPY_AGAIN = "Copy it again from the instrument, if it is still there."


class CutShort(ReaderError):
    """A file that has fewer bytes than its header promises.

    Parameters
    ----------
    name : str
        The file.
    needed, size : int
        Bytes that its header promises at least, and bytes that it has.
    """

    def __init__(self, name: str, needed: int, size: int) -> None:
        super().__init__(
            f"the header promises at least {needed:,} bytes, the file has {size:,}",
            where=name,
            next=_COPY_AGAIN,
        )
        self.name, self.needed, self.size = name, needed, size

    @property
    def issue(self) -> dict[str, Any]:
        """What the record says of it."""
        many = f"{self.needed} bytes" if self.needed < 1 << 63 else "more bytes than any file has"
        return cut_short(self.name, f"its header promises {many}, {self.size} are there")


def cut_short(name: str, why: str) -> dict[str, Any]:
    """What `Signal.issues` says of a file that has fewer bytes than it says, where some of it can be read."""
    return {"code": "truncated", "message": f"'{name}' is not complete: {why}", "next": _COPY_AGAIN}


class Files(Mapping[str, RangeReader]):
    """The files of a dataset by name (``/`` between folders), each read at any place.

    They are in a folder on this machine while a record is made, and in a package, perhaps far away, when a signal is
    loaded; there every byte read is proven.

    Parameters
    ----------
    entry : str
        What names the dataset: the primary file, or the folder that is the dataset.
    names : iterable of str
        Its files; if a name occurs twice, the first counts.

    Attributes
    ----------
    entry : str
        As given.
    """

    def __init__(self, entry: str, names: Iterable[str]) -> None:
        self.entry = entry
        self._names = dict.fromkeys(names)
        self._open: dict[str, RangeReader] = {}

    def __getitem__(self, name: str) -> RangeReader:
        """A file, opened when it is first asked for; `KeyError` for one that is not of the dataset."""
        if name not in self._names:
            raise KeyError(name)
        if name not in self._open:
            self._open[name] = self.open_file(name)
        return self._open[name]

    def __iter__(self) -> Iterator[str]:
        """Names, the primary first."""
        return iter(self._names)

    def __len__(self) -> int:
        """Number of files."""
        return len(self._names)

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close what is open."""
        for file in self._open.values():
            file.close()

    @abstractmethod
    def open_file(self, name: str) -> RangeReader:
        """Open one of the files."""

    @abstractmethod
    def path(self, parts: Parts | None = None) -> str:
        """Return a path of the entry, with its neighbours beside it, for a library that needs one.

        Parameters
        ----------
        parts : mapping of str to sequence of (start, stop), optional
            Byte ranges needed of the files named: of files in a package only these bytes are filled in, the rest is
            empty. Without it, a package's files are proven whole first.
        """

    @abstractmethod
    def hdf5(self) -> Any:
        """Return what ``h5py.File`` takes: the path of the entry, or an open file that reads through the package."""

    @abstractmethod
    def read(self, parts: Parts | None = None, *, hdf5: bool = False) -> Sequence[Dictionary]:
        """Return the signals of the reader that the offer names in `load`, lazily if possible.

        Parameters
        ----------
        parts : mapping of str to sequence of (start, stop), optional
            See `path`: what the reader needs besides the arrays; with `hdf5` an empty mapping will do.
        hdf5 : bool
            Whether the reader gets what `hdf5` returns instead of a path.
        """

    def signals(self, *, hdf5: bool = False) -> Iterator[Signal]:
        """Yield the signals of `read`, which is called when the first is needed."""
        yield from map(Signal.from_reader, self.read(hdf5=hdf5))


@dataclass(frozen=True, slots=True)
class Later:
    """An array that is made only when needed; to describe a signal, its shape and type are enough.

    Attributes
    ----------
    shape : tuple of int
        Its shape.
    dtype : NumPy type
        Of its elements.
    make : callable
        Returns the array, NumPy's or Dask's.
    """

    shape: tuple[int, ...]
    dtype: Any
    make: Callable[[], Any]


def axis(
    name: str, size: int, scale: float = 1.0, offset: float = 0.0, units: str = "", *, navigate: bool = False
) -> dict[str, Any]:
    """Make an evenly spaced axis of a `Signal`.

    Parameters
    ----------
    name : str
        ``x``, ``Energy`` …; "" is none.
    size : int
        Pixels or channels.
    scale, offset : float
        Length of one of them, and place of the first, in `units`.
    units : str
        Any that `diadem.terms.units` knows; "" is none.
    navigate : bool
        Whether it leads from one spectrum, pattern or picture to the next.
    """
    return {"name": name, "size": size, "scale": scale, "offset": offset, "units": units, "navigate": navigate}


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal of a dataset.

    Attributes
    ----------
    axes : sequence of mapping
        In the order of the array, slow to fast: ``name, size, scale, offset, units, navigate``, or ``axis`` (values)
        for an uneven one, as HyperSpy has them. The unit may be any that `diadem.terms.units` knows; "" is none.
    data : array or Later
        Anything with `shape` and `dtype` that reads on indexing; None if `array` says all.
    array : ArrayLayout, optional
        Where the bytes are in the file, in the shape of `axes`: the array is then read from there, piece by piece.
    metadata : mapping
        HyperSpy's: ``General`` with the title, ``Signal`` with the type.
    more : mapping
        What else a reader of RosettaSciIO returned: ``original_metadata``, ``mapping``, ``attributes`` …
    issues : sequence of mapping
        ``code`` and ``message`` of what is wrong with it.
    reader : callable, optional
        Returns RosettaSciIO's version of the signal. Called only on loading, for people who know its metadata; axes and
        array stay as given here.
    tables_first : bool
        Whether pixel sizes stated by any table take precedence over those of a picture's axes. Over axes without a unit
        or in pixels they always do; an `open` leaves such axes as they are.
    """

    axes: Sequence[Mapping[str, Any]]
    data: Any = None
    array: ArrayLayout | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)
    issues: Sequence[Mapping[str, Any]] = ()
    reader: Callable[[], Mapping[str, Any]] | None = None
    tables_first: bool = False

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
    """A dataset whose header was read.

    Signals and blocks may be generators: each is used once and on its own, and an exception in one does not affect the
    other. A `CutShort` that is raised states the size too.

    Attributes
    ----------
    signals : iterable of Signal
        Always in the same order.
    blocks : iterable of Block or Extension
        The maker's metadata, for tables.
    size : int
        Bytes that the primary file must have according to its header; 0 if unknown.
    """

    signals: Iterable[Signal] = ()
    blocks: Iterable[Block | Extension] = ()
    size: int = 0


def failing(error: Exception) -> Iterator[Any]:
    """Signals, or blocks, that raise an error when they are used."""
    yield from ()
    raise error


class _Pieces:
    """Equal pieces one after the other, each read when it is asked for."""

    def __init__(self, read: Callable[[int], Any], shape: tuple[int, ...], dtype: Any) -> None:
        self._read, self.shape, self.dtype, self.ndim = read, shape, dtype, len(shape)

    def __getitem__(self, key: Any) -> Any:
        """Some pieces, or parts of them: slices and numbers, as Dask asks."""
        import numpy as np

        some, *inner = key if isinstance(key, tuple) else (key,)
        if not isinstance(some, slice):
            return np.asarray(self._read(int(some)), self.dtype)[tuple(inner)]
        read = [self._read(number) for number in range(*some.indices(self.shape[0]))]
        return np.array(read, self.dtype).reshape(-1, *self.shape[1:])[(slice(None), *inner)]


def pieces(read: Callable[[int], Any], shape: Sequence[int], dtype: Any, *, at_once: int = 16 << 20) -> Any:
    """Make a Dask array of frames or patterns that are not one flat piece of a file.

    Parameters
    ----------
    read : callable
        Returns the piece with a number, from 0, as an array.
    shape : sequence of int
        How many there are, and the shape of each.
    dtype : dtype
        Of all pieces.
    at_once : int
        Size of a chunk in bytes, roughly.
    """
    import dask.array
    import numpy as np

    da: Any = dask.array
    kind = np.dtype(dtype)
    many = max(1, at_once // max(1, prod(shape[1:]) * kind.itemsize))
    stored, meta = _Pieces(read, tuple(shape), kind), np.empty((0,) * len(shape), kind)
    return da.from_array(stored, chunks=(many, *shape[1:]), name=False, fancy=False, meta=meta)


class _Made:
    """An array that somebody makes when the first part of it is wanted."""

    def __init__(self, make: Callable[[], Any], shape: tuple[int, ...], dtype: Any) -> None:
        self._make, self.shape, self.dtype, self.ndim = make, shape, dtype, len(shape)

    def __getitem__(self, key: Any) -> Any:
        import numpy as np

        part = self._make()[key]
        return np.asarray(part.compute(scheduler="synchronous") if hasattr(part, "compute") else part, self.dtype)


def made_later(make: Callable[[], Any], shape: tuple[int, ...], dtype: Any, chunks: Any = "auto") -> Any:
    """Make a Dask array of what only a reader can make: `make` is called when the first part is needed."""
    import dask.array
    import numpy as np

    da: Any = dask.array
    kind = np.dtype(dtype)
    meta = np.empty((0,) * len(shape), kind)
    return da.from_array(_Made(make, shape, kind), chunks=chunks, name=False, meta=meta)


def laid_out(read: Sequence[Dictionary], arrays: Sequence[ArrayLayout]) -> list[Signal]:
    """Yield a reader's signals with arrays read directly from the file; none if the reader means other arrays.

    Parameters
    ----------
    read : sequence of dict
        What the reader returns.
    arrays : sequence of ArrayLayout
        One for each signal that has data.
    """
    held = [one for one in read if "data" in one]
    shaped = [fitted(array, one["data"].shape, one["data"].dtype) for one, array in zip(held, arrays, strict=False)]
    if len(held) != len(arrays) or None in shaped:
        return []
    return [Signal.from_reader(one, array) for one, array in zip(held, shaped, strict=True)]


def fitted(layout: ArrayLayout, shape: Sequence[int], dtype: Any) -> ArrayLayout | None:
    """The layout in the shape of the array that the reader made of it, or None where they disagree.

    The reader may split the first axis into several, in C order, and leave out or add axes of length 1.
    """
    import numpy as np

    wanted = [int(n) for n in shape if n != 1]
    records, apart = (layout.shape[0], layout.strides[0]) if layout.shape else (1, 0)
    frame = [(n, step) for n, step in zip(layout.shape[1:], layout.strides[1:], strict=True) if n != 1]
    cut = len(wanted) - len(frame)
    outer, inner = wanted[:cut], wanted[cut:]
    whole = prod(outer) == records or (layout.partial and 0 < prod(outer) <= records)
    if not whole or inner != [n for n, _ in frame] or np.dtype(layout.dtype) != np.dtype(dtype):
        return None
    each = iter([*steps(outer, apart), *(step for _, step in frame)])
    strides = tuple(np.dtype(dtype).itemsize if n == 1 else next(each) for n in shape)
    return replace(layout, shape=tuple(int(n) for n in shape), strides=strides)
