"""Drafts: a package that is being packed into a store, invisible until it is published whole.

A folder store keeps what is placed, in a stage on its own disk, and publishes it by one rename. A store without renames
keeps only what DIADEM makes, in a folder of this machine; the payload is read a second time when it is sent.
"""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self

from diadem.errors import DiademError, IntegrityError, PackageError, StoreError
from diadem.model.manifest import FileEntry, PackageId
from diadem.model.ports import Bundle, Listener, silent
from diadem.package.examine import TagFiles, open_tag_files
from diadem.package.seal import Sealed
from diadem.store.bags import LocalBundle
from diadem.store.stage import Stage, Swept
from diadem.store.system import translated

if TYPE_CHECKING:
    from diadem.store.folder import FolderStore
    from diadem.store.objects import ObjectStore


@dataclass(frozen=True, slots=True)
class Published:
    """What `Draft.publish` did.

    Attributes
    ----------
    path : str
        Where the package is in the store: the draft's, or that of a sound package with the same payload.
    created : bool
        Whether it is the draft's.
    proof : str
        Why its bytes are known to be right; see `Added.proof`.
    opened : TagFiles or None
        What the tag files say, where they were read back.
    """

    path: str
    created: bool
    proof: str
    opened: TagFiles | None = None


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
    ) -> Published:
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


class FolderDraft(Draft):
    """A stage in a folder store."""

    def __init__(self, store: FolderStore) -> None:
        self._store = store
        self._stage: Stage | None = None
        self._ids: tuple[PackageId, str] | None = None

    def __enter__(self) -> Self:
        """Sweep first: what the dead have left may be the room that is missing."""
        self.swept = self._store.sweep_stages()
        return self

    def discard(self) -> None:
        """Remove the stage."""
        if self._stage is not None:
            self._stage.discard()
            self._stage = None

    def begin(self, size: int) -> None:
        """Open a stage."""
        self._store.check_space(size)
        self._stage = self._store.stage()

    @property
    def scratch(self) -> Path:
        """Beside the bag."""
        return self._open.folder

    @property
    def payload(self) -> Path:
        """Of the stage."""
        return self._open.bag / "data"

    def place(self, path: str) -> str:
        """In the stage."""
        return self._open.target(path)

    def target(self, path: str) -> str:
        """In the stage."""
        with translated(self._store.url):
            return self._open.target(path)

    def write(self, path: str, data: bytes) -> None:
        """Into the stage."""
        with translated(self._store.url):
            self._open.write(path, data)

    def seal(self, sealed: Sealed) -> None:
        """Everything to the disk."""
        with translated(self._store.url):
            for path, data in sealed.tag_files.items():
                self._open.write(path, data)
            self._open.seal([*(entry.path for entry in sealed.manifest), *sealed.tag_files])
        self._ids = sealed.package_id, sealed.payload_id

    def publish(
        self,
        name: str,
        *,
        tree: str,
        open_source: Callable[[FileEntry], BinaryIO],  # noqa: ARG002  everything was placed
        is_sound: Callable[[Bundle], bool],
        listener: Listener = silent,  # noqa: ARG002
    ) -> Published:
        """By one rename, after a look at what was staged."""
        assert self._ids is not None, "the draft is not sealed"
        package, payload = self._ids
        opened = read_staged(self._open, package, self._store.url)
        path, created = self._store.publish(
            self._open, name, package, payload, tree, lambda path: is_sound(self._store.bundle(path))
        )
        self._stage = None  # `publish` has discarded it
        return (
            Published(path, True, "written", opened) if created else Published(path, False, self._store.recheck_proof)
        )

    @property
    def _open(self) -> Stage:
        assert self._stage is not None, "the draft has not begun"
        return self._stage


class ObjectDraft(Draft):
    """A folder of this machine for what DIADEM makes; the payload stays where it is until it is sent."""

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
        """Remove the folder."""
        self._folder.cleanup()

    def begin(self, size: int) -> None:
        """Nothing to do: no server says what room it has."""

    @property
    def scratch(self) -> Path:
        """In the system's folder for temporary files."""
        return Path(self._folder.name)

    @property
    def payload(self) -> None:
        """None is placed."""

    def place(self, path: str) -> None:
        """It is read again."""

    def target(self, path: str) -> str:
        """In the folder."""
        self._targets[path] = self.scratch / f"{len(self._targets)}.part"
        return str(self._targets[path])

    def write(self, path: str, data: bytes) -> None:
        """Held until it is sent."""
        self._files[path] = data

    def seal(self, sealed: Sealed) -> None:
        """Held until they are sent."""
        self._sealed = sealed

    def publish(
        self,
        name: str,
        *,
        tree: str,
        open_source: Callable[[FileEntry], BinaryIO],
        is_sound: Callable[[Bundle], bool],
        listener: Listener = silent,
    ) -> Published:
        """Send everything, the tag manifest last."""
        assert self._sealed is not None, "the draft is not sealed"
        made = {path: file.read_bytes() for path, file in self._targets.items()}
        upload = self._store.upload(
            name,
            entries=self._sealed.manifest.entries,
            leaves=self._sealed.leaves,
            open_source=open_source,
            tag_files={**made, **self._files, **self._sealed.tag_files},
            tree=tree,
            listener=listener,
            is_sound=lambda path: is_sound(self._store.bundle(path)),
        )
        return Published(upload.path, upload.made, str(upload.proof))


def read_staged(stage: Stage, package: PackageId, url: str) -> TagFiles:
    """What a sealed stage says of itself: what cannot be opened is not published.

    Raises `StoreError` where the disk gives back other tag files than were written; the source is not to blame.
    """
    try:
        return open_tag_files(LocalBundle(stage.bag), expected_id=package)
    except (IntegrityError, PackageError) as error:
        raise StoreError(
            f"the store returns different bytes than were written: {error.message}; nothing was archived",
            where=f"{url}: {error.where}",
            next="Check the disk; choose another store.",
        ) from error
