"""The files that make one dataset with a file that somebody names: those beside it, found by their names alone."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from diadem.extract.grouping import groups_of
from diadem.extract.survey import survey
from diadem.hooks.offers import ReaderOffer

#: Files below a folder that belongs to a primary that are looked at.
_MOST_BELOW = 10_000


def with_companions(path: Path, readers: Sequence[ReaderOffer]) -> list[Path]:
    """The file, and what lies beside it and belongs to its dataset.

    Parameters
    ----------
    path : Path
        An existing file.
    readers : sequence of ReaderOffer
        Who knows which names belong together.

    Returns
    -------
    list of Path
        The file first; then files, and folders beside it that hold some. A file that is itself a part of another's
        dataset stands alone.
    """
    folder = path.absolute().parent
    files = dict(_listed(folder, _folders(readers)))
    for plan in survey(files.items(), readers):
        if plan.primary.path == path.name:
            tops = dict.fromkeys(file.path.partition("/")[0] for file in plan.files)
            return [path, *(folder / top for top in tops if top != path.name)]
    return [path]


def _folders(readers: Sequence[ReaderOffer]) -> frozenset[str]:
    """Names of folders whose content may belong to a file beside them, in lower case."""
    patterns = (part for reader in readers for group in groups_of(reader) for part in (*group.parts, *group.sidecars))
    return frozenset(pattern[:-3].lower() for pattern in patterns if pattern.endswith("/**"))


def _listed(folder: Path, inner: frozenset[str]) -> Iterator[tuple[str, int]]:
    """Files of a folder, and of some folders in it, by relative path; what cannot be listed is not there."""
    for name in _names(folder):
        place = folder / name
        if place.is_file():
            yield name, place.stat().st_size
        elif name.lower() in inner and place.is_dir() and not place.is_symlink():
            yield from _below(place, name)


def _below(top: Path, prefix: str) -> Iterator[tuple[str, int]]:
    count = 0
    for place, _, names in os.walk(top):
        for name in names:
            count += 1
            file = Path(place, name)
            if count <= _MOST_BELOW and file.is_file():
                yield f"{prefix}/{file.relative_to(top).as_posix()}", file.stat().st_size


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
