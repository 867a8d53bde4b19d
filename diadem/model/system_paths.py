r"""How operating systems write paths: rules on text alone, so that those of Windows are tried on every system.

``windows`` says whose rules count; those of this system where nothing else is asked for.
"""

from __future__ import annotations

import ntpath
import os
import re
from pathlib import PurePosixPath, PureWindowsPath
from typing import Final
from urllib.parse import unquote, urlsplit

from diadem.errors import UsageError

WINDOWS: Final = os.name == "nt"
#: Lifts the limit of 260 characters; paths that begin so are taken as they are (Win32, Naming Files, Paths).
_PREFIX, _SHARE_PREFIX = "\\\\?\\", "\\\\?\\UNC\\"
_DRIVE: Final = re.compile(r"/*([A-Za-z])[:|](?=/|\Z)")


def long_form(path: str) -> str:
    r"""An absolute path of Windows with the prefix ``\\?\``, under which nothing is a separator but ``\``."""
    if path.startswith(_PREFIX):
        return path.replace("/", "\\")
    path = ntpath.normpath(path)
    if path.startswith("\\\\.\\"):  # a device
        return path
    return _SHARE_PREFIX + path[2:] if path.startswith("\\\\") else _PREFIX + path


def drive_of(path: str) -> str:
    r"""The disk or share of a path of Windows, ``D:`` or ``\\nas\share``; "" where it names none."""
    plain = "\\\\" + path[len(_SHARE_PREFIX) :] if path.startswith(_SHARE_PREFIX) else path.removeprefix(_PREFIX)
    return ntpath.splitdrive(plain)[0].replace("/", "\\")


def path_within(root: str, path: str, *, windows: bool = WINDOWS) -> str:
    """Where a path lies in a folder, or an address below another, with ``/`` between its parts.

    Raises
    ------
    ValueError
        It lies elsewhere.
    """
    if "://" in root:
        if not path.startswith(f"{root.rstrip('/')}/"):
            raise ValueError(f"{path} is not below {root}")
        return path[len(root.rstrip("/")) + 1 :]
    kind = PureWindowsPath if windows else PurePosixPath
    return kind(path).relative_to(kind(root)).as_posix()


def folder_of_url(url: str, *, windows: bool = WINDOWS) -> str:
    r"""The folder that ``file:///D:/em``, ``file:///data/em`` or ``file://nas/share/em`` names, as its system has it.

    Other schemes for folders, such as ``drop``, are read in the same way.

    Raises
    ------
    UsageError
        It names no folder of this system.
    """
    parts = urlsplit(url)
    host, path = "" if parts.netloc == "localhost" else parts.netloc, unquote(parts.path)
    start = f"{parts.scheme}:///"
    if not host and not path:
        raise UsageError("the address names no folder", where=url, next=f"Write {start}path/to/folder.")
    if not windows:
        if host:
            advice = f"Mount its share, and write its folder here: {start}mnt/group"
            raise UsageError("the address names a server", where=url, next=advice)
        return path
    if re.fullmatch(r"[A-Za-z][:|]?", host):
        raise UsageError("the address lacks a slash", where=url, next=f"Write {start}{host[0]}:{parts.path}")
    if host or path.startswith("//"):
        return "\\\\" + f"{host}{path}".strip("/").replace("/", "\\")
    if not (drive := _DRIVE.match(path)):
        raise UsageError("the address names no drive", where=url, next=f"Write {start}D:/path/to/folder.")
    return f"{drive[1]}:\\" + path[drive.end() :].strip("/").replace("/", "\\")
