"""The tree to be scanned: every plain file with what tells whether it has changed; packages and stores left alone."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from diadem.errors import DiademError, NotFound, UsageError
from diadem.export.zip_bag import packages_in
from diadem.model.ports import Listener, Progress
from diadem.model.scan import Archived
from diadem.pack.plan import text_of
from diadem.store.source import Omission, walk
from diadem.store.system import WINDOWS, long_path

#: Files between two reports of progress.
_REPORT_EVERY = 500
SYSTEMS_OWN = "the system keeps deleted or lost files and its own records here; not scanned"


class Stamp(NamedTuple):
    """What changes when a file changes.

    `changed_ns` is the time of the last change of content or status: no program can set it. It is 0 on Windows, where
    that field holds the time of creation. `file_id` is (device, number), (0, 0) where listing a folder does not tell.
    """

    size: int
    modified_ns: int
    changed_ns: int
    file_id: tuple[int, int]


class ScanTree:
    """What lies below one root, an absolute path; without the folders `apart`, such as DIADEM's own cache.

    `files` are by their path relative to the root, ``/`` between parts, as the file system's bytes decoded by
    `os.fsdecode`; `omissions` are links, pipes, and what could not be listed; `archived` packages and stores, `closed`
    the relative paths of folders that were not looked into, `zips` those of the ZIPs that hold packages.
    """

    def __init__(self, root: str, *, apart: Sequence[str] = (), listener: Listener) -> None:
        self.root = root
        self.name = shown_path(root)
        self.files: dict[str, Stamp] = {}
        self.omissions: list[Omission] = []
        self.archived: list[Archived] = []
        self.closed: list[str] = []
        self.zips: list[str] = []
        self._apart = frozenset(apart)
        self._listener = listener
        walk(self, root)

    def enter(self, name: bytes, path: str, entries: Sequence[os.DirEntry[str]]) -> bool:
        """Stay out of packages, stores and our own cache."""
        names = {entry.name for entry in entries}
        if is_systems_own(Path(path).name):
            self.omissions.append(Omission(name, "system", SYSTEMS_OWN))
        elif path not in self._apart:
            if {"bagit.txt", "diadem"} <= names:
                self.archived.append(Archived(shown_path(path), "package", 1))
            elif ".diadem" in names and _is_store(path):
                packages = sum(1 for _ in Path(long_path(path)).glob("*/*/bagit.txt"))  # none of them is read
                self.archived.append(Archived(shown_path(path), "store", packages))
            else:
                return True
        self.closed.append(os.fsdecode(name))
        return False

    def file(self, name: bytes, path: str, status: os.stat_result) -> None:
        """Take a plain file; a ZIP of packages is left alone as they are."""
        if path.lower().endswith(".zip") and (count := _packages_in_zip(path)):
            self.archived.append(Archived(shown_path(path), "package", count))
            self.zips.append(os.fsdecode(name))
            return
        changed = 0 if WINDOWS else status.st_ctime_ns
        stamp = Stamp(status.st_size, status.st_mtime_ns, changed, (status.st_dev, status.st_ino))
        self.files[os.fsdecode(name)] = stamp
        if len(self.files) % _REPORT_EVERY == 0:
            self._listener(Progress("list", len(self.files), 0, text_of(name), "files"))

    def empty(self, name: bytes) -> None:
        """An empty folder is nothing to look at."""

    def omit(self, omission: Omission) -> None:
        """Take what cannot be looked at."""
        own = is_systems_own(os.fsdecode(omission.name).rpartition("/")[2])
        self.omissions.append(Omission(omission.name, "system", SYSTEMS_OWN) if own else omission)

    def absolute(self, path: str) -> str:
        """Where a file is."""
        return f"{self.root.rstrip(os.sep)}/{path}"

    def absolute_text(self, path: str) -> str:
        """The same, as text."""
        return text_of(os.fsencode(self.absolute(path)))


def roots_of(folders: Sequence[str | os.PathLike[str]]) -> tuple[list[str], list[str]]:
    """The folders to scan, absolute, each once and none inside another; and notices about those that were dropped.

    Raises `UsageError` where none was given or one is a file, `NotFound` where one does not exist.
    """
    if not folders:
        raise UsageError("no folder was given", next="Example: diadem scan /data/microscope")
    given = list(dict.fromkeys(os.path.realpath(folder) for folder in folders))
    for root in given:
        shown = shown_path(root)
        try:
            status = Path(long_path(root)).stat()
        except OSError as error:
            raise NotFound("there is no such folder", where=shown, next="Check the path.") from error
        if not stat.S_ISDIR(status.st_mode):
            raise UsageError("this is a file, not a folder", where=shown, next="Name the folder that holds it.")
    roots = [root for root in given if not any(root != other and Path(root).is_relative_to(other) for other in given)]
    dropped = [root for root in given if root not in roots]
    return roots, [f"{shown_path(root)} is inside another given folder and was scanned with it" for root in dropped]


def _is_store(folder: str) -> bool:
    """A folder `.diadem` alone may be anything; a store's holds its own file, hints, or stages, or nothing yet."""
    try:
        inside = set(os.listdir(long_path(Path(folder, ".diadem"))))
    except OSError:
        return False
    return not inside or bool(inside & {"store.json", "by-payload", "by-tree", "stage"})


def _packages_in_zip(path: str) -> int:
    """How many packages a ZIP holds; none where it is made to write elsewhere: as a file it does no harm."""
    try:
        return len(packages_in(Path(long_path(path))))
    except (DiademError, OSError):
        return 0


def shown_path(path: str) -> str:
    """A path of this system as text that can be printed anywhere."""
    return text_of(os.fsencode(path)).replace(os.sep, "/")


#: Bins and books of Windows, macOS and Linux at the top of a disk.
_SYSTEM = frozenset(
    {"$recycle.bin", "recycler", "system volume information", "found.000", "lost+found", ".spotlight-v100"}
    | {".fseventsd", ".documentrevisions-v100", ".temporaryitems"}
)


def is_systems_own(name: str) -> bool:
    """Whether a folder is what a system keeps for itself on a disk: its bin, its index, what it recovered."""
    plain = name.casefold()
    return plain in _SYSTEM or plain.startswith(".trash")
