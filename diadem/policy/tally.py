"""One pass over all packages: what each store holds, which break which rule, and to which stores missing copies go.

The pass decides nothing but counts; it is written for 100,000 packages in a few tenths of a second. What a set of good
copies amounts to is worked out once for each set of stores (`CopyCount`), and where copies go once for all packages
whose copies lie alike and that fit on the same stores (`CopyPlan`), not for each package.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from diadem.model.policy import Policy
from diadem.model.replicas import DROPPED, MISSING, PRESENT, PROOFS, PackageState, ReplicaState, StoreState
from diadem.policy.case import ADOPTED, ArchiveState, Case, PackageGroup, StoreTally
from diadem.policy.commands import repair
from diadem.policy.status import Action, Totals

#: How far in the future a proof may lie: clocks differ. A later one says nothing about when the bytes were read.
_TOLERANCE: Final = timedelta(days=1)
#: Bytes that a copy takes beside its payload: a store keeps 16 MiB free, and as much is left to tag files.
BESIDE: Final = 32 << 20
#: Kind and place of a copy.
_Spot = tuple[str, str | None]


def counted(policy: Policy, state: ArchiveState, now: datetime) -> Case:
    """The archive as the policy looks at it. Packages are not kept: there may be very many."""
    counter = _Counter(policy, state, now)
    planner = _Planner(counter.case)
    for package in state.packages:
        if counter.add(package):
            planner.add(package)
    counter.case.totals = Totals(
        packages=counter.packages,
        files=counter.files,
        bytes=counter.bytes,
        copies=counter.copies,
        proven=counter.proven,
        tombstoned=counter.tombstoned,
        unseen=counter.copies - counter.seen,
    )
    return counter.case


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


@dataclass(frozen=True, slots=True)
class CopyCount:
    """What a set of good copies amounts to."""

    #: Different places; all unknown ones count as one.
    copies: int
    #: Those of them that cannot be seen now.
    unseen: int
    #: Kinds of store of which there are too few: kind, have, want.
    lacking: tuple[tuple[str, int, int], ...]


class _Counter:
    """Counts packages, each once."""

    def __init__(self, policy: Policy, state: ArchiveState, now: datetime) -> None:
        self.case = Case(policy, state.node, now)
        self.packages = self.files = self.bytes = self.tombstoned = 0
        self.copies = self.seen = self.proven = 0
        self._away = {store.name for store in state.stores if not store.reachable}
        self._counts: dict[tuple[str | _Spot, ...], CopyCount] = {}
        for store in state.stores:
            self._enter(store, known=True)

    def _enter(self, store: StoreState, *, known: bool) -> StoreTally:
        now, interval = self.case.now, self.case.policy.scrub.interval_for(store.kind)
        tally = self.case.stores[store.name] = StoreTally(store, known, interval, now - interval, now + _TOLERANCE)
        return tally

    def add(self, package: PackageState) -> bool:
        """Count one package; whether copies of it are missing that can be made."""
        case, stores, size = self.case, self.case.stores, package.bytes
        if package.tombstoned:
            self.tombstoned += 1
            return False
        self.packages += 1
        self.files += package.files
        self.bytes += size
        good: list[str | _Spot] = []
        here = seen = proven = 0
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
            elif case.policy.copies.adopted_counts:  # at the place where it lies
                good.append((store.state.kind, replica.place or store.state.place))
        self.copies += here
        self.seen += seen
        self.proven += proven
        if here and not seen:
            case.hidden.add(package)
            case.hidden_in |= {replica.store for replica in package.replicas if replica.state == PRESENT}
        if here and not proven:
            case.unproven.add(package)
        if proven and package.payload_id:
            case.holders[package.payload_id] = min(package.id, case.holders.get(package.payload_id, package.id))
        short = self._is_short(package, tuple(good))
        if not here and is_lost(package, self._away):
            case.lost.append(package)
            return False
        case.damaged += absent
        return short

    def _unknown(self, replica: ReplicaState) -> StoreTally:
        """A name that is not a store of the node: adopted folders, or a store that was taken out."""
        name = ADOPTED if replica.adopted else replica.store
        if name in self.case.stores:
            return self.case.stores[name]
        return self._enter(StoreState(name, "disk", None, "", reachable=replica.adopted, read_only=True), known=False)

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
        parity = self.case.policy.parity
        if not replica.parity and parity.enabled and not replica.adopted:
            holds = store.known and store.state.is_folder and not store.state.read_only
            if holds and parity.wanted_on(replica.store):
                store.unsealed.add(package)
                self.case.unsealed.append((package, replica))
        return True

    def _absent(
        self, package: PackageState, replica: ReplicaState, store: StoreTally
    ) -> list[tuple[PackageState, ReplicaState]]:
        """Count a copy that is not as it was, and give it back if it is one of ours."""
        if replica.state == DROPPED:
            return []
        if replica.adopted:
            self.case.edited.append((package, replica))
            return []
        if replica.state == MISSING:
            store.missing += 1
        else:
            store.damaged += 1
        return [(package, replica)] if store.known else []

    def _is_short(self, package: PackageState, good: tuple[str | _Spot, ...]) -> bool:
        """Hold a package against the policy; whether it has too few good copies."""
        case, count = self.case, self._counts.get(good)
        if count is None:
            count = self._counts[good] = self._count(good)
        few = count.copies < case.policy.copies.minimum
        if few:
            case.short.setdefault((count.copies, count.unseen), PackageGroup()).add(package)
        for lack in count.lacking:
            case.lacking.setdefault(lack, PackageGroup()).add(package)
        if not package.signed:
            case.unsigned.add(package)
        if package.missing_fields:
            case.untold.add(package)
            for key in package.missing_fields:
                case.missing_fields[key] = case.missing_fields.get(key, 0) + 1
        return few or bool(count.lacking)

    def _count(self, good: Sequence[str | _Spot]) -> CopyCount:
        """Copies of ours by the names of their stores; of adopted folders kind and place stand here themselves."""
        spots: list[_Spot] = []
        for item in good:
            if isinstance(item, str):
                store = self.case.stores[item].state
                spots.append((store.kind, store.place))
            else:
                spots.append(item)
        seen = {place for item, (_, place) in zip(good, spots, strict=True) if item not in self._away}
        lacking = []
        for kind, want in self.case.policy.copies.kinds.items():
            have = len({place for its_kind, place in spots if its_kind == kind})
            if have < want:
                lacking.append((kind, have, want))
        places = {place for _, place in spots}
        return CopyCount(len(places), len(places - seen), tuple(lacking))


@dataclass(frozen=True, slots=True)
class CopyPlan:
    """Where the missing copies of a package go."""

    #: The store from which it is copied; "" where no copy can be read now.
    source: str
    #: Stores that get a copy.
    targets: tuple[str, ...]
    #: Kinds of store that the policy wants a copy on and of which no free one is there; "" for any kind.
    lacking: tuple[str, ...]
    #: Stores that would get a copy if they were larger; and, after their kind, if they answered.
    cramped: tuple[str, ...] = ()
    absent: tuple[tuple[str, str], ...] = ()


class _Planner:
    """Plans the copies that packages lack: as few as the policy needs, and what stands in the way."""

    def __init__(self, case: Case) -> None:
        self._case = case
        stores = list(case.own_stores)
        usable = [store.state for store in stores if store.takes_copies]
        self._usable = sorted(usable, key=lambda store: store.kind == "cold")
        self._away = [store.state for store in stores if not store.state.reachable and not store.state.retired]
        self._left = {store.name: store.free for store in usable}
        self._plans: dict[object, CopyPlan] = {}

    def add(self, package: PackageState) -> None:
        """Plan one package."""
        size = package.bytes
        room = tuple([left is None or left >= size + BESIDE for left in self._left.values()])
        alike = tuple([(copy.store, copy.state, copy.proven, copy.place) for copy in package.replicas])
        plan = self._plans.get((room, alike))
        if plan is None:
            plan = self._plans[room, alike] = self._plan(package)
        missing = self._case.missing
        if not plan.targets and not plan.lacking:
            return
        if not plan.source:
            missing.stranded.add(package)
            return
        for kind in plan.lacking:
            missing.places.setdefault(kind, PackageGroup()).add(package)
        for name in plan.cramped:
            missing.cramped.setdefault(name, PackageGroup()).add(package)
        for kind, name in plan.absent:
            missing.absent.setdefault(kind, set()).add(name)
        reason, command = "the policy wants another copy", repair(package.id)
        for name in plan.targets:
            missing.actions.append(Action("replicate", reason, command, package.id, name, plan.source, size))
            left = self._left[name]
            self._left[name] = None if left is None else left - size

    def _plan(self, package: PackageState) -> CopyPlan:
        """Stores for the kinds that are wanted first, then any, until there are as many places as the policy wants."""
        spots = list(self._expected(package))
        taken = {copy.store for copy in package.replicas if copy.state != DROPPED}
        roomy = {name for name, left in self._left.items() if left is None or left >= package.bytes + BESIDE}
        targets: list[str] = []
        # As keys, each once and in order.
        lacking, cramped, absent = dict[str, None](), dict[str, None](), dict[tuple[str, str], None]()
        for kind in self._still_wanted(spots):
            free = _free(self._usable, kind, spots, taken)
            chosen = next((store for store in free if store.name in roomy), None)
            if chosen is None:
                lacking[kind] = None
                cramped |= dict.fromkeys(store.name for store in free)
                absent |= dict.fromkeys((kind, store.name) for store in _free(self._away, kind, spots, taken))
                continue
            targets.append(chosen.name)
            taken.add(chosen.name)
            spots.append((chosen.kind, chosen.place))
        # Stores at places that are counted already, where there is no other: a second copy on the same disk does not
        # count as one, but it outlives a mistaken deletion and a bad sector.
        rest = [store.name for store in self._usable if store.name not in taken and store.name in roomy]
        targets += rest[: max(0, self._case.policy.copies.minimum - len(spots))]
        best = self._case.best_copy(package)
        return CopyPlan(best.store if best else "", tuple(targets), tuple(lacking), tuple(cramped), tuple(absent))

    def _still_wanted(self, spots: Sequence[_Spot]) -> Iterator[str]:
        """Kinds of which a copy is missing, one at a time; `spots` grows while this goes on. "" is any kind."""
        copies = self._case.policy.copies
        for kind, want in copies.kinds.items():
            for _ in range(want - len({place for its_kind, place in spots if its_kind == kind})):
                yield kind
        for _ in range(copies.minimum - len({place for _, place in spots})):
            yield ""

    def _expected(self, package: PackageState) -> Iterator[_Spot]:
        """Where good copies are, or will be when what is damaged is mended and what was never read is read."""
        for copy in package.replicas:
            store = self._case.store_of(copy)
            if copy.adopted:
                if copy.proven and self._case.policy.copies.adopted_counts:
                    yield store.state.kind, copy.place or store.state.place
            elif store.known and (copy.state == PRESENT or (copy.state != DROPPED and store.takes_copies)):
                yield store.state.kind, store.state.place


def _free(stores: Sequence[StoreState], kind: str, spots: Sequence[_Spot], taken: set[str]) -> list[StoreState]:
    """The stores of the kind at places that are not counted yet, in the order in which they are filled."""
    counted = {place for its_kind, place in spots if kind in ("", its_kind)}
    return [
        store for store in stores if kind in ("", store.kind) and store.name not in taken and store.place not in counted
    ]
