"""Names in a bag, which is untrusted: paths that may be followed, names that every system can hold and tell apart."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Final, NoReturn

from diadem.errors import PackageError
from diadem.model.names import illegal, twin_key
from diadem.model.report import Findings

_DRIVE = re.compile(r"[A-Za-z]:")
_VARIABLE = re.compile(r"%[A-Za-z_]\w*%[/\\]|\$\{?[A-Za-z_]\w*\}?/")
# Reserved with any suffix (Win32, Naming Files, Paths, and Namespaces); superscript digits count as digits.
_DEVICE = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³]) *(?:[.:]|\Z)", re.IGNORECASE)
_MAX_PATH = 8192
#: Folders that a package may have: a list of files of 128 MiB could name more than any disk has room for.
MAX_FOLDERS: Final = 1_000_000
_SYSTEM_FILES = frozenset({".ds_store", "thumbs.db", "desktop.ini"})

#: A file's or folder's name as it is written, and what is in a folder by what some system takes its name for.
_Named = tuple[str, "dict[str, _Named] | None"]


def unsafe(path: str) -> str | None:
    """Why a path that a bag names must not be followed, in plain words.

    None where it stays inside the bag on Windows, macOS and Linux.
    """
    if not path or len(path) > _MAX_PATH:
        return "it is empty" if not path else f"it is longer than {_MAX_PATH} characters"
    if "\0" in path:
        return "it has a null character"
    if "\\" in path:
        return "a backslash separates folders on Windows"
    if path[0] == "/" or _DRIVE.match(path):
        return "it is absolute"
    if path[0] == "~":
        return "it begins with ~, a home folder"
    if _VARIABLE.match(path):
        return "it begins with a variable"
    for part in path.split("/"):
        if part in {"", ".", ".."}:
            return f"'{part}' is not a name for a file or folder"
        if part[0] in "cpanlCPANL" and _DEVICE.match(part):
            return f"'{part}' is a device on Windows"
    return None


def report_names(findings: Findings, paths: Collection[str]) -> None:
    """Warn of names that would be lost, changed or confused on another system."""
    groups: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        groups[twin_key(path)].append(path)
    for group in groups.values():
        first, *others = sorted(group)
        if others:
            findings.warning("name-twins", f"on some systems it is the same file as {', '.join(others)}", first)
    parts: dict[str, str | None] = {}
    for path in paths:
        name = path.rpartition("/")[2].lower()
        if name in _SYSTEM_FILES or name.startswith("._"):
            findings.warning("system-file", "an operating system makes and changes such files by itself", path)
        for part in path.split("/"):
            reason = parts[part] if part in parts else parts.setdefault(part, illegal(part))
            if reason:
                findings.warning("name-not-portable", f"'{part}': {reason}", path)


def require_sound_names(paths: Iterable[str]) -> None:
    """Refuse names that lead outside, that some system cannot hold, or that are one file or a folder on some system.

    Raises `PackageError` naming the path.
    """
    top: dict[str, _Named] = {}
    folders, last, inside = 0, "", top
    for path in paths:
        folder, _, name = path.rpartition("/")
        above = folder.split("/") if folder and folder != last else []  # files of one folder follow each other
        reason = unsafe(path)
        for part in (*above, name):
            reason = reason or illegal(part)
        if reason is not None:
            _refuse(path, reason)
        if folder != last:
            last, inside = folder, top
        for part in above:
            key = twin_key(part)
            known = inside.get(key)
            if known is None:
                folders += 1
                known = inside[key] = (part, {})
            if known[0] != part or known[1] is None:
                _refuse(path, f"'{part}' in it is the same as '{known[0]}' on some systems, or already a file")
            inside = known[1]
        if (twin := inside.get(key := twin_key(name))) is not None:
            _refuse(path, f"on some systems it is the same as '{twin[0]}' beside it")
        inside[key] = (name, None)
        if folders > MAX_FOLDERS:
            _refuse(path, f"it is in one of more than {MAX_FOLDERS:,} folders")


def _refuse(path: str, reason: str) -> NoReturn:
    advice = "Do not trust it; tell its sender."
    raise PackageError(f"the path '{path[:300]}' is refused: {reason}", where=path[:300], next=advice)
