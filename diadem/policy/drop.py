"""Whether a copy may be given up. The only copy is never lost: what is not proven, in full and now, does not count.

A copy is dropped only when another own copy, on another place, was just read whole. Of the last two both must have been
read. As many copies stay as the policy wants; below one proven copy nothing ever leads.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from diadem.model.display import Display
from diadem.model.policy import Policy
from diadem.model.replicas import DROPPED, PRESENT, READING_PROOFS, PackageState, ReplicaState, StoreState
from diadem.model.times import time_text
from diadem.policy.commands import short

#: A reading older than this says nothing about the bytes of today. A large package takes hours to read twice.
FRESH: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class FreshProof(Display):
    """A copy that was read just now."""

    store: str
    #: ``leaves`` or ``full``; of another level it proves nothing.
    level: str
    #: When the reading ended, UTC.
    at: datetime
    #: Whether every byte was right.
    ok: bool = True
    #: Whether only a part was read: then it proves nothing.
    sampled: bool = False

    def to_dict(self) -> dict[str, str]:
        """Store, level and time, as a `drop` statement names them."""
        return {"store": self.store, "level": self.level, "at": time_text(self.at)}


@dataclass(frozen=True, slots=True)
class DropDecision(Display):
    """Whether a copy or a package may go."""

    allowed: bool
    #: Why not, each thing that stands against it; or on what the permission rests.
    reasons: tuple[str, ...]
    #: What would make it possible.
    next: str = ""

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute."""
        return {"allowed": self.allowed, "reasons": list(self.reasons), "next": self.next}


def may_drop(
    policy: Policy,
    package: PackageState,
    store: str,
    now: datetime,
    fresh_proofs: Collection[FreshProof],
    *,
    stores: Sequence[StoreState],
    reason: str,
    below_policy: bool = False,
    window: timedelta = FRESH,
) -> DropDecision:
    """Whether the copy in `store` may be given up: all that stands against it, not only the first.

    `package` is as it is now, all its copies with it, and `fresh_proofs` what was read in this run; a copy in none of
    `stores`, those of the node, is no own copy. `reason` stands in the log. With `below_policy` a person said that
    there may be fewer copies than the policy wants; one proven copy always stays. `window` is how old a reading may be.
    """
    known = {item.name: item for item in stores}
    # An adopted folder is a person's own, and anybody may edit it.
    own = [copy for copy in package.replicas if copy.state != DROPPED and not copy.adopted and copy.store in known]
    itself = next((copy for copy in own if copy.store == store), None)
    against: list[_Objection] = []
    if package.tombstoned:
        against.append(("the package was deleted", ""))
    elif itself is None:
        against.append((f"there is no copy in '{store}' that could be dropped", "See: diadem status"))
    against += _no_reason(reason)
    if against or itself is None:
        return _decided(against)
    others = [copy for copy in own if copy.store != store]
    read = {copy.store for copy in own if _is_read(copy.store, fresh_proofs, now - window, now)}
    proven = [
        copy.store
        for copy in others
        if copy.state == PRESENT and copy.store in read and _place(copy, known) != _place(itself, known)
    ]
    if not proven:
        against.append(_unproven([copy.store for copy in others], read))
    # Of the last two copies both must have been read: two that agree, not one that is taken on trust.
    if itself.state == PRESENT and sum(copy.state == PRESENT for copy in own) <= 2 and store not in read:
        text = "it is one of the last two copies, and was not itself read and found right just now"
        against.append((text, f"See why: diadem scrub {store}"))
    if not below_policy:
        refuted = {proof.store for proof in fresh_proofs if not proof.ok}
        against += _too_few(policy, [copy for copy in package.replicas if copy.store not in refuted], store, known)
    return _decided(against, f"read whole just now, and right: {', '.join(proven)}")


_ANOTHER: Final = "Make another copy first: diadem store add PLACE, then diadem repair"
#: What stands against a drop, and what would help.
_Objection = tuple[str, str]


def _decided(against: Sequence[_Objection], because: str = "") -> DropDecision:
    if against:
        return DropDecision(False, tuple(text for text, _ in against), against[0][1])
    return DropDecision(True, (because,))


def _no_reason(reason: str) -> Iterator[_Objection]:
    if not reason.strip():
        yield "no reason is given", "Give one: --reason 'two copies elsewhere, disk full'"


def _is_read(store: str, proofs: Collection[FreshProof], since: datetime, now: datetime) -> bool:
    """Whether a copy was read whole within the window, and no reading within it says that it is damaged."""
    recent = [proof for proof in proofs if proof.store == store and since <= proof.at <= now]
    whole = any(proof.level in READING_PROOFS and not proof.sampled for proof in recent)
    return whole and all(proof.ok for proof in recent)


def _place(copy: ReplicaState, known: Mapping[str, StoreState]) -> str | None:
    store = known.get(copy.store)
    return copy.place or (store.place if store else None)


def _unproven(others: Sequence[str], read: Collection[str]) -> _Objection:
    """No other copy was just read whole, on another place."""
    if not others:
        return "it is the only copy", _ANOTHER
    if any(name in read for name in others):
        where = "is, or may be, on the same disk or share"
        return (
            f"the copy in {', '.join(others)} {where}",
            "Make a copy on another disk first: diadem store add PLACE",
        )
    commands = " and ".join(f"diadem scrub {name}" for name in others)
    return f"no other copy ({', '.join(others)}) was just read whole and found right", f"See why: {commands}"


def _too_few(
    policy: Policy, copies: Sequence[ReplicaState], store: str, known: Mapping[str, StoreState]
) -> Iterator[_Objection]:
    """The policy's copies stay, also when the retention is over: then the package may be deleted, not neglected."""
    now: set[tuple[str, str | None]] = set()
    then: set[tuple[str, str | None]] = set()
    for copy in copies:
        counts = policy.copies.adopted_counts if copy.adopted else copy.store in known
        if counts and copy.proven:
            spot = known[copy.store].kind if copy.store in known else "disk", _place(copy, known)
            now.add(spot)
            if copy.adopted or copy.store != store:
                then.add(spot)

    def places(spots: set[tuple[str, str | None]], kind: str = "") -> int:
        return len({place for its_kind, place in spots if kind in ("", its_kind)})

    want, left = policy.copies.minimum, places(then)
    if left < want and left < places(now):
        yield f"{left} proven {'copy' if left == 1 else 'copies'} would remain; the policy wants {want}", _ANOTHER
    for kind, least in policy.copies.kinds.items():
        remain = places(then, kind)
        if remain < least and remain < places(now, kind):
            advice = f"Make another copy of that kind first: diadem store add PLACE --kind {kind}"
            yield f"{remain} of {least} copies on a store of kind {kind} would remain", advice


def may_delete(policy: Policy, package: PackageState, now: datetime, *, reason: str) -> DropDecision:
    """Whether a package may be deleted with all its copies, a tombstone remaining: its retention is over."""
    against = list(_no_reason(reason))
    if package.tombstoned:
        against.append(("it was deleted already", f"See: diadem custody {short(package.id)}"))
    elif package.ingested_at is None:
        against.append(("the log does not say when it was archived, so its retention cannot be over", ""))
    elif (ends := policy.retention.ends(package.ingested_at)) > now:
        years = policy.retention.years
        text = f"the policy keeps it until {ends.date().isoformat()}: {years} years from the day of archiving"
        against.append((text, "Change [retention] in policy.toml if the group agrees."))
    return _decided(against, f"its {policy.retention.years} years of retention are over")
