"""Names for files that go to a system nobody knows: the original where every system can hold it, else as stored."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from diadem.model.manifest import FileEntry
from diadem.model.names import illegal, twin_key


def portable_names(entries: Sequence[FileEntry]) -> list[str]:
    """A path for each file, legal on Windows, macOS and Linux, and unique when case and composition are ignored.

    The files may be of several packages; of two that want one place the first gets it.
    """
    taken: dict[str, tuple[str, bool]] = {}
    names: dict[int, str] = {}
    for number in sorted(range(len(entries)), key=lambda number: entries[number].original is not None):
        wishes = (_original(entries[number]), entries[number].name, tagged_name(entries[number]))
        names[number] = next((name for name in wishes if _fits(name, taken)), wishes[-1])
        taken.update((twin_key(path), (path, is_file)) for path, is_file in _steps(names[number]))
    return [names[number] for number in range(len(entries))]


def tagged_name(entry: FileEntry) -> str:
    """The stored path, its first part with a tag made of the original path."""
    first, slash, rest = entry.name.partition("/")
    return f"{first}~{hashlib.sha256(entry.original_name).hexdigest()[:8]}{slash}{rest}"


def _original(entry: FileEntry) -> str:
    try:
        name = entry.original_name.decode("utf-8")
    except UnicodeDecodeError:
        return entry.name
    return entry.name if any(illegal(part) for part in name.split("/")) else name


def _fits(name: str, taken: dict[str, tuple[str, bool]]) -> bool:
    """Whether no file lies where this one, or a folder of it, would; and no folder is written in two ways."""
    for path, is_file in _steps(name):
        there = taken.get(twin_key(path))
        if there is not None and (is_file or there[1] or there[0] != path):
            return False
    return True


def _steps(name: str) -> Iterator[tuple[str, bool]]:
    """Every folder on the way to a file, and the file: its path, and whether it is the file."""
    parts = name.split("/")
    return (("/".join(parts[:depth]), depth == len(parts)) for depth in range(1, len(parts) + 1))
