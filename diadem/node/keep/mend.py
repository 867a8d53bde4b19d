"""Mending a damaged copy: good bytes are found, proven, and only then written over what is known to be damaged.

The order is parity, then another copy, then (for tag files) the catalogue. A leaf that is good is never touched; one
for which no good bytes are found anywhere stays as it is, since it may be the last that is left.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diadem.errors import DiademError, DigestMismatch, IntegrityError, Refused, line_of
from diadem.model.display import Display
from diadem.model.manifest import TAGMANIFEST, FileEntry, PackageId
from diadem.model.ports import Bundle, Listener, Listing, Progress, silent
from diadem.model.report import Finding, Findings, Level, Report
from diadem.node.keep.mend_sources import PARITY, LeafSources, TagSources
from diadem.package.examine import LIMITS, TagFiles, open_tag_files, read_tag_file
from diadem.package.prove import FileJob, prove
from diadem.store.contract import Pace, Store
from diadem.store.slot import set_aside
from diadem.trust.hashing import leaf_digest

if TYPE_CHECKING:
    from diadem.package.parity.rebuild import Parity, Rebuilder

#: Where the bytes of an empty file come from, and those of a file whose own leaves were all good.
MANIFEST, ITSELF = "manifest", "itself"
_PIECE = 1 << 20
_CONTRADICTION = "its leaves are right, but not its SHA-256: the tag files contradict each other"
#: Findings that name a leaf; findings after which a report does not name all damage.
_BY_LEAF = frozenset({"leaf-mismatch", "read-error"})
_INCOMPLETE = frozenset({"findings-omitted", "payload-unproven"})
_AGAIN = "Repair the package again."


@dataclass(frozen=True, slots=True)
class Repair(Display):
    """Damaged bytes that were replaced by proven ones.

    Attributes
    ----------
    path : str
        The file, relative to the bag.
    leaf : int or None
        Index of the leaf within the file; None for a whole file.
    source : str
        ``parity``, ``replica:<store>``, ``catalogue``; ``manifest`` for an empty file; ``itself`` for a file that had
        only bytes too many; several, with commas, for a file put together from several.
    before : str or None
        64 hex digits of what was there, BLAKE3 of a leaf or SHA-256 of a file; None where nothing could be read.
    after : str
        The same of what is there now.
    """

    path: str
    leaf: int | None
    source: str
    before: str | None
    after: str

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "path": self.path,
            "leaf": self.leaf,
            "from": self.source,
            "before": self.before,
            "after": self.after,
        }


@dataclass(frozen=True, slots=True)
class NotRepaired(Display):
    """What could not be mended.

    Attributes
    ----------
    package, store, path : str
        The copy, and the file in it.
    leaf : int or None
        Of that file.
    reason : str
        Why, and what would help.
    command : str
        What mends it; "" where no command does.
    """

    package: str
    store: str
    path: str
    leaf: int | None
    reason: str
    command: str = ""

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass
class Mended:
    """What became of a damaged copy: what was replaced, in order, and what could not be.

    `extras` are files that have no place in the package and are still in it; `set_aside` those that were moved away, by
    their path in the bag, with that in the store.
    """

    repairs: list[Repair] = field(default_factory=list)
    left: list[NotRepaired] = field(default_factory=list)
    extras: list[str] = field(default_factory=list)
    set_aside: dict[str, str] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether the copy should verify now. The caller verifies it, in full, and believes only that."""
        return not self.left and not self.extras

    @property
    def touched(self) -> list[str]:
        """Files that were written to: these have to be verified in full."""
        return sorted({repair.path for repair in self.repairs})


