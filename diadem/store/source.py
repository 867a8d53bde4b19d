"""The folder to be archived, read and never changed: which files are there, and what cannot be archived and why."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from diadem.errors import NotFound, UsageError
from diadem.store.system import kind_of, long_path


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A plain file of the source."""

    #: Path relative to the archived folder, ``/`` between parts, as the file system's bytes.
    name: bytes
    path: str
    #: Bytes when the folder was listed.
    size: int
    #: Bytes it takes on its disk; less than `size` for a sparse file.
    allocated: int
    #: When the folder was listed, nanoseconds since 1970 UTC.
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Omission:
    """Something that is not archived: its path as bytes, its kind (``symlink``, ``fifo`` …) and the reason."""

    name: bytes
    kind: str
    reason: str


class Watcher(Protocol):
    """Who is told what a walk finds. Names are as in `SourceFile`."""

    def enter(self, name: bytes, path: str, entries: Sequence[os.DirEntry[str]]) -> bool:
        """Whether to look at what lies in this folder."""

    def file(self, name: bytes, path: str, status: os.stat_result) -> None:
        """Take a plain file."""

    def empty(self, name: bytes) -> None:
        """Take a folder that holds nothing."""

    def omit(self, omission: Omission) -> None:
        """Take note of what cannot be read."""


@dataclass(slots=True)
class SourceTree:
    """What was found: plain files, empty folders, and what must be left out."""

    title: str
    files: list[SourceFile] = field(default_factory=list)
    empty_folders: list[bytes] = field(default_factory=list)
    omissions: list[Omission] = field(default_factory=list)

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def allocated(self) -> int:
        return sum(file.allocated for file in self.files)

    def enter(self, name: bytes, path: str, entries: Sequence[os.DirEntry[str]]) -> bool:  # noqa: ARG002
        return True

    def file(self, name: bytes, path: str, status: os.stat_result) -> None:
        self.files.append(_source_file(name, path, status))

    def empty(self, name: bytes) -> None:
        self.empty_folders.append(name)

    def omit(self, omission: Omission) -> None:
        self.omissions.append(omission)


def read_tree(sources: Sequence[Path], *, base: Path | None = None, shallow: Collection[Path] = ()) -> SourceTree:
    """List what would be archived: one folder's content, one file, or several of either (one name each).

    `base` is a folder that holds all sources: names are relative to it, so that two may have the same last part. Of
    `shallow` folders, which need it, only the files directly in them are taken. Raises `NotFound`, and `UsageError` if
    there is no file at all, two sources have one name, or one does not lie in `base`.
    """
    if not sources:
        raise UsageError("nothing to archive was named", next="Give a folder or a file.")
    roots = [Path(os.path.abspath(source)) for source in sources]
    for root in roots:
        if not os.path.exists(long_path(root)):
            raise NotFound("there is no such file or folder", where=str(root), next="Check the path.")
    tree = SourceTree(title=roots[0].name or "archive")
    if base is not None:
        tree = _below(Path(os.path.abspath(base)), roots, {os.path.abspath(folder) for folder in shallow})
    elif len(roots) == 1 and roots[0].is_dir():
        walk(tree, str(roots[0]))
    else:
        names = [os.fsencode(root.name) for root in roots]
        if len(set(names)) < len(names):
            raise UsageError("two of the sources have the same name", next="Archive them one by one, or rename one.")
        for root, name in zip(roots, names, strict=True):
            _add(tree, str(root), name)
    tree.files.sort(key=lambda file: file.name)
    if not tree.files:
        nothing, kinds = "there is no file to archive", sorted({omission.kind for omission in tree.omissions})
        if kinds:
            nothing += f", only {len(tree.omissions)} items that cannot be archived: {', '.join(kinds)}"
        raise UsageError(nothing, where=str(roots[0]), next="Name a folder that holds files.")
    return tree


def _below(base: Path, roots: Sequence[Path], shallow: Collection[str]) -> SourceTree:
    """What lies in parts of a folder; what two parts hold is taken once."""
    tree = SourceTree(title=base.name or "archive")
    for root in roots:
        if not root.is_relative_to(base):
            raise UsageError("this is not in the folder of the session", where=str(root), next=f"Use {base}.")
        name = b"/".join(map(os.fsencode, root.relative_to(base).parts))
        if str(root) in shallow:
            walk(tree, str(root), name and name + b"/", deep=False)
        else:
            _add(tree, str(root), name)
    tree.files = list({file.name: file for file in tree.files}.values())
    tree.empty_folders = list(dict.fromkeys(tree.empty_folders))
    tree.omissions = list(dict.fromkeys(tree.omissions))
    return tree


def _add(tree: SourceTree, path: str, name: bytes) -> None:
    """Add a source that the user named: links to it are followed, as the user meant it."""
    if os.path.isdir(long_path(path)):
        walk(tree, path, name and name + b"/")
        return
    status = os.stat(long_path(path))
    if stat.S_ISREG(status.st_mode):
        tree.files.append(_source_file(name, os.path.realpath(path), status))
    else:
        tree.omissions.append(Omission(name, kind_of(status), _REASONS[kind_of(status)]))


def walk(watcher: Watcher, top: str, prefix: bytes = b"", *, deep: bool = True) -> None:
    """Tell a watcher all that lies below a folder. No link is followed, nothing is opened; failures are omissions.

    `prefix`, with its ``/``, stands before all names.
    """
    pending = [(top, prefix)]
    while pending:
        folder, prefix = pending.pop()
        try:
            with os.scandir(long_path(folder)) as entries:
                found = list(entries)
        except OSError as error:
            watcher.omit(Omission(prefix.rstrip(b"/"), "unreadable", _system_reason(error)))
            continue
        if not found and prefix:
            watcher.empty(prefix.rstrip(b"/"))
        if watcher.enter(prefix.rstrip(b"/"), folder, found):
            for entry in found:
                name, path = prefix + os.fsencode(entry.name), os.path.join(folder, entry.name)
                try:
                    status = entry.stat(follow_symlinks=False)
                except OSError as error:
                    watcher.omit(Omission(name, "unreadable", _system_reason(error)))
                    continue
                kind = kind_of(status)
                if kind == "file":
                    watcher.file(name, path, status)
                elif kind != "folder":
                    watcher.omit(Omission(name, kind, _REASONS[kind]))
                elif deep:
                    pending.append((path, name + b"/"))


_REASONS = {
    "symlink": "a link is a name, not data; archive the folder it points to",
    "fifo": "a pipe holds no data",
    "socket": "a socket holds no data",
    "device": "a device is not a file",
}


def _source_file(name: bytes, path: str, status: os.stat_result) -> SourceFile:
    blocks = getattr(status, "st_blocks", None)
    allocated = status.st_size if blocks is None else min(status.st_size, blocks * 512)
    return SourceFile(name, path, status.st_size, allocated, status.st_mtime_ns)


def _system_reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
