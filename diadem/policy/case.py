"""What a policy is judged by: packages, stores and the node as they are, and this counted; and how a rule answers.

A rule is one function: it returns what breaks it, or in words how it stands where nothing does (`Holds`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from diadem.model.policy import Policy
from diadem.model.replicas import PRESENT, PackageState, ReplicaState, StoreState
from diadem.model.report import Severity
from diadem.policy.status import NAMED, Action, RuleFinding, RuleLine, Totals

#: What stands for a store where adopted folders lie in none: they are told of together.
ADOPTED: Final = "adopted folders"


@dataclass(frozen=True, slots=True)
class WatchedFolder:
    """A watched folder, as the watcher has noted it."""

    folder: str
    #: Whether the watcher that lives, or the last one, looks into it.
    served: bool = True
    #: Since when it has not been there.
    away: datetime | None = None
    #: Why nothing of it may be archived; "" where it may.
    problem: str = ""
    #: Sessions that are to be archived and are not: name, since when, why.
    waiting: Sequence[tuple[str, datetime, str]] = ()


@dataclass(frozen=True, slots=True)
class WatchState:
    """Who watches."""

    running: bool = False
    #: Whether the last watcher looked once and ended, as a timer lets it.
    once: bool = False
    #: When the last one was at work; None where there was none.
    seen: datetime | None = None
    folders: Sequence[WatchedFolder] = ()


@dataclass(frozen=True, slots=True)
class NodeState:
    """The node itself."""

    name: str
    #: Whether a person said that the recovery file lies somewhere else; where it still lies on this machine, or "".
    recovery_confirmed: bool = False
    recovery_in_place: str = ""
    #: Batches of the log that are in no store yet.
    log_pending: int = 0
    #: Packages whose datasets are still being entered in the catalogue.
    owed: int = 0
    #: Packages that are in it without any, for no copy could be read.
    unread: int = 0
    #: Whether the machine's clock is not behind what the log already holds.
    clock_ok: bool = True
    #: What a store holds of this log that the log itself does not, or "": then nothing can be written.
    superseded: str = ""
    #: The store's address, from which the node can be made anew.
    recover: str = ""
    #: What is wrong with a key that the node keeps, so that nothing can be signed, or ""; the command that mends it.
    key_fault: str = ""
    key_back: str = ""
    #: What became of `policy.toml`, so that the defaults hold: ``is gone``, ``is empty``; "" for nothing.
    policy_lost: str = ""
    #: The command that puts back the copy of it that a store holds; "" where no store that answers has one.
    policy_back: str = ""
    #: Packages that lie in a store and in no log, since their archive was killed: path, store, what was archived.
    unlisted: Sequence[tuple[str, str, str]] = ()
    watch: WatchState = WatchState()


@dataclass(frozen=True, slots=True)
class ArchiveState:
    """Everything that a policy is judged by."""

    #: Gone through once.
    packages: Iterable[PackageState]
    #: In the order in which the node names them, which is the order in which they get new copies.
    stores: Sequence[StoreState]
    node: NodeState


# -- counted -------------------------------------------------------------------------------------------------------


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


@dataclass(slots=True)
class MissingCopies:
    """All copies that are missing."""

    #: Copies that can be made now.
    actions: list[Action] = field(default_factory=list)
    #: Packages for which there is no store to go to, by the kind that is wanted; "" for any.
    places: dict[str, PackageGroup] = field(default_factory=dict)
    #: Packages that would go to a store, by its name, if it were larger.
    cramped: dict[str, PackageGroup] = field(default_factory=dict)
    #: Stores that would get a copy if they answered, by the kind that is wanted; see `Case.absent`.
    absent: dict[str, set[str]] = field(default_factory=dict)
    #: Packages of which no copy can be read now.
    stranded: PackageGroup = field(default_factory=PackageGroup)


@dataclass(slots=True)
class Case:
    """The archive, counted: what a rule looks at."""

    policy: Policy
    node: NodeState
    now: datetime
    #: By name; first those of the node, in their order.
    stores: dict[str, StoreTally] = field(default_factory=dict)
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
    #: Packages whose copies all lie in stores that do not answer, and the names of these.
    hidden: PackageGroup = field(default_factory=PackageGroup)
    hidden_in: set[str] = field(default_factory=set)
    #: Packages of which no copy was ever proven though one is present; that no `ingest` statement names; that lack
    #: metadata which the policy requires.
    unproven: PackageGroup = field(default_factory=PackageGroup)
    unsigned: PackageGroup = field(default_factory=PackageGroup)
    untold: PackageGroup = field(default_factory=PackageGroup)
    #: Required keys and how many packages lack each.
    missing_fields: dict[str, int] = field(default_factory=dict)
    missing: MissingCopies = field(default_factory=MissingCopies)

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

    @property
    def own_stores(self) -> Iterator[StoreTally]:
        """Stores of the node."""
        return (store for store in self.stores.values() if store.known)

    @property
    def read_stores(self) -> Iterator[StoreTally]:
        """The same, and adopted folders: where copies are to be read."""
        return (store for store in self.stores.values() if store.known or store.state.reachable)

    @property
    def takes_copies(self) -> bool:
        """Whether there is a store to which something can be written now."""
        return any(store.takes_copies for store in self.own_stores)

    def absent(self, kind: str) -> list[str]:
        """Stores that would get a copy of this kind if they answered, in the order of the node."""
        names = self.missing.absent.get(kind, ())
        return [name for name in self.stores if name in names]

    def obstacles(self) -> Iterator[str]:
        """Why stores that are there take no copy: ``nas cannot be written to``, ``small is too small``."""
        for store in self.own_stores:
            name, state = store.state.name, store.state
            if state.reachable and state.read_only and not state.retired:
                yield f"{name} cannot be written to"
            elif name in self.missing.cramped:
                yield f"{name} is too small"


# -- rules ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Holds:
    """How a rule stands that nothing breaks."""

    text: str
    #: ``holds``; ``info`` where it holds only by what was seen before, or not of all; ``idle`` where nothing is asked.
    mark: str = "holds"


#: What breaks a rule; of the node itself also what mends it.
Answer = Sequence[RuleFinding | Action] | Holds


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """One rule: its stable name, a title for a table, and why it matters, for whoever is responsible."""

    name: str
    title: str
    why: str
    judge: Callable[[Case], Answer]
    #: Whether it is worth a line only where something was found.
    quiet: bool

    def told(self, case: Case) -> tuple[RuleLine, list[RuleFinding], list[Action]]:
        """How it stands, what breaks it, and what mends that."""
        answer = self.judge(case)
        if isinstance(answer, Holds):
            shown = answer.mark != "idle" and not self.quiet
            return RuleLine(self.name, self.title, answer.mark, answer.text, shown=shown, why=self.why), [], []
        found = [replace(one, rule=self.name) for one in answer if isinstance(one, RuleFinding)]
        worst = min(found, key=lambda one: list(_MARKS).index(one.severity))
        line = RuleLine(self.name, self.title, _MARKS[worst.severity], worst.message, why=self.why)
        return line, found, [one for one in answer if isinstance(one, Action)]


_MARKS = {Severity.ERROR: "broken", Severity.WARNING: "warning", Severity.INFO: "info"}


def rule(
    rules: list[PolicyRule], name: str, title: str, why: str, *, quiet: bool = False
) -> Callable[[Callable[[Case], Answer]], Callable[[Case], Answer]]:
    """Make a function the next one of some rules, which are told of in this order."""

    def enter(judge: Callable[[Case], Answer]) -> Callable[[Case], Answer]:
        rules.append(PolicyRule(name, title, why, judge, quiet))
        return judge

    return enter


def finding(
    severity: Severity, message: str, group: PackageGroup | None = None, *, command: str = "", store: str = ""
) -> RuleFinding:
    """What breaks a rule, which adds its own name; with the packages of a group."""
    first = group.first if group else ()
    return RuleFinding(
        "",
        severity,
        message,
        packages=tuple(package for package, _ in first),
        titles=tuple(title for _, title in first),
        count=group.count if group else 0,
        command=command,
        store=store,
    )


def of_packages(case: Case, text: str, *, asked: bool = True, doubted: bool = False) -> Holds:
    """How a rule about packages stands: there is nothing to ask about while none is archived."""
    return Holds(text, "idle" if not case.totals.packages or not asked else "info" if doubted else "holds")


def joined(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def packages_have(group: PackageGroup) -> str:
    """``1 package has``, ``3 packages have``."""
    return f"{group.count:,} package has" if group.count == 1 else f"{group.count:,} packages have"
