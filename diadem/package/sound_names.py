"""Whether names that come from elsewhere can be files and folders on every system, and are two things on none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NoReturn

from diadem.errors import PackageError
from diadem.model.names import illegal, twin_key
from diadem.package.paths import unsafe

#: Folders that a package may have: a list of files of 128 MiB could name more than any disk has room for.
MAX_FOLDERS: Final = 1_000_000
_DO_NOT_TRUST: Final = "Do not trust it; tell its sender."

#: A file's or folder's name as it is written, and what is in a folder by what some system takes its name for.
_Named = tuple[str, "dict[str, _Named] | None"]


def require_sound_names(paths: Iterable[str]) -> None:
    """Refuse names that lead outside, that some system cannot hold, or that are one file or a folder on some system.

    Raises
    ------
    PackageError
        Naming the path.
    """
    top: dict[str, _Named] = {}
    folders, last, inside = 0, "", top
    for path in paths:
        folder, _, name = path.rpartition("/")
        above = folder.split("/") if folder and folder != last else []  # files of one folder follow each other
        _require_sound(path, (*above, name))
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


def _require_sound(path: str, parts: Iterable[str]) -> None:
    """That a path stays inside, and that these parts of it can be stored everywhere."""
    reason = unsafe(path)
    for part in parts:
        reason = reason or illegal(part)
    if reason is not None:
        _refuse(path, reason)


def _refuse(path: str, reason: str) -> NoReturn:
    raise PackageError(f"the path '{path[:300]}' is refused: {reason}", where=path[:300], next=_DO_NOT_TRUST)
