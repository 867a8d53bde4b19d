"""A folder that was archived before: the same, or more than then? Names and sizes first, then every byte that counts.

An archived file is *unchanged* where the folder has a file of the same original path, size and SHA-256. A folder
*extends* a chain where all archived files are there unchanged and make at least a quarter of its bytes, so that a
reference image that is copied into every session does not make all of them one. Where the folder is known to be the one
that was archived (the `ingest` statement names it), files may have changed or gone, as long as half are unchanged.

What is archived is not yet what is kept: of packages of which no copy is left, the files count as new; see `without`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

from diadem.errors import Interrupted
from diadem.extract.survey import survey
from diadem.hooks.offers import ReaderOffer
from diadem.model.display import Display
from diadem.model.manifest import PackageId
from diadem.model.ports import Listener, Meter, silent
from diadem.model.record import Record
from diadem.node.take.chains import ArchivedPackage, EffectiveFile, KnownPackages, chain_of, merge_chain
from diadem.pack.plan import PackPlan, merged_metadata
from diadem.serialization.validation import validate_metadata
from diadem.store.copy import Changed, Copier, NotPlain, SourceFailed
from diadem.store.source import Omission, SourceFile
from diadem.work import in_order

#: Of a folder's bytes, what an archived chain must make where nobody knows that it was archived from there.
_SHARE = 0.25
#: Of the archived files, what must be unchanged where it is known.
_KEPT = 0.5
#: An unchanged file goes along with a changed one of its dataset up to this size …
_SMALL = 1 << 20
#: … if all such files of the dataset have no more than this.
_SMALL_TOGETHER = 16 << 20
_HASHERS, _AHEAD = 2, 64


@dataclass(frozen=True, slots=True)
class Same(Display):
    """Everything in the folder that can be read is archived.

    Attributes
    ----------
    package : PackageId
        The last of the packages that hold a part of it.
    chain : sequence of PackageId
        The first package first.
    holders : mapping of PackageId to sequence of str
        By package, the stored paths of the files that it holds, in the order of the chain.
    gone : sequence of str
        Archived files that the folder does not hold any more.
    unread : mapping of str to Omission
        By stored path, files that are not known to be archived and cannot be read now.
    """

    package: PackageId
    chain: Sequence[PackageId]
    holders: Mapping[PackageId, Sequence[str]]
    gone: Sequence[str] = ()
    unread: Mapping[str, Omission] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {"relation": "same", "package": str(self.package), "chain": list(self.chain), "gone": list(self.gone)}


@dataclass(frozen=True, slots=True)
class Extends(Display):
    """The folder holds what is archived, and more.

    Attributes
    ----------
    plan : PackPlan
        The new and the changed files; small unchanged ones without which a dataset cannot be read go along.
    predecessor : PackageId
        The last package of the chain, which the continuation names.
    chain : sequence of PackageId
        The first package first.
    new, changed : sequence of str
        Stored paths.
    holders : mapping of PackageId to sequence of str
        By package, the stored paths of the files that are archived in it and were proven to be the same.
    again : sequence of str
        Stored paths of unchanged files that are archived once more: no copy of their package is left.
    repeated : sequence of str
        Stored paths of unchanged files that go along.
    gone : sequence of str
        Archived files that the folder does not hold any more. They stay in the archive.
    """

    plan: PackPlan
    predecessor: PackageId
    chain: Sequence[PackageId]
    new: Sequence[str]
    changed: Sequence[str]
    holders: Mapping[PackageId, Sequence[str]]
    again: Sequence[str] = ()
    repeated: Sequence[str] = ()
    gone: Sequence[str] = ()

    @property
    def unchanged(self) -> int:
        """Files that are archived and were proven to be the same."""
        return sum(map(len, self.holders.values()))

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        names = {key: list(getattr(self, key)) for key in ("chain", "new", "changed", "again", "repeated", "gone")}
        return {
            "relation": "extends",
            "predecessor": str(self.predecessor),
            "unchanged": self.unchanged,
            "bytes": self.plan.tree.size,
            **names,
        }


@dataclass(frozen=True, slots=True)
class Unrelated(Display):
    """No archived chain is in the folder; `why` says of those that came close what was missing."""

    why: Sequence[str] = ()

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {"relation": "unrelated", "why": list(self.why)}


Relation = Same | Extends | Unrelated
#: From files to their SHA-256 by path; None for one that could not be read.
HashMany = Callable[[Sequence[SourceFile]], Mapping[str, str | None]]


def relate(
    plan: PackPlan,
    known: KnownPackages,
    *,
    source: str,
    readers: Sequence[ReaderOffer],
    copier: Copier,
    elsewhere: HashMany | None = None,
    listener: Listener = silent,
) -> Relation:
    """How a folder relates to what is archived. Reads the files that may be archived; writes nothing.

    Parameters
    ----------
    plan : PackPlan
        The whole folder.
    known : KnownPackages
        What is archived.
    source : str
        The folder, as `ingest` statements name it.
    readers : sequence of ReaderOffer
        Who can read what, to group the files of a continuation.
    copier : Copier
        Hashes.
    elsewhere : callable, optional
        Hashes many files in another process; those for which it has None are hashed here.
    listener : callable
        Told of bytes read, stage ``compare``.
    """
    chains = _chains(plan, known, source)
    compared = [_Comparison(plan, chain, from_here=_was_here(chain, source)) for chain in chains]
    compared.sort(key=lambda one: (one.from_here, one.bytes_kept), reverse=True)
    digests = _Digests(copier, elsewhere, listener)
    why = []
    for comparison in compared:
        if reason := comparison.excluded() or comparison.prove(digests):
            why.append(reason)
            continue
        return comparison.relation(readers)
    return Unrelated(tuple(why))


def without(
    relation: Same | Extends, lost: Collection[PackageId], plan: PackPlan, readers: Sequence[ReaderOffer]
) -> Relation:
    """What is left of a relation where no copy of some packages is: what they hold is archived again. Pure.

    Parameters
    ----------
    relation : Same or Extends
        As the folder was found.
    lost : collection of PackageId
        Packages of the chain that have no copy.
    plan : PackPlan
        The whole folder.
    readers : sequence of ReaderOffer
        Who can read what.

    Returns
    -------
    Same, Extends or Unrelated
        `Unrelated` where no package is left that holds a part of the folder.
    """
    holders = {package: names for package, names in relation.holders.items() if package not in lost}
    if not holders:
        return Unrelated(("no copy is left of what is archived of it",))
    chain = tuple(package for package in relation.chain if package not in lost)
    again = [name for package, names in relation.holders.items() if package in lost for name in names]
    if isinstance(relation, Extends):
        new, changed = relation.new, relation.changed
    elif again:
        new, changed = tuple(relation.unread), ()
    else:
        return Same(next(reversed(holders)), chain, holders, relation.gone, relation.unread)
    return _extends(plan, chain, holders, new, changed, again, relation.gone, readers)


def _extends(
    plan: PackPlan,
    chain: Sequence[PackageId],
    holders: Mapping[PackageId, Sequence[str]],
    new: Sequence[str],
    changed: Sequence[str],
    again: Sequence[str],
    gone: Sequence[str],
    readers: Sequence[ReaderOffer],
) -> Extends:
    """A continuation of the last package of a chain."""
    others = {*new, *changed, *again}
    repeated = _repeated(plan, others)
    reduced = _reduced(plan, {*others, *repeated}, readers)
    return Extends(
        reduced, chain[-1], chain, tuple(new), tuple(changed), holders, tuple(again), tuple(repeated), tuple(gone)
    )


def inheriting(plan: PackPlan, record: Record) -> PackPlan:
    """The plan with the metadata of the package that it continues, where it says nothing else."""
    sections = ("session", "sample", "people", "instrument", "extensions")
    before = {key: value for key in sections if (value := getattr(record, key))}
    return replace(plan, metadata=validate_metadata(merged_metadata(before, plan.metadata)))


def _chains(plan: PackPlan, known: KnownPackages, source: str) -> Iterator[list[ArchivedPackage]]:
    """Every chain that a candidate belongs to, once."""
    seen: set[PackageId] = set()
    for candidate in known.candidates({file.name: (file.size, file.mtime_ns) for file in plan.files.values()}, source):
        if candidate not in seen:
            chain = chain_of(known, candidate)
            seen.update(package.id for package in chain)
            if chain:
                yield chain


def _was_here(chain: Iterable[ArchivedPackage], source: str) -> bool:
    wanted = os.path.normcase(source)
    return any(os.path.normcase(one) == wanted for package in chain for one in package.sources)


class _Comparison:
    """A folder beside one chain.

    Parameters
    ----------
    plan : PackPlan
        The folder.
    chain : sequence of ArchivedPackage
        The packages, the first first.
    from_here : bool
        Whether it is known that the folder is the one that was archived.
    """

    def __init__(self, plan: PackPlan, chain: Sequence[ArchivedPackage], *, from_here: bool) -> None:
        self._plan = plan
        self._chain = chain
        self.from_here = from_here
        self._archived: Mapping[bytes, EffectiveFile] = {file.entry.original_name: file for file in merge_chain(chain)}
        self._alike = {
            stored: file
            for stored, file in plan.files.items()
            if (known := self._archived.get(file.name)) is not None and known.entry.size == file.size
        }

    @property
    def bytes_alike(self) -> int:
        """Bytes of files with an archived path and size."""
        return sum(file.size for file in self._alike.values())

    @property
    def bytes_kept(self) -> int:
        """Of these, bytes of which a copy is known: a session may have been archived anew after it was lost."""
        gone = {package.id for package in self._chain if package.gone}
        return sum(file.size for file in self._alike.values() if self._archived[file.name].package not in gone)

    def excluded(self) -> str | None:
        """Why the folder cannot extend the chain, by names and sizes; None where it may."""
        short = f"{self._chain[0].id[:19]}…"
        alike, archived = len(self._alike), len(self._archived)
        if not alike:
            return f"{short}: none of its files is there"
        if self.from_here:
            few = alike < _KEPT * archived
            return f"{short}: only {alike:,} of its {archived:,} files are there as they were" if few else None
        if alike < archived:
            return f"{short}: {archived - alike:,} of its {archived:,} files are not there, or have another size"
        whole = sum(file.size for file in self._plan.files.values())
        if self.bytes_alike < _SHARE * whole:
            return f"{short}: it would be too small a part of the folder"
        return None

    def prove(self, digests: _Digests) -> str | None:
        """Read what is alike, and keep as such what has the digest of the archived file; None where enough has."""
        found = digests.of(list(self._alike.values()))
        expected = len(self._alike)
        self._alike = {
            stored: file
            for stored, file in self._alike.items()
            if found[file.path] == self._archived[file.name].entry.sha256
        }
        short = f"{self._chain[0].id[:19]}…"
        if not self._alike or (not self.from_here and len(self._alike) < expected):
            return f"{short}: {expected - len(self._alike):,} of its files are there with other content"
        if len(self._alike) < _KEPT * len(self._archived):
            return f"{short}: only {len(self._alike):,} of its {len(self._archived):,} files are unchanged"
        return None

    def relation(self, readers: Sequence[ReaderOffer]) -> Relation:
        """What was proven."""
        chain = tuple(package.id for package in self._chain)
        there = {file.name for file in self._plan.files.values()}
        gone = tuple(known.entry.name for name, known in self._archived.items() if name not in there)
        others = [stored for stored in self._plan.files if stored not in self._alike]
        holders = self._holders(chain)
        if not others:
            return Same(next(reversed(holders)), chain, holders, gone)
        new = [stored for stored in others if self._plan.files[stored].name not in self._archived]
        changed = [stored for stored in others if self._plan.files[stored].name in self._archived]
        return _extends(self._plan, chain, holders, new, changed, (), gone, readers)

    def _holders(self, chain: Sequence[PackageId]) -> dict[PackageId, list[str]]:
        """The unchanged files by the package that holds them."""
        holders: dict[PackageId, list[str]] = {package: [] for package in chain}
        for stored, file in self._alike.items():
            holders[self._archived[file.name].package].append(stored)
        return {package: names for package, names in holders.items() if names}


def _repeated(plan: PackPlan, others: set[str]) -> list[str]:
    """Unchanged files that a dataset with changed ones needs to be read: headers and side files, as far as small."""
    repeated: list[str] = []
    for dataset in plan.datasets:
        paths = [file.path for file in dataset.files]
        if others.isdisjoint(paths):
            continue
        small = [path for path in paths if path not in others and plan.files[path].size <= _SMALL]
        if sum(plan.files[path].size for path in small) <= _SMALL_TOGETHER:
            repeated += small
    return repeated


def _reduced(plan: PackPlan, wanted: set[str], readers: Sequence[ReaderOffer]) -> PackPlan:
    """The plan of some of the files; stored names stay those of the whole folder."""
    files = {stored: file for stored, file in plan.files.items() if stored in wanted}
    tree = replace(plan.tree, files=list(files.values()))
    datasets = survey(((stored, file.size) for stored, file in files.items()), readers)
    return replace(plan, tree=tree, files=files, datasets=datasets)


class _Digests:
    """SHA-256 of files of the folder, each read once whatever number of chains it is compared with."""

    def __init__(self, copier: Copier, elsewhere: HashMany | None, listener: Listener) -> None:
        self._copier = copier
        self._elsewhere = elsewhere
        self._listener = listener
        self._known: dict[str, str] = {}
        self._stopped = threading.Event()

    def of(self, files: Sequence[SourceFile]) -> Mapping[str, str]:
        """Path to digest; "" for a file that cannot be read or changes meanwhile."""
        wanted = [file for file in files if file.path not in self._known]
        if self._elsewhere is not None and wanted:
            found = self._elsewhere(wanted)
            self._known.update((path, digest) for path, digest in found.items() if digest is not None)
            wanted = [file for file in wanted if file.path not in self._known]
        self._meter = Meter("compare", sum(file.size for file in wanted), self._listener)
        digests = in_order(self._digest, wanted, threads=_HASHERS, ahead=_AHEAD, stop=self._stopped.set)
        with closing(digests):
            self._known.update((file.path, digest) for file, digest in zip(wanted, digests, strict=True))
        return self._known

    def _digest(self, file: SourceFile) -> str:
        try:
            return self._copier.copy(file.path, None, lambda count: self._advance(count, file)).sha256
        except (Changed, NotPlain, SourceFailed):
            return ""

    def _advance(self, count: int, file: SourceFile) -> None:
        if self._stopped.is_set():
            raise Interrupted("comparing was stopped", where=file.path)
        self._meter.add(count, file.path)
