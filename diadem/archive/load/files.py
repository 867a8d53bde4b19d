"""Loading a dataset as HyperSpy signal whose bytes are proven.

The format is opened as for the record (`diadem.extract.opening`), on files that are proven as they are read:

- *leaves*: headers and arrays are read through the package, leaf by leaf, an array when a chunk of it is computed. A
  reader that needs a path gets a copy of the proven headers, one of HDF5 an open file.
- *proven file*: every file of the dataset is proven first, then the reader gets the path.
"""

from __future__ import annotations

import atexit
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from functools import cache, partial
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Literal, cast

from diadem.archive.load.proof import DatasetSource, TooLarge, common_folder, header_copy
from diadem.archive.load.readers import Dictionaries, allow, brief, confined, lifted, reader_errors, reader_of
from diadem.archive.load.signals import build, choose
from diadem.errors import DiademError, ReaderError, UsageError
from diadem.extract.assertions import calibrated
from diadem.extract.axes import describe_axes, in_order
from diadem.extract.lazyarray import CHUNK_BYTES
from diadem.extract.opening import LocalFile, array_of, open_dataset
from diadem.extract.refusals import walk_all
from diadem.hooks.formats import CutShort, Dictionary, Files, Parts, Signal
from diadem.hooks.offers import ReaderOffer
from diadem.model.manifest import LEAF_SIZE
from diadem.model.ports import RangeFile, RangeReader, ReaderAround
from diadem.model.record import Dataset

Verify = Literal["proof", "always", "never"]
#: Has a worker read the dataset before this process does: the folder in which its files lie, and that folder's path in
#: the package. Raises `ReaderError` where the reader hangs, dies or reads nothing.
Trial = Callable[[Path, PurePosixPath], None]


def load(
    source: DatasetSource,
    *,
    offer: ReaderOffer,
    lazy: bool = True,
    signal: int | str | None = None,
    verify: Verify = "proof",
    dataset: Dataset | None = None,
    trial: Trial | None = None,
) -> Any:
    """Load a dataset, whose record says what the signals' metadata are; `trial` reads it in a worker first.

    ``metadata.General.diadem`` says from which package, dataset and path a signal comes, and what was proven. Raises
    `DigestMismatch` for a byte that is needed now (damage elsewhere raises at `compute()` of its chunk), `ReaderError`
    for what is unreadable or hostile, `NotFound` where there is no such signal.
    """
    if verify not in ("proof", "always", "never"):
        raise UsageError(f"verify is 'proof', 'always' or 'never', not '{verify}'")
    with PackageFiles(source, offer, lazy, verify, trial) as files:
        read = _read(files, offer, source, dataset)
        origin = {"package": str(source.package), "path": source.entry, "verify": files.proof, "reader": offer.name}
        origin |= {"dataset": dataset.id} if dataset is not None else {}
        with reader_errors(offer, source.entry):
            found = choose(build(read, lazy, origin, dataset), signal, source.entry)
        if lazy:
            files.keep()
    return found


def arrays(
    source: DatasetSource, *, offer: ReaderOffer, dataset: Dataset | None, trial: Trial | None, until: ExitStack
) -> Dictionaries:
    """The signals of a dataset as RosettaSciIO would return them, their data in the file where that can be.

    Proven as `load` proves them, and readable until `until` is closed. A signal that its reader finishes with means of
    HyperSpy is made by HyperSpy.
    """
    with ExitStack() as stack:
        files = stack.enter_context(PackageFiles(source, offer, True, "proof", trial))
        files.chunk = LEAF_SIZE  # what a part of a picture costs is counted in chunks
        read = [one for one in _read(files, offer, source, dataset) if "data" in one and "metadata" in one]
        if any(one.get("post_process") for one in read):
            with reader_errors(offer, source.entry):
                made = build(read, True, {"path": source.entry})
            read = [signal._to_dictionary(add_learning_results=False, add_models=False) for signal in made]  # noqa: SLF001 - as hyperspy.io does
        until.enter_context(stack.pop_all())
    return read


