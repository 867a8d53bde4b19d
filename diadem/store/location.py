"""Where an adopted folder is: the place of every file in it, and what it looked like when its bytes were last read."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

from diadem.errors import PackageError
from diadem.model.ids import PackageId
from diadem.model.manifest import FileEntry
from diadem.store.system import long_path

FORMAT: Final = "diadem-adopted/1"
_NEXT: Final = "Tell where the folder is: diadem rescan --look-in FOLDER"


@dataclass(frozen=True, slots=True)
class Stamp:
    """What changes when a file changes.

    Attributes
    ----------
    size : int
        Bytes.
    mtime_ns : int
        Modification time, nanoseconds since 1970.
    number : int
        The file's number in its file system; 0 where it is not known or not to be relied on.
    """

    size: int
    mtime_ns: int
    number: int = 0

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        """From what the system says of a file."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ino)

    def fits(self, other: Stamp) -> bool:
        """Whether nothing speaks for a change; numbers are compared where both are known."""
        numbers = not self.number or not other.number or self.number == other.number
        return numbers and (self.size, self.mtime_ns) == (other.size, other.mtime_ns)


@dataclass(frozen=True, slots=True)
class Place:
    """One file: its path relative to the adopted folder, as the file system's bytes, and its stamp."""

    name: bytes
    stamp: Stamp


@dataclass(frozen=True, slots=True)
class Location:
    """Where the payload of an adopted package is.

    Attributes
    ----------
    package : PackageId
        The package.
    path : str
        What the package is called in a store: ``2026/20260314-…``.
    root : str
        The folder, absolute.
    number : int
        The folder's number in its file system, by which it is found where it was renamed; 0 where not known.
    files : mapping of str to Place
        Bag path (``data/…``) of every file of the payload to its place.
    """

    package: PackageId
    path: str
    root: str
    number: int
    files: Mapping[str, Place]

    @classmethod
    def of(
        cls, package: PackageId, path: str, root: str, entries: Iterable[FileEntry], names: Mapping[str, bytes]
    ) -> Location:
        """The files where they were found.

        Parameters
        ----------
        package, path, root
            See the attributes.
        entries : iterable of FileEntry
            The payload, as it was read: a file gets a number only if it still looks as it did then.
        names : mapping of str to bytes
            Bag path to path in the folder, where that is not the original path: a copy of a folder may compose
            accents in another way.
        """
        files = {}
        for entry in entries:
            name = names.get(entry.path, entry.original_name)
            stamp = Stamp(entry.size, entry.mtime_ns)
            now = stamp_of(root, name)
            files[entry.path] = Place(name, now if now is not None and stamp.fits(now) else stamp)
        return cls(package, path, root, number_of(root), files)

    @property
    def mapping(self) -> dict[str, bytes]:
        """Bag path of every file to its path in the folder."""
        return {path: place.name for path, place in self.files.items()}

    def moved(self, root: str) -> Location:
        """The same files in a folder that is elsewhere now."""
        return replace(self, root=root, number=number_of(root))

    def to_bytes(self) -> bytes:
        """JSON, one file a line; names are percent-encoded bytes, absent where they are the stored ones."""
        head = {
            "format": FORMAT,
            "package": str(self.package),
            "path": self.path,
            "root": quote_from_bytes(os.fsencode(self.root)),
            "number": self.number,
        }
        lines = ",\n".join(json.dumps(_row(path, place), ensure_ascii=False) for path, place in self.files.items())
        return (json.dumps(head, ensure_ascii=False)[:-1] + ',\n"files": [\n' + lines + "\n]}\n").encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Location:
        """What `to_bytes` wrote.

        Raises
        ------
        PackageError
            It is something else.
        """
        try:
            document = json.loads(data)
            known = document["format"] == FORMAT
            location = cls(
                package=PackageId(document["package"]),
                path=str(document["path"]),
                root=os.fsdecode(unquote_to_bytes(document["root"])),
                number=int(document["number"]),
                files=dict(_place(row) for row in document["files"]),
            )
        except Exception as error:
            raise PackageError("cannot be understood", where="location.json", next=_NEXT) from error
        if not known:
            raise PackageError("is of another version", where="location.json", next=_NEXT)
        return location


def _row(path: str, place: Place) -> list[Any]:
    stored = path.removeprefix("data/").encode()
    name = None if place.name == stored else quote_from_bytes(place.name)
    return [path, place.stamp.size, place.stamp.mtime_ns, place.stamp.number, *([] if name is None else [name])]


def _place(row: list[Any]) -> tuple[str, Place]:
    path, size, mtime_ns, number, *name = row
    original = unquote_to_bytes(name[0]) if name else str(path).removeprefix("data/").encode()
    return str(path), Place(original, Stamp(int(size), int(mtime_ns), int(number)))


def path_below(root: str, name: bytes) -> str:
    """Where a file of an adopted folder is, as the system's functions take it."""
    return long_path(os.path.join(root, *os.fsdecode(name).split("/")))


def stamp_of(root: str, name: bytes) -> Stamp | None:
    """The stamp of what has this path now; None where nothing can be seen there."""
    try:
        return Stamp.of(os.lstat(path_below(root, name)))
    except (OSError, ValueError):
        return None


def number_of(root: str) -> int:
    """A folder's number in its file system; 0 where it is not there."""
    try:
        return os.stat(long_path(root)).st_ino
    except OSError:
        return 0
