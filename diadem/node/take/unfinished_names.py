"""Names that say: somebody is still at work here. Locks and temporary files, by the programs that make them."""

from __future__ import annotations

import re
from typing import Final

#: Endings of files that are being written or copied, or that lock another one, in lower case.
_ENDINGS: Final = {
    ".tmp": "a temporary file",
    ".lock": "a lock",
    ".lck": "a lock",
    ".part": "a file that is being copied",
    ".partial": "a file that is being copied",
    ".filepart": "a file that is being copied",  # WinSCP
    ".crdownload": "a file that is being downloaded",  # Chrome
    ".aria2": "a file that is being downloaded",
}
_PATTERNS: Final = (
    (re.compile(r"~\$."), "the lock of Microsoft Office"),
    (re.compile(r"\.~lock\..*#\Z"), "the lock of LibreOffice"),
    (re.compile(r"~.*\.(?:tmp|dm[34])\Z", re.IGNORECASE), "a temporary file"),
    (re.compile(r".*\.~[0-9a-f]{1,8}\Z"), "a file that Nextcloud is copying"),
)
#: ``.scan.dm4.a1B2c3``: rsync puts six random characters behind the name with a dot before it.
_RSYNC: Final = re.compile(r"\..+\.[A-Za-z0-9]{1,5}\.(?=[A-Za-z]*[A-Z0-9])[A-Za-z0-9]{6}\Z")
#: What a person who only looks makes: no change of the session.
_BROWSING: Final = frozenset({".ds_store", "thumbs.db", "desktop.ini", ".directory", "ehthumbs.db"})


def at_work(name: str) -> str | None:
    """What the last part of a path says of somebody at work, in words; None where it says nothing.

    Parameters
    ----------
    name : str
        The name of one file.
    """
    for pattern, words in _PATTERNS:
        if pattern.match(name):
            return words
    dot = name.rfind(".")
    known = _ENDINGS.get(name[dot:].lower()) if dot >= 0 else None
    return known or ("a file that rsync is copying" if _RSYNC.match(name) else None)


def only_browsing(name: str) -> bool:
    """Whether a file is made by looking at a folder, so that its change is none of the session."""
    return name.lower() in _BROWSING or name.startswith("._")
