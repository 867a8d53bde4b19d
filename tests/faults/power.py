"""A power cut, played through: what the disk holds is what was forced to it, and of the rest anything.

The functions of `os` that rename, remove, link and force are wrapped, so that real code writes to real files while this
module keeps the books of a page cache. At a chosen moment the books decide what a disk may hold:

- a file whose bytes were forced (`fsync`, `syncfs`) has them; one that was changed since has the old bytes, the new
  ones, or any mixture of old, new and zeroed sectors; a new one may be empty;
- names are kept by a journal, in order: a prefix of the changes is on the disk, at least up to the last one that was
  forced, which is one in a folder that was itself forced.

Then that state is put in the place of the files, and the process ends as by kill -9. Databases are left as they are:
SQLite has been tried in this way by its authors; here every commit counts as forced.
"""

from __future__ import annotations

import os
import random
import signal
import stat
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_SECTOR = 4096
_DATABASES = (".sqlite", ".sqlite-wal", ".sqlite-shm")
#: What changes names, and what forces bytes.
_NAMING = ("rename", "replace", "unlink", "remove", "mkdir", "rmdir", "link", "symlink")
_FORCING = ("fsync", "fdatasync")
#: The real functions, for what this module does itself.
_REAL: dict[str, Callable[..., Any]] = {name: getattr(os, name) for name in (*_NAMING, *_FORCING) if hasattr(os, name)}


@dataclass(frozen=True, slots=True)
class _Thing:
    """A file or folder that has had a name, by its inode, or a number made up where the system gave one again."""

    number: int
    folder: bool


@dataclass
class _Books:
    """What is on the disk, and what only the cache knows."""

    roots: list[str]
    moment: int
    chance: random.Random
    names: dict[str, _Thing] = field(default_factory=dict)
    forced: dict[int, bytes] = field(default_factory=dict)
    journal: list[dict[str, _Thing | None]] = field(default_factory=list)
    written: int = 0
    start: dict[str, _Thing] = field(default_factory=dict)
    events: int = 0
    guard: threading.RLock = field(default_factory=threading.RLock)

    def open(self) -> None:
        """Everything that is there now is on the disk."""
        self.names = dict(self._look())
        self.start = dict(self.names)
        self.forced = {thing.number: _read(path) for path, thing in self.names.items() if not thing.folder}

    def _look(self) -> Iterator[tuple[str, _Thing]]:
        pending = [root for root in self.roots if os.path.isdir(root)]
        while pending:
            top = pending.pop()
            with os.scandir(top) as entries:
                for entry in entries:
                    folder = entry.is_dir(follow_symlinks=False)
                    if folder:
                        pending.append(entry.path)
                    elif not entry.is_file(follow_symlinks=False) or entry.name.endswith(_DATABASES):
                        continue
                    yield entry.path, _Thing(entry.inode(), folder)

    def note(self) -> None:
        """Enter the names that have changed since the last look, as one change of the journal."""
        now = dict(self._look())
        change: dict[str, _Thing | None] = {path: None for path in self.names if path not in now}
        change |= {path: thing for path, thing in now.items() if self.names.get(path) != thing}
        known = {thing.number for thing in self.names.values()}
        for thing in change.values():
            if thing is not None and thing.number not in known:
                self.forced.pop(thing.number, None)
        if change:
            self.journal.append(change)
            self.names = now

    def force(self, descriptor: int) -> None:
        """A file, or the names in a folder, reach the disk."""
        number = os.fstat(descriptor).st_ino
        for path, thing in self.names.items():
            if thing.number == number and not thing.folder:
                self.forced[number] = _read(path)
                return
        places = {path for path, thing in self.names.items() if thing.number == number} or {
            root for root in self.roots if os.path.isdir(root) and os.stat(root).st_ino == number
        }
        for count, change in enumerate(self.journal, 1):
            if any(os.path.dirname(path) in places for path in change):
                self.written = max(self.written, count)

    def force_all(self) -> None:
        """Everything reaches the disk."""
        self.written = len(self.journal)
        self.forced |= {thing.number: _read(path) for path, thing in self.names.items() if not thing.folder}

    def tick(self) -> None:
        """One more event; at the chosen one the power goes."""
        self.events += 1
        if self.events == self.moment:
            self.cut()

    def cut(self) -> None:
        """Put what the disk holds in the place of the files, and end."""
        self.note()
        kept = self.chance.randint(self.written, len(self.journal))
        names = dict(self.start)
        for change in self.journal[:kept]:
            for path, thing in change.items():
                if thing is None:
                    names.pop(path, None)
                else:
                    names[path] = thing
        current = {thing.number: _read(path) for path, thing in self.names.items() if not thing.folder}
        files = {path: self._held(thing, current) for path, thing in names.items() if not thing.folder}
        seen = {thing.number: os.lstat(path) for path, thing in self.names.items()}
        looks = {path: seen[thing.number] for path, thing in names.items() if thing.number in seen}
        _materialise(self.roots, files, [path for path, thing in names.items() if thing.folder], looks)
        kill_myself()

    def _held(self, thing: _Thing, current: Mapping[int, bytes]) -> bytes:
        """What the disk holds of a file."""
        forced = self.forced.get(thing.number)
        now = current.get(thing.number, forced if forced is not None else b"")
        if forced == now:
            return now
        how = self.chance.choice(["old", "new", "torn", "torn"])
        if how == "new":
            return now
        old = forced or b""
        return old if how == "old" else _mixture(old, now, self.chance)


