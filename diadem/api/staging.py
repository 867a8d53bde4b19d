"""Files that come from a browser or go to one: kept in the cache for as long, under names that are safe here.

::

    <cache>/page/<process>-<8 hex>/            one run of the page
    <cache>/page/<process>-<8 hex>/sent-<n>/   one upload, and in it the folders and files as they were sent
    <cache>/page/<process>-<8 hex>/made-<n>/   a ZIP that waits to be downloaded
    <cache>/page/<process>-<8 hex>.lock        held while the run lives

What a run that was killed has left is removed by the next.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from diadem.errors import NotFound, Refused, StoreError
from diadem.model.names import stored_names, twin_key
from diadem.model.plain_text import count_text, size_text
from diadem.store.system import FileLock, user_cache

#: Bytes of the disk that stay free: the node's log may lie on it too.
RESERVE: Final = 512 << 20
#: Bytes of an upload after which the room is looked at again: others write too, and not all say how much they send.
_CHECKED: Final = 64 << 20
#: Files of one upload.
MOST_FILES: Final = 100_000
#: Folders in each other; deeper ones are nobody's session.
_DEEPEST: Final = 64
#: Where files lie that come without a folder.
LOOSE: Final = "uploaded files"
_FULL: Final = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_INSTEAD: Final = "Choose the folder on this machine instead: it is archived without another copy. Or free space."


class Staging:
    """What one run of a page has been sent, and what it has made to be downloaded. Safe to use from several threads.

    It lies in the user's cache folder (``DIADEM_CACHE``); `freed` are the bytes of uploads that `sweep` has removed.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder: Final = folder or user_cache("page")
        self.freed = 0
        self._run: Path | None = None
        self._lock: FileLock | None = None
        self._made = 0
        self._guard = threading.Lock()

    def sweep(self) -> None:
        """Remove what runs have left that were killed."""
        with suppress(OSError):
            for left in sorted(self.folder.iterdir()):
                if not left.is_dir() or left == self._run:
                    continue
                lock = FileLock(left.with_name(f"{left.name}.lock"))
                if lock.acquire():  # else its page lives
                    self.freed += sum(path.lstat().st_size for path in left.glob("sent-*/**/*") if path.is_file())
                    shutil.rmtree(left, ignore_errors=True)
                    lock.remove()

    @property
    def room(self) -> int:
        """Bytes that can be sent now."""
        place = next(path for path in (self.folder, *self.folder.parents) if path.exists())
        return max(0, shutil.disk_usage(place).free - RESERVE)

    def begin(self, size: int = 0) -> Upload:
        """Make room for an upload of so many announced bytes. Raises `StoreError` where the disk has none."""
        return Upload(self.place("sent", size, next=_INSTEAD), lambda: self.room)

    def place(self, kind: str, size: int, *, next: str) -> Path:  # noqa: A002
        """A new folder for so many bytes of a kind (``sent``, ``made``); `next` is what is advised without room."""
        if size > (room := self.room):
            raise StoreError(
                f"the files have {size_text(size)}, and there is room for {size_text(room)}",
                where=str(self.folder),
                next=next,
            )
        try:
            with self._guard:
                if self._run is None:
                    run = self.folder / f"{os.getpid()}-{secrets.token_hex(4)}"
                    self.folder.mkdir(parents=True, exist_ok=True)
                    self._lock = FileLock(run.with_name(f"{run.name}.lock"))
                    self._lock.acquire()
                    run.mkdir(mode=0o700)
                    self._run = run
                self._made += 1
                folder = self._run / f"{kind}-{self._made}"
            folder.mkdir()
        except OSError as error:
            raise _failed(error, self.folder, next) from error
        return folder

    def close(self) -> None:
        """Remove all of it."""
        with self._guard:
            if self._run is not None:
                shutil.rmtree(self._run, ignore_errors=True)
            if self._lock is not None:
                self._lock.remove()
            self._run = self._lock = None


