"""The files that make one dataset with a file that somebody names: those beside it, found by their names alone."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from diadem.extract.grouping import groups_of
from diadem.extract.survey import DatasetPlan, survey
from diadem.hooks.offers import ReaderOffer

#: Files below a folder that belongs to a primary that are looked at.
_MOST_BELOW = 10_000


def dataset_of(path: Path, readers: Sequence[ReaderOffer]) -> DatasetPlan:
    """The dataset that a file names, with what lies beside it and belongs to it; nothing is opened.

    Parameters
    ----------
    path : Path
        An existing file.
    readers : sequence of ReaderOffer
        Who knows which names belong together.

    Returns
    -------
    DatasetPlan
        ``d1``, the file its primary, all paths relative to the file's folder. A file that is itself a part of another's
        dataset stands alone.
    """
    folder = path.absolute().parent
    for names in (_listed(folder, _folders(readers)), (path.name,)):
        for plan in survey(((name, 0) for name in names), readers):
            if plan.primary.path == path.name:
                sized = (replace(file, size=(folder / file.path).stat().st_size) for file in plan.files)
                return replace(plan, id="d1", files=tuple(sized))
    raise AssertionError("a file alone is the primary of its dataset")


def with_companions(path: Path, readers: Sequence[ReaderOffer]) -> list[Path]:
    """The file first; then the files beside it that belong to its dataset, and folders that hold some."""
    tops = dict.fromkeys(file.path.partition("/")[0] for file in dataset_of(path, readers).files)
    return [path, *(path.absolute().parent / top for top in tops if top != path.name)]


def _folders(readers: Sequence[ReaderOffer]) -> frozenset[str]:
    """Names of folders whose content may belong to a file beside them, in lower case."""
    patterns = (part for reader in readers for group in groups_of(reader) for part in (*group.parts, *group.sidecars))
    return frozenset(pattern[:-3].lower() for pattern in patterns if pattern.endswith("/**"))


def _listed(folder: Path, inner: frozenset[str]) -> Iterator[str]:
    """Files of a folder, and of some folders in it, by relative path; what cannot be listed is not there."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        if entry.name.lower() not in inner:
            with contextlib.suppress(OSError):  # a link that leads in a circle
                if entry.is_file():
                    yield entry.name
        elif entry.is_dir(follow_symlinks=False):
            below = (
                Path(place, name).relative_to(folder).as_posix()
                for place, _, names in os.walk(entry.path)
                for name in names
                if Path(place, name).is_file()
            )
            yield from itertools.islice(below, _MOST_BELOW)
