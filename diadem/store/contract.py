"""What a store is: the one protocol behind which folders, S3 buckets and SFTP servers hold packages.

::

    <store>/README.txt                              for someone who has never heard of DIADEM
    <store>/2026/20260314-zno-s12-1f0c9a77d2e4/     a package; without its tag manifest it is none
    <store>/.diadem/                                the store's own files: hints, log mirror, parity …

`diadem.testing.stores.check_store` proves that a class keeps what is promised here.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO, Protocol, Self

from diadem.errors import DiademError
from diadem.model.manifest import LEAF_SIZE, FileEntry, PackageId
from diadem.model.ports import Bundle, Listener, silent
from diadem.model.report import Level
from diadem.package.examine import TagFiles
from diadem.package.tags import Sealed

#: What a writer left is swept after this long a silence, where no lock says that its writer is dead.
SILENCE = timedelta(days=7)
#: Seconds of sending that `Pace` lets through at once after a pause.
_BURST = 0.25
#: Seconds that `Pace` sleeps in one go, so that an interruption is heard on every system.
_NAP = 0.5


@dataclass(frozen=True, slots=True)
class Stored:
    """A package that lies in a store.

    Attributes
    ----------
    id : PackageId
        SHA-256 of the tag manifest that is there now. A damaged tag manifest has another id than it should.
    path : str
        Path in the store: ``2026/20260314-zno-s12-1f0c9a77d2e4``.
    """

    id: PackageId
    path: str

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {"id": str(self.id), "path": self.path}


@dataclass(frozen=True, slots=True)
class Added:
    """What `Store.add` or `Draft.publish` did.

    Attributes
    ----------
    path : str
        Where the package is in the store.
    created : bool
        False where it was there already and is sound: exactly this package, or one with the payload of the draft.
    proof : str
        Why the bytes in the store are known to be right: ``written`` (hashed as they were written), ``server`` (it
        checked every part), ``read-back`` (every leaf read), ``earlier`` (there already: sizes and tag files checked)
        or ``none``.
    damaged : tuple of str
        Paths of copies of the same package that are in the store and damaged. They were left as they are.
    opened : TagFiles or None
        What the tag files say, where they were read back; no part of the JSON object.
    """

    path: str
    created: bool
    proof: str
    damaged: tuple[str, ...] = ()
    opened: TagFiles | None = field(default=None, compare=False, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {"path": self.path, "created": self.created, "proof": self.proof, "damaged": list(self.damaged)}


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a store was seen to do.

    Attributes
    ----------
    creates : bool
        It refuses to create what is there (S3: If-None-Match).
    replaces : bool
        It refuses to replace what is no longer the version named (S3: If-Match).
    checks_objects, checks_parts : bool
        It refuses an object, or a part of one, whose SHA-256 is not the one announced.
    writes : bool
        It can be written at all.
    """

    creates: bool
    replaces: bool
    checks_objects: bool
    checks_parts: bool
    writes: bool = True

    @property
    def proves(self) -> bool:
        """Whether a finished write is proof of the bytes, so that none need be read back."""
        return self.checks_objects and self.checks_parts


def proof_of(recheck: Level) -> str:
    """What is said of a package that was there already and was found sound so; see `Added.proof`."""
    return "read-back" if recheck is Level.LEAVES else "earlier"


