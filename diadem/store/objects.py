"""Packages behind fsspec: S3, SFTP, memory.

::

    <store>/2026/20260314-zno-s12-1f0c9a77d2e4/     a package; without its tag manifest it is none
    <store>/.diadem/claims/<payload id>             who is writing this payload just now
    <store>/.diadem/probe/<random>                  a question to the server, removed at once
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, BinaryIO, cast

from diadem.errors import NotFound, Refused, StoreError, UsageError
from diadem.model.manifest import TAGMANIFEST, FileEntry
from diadem.model.names import unsafe
from diadem.model.ports import Bundle, Listener, Progress
from diadem.model.report import Level
from diadem.package.examine import LIMITS
from diadem.store import addresses
from diadem.store.claim import Claim, ClaimTiming, Leftovers, leftover_at, settle, sweep
from diadem.store.client import ObjectClient, Stat, probe
from diadem.store.contract import SILENCE, Added, Capabilities, Pace, Stored, Swept, proof_of
from diadem.store.own_files import RESERVED, OwnFiles, refuse_size
from diadem.store.package_copy import ADVICE, Contents, ReadAhead, refuse_path
from diadem.store.remote import RemoteBundle, RemoteReader, client_for, file_system
from diadem.store.retry import Occupied, Patience
from diadem.store.store import BaseStore, numbered
from diadem.store.upload import Job, ObjectDraft, commit, write_package
from diadem.work import in_order

#: Packages whose tag manifests are asked for at once.
_LOOKS = 16
#: What a store can do that may only be read.
_READ_ONLY = Capabilities(False, False, False, False, writes=False)
#: Bytes asked for at once where an object is read only to be written again.
_STEP = 8 << 20


class ObjectStore(BaseStore):
    """A store that is reached through fsspec: ``s3://bucket/prefix``, ``sftp://user@host/folder``, ``memory://name`` …

    Options are fsspec's; without them the ordinary configuration counts (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID,
    AWS_PROFILE …). Raises `UsageError` for a local path, or a scheme that fsspec does not know.
    """

    is_folder = False
    recheck = Level.QUICK

    def __init__(
        self,
        url: str,
        storage_options: Mapping[str, Any] | None = None,
        *,
        patience: Patience | None = None,
        timing: ClaimTiming | None = None,
    ) -> None:
        place = addresses.parse(url)
        if place.kind == "local":
            raise UsageError("this is a local folder", where=url, next="Use it as a local store.")
        self._fs = file_system(place, storage_options)
        self._root = place.root
        self.client = client_for(self._fs, place.root, patience)
        self._patience = patience
        self._timing = timing or ClaimTiming()
        self._capabilities: Capabilities | None = None
        super().__init__(ObjectFiles(self.client, lambda: self.probe().creates))

    @property
    def url(self) -> str:
        return self.client.url

    # -- what it is ------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """See `Store.check`. A folder of a server that is not there yet is made by the first write."""
        self.client.check()

    def capabilities(self) -> Capabilities:
        try:
            return self.probe()
        except Refused:
            return _READ_ONLY

    def probe(self) -> Capabilities:
        """What the store can do, found out once by trying.

        Raises `NotFound`, `Refused` or `Unreachable` if the bucket is missing, may not be written, or does not answer.
        """
        if self._capabilities is None:
            self.client.check()
            self._capabilities = probe(self.client)
        return self._capabilities

    def space(self) -> tuple[int, int] | None:
        return self.client.space()

    def place(self) -> str | None:
        return self.client.place()

    # -- packages --------------------------------------------------------------------------------------------------

    def folders(self, path: str) -> Iterable[str]:
        return self.client.names(path, folders=True)

    def look(self, paths: Iterator[str]) -> Iterator[tuple[str, Stored | None]]:
        yield from in_order(
            lambda path: (path, self.stored_at(path)), paths, threads=_LOOKS, ahead=2 * _LOOKS, name="diadem-look"
        )

    def tagmanifest_at(self, path: str) -> bytes | None:
        """One HEAD, one GET."""
        stat = self.client.stat(f"{path}/{TAGMANIFEST}")
        if stat is None or stat.size > LIMITS[TAGMANIFEST]:
            return None
        with contextlib.suppress(NotFound):
            return self.client.get(stat.key, 0, stat.size)
        return None

    def bundle(self, path: str) -> RemoteBundle:
        refuse_path(path)
        return RemoteBundle(self._fs, f"{self._root}/{path}" if self._root else path, self._patience)

    def is_taken(self, path: str) -> bool:
        return next(iter(self.client.list(path)), None) is not None

    def put_readme(self, text: str) -> None:
        self.client.put("README.txt", text.encode())

    # -- adding: everything under a claim, the tag manifest last ----------------------------------------------------

    def draft(self) -> ObjectDraft:
        return ObjectDraft(self)

    def receive(
        self,
        source: Bundle,
        cargo: Contents,
        path: str,
        is_sound: Callable[[str], bool],
        *,
        listener: Listener,
        pace: Pace | None,
    ) -> Added:
        files = {item.path: item for item in cargo.items}
        with ReadAhead(source, [*cargo.tags, *cargo.files]) as ahead:
            job = Job(
                path,
                cargo.opened.manifest.entries,
                cargo.opened.leaves,
                lambda entry: cast(BinaryIO, ahead.open(files[entry.path], compared=True)),
                {item.path: ahead.open(item, compared=True).readall() for item in cargo.tags}
                | {TAGMANIFEST: cargo.tagmanifest},
                cargo.tree,
                listener,
                pace,
                ADVICE,
            )
            return self.upload(job, is_sound)

    def upload(self, job: Job, is_sound: Callable[[str], bool] | None = None) -> Added:
        """Write a package, or find that its payload is archived already, soundly as `is_sound` tells of its path.

        Ctrl-C passes through as KeyboardInterrupt, after open multi-part uploads have been aborted and the claim has
        been given back. The objects that were sent are no package; the next upload overwrites them. Errors are as of
        `Draft.publish`.
        """
        self.client.check()
        if (present := self._present(job.payload, is_sound)) is not None:
            return present
        capabilities = self.probe()
        claim = partial(Claim, self.client, capabilities, self._timing, job.payload, job.path, job.package.hex)
        while not (held := claim()).take():  # wait for it, or for the other's package
            job.listener(Progress("wait", 0, 0, job.path))
            time.sleep(self._timing.look)
            if (present := self._present(job.payload, is_sound)) is not None:
                return present
        try:
            settle(self.hints, job.payload, held.previous)
            if (present := self._present(job.payload, is_sound)) is not None:
                return present
            root = self._free_path(job.path)
            proof = write_package(self.client, root, job, server_proves=capabilities.proves)
            held.confirm()
            commit(self.client, root, job)
            self.hints.write(job.payload, job.package, root, job.tree)
            return Added(root, True, proof)
        finally:
            held.release()

    def _present(self, payload: str, is_sound: Callable[[str], bool] | None) -> Added | None:
        paths = (path for _, path in self.find(payload) if is_sound is None or is_sound(path))
        return next((Added(path, False, proof_of(self.recheck)) for path in paths), None)

    def _free_path(self, path: str) -> str:
        """The path, or the path with a number, where nothing lies but perhaps what a dead writer left."""
        for candidate in numbered(path):
            if self.client.stat(f"{candidate}/{TAGMANIFEST}") is None:
                found = leftover_at(self.client, self.hints, candidate)
                if found is None or found.removable:
                    return candidate
        raise StoreError(f"every name like {path} is taken", where=self.url)

    # -- mending: there is no writing in place, objects are sent again ----------------------------------------------

    def write_leaf(self, path: str, entry: FileEntry, leaf: int, leaf_size: int, data: bytes) -> None:
        """The file goes again, with one leaf exchanged."""
        refuse_path(path)
        start = leaf * leaf_size
        key = _key(path, entry.path)
        stat = self.client.stat(key)
        if stat is None or stat.size != entry.size:
            there = "is not there" if stat is None else f"has {stat.size} bytes, not {entry.size}"
            raise Refused(f"the file {there}", where=key, next="Replace the whole file.")
        self.client.write(key, _patched(self.client, stat, start, data), entry.size)

    def replace_file(self, path: str, file: str, blocks: Iterable[bytes], size: int, mtime_ns: int | None) -> None:  # noqa: ARG002
        """See `Store.replace_file`. Objects have no modification time that could be set."""
        refuse_path(path)
        if file != TAGMANIFEST and self.client.stat(f"{path}/{TAGMANIFEST}") is None:
            raise Refused("the package is not there", where=path, next="Copy it from another store.")
        self.client.write(_key(path, file), blocks, size)

    # -- removing: hints, then the tag manifest, then the rest ------------------------------------------------------

    def require_package(self, path: str) -> None:
        """By its tag manifest, whatever its state."""
        if self.client.stat(f"{path}/{TAGMANIFEST}") is not None:
            return
        if not self.is_taken(path):
            raise NotFound("there is no package", where=f"{self.url}/{path}", next="Nothing to do.")
        advice = "Remove it by hand, or sweep."
        raise Refused("it has no tag manifest, so it is not a package", where=f"{self.url}/{path}", next=advice)

    def erase(self, path: str) -> None:
        """From the tag manifest on it is none."""
        self.client.delete(f"{path}/{TAGMANIFEST}")
        self.client.clear(path)

    def sweep(self, *, keep: Container[str] = ()) -> list[Swept]:
        """See `Store.sweep`: what was silent for `SILENCE` by the server's clock."""
        try:
            found = self.leftovers(delete=True, keep=keep)
        except NotFound:
            return []
        packages = [Swept(f"{self.url}/{item.path}", item.objects) for item in found.packages if item.removable]
        return packages + [Swept(f"{self.url}/{upload.key}", 0) for upload in found.uploads]

    def leftovers(self, *, older: timedelta = SILENCE, delete: bool = False, keep: Container[str] = ()) -> Leftovers:
        """What dead writers left; removed only when asked (see `diadem.store.claim`)."""
        return sweep(self.client, self.hints, older=older, delete=delete, keep=keep)


