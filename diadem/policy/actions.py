"""What to do now: each single action for programs, a few commands for a person, both in the order that makes sense.

Stores come first, since all else needs them; then what makes good copies again; then what proves them; then the rest.
"""

from __future__ import annotations

from collections.abc import Iterator

from diadem.custody.remedies import recover_command
from diadem.model.plain_text import count_text, size_text
from diadem.model.replicas import PackageState, ReplicaState
from diadem.policy import commands, watch_rules
from diadem.policy.case import Case, listed
from diadem.policy.commands import short
from diadem.policy.copies_rules import first_lost
from diadem.policy.losses import safe_elsewhere
from diadem.policy.status import Action, Step
from diadem.policy.tally import StoreTally


def actions_of(case: Case) -> Iterator[Action]:
    """Everything that can be done now."""
    yield from _store_actions(case)
    yield from _repairs(case)
    yield from case.debts.actions
    for package in case.tally.lost:
        reason = _write_off_reason(case, package)
        yield Action("write-off", reason, commands.write_off(package.id), package.id)
    for store in _to_scrub(case):
        size = store.due.bytes + store.unproven.bytes
        reason, command = _scrub_reason(store), commands.scrub(store)
        if store.known:
            yield Action("scrub", reason, command, store=store.state.name, bytes=size)
        else:
            yield Action("rescan", reason, command, bytes=size)
    yield from _parity(case)
    for _, reason, kind, command in _others(case):
        yield Action(kind, reason, command)


def copy_actions_of(case: Case) -> Iterator[Action]:
    """What of it makes good copies: mending, copying, writing parity."""
    yield from _repairs(case)
    yield from case.debts.actions
    yield from _parity(case)


def _parity(case: Case) -> Iterator[Action]:
    for package, copy in case.tally.unsealed:
        if case.tally.store_of(copy).state.reachable:
            command = f"diadem repair {short(package.id)}"
            yield Action("parity", "parity is wanted and not there", command, package.id, copy.store, copy.store)


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
    if not case.takes_copies and not _away(case) and not case.debts.places:
        obstacles = f" ({', '.join(case.obstacles())})" if any(case.obstacles()) else ""
        reason = f"a store: the node has none that takes copies now{obstacles}"
        yield Action("add-store", reason, commands.add_store(""))
    for kind, group in sorted(case.debts.places.items()):
        yield Action("add-store", _place_reason(case, kind, group.count), commands.add_store(kind), bytes=group.bytes)


def _away(case: Case) -> list[StoreTally]:
    """Stores that should answer: a cold one only where something is due in it, or no other takes anything."""
    return [
        store
        for store in case.own_stores
        if not store.state.reachable and (store.state.kind != "cold" or store.due.count or not case.takes_copies)
    ]


def _repairs(case: Case) -> Iterator[Action]:
    for package, copy in case.tally.damaged:
        store = case.tally.store_of(copy)
        if store.state.reachable and not store.state.read_only:
            source = _good_copy(case, package, copy)
            reason = f"the copy is {copy.state}" + ("" if source else ", and no other good copy answers")
            command = f"diadem repair {short(package.id)}"
            if copy.foreign:
                reason, command = f"{reason}; it also holds files that do not belong there", f"{command} --set-aside"
            yield Action("repair", reason, command, package.id, copy.store, source, package.bytes)


def _write_off_reason(case: Case, package: PackageState) -> str:
    """What to do with a package of which no copy is left."""
    if same := safe_elsewhere(case.tally.holders.get(package.payload_id, "")):
        return f"no copy of it is left, and {same}: this records it in the log"
    return (
        "no copy of it is left in any store: where its folder still exists, put it back, then diadem scrub; "
        "if it is lost for good, this records it in the log"
    )


def _good_copy(case: Case, package: PackageState, damaged: ReplicaState) -> str:
    """Another copy that is proven and answers; a store's before an adopted one."""
    store_of = case.tally.store_of
    there = [copy for copy in package.replicas if copy.proven and store_of(copy).state.reachable]
    others = sorted((copy for copy in there if copy is not damaged), key=lambda copy: copy.adopted)
    return others[0].store if others else ""


def _to_scrub(case: Case) -> list[StoreTally]:
    stores = case.tally.stores.values()
    return [store for store in stores if store.state.reachable and (store.due.count or store.unproven.count)]


def _scrub_reason(store: StoreTally) -> str:
    parts = []
    if store.unproven.count:
        parts.append(f"{count_text(store.unproven.count, 'copy', 'copies')} never read")
    if store.due.count:
        parts.append(f"{count_text(store.due.count, 'copy', 'copies')} not read for too long")
    return f"{' and '.join(parts)} in {store.state.name}"


def _place_reason(case: Case, kind: str, packages: int) -> str:
    what = f"a store of kind {kind}" if kind else "a store on another disk, share or bucket"
    have = f"{count_text(packages, 'package')} {'has' if packages == 1 else 'have'}"
    obstacles = [*(f"{name} is away" for name in case.absent(kind)), *case.obstacles()]
    return f"{what}: {have} nowhere to be copied to" + (f" ({', '.join(obstacles)})" if obstacles else "")