def mend(
    package: PackageId,
    store: Store,
    path: str,
    report: Report,
    *,
    name: str = "",
    parity: Parity | None = None,
    replicas: Mapping[str, Bundle] | None = None,
    tag_files: Mapping[str, bytes] | None = None,
    quarantine: bool = False,
    repaired: Callable[[Repair], None] = lambda _: None,
    listener: Listener = silent,
    pace: Pace | None = None,
) -> Mended:
    """Put a damaged copy right, as far as good bytes are found.

    `report` is of a verification of it; what it does not say is looked at again. `name` is the store's, for what is
    left. Good bytes come from the `parity` in the same store, opened; from `replicas` by their stores, those to be
    asked first in front; and from the `tag_files` that the catalogue keeps. With `quarantine`, files that have no place
    in the package are moved to ``.diadem/quarantine/`` of the store. `repaired` is called after each repair, so that it
    is stated in the log even if the next one is interrupted.

    Raises
    ------
    IntegrityError
        The tag files cannot be put together from any source: then nothing can be proven, and nothing was touched.
    Refused
        Another sound package lies there: it is not overwritten.
    """
    replicas = replicas or {}
    bundle = store.bundle(path)
    tags = TagSources(package, bundle, parity, replicas, tag_files or {})
    opened = tags.open()
    _refuse_another(bundle, opened)
    run = _Mending(package, store, path, name, bundle, tags, opened, parity, repaired, listener, pace)
    run.strangers(quarantine=quarantine)
    run.tag_files()
    run.payload(report, replicas)
    return run.result


