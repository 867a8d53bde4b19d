"""One pass over all packages: what each store holds, and which packages break which rule.

The pass decides nothing but counts; it is written for 100,000 packages in a few tenths of a second. What a set of good
copies amounts to is worked out once for each set of stores (`CopyCount`), not for each package.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from diadem.model.policy import Policy
from diadem.model.replicas import DROPPED, MISSING, PRESENT, PROOFS, PackageState, ReplicaState, StoreState
from diadem.policy.status import NAMED, Totals

#: How far in the future a proof may lie: clocks differ. A later one says nothing about when the bytes were read.
_TOLERANCE: Final = timedelta(days=1)
#: What stands for a store where adopted folders lie in none: they are told of together.
ADOPTED: Final = "adopted folders"


@dataclass(slots=True)
class PackageGroup:
    """Packages with something in common: how many, ids and titles of the first `NAMED`, and their size."""

    count: int = 0
    first: list[tuple[str, str]] = field(default_factory=list)
    bytes: int = 0

    def add(self, package: PackageState) -> None:
        """One more."""
        if self.count < NAMED:
            self.first.append((package.id, package.title))
        self.count += 1
        self.bytes += package.bytes


@dataclass(slots=True)
class StoreTally:
    """What lies in one store; of a name that the node does not know, in one without address that does not answer."""

    state: StoreState
    #: Whether it is a store of the node.
    known: bool
    #: The longest time between two proofs of a copy here.
    interval: timedelta
    #: A proof before the one is too old; one after the other is of a wrong clock.
    deadline: datetime
    horizon: datetime
    #: Copies that are present.
    packages: int = 0
    bytes: int = 0
    #: The oldest of the last proofs.
    proven_since: datetime | None = None
    #: Copies that are to be read again; that were never read; that lack the parity which is wanted.
    due: PackageGroup = field(default_factory=PackageGroup)
    unproven: PackageGroup = field(default_factory=PackageGroup)
    unsealed: PackageGroup = field(default_factory=PackageGroup)
    #: Copies that are suspect; that are not there.
    damaged: int = 0
    missing: int = 0
    #: Month to the copies that were last proven in it.
    proven_in: dict[str, int] = field(default_factory=dict)

    @property
    def takes_copies(self) -> bool:
        """Whether something can be written to it now."""
        return self.known and self.state.reachable and not self.state.read_only


@dataclass(frozen=True, slots=True)
class CopyCount:
    """What a set of good copies amounts to."""

    #: Different places; all unknown ones count as one.
    copies: int
    #: Those of them that cannot be seen now.
    unseen: int
    #: Kinds of store of which there are too few: kind, have, want.
    lacking: tuple[tuple[str, int, int], ...]


@dataclass(slots=True)
class ArchiveTally:
    """The whole archive, counted."""

    #: By name; first those of the node, in their order.
    stores: dict[str, StoreTally]
    totals: Totals = field(default_factory=Totals)
    #: Packages with too few good copies, by the number of these and of those among them that cannot be seen now.
    short: dict[tuple[int, int], PackageGroup] = field(default_factory=dict)
    #: Packages with too few copies of a kind: kind, have, want.
    lacking: dict[tuple[str, int, int], PackageGroup] = field(default_factory=dict)
    #: Copies of ours that are suspect or missing, those of lost packages left aside.
    damaged: list[tuple[PackageState, ReplicaState]] = field(default_factory=list)
    #: Packages of which no copy is left.
    lost: list[PackageState] = field(default_factory=list)
    #: Payload id to the package that has a proven copy of it; the first by id.
    holders: dict[str, str] = field(default_factory=dict)
    #: Copies without the parity that is wanted.
    unsealed: list[tuple[PackageState, ReplicaState]] = field(default_factory=list)
    #: Adopted copies that people changed or took away.
    edited: list[tuple[PackageState, ReplicaState]] = field(default_factory=list)
    #: Packages whose copies all lie in stores that do not answer.
    hidden: PackageGroup = field(default_factory=PackageGroup)
    #: Packages of which no copy was ever proven though one is present; that no `ingest` statement names; that lack
    #: metadata which the policy requires.
    unproven: PackageGroup = field(default_factory=PackageGroup)
    unsigned: PackageGroup = field(default_factory=PackageGroup)
    untold: PackageGroup = field(default_factory=PackageGroup)
    #: Required keys and how many packages lack each.
    missing_fields: dict[str, int] = field(default_factory=dict)

    @property
    def first_lost(self) -> PackageState:
        """The lost package that is named."""
        return min(self.lost, key=lambda package: package.id)

    def store_of(self, copy: ReplicaState) -> StoreTally:
        """Where a copy that was counted lies."""
        store = self.stores.get(copy.store)
        return self.stores[ADOPTED] if store is None or (copy.adopted and not store.known) else store

    def best_copy(self, package: PackageState, but: ReplicaState | None = None) -> ReplicaState | None:
        """The best copy to read where it answers: a proven one first, a store's before an adopted one."""
        there = [
            copy
            for copy in package.replicas
            if copy is not but and copy.state == PRESENT and self.store_of(copy).state.reachable
        ]
        return min(there, key=lambda copy: (not copy.proven, copy.adopted), default=None)


