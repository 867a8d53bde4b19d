"""What lies in a watched folder: the folders that are watched as one, and loose files, by the dataset they make."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from diadem.errors import DiademError, NotFound, Refused
from diadem.export.zip_bag import packages_in
from diadem.extract.survey import survey
from diadem.hooks.offers import ReaderOffer
from diadem.model.plain_text import count_text
from diadem.model.ports import Listener
from diadem.model.scan import PlannedSession
from diadem.node.context import Context
from diadem.node.separation import require_no_secrets
from diadem.node.take.archive import ArchiveOptions, archive, has_several_places
from diadem.node.take.archive_many import archive_all
from diadem.node.take.arrival import Archived
from diadem.node.take.folder_look import Look, Moment, at_work, look, look_at_files, only_browsing
from diadem.pack.plan import merged_metadata
from diadem.scan.tree import is_systems_own
from diadem.store.system import kind_of, long_path

#: What a package, and what a store, has in its top folder.
_PACKAGE, _STORE = {"bagit.txt", "diadem"}, ".diadem"


@dataclass(frozen=True, slots=True)
class Unit:
    """What is watched as one: nothing of it is archived before all of it is silent."""

    #: Relative to the watched folder, ``/`` between parts.
    name: str
    #: Of loose files the one in which they lie.
    folder: Path
    #: Names of loose files that make one dataset; empty for a whole folder.
    files: Sequence[str] = ()

    @property
    def paths(self) -> Sequence[Path]:
        """Of loose files; empty for a whole folder."""
        return [self.folder / name for name in self.files]

    @property
    def path(self) -> Path:
        """What names it: the folder, or the first of its files."""
        return self.folder / self.files[0] if self.files else self.folder


@dataclass
class Listing:
    """What one listing of a watched folder found."""

    units: dict[str, Unit] = field(default_factory=dict)
    #: Of loose files, for whose look no folder has to be walked through.
    looks: dict[str, Look] = field(default_factory=dict)
    #: What is not looked at, and why: links, packages, stores.
    aside: dict[str, str] = field(default_factory=dict)


def list_units(root: Path, depth: int, readers: Sequence[ReaderOffer], moment: Moment) -> Listing:
    """List a watched folder; no link is followed, no file opened.

    Raises `OSError` where the folder itself cannot be listed. One below that cannot is a unit, and its look tells.
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
        locks = {file: status for file, status in files.items() if at_work(file)}
        sizes = sorted((file, status.st_size) for file, status in files.items() if file not in locks)
        for members in _datasets(sizes, readers):
            unit = Unit(f"{name}/{members[0]}" if name else members[0], folder, members)
            found.units[unit.name] = unit
            # A lock or a temporary file beside loose files holds them all.
            seen = {file: files[file] for file in members} | locks
            found.looks[unit.name] = look_at_files(folder, seen, moment)
    return found


def look_at(unit: Unit, listing: Listing, moment: Moment) -> Look:
    """The look of a unit. Raises `NotFound` where it has gone since it was listed."""
    if unit.name in listing.looks:
        return listing.looks[unit.name]
    return look(unit.folder, moment)


def _entries(found: Listing, folder: Path, name: str) -> tuple[list[str], dict[str, os.stat_result]]:
    """Folders, by their names from the top, and plain files with what the system says of them; others go aside."""
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


def _datasets(sizes: Sequence[tuple[str, int]], readers: Sequence[ReaderOffer]) -> Iterator[tuple[str, ...]]:
    """Names of the files of each dataset; those that share their stem with one go with it, whatever they are."""
    stems: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for plan in survey(sizes, readers):
        names = tuple(file.path for file in plan.files)
        stems[Path(names[0]).stem.casefold()].append(names)
    for groups in stems.values():
        yield tuple(name for group in groups for name in group)


#: Sessions that are named.
_NAMED = 3


class Changed(Refused):
    """The session changed while it was read: nothing of it is in the archive, and it is waited for anew."""


@dataclass(frozen=True, slots=True)
class UnitArchived:
    """What archiving one unit did."""

    #: One for each session.
    archived: Sequence[Archived]
    as_one: bool
    #: Why a session was not archived; the first, where several were not.
    error: DiademError | None = None
    #: What of it no session takes, and why; "" where all is taken.
    words: str = ""


def archive_unit(
    context: Context, unit: Unit, seen: Look, options: ArchiveOptions, *, as_one: bool | None, listener: Listener
) -> UnitArchived:
    """Archive a unit that was silent when it was `seen`; what is read has to be what was, else nothing becomes visible.

    `as_one` says whether it is one session; None: as a scan finds it. Raises `Changed`, and as `archive` does.
    """
    options = replace(options, now=True, as_one=True, check_unchanged=lambda: _require_same(unit, seen))
    # First of all, since a node that lies in it writes there: it would always seem to change.
    require_no_secrets(context, unit.paths or [unit.folder])
    _require_same(unit, seen)
    if len(unit.files) > 1:  # loose files that are one dataset
        title = {"session": {"title": Path(unit.files[0]).stem}}
        options = replace(options, metadata=merged_metadata(title, options.metadata or {}))
        return UnitArchived([archive(context, unit.path, options, files=unit.paths, listener=listener)], as_one=True)
    sessions = sessions_in(context, unit, as_one=as_one, listener=listener)
    if not sessions:
        options = replace(options, as_one=not packages_in(unit.path))  # a package is taken in as it is
        return UnitArchived([archive(context, unit.path, options, listener=listener)], as_one=True)
    chosen = [session for session in sessions if session.archive]
    results = list(archive_all(context, chosen, options, listener=listener))
    errors = [result.error for result in results if result.error is not None]
    changed = next((error for error in errors if isinstance(error, Changed)), None)
    left = [session for session in sessions if not session.archive]
    named = "; ".join(f"{session.title or session.folder} ({session.why})" for session in left[:_NAMED])
    more = f"; and {len(left) - _NAMED:,} more" if len(left) > _NAMED else ""
    return UnitArchived(
        [result.archived for result in results if result.archived is not None],
        as_one=False,
        error=changed or next(iter(errors), None),
        words=f"{count_text(len(left), 'part')} of it not archived: {named}{more}" if left else "",
    )


def sessions_in(context: Context, unit: Unit, *, as_one: bool | None, listener: Listener) -> list[PlannedSession]:
    """The sessions that a scan finds in a unit, also those that are not archived; none where it is archived as one.

    Raises `NotFound`.
    """
    if as_one or unit.files or not has_several_places(unit.folder):
        return []
    sessions = list(context.tools.scan(unit.folder, listener=listener).sessions)
    chosen = [session for session in sessions if session.archive]
    return sessions if len(chosen) >= (1 if as_one is False else 2) else []


def _require_same(unit: Unit, seen: Look) -> None:
    """Raise `Changed` where a unit is not as it was seen: whoever pauses for long enough may go on at any moment."""
    try:
        now = look(unit.folder, seen.moment, parts=unit.paths)
    except NotFound as error:
        raise Changed("it was removed while it was archived", where=str(unit.path)) from error
    if not now.same(seen):
        raise Changed("it changed while it was archived", where=str(unit.path))
