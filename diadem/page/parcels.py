"""ZIPs that were made to be downloaded once, and where they lie until then."""

from __future__ import annotations

import secrets
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from diadem.api.staging import Staging
from diadem.errors import NotFound


class Parcels:
    """ZIPs that were made to be downloaded once. They lie where uploads do, and go as these do."""

    def __init__(self, staging: Staging) -> None:
        self._staging: Final = staging
        self._ready: dict[str, Path] = {}
        self._lock = threading.Lock()

    @contextmanager
    def making(self, name: str, size: int) -> Iterator[Path]:
        """Where one of about so many bytes is to be written; nothing is left of it when the block fails."""
        folder = self._staging.place("made", size + size // 20, next="Name a folder where it is to be written.")
        try:
            yield folder / name
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

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
