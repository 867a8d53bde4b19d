"""Judging an archive by its policy. Pure: the same policy, state and time give the same status.

First what can be asked (`judge`; of copies alone the others), then what to do: single actions for programs, a few
commands for a person, both in the order that makes sense. Stores come first, since all else needs them; then what makes
good copies again; then what proves them; then the rest.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from diadem.custody.remedies import recover_command
from diadem.model.plain_text import count_text, size_text
from diadem.model.policy import Policy
from diadem.model.replicas import PackageState, StoreState
from diadem.policy import commands
from diadem.policy.case import ArchiveState, Case, NodeState, PolicyRule, joined
from diadem.policy.copies_rules import COPIES
from diadem.policy.missing_copies import Planner
from diadem.policy.node_rules import NODE
from diadem.policy.status import Action, Status, Step, StoreTotals
from diadem.policy.tally import PackageCounter, PackageGroup, StoreTally, safe_elsewhere

#: Every rule, in the order in which a person should hear of them.
RULES: Final[Sequence[PolicyRule]] = (*COPIES, *NODE)


def judge(policy: Policy, state: ArchiveState, now: datetime) -> Status:
    """How an archive stands to its policy: every rule, what breaks it, and what to do in the order of doing it."""
    case = _case(policy, state, now)
    lines, findings = zip(*[rule.line(case) for rule in RULES], strict=True)
    actions, steps = _advice(case, {line.rule for line, found in zip(lines, findings, strict=True) if found})
    return Status(
        node=state.node.name,
        time=now,
        totals=case.tally.totals,
        stores=tuple(_totals(store) for store in case.own_stores),
        rules=lines,
        findings=tuple(finding for found in findings for finding in found),
        actions=actions,
        steps=steps,
    )


def copy_actions(policy: Policy, state: ArchiveState, now: datetime) -> tuple[Action, ...]:
    """What is to be done now for good copies, by the rules of `judge`; what the state says of the node is not asked."""
    case = _case(policy, state, now)
    return (*_repairs(case), *case.missing.actions, *_parity(case))


def stores_wanting(
    policy: Policy, stores: Sequence[StoreState], package: PackageState, now: datetime
) -> tuple[list[str], list[str]]:
    """Names of the stores that should get a copy of a package now, as few as the policy needs; and of those too small.

    Where too few can take one, those that cannot be written to are named too: trying them tells why a copy is owed.
    """
    missing = _case(policy, ArchiveState([package], stores, NodeState("")), now).missing
    wanting = [action.store for action in missing.actions]
    locked = {store.name for store in stores if store.reachable and store.read_only and not store.retired}
    if missing.places and locked:
        able = [replace(store, read_only=store.read_only and store.name not in locked) for store in stores]
        best = _case(policy, ArchiveState([package], able, NodeState("")), now).missing.actions
        owed = [action.store for action in best if action.store in locked]
        wanting += owed[: max(0, len(best) - len(wanting))]
    return wanting, list(missing.cramped)


def is_well_kept(policy: Policy, state: ArchiveState, now: datetime) -> bool:
    """Whether the policy wants no further copy of the packages, and no damage of them is known."""
    case, asked = _case(policy, state, now), ("copies.minimum", "copies.kinds", "replica.")
    return not any(isinstance(rule.judge(case), list) for rule in COPIES if rule.name.startswith(asked))


def wanting_of(policy: Policy, state: ArchiveState, now: datetime, told: Collection[str] = ()) -> tuple[str, ...]:
    """What a repair leaves undone, and what it waits for: a store that is away, a larger one, a scrub.

    `told` are packages of which it was said already that nothing is left of them.
    """
    return tuple(_wanting(_case(policy, state, now), told))


def _case(policy: Policy, state: ArchiveState, now: datetime) -> Case:
    counter = PackageCounter(policy, state.stores, now)
    planner = Planner(policy, counter.tally)
    for package in state.packages:
        if counter.package(package):
            planner.add(package)
    return Case(policy, state.node, counter.finished(), planner.missing, now)


def _totals(store: StoreTally) -> StoreTotals:
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


# -- actions and steps ---------------------------------------------------------------------------------------------


def _advice(case: Case, broken: Collection[str]) -> tuple[tuple[Action, ...], tuple[Step, ...]]:
    """Everything that can be done now; and the same for a person, each command once."""
    stores, repairs, scrubs = list(_store_actions(case)), list(_repairs(case)), list(_scrubs(case))
    parity, others = list(_parity(case)), list(_others(case, broken))
    lost = [
        Action("write-off", _write_off_reason(case, package), commands.write_off(package.id), package.id)
        for package in case.tally.lost
    ]
    actions = *stores, *repairs, *case.missing.actions, *lost, *scrubs, *parity, *(action for _, action in others)
    steps: dict[str, dict[str, None]] = {}

    def tell(command: str, reason: str) -> None:
        steps.setdefault(command, {})[reason] = None

    for first, action in others:
        if first:
            tell(action.command, action.reason)
    if case.empty and any(True for _ in case.own_stores):
        tell(commands.ARCHIVE, "nothing is archived yet")
    for action in stores:
        tell(action.command, action.reason)
    if stranded := case.missing.stranded.count:
        have = "package has" if stranded == 1 else "packages have"
        away = next((commands.move_store(store.state.name) for store in _away(case)), commands.LIST_STORES)
        tell(away, f"{stranded:,} {have} no copy that can be read now; connect a store that holds one")
    foreign = sum(action.command.endswith(" --set-aside") for action in repairs)
    if reason := _repair_reason(case, [bool(action.source) for action in repairs], foreign):
        tell(commands.REPAIR_SET_ASIDE if foreign else commands.REPAIR, reason)
    if lost:
        package, more = case.tally.first_lost, len(lost) - 1
        beside = f"; the same for {more:,} more, listed by: diadem status --json" if more else ""
        tell(commands.write_off(package.id), _write_off_reason(case, package) + beside)
    for action in scrubs:
        tell(action.command, action.reason)
    for first, action in others:
        if not first:
            tell(action.command, action.reason)
    return actions, tuple(Step(command, "; ".join(reasons)) for command, reasons in steps.items())


def _store_actions(case: Case) -> Iterator[Action]:
    for store in _away(case):
        name = store.state.name
        reason = (
            f"{name} does not answer: reconnect it; if it has moved, say where with this; "
            f"if it is gone for good: {commands.lose_store(name)}"
        )
        yield Action("connect-store", reason, commands.move_store(name), store=name)
    for store in case.own_stores:
        if store.state.reachable and store.state.read_only and (harmed := store.damaged + store.missing):
            reason = (
                f"{store.state.name} cannot be written to: make it writable, and what is damaged in it can be mended "
                f"({count_text(harmed, 'copy', 'copies')}); doctor says more"
            )
            yield Action("unlock-store", reason, commands.DOCTOR, store=store.state.name)
    if not case.takes_copies and not _away(case) and not case.missing.places:
        obstacles = f" ({', '.join(case.obstacles())})" if any(case.obstacles()) else ""
        reason = f"a store: the node has none that takes copies now{obstacles}"
        yield Action("add-store", reason, commands.add_store(""))
    for kind, group in sorted(case.missing.places.items()):
        what = f"a store of kind {kind}" if kind else "a store on another disk, share or bucket"
        have = f"{count_text(group.count, 'package')} {'has' if group.count == 1 else 'have'}"
        obstacles = ", ".join([*(f"{name} is away" for name in case.absent(kind)), *case.obstacles()])
        reason = f"{what}: {have} nowhere to be copied to" + (f" ({obstacles})" if obstacles else "")
        yield Action("add-store", reason, commands.add_store(kind), bytes=group.bytes)


def _away(case: Case) -> list[StoreTally]:
    """Stores that should answer: a cold one only where something is due in it, or no other takes anything."""
    return [
        store
        for store in case.own_stores
        if not store.state.reachable and (store.state.kind != "cold" or store.due.count or not case.takes_copies)
    ]


def _repairs(case: Case) -> Iterator[Action]:
    for package, copy in case.tally.damaged:
        if case.tally.store_of(copy).takes_copies:
            best = case.tally.best_copy(package, but=copy)
            source = best.store if best and best.proven else ""
            reason = f"the copy is {copy.state}" + ("" if source else ", and no other good copy answers")
            command = commands.repair(package.id)
            if copy.foreign:
                reason, command = f"{reason}; it also holds files that do not belong there", f"{command} --set-aside"
            yield Action("repair", reason, command, package.id, copy.store, source, package.bytes)


def _repair_reason(case: Case, sources: Sequence[bool], foreign: int) -> str:
    """What `repair` will do: mend, copy, write parity."""
    missing, parts = case.missing, []
    if mended := sources.count(True):
        parts.append(f"mends {count_text(mended, 'copy', 'copies')}")
    if lost := sources.count(False):
        parts.append(f"saves what it can of {count_text(lost, 'copy', 'copies')} without another good one")
    if foreign:
        parts.append(f"moves what does not belong into {count_text(foreign, 'copy', 'copies')} out of the way")
    if missing.copied.count:
        size = size_text(sum(missing.needed.values()))
        names = joined([name for name in case.tally.stores if name in missing.needed])
        parts.append(f"copies {count_text(missing.copied.count, 'package')} ({size}) to {names}")
    if missing.places:
        waiting = max(group.count for group in missing.places.values())
        size = size_text(max(group.bytes for group in missing.places.values()))
        parts.append(f"copies {count_text(waiting, 'package')} ({size}) to the new store")
    if case.tally.unsealed:
        parts.append(f"writes parity for {count_text(len(case.tally.unsealed), 'copy', 'copies')}")
    return ", ".join(parts)


def _write_off_reason(case: Case, package: PackageState) -> str:
    """What to do with a package of which no copy is left."""
    if same := safe_elsewhere(case.tally.holders.get(package.payload_id, "")):
        return f"no copy of it is left, and {same}: this records it in the log"
    return (
        "no copy of it is left in any store: where its folder still exists, put it back, then diadem scrub; "
        "if it is lost for good, this records it in the log"
    )


def _scrubs(case: Case) -> Iterator[Action]:
    for store in case.tally.stores.values():
        if not store.state.reachable or not (store.due.count or store.unproven.count):
            continue
        parts = []
        if store.unproven.count:
            parts.append(f"{count_text(store.unproven.count, 'copy', 'copies')} never read")
        if store.due.count:
            parts.append(f"{count_text(store.due.count, 'copy', 'copies')} not read for too long")
        reason, name = f"{' and '.join(parts)} in {store.state.name}", store.state.name if store.known else ""
        size = store.due.bytes + store.unproven.bytes
        yield Action("scrub" if store.known else "rescan", reason, commands.scrub(store), store=name, bytes=size)


def _parity(case: Case) -> Iterator[Action]:
    for package, copy in case.tally.unsealed:
        if case.tally.store_of(copy).state.reachable:
            reason, command = "parity is wanted and not there", commands.repair(package.id)
            yield Action("parity", reason, command, package.id, copy.store, copy.store)


def _others(case: Case, broken: Collection[str]) -> Iterator[tuple[bool, Action]]:
    """Actions about the node itself, and whether they come before all else."""
    node, tally = case.node, case.tally
    if node.superseded:
        reason = (
            "the log of this node continued elsewhere: work with the restored node, if there is one, and leave "
            "this folder alone; else this restores it"
        )
        yield True, Action("recover", reason, recover_command(store=node.recover))
    if not node.clock_ok:
        yield True, Action("set-clock", "the clock of this machine is behind the log", commands.DOCTOR)
    if edited := len(tally.edited):
        yield False, Action("rescan", f"{count_text(edited, 'adopted folder')} changed or moved", commands.RESCAN)
    if unsigned := tally.unsigned.count:
        reason = f"{count_text(unsigned, 'package')} without ingest statement"
        yield False, Action("ingest", reason, commands.REINDEX)
    if node.key_fault:
        yield True, Action("restore-key", f"{node.key_fault}: this brings it back", node.key_back)
    if node.policy_lost and node.policy_back:
        reason = f"policy.toml {node.policy_lost} and the defaults hold: this puts back what a store has of it"
        yield True, Action("restore-policy", reason, node.policy_back)
    if "watch.not-running" in broken:
        reason = "watches the folders of the instruments, until it is stopped"
        yield False, Action("watch", reason, commands.WATCH)
    if not {"watch.waiting", "watch.away"}.isdisjoint(broken):
        reason = "shows what waits in the watched folders, and why"
        yield False, Action("look-at-watched", reason, commands.LIST_WATCHED)
    if left := len(node.unlisted):
        reason = f"enters {count_text(left, 'package')} that unfinished archiving left in a store"
        yield False, Action("finish-archive", reason, commands.REPAIR)
    if node.log_pending:
        yield False, Action("push-log", "the log is on this machine only", commands.REPAIR)
    if not node.recovery_confirmed or node.recovery_in_place:
        reason = "move the recovery file to another place, then confirm it"
        yield False, Action("confirm-recovery", reason, commands.CONFIRM_RECOVERY)


# -- what a repair cannot do now -----------------------------------------------------------------------------------


def _wanting(case: Case, told: Collection[str]) -> Iterator[str]:
    """Why the copies rules do not hold although everything was done that can be done now."""
    missing, stores = case.missing, case.tally.stores
    for kind, group in sorted(missing.places.items()):
        of_kind = f" on a store of kind {kind}" if kind else ""
        yield f"{_lack(group)}{of_kind}; {_no_place(case, kind)}"
    if missing.stranded.count:
        away = _are_away([store.state.name for store in case.own_stores if not store.state.reachable])
        yield f"{_lack(missing.stranded)}; none that is left can be read now{away}"
    counts: dict[str, int] = {}
    for _, copy in case.tally.damaged:
        counts[copy.store] = counts.get(copy.store, 0) + 1
    for name, count in counts.items():
        if not stores[name].takes_copies:
            why = "cannot be written to" if stores[name].state.reachable else "does not answer"
            are = "is" if count == 1 else "are"
            yield f"{count_text(count, 'copy', 'copies')} in {name} {are} damaged or missing, and {name} {why}"
    for store in case.own_stores if case.tally.short or case.tally.lacking else ():  # copies that may be good
        if count := store.unproven.count:
            were = "was" if count == 1 else "were"
            copies = f"{count_text(count, 'copy', 'copies')} in {store.state.name} {were} never read"
            yield f"{copies}: {commands.scrub(store)}" if store.state.reachable else f"{copies}, and it is away"
    for package in case.tally.lost:
        if package.id not in told:
            yield f"no copy of {package.id[:19]}… is left in any store: {commands.write_off(package.id)}"


def _lack(group: PackageGroup) -> str:
    return f"{count_text(group.count, 'package')} {'lacks' if group.count == 1 else 'lack'} a copy"


def _no_place(case: Case, kind: str) -> str:
    """Why there is no store to go to."""
    store = "no store of that kind" if kind else "no store on another disk"
    if away := case.absent(kind):
        return f"{store} answers{_are_away(away)}"
    if obstacles := list(case.obstacles()):
        return f"{store} can take it ({', '.join(obstacles)})"
    return f"the node has {store}: {commands.add_store(kind)}"


def _are_away(names: Sequence[str]) -> str:
    return f" ({joined(names)} {'is' if len(names) == 1 else 'are'} away)" if names else ""