def stored_arrays(
    source: DatasetSource,
    *,
    offer: ReaderOffer,
    verify: Verify,
    dataset: Dataset | None = None,  # noqa: ARG001  arrays alone are wanted, of what was tried and calibrated before
    trial: Trial | None = None,  # noqa: ARG001
) -> list[Any]:
    """The arrays of a dataset's signals as they stay in its files, each signal's at its place in the file."""
    with PackageFiles(source, offer, True, verify, None) as files:
        found = [one.get("data") for one in _read(files, offer, source, None)]
        files.keep()
    return found


def _read(files: PackageFiles, offer: ReaderOffer, source: DatasetSource, dataset: Dataset | None) -> Dictionaries:
    """The signals of a dataset as RosettaSciIO would return them, with the axes and arrays that its format opens.

    What tables have stated of pixel sizes when the record was made, or its owner has corrected since, calibrates them.
    """
    fields = {} if dataset is None else dataset.document.get("fields", {})
    with confined(()):
        if source.entry == source.path and not files[source.path].size:
            raise ReaderError("the file is empty (0 bytes)", where=source.path)
        with reader_errors(offer, source.entry):
            return [_dictionary(one, files, source, n) for n, one in enumerate(_signals(files, offer, fields))]


def _signals(files: PackageFiles, offer: ReaderOffer, fields: Mapping[str, Any]) -> list[Signal]:
    """What the format opens; of a file that is shorter than it says no array may stay in it (`CutShort`)."""
    opened = open_dataset(files, offer)
    if files.lazy and files.by_leaves and opened.size > (size := files[files.entry].size):
        raise CutShort(files.entry, opened.size, size)
    # What cannot be decoded here is left out; the notes of the other signals tell that.
    known = [one for one in opened.signals if all(issue.get("code") != "reader-missing" for issue in one.issues)]
    return [calibrated(one, f"s{number}", fields) for number, one in enumerate(known, 1)]


def _dictionary(signal: Signal, files: PackageFiles, source: DatasetSource, number: int) -> Dictionary:
    """One signal, with all that its reader says of it besides."""
    name, find = f"{source.package} {number}", source.array_again(number, files.verify)
    chunk = files.chunk if len(signal.shape) > 2 else CHUNK_BYTES
    made = signal.dictionary(array_of(signal, files, name, lazy=files.lazy, chunk=chunk, find=find))
    if signal.reader is None:
        return made
    try:
        told = {key: value for key, value in signal.reader().items() if key != "post_process"}
    except DiademError:
        raise
    except Exception as error:  # axes and array are known without it
        logging.getLogger(__name__).warning("%s: the reader's metadata are left out: %s", files.entry, brief(error))
        return made
    return {**told, "data": made["data"], "axes": _axes(signal, told.get("axes") or [])}


def _axes(signal: Signal, readers: Sequence[Dictionary]) -> Sequence[Mapping[str, Any]]:
    """The axes; in the reader's units, which people know from HyperSpy, where it says the same of them."""

    def alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
        """Whether two axes are the same in SI units."""
        scale = one.get("scale", 1.0)
        close = math.isclose(scale, other.get("scale", 1.0), rel_tol=1e-9)
        offsets = one.get("offset", 0.0), other.get("offset", 0.0)
        close = close and math.isclose(*offsets, rel_tol=1e-9, abs_tol=1e-9 * abs(scale))
        return close and all(one.get(key) == other.get(key) for key in ("name", "size", "unit", "navigate", "values"))

    ours, theirs = (describe_axes(axes, signal.shape) for axes in (signal.axes, readers))
    same = len(ours) == len(theirs) == len(readers) and all(map(alike, ours, theirs))
    return in_order(readers) if same else [dict(axis) for axis in signal.axes]


