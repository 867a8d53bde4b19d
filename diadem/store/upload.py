"""Writing one package where there is no rename: everything first, the tag manifest last, under a claim."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from diadem.errors import DiademError, IntegrityError, NotFound, Refused, StoreError, UsageError
from diadem.model.ids import PackageId
from diadem.model.manifest import DERIVED_PATHS, TAGMANIFEST, FileEntry
from diadem.model.ports import Listener, silent
from diadem.store.object_client import ObjectClient
from diadem.store.object_payload import AGAIN, OpenSource, Sender
from diadem.store.object_prove import Prover
from diadem.store.translate import Occupied
from diadem.trust.hashing import Leaves, payload_id


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
    """What an upload did.

    Attributes
    ----------
    package : PackageId
        The package that is in the store now; another one of the same payload, if it was there first.
    path : str
        Where, relative to the store.
    made : bool
        False if it was already archived.
    proof : Proof
        Why its bytes are known to be right.
    """

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

    Attributes
    ----------
    path : str
        ``<yyyy>/<date>-<slug>-<12 hex>``.
    entries : sequence of FileEntry
        The files of the manifest, or those that come from `open_source`; derived ones may be in `tag_files`.
    leaves : Leaves
        Digests of all leaves.
    open_source : callable
        Opens the file of an entry for reading, once.
    tag_files : mapping of str to bytes
        Tag files, the tag manifest among them, and the derived files below ``data/``.
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
    """Send everything but the tag manifest, check that exactly this is there, and prove it where the server did not.

    Parameters
    ----------
    client : ObjectClient
        The store.
    root : str
        The package's folder.
    job : Job
        What to write.
    server_proves : bool
        Whether the store refuses wrong digests.
    """
    _clear(client, root, set(job.sizes()))
    total = sum(job.sizes().values())
    sender = Sender(
        client,
        root,
        job.leaves,
        total=total,
        listener=job.listener,
        advice=job.advice,
    )
    sender.send(job.sources, job.open_source, job.plain_tag_files)
    _check_listing(client, root, job.sizes())
    if server_proves:
        return Proof.SERVER
    if not job.prove:
        return Proof.NONE
    prover = Prover(client, root, job.leaves, total=total, listener=job.listener)
    prover.prove(job.sources, job.plain_tag_files)
    return Proof.READ_BACK


def commit(client: ObjectClient, root: str, job: Job) -> None:
    """Write the tag manifest: from here on there is a package.

    Raises
    ------
    Refused
        If another writer's is there. One's own, from a try whose answer was lost, is fine.
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
