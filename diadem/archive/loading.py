"""Loading a dataset as HyperSpy signal whose bytes are proven.

Three ways, the first that the format allows:

- *leaves*: the arrays lie flat in the file, and where is known. A reader takes the metadata from a copy of the proven
  headers; the array is read through the package, leaf by leaf, when a chunk is computed.
- *leaves* through an open file: HDF5 readers read everything through the package.
- *proven file*: every file of the dataset is proven first, then the reader gets the path.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Literal, Self, cast

from diadem.archive.calling import Dictionaries, brief, call_reader, confined, reader_of, resolve, unreadable
from diadem.archive.headers import TooLarge, common_folder, header_copy
from diadem.archive.lazyarray import LeafArray, as_dask, fitted
from diadem.archive.proving import LoadSource
from diadem.archive.rangefile import RangeFile, close_hdf5_at_exit, shown_name
from diadem.archive.signals import build, choose
from diadem.errors import DiademError, ReaderError, UsageError
from diadem.extract.hdf5_walk import walk_all
from diadem.hooks.offers import ReaderOffer
from diadem.model.layout import ArrayLayout, FileLayout, FileObject, LayoutFunction
from diadem.model.ports import RangeReader
from diadem.model.record import Dataset

Verify = Literal["proof", "always", "never"]
#: Has a worker read the dataset before this process does: the folder in which its files lie, and that folder's path in
#: the package. Raises `ReaderError` where the reader hangs, dies or reads nothing.
Trial = Callable[[Path, PurePosixPath], None]


@dataclass(frozen=True, slots=True)
class _Read:
    """What a reader returned, and what is proven of it: ``leaves``, ``proven-file`` or ``never``."""

    dictionaries: Dictionaries
    proof: str


def load(
    source: LoadSource,
    *,
    offer: ReaderOffer,
    lazy: bool = True,
    signal: int | str | None = None,
    verify: Verify = "proof",
    dataset: Dataset | None = None,
    trial: Trial | None = None,
) -> Any:
    """Load a dataset.

    Parameters
    ----------
    source : LoadSource
        The dataset.
    offer : ReaderOffer
        Who reads it.
    lazy : bool
        Whether the data stay in the file until they are computed.
    signal : int or str, optional
        Which signal, by position, title or id in the record (``s1``); all by default.
    verify : {"proof", "always", "never"}
        Whether an earlier proof of this process counts, is made anew, or is left out.
    dataset : Dataset, optional
        What the record says of it, for the signals' metadata.
    trial : callable, optional
        Reads the dataset in a worker first.

    Returns
    -------
    HyperSpy signal or list of them
        ``metadata.General.diadem`` says from which package and path it comes, and what was proven.

    Raises
    ------
    DigestMismatch
        A byte that is needed now is not what was archived. Damage elsewhere raises at `compute()` of its chunk.
    ReaderError
        The reader cannot read the file, or the file is hostile.
    NotFound
        There is no such signal.
    UsageError
        `verify` is none of the three.
    """
    if verify not in ("proof", "always", "never"):
        raise UsageError(f"verify is 'proof', 'always' or 'never', not '{verify}'")
    try:
        read = _read(source, offer, lazy, verify, trial)
    except ReaderError as error:
        error.where = error.where or source.entry
        raise
    origin = {"package": str(source.package), "path": source.entry, "verify": read.proof, "reader": offer.name}
    try:
        return choose(build(read.dictionaries, lazy, origin, dataset), signal, source.entry)
    except DiademError:
        raise
    except Exception as error:
        raise unreadable(offer, source.entry, error) from error


def _read(source: LoadSource, offer: ReaderOffer, lazy: bool, verify: Verify, trial: Trial | None) -> _Read:
    """Have the dataset read in the first way that works."""
    if verify == "always":
        source.prove(again=True)
    path = source.local_path() if verify == "never" else None
    with _Files(source) as files:
        if source.entry == source.path and not files[source.path].size:
            raise ReaderError("the file is empty (0 bytes)", where=source.path)
        if path is not None:
            return _Read(_by_path(source, offer, path, lazy, trial), "never")
        read = _by_leaves(source, offer, files, lazy, trial)
        if read is not None:
            if lazy:
                files.keep()
            return _Read(read, "proven-file" if verify == "always" else "leaves")
    return _Read(_by_path(source, offer, source.prove(), lazy, trial), "proven-file")


class _Files(Mapping[str, RangeReader]):
    """The files of a dataset, opened when they are asked for and closed at the end unless a signal needs them."""

    def __init__(self, source: LoadSource) -> None:
        self._source = source
        self._names = dict.fromkeys((source.path, *source.sidecars))
        self._open: dict[str, RangeReader] = {}
        self._stack = ExitStack()

    def __getitem__(self, name: str) -> RangeReader:
        """Proven random access to a file."""
        if name not in self._names:
            raise KeyError(name)
        if name not in self._open:
            self._open[name] = self._stack.enter_context(self._source.open(name))
        return self._open[name]

    def __iter__(self) -> Iterator[str]:
        """Stored paths, the primary first."""
        return iter(self._names)

    def __len__(self) -> int:
        """Number of files."""
        return len(self._names)

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close what is open."""
        self._stack.close()

    def keep(self) -> None:
        """Leave the files open: they are released with the arrays that read them."""
        self._stack.pop_all()


