"""A package as a file system of fsspec, so that programs which know nothing of packages read its files, proven.

Whatever takes a file system, a mapper or an open file (zarr, xarray, pandas, h5py, tifffile, Dask) reads through this:
a byte that is not what was archived raises `DigestMismatch`, in every way of reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from fsspec.spec import AbstractFileSystem

from diadem.errors import NotFound, Refused

if TYPE_CHECKING:
    from diadem.archive.package import Package
    from diadem.archive.verified_file import VerifiedFile
    from diadem.model.manifest import FileEntry


class ReadOnlyFileSystem(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """What all file systems of packages are: a tree of files that never change. A subclass gives `entry` and `_open`.

    Its errors are DIADEM's; a `NotFound` is a `FileNotFoundError`, as fsspec wants one.
    """

    protocol = "diadem"
    root_marker = ""

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        """Return the bytes of a file from `start` to `end`; negative numbers count from the end, as in a slice.

        Raises
        ------
        NotFound
            There is no such file.
        DigestMismatch
            They are not what was archived.
        """
        with self._open(self._strip_protocol(path)) as file:
            first, stop, _step = slice(start, end).indices(file.size)
            return bytes(file.read_at(first, max(0, stop - first)))

    def cat(self, path: Any, recursive: bool = False, on_error: str = "raise", **options: Any) -> Any:
        """Return the bytes of files; see fsspec. Damage raises whatever `on_error` says.

        Zarr leaves out what cannot be read, and would take a damaged chunk for one that was never written.
        """
        if on_error == "raise":
            return super().cat(path, recursive, on_error, **options)
        found = super().cat(path, recursive, "return", **options)
        if not isinstance(found, dict):
            return found
        _raise_damage(found.values())
        return {key: data for key, data in found.items() if on_error == "return" or isinstance(data, bytes)}

    def cat_ranges(self, *arguments: Any, **options: Any) -> list[Any]:
        """Return the bytes of parts of files; see fsspec. Damage raises whatever `on_error` says."""
        found = super().cat_ranges(*arguments, **options)
        _raise_damage(found)
        return list(found)

    def ukey(self, path: str) -> str:
        """Return the SHA-256 of a file, which never changes."""
        return str(self._of_file(path)["sha256"])

    def checksum(self, path: str) -> int:
        """Return the SHA-256 as a number, as fsspec wants it."""
        return int(self.ukey(path), 16)

    def modified(self, path: str) -> datetime:
        """Return when the original was last modified, according to its file system."""
        return datetime.fromtimestamp(self._of_file(path)["mtime"], UTC)

    def _of_file(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = self.info(path)
        if found["type"] == "directory":
            raise is_folder(path)
        return found

    def _refused(self, *_: Any, **__: Any) -> NoReturn:
        raise Refused("a package never changes", next="Archive what is new: node.archive(folder), node.derive(result).")

    mkdir = makedirs = rmdir = rm_file = _rm = rm = cp_file = mv = pipe_file = put_file = touch = _refused


def is_folder(path: str) -> NotFound:
    """The error of who asks of a folder what only a file has."""
    return NotFound("this is a folder", where=path, next="Name a file in it: fs.ls(…).")


def _raise_damage(found: Iterable[Any]) -> None:
    """Raise what is no mere absence among bytes and errors."""
    for one in found:
        if isinstance(one, Exception) and not isinstance(one, FileNotFoundError):
            raise one


class PackageFileSystem(ReadOnlyFileSystem):
    """The files of one package; paths are those of `Package.files` without ``data/``, or ``<id>/<path>``.

    Parameters
    ----------
    package : Package
        The package.
    """

    cachable = False

    def __init__(self, package: Package, **options: Any) -> None:
        super().__init__(package, **options)
        self.package = package

    def __repr__(self) -> str:
        """Which package it is."""
        return f"<PackageFileSystem of {self.package.id[:19]}…>"

    @cached_property
    def _folders(self) -> Mapping[str, dict[str, FileEntry | None]]:
        """What lies in each folder, by its path; None for a folder."""
        found: dict[str, dict[str, FileEntry | None]] = {"": {}}
        for entry in self.package.files:
            path, item = entry.name, entry
            folder, _, name = path.rpartition("/")
            known = folder in found
            found.setdefault(folder, {})[name] = item
            while folder and not known:
                above, _, name = folder.rpartition("/")
                known = above in found
                found.setdefault(above, {})[name] = None
                folder = above
        return found

    def unstrip_protocol(self, name: str) -> str:
        """``diadem://<id>/<path>``."""
        return f"diadem://{self.package.id.hex}/{self._own(name)}"

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """List a folder. Raises `NotFound`."""
        own = self._own(path)
        if own in self._folders:
            prefix = f"{own}/" if own else ""
            found = [_facts(prefix + name, entry) for name, entry in sorted(self._folders[own].items())]
        else:
            found = [self.info(own)]
        return found if detail else [one["name"] for one in found]

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Return name, size, type, SHA-256 and time of a file, or name and type of a folder. Raises `NotFound`."""
        own = self._own(path)
        if own in self._folders:
            return _facts(own, None)
        return _facts(own, self.package.find(own))

    def _open(self, path: str, mode: str = "rb", **_: Any) -> VerifiedFile:
        if mode != "rb":
            self._refused()
        own = self._own(path)
        if own in self._folders:
            raise is_folder(own)
        return self.package.open(own)

    def _own(self, path: str) -> str:
        """A path as the package has it."""
        own = str(self._strip_protocol(path)).strip("/")
        first, _, rest = own.partition("/")
        return rest if first == self.package.id.hex else own


def _facts(path: str, entry: FileEntry | None) -> dict[str, Any]:
    """What fsspec says of a file, or of a folder."""
    if entry is None:
        return {"name": path, "size": 0, "type": "directory"}
    told = {"name": path, "size": entry.size, "type": "file", "sha256": entry.sha256}
    return {**told, "mtime": entry.mtime_ns / 1e9}
