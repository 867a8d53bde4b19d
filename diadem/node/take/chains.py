"""Chains of packages: one session archived in several steps, and what of it is valid now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from diadem.model.display import Display
from diadem.model.manifest import FileEntry, PackageId
from diadem.package.examine import TagFiles


@dataclass(frozen=True, slots=True)
class ArchivedPackage:
    """A package as a chain needs it.

    Attributes
    ----------
    id : PackageId
        Its id.
    payload_id : str
        64 hex digits.
    files : sequence of FileEntry
        Its payload.
    continues : PackageId or None
        The package to which it adds.
    sources : frozenset of str
        Folders that it was archived from, as the `ingest` statements name them.
    gone : bool
        Whether it is known that no copy of it is left.
    """

    id: PackageId
    payload_id: str
    files: Sequence[FileEntry] = field(repr=False)
    continues: PackageId | None = None
    sources: frozenset[str] = frozenset()
    gone: bool = False

    @classmethod
    def of(cls, opened: TagFiles, sources: Iterable[str] = (), *, gone: bool = False) -> ArchivedPackage:
        """From the tag files of a package."""
        files = opened.manifest.payload
        return cls(opened.id, opened.payload_id, files, opened.continues, frozenset(sources), gone)


class KnownPackages(Protocol):
    """What an archive knows of the packages in it."""

    def get(self, package: PackageId) -> ArchivedPackage | None:
        """A package, or None where its tag files cannot be had."""

    def continuations(self, package: PackageId) -> Iterable[PackageId]:
        """Packages that add to this one directly, in the order in which they were archived."""

    def candidates(self, files: Mapping[bytes, tuple[int, int]], source: str) -> Iterable[PackageId]:
        """Packages that may hold some of these files (original path to size and mtime), or were archived from here.

        A guess: one too many costs a comparison of names, one too few a package that repeats an earlier one.
        """


@dataclass(frozen=True, slots=True)
class EffectiveFile(Display):
    """A file of a chain, in its newest version: its entry, and the package that holds it."""

    entry: FileEntry
    package: PackageId

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "path": self.entry.name,
            "bytes": self.entry.size,
            "sha256": self.entry.sha256,
            "package": str(self.package),
        }


def merge_chain(packages: Iterable[ArchivedPackage]) -> list[EffectiveFile]:
    """The files of a session that was archived in several steps, each in its newest version.

    Parameters
    ----------
    packages : iterable of ArchivedPackage
        The packages of one chain, in any order; of two that add to the same package the later in this order is newer.

    Returns
    -------
    list of EffectiveFile
        By the bytes of the original path, which is what identifies a file.
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


def chain_of(known: KnownPackages, package: PackageId) -> list[ArchivedPackage]:
    """All packages of the chain to which a package belongs, the first first; empty where it cannot be read."""
    first = _first(known, package)
    if first is None:
        return []
    chain: dict[PackageId, ArchivedPackage] = {}
    pending = [first]
    while pending:
        current = pending.pop(0)
        if current.id not in chain:
            chain[current.id] = current
            following = (known.get(one) for one in known.continuations(current.id))
            pending.extend(one for one in following if one is not None)
    return in_order(chain.values())


def _first(known: KnownPackages, package: PackageId) -> ArchivedPackage | None:
    """The package with which a chain begins, as far as it is known."""
    first = known.get(package)
    seen = {package}
    while first is not None and first.continues is not None and first.continues not in seen:
        seen.add(first.continues)
        before = known.get(first.continues)
        if before is None:
            break
        first = before
    return first
