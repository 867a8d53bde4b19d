"""What a mender writes down, and forces to disk, before it touches a file; what a crash leaves is read from it.

::

    <store>/.diadem/mending/<place>.lock           held by the mender while it lives
    <store>/.diadem/mending/<place>.<leaf>.json    this leaf is being written in place
    <store>/.diadem/mending/<place>.file.json      the whole file is about to be exchanged
    <store>/.diadem/mending/<place>.part           the file that will take its place

`<place>` is the UUID (version 5) of the package's path and the file's, so that one file has one lock.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from diadem.store.stage import SILENCE
from diadem.store.system import (
    LONG_PATIENCE,
    FileLock,
    discard,
    flush_folder,
    long_path,
    move,
    read_plain,
    refuse_links,
    through_link,
)
from diadem.store.whole import write_draft

_FORMAT = "diadem-mending/1"


@dataclass(frozen=True, slots=True)
class Intent:
    """A change that has been announced.

    Attributes
    ----------
    package : str
        Path of the package in the store.
    file : str
        Path of the file in the bag.
    leaf : int or None
        Index of the leaf within the file; None for the whole file.
    digest : str
        64 hex digits: BLAKE3 of the leaf that will be there; SHA-256 of the whole file, empty where it is not known.
    leaf_size : int
        Bytes in a leaf; 0 for a whole file.
    size : int
        Bytes of the file.
    mtime_ns : int or None
        Modification time that the file shall have afterwards.
    """

    package: str
    file: str
    leaf: int | None
    digest: str
    leaf_size: int
    size: int
    mtime_ns: int | None


class Desk:
    """The folder `.diadem/mending` of a store, seen from one file of one package."""

    def __init__(self, root: Path, package: str, file: str) -> None:
        self._folder = root / ".diadem" / "mending"
        self._place = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{package}\n{file}"))

    @property
    def part(self) -> str:
        """Where the file that will take the place is staged."""
        return str(self._folder / f"{self._place}.part")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other menders away from this file; leaves no lock behind."""
        os.makedirs(long_path(refuse_links(self._folder.parent.parent, self._folder)), exist_ok=True)
        lock = FileLock(self._folder / f"{self._place}.lock")
        lock.acquire(wait=LONG_PATIENCE)
        try:
            yield
        finally:
            lock.remove()

    def announce(self, intent: Intent) -> None:
        """Write an intent and force it to disk."""
        target = self._record(intent.leaf)
        text = json.dumps({"format": _FORMAT, **asdict(intent)}, sort_keys=True)
        draft = target + ".draft"
        discard(draft)
        write_draft(Path(draft), (text.encode(),))
        move(draft, target)
        flush_folder(long_path(self._folder))

    def done(self, leaf: int | None) -> None:
        """Take back the record of a leaf, or of the whole file."""
        discard(self._record(leaf))

    def clear(self) -> None:
        """Take back all records of the file: it has been exchanged whole."""
        for name in _of_place(self._folder, self._place):
            if name.endswith(".json"):
                discard(str(self._folder / name))

    def _record(self, leaf: int | None) -> str:
        return str(self._folder / f"{self._place}.{'file' if leaf is None else leaf}.json")


def dead_places(root: Path) -> Iterator[dict[str, Intent | None]]:
    """Files whose mender is dead, one after the other, locked while the caller looks.

    Yields
    ------
    dict of str to Intent or None
        Paths of everything that lies on the desk for one file, but its lock, and the intent where it is one.
    """
    folder = root / ".diadem" / "mending"
    if through_link(root, folder) is not None:
        return
    try:
        names = sorted(os.listdir(long_path(folder)))
    except OSError:
        return
    for place in dict.fromkeys(name.partition(".")[0] for name in names):
        lock = FileLock(folder / f"{place}.lock")
        if not lock.acquire():
            continue
        try:
            paths = [str(folder / name) for name in _of_place(folder, place)]
            if not lock.supported and _is_fresh(paths):
                continue
            yield {path: _read(path) for path in paths}
        finally:
            lock.remove()


def _is_fresh(paths: list[str]) -> bool:
    """Whether somebody without a lock may still be at work: something changed within `SILENCE`."""
    times = [os.lstat(long_path(path)).st_mtime for path in paths if os.path.lexists(long_path(path))]
    return bool(times) and time.time() - max(times) < SILENCE


def _of_place(folder: Path, place: str) -> list[str]:
    """Names on the desk for one file, looked up again under its lock."""
    names = sorted(os.listdir(long_path(folder)))
    return [name for name in names if name.startswith(place + ".") and not name.endswith(".lock")]


def _read(path: str) -> Intent | None:
    """The intent in a file; None where it holds none."""
    if not path.endswith(".json"):
        return None
    try:
        members = json.loads(read_plain(path, 1 << 16))
        if members.pop("format") != _FORMAT:
            return None
        return _checked(Intent(**members))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _checked(intent: Intent) -> Intent | None:
    texts = (intent.package, intent.file, intent.digest)
    numbers = (intent.leaf_size, intent.size, intent.leaf or 0, intent.mtime_ns or 0)
    sound = all(isinstance(text, str) for text in texts) and all(isinstance(number, int) for number in numbers)
    return intent if sound and min(numbers[:3]) >= 0 else None