class PackageFiles(Files):
    """The files of a dataset in a package, opened when they are asked for and closed unless a signal needs them.

    `chunk` are the bytes of the chunks of scans and stacks; `proof` says what is proven of all that was read:
    ``leaves``, ``proven-file`` or ``never``.
    """

    def __init__(
        self, source: DatasetSource, offer: ReaderOffer, lazy: bool, verify: Verify, trial: Trial | None
    ) -> None:
        super().__init__(source.entry, tuple(source.files))
        self.lazy, self.verify, self.chunk = lazy, verify, CHUNK_BYTES
        self._source = source
        self._offer = offer
        self._trial = trial
        self._tried: set[Path] = set()
        self._headers: dict[str, Path] = {}
        self._stack, self._copies = ExitStack(), ExitStack()
        if verify == "always":
            source.prove(again=True)
        self._here = source.local(source.entry) if verify == "never" else None
        self.proof = "leaves" if verify == "proof" else "never" if self._here else "proven-file"

    @property
    def by_leaves(self) -> bool:
        """Whether arrays are read through the package, piece by piece."""
        return self._here is None and self.entry == self._source.path

    def open_file(self, name: str) -> RangeReader:
        """Random access to a file, proven unless nothing is to be."""
        with lifted():
            opened = LocalFile(self._place(name, self._here)) if self._here else self._source.open(name)
            return _Lifted(self._stack.enter_context(opened))

    def __exit__(self, *error: object) -> None:
        """Close what is open, and remove copies of headers."""
        self._copies.close()
        self._stack.close()

    def keep(self) -> None:
        """Leave the files open: they are released with the arrays that read them."""
        self._stack.pop_all()

    def path(self, parts: Parts | None = None) -> str:
        """A path of the entry: of a copy of the parts that are needed, or of files that are proven whole."""
        with lifted():
            place = None
            if parts is not None and self.by_leaves:
                key = repr(sorted((name, tuple(ranges)) for name, ranges in parts.items()))
                with suppress(TooLarge):
                    if key not in self._headers:
                        self._headers[key] = self._copies.enter_context(header_copy(self, self.entry, parts))
                    place = self._headers[key]
            whole = place is None
            if place is None:
                place = self._here or self._source.prove()
                self.proof = "never" if self._here else "proven-file"
            if self._trial is not None and place not in self._tried:
                self._trial(*self._folder(place))
                self._tried.add(place)
            places = {name: self._place(name, place) for name in self}
            if whole:
                sizes = {name: found.stat().st_size for name, found in places.items()}
                self._require_harmless(sizes, lambda name: places[name].open("rb"))
        allow(places.values())
        return str(place)

    def hdf5(self) -> Any:
        """An open file that reads through the package; a path where the dataset is a folder, or nothing is proven."""
        if not self.by_leaves or len(self) > 1:  # links to other files need a folder
            return self.path()
        close_hdf5_at_exit()
        name, reader = PurePosixPath(self.entry).name, self[self.entry]
        with lifted():
            if self._trial is not None and (place := self._source.local(self.entry)) is not None:
                self._trial(*self._folder(place))
                self._trial = None
            self._require_harmless(
                {self.entry: reader.size}, lambda _: cast("AbstractContextManager[BinaryIO]", _NamedFile(reader, name))
            )
        return _NamedFile(reader, name)

    def read(self, parts: Parts | None = None, *, hdf5: bool = False) -> Dictionaries:
        """Signals as the reader gives them, lazily if it can; where parts are not enough for it, from whole files."""
        reader = reader_of(self._offer)
        source = self.hdf5 if hdf5 else self.path
        headers = [source if hdf5 else partial(self.path, parts)] if parts is not None and self.by_leaves else []
        for lazily in (*headers, *([source] if self.lazy else [])):
            try:
                return self._renamed(reader(lazily(), lazy=True))
            except DiademError:
                raise
            except Exception:  # noqa: S112 - it wants more than the headers, or cannot read lazily, and says so its own way
                continue
        return self._renamed(reader(source(), lazy=False))

    def _renamed(self, read: Dictionaries) -> Dictionaries:
        """With the file's own name where a library took that of an open file for it."""
        name = PurePosixPath(self.entry).name
        for dictionary in read:
            general = dictionary.get("metadata", {}).get("General", {})
            if general.get("original_filename") == _shown_name(name):
                general["original_filename"] = name
        return read

    def _folder(self, place: Path) -> tuple[Path, PurePosixPath]:
        """The folder that holds all files where the entry lies at a place, and that folder in the package."""
        base = common_folder((self.entry, *self))
        return place.parents[len(PurePosixPath(self.entry).relative_to(base).parts) - 1], base

    def _place(self, name: str, place: Path) -> Path:
        """Where a file is, if the entry lies at a place."""
        folder, base = self._folder(place)
        return folder / PurePosixPath(name).relative_to(base)

    def _require_harmless(
        self, sizes: Mapping[str, int], open_file: Callable[[str], AbstractContextManager[BinaryIO]]
    ) -> None:
        """Refuse HDF5 files that lead out of the dataset or in circles, whatever they are called."""
        try:
            found = walk_all(self.entry, sizes, open_file)
        except DiademError:
            raise
        except Exception as error:
            raise ReaderError(f"the HDF5 file cannot be opened: {brief(error)}", where=self._source.path) from error
        if found.missing and not found.refused:
            message = f"'{found.missing[0]}' is not beside it"
            raise ReaderError(message, where=self._source.path, next="`open` gives its bytes.")
        if found.refused:
            raise ReaderError(found.issues[0]["message"], where=self._source.path, next="`open` gives its bytes.")


