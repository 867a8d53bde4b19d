"""What of a chain of packages can be relied on, before a person is told that a folder is archived and deletes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from diadem.archive.package import Package
from diadem.errors import Unreachable
from diadem.model.ids import PackageId
from diadem.model.ports import Bundle, Listener
from diadem.model.replicas import DROPPED, PRESENT, ReplicaState
from diadem.model.report import Report
from diadem.model.statements import Draft
from diadem.node.context import Context
from diadem.node.continuation import Extends, Same
from diadem.node.placing import Copy, readable_copies, replicate, subject
from diadem.node.scrubbing import check, note_damage


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


def relied_on(context: Context, relation: Same, stores: Sequence[str], listener: Listener) -> Relied:
    """Which packages of a chain can be relied on.

    Everything in the folder is archived, so that its owner may delete it next: of every package that holds a part of it
    a copy is read whole, just now. An adopted folder is no such copy, for it may be the very folder that is deleted: a
    package that lies nowhere else is copied into a store.

    Parameters
    ----------
    context : Context
        The node.
    relation : Same
        How the folder relates to the chain.
    stores : sequence of str
        Where to copy to, in the order in which they are tried.
    listener : callable
        Told of progress.
    """
    found = Relied()
    for package in relation.holders:
        if sound_copy(context, package, listener) is not None:
            continue
        made = _full_copy(context, package, stores, listener)
        found.made += made
        if not made:
            found.lost.append(package)
    return found


def is_gone(context: Context, package: str) -> bool:
    """Whether no copy of a package counts any more, by what the catalogue knows."""
    return not any(replica.state == PRESENT for replica in context.catalogue.replicas(package))


def sound_copy(context: Context, package: str, listener: Listener) -> Package | None:
    """A copy in a store that was read whole just now; None where there is none.

    What is found is stated where it is news: damage of a copy that counted, and the proof of one that did not.
    """
    for replica, bundle in _copies(context, package):
        try:
            report = check(context, package, replica, listener=listener)
        except Unreachable:
            continue
        if report.ok:
            if not replica.proven:
                _state_proven(context, package, replica, report)
            return Package(bundle, readers=tuple(context.tools.readers), extractor=context.tools.extractor)
        if replica.state == PRESENT:
            note_damage(context, package, replica, report)
    return None


def _copies(context: Context, package: str) -> Iterator[tuple[ReplicaState, Bundle]]:
    """Copies in stores that answer and were not given up, those first that count."""
    for replica, bundle in readable_copies(context, package):
        if not replica.adopted and replica.state != DROPPED:
            yield replica, bundle


def _full_copy(context: Context, package: str, stores: Sequence[str], listener: Listener) -> list[Copy]:
    """Copy a package that was adopted where it lies into a store: the same package, not another one of its files."""
    if any(replica.adopted and replica.state == PRESENT for replica in context.catalogue.replicas(package)):
        for name in stores:
            made, _ = replicate(context, package, [name], listener=listener)
            if made:
                return made
    return []


def _state_proven(context: Context, package: str, replica: ReplicaState, report: Report) -> None:
    """Let a copy count that was read whole, unless somebody found or did something else meanwhile."""
    if replica not in context.catalogue.replicas(package):
        return
    draft = Draft(
        "fixity",
        (subject(package),),
        {
            "store": replica.store,
            "store_id": context.settings.store(replica.store).id,
            "level": str(report.level),
            "proven": [package],
            "checked": {"packages": 1, **report.checked},
            "findings": [],
        },
    )
    context.say([draft])
