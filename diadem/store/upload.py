"""Writing one package where there is no rename: everything first, the tag manifest last, under a claim."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self

from diadem.errors import DigestMismatch, IntegrityError, NotFound, Refused, StoreError, UsageError
from diadem.model.manifest import DERIVED_PATHS, TAGMANIFEST, FileEntry, PackageId
from diadem.model.ports import Bundle, Listener, silent
from diadem.package.tags import Sealed
from diadem.store.client import PART_SIZE, SINGLE_SIZE, ObjectClient, Request, make_all
from diadem.store.contract import Added, Draft, Pace
from diadem.store.package_copy import Counter
from diadem.store.retry import Occupied
from diadem.trust.hashing import Leaves, payload_id

if TYPE_CHECKING:
    from diadem.store.objects import ObjectStore

#: What to do where a store does not hold what was sent.
_DISTRUST = "Run the same command again; if it happens twice, do not trust this store."


@dataclass(frozen=True)
class Job:
    """A package to be written.

    Entries that are not among the tag files come from `open_source`, which is called once for each, by one thread; the
    tag manifest is one of the tag files, and files that DIADEM derives may be. The listener hears of ``wait``,
    ``upload`` and ``prove``.
    """

    path: str
    entries: Sequence[FileEntry]
    leaves: Leaves
    open_source: Callable[[FileEntry], BinaryIO]
    tag_files: Mapping[str, bytes]
    tree: str = ""
    listener: Listener = silent
    pace: Pace | None = None
    #: What to do where the source is not what was hashed.
    advice: str = "Archive it again when nothing writes to it."

    def __post_init__(self) -> None:
        """Refuse what contradicts itself before anything is sent."""
        if TAGMANIFEST not in self.tag_files:
            raise UsageError("a package needs its tag manifest", where=TAGMANIFEST)
        for entry in self.entries:
            data = self.tag_files.get(entry.path)
            if data is not None and hashlib.sha256(data).hexdigest() != entry.sha256:
                raise IntegrityError("the derived file is not the one in the manifest", where=entry.path)

    @cached_property
    def package(self) -> PackageId:
        return PackageId(hashlib.sha256(self.tag_files[TAGMANIFEST]).hexdigest())

    @cached_property
    def payload(self) -> str:
        return payload_id(entry for entry in self.entries if entry.path not in DERIVED_PATHS)

    @cached_property
    def sources(self) -> Sequence[FileEntry]:
        """What `open_source` gives."""
        return [entry for entry in self.entries if entry.path not in self.tag_files]

    @cached_property
    def plain_tag_files(self) -> Mapping[str, bytes]:
        """All but the tag manifest."""
        return {path: data for path, data in self.tag_files.items() if path != TAGMANIFEST}

    @cached_property
    def sizes(self) -> Mapping[str, int]:
        """What must lie in the folder before the tag manifest comes."""
        sizes = {entry.path: entry.size for entry in self.sources}
        return sizes | {path: len(data) for path, data in self.plain_tag_files.items()}

    def counter(self, stage: str) -> Counter:
        return Counter(stage, sum(self.sizes.values()), self.listener, self.pace)


class ObjectDraft(Draft):
    """A folder of this machine for what DIADEM makes; the payload stays where it is until it is sent."""

    payload = None

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._files: dict[str, bytes] = {}
        self._targets: dict[str, Path] = {}
        self._sealed: Sealed | None = None

    def __enter__(self) -> Self:
        """Find out what the store can do: no terabyte is hashed for a store that cannot be written to."""
        self._store.probe()
        self._folder = tempfile.TemporaryDirectory(prefix="diadem-")
        return self

    def discard(self) -> None:
        self._folder.cleanup()

    def begin(self, size: int) -> None:
        """Nothing to do: no server says what room it has."""

    @property
    def scratch(self) -> Path:
        return Path(self._folder.name)

    def place(self, path: str) -> None:
        """It is read again."""

    def target(self, path: str) -> str:
        self._targets[path] = self.scratch / f"{len(self._targets)}.part"
        return str(self._targets[path])

    def write(self, path: str, data: bytes) -> None:
        self._files[path] = data

    def seal(self, sealed: Sealed) -> None:
        self._sealed = sealed

    def publish(
        self,
        name: str,
        *,
        tree: str,
        open_source: Callable[[FileEntry], BinaryIO],
        is_sound: Callable[[Bundle], bool],
        listener: Listener = silent,
    ) -> Added:
        assert self._sealed is not None, "the draft is not sealed"
        made = {path: file.read_bytes() for path, file in self._targets.items()}
        files = {**made, **self._files, **self._sealed.tag_files}
        job = Job(name, self._sealed.manifest.entries, self._sealed.leaves, open_source, files, tree, listener)
        return self._store.upload(job, lambda path: is_sound(self._store.bundle(path)))


def write_package(client: ObjectClient, root: str, job: Job, *, server_proves: bool) -> str:
    """Send everything but the tag manifest, check that exactly this is there, and prove it where the server did not.

    What an earlier writer left here and this one will not overwrite goes first, with its open uploads. Gives the proof;
    see `Added.proof`.
    """
    for stat in list(client.list(root)):
        if stat.key.removeprefix(f"{root}/") not in job.sizes:
            client.delete(stat.key)
    for upload in list(client.uploads(root)):
        with contextlib.suppress(NotFound):
            client.abort(upload.key, upload.upload)
    _send(client, root, job)
    _check_listing(client, root, job.sizes)
    if server_proves:
        return "server"
    _read_back(client, root, job)
    return "read-back"


def commit(client: ObjectClient, root: str, job: Job) -> None:
    """Write the tag manifest: from here on there is a package.

    Raises `Refused` if another writer's is there. One's own, from a try whose answer was lost, is fine.
    """
    data = job.tag_files[TAGMANIFEST]
    with contextlib.suppress(Occupied):
        client.put(f"{root}/{TAGMANIFEST}", data, create=True)
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
    count = job.counter("upload")

    def requests() -> Generator[Request, None, None]:
        for entry in job.sources:
            with job.open_source(entry) as source:
                step = max(entry.size if entry.size <= SINGLE_SIZE else PART_SIZE, job.leaves.size)
                blocks = _checked(job, entry, source, step)
                told, digest = partial(count, entry.path), bytes.fromhex(entry.sha256)
                yield from client.requests(f"{root}/{entry.path}", blocks, entry.size, sha256=digest, told=told)
        for path, data in job.plain_tag_files.items():
            yield from client.requests(f"{root}/{path}", (data,), len(data), told=partial(count, path))

    with contextlib.closing(requests()) as each:
        make_all(each)


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


def _check_listing(client: ObjectClient, root: str, sizes: Mapping[str, int]) -> None:
    """Exactly the files with exactly these sizes. What a slow listing does not show yet is asked for by name."""
    found = {stat.key.removeprefix(f"{root}/"): stat.size for stat in client.list(root)}
    for path in sizes.keys() - found.keys():
        if (stat := client.stat(f"{root}/{path}")) is not None:
            found[path] = stat.size
    wrong = sorted(path for path in sizes.keys() | found.keys() if sizes.get(path) != found.get(path))
    if not wrong:
        return
    where = f"{client.url}/{root}/{wrong[0]}"
    if (sent := sizes.get(wrong[0])) is None:
        raise Refused("an object appeared that this writer did not send; nothing was published", where=where)
    size = f"{found[wrong[0]]} bytes" if wrong[0] in found else "nothing"
    message = f"the store has {size} where {sent} bytes were sent; nothing was published"
    raise StoreError(message, where=where, next=_DISTRUST)


def _read_back(client: ObjectClient, root: str, job: Job) -> None:
    """Every leaf and every tag file once, for stores that do not check digests themselves.

    Raises `StoreError`, naming the file and the leaf that came back different: the store is to blame.
    """
    count = job.counter("prove")
    step = max(PART_SIZE, job.leaves.size)

    def bent(path: str, place: str = "") -> StoreError:
        message = f"{place}the store returns different bytes than were sent; nothing was published"
        return StoreError(message, where=path, next=_DISTRUST)

    def prove_range(entry: FileEntry, offset: int, length: int) -> None:
        data = memoryview(client.get(f"{root}/{entry.path}", offset, offset + length))
        if len(data) != length:
            raise bent(entry.path)
        if (leaf := job.leaves.wrong(entry, offset, data)) is not None:
            raise bent(entry.path, f"leaf {leaf}: ")
        count(entry.path, length)

    def prove_tag_file(path: str, data: bytes) -> None:
        if client.get(f"{root}/{path}", 0, len(data)) != data:
            raise bent(path)
        count(path, len(data))

    def requests() -> Iterator[Request]:
        for entry in job.sources:
            for offset in range(0, entry.size, step):
                length = min(step, entry.size - offset)
                yield Request(length, partial(prove_range, entry, offset, length))
        for path, data in job.plain_tag_files.items():
            yield Request(len(data), partial(prove_tag_file, path, data))

    make_all(requests())
