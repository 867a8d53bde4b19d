"""Which sessions of one run may belong together, so that one must be archived before the other is looked at.

A session that holds all files of an earlier one continues it, or is the same; so it holds the largest of them, its
*leader*. Names and sizes recur in every session (`scan 1.tif`, 4 MB), and are told apart by a few blocks of content.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from diadem.pack.plan import PackPlan
from diadem.store.source import SourceFile
from diadem.store.system import READ_FLAGS, long_path

#: Bytes that are read at the beginning, in the middle and at the end of a file.
_BLOCK = 4096


@dataclass(slots=True)
class _Leaders:
    """Sessions whose leaders have one name and size: the newest of each content, and those not yet looked into."""

    by_content: dict[bytes, int] = field(default_factory=dict)
    unread: list[tuple[int, str]] = field(default_factory=list)

    def newest(self, content: bytes) -> int | None:
        """The newest session whose leader has this content; files that were not needed before are read now."""
        for number, path in self.unread:
            if (found := sample(path)) is not None:
                self.by_content[found] = number
        self.unread.clear()
        return self.by_content.get(content)


class Kinship:
    """Sessions of one run, told in their order. Keeps a few numbers of each.

    Parameters
    ----------
    folders : iterable of str
        Of all sessions: a folder that is named twice is looked at file by file.
    """

    def __init__(self, folders: Iterable[str]) -> None:
        shared = (folder for folder, count in Counter(folders).items() if count > 1)
        self._in_folder: dict[str, dict[int, int]] = {folder: {} for folder in shared}
        self._leaders: dict[int, _Leaders] = {}

    def add(self, number: int, folder: str, plan: PackPlan) -> set[int]:
        """Take a session in; the numbers of earlier ones to which it may belong."""
        files = list(plan.files.values())
        earlier = {found for file in files if (found := self._led_by(file)) is not None}
        if (known := self._in_folder.get(folder)) is not None:
            earlier.update(known[key] for file in files if (key := _key(file)) in known)
            known.update((_key(file), number) for file in files)
        readable = (file for file in sorted(files, key=_rank) if os.access(file.path, os.R_OK))
        if (leader := next(readable, None)) is not None:
            self._leaders.setdefault(_key(leader), _Leaders()).unread.append((number, leader.path))
        return earlier

    def _led_by(self, file: SourceFile) -> int | None:
        """The newest session whose leader this file may be."""
        leaders = self._leaders.get(_key(file))
        content = sample(file.path) if leaders is not None else None
        return leaders.newest(content) if leaders is not None and content is not None else None


def _key(file: SourceFile) -> int:
    return hash((file.name, file.size))


def _rank(file: SourceFile) -> tuple[int, bytes]:
    return -file.size, file.name


def sample(path: str) -> bytes | None:
    """A digest of a few blocks of a file; None where it cannot be read."""
    try:
        descriptor = os.open(long_path(path), READ_FLAGS)
    except OSError:
        return None
    with open(descriptor, "rb") as file:  # noqa: PTH123
        try:
            size = file.seek(0, os.SEEK_END)
            digest = hashlib.blake2b(digest_size=16)
            for place in (0, size // 2, max(0, size - _BLOCK)):
                file.seek(place)
                digest.update(file.read(_BLOCK))
        except OSError:
            return None
    return digest.digest()
