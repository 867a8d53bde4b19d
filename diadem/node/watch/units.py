"""What lies in a watched folder: the folders that are watched as one, and loose files, by the dataset they make."""

from __future__ import annotations

import datetime
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from diadem.extract.survey import survey
from diadem.hooks.offers import ReaderOffer
from diadem.node.take.looks import Look, look, look_at_files
from diadem.node.take.unfinished_names import at_work, only_browsing
from diadem.scan.tree import is_systems_own
from diadem.store.system import kind_of, long_path

#: What a package, and what a store, has in its top folder.
_PACKAGE, _STORE = {"bagit.txt", "diadem"}, ".diadem"


@dataclass(frozen=True, slots=True)
class Unit:
    """What is watched as one: nothing of it is archived before all of it is silent.

    Attributes
    ----------
    name : str
        Relative to the watched folder, ``/`` between parts.
    folder : Path
        The folder; of loose files the one in which they lie.
    files : sequence of str
        Names of loose files that make one dataset; empty for a whole folder.
    """

    name: str
    folder: Path
    files: Sequence[str] = ()

    @property
    def path(self) -> Path:
        """What names it: the folder, or the first of its files."""
        return self.folder / self.files[0] if self.files else self.folder


@dataclass(frozen=True, slots=True)
class Moment:
    """Both clocks, and whether the file system has the first of them.

    Attributes
    ----------
    now : datetime
        This machine's clock, UTC.
    steady : float
        Its clock that nobody sets, in seconds.
    own_clock : bool
        Whether the file system's clock is this machine's.
    """

    now: datetime.datetime
    steady: float
    own_clock: bool


@dataclass
class Listing:
    """What one listing of a watched folder found.

    Attributes
    ----------
    units : dict of str to Unit
        By name.
    looks : dict of str to Look
        Of loose files, for whose look no folder has to be walked through.
    aside : dict of str to str
        What is not looked at, and why: links, packages, stores.
    """

    units: dict[str, Unit] = field(default_factory=dict)
    looks: dict[str, Look] = field(default_factory=dict)
    aside: dict[str, str] = field(default_factory=dict)


def list_units(root: Path, depth: int, readers: Sequence[ReaderOffer], moment: Moment) -> Listing:
    """List a watched folder. No link is followed, no file opened.

    Parameters
    ----------
    root : Path
        The watched folder.
    depth : int
        How many folders down the sessions are.
    readers : sequence of ReaderOffer
        Who knows which files belong together.
    moment : Moment
        When.

    Raises
    ------
    OSError
        The watched folder itself cannot be listed. One below that cannot is a unit, and its look tells.
    """
    found = Listing()
    pending = [("", depth)]
    while pending:
        name, left = pending.pop()
        folder = root / name if name else root
        try:
            folders, files = _entries(found, folder, name)
        except OSError:
            if not name:
                raise
            found.units[name] = Unit(name, folder)
            continue
        for inner in folders:
            if words := _archive_words(root / inner):
                found.aside[inner] = words
            elif left > 1:
                pending.append((inner, left - 1))
            else:
                found.units[inner] = Unit(inner, root / inner)
        _add_loose(found, folder, name, files, readers, moment)
    return found


def look_at(unit: Unit, listing: Listing, moment: Moment) -> Look:
    """The look of a unit. Raises `NotFound` where it has gone since it was listed."""
    if unit.name in listing.looks:
        return listing.looks[unit.name]
    return look(unit.folder, now=moment.now, steady=moment.steady, own_clock=moment.own_clock)


def _entries(found: Listing, folder: Path, name: str) -> tuple[list[str], dict[str, os.stat_result]]:
    """Folders, by their names from the top, and plain files with what the system says of them."""
    folders: list[str] = []
    files: dict[str, os.stat_result] = {}
    with os.scandir(long_path(folder)) as entries:
        for entry in entries:
            if _is_hidden(entry.name) and not at_work(entry.name):
                continue
            inner = f"{name}/{entry.name}" if name else entry.name
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError:  # it has gone, or is locked away: the next look sees more
                continue
            kind = kind_of(status)
            if kind == "folder":
                folders.append(inner)
            elif kind == "file":
                files[entry.name] = status
            else:
                found.aside[inner] = "it is a link, which is not followed" if kind == "symlink" else f"it is a {kind}"
    return sorted(folders), files


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "$")) or is_systems_own(name) or only_browsing(name)


def _archive_words(folder: Path) -> str:
    """Why a folder is left alone: it is a package, or a store; "" where it is neither."""
    try:
        names = set(os.listdir(long_path(folder)))
    except OSError:
        return ""
    if names >= _PACKAGE:
        return "it is a package"
    return "it is a store" if _STORE in names else ""


def _add_loose(
    found: Listing,
    folder: Path,
    name: str,
    files: Mapping[str, os.stat_result],
    readers: Sequence[ReaderOffer],
    moment: Moment,
) -> None:
    """Loose files, each dataset a unit; a lock or a temporary file beside them holds them all."""
    locks = {file: status for file, status in files.items() if at_work(file)}
    sizes = sorted((file, status.st_size) for file, status in files.items() if file not in locks)
    for members in _datasets(sizes, readers):
        unit = Unit(f"{name}/{members[0]}" if name else members[0], folder, members)
        seen = {file: files[file] for file in members} | locks
        found.units[unit.name] = unit
        found.looks[unit.name] = look_at_files(
            folder, seen, now=moment.now, steady=moment.steady, own_clock=moment.own_clock
        )


def _datasets(sizes: Sequence[tuple[str, int]], readers: Sequence[ReaderOffer]) -> Iterator[tuple[str, ...]]:
    """Names of the files of each dataset; those that share their stem with one go with it, whatever they are."""
    stems: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for plan in survey(sizes, readers):
        names = tuple(file.path for file in plan.files)
        stems[Path(names[0]).stem.casefold()].append(names)
    for groups in stems.values():
        yield tuple(name for group in groups for name in group)
