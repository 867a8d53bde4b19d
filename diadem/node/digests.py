"""SHA-256 of files of a folder that is compared with what is archived of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Final

from diadem.errors import Interrupted
from diadem.model.ports import Listener, Progress
from diadem.store.copy import Changed, Copier, NotPlain, SourceFailed
from diadem.store.source import SourceFile
from diadem.work import in_order

#: Stand for the digest of a file that cannot be read, and of one that is being written.
UNREAD: Final = ""
CHANGING: Final = "changing"
_HASHERS, _AHEAD = 2, 64

#: From files to their SHA-256 by path; None for one that could not be read.
HashMany = Callable[[Sequence[SourceFile]], Mapping[str, str | None]]


class FileDigests:
    """SHA-256 of files by their paths, each read once however often it is asked for; the listener is told of the bytes.

    `elsewhere` is asked first, and read here is what it cannot say.
    """

    def __init__(self, stage: str, copier: Copier, listener: Listener, *, elsewhere: HashMany | None = None) -> None:
        self._stage, self._copier, self._listener, self._elsewhere = stage, copier, listener, elsewhere
        self._done = self._total = 0
        self._counting = threading.Lock()
        self._stopped = threading.Event()
        self.known: dict[str, str] = {}

    def of(self, files: Sequence[SourceFile]) -> Mapping[str, str]:
        """Path to digest, to `UNREAD` or `CHANGING`; of these files, and of all that were asked for before."""
        wanted = [file for file in files if file.path not in self.known]
        if self._elsewhere is not None and wanted:
            found = self._elsewhere(wanted)
            self.known.update((path, digest) for path, digest in found.items() if digest is not None)
            wanted = [file for file in wanted if file.path not in self.known]
        self._total += sum(file.size for file in wanted)
        digests = in_order(self._digest, wanted, threads=_HASHERS, ahead=_AHEAD, stop=self._stopped.set)
        with closing(digests):
            self.known.update((file.path, digest) for file, digest in zip(wanted, digests, strict=True))
        return self.known

    def _digest(self, file: SourceFile) -> str:
        def advance(count: int) -> None:
            if self._stopped.is_set():
                raise Interrupted("comparing was stopped", where=file.path)
            with self._counting:
                self._done += count
                done = self._done
            self._listener(Progress(self._stage, done, self._total, file.path))

        try:
            return self._copier.copy(file.path, None, advance).sha256
        except Changed:
            return CHANGING
        except (NotPlain, SourceFailed):
            return UNREAD
