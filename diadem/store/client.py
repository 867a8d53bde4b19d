"""What this room asks of an object store: some requests on keys relative to the store's root, each tried again."""

from __future__ import annotations

import copy
import hashlib
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Self

from diadem.errors import DiademError, DigestMismatch, StoreError
from diadem.model.manifest import LEAF_SIZE
from diadem.store.contract import Capabilities
from diadem.store.retry import Patience, T, persist
from diadem.work import as_they_come

#: Parts of an S3 object, at most (Amazon S3 User Guide, "Multipart upload limits").
MAX_PARTS = 10_000
#: Bytes of a part unless the file needs larger ones; S3 asks for 5 MiB at least.
PART_SIZE = 8 * LEAF_SIZE
#: Objects up to this size are written with one request.
SINGLE_SIZE = 2 * PART_SIZE
#: Requests at once: what a line of 1 Gbit/s and 30 ms needs for files of 100 kB; `_BUDGET` holds large parts back.
_THREADS = 8
#: Bytes under way at once; the process holds some two and a half times as much, as the HTTP client copies. Parts are
#: larger than this in files of more than 335 GB (see `part_size`); then there is one at a time.
_BUDGET = 32 * LEAF_SIZE
#: What a request weighs at least, so that a million empty files do not wait in memory.
_WEIGHT = 16 << 10


@dataclass(frozen=True, slots=True)
class Stat:
    """What a store says about one object: key below its root, bytes, and the time of its last change by its clock.

    `version` is an opaque mark that changes with the content (an S3 ETag), "" where there is none. Never a digest.
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


@dataclass(frozen=True, slots=True)
class Request:
    """A request that some thread makes, the bytes that it holds, and what to do after a failure, if it was begun."""

    size: int
    make: Callable[[], None]
    give_up: Callable[[], None] | None = None


class ObjectClient(ABC):
    """Requests to one store. Safe to use from several threads; errors are ours (see `diadem.store.retry`).

    Conditional writes raise `Occupied` when the condition does not hold. A client whose file system has no
    conditional requests ignores the condition; `probe` finds that out.
    """

    #: Held while a request is made.
    _alone: AbstractContextManager[Any] = nullcontext()

    def __init__(self, patience: Patience) -> None:
        self._patience = patience

    @property
    @abstractmethod
    def url(self) -> str:
        """The store's address."""

    def once(self) -> Self:
        """The same store, one try for each request: for questions whose answer may be a refusal."""
        twin = copy.copy(self)
        twin._patience = Patience(tries=1)  # noqa: SLF001
        return twin

    @abstractmethod
    def check(self) -> None:
        """Raise `NotFound` if the bucket is missing, `Refused` or `Unreachable` if it cannot be used."""

    @abstractmethod
    def now(self) -> datetime:
        """The time by the store's clock."""

    @abstractmethod
    def stat(self, key: str) -> Stat | None:
        """What is known of an object; None if it is not there."""

    @abstractmethod
    def list(self, prefix: str) -> Iterator[Stat]:
        """All objects whose key is below `prefix` (a folder without the last slash, or "")."""

    @abstractmethod
    def names(self, prefix: str, *, folders: bool) -> Sequence[str]:
        """Names of what lies directly below `prefix`, sorted: the objects, or the folders that others make."""

    def space(self) -> tuple[int, int] | None:
        """Bytes that are free, and in all; None where nobody says."""
        return None

    @abstractmethod
    def place(self) -> str | None:
        """Identity of the server and of what it keeps apart; None where it is not known."""

    @abstractmethod
    def get(self, key: str, start: int, end: int, version: str = "") -> bytes:
        """Bytes from `start` to `end` (exclusive); raises `IntegrityError` when the object is no longer `version`."""

    @abstractmethod
    def put(
        self, key: str, data: bytes, *, sha256: bytes | None = None, create: bool = False, replaces: str = ""
    ) -> str:
        """Write a small object and return its version.

        The server is asked to refuse other bytes than the data's, whose `sha256` (32 bytes) may be known; with `create`
        to refuse if anything is there; with `replaces` to refuse unless that version is there.
        """

    def write(self, key: str, blocks: Iterable[bytes], size: int) -> None:
        """Write an object of any size, or leave what was there, where the store can do that. Raises as `requests`."""
        requests = self.requests(key, blocks, size)
        if size > SINGLE_SIZE:
            make_all(requests)
        else:
            for request in requests:
                request.make()

    def requests(
        self,
        key: str,
        blocks: Iterable[bytes],
        size: int,
        *,
        sha256: bytes | None = None,
        told: Callable[[int], None] = lambda _: None,
    ) -> Iterator[Request]:
        """What writes an object of any size: it is there when all requests are made (`make_all`).

        An exception that `blocks` raises passes through; `DigestMismatch` where they are not `size` bytes. `told` hears
        of the bytes sent, from any thread.
        """
        exact = _exactly(blocks, size, key)
        if size > SINGLE_SIZE:
            yield from self._large(key, exact, size, told)
            return
        data = b"".join(exact)

        def send() -> None:
            self.put(key, data, sha256=sha256)
            told(size)

        yield Request(size, send)

    @abstractmethod
    def _large(self, key: str, blocks: Iterator[bytes], size: int, told: Callable[[int], None]) -> Iterable[Request]:
        """The same for an object that is too large for one request; a stream is sent while this is asked for."""

    @abstractmethod
    def delete(self, key: str, *, only: str = "") -> None:
        """Remove an object if it is there; with `only`, ask the server to refuse unless it is that version."""

    def prune(self, prefix: str) -> None:  # noqa: B027  most stores have no folders
        """Remove folders at and above `prefix` that are empty, where folders are something of their own."""

    def clear(self, path: str) -> int:
        """Remove everything below a path, several objects at once, with the folders. Returns how many objects."""
        keys = [stat.key for stat in self.list(path)]
        make_all(Request(0, partial(self.delete, key)) for key in keys)
        folders = {path, *(key.rpartition("/")[0] for key in keys)}
        for folder in sorted(folders, key=lambda folder: -folder.count("/")):
            self.prune(folder)
        return len(keys)

    def checks_parts(self, key: str) -> bool:  # noqa: ARG002
        """Whether large objects go in parts, and one with another SHA-256 than the one announced is refused."""
        return False

    def uploads(self, prefix: str) -> Iterator[OpenUpload]:  # noqa: ARG002
        """Multi-part uploads that are open below `prefix`."""
        return iter(())

    def abort(self, key: str, upload: str) -> None:  # noqa: B027  most stores have no parts
        """Give a multi-part upload up; none is left even if it was already gone."""

    def _try(self, key: str, request: Callable[[], T], patience: Patience | None = None) -> T:
        def alone() -> T:
            with self._alone:
                return request()

        return persist(alone, self._at(key), patience or self._patience)

    def _at(self, key: str) -> str:
        return f"{self.url}/{key}".rstrip("/")


