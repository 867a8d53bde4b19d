"""The packages of one session: archived in several steps, given back and given away as one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from diadem.errors import DiademError, NotFound
from diadem.model.display import Display
from diadem.model.manifest import PackageId
from diadem.node.context import Context
from diadem.node.keep.copies import PackageCopies
from diadem.node.take.chains import ArchivedPackage, EffectiveFile, chain_of, merge_chain
from diadem.package.examine import TagFiles, open_tag_files


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
    """The packages of a session.

    Attributes
    ----------
    packages : sequence of ArchivedPackage
        A package after the one that it continues.
    lacking : sequence of Lacking
        Those that are named, and gone or never were here.
    """

    packages: Sequence[ArchivedPackage]
    lacking: Sequence[Lacking] = ()

    def files(self) -> list[EffectiveFile]:
        """Every file in its newest version, the newest packages first."""
        age = {package.id: -number for number, package in enumerate(self.packages)}
        return sorted(merge_chain(self.packages), key=lambda file: age[file.package])


@dataclass(frozen=True, slots=True)
class _Known:
    """The packages of a node, as a chain is followed."""

    context: Context

    def get(self, package: PackageId) -> ArchivedPackage | None:
        opened = opened_of(self.context, package)
        return None if opened is None else ArchivedPackage.of(opened)

    def continuations(self, package: PackageId) -> Iterable[PackageId]:
        try:
            return [PackageId(found) for found in self.context.catalogue.continuations(package)]
        except NotFound:
            return []

    def candidates(self, files: Mapping[bytes, Any], source: str) -> Iterable[PackageId]:  # noqa: ARG002
        return ()


def opened_of(context: Context, package: str) -> TagFiles | None:
    """The tag files of a package: as the catalogue keeps them, else of a copy; None where neither has them."""
    if not context.catalogue.has(package):
        return None
    copies = PackageCopies(context, package)
    if (opened := copies.kept_tag_files()) is not None:
        return opened
    try:
        return open_tag_files(copies.best()[0].bundle, expected_id=package)
    except DiademError:
        return None


def session_of(context: Context, package: str) -> Session:
    """The whole session to which a package belongs.

    Raises
    ------
    NotFound
        The package itself is not here, or was deleted.
    """
    asked = PackageId(package)
    copies = PackageCopies(context, asked)
    copies.require_kept()
    chain = chain_of(_Known(context), asked)
    if not chain:
        copies.best()  # says why
        raise NotFound("no copy of the package can be read", where=str(asked), next="diadem status")
    lacking = [
        Lacking(one.id, reason) for one in chain if (reason := PackageCopies(context, one.id).deleted()) is not None
    ]
    lost = {one.id for one in lacking}
    known = {one.id for one in chain}
    never = [one.continues for one in chain if one.continues is not None and one.continues not in known]
    lacking += [
        Lacking(one, PackageCopies(context, one).deleted() or "this node does not have it")
        for one in dict.fromkeys(never)
    ]
    return Session([one for one in chain if one.id not in lost], lacking)
