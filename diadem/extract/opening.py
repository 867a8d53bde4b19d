"""A dataset opened: by its format's own `open`, or by the functions of an offer that has none.

For the record the files lie in a folder of this machine (`LocalFiles`); `diadem.archive.load.files` has a package's.
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

from diadem.hooks.formats import Dictionary, Files, Later, Opened, Parts, Signal
from diadem.hooks.offers import ReaderOffer, target
from diadem.model.ports import RangeReader

#: A reader that cannot be lazy may read a file of at most this size.
MAX_EAGER = 256 << 20
#: Bytes of a chunk of an array that is read for a preview: little is read of it.
_CHUNK = 4 << 20
#: The variable that Dask takes the size of its chunks from when it is imported, and its own default.
_DASK_SETTING, _DASK_DEFAULT = "DASK_ARRAY__CHUNK_SIZE", "128MiB"
#: Chunks of one array at most, whatever a header promises: each costs memory.
_MOST_CHUNKS = 1 << 16


def open_dataset(files: Files, offer: ReaderOffer) -> Opened:
    """Open a dataset: by its format's `open`, else by the reader that the offer names."""
    opened: Opened = target(offer.open)(files) if offer.open else Opened(files.signals())
    return opened


def array_of(
    signal: Signal,
    files: Files,
    name: str,
    *,
    lazy: bool = True,
    chunk: int = _CHUNK,
    find: Callable[[], Any] | None = None,
) -> Any:
    """The data of a signal; where its bytes lie flat in a file, a Dask array that reads them, or all of them.

    What is not to stay in the file is read here, by the thread that calls: it may be the only one that is kept from
    other files. `name` names the bytes for Dask; a chunk aims at `chunk` bytes; `find` finds the array in another
    process.
    """
    import numpy as np

    from diadem.extract.lazyarray import LeafArray, as_dask, chunk_shape

    def token(what: object) -> str:
        return hashlib.sha256(repr((name, what)).encode()).hexdigest()[:32]

    if (array := signal.array) is None:
        data = signal.data.make() if isinstance(signal.data, Later) else signal.data
        if lazy and find is not None and isinstance(getattr(data, "_meta", None), np.ndarray):
            return as_dask(data, data.chunks, token((files.entry, data.shape, data.dtype.str)), find)
        if lazy or hasattr(data, "todense") or isinstance(data, np.ndarray):
            return data
        return data.compute(scheduler="synchronous") if hasattr(data, "compute") else data[...]
    leaves = LeafArray(files[array.file], array)
    chunk = max(chunk, (prod(array.shape) * leaves.dtype.itemsize) // _MOST_CHUNKS)
    return as_dask(leaves, chunk_shape(array, chunk), token(array), find) if lazy else leaves[...]


class LocalFiles(Files):
    """Files in a folder of this machine, of `size` bytes together, closed at the end; the offer's `load` reads them.

    `lazy_only`: a reader that cannot be lazy may not read at all; it may still be known before signals are asked for.
    `quick`: a look at the files may stand for the reader. `mode` is how the reader has read: ``lazy`` or ``eager``.
    """

    def __init__(
        self,
        root: Path,
        entry: str,
        names: Sequence[str],
        offer: ReaderOffer,
        size: int = 0,
        *,
        lazy_only: bool = False,
        quick: bool = False,
    ) -> None:
        super().__init__(entry, names)
        self.quick = quick
        self.mode = "lazy"
        self._root = root
        self._offer = offer
        self._size = size
        self.lazy_only = lazy_only or size > MAX_EAGER

    def open_file(self, name: str) -> RangeReader:
        """A file of the folder."""
        return LocalFile(self._root / name)

    def path(self, parts: Parts | None = None) -> str:  # noqa: ARG002 - the whole file is here
        """The entry."""
        return str(self._root / self.entry)

    def hdf5(self) -> str:
        """The entry."""
        return self.path()

    def read(self, parts: Parts | None = None, *, hdf5: bool = False) -> list[Dictionary]:  # noqa: ARG002
        """Signals by the reader, lazily where it can; eagerly where it cannot and the file is not too large."""
        function = target(self._offer.load)
        options = {"lazy": True, **self._offer.options}
        with warnings.catch_warnings(), _small_chunks(self._size):
            warnings.simplefilter("ignore")
            try:
                signals = function(self.path(), **options)
                self.mode = "lazy" if options["lazy"] else "eager"
            except (ImportError, MemoryError, RecursionError):
                raise
            except Exception:
                if self.lazy_only or not options["lazy"]:
                    raise
                signals = function(self.path(), **{**options, "lazy": False})
                self.mode = "eager"
        return list(signals)


@contextmanager
def _small_chunks(size: int) -> Iterator[None]:
    """Let Dask's automatic chunks be small, so that a preview reads little, but not more than some thousands."""
    wanted = max(4 << 20, size // 4096)
    os.environ[_DASK_SETTING] = str(wanted)  # for a reader that imports it, which takes a second
    _set_chunks(wanted)
    try:
        yield
    finally:
        os.environ.pop(_DASK_SETTING, None)  # another preview may have ended just before
        _set_chunks(_DASK_DEFAULT)


def _set_chunks(size: int | str) -> None:
    """Tell Dask, if it is there: it goes on with what it found when it was imported."""
    if (config := sys.modules.get("dask.config")) is not None:
        config.set({"array.chunk-size": size})


class LocalFile(RangeReader):
    """A `RangeReader` of one file of this machine."""

    def __init__(self, path: Path) -> None:
        self._stream = path.open("rb", buffering=0)
        self._size = self._stream.seek(0, 2)
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Bytes in the file when it was opened."""
        return self._size

    def readinto_at(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer` from `offset`; return the bytes read, fewer than its length only at the end of the file."""
        done = 0
        with self._lock:
            self._stream.seek(offset)
            while done < len(buffer) and (count := self._stream.readinto(buffer[done:])):
                done += count
        return done

    def close(self) -> None:
        """Release the file."""
        self._stream.close()

    __del__ = close  # an array that is read from it may be all that holds it
