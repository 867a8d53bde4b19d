"""Giving the payload back: proven bytes under their original names, in a folder that appears whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from diadem.errors import Interrupted, Refused
from diadem.model.manifest import FileEntry
from diadem.model.names import illegal
from diadem.model.ports import Listener, Progress
from diadem.store.local_store import remove_tree, translated
from diadem.store.system import flush_tree, long_path, patiently

if TYPE_CHECKING:
    from diadem.archive.package import Package

_BLOCK = 4 << 20


@dataclass(frozen=True, slots=True)
class Restored:
    """What was given back: the folder, the number of files and bytes, and the files that kept their stored name.

    A name that this system cannot hold stays as stored; `renamed` lists the stored paths.
    """

    folder: Path
    files: int
    bytes: int
    renamed: Sequence[str]


def restore(package: Package, folder: Path, *, listener: Listener) -> Restored:
    """See `Package.restore`."""
    folder = Path(os.path.abspath(folder))  # noqa: PTH100  resolve() would follow links
    if os.path.lexists(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise Refused("the target is there already and not empty", where=str(folder), next="Name a new folder.")
    draft = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        with translated(str(folder), "nothing was restored"):
            os.makedirs(long_path(draft))  # noqa: PTH103
            restored = _fill(package, draft, listener)
            if folder.is_dir():
                folder.rmdir()
            patiently(lambda: os.rename(long_path(draft), long_path(folder)))  # noqa: PTH104
    except KeyboardInterrupt as error:
        remove_tree(draft)
        raise Interrupted("restoring was stopped; nothing was left behind", where=str(folder)) from error
    except BaseException:
        remove_tree(draft)
        raise
    return Restored(folder, *restored)


def _fill(package: Package, draft: Path, listener: Listener) -> tuple[int, int, list[str]]:
    total = sum(entry.size for entry in package.files)
    done, renamed, written = 0, [], []
    for entry in package.files:
        name = _target_name(entry)
        if name is None:
            name = entry.name
            renamed.append(entry.name)
        target = str(draft / name)
        os.makedirs(os.path.dirname(long_path(target)), exist_ok=True)  # noqa: PTH103, PTH120
        for count in _copy(package, entry, target):
            done += count
            listener(Progress("restore", done, total, entry.name))
        written.append(long_path(target))
    for name in package.record.empty_dirs:
        if _is_safe(name):
            os.makedirs(long_path(str(draft / name)), exist_ok=True)  # noqa: PTH103
    flush_tree(long_path(draft), written, [long_path(draft)])
    return len(package.files), total, renamed


def _copy(package: Package, entry: FileEntry, target: str) -> list[int]:
    counts = []
    with package.open(entry.name) as source, open(long_path(target), "xb") as sink:  # noqa: PTH123
        while block := source.read(_BLOCK):
            _write(sink.fileno(), block)
            counts.append(len(block))
    os.utime(long_path(target), ns=(entry.mtime_ns, entry.mtime_ns))
    return counts


def _write(descriptor: int, block: bytes) -> None:
    view = memoryview(block)
    while view:
        view = view[os.write(descriptor, view) :]


def _target_name(entry: FileEntry) -> str | None:
    """The original path for this system, or None where it cannot or must not be used."""
    name = os.fsdecode(entry.original_name)
    if not _is_safe(name):
        return None
    if os.name == "nt" and any(illegal(part) for part in name.split("/")):
        return None
    return name


def _is_safe(name: str) -> bool:
    """Whether a path stays below the folder it is put in, on every system."""
    parts = name.split("/")
    return bool(name) and not any(part in ("", ".", "..") or "\0" in part for part in parts)
