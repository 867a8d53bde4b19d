"""The files of an adopted folder beside what was sealed: as they were, renamed, with other bytes, or gone."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from diadem.model.display import Display
from diadem.model.manifest import FileEntry
from diadem.node.digests import UNREAD, FileDigests
from diadem.pack.plan import text_of
from diadem.store.adopted import NOT_THERE, UNSTEADY, AdoptedFile, Location, Stamp, number_of
from diadem.store.source import Omission, SourceFile, walk

#: Candidates that are read before it is asked whether any file is still lost.
_BATCH = 8
_NOTHING_SPEAKS = 2


class FileState(StrEnum):
    """What has become of one file."""

    UNCHANGED = "unchanged"
    RENAMED = "renamed"  # the same bytes under another path
    EDITED = "edited"  # other bytes under the path
    MISSING = "missing"  # neither the path nor the bytes are in the folder
    UNREADABLE = "unreadable"  # the system does not let us look


@dataclass(frozen=True, slots=True)
class FileChange(Display):
    """A file of an adopted folder that is not as and where it was.

    Attributes
    ----------
    path : str
        Bag path, ``data/…``.
    state : FileState
        What has become of it.
    now, before : str
        Its path in the folder, now and before; `now` is "" where it is missing.
    quiet : bool
        Edited, although neither its size nor its time has changed: by a program that keeps times, or by the disk.
    """

    path: str
    state: FileState
    now: str
    before: str
    quiet: bool = False

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "path": self.path,
            "state": str(self.state),
            "now": self.now,
            "before": self.before,
            "quiet": self.quiet,
        }


@dataclass(slots=True)
class _Seen:
    """What lies in the folder, for `walk`."""

    files: dict[bytes, Stamp] = field(default_factory=dict)
    paths: dict[bytes, str] = field(default_factory=dict)
    closed: list[bytes] = field(default_factory=list)

    def enter(self, name: bytes, path: str, entries: Sequence[os.DirEntry[str]]) -> bool:  # noqa: ARG002
        """Every folder is looked into."""
        return True

    def file(self, name: bytes, path: str, status: os.stat_result) -> None:
        """Take a plain file."""
        self.files[name], self.paths[name] = Stamp.of(status), path

    def empty(self, name: bytes) -> None:
        """An empty folder is nothing to look at."""

    def omit(self, omission: Omission) -> None:
        """Take note of what cannot be looked at."""
        if omission.kind == "unreadable":
            self.closed.append(omission.name)

    def hides(self, name: bytes) -> bool:
        """Whether a file may be there although it was not seen."""
        return any(not place or name == place or name.startswith(place + b"/") for place in self.closed)


class FolderComparison:
    """One look at the files of a package in its folder, which is there; with `full` every file is read."""

    def __init__(self, entries: Sequence[FileEntry], location: Location, digests: FileDigests, *, full: bool) -> None:
        self._entries = {entry.path: entry for entry in entries}
        self._location = location
        self._digests = digests
        self._full = full
        self._seen = _Seen()
        self._names: dict[str, bytes] = {}
        self._owned: set[bytes] = set()
        self._quiet: set[str] = set()
        self._renumbered = 0
        self.states: dict[str, FileState] = {}

    def run(self) -> FolderComparison:
        """All steps."""
        walk(self._seen, self._location.root)
        lost = self._at_their_places()
        self._follow(lost)
        self.states.update((path, self._rest(path)) for path in lost if path not in self.states)
        return self

    def _place(self, path: str) -> AdoptedFile:
        entry = self._entries[path]
        return self._location.files.get(path) or AdoptedFile(entry.original_name, Stamp(entry.size, entry.mtime_ns))

    def _at_their_places(self) -> list[str]:
        """Settle the files that are where they were; give the others."""
        doubtful, lost = [], []
        for path, entry in self._entries.items():
            place = self._place(path)
            now = self._seen.files.get(place.name)
            if now is None or now.size != entry.size or (not self._full and now == place.edited):
                lost.append(path)
            elif not self._full and place.stamp.fits(now):
                self._settle(path, place.name)
            else:
                self._renumbered += not place.stamp.fits(now) and replace(place.stamp, number=0).fits(now)
                doubtful.append(path)
        digests = self._digests_of([self._place(path).name for path in doubtful])
        for path in doubtful:
            place = self._place(path)
            if digests[place.name] == self._entries[path].sha256:
                self._settle(path, place.name)
            else:
                lost.append(path)
                if place.stamp.fits(self._seen.files[place.name]):
                    self._quiet.add(path)
        return lost

    def _digests_of(self, names: Sequence[bytes]) -> dict[bytes, str]:
        files = [source_file(name, self._seen.paths[name], self._seen.files[name]) for name in names]
        found = self._digests.of(files)
        return {file.name: found[file.path] for file in files}

    def _settle(self, path: str, name: bytes) -> None:
        self._names[path] = name
        self._owned.add(name)
        same = name == self._place(path).name
        self.states[path] = FileState.UNCHANGED if same else FileState.RENAMED

    # -- files that are not where they were ----------------------------------------------------------------------

    def _follow(self, lost: Sequence[str]) -> None:
        """Look for the bytes of lost files among the files that are nobody's, those that look like them first."""
        wanted: dict[int, list[str]] = defaultdict(list)
        for path in lost:
            wanted[self._entries[path].size].append(path)
        free: dict[int, list[bytes]] = defaultdict(list)
        for name, stamp in self._seen.files.items():
            if stamp.size in wanted:
                free[stamp.size].append(name)
        for size, names in free.items():
            # What was looked for in vain before is looked for again only where a name or number speaks for it.
            fresh = [path for path in wanted[size] if self._full or self._place(path).edited is None]
            stale = [path for path in wanted[size] if not self._full and self._place(path).edited is not None]
            self._match(fresh, sorted(names, key=self._unlikeliness(fresh)))
            unlikeliness = self._unlikeliness(stale)
            self._match(stale, [name for name in names if unlikeliness(name) < _NOTHING_SPEAKS])

    def _unlikeliness(self, lost: Sequence[str]) -> Callable[[bytes], int]:
        """How little speaks for a file to be one of the lost: its number, its name, or nothing."""
        places = [self._place(path) for path in lost]
        numbers = {place.stamp.number for place in places if place.stamp.number > 0}
        last = {_last(place.name) for place in places}
        known = {(place.name, place.edited) for place in places}

        def unlikeliness(name: bytes) -> int:
            now = self._seen.files[name]
            if (name, now) in known:
                return _NOTHING_SPEAKS
            return 0 if now.number in numbers else 1 if _last(name) in last else _NOTHING_SPEAKS

        return unlikeliness

    def _match(self, lost: Sequence[str], names: Sequence[bytes]) -> None:
        """Give files of one size to lost ones with their digest, until none is lost."""
        waiting: dict[str, list[str]] = defaultdict(list)
        for path in lost:
            waiting[self._entries[path].sha256].append(path)
        free = [name for name in names if name not in self._owned]
        for start in range(0, len(free), _BATCH):
            if not waiting:
                return
            batch = free[start : start + _BATCH]
            digests = self._digests_of(batch)
            for name in batch:
                if paths := waiting.get(digests[name]):
                    path = min(paths, key=lambda path: _last(self._place(path).name) != _last(name))
                    self._settle(path, name)
                    paths.remove(path)
                    if not paths:
                        del waiting[digests[name]]

    def _rest(self, path: str) -> FileState:
        """What a file is whose bytes are nowhere."""
        place = self._place(path)
        if place.name in self._seen.files and place.name not in self._owned:
            unread = self._digests.known.get(self._seen.paths[place.name]) == UNREAD
            return FileState.UNREADABLE if unread else FileState.EDITED
        return FileState.UNREADABLE if self._seen.hides(place.name) else FileState.MISSING

    # -- what was found ------------------------------------------------------------------------------------------

    @property
    def files_there(self) -> bool:
        """Whether anything is in the folder, or may be."""
        return bool(self._seen.files or self._seen.closed)

    def changes(self) -> list[FileChange]:
        """Every file that is not unchanged."""
        return [
            self._change(path, state) for path, state in sorted(self.states.items()) if state is not FileState.UNCHANGED
        ]

    def _change(self, path: str, state: FileState) -> FileChange:
        place = self._place(path)
        now = b"" if state is FileState.MISSING else self._names.get(path, place.name)
        was_quiet = place.edited is not None and place.stamp.fits(place.edited)
        quiet = state is FileState.EDITED and (path in self._quiet or was_quiet)
        return FileChange(path, state, text_of(now), text_of(place.name), quiet)

    def added(self) -> list[str]:
        """Files of the folder that are not part of the package."""
        known = {*self._owned, *(self._place(path).name for path in self._entries)}
        return [text_of(name) for name in sorted(self._seen.files) if name not in known]

    def location(self) -> Location:
        """Where everything is now."""
        # Numbers that changed for all files at once, though their bytes did not, are those of a share that makes
        # them up anew each time it is mounted: they are not relied on any more.
        invented = bool(self._renumbered) and self._renumbered == len(self._names)
        files = {path: self._place_now(path, invented=invented) for path in self._entries}
        return replace(self._location, number=number_of(self._location.root), files=files)

    def _place_now(self, path: str, *, invented: bool) -> AdoptedFile:
        place = self._place(path)
        if path not in self._names:
            unknown = self.states[path] is FileState.UNREADABLE
            return place if unknown else replace(place, edited=self._seen.files.get(place.name, NOT_THERE))
        stamp = self._seen.files[self._names[path]]
        unsteady = invented or place.stamp.number == UNSTEADY
        return AdoptedFile(self._names[path], replace(stamp, number=UNSTEADY) if unsteady else stamp)


def _last(name: bytes) -> bytes:
    return name.rpartition(b"/")[2]


def source_file(name: bytes, path: str, stamp: Stamp) -> SourceFile:
    """A file of an adopted folder, to be read."""
    return SourceFile(name, path, stamp.size, stamp.size, stamp.mtime_ns)
