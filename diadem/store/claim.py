"""Keeping two writers of one payload apart: a claim object, with a heartbeat, by the server's clock.

::

    .diadem/claims/<payload id>     {"writer": <random>, "path": …, "package": …, "beat": n}

Two packages of one payload differ in their tag files, because their dates differ; two writers in one folder would mix
them. The first creates the claim conditionally and rewrites it every minute; the others wait. A claim is taken over
when its writer is known to be dead (its lock file is on this machine and free) or when it was silent for 15 minutes by
the store's clock. Where the store has no conditional writes the claim is best effort: two writers that start within the
same second may both go on, and `ObjectStore.upload` then relies on its check before the tag manifest.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from stat import S_ISREG
from typing import Any

from diadem.errors import DiademError, NotFound, Refused, StoreError
from diadem.model.manifest import PackageId
from diadem.store.client import ObjectClient, Stat
from diadem.store.contract import Capabilities
from diadem.store.hints import Hints
from diadem.store.retry import Occupied
from diadem.store.system import FileLock

FOLDER = ".diadem/claims"
_LIMIT = 1 << 16
_PACKAGE = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True)
class ClaimTiming:
    """Seconds: between heartbeats, of silence until a claim is stale, between looks at another's claim."""

    heartbeat: float = 60.0
    stale: float = 900.0
    look: float = 2.0


@dataclass(frozen=True, slots=True)
class ClaimNote:
    """What a claim says: who writes, where to, and which package."""

    writer: str
    path: str
    package: str
    beat: int = 0

    def to_bytes(self) -> bytes:
        """JSON."""
        content = {"writer": self.writer, "path": self.path, "package": self.package, "beat": self.beat}
        return json.dumps(content, sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> ClaimNote:
        """Read JSON; what cannot be read is the claim of nobody, and becomes stale like any other."""
        try:
            content: Any = json.loads(data)
        except ValueError:
            content = None
        if not isinstance(content, Mapping):
            return cls("", "", "")
        beat = content.get("beat")
        writer, path, package = (
            text if isinstance(text := content.get(name), str) else "" for name in ("writer", "path", "package")
        )
        return cls(writer, path, package, beat if isinstance(beat, int) else 0)


class Claim:
    """A claim that this process holds, kept alive by a thread until `release`."""

    def __init__(
        self,
        client: ObjectClient,
        key: str,
        note: ClaimNote,
        version: str,
        *,
        lock: WriterLock,
        timing: ClaimTiming,
        conditional: bool,
        previous: ClaimNote | None,
    ) -> None:
        self._client, self._key, self._note, self._version = client, key, note, version
        self._lock, self._conditional = lock, conditional
        #: What the claim said that was taken over: its writer may have finished its package and died before the hint.
        self.previous = previous
        self._guard = threading.Lock()
        self._lost = False
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._beat, args=(timing.heartbeat,), name="diadem-claim", daemon=True)
        self._thread.start()

    def confirm(self) -> None:
        """Raise `Refused` if another writer has taken the claim over."""
        with self._guard:
            self._renew()
            if self._lost:
                raise Refused(
                    "another writer took over while this one was silent; nothing was published",
                    where=f"{self._client.url}/{self._note.path}",
                    next="Run the same command again.",
                )

    def release(self) -> None:
        """Give the claim back. It is only a claim: if the store does not answer, it becomes stale by itself."""
        self._done.set()
        self._thread.join()
        try:
            if not self._lost and self._is_mine():
                self._client.once().delete(self._key, only=self._version if self._conditional else "")
        except DiademError:
            pass
        finally:
            self._lock.release()

    def _beat(self, interval: float) -> None:
        while not self._done.wait(interval):
            with self._guard, contextlib.suppress(DiademError):  # `confirm` will tell; the next beat may get through
                self._renew()

    def _renew(self) -> None:
        if self._lost:
            return
        note = ClaimNote(self._note.writer, self._note.path, self._note.package, self._note.beat + 1)
        try:
            if not self._conditional and not self._is_mine():
                self._lost = True
                return
            self._version = self._client.put(
                self._key, note.to_bytes(), replaces=self._version if self._conditional else ""
            )
        except (Occupied, NotFound):  # perhaps by an earlier try of our own whose answer was lost
            self._lost = not self._is_mine()
        self._note = note

    def _is_mine(self) -> bool:
        """Whether the object is ours; if so its version is noted."""
        found = read_claim(self._client, self._key)
        if found is None or found[1].writer != self._note.writer:
            return False
        self._version = found[0].version
        return True


class WriterLock:
    """A lock file on this machine that tells other processes here whether a writer still lives."""

    def __init__(self) -> None:
        self.writer = uuid.uuid4().hex
        home, fallback = _lock_paths(self.writer)
        self._lock = FileLock(home)
        try:
            self._lock.acquire()
        except StoreError:  # a home on a server may give no locks, or be full
            self._lock.remove()
            self._lock = FileLock(fallback)
            self._lock.acquire()

    def release(self) -> None:
        """Unlock, and remove the file."""
        self._lock.remove()


