"""Packages in a folder of this machine's file systems: a disk, or a share that is mounted."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import uuid
from collections.abc import Container, Iterable, Iterator
from pathlib import Path

from diadem.errors import DiademError, NotFound, Refused, StoreError, Unreachable
from diadem.model.ids import PackageId
from diadem.model.manifest import LEAF_SIZE, TAGMANIFEST, FileEntry
from diadem.model.ports import Bundle, Listener, silent
from diadem.package.examine import LIMITS, TagFiles
from diadem.store import folder_adding, folder_removing, mending, taking
from diadem.store.bundle import LocalBundle
from diadem.store.contract import Added, Capabilities, Pace, Stored
from diadem.store.links import read_plain, refuse_links
from diadem.store.local_errors import translated
from diadem.store.local_hints import renew_hint
from diadem.store.local_store import LocalStore
from diadem.store.own_files import OwnFiles, make_folders
from diadem.store.parity_file import sweep_parity
from diadem.store.places import place_of
from diadem.store.stage import Swept
from diadem.store.system import long_path
from diadem.store.whole import write_whole

#: What the system says of a disk or share that has gone.
_GONE = {
    getattr(errno, name)
    for name in ("EIO", "ESTALE", "EHOSTDOWN", "EHOSTUNREACH", "ENOTCONN", "ETIMEDOUT", "ENODEV", "ENXIO", "EREMOTEIO")
    if hasattr(errno, name)
}


class FolderStore:
    """A store in a folder. Implements `diadem.store.contract.Store`.

    Parameters
    ----------
    root : str or os.PathLike
        The folder; made when it is first written to.
    """

    is_folder = True

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.local = LocalStore(Path(root))
        self._own = OwnFiles(self.local.private)
        self._capabilities: Capabilities | None = None

    @property
    def root(self) -> Path:
        """The folder, absolute."""
        return self.local.root

    @property
    def url(self) -> str:
        """The folder as text."""
        return self.local.url

    # -- what it is ------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """See `Store.check`."""
        try:
            with os.scandir(long_path(self.root)) as entries:
                next(entries, None)
            self._check_own()
        except FileNotFoundError as error:
            advice = "Plug the disk in, mount the share, or correct the path."
            raise NotFound("the store's folder is not there", where=self.url, next=advice) from error
        except NotADirectoryError as error:
            raise StoreError("the store is not a folder", where=self.url, next="Name a folder.") from error
        except PermissionError as error:
            raise Refused(
                "you have no permission to read the store", where=self.url, next="Check the permissions."
            ) from error
        except OSError as error:
            if error.errno in _GONE:
                advice = "Check the disk or the network."
                raise Unreachable(f"the store fails: {error.strerror}", where=self.url, next=advice) from error
            raise StoreError(error.strerror or str(error), where=self.url) from error

    def _check_own(self) -> None:
        """Raise `StoreError` where one of the store's own folders is a link: what it points to is not the store's."""
        refuse_links(self.root, self.local.private)
        with contextlib.suppress(FileNotFoundError), os.scandir(long_path(self.local.private)) as entries:
            for entry in entries:
                if not entry.is_file(follow_symlinks=False):
                    refuse_links(self.local.private, self.local.private / entry.name)

    def capabilities(self) -> Capabilities:
        """See `Store.capabilities`."""
        if self._capabilities is None or not self._capabilities.writes:  # a disk may be mounted anew for writing
            self._capabilities = Capabilities(
                creates=True, replaces=False, checks_objects=False, checks_parts=False, writes=self._is_writable()
            )
        return self._capabilities

    def _is_writable(self) -> bool:
        probe = self.local.private / "probe" / uuid.uuid4().hex
        try:
            os.makedirs(long_path(probe.parent), exist_ok=True)
            with open(long_path(probe), "xb"):
                pass
            os.unlink(long_path(probe))
        except OSError:
            return False
        return True

    def free(self) -> int | None:
        """See `Store.free`."""
        try:
            return shutil.disk_usage(long_path(self.root)).free
        except OSError:
            return None

    def total(self) -> int | None:
        """See `Store.total`."""
        try:
            return shutil.disk_usage(long_path(self.root)).total
        except OSError:
            return None

    def place(self) -> str | None:
        """See `Store.place`."""
        try:
            return place_of(self.root)
        except OSError:
            return None

    # -- packages --------------------------------------------------------------------------------------------------

    def packages(self) -> Iterator[Stored]:
        """See `Store.packages`."""
        for path in self._folders(""):
            if (stored := self._stored(path)) is not None:
                yield stored
                continue
            for inner in self._folders(path):
                if (stored := self._stored(inner)) is not None:
                    yield stored

    def _folders(self, path: str) -> Iterator[str]:
        top = self.root.joinpath(*path.split("/")) if path else self.root
        start = f"{path}/" if path else ""
        try:
            with os.scandir(long_path(top)) as entries:
                names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        except OSError:
            if path:
                return
            self.check()
            raise
        yield from (start + name for name in names if start or name not in {".diadem", "incoming"})

    def _stored(self, path: str) -> Stored | None:
        with contextlib.suppress(OSError):
            data = read_plain(self.root.joinpath(*path.split("/"), TAGMANIFEST), LIMITS[TAGMANIFEST] + 1)
            if len(data) <= LIMITS[TAGMANIFEST]:
                return Stored(PackageId(hashlib.sha256(data).hexdigest()), path)
        return None

    def bundle(self, path: str) -> LocalBundle:
        """See `Store.bundle`."""
        taking.refuse_path(path)
        return LocalBundle(refuse_links(self.root, self.root.joinpath(*path.split("/"))))

    def add(
        self,
        source: Bundle,
        opened: TagFiles,
        path: str,
        *,
        listener: Listener = silent,
        pace: Pace | None = None,
    ) -> Added:
        """See `Store.add`."""
        cargo = taking.load(source, opened)
        return folder_adding.add(self.local, source, cargo, path, listener=listener, pace=pace)

    def replace_leaf(self, path: str, entry: FileEntry, leaf: int, data: bytes, *, leaf_size: int = LEAF_SIZE) -> None:
        """See `Store.replace_leaf`."""
        mending.replace_leaf(self.root, path, entry, leaf, leaf_size, data)

    def replace_file(self, path: str, file: str, blocks: Iterable[bytes], size: int, mtime_ns: int | None) -> None:
        """See `Store.replace_file`."""
        mending.replace_file(self.root, path, file, blocks, size, mtime_ns)

    def remove(self, path: str) -> None:
        """See `Store.remove`."""
        folder_removing.remove(self.local, path)

    def sweep(self, *, keep: Container[str] = ()) -> list[Swept]:
        """See `Store.sweep`."""
        self._own.sweep()
        with contextlib.suppress(OSError, DiademError):
            mending.settle(self.root)
        return [*self.local.sweep(), *sweep_parity(self.root), *folder_removing.finish_removals(self.local, keep)]

    def write_hints(self, opened: TagFiles, path: str) -> None:
        """See `Store.write_hints`."""
        taking.refuse_path(path)
        with translated(self.url, "the hint was not written"):
            renew_hint(self.local.private, "by-payload", opened.payload_id, opened.id.hex, path)
            renew_hint(self.local.private, "by-tree", taking.tree_of(opened), opened.payload_id, "")

    # -- own files -------------------------------------------------------------------------------------------------

    def get(self, key: str) -> bytes | None:
        """See `Store.get`."""
        return self._own.get(key)

    def put(self, key: str, data: bytes, *, create: bool = False) -> bool:
        """See `Store.put`."""
        return self._own.put(key, data, create=create)

    def put_file(self, key: str, source: Path) -> None:
        """See `Store.put_file`."""
        self._own.put_file(key, source)

    def get_file(self, key: str, target: Path) -> bool:
        """See `Store.get_file`."""
        return self._own.get_file(key, target)

    def keys(self, prefix: str) -> Iterator[str]:
        """See `Store.keys`."""
        return self._own.keys(prefix)

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        self._own.delete(key)

    def put_readme(self, text: str) -> None:
        """See `Store.put_readme`."""
        with translated(self.url, "the README was not written"):
            make_folders(self.root)
            write_whole(self.root / "README.txt", text.encode())
