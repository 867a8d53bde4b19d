"""Folders of this machine to choose from, as links: whatever whoever opened the page may look into."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

from starlette.requests import Request

from diadem.errors import NotFound, Refused, UsageError
from diadem.model.plain_text import count_text, size_text

#: Things of one folder that are shown, and that are counted.
_MOST: Final = 500
_COUNTED: Final = 10_000
#: Where systems mount disks and sticks.
_MOUNTS: Final = ("/media", "/mnt", "/run/media", "/Volumes")


@dataclass(frozen=True, slots=True)
class Entry:
    """Something in a folder: its name, where it is as an address has it, and how much it is."""

    name: str
    place: str
    amount: str


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that is looked at.

    Attributes
    ----------
    path : str
        Absolute.
    place : str
        The same as an address has it.
    above : sequence of Entry
        The folders that lead here, the outermost first.
    folders, files : sequence of Entry
        What is in it, by name, without what is hidden.
    more : int
        Things that are not shown.
    bytes : int
        Of the files that lie directly in it.
    """

    path: str
    place: str
    above: Sequence[Entry]
    folders: Sequence[Entry]
    files: Sequence[Entry]
    more: int
    bytes: int


def place_of(path: str | os.PathLike[str]) -> str:
    """A path as an address has it: names need not be UTF-8."""
    return quote_from_bytes(os.fsencode(path), safe="/")


def path_of(request: Request, name: str = "at") -> str:
    """The path in the address of a request; "" for none."""
    for part in request.scope["query_string"].split(b"&"):
        key, _, value = part.partition(b"=")
        if key == name.encode():
            return os.fsdecode(unquote_to_bytes(value.replace(b"+", b" ")))
    return ""


def typed_path(text: str) -> str:
    """What a person has written or pasted as a path: with quotes, or ``~`` for the home."""
    path = os.path.expanduser(text.strip().strip("\"'"))  # noqa: PTH111 - a Path loses what it cannot read
    if "\0" in path or not os.path.isabs(path):  # noqa: PTH117
        raise UsageError(f"'{text}' is not a whole path", next="Write it from its beginning, / or C:\\.")
    return os.path.normpath(path)


def roots() -> list[Entry]:
    """Where one begins: the home, its usual folders, and what is mounted."""
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - an account may have none
    found = [Entry("Home", place_of(home), str(home))] if home.is_absolute() else []
    if sys.platform == "win32":
        drives = (f"{letter}:\\" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
        return found + [Entry(drive, place_of(drive), _free(drive)) for drive in drives if Path(drive).exists()]
    mounted = [Path(top) for top in _MOUNTS if top != "/run/media"]
    with suppress(OSError):
        mounted += sorted(Path("/run/media").iterdir())
    for top in mounted:
        with suppress(OSError):
            found += [Entry(path.name, place_of(path), _free(path)) for path in sorted(top.iterdir()) if path.is_dir()]
    return [*found, Entry("This computer", "/", "/")]


def look_into(path: str) -> Folder:
    """What is in a folder.

    Raises
    ------
    NotFound, UsageError, Refused
        There is none, it is a file, or one may not look into it.
    """
    folder = Path(path)
    folders: list[Entry] = []
    files: list[tuple[Entry, int]] = []
    try:
        with os.scandir(folder) as entries:
            shown = sorted((entry for entry in entries if not entry.name.startswith(".")), key=_by_name)
        for entry in shown[:_MOST]:
            with suppress(OSError):
                place = place_of(entry.path)
                if entry.is_dir():
                    folders.append(Entry(entry.name, place, _inside(entry.path)))
                elif entry.is_file():
                    size = entry.stat().st_size
                    files.append((Entry(entry.name, place, size_text(size)), size))
    except FileNotFoundError as error:
        raise NotFound("there is no such folder", where=path, next="Check the path.") from error
    except NotADirectoryError as error:
        raise UsageError("this is a file", where=path, next="Choose the folder that it is in.") from error
    except OSError as error:
        raise Refused(
            f"this folder may not be read: {error.strerror or error}", where=path, next="Check its permissions."
        ) from error
    return Folder(
        path,
        place_of(path),
        [Entry(one.name or str(one), place_of(one), "") for one in (*reversed(folder.parents), folder)],
        folders,
        [entry for entry, _ in files],
        len(shown) - len(folders) - len(files),
        sum(size for _, size in files),
    )


def _by_name(entry: os.DirEntry[str]) -> tuple[str, str]:
    return entry.name.casefold(), entry.name


def _inside(path: str) -> str:
    """How many things are in a folder; "" where one may not look."""
    with suppress(OSError), os.scandir(path) as entries:
        count = sum(1 for _, _ in zip(entries, range(_COUNTED), strict=False))
        return f"{count:,} or more" if count == _COUNTED else count_text(count, "item")
    return "cannot be read"


def _free(path: str | Path) -> str:
    with suppress(OSError):
        return f"{size_text(shutil.disk_usage(path).free)} free"
    return ""
