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
from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from stat import S_ISREG
from typing import Any

from diadem.errors import DiademError, NotFound, Refused, StoreError
from diadem.model.manifest import INDEX_PATH, LEAVES_PATH, MANIFEST, PREVIEWS_PATH, TAGMANIFEST, VENDOR_PATH
from diadem.store.client import PROBES, ObjectClient, OpenUpload, Stat
from diadem.store.contract import SILENCE, Capabilities
from diadem.store.plain import DRAFTS
from diadem.store.retry import Occupied
from diadem.store.store import NAME_ENDING, Hints
from diadem.store.system import FileLock, account_cache

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
    """A claim on a payload: `take` it; a thread keeps it alive until `release`."""

    def __init__(
        self, client: ObjectClient, can: Capabilities, timing: ClaimTiming, payload: str, path: str, package: str
    ) -> None:
        self._client, self._can, self._timing = client, can, timing
        self._key = f"{FOLDER}/{payload}"
        self._lock = WriterLock()
        self._note = ClaimNote(self._lock.writer, path, package)
        self._version = ""
        #: What the claim said that was taken over: its writer may have finished its package and died before the hint.
        self.previous: ClaimNote | None = None
        self._guard = threading.Lock()
        self._lost = False
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="diadem-claim", daemon=True)

    def take(self) -> bool:
        """Whether it is ours from now on; False where a living writer holds it."""
        taken = False
        try:
            taken = self._take()
        finally:
            if not taken:
                self._lock.release()
        if taken:
            self._thread.start()
        return taken

    def _take(self) -> bool:
        if (found := read_claim(self._client, self._key)) is not None:
            stat, self.previous = found
            # Silence by the store's clock; a store that tells no times has no stale claims.
            silence = timedelta(0) if stat.modified is None else self._client.now() - stat.modified
            if not is_dead(self.previous.writer) and silence < timedelta(seconds=self._timing.stale):
                return False
            if self._can.replaces:
                return self._put(replaces=stat.version)
            self._client.delete(self._key)
        if self._can.creates:
            return self._put(create=True)
        self._put()
        time.sleep(1.0)  # without conditions: the last of the writers of this second wins
        return self._is_mine()

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
                self._client.once().delete(self._key, only=self._version if self._can.replaces else "")
        except DiademError:
            pass
        finally:
            self._lock.release()

    def _beat(self) -> None:
        while not self._done.wait(self._timing.heartbeat):
            with self._guard, contextlib.suppress(DiademError):  # `confirm` will tell; the next beat may get through
                self._renew()

    def _renew(self) -> None:
        if self._lost:
            return
        self._note = replace(self._note, beat=self._note.beat + 1)
        if self._can.replaces:
            self._lost = not self._put(replaces=self._version)
        else:
            self._lost = not (self._is_mine() and self._put())

    def _put(self, *, create: bool = False, replaces: str = "") -> bool:
        """Write the claim; whether it is ours. A refusal may be the echo of our own write whose answer was lost."""
        try:
            self._version = self._client.put(self._key, self._note.to_bytes(), create=create, replaces=replaces)
        except (Occupied, NotFound):
            return self._is_mine()
        return True

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
        self._lock.remove()


def settle(hints: Hints, payload: str, note: ClaimNote | None) -> None:
    """Write the hint that a dead writer owes: its package may be complete, and only its claim says where."""
    if note is None or not note.path or not _PACKAGE.match(note.package):
        return
    stored = hints.stored_at(note.path)
    if stored is not None and stored.id.hex == note.package:
        hints.write(payload, stored.id, note.path)


