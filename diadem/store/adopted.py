"""Folders that are adopted where they lie: what DIADEM made of them is kept here, their files stay with their people.

::

    <node>/adopted/<64 hex of the package id>/bag/…          tag files, record, crate and page, sealed
    <node>/adopted/<64 hex of the package id>/location.json  where the folder is, and the place of every file in it
    <node>/adopted/.diadem/                                  hints and stages, as in a store

Nothing of an adopted folder is ever written: no file, no permission, no time.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from diadem.errors import NotFound, PackageError
from diadem.model.ids import PackageId
from diadem.model.ports import Listing, RangeReader
from diadem.store.bundle import LocalBundle, open_below
from diadem.store.folder import FolderStore
from diadem.store.local_errors import translated
from diadem.store.location import Location, path_below
from diadem.store.source import kind_of
from diadem.store.stage import Stage, Swept, remove_tree, restrict
from diadem.store.system import FileLock, flush_folder, long_path, patiently
from diadem.store.whole import write_whole

LOCATION = "location.json"
_RESCAN = "See what became of it: diadem rescan"


class AdoptedBundle:
    """An adopted package as a bag: sealed files from the node, the payload from the folder in which people keep it.

    It is a package like any other: it can be verified, opened, restored, and copied into a store, where it has the
    same id. What else lies in the folder is not part of it.

    Parameters
    ----------
    sealed_folder : path
        Holds the tag files and the three files that DIADEM derives.
    source_root : path
        The adopted folder.
    mapping : mapping of str to bytes
        Bag path of every file of the payload to its path in the folder, as the file system's bytes.

    Raises
    ------
    NotFound, PackageError
        If the sealed files are not there.
    """

    def __init__(
        self,
        sealed_folder: str | os.PathLike[str],
        source_root: str | os.PathLike[str],
        mapping: Mapping[str, bytes],
    ) -> None:
        self._sealed = LocalBundle(sealed_folder)
        self._root = os.path.abspath(source_root)
        self._mapping = mapping

    @property
    def url(self) -> str:
        """The adopted folder."""
        return self._root

    @property
    def sealed(self) -> LocalBundle:
        """What the node keeps of it."""
        return self._sealed

    def listing(self) -> Listing:
        """The sealed files, and those of the payload that are there."""
        sealed = self._sealed.listing()
        files, irregular = dict(sealed.files), dict(sealed.irregular)
        for path, name in self._mapping.items():
            try:
                status = os.lstat(path_below(self._root, name))
            except (FileNotFoundError, NotADirectoryError):
                continue
            except (OSError, ValueError):
                irregular[path] = "unreadable"
                continue
            if (kind := kind_of(status)) == "file":
                files[path] = status.st_size
            else:
                irregular[path] = kind
        return Listing(files, irregular)

    def exists(self, path: str) -> bool:
        """Whether a regular file is there."""
        try:
            self.open(path).close()
        except (NotFound, PackageError):
            return False
        return True

    def read(self, path: str, limit: int) -> bytes:
        """The whole of a small file.

        Raises
        ------
        NotFound
            If it is absent.
        PackageError
            If it has more than `limit` bytes, is no regular file or cannot be read.
        """
        if path not in self._mapping:
            return self._sealed.read(path, limit)
        with self.open(path) as file:
            if file.size > limit:
                raise PackageError(f"has {file.size} bytes, more than the {limit} allowed here", where=path)
            try:
                return file.read_at(0, limit)
            except OSError as error:
                raise PackageError(f"cannot be read: {error.strerror or error}", where=path) from error

    def open(self, path: str) -> RangeReader:
        """Random access to a file.

        Raises
        ------
        NotFound
            If it is absent: moved, renamed or deleted by its people, or the folder's disk is not there.
        PackageError
            If it, or a folder above it, is a link, or the system refuses to open it.
        """
        name = self._mapping.get(path)
        if name is None:
            return self._sealed.open(path)
        parts = os.fsdecode(name).split("/")
        if any(part in ("", ".", "..") or "\0" in part for part in parts):
            raise PackageError("is not opened: its path leads out of the folder", where=path, next=_RESCAN)
        try:
            return open_below(long_path(self._root), parts, path)
        except FileNotFoundError as error:
            missing = (
                "is not in the adopted folder" if os.path.isdir(long_path(self._root)) else "the folder is not there"
            )
            raise NotFound(missing, where=os.path.join(self._root, *parts), next=_RESCAN) from error


@dataclass(frozen=True, slots=True)
class Publication:
    """What `AdoptedFolders.publish` did: the bag with the sealed files, and whether this call put it there."""

    bag: Path
    created: bool


class AdoptedFolders:
    """What a node keeps of the folders that it adopted.

    Parameters
    ----------
    root : Path
        ``<node>/adopted``; made when the first folder is adopted.
    """

    def __init__(self, root: Path) -> None:
        self._store = FolderStore(root)
        self.root = self._store.root

    @property
    def url(self) -> str:
        """The folder as text."""
        return self._store.url

    # -- finding ---------------------------------------------------------------------------------------------------

    def ids(self) -> Iterator[PackageId]:
        """Every adopted package, sorted."""
        with contextlib.suppress(OSError):
            for name in sorted(os.listdir(long_path(self.root))):
                if len(name) == 64 and os.path.isfile(long_path(self.root / name / LOCATION)):
                    yield PackageId(name)

    def location(self, package: str) -> Location:
        """Where the files of a package are.

        Raises
        ------
        NotFound
            It is not adopted.
        PackageError
            What is kept of it is damaged.
        """
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

    def publish(self, stage: Stage, location: Location, payload: str, tree: str) -> Publication:
        """Give a sealed stage its name, or its location to what is there already.

        Parameters
        ----------
        stage : Stage
            Sealed.
        location : Location
            Where the payload is.
        payload, tree : str
            Payload id, and digest of paths and sizes (see `tree_digest`).
        """
        target = self.root / location.package.hex
        with translated(self.url), FileLock(self._store.private / "publish.lock"):
            created = not os.path.lexists(long_path(target))
            self._store.hints.write(payload, location.package, f"{location.package.hex}/bag", tree)
            write_whole(stage.folder / LOCATION if created else target / LOCATION, location.to_bytes())
            if created:
                patiently(lambda: os.rename(long_path(stage.folder), long_path(target)))
                flush_folder(long_path(self.root))
        with contextlib.suppress(OSError):
            restrict(str(target / "bag"))
        with contextlib.suppress(OSError):
            stage.discard()
        return Publication(target / "bag", created)

    def relocate(self, location: Location) -> None:
        """Note where the files of an adopted package are now. Raises `NotFound` and `StoreError`."""
        folder = self.root / location.package.hex
        if not os.path.isdir(long_path(folder)):
            raise NotFound("this package is not adopted", where=str(location.package))
        write_whole(folder / LOCATION, location.to_bytes())

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
