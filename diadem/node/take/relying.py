"""What of a chain of packages can be relied on, before a person is told that a folder is archived and deletes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from diadem.errors import NotFound, Unreachable
from diadem.model.manifest import PackageId
from diadem.model.ports import Listener
from diadem.model.replicas import DROPPED, PRESENT, ReplicaState
from diadem.node.context import Context
from diadem.node.keep.copies import Copy, PackageCopies
from diadem.node.take.continuation import Extends, Same


@dataclass
class Relied:
    """What was found of the packages of a chain.

    Attributes
    ----------
    lost : list of PackageId
        Those of which no copy can be relied on.
    made : list of Copy
        Copies in a store that were made of packages which lay in an adopted folder alone.
    """

    lost: list[PackageId] = field(default_factory=list)
    made: list[Copy] = field(default_factory=list)


def relied_on(context: Context, relation: Same | Extends, stores: Sequence[str], listener: Listener) -> Relied:
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

    Parameters
    ----------
    context : Context
        The node.
    relation : Same or Extends
        How the folder relates to the chain.
    stores : sequence of str
        Where to copy to, in the order in which they are tried.
    listener : callable
        Told of progress.
    """
    found = Relied()
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
