"""Looking what has become of adopted folders. Nothing in them is written; what changed is told, and called what it is.

The quick look goes by size, time and file number, and reads only what differs. Files that are not where they were are
looked for among the others of the folder by size, then by digest; a folder that is not where it was, beside it and
where the caller says.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from diadem.errors import DiademError, Interrupted
from diadem.model.manifest import DERIVED_PATHS
from diadem.model.ports import Listener, silent
from diadem.node.keep.rescan_look import Digests, Look
from diadem.node.keep.rescanned import FileState, FolderState, Rescan
from diadem.package.examine import TagFiles, open_tag_files
from diadem.store.adopted import AdoptedFolders, Location, number_of, stamp_of
from diadem.store.bags import LocalBundle
from diadem.store.copy import Copier
from diadem.store.system import long_path
from diadem.trust.hashing import sha256_hex

#: Files whose presence tells a folder that was moved: the largest and the smallest.
_WITNESSES = 3
#: Folders that are looked into for one that was moved, and how deep below those that were named.
_MOST_FOLDERS = 20_000
_DEPTH = 4
_RECORD_LIMIT = 1 << 30


def rescan(
    folders: AdoptedFolders,
    package: str,
    *,
    full: bool = False,
    look_in: Sequence[Path] = (),
    listener: Listener = silent,
) -> Rescan:
    """Look at one adopted folder.

    Parameters
    ----------
    folders : AdoptedFolders
        Where the node keeps its part; not changed, see `settle`.
    package : str
        Id of the package.
    full : bool
        Read and compare every file, not only those that look changed.
    look_in : sequence of Path
        Where to look for the folder if it is not where it was: these, and four levels below. Its old neighbours are
        always looked at.
    listener : callable
        Told of bytes read, stage ``rescan``.

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
            return _Rescanning(opened, before, _damaged(bag, opened), copier, listener).run(look_in, full=full)
        except KeyboardInterrupt as error:
            raise Interrupted("the look was stopped; nothing was changed", where=before.root) from error


def rescan_all(
    folders: AdoptedFolders, *, full: bool = False, look_in: Sequence[Path] = (), listener: Listener = silent
) -> Iterator[Rescan]:
    """Look at every adopted folder, one after the other; see `rescan`."""
    for package in list(folders.ids()):
        yield rescan(folders, package, full=full, look_in=look_in, listener=listener)


def settle(folders: AdoptedFolders, found: Rescan) -> None:
    """Keep what a look has found: where folder and files are now. Raises `StoreError`."""
    if found.location != folders.location(found.package):
        folders.relocate(found.location)


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


class _Rescanning:
    """One look, from finding the folder to what is told of it."""

    def __init__(
        self, opened: TagFiles, before: Location, sealed: Sequence[str], copier: Copier, listener: Listener
    ) -> None:
        self._opened = opened
        self._before = before
        self._sealed = sealed
        self._copier = copier
        self._listener = listener
        self._digests = {entry.path: entry.sha256 for entry in opened.manifest.payload}

    def run(self, look_in: Sequence[Path], *, full: bool) -> Rescan:
        """Find the folder and look at its files."""
        folder, root = self._find(look_in)
        if folder in (FolderState.GONE, FolderState.UNREADABLE):
            return self._unseen(folder, full=full)
        location = self._before if folder is FolderState.THERE else self._before.moved(root)
        digests = Digests(root, self._copier, self._listener)
        look = Look(self._opened.manifest.payload, location, digests, full=full).run()
        if not look.files_there:
            return self._unseen(
                FolderState.GONE, full=full
            )  # an empty folder: where a disk is mounted when it is there
        return Rescan(
            package=self._opened.id,
            folder=folder,
            root=root,
            previous_root=self._before.root,
            counts=Counter(look.states.values()),
            changes=look.changes(),
            added=look.added(),
            hashed=len(digests.known),
            full=full,
            sealed=self._sealed,
            location=look.location(),
        )

    def _unseen(self, folder: FolderState, *, full: bool) -> Rescan:
        state = FileState.MISSING if folder is FolderState.GONE else FileState.UNREADABLE
        counts = {state: len(self._opened.manifest.payload)}
        root = self._before.root
        return Rescan(self._opened.id, folder, root, root, counts, (), (), 0, full, self._sealed, self._before)

    # -- the folder ----------------------------------------------------------------------------------------------

    def _find(self, look_in: Sequence[Path]) -> tuple[FolderState, str]:
        """Where the folder is now."""
        root = self._before.root
        there = os.path.isdir(long_path(root))  # noqa: PTH112
        if there and not _listable(root):
            return FolderState.UNREADABLE, root
        if there and next(self._present(root, self._before.files), None) is not None:
            return FolderState.THERE, root
        found = next((place for place in _candidates(self._before, look_in) if self._is_it(place)), None)
        if found is not None and found != root:
            return FolderState.MOVED, found
        return (FolderState.THERE if there else FolderState.GONE), root

    def _present(self, root: str, paths: Iterable[str]) -> Iterator[str]:
        """Those of the files that have their place and size in a folder."""
        for path in paths:
            place = self._before.files[path]
            stamp = stamp_of(root, place.name)
            if stamp is not None and stamp.size == place.stamp.size:
                yield path

    def _is_it(self, root: str) -> bool:
        """Whether a folder holds one of the largest or smallest files, byte for byte: names alone are not proof."""
        files = self._before.files
        ordered = sorted((path for path in files if files[path].stamp.size), key=lambda path: files[path].stamp.size)
        witnesses = dict.fromkeys([*ordered[:_WITNESSES], *ordered[-_WITNESSES:]])
        digests = Digests(root, self._copier, self._listener)
        return any(
            digests.of([files[path].name])[files[path].name] == self._digests.get(path)
            for path in self._present(root, witnesses)
        )


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
