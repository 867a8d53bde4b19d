"""Judging an archive by its policy. Pure: the same policy, state and time give the same status."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from diadem.model.policy import Policy
from diadem.model.replicas import PackageState, StoreState
from diadem.model.report import Severity
from diadem.policy import copies_rules, keeping_rules, watch_rules
from diadem.policy.actions import actions_of, copy_actions_of, steps_of
from diadem.policy.case import Case
from diadem.policy.debts import Planner
from diadem.policy.facts import ArchiveState, NodeState
from diadem.policy.status import Action, RuleFinding, RuleLine, Status, StoreTotals
from diadem.policy.tally import Counter, StoreTally, Tally
from diadem.policy.wanting import wanting

_MARKS: Final = {Severity.ERROR: "broken", Severity.WARNING: "warning", Severity.INFO: "info"}


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes
    ----------
    name : str
        Stable.
    title : str
        For a table.
    why : str
        Why it matters, in a sentence for whoever is responsible.
    check : callable
        Yields what breaks it.
    holds : callable
        How it stands where nothing does.
    asked : callable
        Whether the policy asks for it, or there is anything to ask about.
    quiet : bool
        Whether it is worth a line only where something was found.
    doubted : callable
        Whether it holds only by what was seen before, and cannot be seen now.
    """

    name: str
    title: str
    why: str
    check: Callable[[Case], Iterator[RuleFinding]]
    holds: Callable[[Case], str] = lambda _: "nothing found"
    asked: Callable[[Case], bool] = lambda _: True
    quiet: bool = False
    doubted: Callable[[Case], bool] = lambda _: False


def _unseen(case: Case) -> bool:
    return case.tally.totals.unseen > 0


def _has_packages(case: Case) -> bool:
    return not case.empty


#: Every rule, in the order in which a person should hear of them.
RULES: Final[Sequence[Rule]] = (
    Rule(
        "copies.minimum",
        "copies",
        "A disk fails without warning: what is in one place only is lost with it.",
        copies_rules.minimum,
        copies_rules.minimum_holds,
        _has_packages,
        doubted=_unseen,
    ),
    Rule(
        "copies.out-of-reach",
        "in reach",
        "A copy that nobody can see now may be gone, and nobody would know.",
        copies_rules.in_reach,
        lambda _: "of every package a copy can be seen",
        _has_packages,
        quiet=True,
    ),
    Rule(
        "copies.kinds",
        "kinds of store",
        "Fire, theft and a broken controller take all copies of one kind or one room together.",
        copies_rules.kinds,
        copies_rules.kinds_hold,
        lambda case: bool(case.policy.copies.kinds) and not case.empty,
        doubted=_unseen,
    ),
    Rule(
        "copies.same-disk",
        "same disk",
        "Two copies on one disk are lost together, so they count as one.",
        copies_rules.same_disk,
        lambda _: "no two stores share one",
        quiet=True,
    ),
    Rule(
        "replica.unproven",
        "unproven",
        "A copy that was never read back may have been written wrong.",
        copies_rules.unproven,
        lambda _: "every copy was read at least once",
        _has_packages,
        quiet=True,
    ),
    Rule(
        "replica.suspect",
        "damage",
        "Damage is mended from a good copy while there is one, so it should be done soon.",
        copies_rules.suspect,
        lambda _: "none is known",
        _has_packages,
    ),
    Rule(
        "replica.missing",
        "missing",
        "A copy that is gone leaves the package with fewer than the policy wants.",
        copies_rules.missing,
        lambda _: "none is known",
        _has_packages,
        quiet=True,
    ),
    Rule(
        "scrub.interval",
        "scrub",
        "Disks lose bits silently; only reading finds it, while another copy can still mend it.",
        keeping_rules.scrub,
        keeping_rules.scrub_holds,
        _has_packages,
    ),
    Rule(
        "parity.missing",
        "parity",
        "With parity a damaged file can be mended even where no other copy can be read.",
        keeping_rules.parity,
        keeping_rules.parity_holds,
        lambda case: case.policy.parity.enabled,
    ),
    Rule(
        "adopted.changed",
        "adopted",
        "What was edited in a folder that was adopted is no copy of the package any more.",
        copies_rules.edited,
        lambda _: "as they were",
        _has_packages,
        quiet=True,
    ),
    Rule(
        "store.none",
        "a store",
        "Without a store that takes copies nothing can be archived.",
        keeping_rules.none,
        lambda _: "there is one that takes copies",
        quiet=True,
    ),
    Rule(
        "store.unreachable",
        "stores",
        "Copies in a store that does not answer cannot be read, proven or mended.",
        keeping_rules.unreachable,
        keeping_rules.stores_hold,
    ),
    Rule(
        "store.read-only",
        "writable",
        "Damage in a store that cannot be written to stays, and new sessions get no copy there.",
        keeping_rules.writable,
        lambda _: "each store can be written to",
        quiet=True,
    ),
    Rule(
        "store.space",
        "space",
        "A full store takes no new session, and the next one is not safe until there is room.",
        keeping_rules.space,
        keeping_rules.space_holds,
        doubted=keeping_rules.space_unseen,
    ),
    Rule(
        "metadata.required",
        "metadata",
        "What nobody wrote down cannot be found later, and in a year nobody remembers it.",
        keeping_rules.metadata,
        keeping_rules.metadata_holds,
        lambda case: bool(case.policy.metadata.required) and not case.empty,
    ),
    Rule(
        "keys.damaged",
        "keys",
        "Without its key nothing can be signed, so nothing can be archived.",
        keeping_rules.keys,
        lambda _: "they open",
        quiet=True,
    ),
    Rule(
        "watch.not-running",
        "watching",
        "While nobody watches, sessions stay on the instrument's disk in one copy.",
        watch_rules.not_running,
        watch_rules.holds,
        watch_rules.is_watched,
    ),
    Rule(
        "watch.waiting",
        "waiting",
        "A session that waits for long is in one place only until somebody looks why.",
        watch_rules.waiting,
        lambda _: "no session waits for too long",
        watch_rules.is_watched,
        quiet=True,
    ),
    Rule(
        "watch.away",
        "watched folders",
        "A folder that is not there cannot be archived.",
        watch_rules.away,
        lambda _: "each is there",
        watch_rules.is_watched,
        quiet=True,
    ),
    Rule(
        "policy.missing",
        "policy",
        "Without policy.toml the defaults hold, which may ask for less than the group decided.",
        keeping_rules.policy,
        lambda _: "policy.toml is there",
        quiet=True,
    ),
    Rule(
        "package.unsigned",
        "custody",
        "Without its ingest statement nobody can show when and by whom a package was archived.",
        keeping_rules.unsigned,
        lambda _: "every package has its ingest statement",
        _has_packages,
    ),
    Rule(
        "package.unlisted",
        "unfinished archiving",
        "A package that no log names is neither found nor looked after.",
        keeping_rules.unlisted,
        lambda _: "none",
        quiet=True,
    ),
    Rule(
        "log.unmirrored",
        "log",
        "The log proves who did what and when; on this machine alone it is lost with it.",
        keeping_rules.log,
        lambda _: "is in a store too",
    ),
    Rule(
        "recovery.unconfirmed",
        "recovery file",
        "If this machine is lost, only the recovery file can restore the node.",
        keeping_rules.recovery,
        lambda _: "confirmed as moved away",
    ),
    Rule(
        "clock.behind",
        "clock",
        "With a clock that is wrong, dates of archiving and of proofs are wrong too.",
        keeping_rules.clock,
        lambda _: "not behind the log",
        quiet=True,
    ),
)