def take(
    client: ObjectClient,
    capabilities: Capabilities,
    payload: str,
    *,
    path: str,
    package: str,
    timing: ClaimTiming | None = None,
) -> Claim | None:
    """Claim a payload, or return None if a living writer holds it."""
    timing = timing or ClaimTiming()
    lock = WriterLock()
    key = f"{FOLDER}/{payload}"
    note = ClaimNote(lock.writer, path, package)
    try:
        previous = _take(client, capabilities, key, note, timing)
    except BaseException:
        lock.release()
        raise
    if previous is None:
        lock.release()
        return None
    version, taken_from = previous
    return Claim(
        client, key, note, version, lock=lock, timing=timing, conditional=capabilities.replaces, previous=taken_from
    )


def _take(
    client: ObjectClient, capabilities: Capabilities, key: str, note: ClaimNote, timing: ClaimTiming
) -> tuple[str, ClaimNote | None] | None:
    """The version of our claim and the note before it; None if another holds it."""
    found = read_claim(client, key)
    if found is None:
        version = _create(client, capabilities, key, note)
        return None if version is None else (version, None)
    stat, other = found
    if not is_dead(other.writer) and _age(client, stat) < timedelta(seconds=timing.stale):
        return None
    if capabilities.replaces:
        version = _write(client, key, note, replaces=stat.version)
    else:
        client.delete(key)
        version = _create(client, capabilities, key, note)
    return None if version is None else (version, other)


def _create(client: ObjectClient, capabilities: Capabilities, key: str, note: ClaimNote) -> str | None:
    if capabilities.creates:
        return _write(client, key, note, create=True)
    client.put(key, note.to_bytes())
    time.sleep(1.0)  # without conditions: the last of the writers of this second wins
    found = read_claim(client, key)
    return found[0].version if found is not None and found[1].writer == note.writer else None


def _write(client: ObjectClient, key: str, note: ClaimNote, *, create: bool = False, replaces: str = "") -> str | None:
    """Write conditionally. A refusal may be the echo of our own write whose answer was lost: read and compare."""
    try:
        return client.put(key, note.to_bytes(), create=create, replaces=replaces)
    except (Occupied, NotFound):
        found = read_claim(client, key)
        return found[0].version if found is not None and found[1].writer == note.writer else None


def settle(hints: Hints, payload: str, note: ClaimNote | None) -> None:
    """Write the hint that a dead writer owes: its package may be complete, and only its claim says where."""
    if note is None or not note.path or not _PACKAGE.match(note.package):
        return
    if hints.package_at(note.path) == note.package:
        hints.write(payload, PackageId(note.package), note.path)


def read_claim(client: ObjectClient, key: str) -> tuple[Stat, ClaimNote] | None:
    """A claim object and what it says."""
    stat = client.stat(key)
    if stat is None:
        return None
    try:
        data = client.get(key, 0, min(stat.size, _LIMIT))
    except NotFound:
        return None
    return stat, ClaimNote.from_bytes(data)


def _age(client: ObjectClient, stat: Stat) -> timedelta:
    """Silence by the store's clock; a store that tells no times has no stale claims."""
    return client.now() - stat.modified if isinstance(stat.modified, datetime) else timedelta(0)


def is_dead(writer: str) -> bool:
    """Whether a writer ran on this machine and lives no more: its lock file is here, ours, and free."""
    try:
        path = next((path for path in _lock_paths(writer) if _is_ours(path)), None) if writer.isalnum() else None
        if path is None:
            return False
        lock = FileLock(path)
        if not lock.acquire():
            return False
    except (OSError, StoreError):  # nobody can tell: it counts as dead when it has been silent for long
        return False
    if lock.supported:
        lock.remove()
    lock.release()
    return lock.supported


def _is_ours(path: Path) -> bool:
    """Whether a plain file of this account is there: in a folder for temporary files anybody may put one."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    return S_ISREG(found.st_mode) and (not hasattr(os, "getuid") or found.st_uid == os.getuid())


def _lock_paths(writer: str) -> tuple[Path, Path]:
    """The account's own folder, since jobs and services have one for temporary files each for themselves; then that.

    A home may be shared by machines, so the name says of which machine the writer is.
    """
    from platformdirs import user_cache_path

    folder, fallback = user_cache_path("diadem") / "writers", Path(tempfile.gettempdir())
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # an account without a home
        folder = fallback
    name = f"diadem-{hashlib.sha256(socket.gethostname().encode()).hexdigest()[:12]}-{writer}.lock"
    return folder / name, fallback / name
