"""One pass over all packages: what each store holds, and which packages break which rule.

The pass decides nothing but counts; it is written for 100,000 packages in a few tenths of a second. What a set of good
copies amounts to is worked out once for each set of stores (`Verdict`), not for each package.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from diadem.model.policy import Policy
from diadem.model.replicas import DROPPED, MISSING, PRESENT, PROOFS, PackageState, ReplicaState, StoreState
from diadem.policy.losses import is_lost
from diadem.policy.status import NAMED, Totals

#: How far in the future a proof may lie: clocks differ. A later one says nothing about when the bytes were read.
_TOLERANCE: Final = timedelta(days=1)
#: What stands for a store where adopted folders lie in none: they are told of together.
ADOPTED: Final = "adopted folders"


@dataclass(slots=True)
class Group:
    """Packages with something in common: how many, and the first of them.

    Attributes
    ----------
    count : int
        All of them.
    first : list of (str, str)
        Ids and titles of at most `NAMED`.
    bytes : int
        Their size.
    """

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
    """What lies in one store.

    Attributes
    ----------
    state : StoreState
        The store; of a name that the node does not know one without address, which does not answer.
    known : bool
        Whether it is a store of the node.
    interval : timedelta
        The longest time between two proofs of a copy here.
    deadline, horizon : datetime
        A proof before the one is too old; one after the other is of a wrong clock.
    packages, bytes : int
        Copies that are present.
    proven_since : datetime or None
        The oldest of the last proofs.
    due, unproven, unsealed : Group
        Copies that are to be read again; that were never read; that lack the parity which is wanted.
    damaged, missing : int
        Copies that are suspect; that are not there.
    proven_in : dict of str to int
        Month to the copies that were last proven in it.
    """

    state: StoreState
    known: bool
    interval: timedelta
    deadline: datetime
    horizon: datetime
    packages: int = 0
    bytes: int = 0
    proven_since: datetime | None = None
    due: Group = field(default_factory=Group)
    unproven: Group = field(default_factory=Group)
    unsealed: Group = field(default_factory=Group)
    damaged: int = 0
    missing: int = 0
    proven_in: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a set of good copies amounts to.

    Attributes
    ----------
    copies : int
        Different places; all unknown ones count as one.
    unseen : int
        Those of them that cannot be seen now.
    lacking : tuple of (kind, have, want)
        Kinds of store of which there are too few.
    """

    copies: int
    unseen: int
    lacking: tuple[tuple[str, int, int], ...]


@dataclass(slots=True)
class Tally:
    """The whole archive, counted.

    Attributes
    ----------
    totals : Totals
        In figures.
    stores : mapping of str to StoreTally
        By name; first those of the node, in their order.
    short : mapping of (int, int) to Group
        Packages with too few good copies, by the number of these and of those among them that cannot be seen now.
    lacking : mapping of (kind, have, want) to Group
        Packages with too few copies of a kind.
    damaged : list of (PackageState, ReplicaState)
        Copies of ours that are suspect or missing, those of lost packages left aside.
    lost : list of PackageState
        Packages of which no copy is left.
    holders : mapping of str to str
        Payload id to the package that has a proven copy of it; the first by id.
    unsealed : list of (PackageState, ReplicaState)
        Copies without the parity that is wanted.
    edited : list of (PackageState, ReplicaState)
        Adopted copies that people changed or took away.
    hidden : Group
        Packages whose copies all lie in stores that do not answer.
    unproven, unsigned, untold : Group
        Packages of which no copy was ever proven though one is present; that no `ingest` statement names; that lack
        metadata which the policy requires.
    missing_fields : mapping of str to int
        Required keys and how many packages lack each.
    """

    stores: dict[str, StoreTally]
    totals: Totals = field(default_factory=Totals)
    short: dict[tuple[int, int], Group] = field(default_factory=dict)
    lacking: dict[tuple[str, int, int], Group] = field(default_factory=dict)
    damaged: list[tuple[PackageState, ReplicaState]] = field(default_factory=list)
    lost: list[PackageState] = field(default_factory=list)
    holders: dict[str, str] = field(default_factory=dict)
    unsealed: list[tuple[PackageState, ReplicaState]] = field(default_factory=list)
    edited: list[tuple[PackageState, ReplicaState]] = field(default_factory=list)
    hidden: Group = field(default_factory=Group)
    unproven: Group = field(default_factory=Group)
    unsigned: Group = field(default_factory=Group)
    untold: Group = field(default_factory=Group)
    missing_fields: dict[str, int] = field(default_factory=dict)

    def store_of(self, copy: ReplicaState) -> StoreTally:
        """Where a copy that was counted lies."""
        store = self.stores.get(copy.store)
        return self.stores[ADOPTED] if store is None or (copy.adopted and not store.known) else store