class _Lifted(ReaderAround):
    """A file of a package, which may read it while a format's code may open nothing."""

    def read_at(self, offset: int, length: int) -> bytes:
        with lifted():
            return super().read_at(offset, length)

    def readinto_at(self, offset: int, buffer: memoryview) -> int:
        with lifted():
            return super().readinto_at(offset, buffer)


# -- HDF5 on top of open files -----------------------------------------------------------------------------------------

#: What h5py takes for the name of every file that is read through a `_NamedFile` begins with this.
_MARK = "<diadem "


class _NamedFile(RangeFile):
    """A file for h5py that reads through a package, and closes nothing of it."""

    def __init__(self, reader: RangeReader, name: str) -> None:
        super().__init__(reader)
        self._name = name

    def __repr__(self) -> str:
        """No path: whoever takes it for one finds nothing there."""
        return _shown_name(self._name)


def _shown_name(name: str) -> str:
    """What h5py calls such a file."""
    return f"{_MARK}{name}>".encode("ascii", "replace").decode()


@cache
def close_hdf5_at_exit() -> None:
    """See to it that HDF5 files on top of Python objects are closed while there is still a Python to close them.

    The HDF5 library closes what is open when the process ends, after the interpreter is gone, and its call into the
    file object then crashes the process. A lazy signal keeps its file open, so this is the usual case.
    """
    atexit.register(_close_hdf5)


def _close_hdf5() -> None:
    from h5py import h5f, h5i

    for item in h5f.get_obj_ids(h5f.OBJ_ALL, h5f.OBJ_DATASET | h5f.OBJ_GROUP | h5f.OBJ_ATTR):
        if _ours(h5i.get_file_id(item)):
            _release(item)
    for file in h5f.get_obj_ids(h5f.OBJ_ALL, h5f.OBJ_FILE):
        if _ours(file):
            _release(file)


def _ours(file: Any) -> bool:
    from h5py import h5f

    return bool(h5f.get_name(file).startswith(_MARK.encode()))


def _release(item: Any) -> None:
    from h5py import h5i

    while item.valid:
        h5i.dec_ref(item)
