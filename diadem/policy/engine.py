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

from diadem.model.plain_text import count_text, size_text
from diadem.model.policy import Policy
from diadem.model.replicas import PackageState, StoreState
from diadem.policy import commands
from diadem.policy.case import ArchiveState, Case, Holds, NodeState, PackageGroup, PolicyRule, StoreTally, joined
from diadem.policy.copies_rules import COPIES
from diadem.policy.node_rules import NODE
from diadem.policy.status import Action, Status, Step, StoreTotals
from diadem.policy.tally import counted, safe_elsewhere

#: Every rule, in the order in which a person should hear of them.
RULES: Final[Sequence[PolicyRule]] = (*COPIES, *NODE)
#: What mends the node itself, in the order of doing it; and what a person does before all else.
_OF_NODE: Final = (
    "recover",
    "set-clock",
    "rescan",
    "ingest",
    "restore-key",
    "restore-policy",
    "watch",
    "look-at-watched",
    "finish-archive",
    "push-log",
    "confirm-recovery",
)
_FIRST: Final = ("recover", "set-clock", "restore-key", "restore-policy")


def judge(policy: Policy, state: ArchiveState, now: datetime) -> Status:
    """How an archive stands to its policy: every rule, what breaks it, and what to do in the order of doing it."""
    case = counted(policy, state, now)
    lines, findings, mends = zip(*[rule.told(case) for rule in RULES], strict=True)
    of_node = dict.fromkeys(action for actions in mends for action in actions)  # what mends two of them once
    actions = (
        *_store_actions(case),
        *_repairs(case),
        *case.missing.actions,
        *_write_offs(case),
        *_scrubs(case),
        *_parity(case),
        *sorted(of_node, key=lambda action: _OF_NODE.index(action.kind)),
    )
    return Status(
        node=state.node.name,
        time=now,
        totals=case.totals,
        stores=tuple(_totals(store) for store in case.own_stores),
        rules=lines,
        findings=tuple(finding for found in findings for finding in found),
        actions=actions,
        steps=tuple(_steps(case, actions)),
    )


def copy_actions(case: Case) -> tuple[Action, ...]:
    """What is to be done now for good copies, as `judge` says it; the node itself is not asked."""
    return (*_repairs(case), *case.missing.actions, *_parity(case))


def is_well_kept(case: Case) -> bool:
    """Whether the policy wants no further copy of the packages, and no damage of them is known."""
    asked = ("copies.minimum", "copies.kinds", "replica.")
    return all(isinstance(rule.judge(case), Holds) for rule in COPIES if rule.name.startswith(asked))


def stores_wanting(
    policy: Policy, stores: Sequence[StoreState], package: PackageState, now: datetime
) -> tuple[list[str], list[str]]:
    """Names of the stores that should get a copy of a package now, as few as the policy needs; and of those too small.

    Where too few can take one, those that cannot be written to are named too: trying them tells why a copy is owed.
    """
    missing = counted(policy, ArchiveState([package], stores, NodeState("")), now).missing
    wanting = [action.store for action in missing.actions]
    locked = {store.name for store in stores if store.reachable and store.read_only and not store.retired}
    if missing.places and locked:
        able = [replace(store, read_only=store.read_only and store.name not in locked) for store in stores]
        best = counted(policy, ArchiveState([package], able, NodeState("")), now).missing.actions
        owed = [action.store for action in best if action.store in locked]
        wanting += owed[: max(0, len(best) - len(wanting))]
    return wanting, list(missing.cramped)


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


def _steps(case: Case, actions: Sequence[Action]) -> Iterator[Step]:
    """The same for a person, each command once."""
    kinds: dict[str, list[Action]] = {}
    for action in actions:
        kinds.setdefault(action.kind, []).append(action)
    told: dict[str, dict[str, None]] = {}

    def tell(command: str, reason: str) -> None:
        told.setdefault(command, {})[reason] = None

    def tell_each(*of_kinds: str) -> None:
        for kind in of_kinds:
            for action in kinds.pop(kind, ()):
                tell(action.command, action.reason)

    tell_each(*_FIRST)
    if not case.totals.packages and any(True for _ in case.own_stores):
        tell(commands.ARCHIVE, "nothing is archived yet")
    tell_each("connect-store", "unlock-store", "add-store")
    if stranded := case.missing.stranded.count:
        have = "package has" if stranded == 1 else "packages have"
        away = next((commands.move_store(store.state.name) for store in _away(case)), commands.LIST_STORES)
        tell(away, f"{stranded:,} {have} no copy that can be read now; connect a store that holds one")
    repairs, copies, parity = (kinds.pop(kind, []) for kind in ("repair", "replicate", "parity"))
    foreign = sum(action.command.endswith(" --set-aside") for action in repairs)
    if reason := _repair_reason(case, repairs, copies, parity, foreign):
        tell(commands.REPAIR_SET_ASIDE if foreign else commands.REPAIR, reason)
    if lost := kinds.pop("write-off", []):
        first = min(lost, key=lambda action: action.package)
        beside = f"; the same for {len(lost) - 1:,} more, listed by: diadem status --json" if len(lost) > 1 else ""
        tell(first.command, first.reason + beside)
    tell_each(*kinds)
    for command, reasons in told.items():
        yield Step(command, "; ".join(reasons))