def _key(path: str, file: str) -> str:
    if reason := unsafe(file):
        raise Refused(f"is not touched: {reason}", where=file, next="Name a file of the package.")
    return f"{path}/{file}"


def _patched(client: ObjectClient, stat: Stat, start: int, data: bytes) -> Iterator[bytes]:
    end = start + len(data)
    for first, last in ((0, start), (end, stat.size)):
        for offset in range(first, last, _STEP):
            yield client.get(stat.key, offset, min(offset + _STEP, last), stat.version)
        if last == start:
            yield data


class ObjectFiles(OwnFiles):
    """Files below `.diadem/` of an object store.

    `creates` says whether it refuses to create what is there. If not, two writers within a moment may both succeed; the
    last one's content stays, and the other is told.
    """

    def __init__(self, client: ObjectClient, creates: Callable[[], bool]) -> None:
        self._client, self._creates = client, creates

    def read(self, key: str) -> bytes | None:
        """The version that was asked about."""
        if (reader := self.open(key)) is None:
            return None
        refuse_size(reader.size, f".diadem/{key}")
        with contextlib.suppress(NotFound):
            return reader.read_at(0, reader.size)
        return None

    def write(
        self,
        key: str,
        blocks: Iterable[bytes],
        size: int,
        *,
        create: bool = False,
        hint: bool = False,  # noqa: ARG002  no server offers less
    ) -> bool:
        name = f".diadem/{key}"
        if not create:
            self._client.write(name, blocks, size)
            return True
        data = b"".join(blocks)
        conditional = self._creates()
        if not conditional and self._client.stat(name) is not None:
            return False
        try:
            self._client.put(name, data, create=conditional)
        except Occupied:  # perhaps by an earlier try of our own, whose answer was lost
            return False
        return conditional or self.read(key) == data

    def open(self, key: str) -> RemoteReader | None:
        """One HEAD."""
        stat = self._client.stat(f".diadem/{key}")
        return None if stat is None else RemoteReader(self._client, stat)

    def contents(self, folder: str, limit: int) -> Iterator[tuple[str, bytes]]:
        """One LIST, and a GET for each that is not empty."""
        for stat in sorted(self._client.list(f".diadem/{folder}"), key=lambda stat: stat.key):
            if stat.size <= limit:
                yield stat.key.rpartition("/")[2], self._client.get(stat.key, 0, stat.size)

    def folders(self, folder: str) -> Iterable[str]:
        return self._client.names(f".diadem/{folder}" if folder else ".diadem", folders=True)

    def below(self, folder: str) -> Iterable[str]:
        """Hints of a large store are many: they are not even listed."""
        tops = [folder] if folder else [name for name in self.folders("") if name not in RESERVED]
        for top in tops:
            yield from (stat.key.removeprefix(".diadem/") for stat in self._client.list(f".diadem/{top}"))
        if not folder:
            yield from self._client.names(".diadem", folders=False)

    def remove(self, key: str) -> None:
        self._client.delete(f".diadem/{key}")
        self._client.prune(f".diadem/{key}".rpartition("/")[0])
