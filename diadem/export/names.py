"""Names under which the files of packages are given back or out: the original where it can stand, else as stored."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence

from diadem.model.manifest import FileEntry
from diadem.model.names import can_hold, illegal, twin_key

#: Systems that take names for the same that differ in case or composition.
_FOLDS_CASE = frozenset({"win32", "darwin"})


def target_names(entries: Sequence[FileEntry], *, system: str | None = None) -> list[str]:
    """A path for each file: its original one, else its stored one, else that with a tag.

    They are for a `system` (`sys.platform`), or without one for a system that nobody knows: legal on Windows, macOS and
    Linux, and unique when case and composition are ignored. The originals come from the package, which may be anyone's:
    one that the system cannot hold, that leads elsewhere, or that clashes with another gives way to the stored path,
    which is legal on every system, and unique in a package. Where several packages clash in that too, as where a file
    became a folder, the later in the list gets a tag.
    """
    fold = twin_key if system is None or system in _FOLDS_CASE else str
    taken: dict[str, tuple[str, bool]] = {}
    names: dict[int, str] = {}

    def fits(name: str) -> bool:
        """Whether no file lies where this one, or a folder of it, would; nor, where nobody knows the system, a folder
        that is written in another way.
        """
        for path, is_file in _steps(name):
            there = taken.get(fold(path))
            if there is not None and (is_file or there[1] or (system is None and there[0] != path)):
                return False
        return True

    for number in sorted(range(len(entries)), key=lambda number: entries[number].original is not None):
        entry = entries[number]
        first, slash, rest = entry.name.partition("/")
        tagged = f"{first}~{hashlib.sha256(entry.original_name).hexdigest()[:8]}{slash}{rest}"
        wishes = (_original(entry, system), entry.name, tagged)
        names[number] = next((name for name in wishes if fits(name)), tagged)
        taken.update((fold(path), (path, is_file)) for path, is_file in _steps(names[number]))
    return [names[number] for number in range(len(entries))]


def _original(entry: FileEntry, system: str | None) -> str:
    """The original path, as the system writes it; the stored one where it cannot or must not be used."""
    try:
        name = entry.original_name.decode("utf-8") if system is None else os.fsdecode(entry.original_name)
    except UnicodeDecodeError:
        return entry.name
    parts = name.split("/")
    if system is None:
        return entry.name if any(map(illegal, parts)) else name
    leads_elsewhere = any(part in ("", ".", "..") or "\0" in part for part in parts)
    return name if not leads_elsewhere and all(can_hold(part, system) for part in parts) else entry.name


def _steps(name: str) -> Iterator[tuple[str, bool]]:
    """Every folder on the way to a file, and the file: its path, and whether it is the file."""
    parts = name.split("/")
    return (("/".join(parts[:depth]), depth == len(parts)) for depth in range(1, len(parts) + 1))
