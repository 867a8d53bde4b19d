"""The one place that decides who may what with a package, and says why. Pure: it is told everything it needs.

Everything is refused that nothing allows: the owner may all; colleagues what the policy's default says; anybody else
what a grant says that the owner gave, that names their node and them, that is in force, and to which the package
belongs. A refusal names the grant that came closest.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from diadem.model.access import (
    DIRECT_ONLY,
    EVERYBODY,
    PACKAGE,
    PEER,
    PENDING,
    RETIRED,
    USER,
    Asker,
    Decision,
    Grant,
    Revocation,
    Right,
)
from diadem.model.ownership import Ownership

#: What colleagues may where the policy opens packages to the node.
_TO_COLLEAGUES = frozenset({Right.LIST, Right.READ})
_DEEDS = {Right.LIST: "find", Right.READ: "read", Right.ASSESS: "assess"}


#: Words of a name, as they are compared.
Name = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GrantFacts:
    """A grant whose signature was checked, and what was said of it since."""

    grant: Grant
    #: The one that took it back, by the grantor or who followed them.
    revocation: Revocation | None = None
    #: What the owner calls the project or the sample of it.
    names: frozenset[Name] = frozenset()


@dataclass(frozen=True, slots=True)
class PackageFacts:
    """A package, as far as access depends on it."""

    package: str
    #: Id of the node that is asked.
    node: str
    #: Whether the node has or had it; whether it was deleted on purpose.
    known: bool
    deleted: bool = False
    ownership: Ownership = field(default_factory=Ownership)
    #: Id of the statement that names the owner.
    owned_by: str = ""
    #: By scope (project, sample), what the package as a whole belongs to: by the sealed record, as its owner corrected
    #: it; and the same of some of its datasets only.
    whole: Mapping[str, Collection[Name]] = field(default_factory=dict)
    partly: Mapping[str, Collection[Name]] = field(default_factory=dict)
    #: The policy's access: ``private`` or ``node``.
    default: str = "private"
    #: Those that may concern it.
    grants: tuple[GrantFacts, ...] = ()


def decide(asker: Asker, right: Right, facts: PackageFacts, now: datetime) -> Decision:
    """Whether somebody may do something with a package, and why, or why not; grants begin and end by `now`."""
    if not facts.known:
        return Decision(False, ("This node has no such package.",))
    if facts.deleted:
        return Decision(False, ("The package was deleted; what was said of it remains (its tombstone).",))
    reasons: tuple[str, ...] = ("Nobody owns the package, so nobody can grant it.",)
    if holders := facts.ownership.holders:
        said = f" [{facts.owned_by[:12]}]" if facts.owned_by else ""
        later = "".join(f", then of {one.name}" for one in holders[1:])
        reasons = (f"The package belongs to {holders[0].name}{said}{later}.",)
    owner = facts.ownership.now
    at_home = asker.kind == USER and asker.node == facts.node
    if at_home and owner and asker.address == owner:
        return Decision(True, (*reasons, f"{asker} is its owner, who may {_DEEDS[right]} it."))
    if asker.kind == RETIRED:
        return Decision(False, (*reasons, f"{asker} has retired from this node (key)."))
    if asker.kind == PENDING:
        return Decision(False, (*reasons, f"The key of {asker} was not confirmed yet (peer confirm)."))
    if at_home and asker.guest:
        reasons = (*reasons, f"{asker} is a guest here, who needs a grant for everything.")
    elif at_home:
        told, opened = _by_default(right, facts)
        reasons = (*reasons, told)
        if opened:
            return Decision(True, reasons)
    elif asker.kind != PEER or asker.node == facts.node:
        return Decision(False, (*reasons, f"{asker} is neither a user of this node nor a node that it knows."))
    return _by_grants(asker, right, facts, now, reasons)


def _by_default(right: Right, facts: PackageFacts) -> tuple[str, bool]:
    """What the policy lets colleagues do."""
    if facts.default != "node":
        return "Packages are private (access.default of the policy).", False
    if right in _TO_COLLEAGUES:
        return "Every user of this node may find and read packages (access.default of the policy).", True
    return "Every user here may find and read packages (access.default of the policy), but not assess them.", False


def _by_grants(asker: Asker, right: Right, facts: PackageFacts, now: datetime, reasons: tuple[str, ...]) -> Decision:
    best, misses = None, list[tuple[int, str, Grant]]()
    for given in sorted(facts.grants, key=lambda one: one.grant.place):
        unmet = ((met, fault) for met, fault in enumerate(_conditions(given, asker, right, facts, now)) if fault)
        met, fault = next(unmet, (0, ""))  # the first that it does not meet
        if fault:
            why = f"A grant to {given.grant.to} exists [grant {given.grant.id[:12]}], but it {fault}."
            misses.append((met, why, given.grant))
        elif best is None or len(given.grant.require) < len(best.grant.require):
            best = given  # of several the one that demands least
    if best is not None:
        return _granted(best.grant, asker, right, reasons)
    misses = [one for one in misses if one[0] or one[2].to == asker.address]  # the others are of others altogether
    if not misses:
        return Decision(False, (*reasons, f"No grant lets {asker} {_DEEDS[right]} it."))
    _, why, nearest = max(misses, key=lambda one: (one[0], one[2].place))
    return Decision(False, (*reasons, f"No grant lets {asker} {_DEEDS[right]} it. {why}"), nearest)


def _granted(grant: Grant, asker: Asker, right: Right, reasons: tuple[str, ...]) -> Decision:
    deeds = " and ".join(_DEEDS[one] for one in Right if one in grant.rights)
    what = "it" if grant.scope == PACKAGE else f"what belongs to the {grant.scope} {grant.label}".rstrip()
    until = f"until {_day(grant.expires)}" if grant.expires else "until it is revoked"
    told = [*reasons, f"{grant.by} allows {grant.to} to {deeds} {what} {until} [grant {grant.id[:12]}]."]
    if right not in grant.rights:
        told.append("Whoever may read or assess a package may also find it.")
    if DIRECT_ONLY in grant.require:
        told.append("Its bytes may go directly to the node of the grantee only, through no hub.")
    if grant.user == EVERYBODY:
        told.append(f"{asker} belongs to that node.")
    return Decision(True, tuple(told), grant, tuple(sorted(grant.require)))


def holds(given: GrantFacts, asker: Asker, right: Right, node: str, now: datetime) -> bool:
    """Whether a grant is in force for somebody at the node of this id, whatever packages it opens."""
    if asker.kind not in (USER, PEER) or (asker.kind == USER) != (asker.node == node):
        return False
    return not any((*_of_grantee(given.grant, asker), *_in_force(given, right, now)))


def opens(given: GrantFacts, facts: PackageFacts) -> bool:
    """Whether a package is one of those that a grant is of, in force or not."""
    return facts.ownership.speaks(given.grant.by, given.grant.place) and not _membership(given, facts)


def _conditions(given: GrantFacts, asker: Asker, right: Right, facts: PackageFacts, now: datetime) -> Iterator[str]:
    """Each condition of a grant, the most telling last; "" where it is met."""
    grant = given.grant
    yield from _of_grantee(grant, asker)
    yield "" if facts.ownership.speaks(grant.by, grant.place) else f"is by {grant.by}, who did not own the package then"
    yield _membership(given, facts)
    yield from _in_force(given, right, now)


def _of_grantee(grant: Grant, asker: Asker) -> Iterator[str]:
    if grant.recipient == asker.node:
        yield ""
    elif grant.recipient:
        yield f"is for the node {grant.recipient[:12]}…, and {asker} belongs to the node {asker.node[:12]}…"
    else:
        yield "names no node by its key, and so is for nobody"
    yield "" if grant.user in (EVERYBODY, asker.user) else f"is not for {asker}"


def _in_force(given: GrantFacts, right: Right, now: datetime) -> Iterator[str]:
    grant = given.grant
    yield "" if right.within(grant.rights) else f"does not say that they may {_DEEDS[right]} it"
    began = grant.not_before is None or grant.not_before <= now
    yield "" if began or grant.not_before is None else f"begins on {_day(grant.not_before)}"
    ended = grant.expires is not None and grant.expires <= now
    yield f"ended on {_day(grant.expires)}" if ended and grant.expires is not None else ""
    taken = given.revocation
    when = f" on {_day(taken.time)}" if taken and taken.time else ""
    yield f"was revoked by {taken.by}{when} [revocation {taken.id[:12]}]" if taken else ""


def _membership(given: GrantFacts, facts: PackageFacts) -> str:
    """Whether the package belongs to what was granted."""
    grant = given.grant
    if grant.scope == PACKAGE:
        return "" if facts.package in grant.subjects else "is for another package"
    if given.names.intersection(facts.whole.get(grant.scope, ())):
        return ""
    label = grant.label or grant.subjects[0]
    if given.names.intersection(facts.partly.get(grant.scope, ())):
        return f"is for the {grant.scope} {label}, to which only some datasets of the package belong"
    return f"is for the {grant.scope} {label}, to which the package does not belong by its record and its owner's word"


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