def is_lost(package: PackageState, away: Collection[str]) -> bool:
    """Whether no copy of a package is left, as far as was found out: not one that is damaged, not one in a drawer.

    `away` are the stores of the node that do not answer. A store that was taken out of the node for good is none of
    them.
    """
    if package.tombstoned:
        return False
    left = [copy for copy in package.replicas if copy.state != DROPPED]
    return bool(left) and all(copy.state == MISSING and copy.store not in away for copy in left)


def safe_elsewhere(other: str) -> str:
    """``the same files are safe in diadem:c3d80e11bd38…``; "" where there is no such package."""
    return f"the same files are safe in {other[:19]}…" if other else ""


class PackageCounter:
    """The pass itself: each package once, then `finished`. Packages are not kept: there may be very many."""

    def __init__(self, policy: Policy, stores: Sequence[StoreState], now: datetime) -> None:
        self._policy = policy
        self._now = now
        self._away = {store.name for store in stores if not store.reachable}
        self.tally = ArchiveTally({})
        for store in stores:
            self._enter(store, known=True)
        self._counts: dict[tuple[object, ...], CopyCount] = {}
        self._figures = [0, 0, 0, 0, 0, 0, 0]

    def _enter(self, store: StoreState, *, known: bool) -> StoreTally:
        interval = self._policy.scrub.interval_for(store.kind)
        tally = StoreTally(store, known, interval, self._now - interval, self._now + _TOLERANCE)
        self.tally.stores[store.name] = tally
        return tally

    def package(self, package: PackageState) -> bool:
        """Count one package; whether copies of it are missing that can be made."""
        figures = self._figures
        if package.tombstoned:
            figures[5] += 1
            return False
        figures[0] += 1
        figures[1] += package.files
        size = package.bytes
        figures[2] += size
        good: list[object] = []
        here = seen = proven = 0
        stores = self.tally.stores
        absent: list[tuple[PackageState, ReplicaState]] = []
        for replica in package.replicas:
            store = stores.get(replica.store)
            if store is None or (replica.adopted and not store.known):
                store = self._unknown(replica)
            if replica.state != PRESENT:
                absent += self._absent(package, replica, store)
                continue
            here += 1
            seen += store.state.reachable
            store.packages += 1
            store.bytes += size
            if not self._is_proven(package, replica, store):
                continue
            proven += 1
            if not replica.adopted:
                good += [replica.store] if store.known else []
            elif self._policy.copies.adopted_counts:  # at the place where it lies
                good.append((store.state.kind, replica.place or store.state.place))
        figures[3] += here
        figures[4] += proven
        figures[6] += here - seen
        if here and not seen:
            self.tally.hidden.add(package)
        if here and not proven:
            self.tally.unproven.add(package)
        if proven and package.payload_id:
            holders = self.tally.holders
            holders[package.payload_id] = min(package.id, holders.get(package.payload_id, package.id))
        short = self._judge(package, tuple(good))
        if not here and is_lost(package, self._away):
            self.tally.lost.append(package)
            return False
        self.tally.damaged += absent
        return short

    def _is_proven(self, package: PackageState, replica: ReplicaState, store: StoreTally) -> bool:
        """Count the proof of a copy that is present."""
        proven_at = replica.proven_at
        if proven_at is None or replica.proven_level not in PROOFS:
            store.unproven.add(package)
            return False
        if not store.deadline <= proven_at <= store.horizon:
            store.due.add(package)
        if store.proven_since is None or proven_at < store.proven_since:
            store.proven_since = proven_at
        month = f"{proven_at.year}-{proven_at.month:02}"
        store.proven_in[month] = store.proven_in.get(month, 0) + 1
        if not replica.parity and self._policy.parity.enabled and not replica.adopted:
            holds = store.known and store.state.is_folder and not store.state.read_only
            if holds and self._policy.parity.wanted_on(replica.store):
                store.unsealed.add(package)
                self.tally.unsealed.append((package, replica))
        return True

    def _absent(
        self, package: PackageState, replica: ReplicaState, store: StoreTally
    ) -> list[tuple[PackageState, ReplicaState]]:
        """Count a copy that is not as it was, and give it back if it is one of ours."""
        if replica.state == DROPPED:
            return []
        if replica.adopted:
            self.tally.edited.append((package, replica))
            return []
        if replica.state == MISSING:
            store.missing += 1
        else:
            store.damaged += 1
        return [(package, replica)] if store.known else []

    def _unknown(self, replica: ReplicaState) -> StoreTally:
        """A name that is not a store of the node: adopted folders, or a store that was taken out."""
        name = ADOPTED if replica.adopted else replica.store
        if name in self.tally.stores:
            return self.tally.stores[name]
        store = StoreState(name, "disk", None, "", reachable=replica.adopted, read_only=True)
        return self._enter(store, known=False)

    def _judge(self, package: PackageState, good: tuple[object, ...]) -> bool:
        """Hold a package against the policy; whether it has too few good copies."""
        count = self._counts.get(good)
        if count is None:
            count = self._counts[good] = self._count(good)
        tally = self.tally
        if count.copies < self._policy.copies.minimum:
            tally.short.setdefault((count.copies, count.unseen), PackageGroup()).add(package)
        for lack in count.lacking:
            tally.lacking.setdefault(lack, PackageGroup()).add(package)
        if not package.signed:
            tally.unsigned.add(package)
        if package.missing_fields:
            tally.untold.add(package)
            for key in package.missing_fields:
                tally.missing_fields[key] = tally.missing_fields.get(key, 0) + 1
        return bool(count.lacking) or count.copies < self._policy.copies.minimum

    def _count(self, good: tuple[object, ...]) -> CopyCount:
        spots = [self._spot(item) for item in good]
        lacking = []
        for kind, want in self._policy.copies.kinds.items():
            have = len({place for its_kind, place in spots if its_kind == kind})
            if have < want:
                lacking.append((kind, have, want))
        away = [isinstance(item, str) and item in self._away for item in good]
        places = {place for _, place in spots}
        seen = {place for (_, place), hidden in zip(spots, away, strict=True) if not hidden}
        return CopyCount(len(places), len(places - seen), tuple(lacking))

    def _spot(self, item: object) -> tuple[str, str | None]:
        """Kind and place of a good copy, which is the name of a store, or the two themselves."""
        if isinstance(item, tuple):
            return item
        store = self.tally.stores[str(item)].state
        return store.kind, store.place

    def finished(self) -> ArchiveTally:
        """The tally, its figures in place."""
        self.tally.totals = Totals(*self._figures)
        return self.tally
