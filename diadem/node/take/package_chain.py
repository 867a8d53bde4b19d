"""Chains of packages: one session archived in several steps, and what of it is valid now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from diadem.errors import DiademError, NotFound
from diadem.model.display import Display
from diadem.model.manifest import FileEntry, PackageId
from diadem.node.context import Context
from diadem.node.keep.copies import PackageCopies
from diadem.package.examine import TagFiles, open_tag_files


@dataclass(frozen=True, slots=True)
class ArchivedPackage:
    """A package as a chain needs it."""

    id: PackageId
    payload_id: str
    files: Sequence[FileEntry] = field(repr=False)
    #: The package to which it adds.
    continues: PackageId | None = None
    #: Folders that it was archived from, as the `ingest` statements name them.
    sources: frozenset[str] = frozenset()
    #: Whether it is known that no copy of it is left.
    gone: bool = False

    @classmethod
    def of(cls, opened: TagFiles, sources: Iterable[str] = (), *, gone: bool = False) -> ArchivedPackage:
        """From the tag files of a package."""
        files = opened.manifest.payload
        return cls(opened.id, opened.payload_id, files, opened.continues, frozenset(sources), gone)


@dataclass(frozen=True, slots=True)
class EffectiveFile:
    """A file of a chain, in its newest version: its entry, and the package that holds it."""

    entry: FileEntry
    package: PackageId


def merge_chain(packages: Iterable[ArchivedPackage]) -> list[EffectiveFile]:
    """The files of a session that was archived in several steps, each in its newest version.

    By the bytes of the original path, which is what identifies a file.
    Of two packages that add to the same one the later in the given order is newer.
    """
    newest: dict[bytes, EffectiveFile] = {}
    for package in in_order(packages):
        newest.update((entry.original_name, EffectiveFile(entry, package.id)) for entry in package.files)
    return [newest[name] for name in sorted(newest)]


def in_order(packages: Iterable[ArchivedPackage]) -> list[ArchivedPackage]:
    """A package after the one to which it adds; else as given. One whose predecessor is not there begins a chain."""
    given = list({package.id: package for package in packages}.values())
    known = {package.id for package in given}
    later: dict[PackageId | None, list[ArchivedPackage]] = {}
    for package in given:
        later.setdefault(package.continues if package.continues in known else None, []).append(package)
    ordered: list[ArchivedPackage] = []
    pending = list(reversed(later.get(None, [])))
    while pending:
        ordered.append(pending.pop())
        pending.extend(reversed(later.get(ordered[-1].id, [])))
    return ordered


def chain_of(
    package: PackageId,
    get: Callable[[PackageId], ArchivedPackage | None],
    continuations: Callable[[PackageId], Iterable[PackageId]],
) -> list[ArchivedPackage]:
    """All packages of the chain to which a package belongs, the first first; empty where it cannot be read.

    `get` gives a package, or None where its tag files cannot be had; `continuations` the packages that add to one
    directly, in the order in which they were archived.
    """
    first = get(package)
    seen = {package}
    while first is not None and first.continues is not None and first.continues not in seen:
        seen.add(first.continues)
        before = get(first.continues)
        if before is None:
            break
        first = before
    if first is None:
        return []
    chain: dict[PackageId, ArchivedPackage] = {}
    pending = [first]
    while pending:
        current = pending.pop(0)
        if current.id not in chain:
            chain[current.id] = current
            following = (get(one) for one in continuations(current.id))
            pending.extend(one for one in following if one is not None)
    return in_order(chain.values())


# -- the packages of a node ----------------------------------------------------------------------------------------


def continuations(context: Context, package: PackageId) -> list[PackageId]:
    """Packages of the node that add to this one."""
    try:
        return [PackageId(found) for found in context.catalogue.continuations(package)]
    except NotFound:
        return []


@dataclass(frozen=True, slots=True)
class Lacking(Display):
    """A package of a session that cannot be given: its id, and why."""

    id: PackageId
    reason: str

    def to_dict(self) -> dict[str, str]:
        """A JSON object."""
        return {"package": str(self.id), "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Session:
    """The packages that are one session, or one of them: each after the one that it continues.

    `lacking` are those that are gone, or never were here; `others` counts those that were not asked for.
    """

    packages: Sequence[ArchivedPackage]
    lacking: Sequence[Lacking] = ()
    others: int = 0

    @classmethod
    def of(cls, chain: Sequence[ArchivedPackage], gone: Callable[[PackageId], str | None], *, absent: str) -> Session:
        """A whole session; `gone` says why a package cannot be given, None where it can, or where nothing is known.

        Of what the chain continues and has not, `absent` is said where nothing is known.
        """
        known = {one.id for one in chain}
        before = [one.continues for one in chain if one.continues is not None and one.continues not in known]
        reasons = {one.id: gone(one.id) for one in chain} | {one: gone(one) or absent for one in before}
        lacking = [Lacking(one, reason) for one, reason in reasons.items() if reason is not None]
        return cls([one for one in chain if reasons[one.id] is None], lacking)

    def alone(self, package: PackageId) -> Session:
        """One package of it."""
        packages = [one for one in self.packages if one.id == package]
        return Session(packages, others=len(self.packages) - len(packages))

    def files(self) -> list[EffectiveFile]:
        """Every file in its newest version, the newest packages first."""
        age = {package.id: -number for number, package in enumerate(self.packages)}
        return sorted(merge_chain(self.packages), key=lambda file: age[file.package])


def session_of(context: Context, package: str, *, chain: bool) -> Session:
    """The whole session to which a package belongs, or without `chain` the package alone.

    Raises `NotFound`: the package is not here, or was deleted.
    """
    asked = PackageId(package)
    PackageCopies(context, asked).require_kept()
    found = chain_of(asked, partial(_readable, context), partial(continuations, context))
    if not found:
        PackageCopies(context, asked).best()  # says why
        raise NotFound("no copy of the package can be read", where=str(asked), next="diadem status")
    whole = Session.of(found, lambda one: PackageCopies(context, one).deleted(), absent="this node does not have it")
    return whole if chain else whole.alone(asked)


def _readable(context: Context, package: PackageId) -> ArchivedPackage | None:
    """A package by its tag files: as the catalogue keeps them, else of a copy; None where neither has them."""
    if not context.catalogue.has(package):
        return None
    opened = PackageCopies(context, package).kept_tag_files()
    if opened is None:
        try:
            opened = open_tag_files(PackageCopies(context, package).best()[0].bundle, expected_id=package)
        except DiademError:
            return None
    return ArchivedPackage.of(opened)
