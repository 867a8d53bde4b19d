"""Folders that are adopted where they lie: what DIADEM made of them is kept here, their files stay with their people.

::

    <node>/adopted/<64 hex of the package id>/bag/…          tag files, record, crate and page, sealed
    <node>/adopted/<64 hex of the package id>/location.json  where the folder is, and the place of every file in it
    <node>/adopted/.diadem/                                  hints and stages, as in a store

Nothing of an adopted folder is ever written: no file, no permission, no time.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

from diadem.errors import NotFound, PackageError
from diadem.model.manifest import FileEntry, PackageId
from diadem.store.bags import AdoptedBundle, path_below
from diadem.store.contract import Swept
from diadem.store.folder import FolderStore
from diadem.store.stage import Stage, remove_tree, restrict
from diadem.store.system import FileLock, flush_folder, long_path, patiently, translated
from diadem.store.whole import write_whole

LOCATION = "location.json"
FORMAT: Final = "diadem-adopted/1"
_NEXT: Final = "Say where the folder is: diadem rescan --look-in FOLDER"
#: The number of a file on a share that makes numbers up anew each time it is mounted.
UNSTEADY: Final = -1


class AdoptedFolders:
    """What a node keeps, in ``<node>/adopted``, of the folders that it adopted."""

    def __init__(self, root: Path) -> None:
        self._store = FolderStore(root)
        self.root = self._store.root

    @property
    def url(self) -> str:
        return self._store.url

    # -- finding ---------------------------------------------------------------------------------------------------

    def ids(self) -> Iterator[PackageId]:
        with contextlib.suppress(OSError):
            for name in sorted(os.listdir(long_path(self.root))):
                if len(name) == 64 and os.path.isfile(long_path(self.root / name / LOCATION)):
                    yield PackageId(name)

    def location(self, package: str) -> Location:
        """Where the files of a package are. Raises `NotFound`; `PackageError` where what is kept of it is damaged."""
        path = self.root / PackageId(package).hex / LOCATION
        try:
            with open(long_path(path), "rb") as file:
                return Location.from_bytes(file.read())
        except FileNotFoundError as error:
            raise NotFound("this package is not adopted", where=package) from error
        except OSError as error:
            raise PackageError(f"cannot be read: {error.strerror or error}", where=str(path)) from error

    def bundle(self, package: str) -> AdoptedBundle:
        """An adopted package, to be read. Raises `NotFound` and `PackageError`."""
        location = self.location(package)
        return AdoptedBundle(self.bag(package), location.root, location.mapping)

    def bag(self, package: str) -> Path:
        """The folder with the sealed files."""
        return self.root / PackageId(package).hex / "bag"

    def knows_tree(self, tree: str) -> bool:
        """Whether some adopted package has these paths and sizes."""
        return self._store.knows_tree(tree)

    def bundles(self, payload: str) -> Iterator[AdoptedBundle]:
        """Adopted packages that hold a payload."""
        for package in self.find_payload(payload):
            with contextlib.suppress(NotFound, PackageError):
                yield self.bundle(package)

    def find_payload(self, payload: str) -> Iterator[PackageId]:
        """The same, their ids."""
        known = set(self.ids())
        for name, _ in self._store.hints.of_payload(payload):
            with contextlib.suppress(Exception):
                if (package := PackageId(name)) in known:
                    yield package

    # -- writing, in the node's folder only ------------------------------------------------------------------------

    def stage(self) -> Stage:
        """Open a stage. Raises `StoreError`."""
        return self._store.stage()

    def publish(self, stage: Stage, location: Location, payload: str, tree: str) -> None:
        """Give a sealed stage its name, or its location to what is there already. `tree`: see `tree_digest`."""
        target = self.root / location.package.hex
        with translated(self.url), FileLock(self._store.private / "publish.lock"):
            created = not os.path.lexists(long_path(target))
            self._store.hints.write(payload, location.package, f"{location.package.hex}/bag", tree)
            write_whole(stage.folder / LOCATION if created else target / LOCATION, location.to_bytes())
            if created:
                patiently(lambda: os.rename(long_path(stage.folder), long_path(target)))
            flush_folder(long_path(self.root))  # whoever gave it may have failed in that
        with contextlib.suppress(OSError):
            restrict(str(target / "bag"))
        with contextlib.suppress(OSError):
            stage.discard()

    def relocate(self, location: Location) -> None:
        """Note where the files of an adopted package are now. Raises `NotFound` and `StoreError`."""
        folder = self.root / location.package.hex
        if not os.path.isdir(long_path(folder)):
            raise NotFound("this package is not adopted", where=str(location.package))
        write_whole(folder / LOCATION, location.to_bytes())
        with translated(self.url):
            flush_folder(long_path(self.root))  # as of `publish`: whoever gave the name may have failed in that

    def forget(self, package: str, payload: str) -> None:
        """Remove what is kept of an adopted folder. The folder itself stays as it is. Raises `StoreError`."""
        folder = self.root / PackageId(package).hex
        with translated(self.url, "it was not forgotten"), FileLock(self._store.private / "publish.lock"):
            self._store.hints.drop_one(payload, PackageId(package))
            with contextlib.suppress(FileNotFoundError):  # without its location it is none any more
                os.unlink(long_path(folder / LOCATION))
            remove_tree(folder)

    def sweep(self) -> list[Swept]:
        """Remove what dead writers left, and say which."""
        return self._store.sweep_stages()


# -- where the files are ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stamp:
    """What changes when a file changes."""

    size: int
    #: Nanoseconds since 1970.
    mtime_ns: int
    #: The file's number in its file system; 0 where it is not known, `UNSTEADY` where it is not to be relied on.
    number: int = 0

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        return cls(status.st_size, status.st_mtime_ns, status.st_ino)

    def fits(self, other: Stamp) -> bool:
        """Whether nothing speaks for a change; numbers are compared where both are known."""
        known = self.number > 0 and other.number > 0
        return (not known or self.number == other.number) and (self.size, self.mtime_ns) == (other.size, other.mtime_ns)


#: The stamp of a file that was not there.
NOT_THERE: Final = Stamp(-1, 0)


@dataclass(frozen=True, slots=True)
class AdoptedFile:
    """One file of an adopted folder."""

    #: Its path relative to the folder, as the file system's bytes.
    name: bytes
    #: How it looked when its bytes were last known to be those of the package.
    stamp: Stamp
    #: How it looked when they were last seen to be others, so that nobody reads it again to find that out;
    #: `NOT_THERE` where they were last seen to be nowhere.
    edited: Stamp | None = None


@dataclass(frozen=True, slots=True)
class Location:
    """Where the payload of an adopted package is."""

    package: PackageId
    #: What the package is called in a store: ``2026/20260314-…``.
    path: str
    #: The folder, absolute.
    root: str
    #: The folder's number in its file system, by which it is found where it was renamed; 0 where not known.
    number: int
    #: Bag path (``data/…``) of every file of the payload to where it is.
    files: Mapping[str, AdoptedFile]

    @classmethod
    def of(
        cls, package: PackageId, path: str, root: str, entries: Iterable[FileEntry], names: Mapping[str, bytes]
    ) -> Location:
        """The files where they were found.

        The entries are the payload as it was read: a file gets a number only if it still looks as it did then.
        `names` has paths in the folder that are not the original ones: a copy may compose accents in another way.
        """
        files = {}
        for entry in entries:
            name = names.get(entry.path, entry.original_name)
            stamp = Stamp(entry.size, entry.mtime_ns)
            now = stamp_of(root, name)
            files[entry.path] = AdoptedFile(name, now if now is not None and stamp.fits(now) else stamp)
        return cls(package, path, root, number_of(root), files)

    @property
    def mapping(self) -> dict[str, bytes]:
        """Bag path of every file to its path in the folder."""
        return {path: file.name for path, file in self.files.items()}

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
        lines = ",\n".join(json.dumps(_row(path, file), ensure_ascii=False) for path, file in self.files.items())
        return (json.dumps(head, ensure_ascii=False)[:-1] + ',\n"files": [\n' + lines + "\n]}\n").encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Location:
        """What `to_bytes` wrote. Raises `PackageError`."""
        try:
            document = json.loads(data)
            known = document["format"] == FORMAT
            location = cls(
                package=PackageId(document["package"]),
                path=str(document["path"]),
                root=os.fsdecode(unquote_to_bytes(document["root"])),
                number=int(document["number"]),
                files=dict(_file(row) for row in document["files"]),
            )
        except Exception as error:
            raise PackageError("cannot be understood", where="location.json", next=_NEXT) from error
        if not known:
            raise PackageError("is of another version", where="location.json", next=_NEXT)
        return location


def _row(path: str, file: AdoptedFile) -> list[Any]:
    name = None if file.name == path.removeprefix("data/").encode() else quote_from_bytes(file.name)
    row = [path, astuple(file.stamp), name, None if file.edited is None else astuple(file.edited)]
    return row[: 4 if file.edited else 3 if name is not None else 2]


def _file(row: list[Any]) -> tuple[str, AdoptedFile]:
    path, stamp, name, edited = [*row, None, None][:4]
    original = str(path).removeprefix("data/").encode() if name is None else unquote_to_bytes(name)
    return str(path), AdoptedFile(original, _stamp(stamp), None if edited is None else _stamp(edited))


def _stamp(numbers: list[Any]) -> Stamp:
    size, mtime_ns, number = map(int, numbers)
    return Stamp(size, mtime_ns, number)


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
