"""What the protocol of this room asks of an object store: a few requests on keys relative to the store's root."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Stat:
    """What a store says about one object.

    Attributes
    ----------
    key : str
        Relative to the store's root, with ``/``.
    size : int
        Bytes.
    version : str
        An opaque mark that changes with the content (an S3 ETag), or "" where there is none. Never a digest.
    modified : datetime or None
        By the store's clock.
    """

    key: str
    size: int
    version: str = ""
    modified: datetime | None = None


@dataclass(frozen=True, slots=True)
class OpenUpload:
    """A multi-part upload that was begun and neither completed nor aborted."""

    key: str
    upload: str
    begun: datetime


class Traffic:
    """Requests made and bytes moved, counted from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.requests = 0
        self.sent = 0
        self.received = 0

    def count(self, *, sent: int = 0, received: int = 0, requests: int = 0) -> None:
        """Add to the sums."""
        with self._lock:
            self.requests += requests
            self.sent += sent
            self.received += received


class ObjectClient(Protocol):
    """Requests to one store. Safe to use from several threads; errors are ours (see `diadem.store.translate`).

    Conditional writes raise `Occupied` when the condition does not hold. A client whose file system has no
    conditional requests ignores the condition; `diadem.store.probe` finds that out.
    """

    traffic: Traffic

    @property
    def url(self) -> str:
        """The store's address."""

    @property
    def has_parts(self) -> bool:
        """Whether objects can be written in parts, in parallel."""

    def hurried(self) -> ObjectClient:
        """The same store, one try for each request: for questions whose answer may be a refusal."""

    def check(self) -> None:
        """Raise `NotFound` if the bucket is missing, `Refused` or `Unreachable` if it cannot be used."""

    def now(self) -> datetime:
        """The time by the store's clock."""

    def stat(self, key: str) -> Stat | None:
        """What is known of an object; None if it is not there."""

    def list(self, prefix: str) -> Iterator[Stat]:
        """All objects whose key is below `prefix` (a folder without the last slash, or "")."""

    def folders(self, prefix: str) -> Iterator[str]:
        """Names of what would be folders directly below `prefix`, sorted; objects below them make them."""

    def files(self, prefix: str) -> Iterator[str]:
        """Names of the objects directly below `prefix`, sorted."""

    def space(self) -> tuple[int, int] | None:
        """Bytes that are free, and in all; None where nobody says."""

    def place(self) -> str | None:
        """Identity of the server and of what it keeps apart; None where it is not known."""

    def get(self, key: str, start: int, end: int, version: str = "") -> bytes:
        """Bytes from `start` to `end` (exclusive); raises `IntegrityError` when the object is no longer `version`."""

    def put(
        self, key: str, data: bytes, *, sha256: bytes | None = None, create: bool = False, replaces: str = ""
    ) -> str:
        """Write a small object and return its version.

        With `sha256` (32 bytes) the server is asked to refuse other bytes; with `create` to refuse if anything is
        there; with `replaces` to refuse unless that version is there.
        """

    def put_stream(self, key: str, blocks: Iterable[bytes]) -> None:
        """Write an object block by block, where `has_parts` is False."""

    def delete(self, key: str, *, only: str = "") -> None:
        """Remove an object if it is there; with `only`, ask the server to refuse unless it is that version."""

    def prune(self, prefix: str) -> None:
        """Remove folders at and above `prefix` that are empty, where folders are something of their own."""

    def begin(self, key: str) -> str:
        """Begin a multi-part upload and return its name."""

    def part(self, key: str, upload: str, number: int, data: bytes, sha256: bytes) -> str:
        """Send one part (from 1) and return its mark for `complete`."""

    def complete(self, key: str, upload: str, parts: Iterable[tuple[int, str, bytes]]) -> None:
        """Make the object of (number, mark, SHA-256) parts."""

    def abort(self, key: str, upload: str) -> None:
        """Give a multi-part upload up; none is left even if it was already gone."""

    def uploads(self, prefix: str) -> Iterator[OpenUpload]:
        """Multi-part uploads that are open below `prefix`."""
