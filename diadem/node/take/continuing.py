"""Recognising a folder that was archived before: the same, or more than then, by what the catalogue knows."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from diadem.catalogue.facts import file_trace, source_trace
from diadem.errors import DiademError, NotFound
from diadem.model.manifest import PackageId
from diadem.model.ports import Listener
from diadem.node.context import Context
from diadem.node.keep.copies import PackageCopies
from diadem.node.quality.amend import effective
from diadem.node.take.chains import ArchivedPackage
from diadem.node.take.continuation import Extends, Relation, Same, Unrelated, inheriting, relate
from diadem.node.take.relying import is_gone
from diadem.pack.plan import PackPlan
from diadem.store.copy import Copier
from diadem.store.source import Omission
from diadem.store.system import READ_FLAGS, long_path

#: Packages that are compared with a folder, name by name.
_CANDIDATES = 20


@dataclass(frozen=True, slots=True)
class CataloguePackages:
    """The packages of a node, as `diadem.node.take.continuation` asks for them."""

    context: Context

    def get(self, package: PackageId) -> ArchivedPackage | None:
        """A package, from the tag files that the catalogue keeps."""
        opened = PackageCopies(self.context, package).kept_tag_files()
        if opened is None:
            return None
        said = (entry.statement for entry in self.context.ledger.of_subject(package.hex))
        sources = [str(one.predicate.get("source", "")) for one in said if one.kind == "ingest"]
        return ArchivedPackage.of(opened, sources, gone=is_gone(self.context, package))

    def continuations(self, package: PackageId) -> Iterable[PackageId]:
        """Packages that add to this one."""
        try:
            return [PackageId(found) for found in self.context.catalogue.continuations(package)]
        except NotFound:
            return []

    def candidates(self, files: Mapping[bytes, tuple[int, int]], source: str) -> Iterable[PackageId]:
        """Packages that leave a trace of one of these files, or of the source.

        Names and sizes recur (`scan 1.tif`, 4 MB, in every session), times hardly: a copy that lost its times is
        recognised by names and sizes alone, among the newest few packages only.
        """
        catalogue = self.context.catalogue
        exact = [file_trace(name, size, at) for name, (size, at) in files.items()]
        found = catalogue.by_traces([source_trace(source), *exact], limit=_CANDIDATES)
        if not found:
            timeless = [file_trace(name, size) for name, (size, _) in files.items()]
            found = self._possible(catalogue.by_traces(timeless, limit=_CANDIDATES), files)
        return [PackageId(package) for package in found]

    def _possible(self, found: Sequence[str], files: Mapping[bytes, tuple[int, int]]) -> list[str]:
        """Of packages from elsewhere those that the folder may extend, by their own files: all of them must be there.

        What a package has that others continue may have changed since; it is kept, and its chain is looked at.
        """
        continued = self.context.catalogue.continued(found) if found else frozenset()
        return [one for one in found if one in continued or self._is_within(one, files)]

    def _is_within(self, package: str, files: Mapping[bytes, tuple[int, int]]) -> bool:
        """Whether all files of a package are in a folder, by names and sizes; True where that is not known."""
        opened = PackageCopies(self.context, package).kept_tag_files()
        return opened is None or all(
            files.get(entry.original_name, (-1,))[0] == entry.size for entry in opened.manifest.payload
        )


def related(context: Context, plan: PackPlan, source: Path, listener: Listener) -> Relation:
    """How a folder relates to what this node has archived."""
    if not context.catalogue.count():
        return Unrelated()
    with Copier() as copier:
        relation = relate(
            plan,
            CataloguePackages(context),
            source=str(source),
            readers=tuple(context.tools.readers),
            copier=copier,
            elsewhere=context.workers.digests if context.workers is not None else None,
            listener=listener,
        )
    if isinstance(relation, Extends) and (unread := _unread(relation, plan)):
        return Same(list(relation.holders)[-1], relation.chain, relation.holders, relation.gone, unread)
    return relation


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


def continuing_plan(context: Context, relation: Extends) -> PackPlan:
    """The plan of a continuation, with what holds of the package that it continues where it says nothing else."""
    try:
        package, _ = PackageCopies(context, relation.predecessor).best()
        return inheriting(relation.plan, effective(context, str(relation.predecessor), package.record))
    except DiademError:
        return relation.plan