@dataclass
class _Mending:
    """One run over one copy."""

    package: PackageId
    store: Store
    path: str
    name: str
    bundle: Bundle
    tags: TagSources
    opened: TagFiles
    parity: Parity | None
    repaired: Callable[[Repair], None]
    listener: Listener
    pace: Pace | None
    result: Mended = field(default_factory=Mended)
    done: int = 0
    total: int = 0

    def strangers(self, *, quarantine: bool) -> None:
        """What lies in the copy and has no place in it: told, or set aside where that was asked for."""
        listing = self.bundle.listing()
        known = {TAGMANIFEST, *self.tags.listed, *(entry.path for entry in self.opened.manifest)}
        for path in sorted(one for one in (*listing.files, *listing.irregular) if one not in known and one != "."):
            if not (quarantine and self.store.is_folder):
                self.result.extras.append(path)
                continue
            try:
                self.result.set_aside[path] = set_aside(Path(self.store.url), self.path, path, self.package)
            except DiademError:
                self.result.extras.append(path)

    def tag_files(self) -> None:
        """Tag files that are not sound, from the first other place where they are."""
        for path in self.tags.listed:
            if not self.tags.is_sound(path):
                self._attempt(path, None, partial(self._tag_file, path))

    def payload(self, report: Report, replicas: Mapping[str, Bundle]) -> None:
        """Files below `data/`, leaf by leaf where their size is right, else whole."""
        damaged = survey(self.bundle, self.bundle.listing(), self.opened, report)
        sources = LeafSources(self.opened, self._rebuilder(damaged), replicas)
        self.total = sum(
            one.entry.size if one.leaves is None else sum(self._length(one.entry, leaf) for leaf in one.leaves)
            for one in damaged
        )
        try:
            for one in damaged:
                self._file(one, sources)
        finally:
            sources.close()

    def _rebuilder(self, damaged: Sequence[DamagedFile]) -> Rebuilder | None:
        if self.parity is None:
            return None
        from diadem.package.parity.rebuild import Rebuilder

        suspects = [
            (one.entry, leaf) for one in damaged for leaf in (one.leaves if one.leaves is not None else (None,))
        ]
        try:
            return Rebuilder(self.parity, self.bundle, self.opened, suspects)
        except IntegrityError:  # the parity of another package
            return None

    def _attempt(self, path: str, leaf: int | None, action: Callable[[], Repair | None]) -> None:
        """Mend one thing; whatever stops it is written down, and the next is mended."""
        try:
            repair = action()
        except DiademError as error:
            self._leave(path, leaf, error.message)
            return
        if repair is not None:
            self.result.repairs.append(repair)
            self.repaired(repair)

    def _leave(self, path: str, leaf: int | None, reason: str) -> None:
        self.result.left.append(NotRepaired(self.package, self.name, path, leaf, reason))

    def _tag_file(self, path: str) -> Repair:
        source, blocks = self.tags.elsewhere(path)
        size = sum(len(block) for block in blocks(path))
        before = self._sha256(path)
        self.store.replace_file(self.path, path, blocks(path), size, None)
        return Repair(path, None, source, before, self.tags.listed[path])

    def _length(self, entry: FileEntry, leaf: int) -> int:
        start, end = self.opened.leaves.span(entry, leaf)
        return end - start

    def _file(self, damaged: DamagedFile, sources: LeafSources) -> None:
        entry = damaged.entry
        if damaged.leaves is None or (damaged.leaves and not self.store.is_folder):
            self._attempt(entry.path, None, partial(self._whole_file, entry, sources))
            return
        if not damaged.leaves and self._sha256(entry.path) != entry.sha256:
            self._leave(entry.path, None, _CONTRADICTION)
        for leaf in damaged.leaves:
            self._attempt(entry.path, leaf, partial(self._one_leaf, entry, leaf, sources))

    def _one_leaf(self, entry: FileEntry, leaf: int, sources: LeafSources) -> Repair | None:
        leaves, before = self.opened.leaves, self._present(entry, leaf)
        self._count(self._length(entry, leaf), entry.path)
        if before is not None and leaves.proves(entry, leaf, before):
            return None
        source, data = sources.find(entry, leaf)
        self.store.replace_leaf(self.path, entry, leaf, data, leaf_size=leaves.size)
        digest = None if before is None else leaf_digest(before).hex()
        return Repair(entry.path, leaf, source, digest, leaves[entry.first_leaf + leaf].hex())

    def _whole_file(self, entry: FileEntry, sources: LeafSources) -> Repair | None:
        """Put a file together: its own leaves where they are good, those of other places where they are not."""
        before = self._sha256(entry.path)
        if before == entry.sha256:
            return None
        used: set[str] = set()
        blocks = self._blocks(entry, sources, used)
        self.store.replace_file(self.path, entry.path, blocks, entry.size, entry.mtime_ns)
        named = ", ".join(sorted(used, key=lambda name: (name != PARITY, name)))
        return Repair(entry.path, None, named or (ITSELF if entry.size else MANIFEST), before, entry.sha256)

    def _blocks(self, entry: FileEntry, sources: LeafSources, used: set[str]) -> Iterator[bytes]:
        """The leaves of a file, each proven; an error at the end, if together they do not have its SHA-256."""
        digest = hashlib.sha256()
        for leaf in range(self.opened.leaves.count(entry)):
            data = self._present(entry, leaf)
            if data is None or not self.opened.leaves.proves(entry, leaf, data):
                source, data = sources.find(entry, leaf)
                used.add(source)
            digest.update(data)
            self._count(len(data), entry.path)
            yield data
        if digest.hexdigest() != entry.sha256:
            raise DigestMismatch(_CONTRADICTION, where=entry.path, next="Fetch the package from where it came from.")

    def _present(self, entry: FileEntry, leaf: int) -> bytes | None:
        """The leaf as it lies there; None where it cannot be read, or is too short."""
        start, end = self.opened.leaves.span(entry, leaf)
        try:
            with self.bundle.open(entry.path) as file:
                data = file.read_at(start, end - start)
        except (DiademError, OSError):
            return None
        return data if len(data) == end - start else None

    def _sha256(self, path: str) -> str | None:
        """SHA-256 of what is there now; None where nothing can be read."""
        digest, offset = hashlib.sha256(), 0
        try:
            with self.bundle.open(path) as file:
                while piece := file.read_at(offset, _PIECE):
                    digest.update(piece)
                    offset += len(piece)
        except (DiademError, OSError):
            return None
        return digest.hexdigest()

    def _count(self, size: int, path: str) -> None:
        if self.pace is not None:
            self.pace.wait(size)
        self.done += size
        self.listener(Progress("repair", self.done, self.total, path))


def _refuse_another(bundle: Bundle, ours: TagFiles) -> None:
    """Raise `Refused` where the place of the copy holds another package whose tag files are sound.

    A tag manifest of which one line is damaged can look like another package with the very same files: it is none.
    """
    try:
        found = open_tag_files(bundle)
    except (DiademError, OSError):
        return
    same_files = (found.manifest, found.leaves, found.bag_info) == (ours.manifest, ours.leaves, ours.bag_info)
    if found.id == ours.id or same_files:
        return
    raise Refused(
        f"another package is there, {found.id}, whose tag files are sound; it is not overwritten",
        where=bundle.url,
        next="Copy this package again, to a path of its own.",
    )


