"""Mending a damaged copy: good bytes are found, proven, and only then written over what is known to be damaged.

The order is parity, then another replica, then (for tag files) the catalogue. A leaf that is good is never touched; one
for which no good bytes are found anywhere stays as it is, since it may be the last that is left.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from diadem.errors import DiademError, DigestMismatch, IntegrityError, Refused
from diadem.model.manifest import FileEntry, PackageId
from diadem.model.ports import Bundle, Listener, Progress, silent
from diadem.model.report import Report
from diadem.node.keep.mending_outcome import Mended, Repair, Unmended
from diadem.node.keep.mending_sources import PARITY, LeafSources, Replica, TagSources
from diadem.node.keep.mending_survey import Damage, extras, survey, suspects
from diadem.package.examine import TagFiles, open_tag_files
from diadem.store.contract import Pace, Store
from diadem.store.slot import set_aside
from diadem.trust.hashing import leaf_digest

if TYPE_CHECKING:
    from diadem.package.parity.rebuild import Parity, Rebuilder

#: Where the bytes of an empty file come from, and those of a file whose own leaves were all good.
MANIFEST, ITSELF = "manifest", "itself"
_PIECE = 1 << 20
_CONTRADICTION = "its leaves are right, but not its SHA-256: the tag files contradict each other"


@dataclass(frozen=True, slots=True)
class MendJob:
    """A damaged copy, and where good bytes may be.

    Attributes
    ----------
    package : PackageId
        What the copy should be.
    store : Store
        The store that holds it.
    path : str
        Its path in the store.
    report : Report
        Of a verification of it; what it does not say is looked at again.
    parity : Parity or None
        Its parity file in the same store, opened.
    replicas : sequence of Replica
        Other copies, those to be asked first in front.
    tag_files : mapping of path to bytes
        What the catalogue keeps.
    quarantine : bool
        Whether files that have no place in the package are moved to ``.diadem/quarantine/`` of the store.
    """

    package: PackageId
    store: Store
    path: str
    report: Report
    parity: Parity | None = None
    replicas: Sequence[Replica] = ()
    tag_files: Mapping[str, bytes] = field(default_factory=dict)
    quarantine: bool = False


def mend(
    job: MendJob,
    *,
    repaired: Callable[[Repair], None] | None = None,
    listener: Listener = silent,
    pace: Pace | None = None,
) -> Mended:
    """Put a damaged copy right, as far as good bytes are found.

    Parameters
    ----------
    job : MendJob
        The copy and where to look.
    repaired : callable, optional
        Called after each repair, so that it is stated in the log even if the next one is interrupted.
    listener : callable
        Told of progress, in bytes of the files and leaves that are damaged.
    pace : Pace, optional
        Holds the reading below a rate.

    Returns
    -------
    Mended
        Every repair, and what is left.

    Raises
    ------
    IntegrityError
        If the tag files cannot be put together from any source: then nothing can be proven, and nothing was touched.
    Refused
        If another sound package lies there: it is not overwritten.
    """
    mender = _Mender(job, repaired, listener, pace)
    try:
        mender.run()
    finally:
        mender.close()
    return Mended(tuple(mender.repairs), tuple(mender.unmended), tuple(mender.extras), mender.set_aside)


class _Mender:
    """One run over one copy."""

    def __init__(
        self, job: MendJob, repaired: Callable[[Repair], None] | None, listener: Listener, pace: Pace | None
    ) -> None:
        self._job = job
        self._bundle: Bundle = job.store.bundle(job.path)
        self._repaired, self._listener, self._pace = repaired, listener, pace
        self._tags = TagSources(job.package, self._bundle, job.parity, job.replicas, job.tag_files)
        self._opened: TagFiles = self._tags.open()
        _refuse_another(self._bundle, self._opened)
        self._leaves: LeafSources | None = None
        self._done = self._total = 0
        self.repairs: list[Repair] = []
        self.unmended: list[Unmended] = []
        self.extras: list[str] = []
        self.set_aside: dict[str, str] = {}

    def run(self) -> None:
        """Everything, in order: strangers, tag files, payload."""
        self._look_at_strangers()
        for path in self._tags.listed:
            if not self._tags.is_sound(path):
                self._attempt(path, None, partial(self._tag_file, path))
        damages = survey(self._bundle, self._bundle.listing(), self._opened, self._job.report)
        self._leaves = LeafSources(self._opened, self._rebuilder(damages), self._job.replicas)
        self._total = sum(self._bytes(damage) for damage in damages)
        for damage in damages:
            self._file(damage)

    def close(self) -> None:
        """Close what is open."""
        if self._leaves is not None:
            self._leaves.close()

    def _rebuilder(self, damages: Sequence[Damage]) -> Rebuilder | None:
        if self._job.parity is None:
            return None
        from diadem.package.parity.rebuild import Rebuilder

        try:
            return Rebuilder(self._job.parity, self._bundle, self._opened, suspects(damages))
        except IntegrityError:  # the parity of another package
            return None

    def _attempt(self, path: str, leaf: int | None, action: Callable[[], Repair | None]) -> None:
        """Mend one thing; whatever stops it is written down, and the next is mended."""
        try:
            repair = action()
        except DiademError as error:
            self.unmended.append(Unmended(path, leaf, error.message))
            return
        if repair is not None:
            self.repairs.append(repair)
            if self._repaired is not None:
                self._repaired(repair)

    # -- strangers and tag files -----------------------------------------------------------------------------------

    def _look_at_strangers(self) -> None:
        for path in extras(self._bundle.listing(), self._opened, list(self._tags.listed)):
            if not (self._job.quarantine and self._job.store.is_folder):
                self.extras.append(path)
                continue
            try:
                root = Path(self._job.store.url)
                self.set_aside[path] = set_aside(root, self._job.path, path, self._job.package)
            except DiademError:
                self.extras.append(path)

    def _tag_file(self, path: str) -> Repair:
        source, blocks = self._tags.elsewhere(path)
        size = sum(len(block) for block in blocks(path))
        before = self._sha256(path)
        self._job.store.replace_file(self._job.path, path, blocks(path), size, None)
        return Repair(path, None, source, before, self._tags.listed[path])

    # -- files below data/ -----------------------------------------------------------------------------------------

    def _bytes(self, damage: Damage) -> int:
        if damage.leaves is None:
            return damage.entry.size
        return sum(self._length(damage.entry, leaf) for leaf in damage.leaves)

    def _length(self, entry: FileEntry, leaf: int) -> int:
        start, end = self._opened.leaves.span(entry, leaf)
        return end - start

    def _file(self, damage: Damage) -> None:
        entry = damage.entry
        if damage.leaves is None or (damage.leaves and not self._job.store.is_folder):
            self._attempt(entry.path, None, partial(self._whole_file, entry))
            return
        if not damage.leaves and self._sha256(entry.path) != entry.sha256:
            self.unmended.append(Unmended(entry.path, None, _CONTRADICTION))
        for leaf in damage.leaves:
            self._attempt(entry.path, leaf, partial(self._one_leaf, entry, leaf))

    def _one_leaf(self, entry: FileEntry, leaf: int) -> Repair | None:
        assert self._leaves is not None
        leaves, before = self._opened.leaves, self._present(entry, leaf)
        self._count(self._length(entry, leaf), entry.path)
        if before is not None and leaves.proves(entry, leaf, before):
            return None
        source, data = self._leaves.find(entry, leaf)
        self._job.store.replace_leaf(self._job.path, entry, leaf, data, leaf_size=leaves.size)
        digest = None if before is None else leaf_digest(before).hex()
        return Repair(entry.path, leaf, source, digest, leaves[entry.first_leaf + leaf].hex())

    def _whole_file(self, entry: FileEntry) -> Repair | None:
        """Put a file together: its own leaves where they are good, those of other places where they are not."""
        before = self._sha256(entry.path)
        if before == entry.sha256:
            return None
        used: set[str] = set()
        self._job.store.replace_file(self._job.path, entry.path, self._blocks(entry, used), entry.size, entry.mtime_ns)
        source = ", ".join(sorted(used, key=lambda name: (name != PARITY, name))) or (
            ITSELF if entry.size else MANIFEST
        )
        return Repair(entry.path, None, source, before, entry.sha256)

    def _blocks(self, entry: FileEntry, used: set[str]) -> Iterator[bytes]:
        """The leaves of a file, each proven; an error at the end, if together they do not have its SHA-256."""
        assert self._leaves is not None
        digest = hashlib.sha256()
        for leaf in range(self._opened.leaves.count(entry)):
            data = self._present(entry, leaf)
            if data is None or not self._opened.leaves.proves(entry, leaf, data):
                source, data = self._leaves.find(entry, leaf)
                used.add(source)
            digest.update(data)
            self._count(len(data), entry.path)
            yield data
        if digest.hexdigest() != entry.sha256:
            raise DigestMismatch(_CONTRADICTION, where=entry.path, next="Fetch the package from where it came from.")

    def _present(self, entry: FileEntry, leaf: int) -> bytes | None:
        """The leaf as it lies there; None where it cannot be read, or is too short."""
        start, end = self._opened.leaves.span(entry, leaf)
        try:
            with self._bundle.open(entry.path) as file:
                data = file.read_at(start, end - start)
        except (DiademError, OSError):
            return None
        return data if len(data) == end - start else None

    def _sha256(self, path: str) -> str | None:
        """SHA-256 of what is there now; None where nothing can be read."""
        digest, offset = hashlib.sha256(), 0
        try:
            with self._bundle.open(path) as file:
                while piece := file.read_at(offset, _PIECE):
                    digest.update(piece)
                    offset += len(piece)
        except (DiademError, OSError):
            return None
        return digest.hexdigest()

    def _count(self, size: int, path: str) -> None:
        if self._pace is not None:
            self._pace.wait(size)
        self._done += size
        self._listener(Progress("repair", self._done, self._total, path))


def _refuse_another(bundle: Bundle, ours: TagFiles) -> None:
    """Raise `Refused` where the place of the copy holds another package whose tag files are sound.

    A tag manifest of which one line is damaged can look like another package with the very same files: it is none.
    """
    try:
        found = open_tag_files(bundle)
    except (DiademError, OSError):
        return
    if found.id == ours.id or _has_same_files(found, ours):
        return
    raise Refused(
        f"another package is there, {found.id}, whose tag files are sound; it is not overwritten",
        where=bundle.url,
        next="Copy this package again, to a path of its own.",
    )


def _has_same_files(found: TagFiles, ours: TagFiles) -> bool:
    """Whether two packages differ in their tag manifest alone."""
    return (found.manifest, found.leaves, found.bag_info) == (ours.manifest, ours.leaves, ours.bag_info)
