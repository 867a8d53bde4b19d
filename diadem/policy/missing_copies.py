"""Copies that are missing: to which store each package goes, as few as the policy needs; and what stands in the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from diadem.model.policy import Policy
from diadem.model.replicas import DROPPED, PRESENT, PackageState, StoreState
from diadem.policy.commands import repair
from diadem.policy.status import Action
from diadem.policy.tally import ArchiveTally, PackageGroup

#: Bytes that a copy takes beside its payload: a store keeps 16 MiB free, and as much is left to tag files.
BESIDE: Final = 32 << 20
#: Kind and place of a copy.
Spot = tuple[str, str | None]


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


@dataclass(slots=True)
class MissingCopies:
    """All copies that are missing."""

    #: Copies that can be made now; their packages; bytes that each store will get.
    actions: list[Action] = field(default_factory=list)
    copied: PackageGroup = field(default_factory=PackageGroup)
    needed: dict[str, int] = field(default_factory=dict)
    #: Packages for which there is no store to go to, by the kind that is wanted; "" for any.
    places: dict[str, PackageGroup] = field(default_factory=dict)
    #: Packages that would go to a store, by its name, if it were larger.
    cramped: dict[str, PackageGroup] = field(default_factory=dict)
    #: Stores that would get a copy if they answered, by the kind that is wanted; see `Case.absent`.
    absent: dict[str, set[str]] = field(default_factory=dict)
    #: Packages of which no copy can be read now.
    stranded: PackageGroup = field(default_factory=PackageGroup)


class Planner:
    """Plans the copies that packages lack: once for all packages whose copies lie alike and fit on the same stores."""

    def __init__(self, policy: Policy, tally: ArchiveTally) -> None:
        self._policy = policy
        self._tally = tally
        usable = [store.state for store in tally.stores.values() if store.takes_copies]
        self._usable = sorted(usable, key=lambda store: store.kind == "cold")
        self._away = [
            store.state
            for store in tally.stores.values()
            if store.known and not store.state.reachable and not store.state.retired
        ]
        self._left = {store.name: store.free for store in usable}
        self._plans: dict[object, CopyPlan] = {}
        self.missing = MissingCopies()

    def add(self, package: PackageState) -> None:
        """Plan one package."""
        size = package.bytes
        room = tuple([left is None or left >= size + BESIDE for left in self._left.values()])
        alike = tuple([(copy.store, copy.state, copy.proven, copy.place) for copy in package.replicas])
        plan = self._plans.get((room, alike))
        if plan is None:
            plan = self._plans[room, alike] = self._plan(package)
        self._enter(package, plan)

    def _enter(self, package: PackageState, plan: CopyPlan) -> None:
        if not plan.targets and not plan.lacking:
            return
        if not plan.source:
            self.missing.stranded.add(package)
            return
        for kind in plan.lacking:
            self.missing.places.setdefault(kind, PackageGroup()).add(package)
        for name in plan.cramped:
            self.missing.cramped.setdefault(name, PackageGroup()).add(package)
        for kind, name in plan.absent:
            self.missing.absent.setdefault(kind, set()).add(name)
        if plan.targets:
            self.missing.copied.add(package)
        reason, command = "the policy wants another copy", repair(package.id)
        for name in plan.targets:
            copy = Action("replicate", reason, command, package.id, name, plan.source, package.bytes)
            self.missing.actions.append(copy)
            self.missing.needed[name] = self.missing.needed.get(name, 0) + package.bytes
            left = self._left[name]
            self._left[name] = None if left is None else left - package.bytes

    def _fits(self, name: str, size: int) -> bool:
        left = self._left[name]
        return left is None or left >= size + BESIDE

    def _plan(self, package: PackageState) -> CopyPlan:
        """Stores for the kinds that are wanted first, then any, until there are as many places as the policy wants."""
        spots = list(self._expected(package))
        taken = {copy.store for copy in package.replicas if copy.state != DROPPED}
        targets: list[str] = []
        lacking: list[str] = []
        cramped: list[str] = []
        absent: list[tuple[str, str]] = []
        for kind in self._still_wanted(spots):
            free = _free(self._usable, kind, spots, taken)
            chosen = next((store for store in free if self._fits(store.name, package.bytes)), None)
            if chosen is None:
                lacking.append(kind)
                cramped += [store.name for store in free]
                absent += [(kind, store.name) for store in _free(self._away, kind, spots, taken)]
                continue
            targets.append(chosen.name)
            taken.add(chosen.name)
            spots.append((chosen.kind, chosen.place))
        targets += self._better_than_none(package, len(spots), taken)
        names = tuple(dict.fromkeys(lacking)), tuple(dict.fromkeys(cramped))
        best = self._tally.best_copy(package)
        return CopyPlan(best.store if best else "", tuple(targets), *names, tuple(dict.fromkeys(absent)))

    def _better_than_none(self, package: PackageState, copies: int, taken: set[str]) -> list[str]:
        """Stores at places that are counted already, where there is no other: a second copy on the same disk does not
        count as one, but it outlives a mistaken deletion and a bad sector."""
        free = [store.name for store in self._usable if store.name not in taken]
        wanted = max(0, self._policy.copies.minimum - copies)
        return [name for name in free if self._fits(name, package.bytes)][:wanted]

    def _still_wanted(self, spots: list[Spot]) -> Iterator[str]:
        """Kinds of which a copy is missing, one at a time; `spots` grows while this goes on. "" is any kind."""
        for kind, want in self._policy.copies.kinds.items():
            for _ in range(want - len({place for its_kind, place in spots if its_kind == kind})):
                yield kind
        for _ in range(self._policy.copies.minimum - len({place for _, place in spots})):
            yield ""

    def _expected(self, package: PackageState) -> Iterator[Spot]:
        """Where good copies are, or will be when what is damaged is mended and what was never read is read."""
        for copy in package.replicas:
            store = self._tally.store_of(copy)
            if copy.adopted:
                if copy.proven and self._policy.copies.adopted_counts:
                    yield store.state.kind, copy.place or store.state.place
            elif store.known and (copy.state == PRESENT or (copy.state != DROPPED and store.takes_copies)):
                yield store.state.kind, store.state.place


def _free(stores: Sequence[StoreState], kind: str, spots: Sequence[Spot], taken: set[str]) -> list[StoreState]:
    """The stores of the kind at places that are not counted yet, in the order in which they are filled."""
    counted = {place for its_kind, place in spots if kind in ("", its_kind)}
    return [
        store for store in stores if kind in ("", store.kind) and store.name not in taken and store.place not in counted
    ]