# -- what is damaged ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DamagedFile:
    """What is wrong with one file below `data/`: leaves that may be damaged; None where it is to be replaced whole."""

    entry: FileEntry
    leaves: tuple[int, ...] | None


def survey(bundle: Bundle, listing: Listing, opened: TagFiles, report: Report) -> list[DamagedFile]:
    """Every file of a copy that is damaged, in the order of the manifest.

    From the findings of a verification, and by looking again where these do not say it.
    """
    findings: dict[str, list[Finding]] = defaultdict(list)
    for finding in report.findings:
        if finding.path is not None:
            findings[finding.path].append(finding)
    everything = report.package_id not in {None, opened.id} or any(one.code in _INCOMPLETE for one in report.findings)
    damaged = []
    for entry in opened.manifest:
        said = findings.get(entry.path, [])
        by_leaf = all(one.code in _BY_LEAF for one in said)
        leaves: tuple[int, ...] | None
        if listing.files.get(entry.path) != entry.size:
            damaged.append(DamagedFile(entry, None))
        elif by_leaf and not everything:
            leaves = tuple(sorted({one.leaf for one in said if one.leaf is not None}))
            damaged += [DamagedFile(entry, leaves)] if leaves else []
        elif (leaves := _bad_leaves(bundle, opened, entry)) != () or said:
            damaged.append(DamagedFile(entry, leaves))
    return damaged


def _bad_leaves(bundle: Bundle, opened: TagFiles, entry: FileEntry) -> tuple[int, ...] | None:
    """The leaves of a file that are not what was archived; None where it cannot be opened."""
    leaves, bad = opened.leaves, []
    try:
        with bundle.open(entry.path) as file:
            for leaf in range(leaves.count(entry)):
                start, end = leaves.span(entry, leaf)
                try:
                    right = leaves.proves(entry, leaf, file.read_at(start, end - start))
                except (DiademError, OSError):
                    right = False
                if not right:
                    bad.append(leaf)
    except (DiademError, OSError):
        return None
    return tuple(bad)


# -- the proof of a mending --------------------------------------------------------------------------------------------


def prove_files(bundle: Bundle, package: PackageId, paths: Iterable[str], *, listener: Listener = silent) -> Report:
    """Prove some files of a package by leaves and SHA-256, `Mended.touched`, and nothing else but the tag files.

    The report is of these files alone; `checked` counts files, bytes, leaves.
    """
    findings = Findings()
    try:
        opened = open_tag_files(bundle, expected_id=package)
    except (DiademError, OSError) as error:
        findings.error("tag-file-mismatch", line_of(error), TAGMANIFEST, next=_AGAIN)
        return Report(bundle.url, Level.FULL, findings.sorted(), package)
    jobs = []
    for path in sorted(set(paths)):
        if path in opened.manifest:
            jobs += _job(bundle, opened.manifest[path], findings)
        elif path != TAGMANIFEST and path in LIMITS:  # the tag manifest has given the id
            try:
                read_tag_file(bundle, path, package)
            except (DiademError, OSError) as error:
                findings.error("tag-file-mismatch", line_of(error), path, next=_AGAIN)
    proven = prove(bundle, jobs, findings=findings, listener=listener, leaves=opened.leaves)
    checked = {"files": proven.files, "bytes": proven.bytes, "leaves": proven.leaves}
    return Report(bundle.url, Level.FULL, findings.sorted(), package, checked)


def _job(bundle: Bundle, entry: FileEntry, findings: Findings) -> list[FileJob]:
    """What to prove of a file; nothing, and a finding, where its size says enough."""
    try:
        with bundle.open(entry.path) as file:
            present = file.size
    except (DiademError, OSError) as error:
        reason = error.message if isinstance(error, DiademError) else str(error)
        findings.error("file-unreadable", reason, entry.path, next=_AGAIN)
        return []
    if present != entry.size:
        findings.error("size-mismatch", f"the file has {present} bytes, not {entry.size}", entry.path)
        return []
    return [FileJob(entry.path, entry.size, present, entry.first_leaf, (("sha256", entry.sha256),))]
