"""Giving the payload back: proven bytes under their original names.

A new folder appears whole or not at all. Into an empty one that is there, which may be a disk of its own, the files
come one after the other once all of them are proven and written: a machine that dies in that moment leaves some of them
there, and the others in `.diadem-….part` beside them.
"""

from __future__ import annotations

import contextlib
import os
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from diadem.archive.selection import Selection, select
from diadem.errors import Interrupted, Refused
from diadem.export.names import tagged_name
from diadem.model.display import Display
from diadem.model.manifest import FileEntry
from diadem.model.names import can_hold, twin_key
from diadem.model.ports import Listener, Progress
from diadem.package.names import unsafe
from diadem.store.local_errors import or_else, translated
from diadem.store.sink import discard, write_with_holes
from diadem.store.stage import remove_tree
from diadem.store.system import flush_folder, flush_tree, long_path, make_deep, patiently

if TYPE_CHECKING:
    from diadem.archive.package import Package

_BLOCK = 4 << 20
#: Systems that take names for the same that differ in case or composition.
_FOLDS_CASE = frozenset({"win32", "darwin"})


@dataclass(frozen=True, slots=True)
class Restored(Display):
    """What was given back: the folder, the number of files and bytes, and the files that kept their stored name.

    A name that this system cannot hold stays as stored; `renamed` lists the stored paths. `selection` says what was
    chosen where not all was wanted.
    """

    _display_keys = ("folder", "files", "bytes", "renamed")

    folder: Path
    files: int
    bytes: int
    renamed: Sequence[str]
    selection: Selection | None = None


class Readable(Protocol):
    """Proven bytes, from their beginning."""

    def read(self, size: int, /) -> bytes:
        """The next bytes; empty at the end."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One file to be given back, and what opens it."""

    entry: FileEntry
    open: Callable[[], AbstractContextManager[Readable]]


def restore(package: Package, folder: Path, *, only: Sequence[str] | str = (), listener: Listener) -> Restored:
    """See `Package.restore`."""
    chosen = select(package.files, only, [package.record]) if only else None
    pieces = [
        Piece(entry, partial(package.open, entry.name))
        for entry in package.files
        if chosen is None or entry.name in chosen.names
    ]
    empty = (lambda: package.record.empty_dirs) if chosen is None else tuple
    return replace(restore_pieces(pieces, empty, folder, listener=listener), selection=chosen)


def restore_pieces(
    pieces: Sequence[Piece], empty_folders: Callable[[], Iterable[str]], folder: Path, *, listener: Listener
) -> Restored:
    """Give files back, of one package or of several.

    Parameters
    ----------
    pieces : sequence of Piece
        Of two that want the same place the first gets it.
    empty_folders : callable
        Gives the stored paths of folders that held nothing.
    folder : Path
        A new or empty folder.
    listener : callable
        Told of progress.

    Raises
    ------
    Refused
        If the folder has content.
    DigestMismatch
        If a file is damaged; nothing is left behind.
    """
    folder = Path(os.path.realpath(folder))
    existed = os.path.lexists(folder)
    with translated(str(folder), "nothing was restored"):
        if existed and (not folder.is_dir() or any(folder.iterdir())):
            raise Refused("the target exists already and is not empty", where=str(folder), next="Name a new folder.")
        if any((parent / "bagit.txt").exists() for parent in (folder, *folder.parents)):
            raise Refused("the target is inside a package", where=str(folder), next="Name a folder outside it.")
    # Inside a folder that is there (it may be a disk of its own, or where the user stands), else beside the new one.
    draft = (folder if existed else folder.parent) / f".diadem-{uuid.uuid4().hex[:8]}.part"
    try:
        with or_else(lambda: remove_tree(draft)):
            restored = _fill(pieces, empty_folders, draft, listener)
            with translated(str(folder), "nothing was restored"):
                _publish(draft, folder, existed=existed)
    except KeyboardInterrupt as error:
        raise Interrupted(
            "restoring was stopped; nothing was left behind", where=str(folder), next="Run the same command again."
        ) from error
    return Restored(folder, *restored)


def _publish(draft: Path, folder: Path, *, existed: bool) -> None:
    if not existed:
        patiently(lambda: os.rename(long_path(draft), long_path(folder)))  # noqa: PTH104
        flush_folder(long_path(folder.parent))
        return
    moved: list[Path] = []
    with or_else(partial(_take_out, moved)):
        for name in os.listdir(long_path(draft)):
            source, target = long_path(draft / name), long_path(folder / name)
            patiently(lambda source=source, target=target: os.rename(source, target))  # type: ignore[misc]  # noqa: PTH104
            moved.append(folder / name)
        flush_folder(long_path(folder))
    with contextlib.suppress(OSError):  # it is empty
        remove_tree(draft)


