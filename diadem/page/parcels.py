"""ZIPs that were made to be downloaded once, and where they lie until then."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import threading
from pathlib import Path

from diadem.errors import NotFound, Refused
from diadem.model.plain_text import size_text


class Parcels:
    """ZIPs that were made to be downloaded once. They lie in a folder that goes when the page ends."""

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._ready: dict[str, Path] = {}
        self._lock = threading.Lock()

    def place(self, size: int) -> Path:
        """An empty folder for one of about so many bytes. Raises `Refused` where there is no room for it."""
        with self._lock:
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="diadem-page-", ignore_cleanup_errors=True)
        folder = Path(self._folder.name)
        if (free := shutil.disk_usage(folder).free) < size + size // 20:
            raise Refused(
                f"there is room for {size_text(free)}, and it needs about {size_text(size)}",
                where=str(folder),
                next="Name a folder where it is to be written.",
            )
        return Path(tempfile.mkdtemp(dir=folder))

    def ready(self, path: Path) -> str:
        """The address where one is downloaded."""
        word = secrets.token_hex(8)
        with self._lock:
            self._ready[word] = path
        return f"/parcel/{word}"

    def __getitem__(self, word: str) -> Path:
        with self._lock:
            path = self._ready.get(word)
        if path is None or not path.exists():
            raise NotFound("This was downloaded already, or was made by an earlier run of the page.")
        return path

    def remove(self, word: str) -> None:
        """It was sent whole."""
        with self._lock:
            path = self._ready.pop(word, None)
        if path is not None:
            shutil.rmtree(path.parent, ignore_errors=True)
