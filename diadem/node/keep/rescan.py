"""Looking what has become of adopted folders. Nothing in them is written; what changed is told, and called what it is.

The quick look goes by size, time and file number, and reads only what differs. Files that are not where they were are
looked for among the others of the folder by size, then by digest; a folder that is not where it was, beside it and
where the caller says.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from diadem.errors import DiademError, Interrupted
from diadem.model.display import Display
from diadem.model.manifest import DERIVED_PATHS, PackageId
from diadem.model.plain_text import count_text
from diadem.model.ports import Listener, silent
from diadem.node.digests import FileDigests
from diadem.node.keep.folder_comparison import FileChange, FileState, FolderComparison, source_file
from diadem.package.examine import TagFiles, open_tag_files
from diadem.store.adopted import AdoptedFolders, Location, number_of, stamp_of
from diadem.store.bags import LocalBundle, path_below
from diadem.store.copy import Copier
from diadem.store.system import long_path
from diadem.trust.hashing import sha256_hex

#: Files whose presence tells a folder that was moved: the largest and the smallest.
_WITNESSES = 3
#: Folders that are looked into for one that was moved, and how deep below those that were named.
_MOST_FOLDERS = 20_000
_DEPTH = 4
_RECORD_LIMIT = 1 << 30
#: Files that are named one by one in the JSON of a large change.
_NAMED = 1000


class FolderState(StrEnum):
    """What has become of the folder itself."""

    THERE = "there"
    MOVED = "moved"  # found elsewhere
    GONE = "gone"  # not there: deleted, moved far away, or on a disk or share that is not connected
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Rescan(Display):
    """A look at an adopted folder.

    Attributes
    ----------
    package : PackageId
        The package.
    folder : FolderState
        What has become of the folder.
    root, previous_root : str
        Where it is and where it was.
    counts : mapping of FileState to int
        How many files are in which state.
    changes : sequence of FileChange
        Every file that is not unchanged, by bag path.
    added : sequence of str
        Other files that lie in the folder, as their paths in it.
    hashed : int
        Files whose bytes were read and compared.
    full : bool
        Whether the bytes of every file were compared.
    sealed : sequence of str
        Files that the node itself keeps of the package and that are damaged.
    location : Location
        Where everything is now, to be kept.
    """

    package: PackageId
    folder: FolderState
    root: str
    previous_root: str
    counts: Mapping[FileState, int]
    changes: Sequence[FileChange]
    added: Sequence[str]
    hashed: int
    full: bool
    sealed: Sequence[str]
    location: Location

    @property
    def complete(self) -> bool:
        """Whether every byte of the payload is still in the folder, as far as was looked."""
        return not any(
            self.counts.get(state) for state in FileState if state not in (FileState.UNCHANGED, FileState.RENAMED)
        )

    @property
    def proven(self) -> bool:
        """Whether the bytes of every file were read now and are those of the package."""
        return self.complete and self.full and self.folder in (FolderState.THERE, FolderState.MOVED)

    def to_dict(self) -> dict[str, Any]:
        """A JSON object; of more than a thousand changes or other files the first are named."""
        return {
            "package": str(self.package),
            "folder": str(self.folder),
            "root": _shown(self.root),
            "previous_root": _shown(self.previous_root),
            "counts": {str(state): self.counts.get(state, 0) for state in FileState},
            "changes": [change.to_dict() for change in self.changes[:_NAMED]],
            "added": list(self.added[:_NAMED]),
            "added_count": len(self.added),
            "hashed": self.hashed,
            "full": self.full,
            "complete": self.complete,
            "proven": self.proven,
            "sealed": list(self.sealed),
        }

    def __str__(self) -> str:
        """One sentence for a person."""
        root, before = _shown(self.root), _shown(self.previous_root)
        folder = {
            FolderState.THERE: f"The folder {root} is there.",
            FolderState.MOVED: f"The folder {before} is {root} now.",
            FolderState.GONE: f"The folder {before} is not there: deleted, moved, or on a disk that is not connected.",
            FolderState.UNREADABLE: f"The folder {root} may not be read.",
        }[self.folder]
        if self.folder in (FolderState.GONE, FolderState.UNREADABLE):
            return f"{folder} Nothing is known of its files."
        said = [f"{count:,} {state}" for state in FileState if (count := self.counts.get(state, 0))]
        more = f"; and {count_text(len(self.added), 'other file')} in it" if self.added else ""
        return f"{folder} Its files: {', '.join(said) or 'none'}{more}."


def rescan(
    folders: AdoptedFolders,
    package: str,
    *,
    full: bool = False,
    look_in: Sequence[Path] = (),
    listener: Listener = silent,
) -> Rescan:
    """Look at one adopted folder; what the node keeps of it is not changed.

    With `full` every file is read and compared, not only those that look changed. A folder that is not where it was is
    looked for beside that, and in the folders of `look_in`, four levels deep.

    Raises
    ------
    NotFound
        The package is not adopted.
    IntegrityError, PackageError
        What the node keeps of it is damaged.
    Interrupted
        On Ctrl-C.
    """
    before = folders.location(package)
    bag = LocalBundle(folders.bag(package))
    opened = open_tag_files(bag, expected_id=package)
    with Copier() as copier:
        try:
            return _Look(opened, before, _damaged(bag, opened), copier, listener).run(look_in, full=full)
        except KeyboardInterrupt as error:
            raise Interrupted("the look was stopped; nothing was changed", where=before.root) from error


def _damaged(bag: LocalBundle, opened: TagFiles) -> list[str]:
    """Files that the node keeps and that are not what they were."""
    wrong = []
    for path in sorted(DERIVED_PATHS):
        if path in opened.manifest:
            try:
                sound = sha256_hex(bag.read(path, _RECORD_LIMIT)) == opened.manifest[path].sha256
            except DiademError:
                sound = False
            wrong += [] if sound else [path]
    return wrong


@dataclass
class _Look:
    """One look, from finding the folder to what is told of it."""

    opened: TagFiles
    before: Location
    sealed: Sequence[str]
    copier: Copier
    listener: Listener

    def run(self, look_in: Sequence[Path], *, full: bool) -> Rescan:
        """Find the folder and look at its files."""
        folder, root = self._find(look_in)
        if folder in (FolderState.GONE, FolderState.UNREADABLE):
            return self._unseen(folder, full=full)
        location = self.before if folder is FolderState.THERE else self.before.moved(root)
        digests = FileDigests("rescan", self.copier, self.listener)
        look = FolderComparison(self.opened.manifest.payload, location, digests, full=full).run()
        if not look.files_there:
            return self._unseen(FolderState.GONE, full=full)  # empty: where a disk is mounted when it is there
        return Rescan(
            package=self.opened.id,
            folder=folder,
            root=root,
            previous_root=self.before.root,
            counts=Counter(look.states.values()),
            changes=look.changes(),
            added=look.added(),
            hashed=len(digests.known),
            full=full,
            sealed=self.sealed,
            location=look.location(),
        )

    def _unseen(self, folder: FolderState, *, full: bool) -> Rescan:
        state = FileState.MISSING if folder is FolderState.GONE else FileState.UNREADABLE
        counts = {state: len(self.opened.manifest.payload)}
        root = self.before.root
        return Rescan(self.opened.id, folder, root, root, counts, (), (), 0, full, self.sealed, self.before)

    # -- the folder ----------------------------------------------------------------------------------------------

    def _find(self, look_in: Sequence[Path]) -> tuple[FolderState, str]:
        """Where the folder is now."""
        root = self.before.root
        there = os.path.isdir(long_path(root))  # noqa: PTH112
        if there and not _listable(root):
            return FolderState.UNREADABLE, root
        if there and next(self._present(root, self.before.files), None) is not None:
            return FolderState.THERE, root
        found = next((place for place in _candidates(self.before, look_in) if self._is_it(place)), None)
        if found is not None and found != root:
            return FolderState.MOVED, found
        return (FolderState.THERE if there else FolderState.GONE), root

    def _present(self, root: str, paths: Iterable[str]) -> Iterator[str]:
        """Those of the files that have their place and size in a folder."""
        for path in paths:
            place = self.before.files[path]
            stamp = stamp_of(root, place.name)
            if stamp is not None and stamp.size == place.stamp.size:
                yield path

    def _is_it(self, root: str) -> bool:
        """Whether a folder holds one of the largest or smallest files, byte for byte: names alone are not proof."""
        files, manifest = self.before.files, self.opened.manifest
        ordered = sorted((path for path in files if files[path].stamp.size), key=lambda path: files[path].stamp.size)
        witnesses = dict.fromkeys([*ordered[:_WITNESSES], *ordered[-_WITNESSES:]])
        digests = FileDigests("rescan", self.copier, self.listener)
        for path in self._present(root, witnesses):
            if path in manifest:
                there = source_file(files[path].name, path_below(root, files[path].name), files[path].stamp)
                if digests.of([there])[there.path] == manifest[path].sha256:
                    return True
        return False


def _listable(root: str) -> bool:
    try:
        os.listdir(long_path(root))
    except OSError:
        return False
    return True


def _candidates(location: Location, look_in: Sequence[Path]) -> Iterator[str]:
    """Folders that may be the one that was moved: first those beside it, one with its number before the others."""
    beside = list(_folders_in(os.path.dirname(location.root)))  # noqa: PTH120
    yield from sorted(beside, key=lambda path: not location.number or number_of(path) != location.number)
    count = 0
    pending = [(os.path.abspath(folder), 0) for folder in look_in]  # noqa: PTH100
    while pending and count < _MOST_FOLDERS:
        folder, depth = pending.pop(0)
        count += 1
        yield folder
        if depth < _DEPTH:
            pending.extend((inner, depth + 1) for inner in _folders_in(folder))


def _folders_in(folder: str) -> Iterator[str]:
    try:
        with os.scandir(long_path(folder)) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:
        return
    yield from (os.path.join(folder, name) for name in names)  # noqa: PTH118


def _shown(path: str) -> str:
    """A path as text that can be written anywhere."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
