"""The extractor of a process that does one task after the other: its workers are started once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

from diadem.extract.extraction import Extraction
from diadem.extract.pool import Extractor

#: Seconds after which an extractor that nobody has asked for anything ends its workers.
IDLE = 30.0


class SharedExtractor:
    """An extractor that stays between calls, shared by all threads; `idle` seconds without any end it (0: never)."""

    def __init__(self, make: Callable[[], Extractor], *, idle: float = IDLE) -> None:
        self._make = make
        self._idle = idle
        self._extractor: Extractor | None = None
        self._process = os.getpid()
        self._users = 0
        self._timer: threading.Timer | None = None
        self._lock = threading.Lock()

    @contextmanager
    def lend(self) -> Iterator[Extractor]:
        """The extractor, for as long as the block lasts; closing it closes nothing."""
        with self._lock:
            self._stop_timer()
            if self._extractor is None or self._process != os.getpid():
                self._extractor, self._process = self._make(), os.getpid()
            self._users += 1
            lent = cast("Extractor", _Lent(self._extractor))
        try:
            yield lent
        finally:
            with self._lock:
                self._users -= 1
                if not self._users and self._idle:
                    self._timer = threading.Timer(self._idle, self._go)
                    self._timer.daemon = True
                    self._timer.start()

    def close(self) -> None:
        """End the workers now."""
        with self._lock:
            self._stop_timer()
            extractor, self._extractor = self._extractor, None
        if extractor is not None:
            extractor.close()

    def _go(self) -> None:
        """End the workers, unless somebody has borrowed them in the meantime."""
        with self._lock:
            if self._users:
                return
            extractor, self._extractor = self._extractor, None
        if extractor is not None:
            extractor.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Lent:
    """What an ingest needs of an extractor; that of one which stopped must not end the workers of the others."""

    def __init__(self, extractor: Extractor) -> None:
        self.workers = extractor.workers
        self.extract: Callable[..., Extraction] = extractor.extract
        self.extract_many = extractor.extract_many
        self.warm = extractor.warm
        self.expect = extractor.expect

    def close(self) -> None:
        """Nothing: it is only lent."""