class Counter:
    """The pass itself: each package once, then `finished`. Packages are not kept: there may be very many."""

    def __init__(self, policy: Policy, stores: Sequence[StoreState], now: datetime) -> None:
        self._policy = policy
        self._now = now
        self._away = {store.name for store in stores if not store.reachable}
        self.tally = Tally({})
        for store in stores:
            self._enter(store, known=True)
        self._verdicts: dict[tuple[object, ...], Verdict] = {}
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
                if self._absent(package, replica, store):
                    absent.append((package, replica))
                continue
            here += 1
            seen += store.state.reachable
            store.packages += 1
            store.bytes += size
            if not self._is_proven(package, replica, store):
                continue
            proven += 1
            if replica.adopted:
                self._adopted(replica, store, good)
            elif store.known:
                good.append(replica.store)
        figures[3] += here
        figures[4] += proven
        figures[6] += here - seen
        if here and not seen:
            self.tally.hidden.add(package)
        if here and not proven:
            self.tally.unproven.add(package)
        lost = self._sort(package, absent, here, proven)
        return self._judge(package, tuple(good)) and not lost

    def _sort(
        self, package: PackageState, absent: list[tuple[PackageState, ReplicaState]], here: int, proven: int
    ) -> bool:
        """What can be mended, and who has which files; whether the package is lost."""
        tally = self.tally
        if proven and package.payload_id:
            other = tally.holders.get(package.payload_id)
            if other is None or package.id < other:
                tally.holders[package.payload_id] = package.id
        if not here and is_lost(package, self._away):
            tally.lost.append(package)
            return True
        tally.damaged += absent
        return False

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
        if not replica.parity and self._policy.parity.enabled:
            self._without_parity(package, replica, store)
        return True

    def _without_parity(self, package: PackageState, replica: ReplicaState, store: StoreTally) -> None:
        holds = store.known and store.state.is_folder and not store.state.read_only
        if not replica.adopted and holds and self._policy.parity.wanted_on(replica.store):
            store.unsealed.add(package)
            self.tally.unsealed.append((package, replica))

    def _adopted(self, replica: ReplicaState, store: StoreTally, good: list[object]) -> None:
        """An adopted copy counts where the policy says so, at the place where it lies."""
        if self._policy.copies.adopted_counts:
            good.append((store.state.kind, replica.place or store.state.place))

    def _absent(self, package: PackageState, replica: ReplicaState, store: StoreTally) -> bool:
        """Count a copy that is not as it was; whether it is one of ours."""
        if replica.state == DROPPED:
            return False
        if replica.adopted:
            self.tally.edited.append((package, replica))
            return False
        if replica.state == MISSING:
            store.missing += 1
        else:
            store.damaged += 1
        return store.known

    def _unknown(self, replica: ReplicaState) -> StoreTally:
        """A name that is not a store of the node: adopted folders, or a store that was taken out."""
        name = ADOPTED if replica.adopted else replica.store
        if name in self.tally.stores:
            return self.tally.stores[name]
        store = StoreState(name, "disk", None, "", reachable=replica.adopted, read_only=True)
        return self._enter(store, known=False)

    def _judge(self, package: PackageState, good: tuple[object, ...]) -> bool:
        """Hold a package against the policy; whether it has too few good copies."""
        verdict = self._verdicts.get(good)
        if verdict is None:
            verdict = self._verdicts[good] = self._verdict(good)
        tally = self.tally
        if verdict.copies < self._policy.copies.minimum:
            tally.short.setdefault((verdict.copies, verdict.unseen), Group()).add(package)
        for lack in verdict.lacking:
            tally.lacking.setdefault(lack, Group()).add(package)
        if not package.signed:
            tally.unsigned.add(package)
        if package.missing_fields:
            tally.untold.add(package)
            for key in package.missing_fields:
                tally.missing_fields[key] = tally.missing_fields.get(key, 0) + 1
        return bool(verdict.lacking) or verdict.copies < self._policy.copies.minimum

    def _verdict(self, good: tuple[object, ...]) -> Verdict:
        spots = [self._spot(item) for item in good]
        lacking = []
        for kind, want in self._policy.copies.kinds.items():
            have = len({place for its_kind, place in spots if its_kind == kind})
            if have < want:
                lacking.append((kind, have, want))
        places = {place for _, place in spots}
        seen = {place for item, (_, place) in zip(good, spots, strict=True) if self._is_seen(item)}
        return Verdict(len(places), len(places - seen), tuple(lacking))

    def _is_seen(self, item: object) -> bool:
        """Whether a good copy can be looked at now."""
        return isinstance(item, tuple) or str(item) not in self._away

    def _spot(self, item: object) -> tuple[str, str | None]:
        """Kind and place of a good copy, which is the name of a store, or the two themselves."""
        if isinstance(item, tuple):
            return item
        store = self.tally.stores[str(item)].state
        return store.kind, store.place

    def finished(self) -> Tally:
        """The tally, its figures in place."""
        self.tally.totals = Totals(*self._figures)
        return self.tally
