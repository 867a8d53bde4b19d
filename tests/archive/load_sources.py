"""Datasets to load: any folder as if it were the payload of a package, on a disk or far away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np

from diadem.archive.load.proof import DatasetSource
from diadem.archive.verified_file import VerifiedFile
from diadem.hooks.manager import collect
from diadem.hooks.offers import ReaderOffer
from diadem.model.manifest import LEAF_SIZE, FileEntry
from diadem.model.ports import RangeReader
from diadem.store.bags import LocalBundle
from diadem.testing.faults import flip_byte
from diadem.trust.hashing import LeafHasher, Leaves


def offer(name: str) -> ReaderOffer:
    """A bundled reader."""
    return next(one for one in collect().readers if one.name == name)


class Payload:
    """A folder whose files are pinned now; what is changed afterwards is damage.

    Parameters
    ----------
    folder : Path
        The folder.
    leaf_size : int
        Bytes in a leaf; small ones make many leaves of a small file.
    """

    def __init__(self, folder: Path, leaf_size: int = LEAF_SIZE) -> None:
        self.folder = folder
        self.read: int = 0
        self._leaf_size = leaf_size
        self._bundle = LocalBundle(folder)
        self._leaves: dict[str, Leaves] = {}
        self._sizes: dict[str, int] = {}
        for path in folder.rglob("*"):
            if path.is_file():
                self._pin(path.relative_to(folder).as_posix(), path.read_bytes())

    def _pin(self, name: str, data: bytes) -> None:
        hasher = LeafHasher(self._leaf_size)
        hasher.update(data)
        self._leaves[name] = Leaves(hasher.digest(), self._leaf_size)
        self._sizes[name] = len(data)

    def open(self, name: str) -> RangeReader:
        """A file, proven leaf by leaf."""
        entry = FileEntry(f"data/{name}", self._sizes[name], "0" * 64, 0)
        reader = Counting(self._bundle.open(name), self)
        return VerifiedFile(reader, entry, self._leaves[name])

    def source(self, path: str, sidecars: Sequence[str] = (), *, entry: str = "", far: bool = False) -> DatasetSource:
        """A dataset of the folder; `far` hides where it lies."""
        return DatasetSource(
            package="diadem:" + f"{id(self):064x}",
            path=path,
            files={name: self._sizes[name] for name in (path, *sidecars)},
            entry=entry or path,
            open=self.open,
            local=lambda name: None if far else self.folder / name,
        )

    @contextmanager
    def damaged(self, name: str, offset: int) -> Iterator[None]:
        """A flipped byte, for a while."""
        flip_byte(self.folder / name, offset)
        try:
            yield
        finally:
            flip_byte(self.folder / name, offset)


class Counting:
    """A reader that tells its payload how many bytes were read."""

    def __init__(self, reader: Any, payload: Payload) -> None:
        self._reader = reader
        self._payload = payload

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._reader.close()

    def read_at(self, offset: int, length: int) -> bytes:
        data: bytes = self._reader.read_at(offset, length)
        self._payload.read += len(data)
        return data

    def readinto_at(self, offset: int, buffer: memoryview) -> int:
        count: int = self._reader.readinto_at(offset, buffer)
        self._payload.read += count
        return count


def as_list(loaded: Any) -> list[Any]:
    """One signal or several, as a list."""
    return loaded if isinstance(loaded, list) else [loaded]


def values(signal: Any) -> np.ndarray[Any, np.dtype[Any]]:
    """The data in memory."""
    data = signal.data.compute() if hasattr(signal.data, "compute") else signal.data
    return np.asarray(data)


def same(one: Any, other: Any) -> bool:
    """Whether two arrays have the same type, shape and values, NaN equal to NaN."""
    floating = one.dtype.kind in "fc"
    return one.dtype == other.dtype and one.shape == other.shape and np.array_equal(one, other, equal_nan=floating)
