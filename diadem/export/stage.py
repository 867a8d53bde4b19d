"""A file or folder on its way out: written beside its place, forced to disk, read back, and then given its name.

Nothing half-written ever has the name that the user asked for. What a run that was killed left is removed by the next
that writes to the same place.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from diadem.errors import Interrupted, PluginError, Refused
from diadem.model.ports import Listener, Progress
from diadem.store.stage import remove_tree
from diadem.store.system import flush_file, flush_folder, long_path, move, translated
from diadem.store.whole import give_name

NOTHING = "nothing was exported"
_BLOCK = 4 << 20
_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True)
class Finished:
    """What was written: its bytes, how many files, and a SHA-256; of a folder that of its list of digests."""

    bytes: int = 0
    files: int = 0
    sha256: str = ""


def write(
    last: Path,
    make: Callable[[Path], _Made],
    listener: Listener,
    *,
    suffix: str = "",
    folder: bool = False,
    state: Callable[[Finished], None] = lambda _written: None,
    withdraw: Callable[[BaseException], None] = lambda _error: None,
) -> tuple[Finished, _Made]:
    """Write a file or folder whole or not at all: `make` is told where to. One process alone is at a place.

    `state` is called when all of it lies on the disk and before it has its name, `withdraw` where it never gets that.

    Raises
    ------
    Refused
        Something has the name.
    StoreError
        Nothing can be written there.
    PluginError
        What was written is not a file, or a folder, of files alone.
    """
    stage = _Stage(last, suffix, folder=folder)
    try:
        made = make(stage.path)
        written = stage.finish(lambda count: listener(Progress("read back", count, count, last.name)))
        state(written)
        stage.publish()
    except BaseException as error:
        if stage.discard():
            withdraw(error)
        if isinstance(error, KeyboardInterrupt):
            raise Interrupted(f"stopped; {NOTHING}", where=str(last)) from error
        raise
    return written, made


class _Stage:
    """The place beside its last one where a file or folder is written."""

    def __init__(self, last: Path, suffix: str, *, folder: bool) -> None:
        self.last = last
        self._is_folder = folder
        self._require_free()
        self._folder = last.with_name(f".{last.name}.part")
        with translated(str(last.parent), NOTHING):
            if self._folder.is_file():  # an earlier version wrote a ZIP itself there, and was killed
                os.unlink(long_path(self._folder))
            remove_tree(self._folder)
            os.mkdir(long_path(self._folder))
        self.path = self._folder / f"export{suffix}"
        if folder:
            self.path.mkdir()

    def finish(self, read: Callable[[int], None]) -> Finished:
        """Force everything to disk, and read it back; `read` is told how many bytes each block has."""
        with translated(str(self.last), NOTHING):
            if self.path.is_symlink() or not self.path.exists():
                raise PluginError("the exporter wrote nothing", where=str(self.last))
            if self.path.is_file():
                flush_file(long_path(self.path))
                size, digest = _digest(self.path, read)
                return Finished(size, 1, digest)
            total, count, listed = 0, 0, hashlib.sha256()
            for folder, folders, files in os.walk(long_path(self.path)):
                folders.sort()
                for name in sorted(files):
                    path = Path(folder, name)
                    if path.is_symlink():
                        raise PluginError("the exporter wrote a link, which leads nowhere elsewhere", where=name)
                    flush_file(str(path))
                    size, digest = _digest(path, read)
                    total, count = total + size, count + 1
                    relative = os.path.relpath(path, long_path(self.path)).replace(os.sep, "/")
                    listed.update(f"{digest}  {relative}\n".encode("utf-8", "surrogateescape"))
                flush_folder(folder)
            return Finished(total, count, listed.hexdigest())

    def publish(self) -> None:
        """Give it its name. Raises `Refused` where something else has taken that."""
        with translated(str(self.last), NOTHING):
            if self._is_folder:
                self._require_free()
                if is_empty_folder(self.last):
                    os.rmdir(long_path(self.last))
                move(self.path, self.last)
            elif not give_name(self.path, self.last):
                refuse_existing(self.last)
            with contextlib.suppress(OSError):  # it is there, whatever becomes of the folder's own entry
                flush_folder(long_path(self.last.parent))
                remove_tree(self._folder)

    def _require_free(self) -> None:
        """Raise `Refused` where something has the name; where a folder is to be written an empty one may have it."""
        if not (self._is_folder and is_empty_folder(self.last)):
            refuse_existing(self.last)

    def discard(self) -> bool:
        """Remove what was written; False where it has its name already, and stays."""
        there = os.path.lexists(long_path(self.path))
        with contextlib.suppress(OSError):
            remove_tree(self._folder)
        return there


def refuse_existing(target: Path) -> None:
    """Raise `Refused` where there is something of this name."""
    if os.path.lexists(long_path(target)):
        what = "folder" if target.is_dir() else "file"
        raise Refused(f"this {what} exists already", where=str(target), next=f"Name another {what}.")


def is_empty_folder(path: Path) -> bool:
    """Whether a folder, and no link to one, is there and holds nothing."""
    return path.is_dir() and not path.is_symlink() and not any(path.iterdir())


def _digest(path: Path, read: Callable[[int], None]) -> tuple[int, str]:
    size, digest = 0, hashlib.sha256()
    with open(long_path(path), "rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
            size += len(block)
            read(len(block))
    return size, digest.hexdigest()