def _take_out(moved: Sequence[Path]) -> None:
    for path in moved:
        if os.path.isdir(long_path(path)):  # noqa: PTH112
            remove_tree(path)
        else:
            discard(str(path))


def _fill(
    pieces: Sequence[Piece], empty_folders: Callable[[], Iterable[str]], draft: Path, listener: Listener
) -> tuple[int, int, list[str]]:
    total = sum(piece.entry.size for piece in pieces)
    names = places([piece.entry for piece in pieces])
    done, written, folders = 0, [], [str(draft)]
    with translated(str(draft.parent), "nothing was restored"):
        os.makedirs(long_path(draft))  # noqa: PTH103
    for piece, name in zip(pieces, names, strict=True):
        target = str(draft / name)
        _make_folder(draft, os.path.dirname(target))  # noqa: PTH120
        for count in _copy(piece, target):
            done += count
            listener(Progress("restore", done, total, piece.entry.name))
        written.append(long_path(target))
        folders.append(os.path.dirname(target))  # noqa: PTH120
    for name in empty_folders():
        if _may_be_made(name):
            _make_folder(draft, str(draft / name))
    with translated(str(draft.parent), "nothing was restored"):
        flush_tree(long_path(draft), written, [long_path(folder) for folder in dict.fromkeys(folders)])
    renamed = [piece.entry.name for piece, name in zip(pieces, names, strict=True) if _was_renamed(piece.entry, name)]
    return len(pieces), total, renamed


def _was_renamed(entry: FileEntry, name: str) -> bool:
    return name.encode("utf-8", "surrogateescape") != entry.original_name


def _make_folder(draft: Path, folder: str) -> None:
    if os.path.commonpath([str(draft), os.path.abspath(folder)]) != str(draft):  # noqa: PTH100
        raise Refused("the package names a folder outside itself", where=folder, next="Do not trust this package.")
    with translated(folder, "nothing was restored"):
        make_deep(folder)


def _copy(piece: Piece, target: str) -> Iterator[int]:
    entry = piece.entry
    with piece.open() as source:
        with translated(target, "nothing was restored"):
            sink = open(long_path(target), "xb", buffering=0)  # noqa: PTH123, SIM115
        with sink:
            while block := source.read(_BLOCK):
                with translated(target, "nothing was restored"):
                    write_with_holes(sink.fileno(), block)
                yield len(block)
            with translated(target, "nothing was restored"):
                os.ftruncate(sink.fileno(), entry.size)
    # Windows cannot hold every time.
    with translated(target, "nothing was restored"), contextlib.suppress(OverflowError):
        os.utime(long_path(target), ns=(entry.mtime_ns, entry.mtime_ns))


def target_names(entries: Sequence[FileEntry]) -> dict[str, str]:
    """Where each file goes, by its stored path: see `places`."""
    return dict(zip((entry.path for entry in entries), places(entries), strict=True))


def places(entries: Sequence[FileEntry], *, system: str = sys.platform) -> list[str]:
    """Where each file goes, relative to the restored folder: its original path, else its stored one.

    The originals come from the package, which may be anyone's: one that the system cannot hold, that leads elsewhere,
    or that clashes with another gives way to the stored path, which is legal on every system, and unique in a package.
    Where several packages clash in that too, as where a file became a folder, the later in the list gets a tag.
    """
    names: dict[int, str] = {}
    taken: dict[str, str] = {}
    fold = twin_key if system in _FOLDS_CASE else str
    order = sorted(range(len(entries)), key=lambda number: entries[number].original is not None)  # unmapped first
    for number in order:
        entry = entries[number]
        wishes = [name for name in (_original(entry, system), entry.name, tagged_name(entry)) if name is not None]
        names[number] = next((name for name in wishes if not _clashes(fold(name), taken)), wishes[-1])
        parts = fold(names[number]).split("/")
        for depth in range(1, len(parts) + 1):
            taken["/".join(parts[:depth])] = "file" if depth == len(parts) else "folder"
    return [names[number] for number in range(len(entries))]


def _clashes(name: str, taken: dict[str, str]) -> bool:
    parts = name.split("/")
    for depth in range(1, len(parts) + 1):
        kind = taken.get("/".join(parts[:depth]))
        if kind == "file" or (kind == "folder" and depth == len(parts)):
            return True
    return False


def _original(entry: FileEntry, system: str) -> str | None:
    """The original path as the system writes it, or None where it cannot or must not be used."""
    try:
        name = os.fsdecode(entry.original_name)
    except UnicodeDecodeError:
        return None
    parts = name.split("/")
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        return None
    return name if all(can_hold(part, system) for part in parts) else None


def _may_be_made(name: str) -> bool:
    """Whether an empty folder's path, which comes from the record, stays inside on every system."""
    return unsafe(name) is None and ":" not in name
