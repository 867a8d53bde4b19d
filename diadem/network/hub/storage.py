"""The disk of a hub: sealed bytes are written whole, and get their name in the transaction that enters them.

Two processes may put, take and sweep at once: a file gets its name, and is removed, only within a transaction.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from diadem.model.carriers import CarrierFull
from diadem.network.hub.book import COMING, MAILBOXES
from diadem.store.sqlite_file import SqliteFile
from diadem.store.system import flush_folder, long_path, patiently, translated
from diadem.store.whole import write_draft

#: Mailbox and name of an object.
Place = tuple[str, str]

#: After this a draft is one of a process that ended: the body was here before it was begun.
_STALE: Final = timedelta(minutes=10)
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_LOG: Final = logging.getLogger("diadem.network.http.hub")
#: Files that are removed while nobody else may write to the book.
_AT_ONCE: Final = 100


class Storage:
    """Where the sealed bytes lie.

    Parameters
    ----------
    file : SqliteFile
        The hub's book.
    folder : Path
        ``<node>/hub``.
    clock : callable
        The node's.
    """

    def __init__(self, file: SqliteFile, folder: Path, clock: Callable[[], datetime]) -> None:
        self._file, self._folder, self._clock = file, folder, clock

    def path(self, mailbox: str, name: str) -> Path:
        """Where an object lies."""
        return self._folder / MAILBOXES / mailbox / name

    def free(self) -> int:
        """Bytes that are free on the disk."""
        return shutil.disk_usage(self._folder).free

    # -- writing -----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def draft(self, data: bytes) -> Iterator[Path]:
        """Bytes in a file without a name, forced to the disk; it is gone afterwards, unless it was placed.

        Raises
        ------
        CarrierFull
            The disk is full.
        StoreError
            It cannot be written to.
        """
        path = self._folder / COMING / secrets.token_hex(16)
        with translated(str(path), "nothing was kept"):
            try:
                write_draft(path, (data,), mode=0o600)
            except OSError as error:
                if error.errno in _FULL:
                    raise CarrierFull("the hub's disk is full", next="It will be tried again later.") from error
                raise
        try:
            yield path
        finally:
            with contextlib.suppress(OSError):  # the next sweep removes it
                Path(long_path(path)).unlink()

    def place(self, draft: Path, mailbox: str, name: str) -> None:
        """Give a draft its name, within the transaction that enters it."""
        path = self.path(mailbox, name)
        with translated(str(path), "nothing was kept"):
            folder = Path(long_path(path.parent))
            if not folder.exists():
                folder.mkdir(mode=0o700, exist_ok=True)
                flush_folder(long_path(path.parent.parent))
            patiently(lambda: Path(long_path(draft)).replace(long_path(path)))
            flush_folder(long_path(path.parent))

    # -- removing ----------------------------------------------------------------------------------------------------

    def remove(self, places: Sequence[Place]) -> int:
        """Remove the files of what waits no more, and how many. One that a program holds open goes with a sweep.

        Within transactions, so that no file is removed that comes at the same moment under a name that was free again.
        """
        removed = 0
        for start in range(0, len(places), _AT_ONCE):
            with self._file.writing(durable=False) as connection:
                for place in places[start : start + _AT_ONCE]:
                    sql = "SELECT 1 FROM objects WHERE mailbox = ? AND name = ? AND how = ''"
                    if connection.execute(sql, place).fetchone() is None:
                        removed += _is_removed(self.path(*place))
        return removed

    def sweep(self, *, alone: bool = False) -> tuple[int, int]:
        """Remove what was being written by processes that ended, and files of nothing that waits; how many of each.

        Parameters
        ----------
        alone : bool
            No process is writing now: the server has not begun.
        """
        before = (self._clock() - _STALE).timestamp()
        drafts = [path for path in _entries(self._folder / COMING) if alone or _written(path) < before]
        unfinished = sum(_is_removed(path) for path in drafts)
        lying = [(folder.name, path.name) for folder in self._folders() for path in _entries(folder)]
        with self._file.reading() as connection:
            waiting = set(connection.execute("SELECT mailbox, name FROM objects WHERE how = ''"))
        strays = self.remove([place for place in lying if place not in waiting])
        with self._file.writing(durable=False):
            for folder in self._folders():
                with contextlib.suppress(OSError):  # something is in it
                    Path(long_path(folder)).rmdir()
        return unfinished, strays

    def _folders(self) -> list[Path]:
        return _entries(self._folder / MAILBOXES, folders=True)


def file_size(path: Path) -> int:
    """Bytes of a file; -1 where there is none that can be read, or something else in its place."""
    try:
        found = os.lstat(long_path(path))
    except OSError:
        return -1
    return found.st_size if stat.S_ISREG(found.st_mode) else -1


def _entries(folder: Path, *, folders: bool = False) -> list[Path]:
    """What lies in a folder, or the folders among it; nothing where it cannot be read: others are swept."""
    try:
        with os.scandir(long_path(folder)) as entries:
            return [folder / entry.name for entry in entries if not folders or entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:  # the last one was taken just now
        return []
    except OSError as error:
        _LOG.warning("a folder of the hub cannot be read: %s", error.strerror or type(error).__name__)
        return []


def _written(path: Path) -> float:
    try:
        return os.lstat(long_path(path)).st_mtime
    except OSError:  # it has its name now
        return float("inf")


def _is_removed(path: Path) -> bool:
    """Whether a file was there, and is not any more."""
    try:
        Path(long_path(path)).unlink()
    except OSError:
        return False
    return True