def make_all(requests: Iterator[Request]) -> None:
    """Make requests, a few at once, with a bound on the bytes under way; one that is larger than that goes alone.

    The first failure stops everything, and is raised when nothing runs any more and what was begun has been given up.
    """
    begun: list[Callable[[], None]] = []

    def noted() -> Iterator[Request]:
        for request in requests:
            if request.give_up is not None:
                begun.append(request.give_up)
            yield request

    made = as_they_come(
        lambda request: request.make(),
        noted(),
        threads=_THREADS,
        ahead=_BUDGET // _WEIGHT,
        size=lambda request: max(request.size, _WEIGHT),
        budget=_BUDGET,
        name="diadem-upload",
    )
    try:
        with closing(made):
            for _ in made:
                pass
    except BaseException:
        for give_up in begun:
            with suppress(DiademError):  # a store that does not answer stops nothing
                give_up()
        raise


def part_size(size: int) -> int:
    """Bytes of each part of a file: a multiple of 1 MiB, so large that `MAX_PARTS` suffice."""
    needed = -(-size // MAX_PARTS)
    return max(PART_SIZE, -(-needed // LEAF_SIZE) * LEAF_SIZE)


def regrouped(blocks: Iterable[bytes], length: int) -> Iterator[bytes]:
    """The same bytes in blocks of one length, the last one perhaps shorter; blocks that have it are not copied."""
    pieces: list[memoryview] = []
    held = 0
    for block in blocks:
        left = memoryview(block)
        while left:
            if held == length:  # the last one is kept back until the end is known to be right
                yield _joined(pieces)
                pieces, held = [], 0
            pieces.append(left[: length - held])
            held += len(pieces[-1])
            left = left[len(pieces[-1]) :]
    if held:
        yield _joined(pieces)


def _joined(pieces: list[memoryview]) -> bytes:
    whole = pieces[0].obj
    return whole if len(pieces) == 1 and isinstance(whole, bytes) and len(whole) == len(pieces[0]) else b"".join(pieces)


def _exactly(blocks: Iterable[bytes], size: int, where: str) -> Iterator[bytes]:
    """The blocks; an error at the end, before anything is complete, unless they are `size` bytes."""
    left = size
    for block in blocks:
        left -= len(block)
        if left < 0:
            break
        yield block
    if left:
        message = f"the number of bytes found for the file is not {size}; nothing was changed"
        raise DigestMismatch(message, where=where, next="Look for another copy.")


# -- what a store can do, found out by trying: claims of server manuals are not proof ---------------------------------
#
# The answers are not recorded in the store: a store that is copied to another server would carry a false promise with
# it. A probe is ten small requests, once for each `ObjectStore` that writes something new.

#: Objects of probes lie here; each is removed at once, and swept later if its writer died.
PROBES = ".diadem/probe"
_SENT = b"diadem probe: these bytes"
_OTHER = b"diadem probe: other bytes"


def probe(client: ObjectClient) -> Capabilities:
    """Try each capability on an object of a random name."""
    key = f"{PROBES}/{uuid.uuid4().hex}"
    once = client.once()

    def refuses(data: bytes, **condition: Any) -> bool:
        """Whether the server answers with a refusal; one that does not answer is an error."""
        try:
            once.put(key, data, **condition)
        except StoreError:
            return True
        return False

    client.put(key, _SENT)
    try:
        creates = refuses(_OTHER, create=True)
        stat, wrong = once.stat(key), '"' + "0" * 32 + '"'
        known = stat is not None and stat.version
        replaces = bool(known) and refuses(_OTHER, replaces=wrong) and not refuses(_OTHER, replaces=known)
        checks = refuses(_SENT, sha256=hashlib.sha256(_OTHER).digest())
    finally:
        client.delete(key)
    return Capabilities(creates, replaces, checks, once.checks_parts(key))
