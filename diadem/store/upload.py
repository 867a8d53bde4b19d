"""Writing one package where there is no rename: everything first, the tag manifest last, under a claim."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import BinaryIO

from diadem.errors import DiademError, DigestMismatch, IntegrityError, NotFound, Refused, StoreError, UsageError
from diadem.model.manifest import DERIVED_PATHS, TAGMANIFEST, FileEntry, PackageId
from diadem.model.ports import Listener, Progress, silent
from diadem.store.client import PART_SIZE, SINGLE_SIZE, ObjectClient, UploadThreads
from diadem.store.retry import Occupied
from diadem.trust.hashing import Leaves, payload_id

#: What to do where a source is not what was hashed.
AGAIN = "Archive it again when nothing writes to it."

OpenSource = Callable[[FileEntry], BinaryIO]


class Proof(StrEnum):
    """Why the bytes in a store are known to be right.

    ``server``: it refused every object and part whose SHA-256 was not the one sent along. ``read-back``: every leaf was
    read once after it was written. ``earlier``: the package was there already. ``none``: written, unproven.
    """

    SERVER = "server"
    READ_BACK = "read-back"
    EARLIER = "earlier"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Upload:
    """What an upload did: the package that is in the store now, another of the same payload if it was there first."""

    package: PackageId
    path: str
    made: bool
    proof: Proof

    @property
    def proven(self) -> bool:
        """Whether this upload proved the bytes."""
        return self.proof in (Proof.SERVER, Proof.READ_BACK)


@dataclass(frozen=True)
class Job:
    """A package to be written.

    Entries that are not among the tag files come from `open_source`; the tag manifest is one of them, and files that
    DIADEM derives may be.
    """

    path: str
    entries: Sequence[FileEntry]
    leaves: Leaves
    open_source: OpenSource
    tag_files: Mapping[str, bytes]
    listener: Listener = silent
    prove: bool = True
    tree: str = ""
    advice: str = AGAIN
    sources: Sequence[FileEntry] = field(init=False)
    package: PackageId = field(init=False)
    payload: str = field(init=False)

    def __post_init__(self) -> None:
        """Derive ids, and refuse what contradicts itself before anything is sent."""
        if TAGMANIFEST not in self.tag_files:
            raise UsageError("a package needs its tag manifest", where=TAGMANIFEST)
        for entry in self.entries:
            data = self.tag_files.get(entry.path)
            if data is not None and hashlib.sha256(data).hexdigest() != entry.sha256:
                raise IntegrityError("the derived file is not the one in the manifest", where=entry.path)
        sources = [entry for entry in self.entries if entry.path not in self.tag_files]
        object.__setattr__(self, "sources", sources)
        object.__setattr__(self, "package", PackageId(hashlib.sha256(self.tag_files[TAGMANIFEST]).hexdigest()))
        payload = payload_id(entry for entry in self.entries if entry.path not in DERIVED_PATHS)
        object.__setattr__(self, "payload", payload)

    @property
    def plain_tag_files(self) -> dict[str, bytes]:
        """All but the tag manifest."""
        return {path: data for path, data in self.tag_files.items() if path != TAGMANIFEST}

    def sizes(self) -> dict[str, int]:
        """What must lie in the folder before the tag manifest comes."""
        sizes = {entry.path: entry.size for entry in self.sources}
        return sizes | {path: len(data) for path, data in self.plain_tag_files.items()}


def write_package(client: ObjectClient, root: str, job: Job, *, server_proves: bool) -> Proof:
    """Send everything but the tag manifest, check that exactly this is there, and prove it where the server did not."""
    _clear(client, root, set(job.sizes()))
    _send(client, root, job)
    _check_listing(client, root, job.sizes())
    if server_proves:
        return Proof.SERVER
    if not job.prove:
        return Proof.NONE
    _read_back(client, root, job)
    return Proof.READ_BACK


def commit(client: ObjectClient, root: str, job: Job) -> None:
    """Write the tag manifest: from here on there is a package.

    Raises `Refused` if another writer's is there. One's own, from a try whose answer was lost, is fine.
    """
    data = job.tag_files[TAGMANIFEST]
    with contextlib.suppress(Occupied):
        client.put(f"{root}/{TAGMANIFEST}", data, sha256=hashlib.sha256(data).digest(), create=True)
    stat = client.stat(f"{root}/{TAGMANIFEST}")
    if stat is None or stat.size != len(data) or client.get(stat.key, 0, stat.size) != data:
        raise Refused(
            "another writer published a package in this folder at the same time",
            where=f"{client.url}/{root}",
            next="Run the same command again; it will find that package or write its own beside it.",
        )


def _send(client: ObjectClient, root: str, job: Job) -> None:
    """Payload and tag files, in any order among themselves; each leaf is compared once more on its way.

    Raises `DigestMismatch` if the source is no longer what was hashed; what was sent is no package.
    """
    count = _Counter("upload", job)
    with UploadThreads() as threads:
        for entry in job.sources:
            told = partial(count, entry.path)
            with job.open_source(entry) as source:
                step = max(entry.size if entry.size <= SINGLE_SIZE else PART_SIZE, job.leaves.size)
                blocks = _checked(job, entry, source, step)
                digest = bytes.fromhex(entry.sha256)
                client.write(f"{root}/{entry.path}", blocks, entry.size, sha256=digest, threads=threads, told=told)
        for path, data in job.plain_tag_files.items():
            client.write(f"{root}/{path}", (data,), len(data), threads=threads, told=partial(count, path))
        threads.finish()


def _checked(job: Job, entry: FileEntry, source: BinaryIO, step: int) -> Iterator[bytes]:
    """The file in blocks of whole leaves, each leaf compared; nothing before its first byte and after its last."""

    def changed(what: str, leaf: int | None = None, span: tuple[int, int] | None = None) -> DigestMismatch:
        message = f"the source is no longer what was hashed: {what}; nothing was published"
        return DigestMismatch(message, where=entry.path, leaf=leaf, range=span, next=job.advice)

    for offset in range(0, entry.size, step):
        wanted = min(step, entry.size - offset)
        pieces: list[bytes] = []
        while (missing := wanted - sum(map(len, pieces))) and (piece := source.read(missing)):
            pieces.append(piece)
        block = b"".join(pieces)
        if missing:
            raise changed(f"it is shorter: {offset + len(block)} bytes")
        if (leaf := job.leaves.wrong(entry, offset, memoryview(block))) is not None:
            raise changed(f"leaf {leaf} has different bytes", leaf, job.leaves.span(entry, leaf))
        yield block
    if source.read(1):
        raise changed(f"it is longer than {entry.size} bytes")


def _read_back(client: ObjectClient, root: str, job: Job) -> None:
    """Every leaf and every tag file once, for stores that do not check digests themselves.

    Raises `StoreError`, naming the file and the leaf that came back different: the store is to blame.
    """
    count = _Counter("prove", job)
    step = max(PART_SIZE, job.leaves.size)

    def prove_range(entry: FileEntry, offset: int, length: int) -> None:
        data = memoryview(client.get(f"{root}/{entry.path}", offset, offset + length))
        if len(data) != length:
            raise _bent(entry.path)
        if (leaf := job.leaves.wrong(entry, offset, data)) is not None:
            raise _bent(entry.path, f"leaf {leaf}: ")
        count(entry.path, length)

    def prove_tag_file(path: str, data: bytes) -> None:
        if client.get(f"{root}/{path}", 0, len(data)) != data:
            raise _bent(path)
        count(path, len(data))

    with UploadThreads() as threads:
        for entry in job.sources:
            for offset in range(0, entry.size, step):
                length = min(step, entry.size - offset)
                threads.submit(length, partial(prove_range, entry, offset, length))
        for path, data in job.plain_tag_files.items():
            threads.submit(len(data), partial(prove_tag_file, path, data))
        threads.finish()


def _bent(path: str, place: str = "") -> StoreError:
    return StoreError(
        f"{place}the store returns different bytes than were sent; nothing was published",
        where=path,
        next="Run the same command again; if it happens twice, do not trust this store.",
    )


class _Counter:
    """Tells a listener of bytes done in one stage, from any thread."""

    def __init__(self, stage: str, job: Job) -> None:
        self._stage, self._listener, self._total = stage, job.listener, sum(job.sizes().values())
        self._done = 0
        self._lock = threading.Lock()

    def __call__(self, path: str, count: int) -> None:
        with self._lock:
            self._done += count
            done = self._done
        self._listener(Progress(self._stage, done, self._total, path))


def _clear(client: ObjectClient, root: str, wanted: set[str]) -> None:
    """Remove what an earlier writer left here and this one will not overwrite, and its open uploads."""
    for stat in list(client.list(root)):
        if stat.key.removeprefix(f"{root}/") not in wanted:
            client.delete(stat.key)
    for upload in list(client.uploads(root)):
        with contextlib.suppress(NotFound):
            client.abort(upload.key, upload.upload)


def _check_listing(client: ObjectClient, root: str, sizes: Mapping[str, int]) -> None:
    """Exactly the files with exactly these sizes. What a slow listing does not show yet is asked for by name."""
    found = {stat.key.removeprefix(f"{root}/"): stat.size for stat in client.list(root)}
    for path in sizes.keys() - found.keys():
        if (stat := client.stat(f"{root}/{path}")) is not None:
            found[path] = stat.size
    wrong = sorted(path for path in sizes.keys() | found.keys() if sizes.get(path) != found.get(path))
    if wrong:
        path = wrong[0]
        raise _wrong_object(f"{client.url}/{root}/{path}", sizes.get(path), found.get(path))


def _wrong_object(where: str, wanted: int | None, found: int | None) -> DiademError:
    if wanted is None:
        return Refused("an object appeared that this writer did not send; nothing was published", where=where)
    size = "nothing" if found is None else f"{found} bytes"
    return StoreError(
        f"the store has {size} where {wanted} bytes were sent; nothing was published",
        where=where,
        next="Run the same command again; if it happens twice, do not trust this store.",
    )
