"""Whether a copy may be given up. The only copy is never lost: what is not proven, in full and now, does not count.

A copy is dropped only when another own copy, on another place, was just read whole. Of the last two both must have been
read. As many copies stay as the policy wants; below one proven copy nothing ever leads.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
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
    case = _Drop(policy, package, store, now, fresh_proofs, {item.name: item for item in stores}, window)
    against = [*case.not_there(), *_no_reason(reason)]
    if not against:
        against = [*case.unproven_others(), *case.unread_itself(), *([] if below_policy else case.too_few())]
    if against:
        return DropDecision(False, tuple(text for text, _ in against), against[0][1])
    proven = ", ".join(copy.store for copy in case.fresh_others())
    return DropDecision(True, (f"read whole just now, and right: {proven}",))


_ANOTHER: Final = "Make another copy first: diadem store add PLACE, then diadem repair"
#: What stands against a drop, and what would help.
_Objection = tuple[str, str]


def _no_reason(reason: str) -> Iterator[_Objection]:
    if not reason.strip():
        yield "no reason is given", "Give one: --reason 'two copies elsewhere, disk full'"


@dataclass(frozen=True, slots=True)
class _Drop:
    """One question about one copy."""

    policy: Policy
    package: PackageState
    store: str
    now: datetime
    proofs: Collection[FreshProof]
    stores: dict[str, StoreState]
    window: timedelta

    def not_there(self) -> Iterator[_Objection]:
        """There is no such copy of ours."""
        if self.package.tombstoned:
            yield "the package was deleted", ""
        elif self._itself() is None:
            yield f"there is no copy in '{self.store}' that could be dropped", "See: diadem status"

    def unproven_others(self) -> Iterator[_Objection]:
        """No other copy was just read whole, on another place."""
        if self.fresh_others():
            return
        others = [copy.store for copy in self._own() if copy.store != self.store]
        if not others:
            yield "it is the only copy", _ANOTHER
        elif any(self._is_fresh(name) for name in others):
            where = "is, or may be, on the same disk or share"
            yield (
                f"the copy in {', '.join(others)} {where}",
                "Make a copy on another disk first: diadem store add PLACE",
            )
        else:
            commands = " and ".join(f"diadem scrub {name}" for name in others)
            yield (
                f"no other copy ({', '.join(others)}) was just read whole and found right",
                f"See why: {commands}",
            )

    def unread_itself(self) -> Iterator[_Objection]:
        """Of the last two copies both must have been read: two that agree, not one that is taken on trust."""
        itself = self._itself()
        present = [copy for copy in self._own() if copy.state == PRESENT]
        if itself is not None and itself.state == PRESENT and len(present) <= 2 and not self._is_fresh(self.store):
            yield (
                "it is one of the last two copies, and was not itself read and found right just now",
                (f"See why: diadem scrub {self.store}"),
            )

    def too_few(self) -> Iterator[_Objection]:
        """The policy's copies stay, also when the retention is over: then the package may be deleted, not neglected."""
        now, then = self._counted(without=""), self._counted(without=self.store)
        want, left = self.policy.copies.minimum, len({place for _, place in then})
        if left < want and left < len({place for _, place in now}):
            copies = "copy" if left == 1 else "copies"
            yield f"{left} proven {copies} would remain; the policy wants {want}", _ANOTHER
        for kind, least in self.policy.copies.kinds.items():
            remain = _of_kind(then, kind)
            if remain < least and remain < _of_kind(now, kind):
                advice = f"Make another copy of that kind first: diadem store add PLACE --kind {kind}"
                yield f"{remain} of {least} copies on a store of kind {kind} would remain", advice

    def fresh_others(self) -> list[ReplicaState]:
        """Own copies on another place that were read whole just now and found right."""
        itself = self._itself()
        here = self._place(itself) if itself else None
        return [
            copy
            for copy in self._own()
            if copy.store != self.store
            and copy.state == PRESENT
            and self._is_fresh(copy.store)
            and self._place(copy) != here
        ]

    def _own(self) -> list[ReplicaState]:
        """Copies in stores of this node. An adopted folder is a person's own, and anybody may edit it."""
        copies = self.package.replicas
        return [copy for copy in copies if copy.state != DROPPED and not copy.adopted and copy.store in self.stores]

    def _itself(self) -> ReplicaState | None:
        return next((copy for copy in self._own() if copy.store == self.store), None)

    def _is_fresh(self, store: str) -> bool:
        """Whether a copy was read whole within the window, and no reading within it says that it is damaged."""
        recent = [
            proof for proof in self.proofs if proof.store == store and self.now - self.window <= proof.at <= self.now
        ]
        whole = any(proof.level in READING_PROOFS and not proof.sampled for proof in recent)
        return whole and all(proof.ok for proof in recent)

    def _counted(self, *, without: str) -> set[tuple[str, str | None]]:
        """Kind and place of every copy that the policy counts, one left out."""
        counted = set()
        for copy in self.package.replicas:
            known = self.stores.get(copy.store)
            counts = self.policy.copies.adopted_counts if copy.adopted else known is not None
            if counts and copy.proven and (copy.adopted or copy.store != without) and not self._is_refuted(copy):
                counted.add((known.kind if known else "disk", self._place(copy)))
        return counted

    def _is_refuted(self, copy: ReplicaState) -> bool:
        return any(proof.store == copy.store and not proof.ok for proof in self.proofs)

    def _place(self, copy: ReplicaState) -> str | None:
        known = self.stores.get(copy.store)
        return copy.place or (known.place if known else None)


def _of_kind(spots: set[tuple[str, str | None]], kind: str) -> int:
    return len({place for its_kind, place in spots if its_kind == kind})


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
    if against:
        return DropDecision(False, tuple(text for text, _ in against), against[0][1])
    return DropDecision(True, (f"its {policy.retention.years} years of retention are over",))
