"""Packages in an object store: finding, writing, sweeping.

::

    <store>/2026/20260314-zno-s12-1f0c9a77d2e4/     a package; without its tag manifest it is none
    <store>/.diadem/by-payload/<payload id>/<id>    hint: the path of the package with this payload
    <store>/.diadem/by-tree/<digest>/<payload id>   hint: a payload with these paths and sizes
    <store>/.diadem/claims/<payload id>             who is writing this payload just now
    <store>/.diadem/probe/<random>                  a question to the server, removed at once
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from diadem.errors import StoreError, UsageError
from diadem.model.ids import PackageId
from diadem.model.manifest import TAGMANIFEST, FileEntry
from diadem.model.ports import Listener, Progress, silent
from diadem.store import object_claim, object_hints, object_sweep, urls
from diadem.store.contract import Capabilities
from diadem.store.numbering import numbered
from diadem.store.object_claim import Claim, ClaimTiming
from diadem.store.object_connect import client_for, file_system
from diadem.store.object_payload import AGAIN, OpenSource
from diadem.store.object_probe import probe
from diadem.store.object_retry import Patience
from diadem.store.object_sweep import Leftovers
from diadem.store.object_upload import Job, Proof, Upload, commit, write_package
from diadem.store.remote import RemoteBundle
from diadem.trust.hashing import Leaves


class ObjectStore:
    """A place that holds packages and is reached through fsspec.

    Parameters
    ----------
    url : str
        ``s3://bucket/prefix``, ``memory://name`` …
    storage_options : mapping, optional
        For fsspec; without them the ordinary configuration counts (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_PROFILE …).
    patience : Patience, optional
        How long the server may fail before it counts as unreachable.
    timing : ClaimTiming, optional
        Heartbeat and staleness of claims.

    Raises
    ------
    UsageError
        For a local path, or a scheme that fsspec does not know.
    """

    def __init__(
        self,
        url: str,
        storage_options: Mapping[str, Any] | None = None,
        *,
        patience: Patience | None = None,
        timing: ClaimTiming | None = None,
    ) -> None:
        place = urls.parse(url)
        if place.kind == "local":
            raise UsageError("this is a local folder", where=url, next="Use it as a local store.")
        self._fs = file_system(place, storage_options)
        self._root = place.root
        self.client = client_for(self._fs, place.root, patience)
        self._patience = patience
        self._timing = timing or ClaimTiming()
        self._capabilities: Capabilities | None = None

    @property
    def url(self) -> str:
        """The store's address."""
        return self.client.url

    @property
    def sent(self) -> int:
        """Bytes sent so far."""
        return self.client.traffic.sent

    def probe(self) -> Capabilities:
        """What the store can do, found out once by trying.

        Raises
        ------
        NotFound, Refused, Unreachable
            If the bucket is missing, may not be written, or does not answer.
        """
        if self._capabilities is None:
            self.client.check()
            self._capabilities = probe(self.client)
        return self._capabilities

    def bundle(self, path: str) -> RemoteBundle:
        """The package at a path of this store, to be read."""
        return RemoteBundle(self._fs, f"{self._root}/{path}" if self._root else path, self._patience)

    def find(self, payload: str) -> tuple[PackageId, str] | None:
        """The package that holds a payload, and its path, if its hint is true."""
        return next(object_hints.find(self.client, payload), None)

    def bundles(self, payload: str) -> Iterator[RemoteBundle]:
        """Packages that hold a payload, to be read."""
        return (self.bundle(path) for _, path in object_hints.find(self.client, payload))

    def knows_tree(self, tree: str) -> bool:
        """Whether some package has these paths and sizes."""
        return object_hints.knows_tree(self.client, tree)

    def sweep(
        self, *, older: timedelta = object_sweep.SILENCE, delete: bool = False, keep: Container[str] = ()
    ) -> Leftovers:
        """What dead writers left; removed only when asked (see `diadem.store.object_sweep`)."""
        return object_sweep.sweep(self.client, older=older, delete=delete, keep=keep)

    def upload(
        self,
        path: str,
        *,
        entries: Sequence[FileEntry],
        leaves: Leaves,
        open_source: OpenSource,
        tag_files: Mapping[str, bytes],
        tree: str = "",
        listener: Listener = silent,
        prove: bool = True,
        is_sound: Callable[[str], bool] | None = None,
        advice: str = AGAIN,
    ) -> Upload:
        """Write a package, or find that its payload is archived already.

        Parameters
        ----------
        path : str
            ``<yyyy>/<date>-<slug>-<12 hex>``; a number is added where a stranger or a damaged package has the name.
        entries : sequence of FileEntry
            Files of the manifest. Those that are not in `tag_files` come from `open_source`.
        leaves : Leaves
            Digests of all leaves; every leaf sent is compared with them again.
        open_source : callable
            Opens an entry's file for reading; called once for each, by one thread.
        tag_files : mapping of str to bytes
            Bag path to content: tag files with the tag manifest, and the derived files below ``data/``.
        tree : str
            Digest of paths and sizes, for the hint.
        listener : callable
            Told the bytes done, from several threads: stages ``wait``, ``upload``, ``prove``.
        prove : bool
            Whether to read everything back where the server checks no digests; False leaves it written, unproven.
        is_sound : callable, optional
            Tells whether the package at a path of this store is whole; a damaged one does not count as archived.
        advice : str
            What to do where the source is not what was hashed.

        Raises
        ------
        DigestMismatch
            The source is no longer what was hashed. Nothing was published.
        NotFound, Refused, Unreachable, StoreError
            The store cannot be written, or gives back other bytes than were sent. Nothing was published.

        Notes
        -----
        Ctrl-C passes through as KeyboardInterrupt, after open multi-part uploads have been aborted and the claim has
        been given back. The objects that were sent are no package; the next upload overwrites them.
        """
        job = Job(
            path,
            entries,
            leaves,
            open_source,
            tag_files,
            listener=listener,
            prove=prove,
            tree=tree,
            advice=advice,
        )
        self.client.check()
        if (present := self._present(job.payload, is_sound)) is not None:
            return present
        capabilities = self.probe()
        claim = self._claim(job, capabilities, is_sound)
        if isinstance(claim, Upload):
            return claim
        try:
            return self._write(job, claim, capabilities, is_sound)
        finally:
            claim.release()

    def _claim(self, job: Job, capabilities: Capabilities, is_sound: Callable[[str], bool] | None) -> Claim | Upload:
        """Wait for the claim, or for the other writer's package."""
        while True:
            claim = object_claim.take(
                self.client,
                capabilities,
                job.payload,
                path=job.path,
                package=job.package.hex,
                timing=self._timing,
            )
            if claim is not None:
                return claim
            job.listener(Progress("wait", 0, 0, job.path))
            time.sleep(self._timing.look)
            if (present := self._present(job.payload, is_sound)) is not None:
                return present

    def _write(
        self, job: Job, claim: Claim, capabilities: Capabilities, is_sound: Callable[[str], bool] | None
    ) -> Upload:
        object_claim.settle(self.client, job.payload, claim.previous)
        if (present := self._present(job.payload, is_sound)) is not None:
            return present
        root = self._free_path(job.path)
        proof = write_package(self.client, root, job, server_proves=capabilities.proves)
        claim.confirm()
        commit(self.client, root, job)
        object_hints.write(self.client, job.payload, job.package, root, job.tree)
        return Upload(job.package, root, made=True, proof=proof)

    def _present(self, payload: str, is_sound: Callable[[str], bool] | None) -> Upload | None:
        for package, path in object_hints.find(self.client, payload):
            if is_sound is None or is_sound(path):
                return Upload(package, path, made=False, proof=Proof.EARLIER)
        return None

    def _free_path(self, path: str) -> str:
        """The path, or the path with a number, where nothing lies but perhaps what a dead writer left."""
        for candidate in numbered(path):
            if self.client.stat(f"{candidate}/{TAGMANIFEST}") is None:
                found = object_sweep.leftover_at(self.client, candidate)
                if found is None or found.removable:
                    return candidate
        raise StoreError(f"every name like {path} is taken", where=self.url)