def _watching(case: Case) -> Iterator[tuple[int, str, str, str]]:
    """Actions about the watched folders, as `_others` tells them."""
    if any(watch_rules.not_running(case)):
        yield 1, "watches the folders of the instruments, until it is stopped", "watch", commands.WATCH
    if any(watch_rules.waiting(case)) or any(watch_rules.away(case)):
        yield 1, "shows what waits in the watched folders, and why", "look-at-watched", commands.LIST_WATCHED


def _others(case: Case) -> Iterator[tuple[int, str, str, str]]:
    """Actions about the node itself: whether they come before all else, reason, kind, command."""
    if case.node.superseded:
        reason = (
            "the log of this node continued elsewhere: work with the restored node, if there is one, and leave "
            "this folder alone; else this restores it"
        )
        yield 0, reason, "recover", recover_command(store=case.node.recover)
    edited, unsigned = len(case.tally.edited), case.tally.unsigned.count
    if not case.node.clock_ok:
        yield 0, "the clock of this machine is behind the log", "set-clock", commands.DOCTOR
    if edited:
        yield 1, f"{count_text(edited, 'adopted folder')} changed or moved", "rescan", commands.RESCAN
    if unsigned:
        yield 1, f"{count_text(unsigned, 'package')} without ingest statement", "ingest", commands.REINDEX
    if case.node.key_fault:
        yield 0, f"{case.node.key_fault}: this brings it back", "restore-key", case.node.key_back
    if case.node.policy_lost and case.node.policy_back:
        reason = f"policy.toml {case.node.policy_lost} and the defaults hold: this puts back what a store has of it"
        yield 0, reason, "restore-policy", case.node.policy_back
    yield from _watching(case)
    if left := len(case.node.unlisted):
        reason = f"enters {count_text(left, 'package')} that unfinished archiving left in a store"
        yield 1, reason, "finish-archive", commands.REPAIR
    if case.node.log_pending:
        yield 1, "the log is on this machine only", "push-log", commands.REPAIR
    if not case.node.recovery_confirmed or case.node.recovery_in_place:
        reason = "move the recovery file to another place, then confirm it"
        yield 1, reason, "confirm-recovery", commands.CONFIRM_RECOVERY


def steps_of(case: Case) -> Iterator[Step]:
    """The same for a person: few commands, each once."""
    found: dict[str, list[str]] = {}
    for command, reason in _step_reasons(case):
        found.setdefault(command, []).append(reason)
    for command, reasons in found.items():
        yield Step(command, "; ".join(dict.fromkeys(reasons)))


def _step_reasons(case: Case) -> Iterator[tuple[str, str]]:
    others = list(_others(case))
    yield from ((command, reason) for rank, reason, _, command in others if rank == 0)
    if case.empty and any(True for _ in case.own_stores):
        yield commands.ARCHIVE, "nothing is archived yet"
    for action in _store_actions(case):
        yield action.command, action.reason
    if stranded := case.debts.stranded.count:
        have = "package has" if stranded == 1 else "packages have"
        away = next((commands.move_store(store.state.name) for store in _away(case)), commands.LIST_STORES)
        yield away, f"{stranded:,} {have} no copy that can be read now; connect a store that holds one"
    if reason := _repair_reason(case):
        yield commands.REPAIR_SET_ASIDE if _foreign(case) else commands.REPAIR, reason
    if case.tally.lost:
        package, more = first_lost(case), len(case.tally.lost) - 1
        beside = f"; the same for {more:,} more, listed by: diadem status --json" if more else ""
        yield commands.write_off(package.id), _write_off_reason(case, package) + beside
    for store in _to_scrub(case):
        yield commands.scrub(store), _scrub_reason(store)
    yield from ((command, reason) for rank, reason, _, command in others if rank)


def _foreign(case: Case) -> int:
    """Copies that can be mended and hold files that do not belong there."""
    return sum(
        copy.foreign and case.tally.store_of(copy).state.reachable and not case.tally.store_of(copy).state.read_only
        for _, copy in case.tally.damaged
    )


def _repair_reason(case: Case) -> str:
    """What `repair` will do: mend, copy, write parity."""
    debts, parts = case.debts, []
    sources = [bool(action.source) for action in _repairs(case)]
    if mended := sources.count(True):
        parts.append(f"mends {count_text(mended, 'copy', 'copies')}")
    if lost := sources.count(False):
        parts.append(f"saves what it can of {count_text(lost, 'copy', 'copies')} without another good one")
    if foreign := _foreign(case):
        parts.append(f"moves what does not belong into {count_text(foreign, 'copy', 'copies')} out of the way")
    if debts.copied.count:
        size = size_text(sum(debts.needed.values()))
        names = listed([name for name in case.tally.stores if name in debts.needed])
        parts.append(f"copies {count_text(debts.copied.count, 'package')} ({size}) to {names}")
    if debts.places:
        waiting = max(group.count for group in debts.places.values())
        size = size_text(max(group.bytes for group in debts.places.values()))
        parts.append(f"copies {count_text(waiting, 'package')} ({size}) to the new store")
    if case.tally.unsealed:
        parts.append(f"writes parity for {count_text(len(case.tally.unsealed), 'copy', 'copies')}")
    return ", ".join(parts)