class Upload:
    """Files that were sent together, in a folder of their own; `room` tells the bytes that can still be written.

    `renamed` lists names that cannot be kept, and what they are here.
    """

    def __init__(self, folder: Path, room: Callable[[], int]) -> None:
        self.folder: Final = folder
        self._room, self._unchecked = room, 0
        self.files = self.bytes = 0
        self.renamed: list[tuple[str, str]] = []
        self._known: set[str] = set()

    @contextmanager
    def writing(self, name: bytes, modified: float | None = None) -> Iterator[Callable[[bytes], None]]:
        """What writes the pieces of a file: it is there when the block ends well, and else nothing of it is.

        `name` is the relative path as the browser has sent it, and nothing of it leads out of the folder; `modified` is
        in seconds since 1970. Raises `Refused` for too many files, `StoreError` where the disk cannot take it.
        """
        if self.files >= MOST_FILES:
            raise Refused(
                f"an upload has {count_text(MOST_FILES, 'file')} at most",
                next="Choose the folder on this machine instead, or upload it in parts.",
            )
        path = self.folder.joinpath(*self._safe(name))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:

                def write(piece: bytes) -> None:
                    self._unchecked += len(piece)
                    if self._unchecked >= _CHECKED:
                        self._unchecked = 0
                        self._require_room()
                    file.write(piece)

                yield write
                size = file.tell()
            if modified is not None:
                with suppress(OSError, OverflowError, ValueError):
                    os.utime(path, (modified, modified))
        except BaseException as error:
            with suppress(OSError):
                path.unlink()
            if isinstance(error, OSError):
                raise _failed(error, self.folder) from error
            raise
        self.files += 1
        self.bytes += size

    def _require_room(self) -> None:
        if not self._room():
            full = f"the disk is full but for the {size_text(RESERVE)} that stay free; nothing was kept"
            raise StoreError(full, where=str(self.folder), next=_INSTEAD)

    @property
    def source(self) -> Path:
        """What is to be archived: the folder that was sent, if it was one alone; else all of it."""
        inside = list(self.folder.iterdir())
        return inside[0] if len(inside) == 1 and inside[0].is_dir() else self.folder

    def discard(self) -> None:
        """Remove it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _safe(self, name: bytes) -> list[str]:
        """The parts of a path here: without ``..``, devices, forbidden characters, and never that of another file."""
        parts = [part for part in name.split(b"/") if part not in (b"", b".", b"..")] or [b"unnamed"]
        whole = b"/".join(parts[-_DEEPEST:] if len(parts) > 1 else [LOOSE.encode(), *parts])
        chosen = stored_names([whole])[whole]
        folder, slash, last = chosen.rpartition("/")
        stem, dot, suffix = last.rpartition(".")
        number = 1
        while twin_key(chosen) in self._known:
            number += 1
            chosen = folder + slash + (f"{stem} ({number}).{suffix}" if dot else f"{last} ({number})")
        self._known.add(twin_key(chosen))
        sent = name.decode("utf-8", "backslashreplace")
        if chosen not in (sent, f"{LOOSE}/{sent}"):
            self.renamed.append((sent, chosen))
        return chosen.split("/")


class Parcels:
    """ZIPs that were made to be downloaded once. They lie where uploads do, and go as these do."""

    def __init__(self, staging: Staging) -> None:
        self._staging: Final = staging
        self._ready: dict[str, Path] = {}
        self._lock = threading.Lock()

    @contextmanager
    def making(self, name: str, size: int) -> Iterator[Path]:
        """Where one of about so many bytes is to be written; nothing is left of it when the block fails."""
        folder = self._staging.place("made", size + size // 20, next="Name a folder where it is to be written.")
        try:
            yield folder / name
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def ready(self, path: Path) -> str:
        """The word by which one is asked for."""
        word = secrets.token_hex(8)
        with self._lock:
            self._ready[word] = path
        return word

    def open(self, word: str) -> BinaryIO:
        """One that waits; whoever has begun to read it reads it to its end. Raises `NotFound`."""
        with self._lock:
            path = self._ready.get(word)
        try:
            if path is not None:
                return path.open("rb")
        except OSError:  # removed since
            pass
        raise NotFound("This was downloaded already, or was made by an earlier run of the page.")

    def remove(self, word: str) -> None:
        """It was sent whole."""
        with self._lock:
            path = self._ready.pop(word, None)
        if path is not None:
            shutil.rmtree(path.parent, ignore_errors=True)


def _failed(error: OSError, folder: Path, advice: str = _INSTEAD) -> StoreError:
    full = error.errno in _FULL
    said = "the disk is full" if full else f"it cannot be written: {error.strerror or error}"
    return StoreError(f"{said}; nothing was kept", where=str(folder), next=advice)