# -- before any reader ---------------------------------------------------------------------------------------------


def _require_harmless(
    source: LoadSource, sizes: Mapping[str, int], open_file: Callable[[str], AbstractContextManager[BinaryIO]]
) -> None:
    """Refuse HDF5 files that lead out of the dataset or in circles, whatever they are called."""
    try:
        found = walk_all(source.entry, sizes, open_file)
    except DiademError:
        raise
    except Exception as error:
        raise ReaderError(f"the HDF5 file cannot be opened: {brief(error)}", where=source.path) from error
    if found.missing and not found.refused:
        raise ReaderError(f"'{found.missing[0]}' is not beside it", where=source.path, next="`open` gives its bytes.")
    if found.refused:
        raise ReaderError(found.issues[0]["message"], where=source.path, next="`open` gives its bytes.")


# -- the three ways ------------------------------------------------------------------------------------------------


def _by_leaves(
    source: LoadSource, offer: ReaderOffer, files: _Files, lazy: bool, trial: Trial | None
) -> Dictionaries | None:
    """Read through the package, where the layout is known; None where it is not certain."""
    if not offer.layout or source.entry != source.path:
        return None
    try:
        layout = cast("LayoutFunction", resolve(offer.layout))(files, source.path)
    except ReaderError:
        if lazy:
            raise
        return None  # a file cut short: the reader may still make something of it
    except DiademError:
        raise
    except Exception:  # a layout that fails tells nothing of the file
        return None
    if isinstance(layout, FileObject):
        if trial is not None and (path := source.local_path()) is not None:
            trial(*_folder(source, path))
        return _from_file(source, offer, files[source.path], lazy)
    if isinstance(layout, FileLayout):
        return _from_layout(source, offer, files, layout, lazy, trial)
    return None


def _from_file(source: LoadSource, offer: ReaderOffer, reader: RangeReader, lazy: bool) -> Dictionaries:
    """Let a reader read from an open file."""
    close_hdf5_at_exit()
    name = PurePosixPath(source.path).name
    _require_harmless(
        source, {source.path: reader.size}, lambda _: cast("AbstractContextManager[BinaryIO]", RangeFile(reader, name))
    )
    with confined(()):
        read = call_reader(offer, source.entry, lambda: RangeFile(reader, name), lazy)
    for dictionary in read:
        general = dictionary.get("metadata", {}).get("General", {})
        if general.get("original_filename") == shown_name(name):
            general["original_filename"] = name
    return read


def _from_layout(
    source: LoadSource, offer: ReaderOffer, files: _Files, layout: FileLayout, lazy: bool, trial: Trial | None
) -> Dictionaries | None:
    """Take the metadata from the headers, and the arrays from the package."""
    try:
        with header_copy(files, source.path, layout.header) as path:
            folder, base = _folder(source, path)
            if trial is not None:
                trial(folder, base)
            with confined(folder / PurePosixPath(name).relative_to(base) for name in files):
                read = reader_of(offer)(str(path), lazy=True)
    except DiademError:
        raise
    except TooLarge:
        return None
    except Exception:
        return None  # the reader wants more than the headers: it gets the whole, proven file
    signals = [dictionary for dictionary in read if "data" in dictionary]
    if len(signals) != len(layout.arrays):
        return None
    for number, (dictionary, array) in enumerate(zip(signals, layout.arrays, strict=True)):
        shaped = fitted(array, dictionary["data"].shape, dictionary["data"].dtype)
        if shaped is None:
            return None
        token = _token(source.package, number, shaped)
        leaves = LeafArray(files[shaped.file], shaped, token=token)
        dictionary["data"] = as_dask(leaves, shaped, token) if lazy else leaves[...]
    return signals


def _by_path(source: LoadSource, offer: ReaderOffer, path: Path, lazy: bool, trial: Trial | None) -> Dictionaries:
    """Let a reader read from a path."""
    folder, base = _folder(source, path)
    names = (source.path, *source.sidecars)
    places = {name: folder / PurePosixPath(name).relative_to(base) for name in names}
    if trial is not None:
        trial(folder, base)
    sizes = {name: place.stat().st_size for name, place in places.items()}
    _require_harmless(source, sizes, lambda name: places[name].open("rb"))
    with confined(places.values()):
        return call_reader(offer, source.entry, lambda: str(path), lazy)


def _folder(source: LoadSource, path: Path) -> tuple[Path, PurePosixPath]:
    """The folder that holds all files of a dataset whose entry lies at a path, and that folder in the package."""
    base = common_folder((source.entry, source.path, *source.sidecars))
    return path.parents[len(PurePosixPath(source.entry).relative_to(base).parts) - 1], base


def _token(package: str, number: int, array: ArrayLayout) -> str:
    """A name for the bytes of an array: the package pins them, the layout says which and how."""
    return hashlib.sha256(repr((package, number, array)).encode()).hexdigest()[:32]
