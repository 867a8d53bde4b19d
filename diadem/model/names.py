"""Names: which can be stored on every system and listed in every manifest, and what becomes of the others.

A stored name is NFC, at most 255 bytes of UTF-8, free of characters that some system or manifest format cannot hold,
no Windows device name, and unique in its folder when case is ignored. Any other name is mapped: forbidden characters
become ``_`` and a tag, ``~`` and the first digits of the SHA-256 of the original relative path, goes before the suffix.
Of names that a bag from anywhere gives: which may be followed, and which every system can hold and tell apart.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Final, NoReturn

from diadem.errors import PackageError
from diadem.model.report import Findings

#: Bytes that every common file system allows in one part of a path.
MAX_PART_BYTES = 255
#: Names at the root of `data/` that DIADEM writes itself.
RESERVED = frozenset({"diadem-record.json", "ro-crate-metadata.json", "ro-crate-preview.html"})

_FORBIDDEN_ASCII = re.compile(r'[\x00-\x1f\x7f%<>:"|?*\\/]')
_REFUSED_BY_WINDOWS = re.compile(r'[\x00-\x1f<>:"|?*\\/]|[. ]\Z')
_FORBIDDEN_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
# Naming Files, Paths, and Namespaces (Win32 documentation): reserved with any suffix, superscript digits included.
_DEVICES = r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])"
_DEVICE = re.compile(rf"{_DEVICES} *(?:\.|\Z)", re.IGNORECASE)
#: Hex digits of the tag: none, and ever more where names would still be equal.
_TAG_LENGTHS = (0, 8, 16, 32, 64)
#: Longer than this, what follows the last dot is no suffix.
_MAX_SUFFIX_BYTES = 32


def illegal(part: str) -> str | None:
    """Say why one part of a path cannot be stored.

    Parameters
    ----------
    part : str
        One name, without ``/``; surrogates stand for bytes that are not UTF-8.

    Returns
    -------
    str or None
        The reason in plain words, or None where the name can be stored as it is.
    """
    if not part:
        return "the name is empty"
    if character := _first_forbidden(part):
        return f"the character U+{ord(character):04X} cannot be stored"
    if part[0].isspace() or part[-1].isspace():
        return "white space at its start or end is lost on some systems"
    if part[-1] == ".":
        return "a dot at its end is lost on Windows"
    if _DEVICE.match(part):
        return "it is the name of a Windows device"
    if not unicodedata.is_normalized("NFC", part):
        return "its accents are not in composed form (NFC)"
    if len(part.encode()) > MAX_PART_BYTES:
        return f"it is longer than {MAX_PART_BYTES} bytes"
    return None


def can_hold(part: str, system: str) -> bool:
    """Whether a system (`sys.platform`) can hold a name as it is: more than `illegal` lets through for all of them."""
    try:
        units = len(part.encode("utf-16-le")) // 2
    except UnicodeEncodeError:  # bytes that are no UTF-8
        return system not in ("win32", "darwin")
    if system != "win32":
        return True
    return units <= MAX_PART_BYTES and not _REFUSED_BY_WINDOWS.search(part) and not _DEVICE.match(part)


def twin_key(part: str) -> str:
    """A form that is equal for names that some system takes for the same: case and composition ignored."""
    if part.isascii():
        return part.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", part).casefold())


def stored_names(originals: Iterable[bytes]) -> dict[bytes, str]:
    """Map original paths to stored ones, the same way on every system.

    Parameters
    ----------
    originals : iterable of bytes
        *All* files (and empty folders) of one source: relative paths as the file system has them, ``/`` between parts.

    Returns
    -------
    dict of bytes to str
        Stored relative path of each original. All are legal, and unique when case and composition are ignored.
    """
    paths = list(originals)
    stored = {b"": ""}
    for folder, names in _folders(paths).items():
        prefix = stored[folder] + "/" if folder else ""
        root = folder + b"/" if folder else b""
        for name, part in _folder_names(root, sorted(names)).items():
            stored[root + name] = prefix + part
    return {path: stored[path] for path in paths}


def _folders(paths: Iterable[bytes]) -> dict[bytes, set[bytes]]:
    """Names in every folder, a folder before those below it."""
    folders: dict[bytes, set[bytes]] = defaultdict(set)
    for path in paths:
        child = path
        while True:
            parent, _, name = child.rpartition(b"/")
            siblings = folders[parent]
            if name in siblings:
                break
            siblings.add(name)
            if not parent:
                break
            child = parent
    return {folder: folders[folder] for folder in sorted(folders, key=lambda folder: folder.count(b"/") + bool(folder))}


def _folder_names(root: bytes, names: Sequence[bytes]) -> dict[bytes, str]:
    """Stored names of one folder's members: tags grow until no two are twins."""
    parts = {name: unicodedata.normalize("NFC", name.decode("utf-8", "surrogateescape")) for name in names}
    levels = {name: int(_must_map(part, at_root=not root)) for name, part in parts.items()}
    result = {name: _tagged(part, root + name, levels[name]) for name, part in parts.items()}
    while twins := _twins(result):
        for name in twins:
            levels[name] = min(levels[name] + 1, len(_TAG_LENGTHS) - 1)
            result[name] = _tagged(parts[name], root + name, levels[name])
    return result


