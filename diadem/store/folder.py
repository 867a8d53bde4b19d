"""Packages in a folder of this machine's file systems: a disk, or a share that is mounted.

::

    <store>/2026/20260314-zno-s12-1f0c9a77d2e4/     a package
    <store>/.diadem/stage/<random>/                 one being written, with its lock beside it
    <store>/.diadem/removals/<random>.json          one being removed where it cannot be moved away
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import stat
import uuid
from collections.abc import Callable, Container, Iterable, Iterator
from functools import partial
from pathlib import Path

from diadem.errors import DiademError, NotFound, Refused, StoreError, Unreachable
from diadem.model.manifest import TAGMANIFEST, FileEntry, PackageId
from diadem.model.ports import Bundle, Listener
from diadem.model.report import Level
from diadem.package.examine import LIMITS, TagFiles
from diadem.store import mend
from diadem.store.bags import LocalBundle
from diadem.store.contract import Added, Capabilities, Pace, Stored, Swept, proof_of
from diadem.store.disks import disk_of
from diadem.store.own_files import FolderFiles, sweep_parity
from diadem.store.package_copy import Contents, refuse_path
from diadem.store.stage import FolderDraft, Stage, StagedCopy, lock_path, remove_tree, restrict, sweep
from diadem.store.store import BaseStore, numbered, stored
from diadem.store.system import (
    FileLock,
    allow,
    flush_folder,
    long_path,
    or_else,
    patiently,
    read_plain,
    refuse_links,
    store_error,
    through_link,
    translated,
)
from diadem.store.whole import make_folders, write_whole

#: Room kept for what DIADEM derives, beside the payload: page, crate, record, tag files.
RESERVE = 16 << 20
#: What the system says of a disk or share that has gone.
_GONE = {
    getattr(errno, name)
    for name in ("EIO", "ESTALE", "EHOSTDOWN", "EHOSTUNREACH", "ENOTCONN", "ETIMEDOUT", "ENODEV", "ENXIO", "EREMOTEIO")
    if hasattr(errno, name)
}


class FolderStore(BaseStore):
    """A store in a folder, which is made when it is first written to."""

    is_folder = True
    recheck = Level.LEAVES

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(os.path.abspath(root))
        self.private = self.root / ".diadem"
        self._files = FolderFiles(self.private)
        self._capabilities: Capabilities | None = None
        super().__init__(self._files)

    def drop_hints(self, opened: TagFiles | None, path: str) -> None:
        """One that stays does no harm here: it is checked before it is believed, and nothing is swept by it."""
        with contextlib.suppress(DiademError, OSError):
            super().drop_hints(opened, path)

    @property
    def url(self) -> str:
        return str(self.root)

    # -- what it is ------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """See `Store.check`. Where one of its own folders is a link, what that points to is not the store's."""
        try:
            with os.scandir(long_path(self.root)) as entries:
                next(entries, None)
            refuse_links(self.root, self.private)
            with contextlib.suppress(FileNotFoundError), os.scandir(long_path(self.private)) as entries:
                for entry in entries:
                    if not entry.is_file(follow_symlinks=False):
                        refuse_links(self.private, self.private / entry.name)
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
            raise store_error(error, self.url, "") from error

    def capabilities(self) -> Capabilities:
        if self._capabilities is None or not self._capabilities.writes:  # a disk may be mounted anew for writing
            self._capabilities = Capabilities(
                creates=True, replaces=False, checks_objects=False, checks_parts=False, writes=self._is_writable()
            )
        return self._capabilities

    def _is_writable(self) -> bool:
        probe = self.private / "probe" / uuid.uuid4().hex
        try:
            os.makedirs(long_path(probe.parent), exist_ok=True)
            with open(long_path(probe), "xb"):
                pass
            os.unlink(long_path(probe))
        except OSError:
            return False
        return True

    def space(self) -> tuple[int, int] | None:
        try:
            usage = shutil.disk_usage(long_path(self.root))
        except OSError:
            return None
        return usage.free, usage.total

    def check_space(self, needed: int) -> None:
        """Raise `StoreError` if the store cannot be written to, or its disk cannot hold `needed` more bytes."""
        with translated(self.url):
            folder = next(path for path in (self.root, *self.root.parents) if path.is_dir())
            if not os.access(folder, os.W_OK):
                raise store_error(OSError(errno.EROFS, ""), str(folder))
            free = shutil.disk_usage(folder).free
        if needed + RESERVE > free:
            raise StoreError(
                f"the disk has {free:,} bytes free; the payload needs {needed:,}, the rest up to {RESERVE:,}",
                where=self.url,
                next="Free space, or choose another store.",
            )

    def place(self) -> str | None:
        try:
            return disk_of(self.root)
        except OSError:
            return None

    # -- packages --------------------------------------------------------------------------------------------------

    def folders(self, path: str) -> Iterable[str]:
        try:
            with os.scandir(long_path(self._at(path) if path else self.root)) as entries:
                return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        except OSError:
            if path:
                return []
            self.check()
            raise

    def tagmanifest_at(self, path: str) -> bytes | None:
        """What cannot be read, or lies behind a link, is none."""
        return None if through_link(self.root, self._at(path)) is not None else self._tagmanifest(path)

    def _tagmanifest(self, path: str) -> bytes | None:
        with contextlib.suppress(OSError, ValueError):
            data = read_plain(self._at(path) / TAGMANIFEST, LIMITS[TAGMANIFEST] + 1)
            return data if len(data) <= LIMITS[TAGMANIFEST] else None
        return None

    def look(self, paths: Iterator[str]) -> Iterator[tuple[str, Stored | None]]:
        """Links are not looked for again: `folders` has left them out."""
        return ((path, stored(path, self._tagmanifest(path))) for path in paths)

    def bundle(self, path: str) -> LocalBundle:
        return LocalBundle(self._package(path))

    def is_taken(self, path: str) -> bool:
        return os.path.lexists(long_path(self._at(path)))

    def packages_since(self, moment: float, until: float) -> Iterator[tuple[PackageId, str]]:
        """Packages that a writer here has published between two moments, in seconds since 1970, by the hints alone.

        The packages themselves are not listed: a large store has many, and a hint is written for each before it is
        visible. What somebody copied in has none.
        """
        with contextlib.suppress(OSError), os.scandir(long_path(self.private / "by-payload")) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    if moment <= entry.stat(follow_symlinks=False).st_mtime <= until:
                        yield from self.find(entry.name)

    def write_leaf(self, path: str, entry: FileEntry, leaf: int, leaf_size: int, data: bytes) -> None:
        mend.replace_leaf(self.root, path, entry, leaf, leaf_size, data)

    def replace_file(self, path: str, file: str, blocks: Iterable[bytes], size: int, mtime_ns: int | None) -> None:
        mend.replace_file(self.root, path, file, blocks, size, mtime_ns)

    def put_readme(self, text: str) -> None:
        with translated(self.url, "the README was not written"):
            make_folders(self.root)
            write_whole(self.root / "README.txt", text.encode())

    def _at(self, path: str) -> Path:
        return self.root.joinpath(*path.split("/"))

    def _package(self, path: str) -> Path:
        """The folder of a package, behind no link."""
        refuse_path(path)
        return refuse_links(self.root, self._at(path))

    # -- adding: stage, seal, publish by one rename ----------------------------------------------------------------

    def draft(self) -> FolderDraft:
        return FolderDraft(self)

    def receive(
        self,
        source: Bundle,
        cargo: Contents,
        path: str,
        is_sound: Callable[[str], bool],
        *,
        listener: Listener,
        pace: Pace | None,
    ) -> Added:
        """Hashed as it is written to a stage."""
        self.check_space(cargo.size)
        stage, opened = self.stage(), cargo.opened
        with or_else(stage.discard):
            StagedCopy(source, cargo, stage, listener, pace).run(self.url)
            return self.publish(stage, path, opened.id, opened.payload_id, cargo.tree, is_sound)

    def stage(self) -> Stage:
        """Open a stage. Raises `StoreError`."""
        with translated(self.url):
            os.makedirs(long_path(refuse_links(self.root, self.private / "stage")), exist_ok=True)
            while True:
                folder = self.private / "stage" / uuid.uuid4().hex
                lock = FileLock(lock_path(folder))
                if lock.acquire():  # else a sweeper looked at the new lock in this very moment
                    break
            stage = Stage(folder, lock)
            with or_else(stage.discard):
                os.makedirs(long_path(stage.bag))
        return stage

    def publish(
        self, stage: Stage, name: str, package: PackageId, payload: str, tree: str, is_sound: Callable[[str], bool]
    ) -> Added:
        """Give a sealed stage its final name, unless another writer was faster.

        A number is added to the name where a damaged package or a stranger has it. `is_sound` tells whether the package
        at a path is whole; a damaged one does not stop this one. Where a sound one was there the stage is dropped.
        """
        damaged: set[tuple[PackageId, str]] = set()
        added = None
        while added is None:
            # Judged before the lock is taken: a package that is damaged is read to its end, and nobody waits for that.
            for found in self.find(payload):
                if found not in damaged and is_sound(found[1]):
                    self.flush_name(found[1])
                    added = Added(found[1], False, proof_of(self.recheck))
                    break
                damaged.add(found)
            else:
                with translated(self.url), FileLock(self.private / "publish.lock"):
                    if damaged.issuperset(self.find(payload)):  # else another writer was faster
                        added = Added(self._give_name(stage, name, package, payload, tree), True, "written")
        # From the rename on the package is there: what is left to tidy must not look like a failure.
        with contextlib.suppress(OSError):
            stage.discard()
        return added

    def _give_name(self, stage: Stage, name: str, package: PackageId, payload: str, tree: str) -> str:
        path = next((each for each in numbered(name) if not self.is_taken(each)), None)
        if path is None:
            raise StoreError(f"every name like {name} is taken", where=self.url)
        target = self._at(path)
        refuse_links(self.root, target.parent)
        os.makedirs(long_path(target.parent), exist_ok=True)
        self.hints.write(payload, package, path, tree)
        flush_folder(long_path(self.root))
        patiently(lambda: os.rename(long_path(stage.bag), long_path(target)))
        with contextlib.suppress(OSError):
            restrict(str(target))
        self.flush_name(path)
        return path

    def flush_name(self, path: str) -> None:
        with translated(self.url, "the package is there, and may be gone after a power cut"):
            for folder in list(self._at(path).parents)[:2]:
                flush_folder(long_path(folder))

    # -- removing: it vanishes by one rename; what is left to delete is a stage like any other ----------------------

    def require_package(self, path: str) -> None:
        """By its tag manifest, whatever its state."""
        folder = self._package(path)
        if not os.path.isdir(long_path(folder)):
            raise NotFound("there is no package", where=str(folder), next="Nothing to do.")
        if not os.path.isfile(long_path(folder / TAGMANIFEST)):
            advice = "Remove it by hand."
            raise Refused("it has no tag manifest, so it is not a package", where=str(folder), next=advice)

    def erase(self, path: str) -> None:
        """And the folder of its year, if nothing else is in it."""
        folder = self._package(path)
        with translated(str(folder), "the package may still be there"):
            stage = self.stage()
            with or_else(stage.discard):
                os.rmdir(long_path(stage.bag))
                mode = stat.S_IMODE(os.stat(long_path(folder)).st_mode)
                allow(long_path(folder), mode | stat.S_IRWXU)
                try:
                    patiently(lambda: os.rename(long_path(folder), long_path(stage.bag)))
                except OSError:  # Windows, while another program has a file of it open
                    self.erase_in_place(path)
                flush_folder(long_path(folder.parent))
            with contextlib.suppress(OSError):  # the package is gone; what is left of it is swept
                stage.discard()
            _prune(self.root, folder)

    def erase_in_place(self, path: str) -> None:
        """Remove a package where it lies: the tag manifest first, after a note that lets `sweep` finish it."""
        folder = self._package(path)
        note = self.private / "removals" / f"{hashlib.sha256(path.encode()).hexdigest()}.json"
        make_folders(note.parent)
        write_whole(note, json.dumps({"path": path}).encode())
        if os.name == "nt":
            os.chmod(long_path(folder / TAGMANIFEST), stat.S_IWRITE)
        patiently(lambda: os.unlink(long_path(folder / TAGMANIFEST)))
        flush_folder(long_path(folder))
        remove_tree(folder)
        patiently(lambda: os.unlink(long_path(note)))

    # -- what the dead have left -----------------------------------------------------------------------------------

    def sweep(self, *, keep: Container[str] = ()) -> list[Swept]:
        self._files.sweep()
        with contextlib.suppress(OSError, DiademError):
            mend.settle(self.root)
        return [*self.sweep_stages(), *sweep_parity(self.root), *self._finish_removals(keep)]

    def sweep_stages(self) -> list[Swept]:
        return sweep(self.private / "stage")

    def _finish_removals(self, keep: Container[str]) -> list[Swept]:
        """Go on with removals in place that were not ended; a package that is whole again, or known, stays."""
        swept = []
        notes = self.private / "removals"
        if through_link(self.root, notes) is not None:
            return []
        try:
            names = sorted(os.listdir(long_path(notes)))
        except OSError:
            return []
        for name in names:
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError, DiademError):
                path = str(json.loads(read_plain(notes / name, 4096))["path"])
                folder = self._package(path)
                begun = os.path.isdir(long_path(folder)) and not os.path.lexists(long_path(folder / TAGMANIFEST))
                if begun and path not in keep:
                    swept.append(Swept(str(folder), remove_tree(folder)))
                os.unlink(long_path(notes / name))
        return swept


def remove_empty(root: Path, path: str) -> None:
    """Remove what is left of a package that somebody has emptied: folders, and no file.

    Raises `StoreError` if the store cannot be written to, or there is a file after all.
    """
    refuse_path(path)
    folder = refuse_links(root, root.joinpath(*path.split("/")))
    with translated(str(folder), "the empty folder may still be there"):
        for inner, _, _ in os.walk(long_path(folder)):
            allow(inner, stat.S_IRWXU)
        for inner, _, _ in os.walk(long_path(folder), topdown=False):
            patiently(partial(os.rmdir, inner))
        _prune(root, folder)


def _prune(root: Path, folder: Path) -> None:
    """Remove the folder of a package's year, if nothing else is in it."""
    with contextlib.suppress(OSError):
        for parent in folder.relative_to(root).parents:
            if parent.parts:
                os.rmdir(long_path(root / parent))