def _repair_reason(
    case: Case, repairs: Sequence[Action], copies: Sequence[Action], parity: Sequence[Action], foreign: int
) -> str:
    """What `repair` will do: mend, copy, write parity."""
    parts = []
    if mended := sum(bool(action.source) for action in repairs):
        parts.append(f"mends {count_text(mended, 'copy', 'copies')}")
    if lost := len(repairs) - mended:
        parts.append(f"saves what it can of {count_text(lost, 'copy', 'copies')} without another good one")
    if foreign:
        parts.append(f"moves what does not belong into {count_text(foreign, 'copy', 'copies')} out of the way")
    if copies:
        count, size = len({action.package for action in copies}), size_text(sum(action.bytes for action in copies))
        targets = {action.store for action in copies}
        names = joined([name for name in case.stores if name in targets])
        parts.append(f"copies {count_text(count, 'package')} ({size}) to {names}")
    if places := case.missing.places.values():
        waiting, size = max(group.count for group in places), size_text(max(group.bytes for group in places))
        parts.append(f"copies {count_text(waiting, 'package')} ({size}) to the new store")
    if parity:
        parts.append(f"writes parity for {count_text(len(parity), 'copy', 'copies')}")
    return ", ".join(parts)


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
    """Stores that should answer: a cold one only where something is to be done in it, or no other takes anything."""

    def is_needed(store: StoreTally) -> bool:
        to_read = store.due.count or store.unproven.count
        to_mend = store.unsealed.count or store.damaged or store.missing
        return (
            bool(to_read or to_mend)
            or store.state.name in case.hidden_in
            or store.state.kind != "cold"
            or not case.takes_copies
        )

    return [store for store in case.own_stores if not store.state.reachable and is_needed(store)]


def _repairs(case: Case) -> Iterator[Action]:
    for package, copy in case.damaged:
        if case.store_of(copy).takes_copies:
            best = case.best_copy(package, but=copy)
            source = best.store if best and best.proven else ""
            reason = f"the copy is {copy.state}" + ("" if source else ", and no other good copy answers")
            command = commands.repair(package.id)
            if copy.foreign:
                reason, command = f"{reason}; it also holds files that do not belong there", f"{command} --set-aside"
            yield Action("repair", reason, command, package.id, copy.store, source, package.bytes)


def _write_offs(case: Case) -> Iterator[Action]:
    for package in case.lost:
        reason = (
            "no copy of it is left in any store: where its folder still exists, put it back, then diadem scrub; "
            "if it is lost for good, this records it in the log"
        )
        if same := safe_elsewhere(case.holders.get(package.payload_id, "")):
            reason = f"no copy of it is left, and {same}: this records it in the log"
        yield Action("write-off", reason, commands.write_off(package.id), package.id)


def _scrubs(case: Case) -> Iterator[Action]:
    for store in case.stores.values():
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
    for package, copy in case.unsealed:
        if case.store_of(copy).state.reachable:
            reason, command = "parity is wanted and not there", commands.repair(package.id)
            yield Action("parity", reason, command, package.id, copy.store, copy.store)


# -- what a repair cannot do now -----------------------------------------------------------------------------------


def still_wanted(case: Case, told: Collection[str] = ()) -> Iterator[str]:
    """Why the copies rules do not hold although everything was done that can be done now."""
    missing, stores = case.missing, case.stores
    for kind, group in sorted(missing.places.items()):
        of_kind = f" on a store of kind {kind}" if kind else ""
        yield f"{_lack(group)}{of_kind}; {_no_place(case, kind)}"
    if missing.stranded.count:
        away = _are_away([store.state.name for store in case.own_stores if not store.state.reachable])
        yield f"{_lack(missing.stranded)}; none that is left can be read now{away}"
    counts: dict[str, int] = {}
    for _, copy in case.damaged:
        counts[copy.store] = counts.get(copy.store, 0) + 1
    for name, count in counts.items():
        if not stores[name].takes_copies:
            why = "cannot be written to" if stores[name].state.reachable else "does not answer"
            are = "is" if count == 1 else "are"
            yield f"{count_text(count, 'copy', 'copies')} in {name} {are} damaged or missing, and {name} {why}"
    for store in case.own_stores if case.short or case.lacking else ():  # copies that may be good
        if count := store.unproven.count:
            were = "was" if count == 1 else "were"
            copies = f"{count_text(count, 'copy', 'copies')} in {store.state.name} {were} never read"
            yield f"{copies}: {commands.scrub(store)}" if store.state.reachable else f"{copies}, and it is away"
    for package in case.lost:
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