def read_claim(client: ObjectClient, key: str) -> tuple[Stat, ClaimNote] | None:
    stat = client.stat(key)
    if stat is None:
        return None
    try:
        data = client.get(key, 0, min(stat.size, _LIMIT))
    except NotFound:
        return None
    return stat, ClaimNote.from_bytes(data)


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

    A home may be shared by machines, so the name says of which machine the writer is. ``DIADEM_CACHE`` has no say: a
    sweeper that was started with another one would take the living for dead.
    """
    folder = fallback = Path(tempfile.gettempdir())
    try:
        folder = account_cache() / "writers"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, NotFound):  # an account without a home
        folder = fallback
    name = f"diadem-{hashlib.sha256(socket.gethostname().encode()).hexdigest()[:12]}-{writer}.lock"
    return folder / name, fallback / name


# -- what dead writers left: folders without a tag manifest, open multi-part uploads, old claims and probes -----------

#: Names that DIADEM gives to packages. Anything else in a store is somebody's, and never touched.
_PACKAGE_NAME = re.compile(rf"([0-9]{{4}}/[0-9]{{8}}-(?:[^/]+-)?{NAME_ENDING})/(?P<file>.+)\Z", re.DOTALL)
_TAG_FILES = {"bagit.txt", "bag-info.txt", MANIFEST, INDEX_PATH, LEAVES_PATH, PREVIEWS_PATH, VENDOR_PATH}


@dataclass(slots=True)
class Leftover:
    """An unfinished package: what lies there, and when it was last written to, by the store's clock.

    `foreign`: files lie there that DIADEM did not write. `lost`: it is known, or a hint names it, so it was a package
    once, and has lost its tag manifest. `finished`: it has one.
    """

    path: str
    objects: int = 0
    bytes: int = 0
    newest: datetime | None = None
    finished: bool = False
    foreign: bool = False
    lost: bool = False

    @property
    def removable(self) -> bool:
        """Whether it is nothing but what a dead writer left."""
        return not (self.finished or self.foreign or self.lost)

    def add(self, path: str, stat: Stat) -> None:
        """Count one object; `path` is relative to the package."""
        self.objects += 1
        self.bytes += stat.size
        self.finished |= path == TAGMANIFEST
        self.foreign |= not (path.startswith("data/") or path in _TAG_FILES or path == TAGMANIFEST)
        if stat.modified is not None and (self.newest is None or stat.modified > self.newest):
            self.newest = stat.modified


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What a sweep found: unfinished packages, of which only those that are `removable` are ever removed; multi-part
    uploads, which a provider bills although no object is seen.
    """

    packages: tuple[Leftover, ...] = ()
    uploads: tuple[OpenUpload, ...] = ()


def sweep(
    client: ObjectClient, hints: Hints, *, older: timedelta = SILENCE, delete: bool = False, keep: Container[str] = ()
) -> Leftovers:
    """Find leftovers that nobody has touched for `older` by the store's clock; remove them only when asked.

    One listing of the whole store: a thousand objects for a request. What lies at a path in `keep` is no leftover.
    """
    limit = client.now() - older
    fresh = (stat for stat in client.list(FOLDER) if stat.modified is None or stat.modified > limit)
    claims = filter(None, (read_claim(client, stat.key) for stat in fresh))
    claimed = {note.path for _, note in claims if not is_dead(note.writer)}
    unfinished: dict[str, Leftover] = {}
    for stat in client.list(""):
        if match := _PACKAGE_NAME.match(stat.key):
            path, name = match[1], match["file"]
            unfinished.setdefault(path, Leftover(path)).add(name, stat)
    packages = tuple(
        found
        for found in unfinished.values()
        if not (found.finished or found.path in claimed) and found.newest is not None and found.newest <= limit
    )
    for found in packages:
        found.lost = not found.foreign and (found.path in keep or hints.is_named(found.path))
    uploads = tuple(
        upload for upload in client.uploads("") if upload.begun <= limit and _is_of_nobody(upload.key, claimed)
    )
    if delete:
        for found in packages:
            if found.removable and client.stat(f"{found.path}/{TAGMANIFEST}") is None:
                client.clear(found.path)
        for upload in uploads:
            client.abort(upload.key, upload.upload)
        old = (stat for folder in (FOLDER, PROBES, DRAFTS) for stat in client.list(folder))
        for key in [stat.key for stat in old if stat.modified is not None and stat.modified <= limit]:
            if key.startswith(FOLDER) and (claim := read_claim(client, key)) is not None:
                settle(hints, key.rpartition("/")[2], claim[1])
            client.delete(key)
    return Leftovers(packages, uploads)


def _is_of_nobody(key: str, claimed: Container[str]) -> bool:
    """Whether an upload is of a package that nobody is writing, or of a probe."""
    match = _PACKAGE_NAME.match(key)
    return match.group(1) not in claimed if match else key.startswith(f"{PROBES}/")


def leftover_at(client: ObjectClient, hints: Hints, path: str) -> Leftover | None:
    """What lies at a path where there is no package; None if nothing does."""
    found = Leftover(path)
    for stat in client.list(path):
        found.add(stat.key.removeprefix(f"{path}/"), stat)
    found.lost = not found.foreign and found.objects > 0 and hints.is_named(path)
    return found if found.objects else None
