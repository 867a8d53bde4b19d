"""What has become of an adopted folder: people may rename, move and edit in it, and none of that is damage."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from diadem.model.display import Display
from diadem.model.manifest import PackageId
from diadem.model.plain_text import count_text
from diadem.store.adopted import Location

#: Files that are named one by one in the JSON of a large change.
_NAMED = 1000


class FileState(StrEnum):
    """What has become of one file."""

    UNCHANGED = "unchanged"
    RENAMED = "renamed"  # the same bytes under another path
    EDITED = "edited"  # other bytes under the path
    MISSING = "missing"  # neither the path nor the bytes are in the folder
    UNREADABLE = "unreadable"  # the system does not let us look


class FolderState(StrEnum):
    """What has become of the folder itself."""

    THERE = "there"
    MOVED = "moved"  # found elsewhere
    GONE = "gone"  # not there: deleted, moved far away, or on a disk or share that is not connected
    UNREADABLE = "unreadable"


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
        return not any(self.counts.get(state) for state in FileState if state not in _WHOLE)

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
        return f"{self._folder_words()} {self._file_words()}"

    def _folder_words(self) -> str:
        root, before = _shown(self.root), _shown(self.previous_root)
        return {
            FolderState.THERE: f"The folder {root} is there.",
            FolderState.MOVED: f"The folder {before} is {root} now.",
            FolderState.GONE: f"The folder {before} is not there: deleted, moved, or on a disk that is not connected.",
            FolderState.UNREADABLE: f"The folder {root} may not be read.",
        }[self.folder]

    def _file_words(self) -> str:
        if self.folder in (FolderState.GONE, FolderState.UNREADABLE):
            return "Nothing is known of its files."
        said = [f"{count:,} {state}" for state in FileState if (count := self.counts.get(state, 0))]
        more = f"; and {count_text(len(self.added), 'other file')} in it" if self.added else ""
        return f"Its files: {', '.join(said) or 'none'}{more}."


_WHOLE = (FileState.UNCHANGED, FileState.RENAMED)


def _shown(path: str) -> str:
    """A path as text that can be written anywhere."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