def _must_map(part: str, *, at_root: bool) -> bool:
    return illegal(part) is not None or (at_root and twin_key(part) in RESERVED)


def _twins(result: dict[bytes, str]) -> list[bytes]:
    """Members of every group whose stored names would be taken for the same."""
    groups: dict[str, list[bytes]] = defaultdict(list)
    for name, part in result.items():
        groups[twin_key(part)].append(name)
    if len(groups) == len(result):
        return []
    return [name for group in groups.values() if len(group) > 1 for name in group]


def _tagged(part: str, original: bytes, level: int) -> str:
    """The part as it is (level 0), or cleaned and tagged with digits of the original path's digest."""
    if not level:
        return part
    tag = "~" + hashlib.sha256(original).hexdigest()[: _TAG_LENGTHS[level]]
    stem, suffix = _stem_and_suffix(part)
    room = MAX_PART_BYTES - len(tag) - len(suffix.encode())
    result = _cut(stem, room) + tag + suffix
    if _DEVICE.match(result):  # `con.a.txt`: a device by what stands before the first dot
        result = "_" + _cut(stem, room - 1) + tag + suffix
    return result


def _stem_and_suffix(part: str) -> tuple[str, str]:
    """Cleaned stem and suffix; white space or dots at the end count to the stem, so that the suffix stays one."""
    body = part.rstrip()
    body = body.rstrip(".") if body == part else body
    if body != body.rstrip():  # `x. .`: both in turn
        body = re.sub(r"[\s.]+\Z", "", part)
    stem, dot, suffix = body.rpartition(".")
    if not stem.strip(". ") or not suffix or len(suffix.encode("utf-8", "surrogatepass")) >= _MAX_SUFFIX_BYTES:
        stem, dot, suffix = body, "", ""
    start = len(stem) - len(stem.lstrip())
    stem = "_" * start + stem[start:] + "_" * (len(part) - len(body))
    return _clean(stem), dot + _clean(suffix)


def _first_forbidden(part: str) -> str | None:
    if match := _FORBIDDEN_ASCII.search(part):
        return match.group()
    if part.isascii():
        return None
    return next((char for char in part if unicodedata.category(char) in _FORBIDDEN_CATEGORIES), None)


def _clean(text: str) -> str:
    """Put ``_`` in place of every forbidden character."""
    text = _FORBIDDEN_ASCII.sub("_", text)
    if text.isascii():
        return text
    return "".join("_" if unicodedata.category(char) in _FORBIDDEN_CATEGORIES else char for char in text)


def _cut(text: str, size: int) -> str:
    """The longest beginning that fits into `size` bytes of UTF-8."""
    return text.encode()[:size].decode("utf-8", "ignore")


# -- names in a bag, which is untrusted --------------------------------------------------------------------------------

_DRIVE = re.compile(r"[A-Za-z]:")
_VARIABLE = re.compile(r"%[A-Za-z_]\w*%[/\\]|\$\{?[A-Za-z_]\w*\}?/")
_DEVICE_OR_STREAM = re.compile(rf"{_DEVICES} *(?:[.:]|\Z)", re.IGNORECASE)
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
        if part[0] in "cpanlCPANL" and _DEVICE_OR_STREAM.match(part):
            return f"'{part}' is a device on Windows"
    return None


def report_names(findings: Findings, paths: Collection[str]) -> None:
    """Warn of names that would be lost, changed or confused on another system."""
    groups: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        groups[twin_key(path)].append(path)
    for group in groups.values():
        if len(group) > 1:
            first, *others = sorted(group)
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
