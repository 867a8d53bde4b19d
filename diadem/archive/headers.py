"""A private copy of a dataset that holds its headers only, every byte proven, for a reader to take the metadata from.

The copy has the names and sizes of the files; where the arrays are it has holes. So the reader can see nothing that is
not proven, it never learns where the package is, and a remote file of 100 GB costs some kilobytes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from diadem.model.layout import ByteRange
from diadem.model.ports import RangeReader

#: Headers above this are no headers: prove the whole dataset instead.
MAX_BYTES = 256 << 20
_PIECE = 4 << 20


class TooLarge(Exception):
    """The headers, or the holes, do not fit."""


@contextmanager
def header_copy(
    files: Mapping[str, RangeReader], primary: str, header: Mapping[str, Sequence[ByteRange]]
) -> Iterator[Path]:
    """Make the copy; it is deleted afterwards.

    Parameters
    ----------
    files : mapping of str to RangeReader
        The files of the dataset, by stored path.
    primary : str
        Which of them the reader is given.
    header : mapping of str to sequence of (start, stop)
        What is copied; a file that is not named is copied whole.

    Yields
    ------
    Path
        The copy of the primary.

    Raises
    ------
    TooLarge
        There is more to copy than `MAX_BYTES`, or no room for it.
    DigestMismatch
        A header is damaged.
    """
    plan = {name: merged(header.get(name, [(0, reader.size)]), reader.size) for name, reader in files.items()}
    if sum(stop - start for ranges in plan.values() for start, stop in ranges) > MAX_BYTES:
        raise TooLarge
    base = common_folder(files)
    with tempfile.TemporaryDirectory(prefix="diadem-", ignore_cleanup_errors=True) as folder:
        for name, ranges in plan.items():
            _copy(files[name], ranges, Path(folder) / PurePosixPath(name).relative_to(base))
        yield Path(folder) / PurePosixPath(primary).relative_to(base)


def common_folder(names: Iterable[str]) -> PurePosixPath:
    """The deepest folder that holds all of the files."""
    parents = [PurePosixPath(name).parent for name in names]
    return next(
        folder
        for folder in (parents[0], *parents[0].parents)
        if all(folder == parent or folder in parent.parents for parent in parents)
    )


def _copy(reader: RangeReader, ranges: Iterable[ByteRange], target: Path) -> None:
    """Write a sparse file of the same size."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as sink:
        try:
            sink.truncate(reader.size)
        except OSError as error:
            raise TooLarge from error
        for start, stop in ranges:
            sink.seek(start)
            for place in range(start, stop, _PIECE):
                sink.write(reader.read_at(place, min(_PIECE, stop - place)))


def merged(ranges: Iterable[ByteRange], size: int) -> list[ByteRange]:
    """The same bytes in order, without overlaps, within the file."""
    result: list[ByteRange] = []
    for first, last in sorted(ranges):
        start, stop = max(0, first), min(last, size)
        if start >= stop:
            continue
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(stop, result[-1][1]))
        else:
            result.append((start, stop))
    return result