@dataclass
class Pace:
    """Holds a transfer below a rate, over all threads that share it.

    Parameters
    ----------
    bytes_per_second : float
        The rate; must be above 0.
    """

    bytes_per_second: float
    _next: float = field(default=0.0, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse a rate at which nothing would ever move."""
        if not self.bytes_per_second > 0:
            raise ValueError(f"{self.bytes_per_second} bytes per second would never end")

    def wait(self, count: int) -> None:
        """Return when `count` more bytes may have moved."""
        with self._lock:
            now = time.monotonic()
            self._next = max(self._next, now - _BURST) + count / self.bytes_per_second
            due = self._next
        while (left := due - time.monotonic()) > 0:
            time.sleep(min(left, _NAP))


@dataclass(frozen=True, slots=True)
class Swept:
    """A stage left by a writer that died, and removed."""

    path: str
    files: int


class Draft(ABC):
    """One package on its way into a store: `begin`, then place and write its files, `seal`, `publish`.

    Used as a context: entering asks the store whether it can be written to; what is not published is discarded.

    Attributes
    ----------
    swept : sequence of Swept
        What dead writers had left and this draft removed.
    """

    swept: Sequence[Swept] = ()

    @abstractmethod
    def __enter__(self) -> Self:
        """The draft. Raises what `Store.check` raises."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Discard what was not published. What fails then is noted with the cause, and never takes its place."""
        try:
            self.discard()
        except (OSError, DiademError) as failure:
            if error is None:
                raise
            error.add_note(f"What was written so far could not be removed: {failure}")

    @abstractmethod
    def discard(self) -> None:
        """Remove everything that is not published. Raises `OSError`; what stays is swept later."""

    @abstractmethod
    def begin(self, size: int) -> None:
        """Make room for a payload of `size` bytes. Raises `StoreError` where there is none, before a byte is read."""

    @property
    @abstractmethod
    def scratch(self) -> Path:
        """A folder of this machine for what need not stay; it goes with the draft."""

    @property
    @abstractmethod
    def payload(self) -> Path | None:
        """The folder in which placed files lie by their stored names; None where none are placed."""

    @abstractmethod
    def place(self, path: str) -> str | None:
        """Where the copy of a file of the payload goes, by its bag path; None where `publish` reads it again.

        Raises `SinkFailed`.
        """

    @abstractmethod
    def target(self, path: str) -> str:
        """A path of this machine for a new file of the bag that DIADEM writes piece by piece. Raises `StoreError`."""

    @abstractmethod
    def write(self, path: str, data: bytes) -> None:
        """Add a file of the bag that DIADEM made. Raises `StoreError`."""

    @abstractmethod
    def seal(self, sealed: Sealed) -> None:
        """Add the tag files; a stage is on the disk when this returns. Raises `StoreError`.

        From here on the draft speaks for itself: what the caller has in memory of it may go.
        """

    @abstractmethod
    def publish(
        self,
        name: str,
        *,
        tree: str,
        open_source: Callable[[FileEntry], BinaryIO],
        is_sound: Callable[[Bundle], bool],
        listener: Listener = silent,
    ) -> Added:
        """Make the sealed draft a package of the store, unless a sound one with this payload is there.

        Parameters
        ----------
        name : str
            ``<yyyy>/<date>-<slug>-<12 hex>``; a number is added where a stranger or a damaged package has it.
        tree : str
            Digest of paths and sizes, for the hint (`tree_digest`).
        open_source : callable
            Opens a file of the payload for reading, once; asked only for what was not placed.
        is_sound : callable
            Tells whether a package that is there is whole.
        listener : callable
            Told of what is sent.

        Raises
        ------
        DigestMismatch
            The source is no longer what was hashed. Nothing was published.
        Refused, Unreachable, StoreError
            The store cannot be written to, or gives back other bytes. Nothing was published.
        """


class Store(Protocol):
    """A place that holds packages. Safe to use from several threads, and beside other processes.

    Paths of packages and keys use ``/`` and are relative. Failures are `Unreachable` (may work later), `StoreError`
    (full, read-only, not giving back what was written), `Refused` (no access), `NotFound` (no such folder or bucket);
    an interruption passes through as KeyboardInterrupt and leaves nothing half visible.
    """

    @property
    def url(self) -> str:
        """The store's address, without secrets."""

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder of this machine's file systems, so that single leaves can be written in place."""

    @property
    def recheck(self) -> Level:
        """How a package that is there already is verified before its source may be deleted.

        ``leaves`` where reading is cheap; ``quick`` (all files in their sizes, and the tag files) where it is not.
        """

    def check(self) -> None:
        """Return if the store is there and can be read.

        Raises
        ------
        NotFound
            If the folder or the bucket is not there: an unplugged disk, a wrong name.
        Refused, Unreachable, StoreError
            If it cannot be used, or does not answer.
        """

    def capabilities(self) -> Capabilities:
        """What the store can do, found out by trying, once for each object of this class."""

    def free(self) -> int | None:
        """Bytes that can still be written; None where nobody says."""

    def total(self) -> int | None:
        """Bytes that the store's disk or share can hold; None where nobody says."""

    def place(self) -> str | None:
        """Identity of the disk, share or bucket; stores with equal places are one copy. None where it is not known."""

    def packages(self) -> Iterator[Stored]:
        """Every package that has a tag manifest, whatever its state, in no particular order."""

    def bundle(self, path: str) -> Bundle:
        """The package at a path, to be read."""

    def add(
        self,
        source: Bundle,
        opened: TagFiles,
        path: str,
        *,
        listener: Listener = silent,
        pace: Pace | None = None,
    ) -> Added:
        """Copy a sealed package into this store.

        Every leaf, every file's SHA-256 and every tag file is checked while it is copied; only then is the package
        published, whole, with the id it has. Where a stranger, another package of the same payload, or a damaged copy
        has the path, a number is added to it; nothing that is there is overwritten.

        Parameters
        ----------
        source : Bundle
            The package, anywhere.
        opened : TagFiles
            What its tag files say (`diadem.package.examine.open_tag_files`).
        path : str
            Where it should lie: ``<yyyy>/<date>-<slug>-<12 hex>``, the path in the store that it comes from.
        listener : callable
            Told the bytes done, from any thread.
        pace : Pace, optional
            Holds the copy below a rate.

        Raises
        ------
        DigestMismatch
            If the source is damaged, incomplete or unreadable; names file and leaf. Nothing was published.
        """

    def draft(self) -> Draft:
        """A package to be packed into this store: see `Draft`."""

    def knows_tree(self, tree: str) -> bool:
        """Whether some package has these paths and sizes (`tree_digest`), as far as the hints say."""

    def bundles(self, payload: str) -> Iterator[Bundle]:
        """Packages that hold a payload, as far as the hints say; each is there with the id it is said to have."""

    def flush_name(self, path: str) -> None:
        """Force a package's name to disk: whoever gave it may have failed in that, or be about to do it.

        Raises `StoreError`. Nothing to do where the store answers for what it has said to be there.
        """

    def replace_leaf(self, path: str, entry: FileEntry, leaf: int, data: bytes, *, leaf_size: int = LEAF_SIZE) -> None:
        """Put one leaf right whose bytes the caller has proven. Raises `Refused` where the file has another size."""

    def replace_file(self, path: str, file: str, blocks: Iterable[bytes], size: int, mtime_ns: int | None) -> None:
        """Put a whole file right, one that is missing too; `blocks` are proven by the caller.

        An exception that `blocks` raises passes through and leaves the old file.
        """

    def remove(self, path: str) -> None:
        """Remove a package and its hints. At no moment is there half a package; what a kill leaves, `sweep` removes.

        Raises
        ------
        NotFound
            If nothing is there.
        """

    def sweep(self, *, keep: Container[str] = ()) -> list[Swept]:
        """Remove what dead writers left, and say what.

        Parameters
        ----------
        keep : container of str, optional
            Paths of packages that are known: whatever they have lost, they are never removed. Asked only about what
            would be removed.
        """

    def write_hints(self, opened: TagFiles, path: str) -> None:
        """Leave the hints by which a package at a path is found; `add` does it, a reindex does it anew."""

    def get(self, key: str) -> bytes | None:
        """One of the store's own files, below ``.diadem/``; None if it is not there."""

    def put(self, key: str, data: bytes, *, create: bool = False) -> bool:
        """Write one of the store's own files, whole or not at all, on the disk when this returns.

        With `create` a file that is there is never touched. False means: it was there, with other content.
        """

    def put_file(self, key: str, source: Path) -> None:
        """The same from a file of this machine, of any size, as `put` without `create`."""

    def get_file(self, key: str, target: Path) -> bool:
        """One of the store's own files, of any size, into a file of this machine, whole; False if it is not there."""

    def keys(self, prefix: str) -> Iterator[str]:
        """Keys of own files below a folder (without its last slash; "" for all), all levels, sorted."""

    def delete(self, key: str) -> None:
        """Remove one of the store's own files if it is there."""

    def put_readme(self, text: str) -> None:
        """Write ``README.txt`` in the root."""