def _mixture(old: bytes, new: bytes, chance: random.Random) -> bytes:
    """Sectors of both, and some that never came."""
    size = chance.choice([len(old), len(new), len(new)])
    pieces = []
    for start in range(0, size, _SECTOR):
        length = min(_SECTOR, size - start)
        source = chance.choice([old, new, b""])
        pieces.append(source[start : start + length].ljust(length, b"\0"))
    return b"".join(pieces)


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _materialise(
    roots: list[str], files: Mapping[str, bytes], folders: list[str], looks: Mapping[str, os.stat_result]
) -> None:
    """Make the file system hold exactly these files and folders, with the times and permissions of `looks`."""
    for root in roots:
        for top, inner, names in os.walk(root, topdown=False):
            os.chmod(top, 0o700)
            for name in names:
                path = os.path.join(top, name)
                if not name.endswith(_DATABASES) and (path not in files or _read(path) != files[path]):
                    _REAL["unlink"](path)
            for name in inner:
                path = os.path.join(top, name)
                if path not in folders and not os.listdir(path):
                    _REAL["rmdir"](path)
    for path in folders:
        os.makedirs(path, exist_ok=True)
    for path, data in files.items():
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if not os.path.lexists(path):
            with open(path, "wb") as file:
                file.write(data)
    for path, look in sorted(looks.items(), reverse=True):
        os.utime(path, ns=(look.st_mtime_ns, look.st_mtime_ns))
        os.chmod(path, stat.S_IMODE(look.st_mode))


def cut_power(*, roots: list[str], moment: int, seed: int) -> None:
    """Wrap what this process does, and cut the power of the disk below some folders at the how-manieth event.

    The seed decides what the disk had got round to. Where there are fewer events the process ends as ever.
    """
    books = _Books(roots, moment, random.Random(seed))
    books.open()
    for name in _NAMING:
        if name in _REAL:
            setattr(os, name, _naming(books, _REAL[name]))
    for name in _FORCING:
        if name in _REAL:
            setattr(os, name, _forcing(books, _REAL[name]))
    _wrap_syncfs(books)


def _naming(books: _Books, real: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(*arguments: Any, **options: Any) -> Any:
        with books.guard:
            books.note()  # what was created since the last event
            books.tick()
            result = real(*arguments, **options)
            books.note()
        return result

    return wrapped


def _forcing(books: _Books, real: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(descriptor: Any) -> Any:
        number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
        with books.guard:
            books.note()
            books.tick()
            result = real(number)
            books.force(number)
        return result

    return wrapped


def _wrap_syncfs(books: _Books) -> None:
    """`syncfs` is called through ctypes: the library that DIADEM holds is wrapped."""
    from diadem.store import system

    library = system._LIBC
    if library is None:
        return

    class Wrapped:
        def __getattr__(self, name: str) -> Any:
            return getattr(library, name)

        def syncfs(self, descriptor: int) -> int:
            with books.guard:
                books.note()
                books.tick()
                result: int = library.syncfs(descriptor)
                books.force_all()
            return result

    setattr(system, "_LIBC", Wrapped())  # noqa: B010


def kill_myself() -> None:
    """End at once, as by kill -9: nothing is flushed, nothing is tidied."""
    if hasattr(os, "kill") and sys.platform != "win32":
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(137)
