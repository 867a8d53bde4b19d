"""A folder that was archived before: the same, or more than then? Names and sizes first, then every byte that counts.

An archived file is *unchanged* where the folder has a file of the same original path, size and SHA-256. A folder
*extends* a chain where all archived files are there unchanged and make at least a quarter of its bytes, so that a
reference image that is copied into every session does not make all of them one. Where the folder is known to be the one
that was archived (the `ingest` statement names it), files may have changed or gone, as long as half are unchanged.

What is archived is not yet what is kept: of packages of which no copy is left, the files count as new; see `without`.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from diadem.catalogue.facts import file_trace, source_trace
from diadem.errors import DiademError, NotFound, Unreachable
from diadem.extract.survey import survey
from diadem.hooks.offers import ReaderOffer
from diadem.model.display import Display
from diadem.model.manifest import PackageId, shown_id
from diadem.model.ports import Listener
from diadem.model.record import Record
from diadem.model.replicas import DROPPED, PRESENT, ReplicaState
from diadem.node.context import Context
from diadem.node.digests import FileDigests
from diadem.node.keep.copies import Copy, PackageCopies
from diadem.node.quality.amend import effective
from diadem.node.take.package_chain import ArchivedPackage, EffectiveFile, chain_of, continuations, merge_chain
from diadem.pack.plan import PackPlan, merged_metadata
from diadem.serialization.validation import validate_metadata
from diadem.store.copy import Copier
from diadem.store.source import Omission
from diadem.store.system import READ_FLAGS, long_path

#: Of a folder's bytes, what an archived chain must make where nobody knows that it was archived from there.
_SHARE = 0.25
#: Of the archived files, what must be unchanged where it is known.
_KEPT = 0.5
#: An unchanged file goes along with a changed one of its dataset up to this size …
_SMALL = 1 << 20
#: … if all such files of the dataset have no more than this.
_SMALL_TOGETHER = 16 << 20
#: Packages that are compared with a folder, name by name.
_CANDIDATES = 20


@dataclass(frozen=True, slots=True)
class Same(Display):
    """Everything in the folder that can be read is archived."""

    #: The first package first.
    chain: Sequence[PackageId]
    #: By package, the stored paths of the files that it holds, in the order of the chain.
    holders: Mapping[PackageId, Sequence[str]]
    #: Archived files that the folder does not hold any more. They stay in the archive.
    gone: Sequence[str] = ()
    #: By stored path, files that are not known to be archived and cannot be read now.
    unread: Mapping[str, Omission] = field(default_factory=dict)

    @property
    def package(self) -> PackageId:
        """The last of the packages that hold a part of it."""
        return list(self.holders)[-1]

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {"relation": "same", "package": str(self.package), "chain": list(self.chain), "gone": list(self.gone)}


@dataclass(frozen=True, slots=True)
class Extends(Display):
    """The folder holds what is archived, and more. Files are named by their stored paths."""

    #: The new and the changed files; small unchanged ones without which a dataset cannot be read go along.
    plan: PackPlan
    chain: Sequence[PackageId]
    new: Sequence[str]
    changed: Sequence[str]
    #: By package, the files that are archived in it and were proven to be the same.
    holders: Mapping[PackageId, Sequence[str]]
    #: Unchanged files that are archived once more: no copy of their package is left.
    again: Sequence[str] = ()
    #: Unchanged files that go along.
    repeated: Sequence[str] = ()
    #: Archived files that the folder does not hold any more. They stay in the archive.
    gone: Sequence[str] = ()

    @property
    def predecessor(self) -> PackageId:
        """The last package of the chain, which the continuation names."""
        return self.chain[-1]

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


def relate(
    plan: PackPlan,
    chains: Iterable[Sequence[ArchivedPackage]],
    *,
    source: str,
    readers: Sequence[ReaderOffer],
    digests: FileDigests,
) -> Relation:
    """How a folder relates to chains that may be archived of it. Reads the files that may be archived; writes nothing.

    `source` is the folder as `ingest` statements name it; `readers` group the files of a continuation.
    """
    wanted = os.path.normcase(source)

    def was_here(chain: Sequence[ArchivedPackage]) -> bool:
        return any(os.path.normcase(one) == wanted for package in chain for one in package.sources)

    compared = [_Comparison(plan, chain, from_here=was_here(chain)) for chain in chains]
    compared.sort(key=lambda one: (one.from_here, one.bytes_kept), reverse=True)
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
        return Same(chain, holders, relation.gone, relation.unread)
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
    """A continuation of the last package of a chain; stored names stay those of the whole folder."""
    others = {*new, *changed, *again}
    repeated: list[str] = []  # headers and side files that a dataset with changed files needs to be read
    for dataset in plan.datasets:
        paths = [file.path for file in dataset.files]
        if not others.isdisjoint(paths):
            small = [path for path in paths if path not in others and plan.files[path].size <= _SMALL]
            if sum(plan.files[path].size for path in small) <= _SMALL_TOGETHER:
                repeated += small
    wanted = {*others, *repeated}
    files = {stored: file for stored, file in plan.files.items() if stored in wanted}
    datasets = survey(((stored, file.size) for stored, file in files.items()), readers)
    reduced = replace(plan, tree=replace(plan.tree, files=list(files.values())), files=files, datasets=datasets)
    return Extends(reduced, chain, tuple(new), tuple(changed), holders, tuple(again), tuple(repeated), tuple(gone))


def inheriting(plan: PackPlan, record: Record) -> PackPlan:
    """The plan with the metadata of the package that it continues, where it says nothing else."""
    sections = ("session", "sample", "people", "instrument", "extensions")
    before = {key: value for key in sections if (value := getattr(record, key))}
    return replace(plan, metadata=validate_metadata(merged_metadata(before, plan.metadata)))


class _Comparison:
    """A folder beside one chain; `from_here` says that it is known to be the one that was archived."""

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
        short = shown_id(self._chain[0].id)
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

    def prove(self, digests: FileDigests) -> str | None:
        """Read what is alike, and keep as such what has the digest of the archived file; None where enough has."""
        found = digests.of(list(self._alike.values()))
        expected = len(self._alike)
        self._alike = {
            stored: file
            for stored, file in self._alike.items()
            if found[file.path] == self._archived[file.name].entry.sha256
        }
        short = shown_id(self._chain[0].id)
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
        holders: dict[PackageId, list[str]] = {package: [] for package in chain}
        for stored, file in self._alike.items():
            holders[self._archived[file.name].package].append(stored)
        holders = {package: names for package, names in holders.items() if names}
        if not others:
            return Same(chain, holders, gone)
        new = [stored for stored in others if self._plan.files[stored].name not in self._archived]
        changed = [stored for stored in others if self._plan.files[stored].name in self._archived]
        return _extends(self._plan, chain, holders, new, changed, (), gone, readers)


# -- what this node has archived -----------------------------------------------------------------------------------


def related_to_kept(
    context: Context, plan: PackPlan, source: Path, stores: Sequence[str], listener: Listener
) -> tuple[Relation, ChainCheck]:
    """How a folder relates to what this node has archived and can rely on, see `check_chain`; and what was found of it.

    The plan of a continuation says what holds of the package that it continues, where it says nothing else. Into the
    `stores`, the first that takes it, is copied what lies in an adopted folder alone.
    """
    relation = related(context, plan, source, listener)
    if isinstance(relation, Unrelated):
        return relation, ChainCheck()
    chain, holders = check_chain(context, relation, stores, listener), relation.holders
    if chain.lost:
        found = without(relation, chain.lost, plan, tuple(context.tools.readers))
        relation, chain = found, replace(chain, lost=[one for one in chain.lost if one in holders])
    if isinstance(relation, Extends):
        with suppress(DiademError):
            package, _ = PackageCopies(context, relation.predecessor).best()
            record = effective(context, str(relation.predecessor), package.record)
            relation = replace(relation, plan=inheriting(relation.plan, record))
    return relation, chain


def related_as_known(context: Context, plan: PackPlan, source: Path, listener: Listener) -> Relation:
    """The same if the copies are as the catalogue has them; nothing is read of them, and nothing written."""
    relation = related(context, plan, source, listener)
    if isinstance(relation, Unrelated):
        return relation
    gone = [one for one in relation.chain if is_gone(context, one)]
    return without(relation, gone, plan, tuple(context.tools.readers))


def related(context: Context, plan: PackPlan, source: Path, listener: Listener) -> Relation:
    """How a folder relates to what this node has archived."""
    if not context.catalogue.count():
        return Unrelated()
    elsewhere = context.workers.digests if context.workers is not None else None
    with Copier() as copier:
        relation = relate(
            plan,
            _chains(context, plan, str(source)),
            source=str(source),
            readers=tuple(context.tools.readers),
            digests=FileDigests("compare", copier, listener, elsewhere=elsewhere),
        )
    if isinstance(relation, Extends) and (unread := _unread(relation, plan)):
        return Same(relation.chain, relation.holders, relation.gone, unread)
    return relation


def _chains(context: Context, plan: PackPlan, source: str) -> Iterator[list[ArchivedPackage]]:
    """Every chain with a package that may hold files of the folder, or was archived from there, once.

    A guess: one too many costs a comparison of names, one too few a package that repeats an earlier one. Names and
    sizes recur (`scan 1.tif`, 4 MB, in every session), times hardly: a copy that lost its times is recognised by names
    and sizes alone, among the newest few packages only.
    """
    catalogue, files = context.catalogue, list(plan.files.values())
    exact = [file_trace(file.name, file.size, file.mtime_ns) for file in files]
    found = catalogue.by_traces([source_trace(source), *exact], limit=_CANDIDATES)
    if not found:
        timeless = [file_trace(file.name, file.size) for file in files]
        found = catalogue.by_traces(timeless, limit=_CANDIDATES)
        # Of packages from elsewhere the folder may extend those whose files are all there. What a package has that
        # others continue may have changed since; it is kept, and its chain is looked at.
        continued = catalogue.continued(found) if found else frozenset()
        sizes = {file.name: file.size for file in files}
        found = [
            one
            for one in found
            if one in continued
            or (opened := PackageCopies(context, one).kept_tag_files()) is None
            or all(sizes.get(entry.original_name) == entry.size for entry in opened.manifest.payload)
        ]
    seen: set[PackageId] = set()
    for candidate in map(PackageId, found):
        if candidate not in seen:
            chain = chain_of(candidate, partial(_archived, context), partial(continuations, context))
            seen.update(package.id for package in chain)
            if chain:
                yield chain


def _archived(context: Context, package: PackageId) -> ArchivedPackage | None:
    """A package from the tag files that the catalogue keeps, with what the log says of it."""
    opened = PackageCopies(context, package).kept_tag_files()
    if opened is None:
        return None
    said = (entry.statement for entry in context.ledger.of_subject(package.hex, ["ingest"]))
    sources = [str(one.predicate.get("source", "")) for one in said]
    return ArchivedPackage.of(opened, sources, gone=is_gone(context, package))


def _unread(relation: Extends, plan: PackPlan) -> Mapping[str, Omission]:
    """The files that seem to be new, where not one of them can be read: there is nothing to continue with."""
    unread: dict[str, Omission] = {}
    for stored in (*relation.new, *relation.changed):
        file = plan.files[stored]
        try:
            os.close(os.open(long_path(file.path), READ_FLAGS))
        except OSError as error:
            unread[stored] = Omission(file.name, "unreadable", error.strerror or type(error).__name__)
        else:
            return {}
    return unread


# -- what of it can be relied on, before a person is told that the folder is archived, and deletes it --------------


@dataclass
class ChainCheck:
    """What was found of the packages of a chain."""

    #: Those of which no copy can be relied on.
    lost: list[PackageId] = field(default_factory=list)
    #: Copies in a store that were made of packages which lay in an adopted folder alone.
    made: list[Copy] = field(default_factory=list)


def check_chain(context: Context, relation: Same | Extends, stores: Sequence[str], listener: Listener) -> ChainCheck:
    """Which packages of a chain can be relied on.

    Where everything in the folder is archived, its owner may delete it next: of every package that holds a part of it a
    copy is read whole, just now.

    Where the folder has grown, the whole chain would be read again each time that it grows. There a copy is relied on
    that the catalogue has as present and proven (every byte of it was hashed once and found right, and nothing else was
    found since) and whose tag manifest is where it should be, or whose store does not answer now. What has happened to
    the payload of such a copy since its proof is found by the next scrub, or by archiving the folder once more. Only of
    a package without such a copy one is read.

    An adopted folder is no copy here, for it may be the very folder that is deleted: a package that lies nowhere else
    is copied into a store. A package that holds no part of the folder is needed for nothing; where it has no proven
    copy, nothing is built on it.
    """
    found = ChainCheck()
    for package in relation.chain:
        is_needed = package in relation.holders
        must_be_read = is_needed and isinstance(relation, Same)
        if not must_be_read and _is_proven_there(context, package):
            continue
        if is_needed and sound_copy(context, package, listener) is not None:
            continue
        made = _full_copy(context, package, stores, listener) if is_needed else []
        found.made += made
        if not made:
            found.lost.append(package)
    return found


def is_gone(context: Context, package: PackageId) -> bool:
    """Whether no copy of a package counts any more, by what the catalogue knows."""
    return not any(replica.state == PRESENT for replica in context.catalogue.replicas(package))


def sound_copy(context: Context, package: PackageId, listener: Listener) -> ReplicaState | None:
    """A copy in a store that was read whole just now; None where there is none.

    What is found is stated where it is news: damage of a copy that counted, and the proof of one that did not.
    """
    copies = PackageCopies(context, package)
    for replica in _in_stores(copies):
        try:
            report = copies.check(replica, listener=listener)
        except (Unreachable, NotFound):  # its store is away, or was taken out of the node
            continue
        if report.ok:
            # Where it is not as it was, somebody found or did something meanwhile.
            if not replica.proven and replica in context.catalogue.replicas(package):
                copies.state_proven(replica, report)
            return replica
        if replica.state == PRESENT:
            copies.note_damage(replica, report)
    return None


def _in_stores(copies: PackageCopies) -> list[ReplicaState]:
    """Copies in stores that were not given up, the best first."""
    return [one for one in copies.in_order() if not one.adopted and one.state != DROPPED]


def _is_proven_there(context: Context, package: PackageId) -> bool:
    """Whether a copy in a store counts and is proven, and nothing speaks against it that one small file tells."""
    copies = PackageCopies(context, package)
    proven = [one for one in _in_stores(copies) if one.proven and one.store in context.stores.names]
    return any(not context.stores.reachable(one.store) or copies.lies_at(one.store, one.path) for one in proven)


def _full_copy(context: Context, package: PackageId, stores: Sequence[str], listener: Listener) -> list[Copy]:
    """Copy a package that was adopted where it lies into a store: the same package, not another one of its files."""
    if any(replica.adopted and replica.state == PRESENT for replica in context.catalogue.replicas(package)):
        for name in stores:
            made, _ = PackageCopies(context, package).replicate([name], listener=listener)
            if made:
                return made
    return []
