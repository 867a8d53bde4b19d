"""What a rule is asked about: the archive as it was found just now, counted; and how a rule answers.

A rule is one function: it returns what breaks it, or in words how it stands where nothing does (`Holds`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from diadem.model.policy import Policy
from diadem.model.replicas import PackageState, StoreState
from diadem.model.report import Severity
from diadem.policy.missing_copies import MissingCopies
from diadem.policy.status import RuleFinding, RuleLine
from diadem.policy.tally import ArchiveTally, PackageGroup, StoreTally


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


@dataclass(frozen=True, slots=True)
class Case:
    """The archive, counted: what a rule looks at."""

    policy: Policy
    node: NodeState
    tally: ArchiveTally
    missing: MissingCopies
    now: datetime

    @property
    def own_stores(self) -> Iterator[StoreTally]:
        """Stores of the node."""
        return (store for store in self.tally.stores.values() if store.known)

    @property
    def read_stores(self) -> Iterator[StoreTally]:
        """The same, and adopted folders: where copies are to be read."""
        return (store for store in self.tally.stores.values() if store.known or store.state.reachable)

    @property
    def takes_copies(self) -> bool:
        """Whether there is a store to which something can be written now."""
        return any(store.takes_copies for store in self.own_stores)

    @property
    def empty(self) -> bool:
        """Whether nothing is archived yet."""
        return self.tally.totals.packages == 0

    def absent(self, kind: str) -> list[str]:
        """Stores that would get a copy of this kind if they answered, in the order of the node."""
        names = self.missing.absent.get(kind, ())
        return [name for name in self.tally.stores if name in names]

    def obstacles(self) -> Iterator[str]:
        """Why stores that are there take no copy: ``nas cannot be written to``, ``small is too small``."""
        for store in self.own_stores:
            name, state = store.state.name, store.state
            if state.reachable and state.read_only and not state.retired:
                yield f"{name} cannot be written to"
            elif name in self.missing.cramped:
                yield f"{name} is too small"


@dataclass(frozen=True, slots=True)
class Holds:
    """How a rule stands that nothing breaks."""

    text: str
    #: ``holds``; ``info`` where it holds only by what was seen before; ``idle`` where there is nothing to ask about.
    mark: str = "holds"


Answer = list[RuleFinding] | Holds


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """One rule: its stable name, a title for a table, and why it matters, for whoever is responsible."""

    name: str
    title: str
    why: str
    judge: Callable[[Case], Answer]
    #: Whether it is worth a line only where something was found.
    quiet: bool

    def line(self, case: Case) -> tuple[RuleLine, list[RuleFinding]]:
        """How it stands, and what breaks it."""
        answer = self.judge(case)
        if isinstance(answer, Holds):
            shown = answer.mark != "idle" and not self.quiet
            return RuleLine(self.name, self.title, answer.mark, answer.text, shown=shown, why=self.why), []
        worst = min(answer, key=lambda one: list(_MARKS).index(one.severity))
        line = RuleLine(self.name, self.title, _MARKS[worst.severity], worst.message, why=self.why)
        return line, [replace(one, rule=self.name) for one in answer]


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
    return Holds(text, "idle" if case.empty or not asked else "info" if doubted else "holds")


def joined(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def packages_have(group: PackageGroup) -> str:
    """``1 package has``, ``3 packages have``."""
    return f"{group.count:,} package has" if group.count == 1 else f"{group.count:,} packages have"
