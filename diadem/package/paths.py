"""Which paths of a bag may be followed: a bag is untrusted, and what it names must lie inside it on every system."""

from __future__ import annotations

import re

_DRIVE = re.compile(r"[A-Za-z]:")
_VARIABLE = re.compile(r"%[A-Za-z_]\w*%[/\\]|\$\{?[A-Za-z_]\w*\}?/")
# Reserved with any suffix (Win32, Naming Files, Paths, and Namespaces); superscript digits count as digits.
_DEVICE = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³]) *(?:[.:]|\Z)", re.IGNORECASE)
_MAX_PATH = 8192


def unsafe(path: str) -> str | None:
    """Say why a path named by a bag must not be followed.

    Parameters
    ----------
    path : str
        A path relative to the bag, as its manifests or its listing give it.

    Returns
    -------
    str or None
        The reason in plain words; None where the path stays inside the bag on Windows, macOS and Linux.
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
    return _unsafe_part(path)


def _unsafe_part(path: str) -> str | None:
    for part in path.split("/"):
        if part in {"", ".", ".."}:
            return f"'{part}' is not a name for a file or folder"
        if part[0] in "cpanlCPANL" and _DEVICE.match(part):
            return f"'{part}' is a device on Windows"
    return None