def judge(policy: Policy, state: ArchiveState, now: datetime) -> Status:
    """How an archive stands to its policy, and what to do.

    Parameters
    ----------
    policy : Policy
        What the group wants.
    state : ArchiveState
        What there is.
    now : datetime
        UTC.

    Returns
    -------
    Status
        Every rule, what breaks it, and actions in the order in which they should be done.
    """
    case = _case(policy, state, now)
    tally = case.tally
    found = {rule.name: list(rule.check(case)) for rule in RULES}
    return Status(
        node=state.node.name,
        time=now,
        totals=tally.totals,
        stores=_stores(tally),
        rules=tuple(_line(rule, found[rule.name], case) for rule in RULES),
        findings=tuple(finding for findings in found.values() for finding in findings),
        actions=tuple(actions_of(case)),
        steps=tuple(steps_of(case)),
    )


def wanting_of(policy: Policy, state: ArchiveState, now: datetime, told: Collection[str] = ()) -> tuple[str, ...]:
    """What a repair leaves undone, and what it waits for; see `judge` and `wanting`."""
    return tuple(wanting(_case(policy, state, now), told))


def copy_actions(policy: Policy, state: ArchiveState, now: datetime) -> tuple[Action, ...]:
    """What is to be done now for good copies, by the rules of `judge`; what the state says of the node is not asked."""
    return tuple(copy_actions_of(_case(policy, state, now)))


def stores_wanting(policy: Policy, stores: Sequence[StoreState], package: PackageState, now: datetime) -> list[str]:
    """Names of the stores that should get a copy of a package now: as few as the policy needs, those that answer."""
    state = ArchiveState([package], stores, NodeState(""))
    return [action.store for action in copy_actions(policy, state, now) if action.kind == "replicate"]


def _case(policy: Policy, state: ArchiveState, now: datetime) -> Case:
    counter = Counter(policy, state.stores, now)
    planner = Planner(policy, counter.tally)
    for package in state.packages:
        if counter.package(package):
            planner.add(package)
    return Case(policy, state.node, counter.finished(), planner.debts, now)


def _line(rule: Rule, findings: Sequence[RuleFinding], case: Case) -> RuleLine:
    if not findings:
        mark = "idle" if not rule.asked(case) else "info" if rule.doubted(case) else "holds"
        return RuleLine(
            rule.name, rule.title, mark, rule.holds(case), shown=mark != "idle" and not rule.quiet, why=rule.why
        )
    worst = min(findings, key=lambda finding: list(_MARKS).index(finding.severity))
    return RuleLine(rule.name, rule.title, _MARKS[worst.severity], worst.message, why=rule.why)


def _stores(tally: Tally) -> tuple[StoreTotals, ...]:
    return tuple(_store(store) for store in tally.stores.values() if store.known)


def _store(store: StoreTally) -> StoreTotals:
    state = store.state
    return StoreTotals(
        name=state.name,
        kind=state.kind,
        url=state.url,
        place=state.place,
        reachable=state.reachable,
        read_only=state.read_only,
        free=state.free,
        total=state.total,
        packages=store.packages,
        bytes=store.bytes,
        proven_since=store.proven_since,
        unproven=store.unproven.count,
        damaged=store.damaged,
        missing=store.missing,
        due=store.due.count,
        due_at=store.proven_since and store.proven_since + store.interval,
        proven_in=dict(sorted(store.proven_in.items())),
    )
