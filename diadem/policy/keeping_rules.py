"""Rules about keeping: scrub, parity, stores, metadata, custody, recovery."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from diadem.custody.remedies import recover_command
from diadem.model.plain_text import count_text, duration_words, size_text
from diadem.model.report import Severity
from diadem.policy import commands
from diadem.policy.case import Case, found, listed, packages_have
from diadem.policy.debts import BESIDE
from diadem.policy.status import RuleFinding
from diadem.policy.tally import StoreTally

#: Share of a store that should stay free: below it file systems slow down, and the next session finds no room.
_FREE_SHARE = 0.05


def scrub(case: Case) -> Iterator[RuleFinding]:
    """Every copy was read within the interval of its kind of store."""
    for store in case.read_stores:
        group = store.due
        if not group.count:
            continue
        name = store.state.name
        every = duration_words(case.policy.scrub.interval_for(store.state.kind))
        since = f", the first since {_oldest(store, case)}"
        away = "; the store does not answer now" if not store.state.reachable else ""
        message = f"{count_text(group.count, 'copy', 'copies')} in {name} not read for {every}{since}{away}"
        yield found("scrub.interval", Severity.ERROR, message, group, command=commands.scrub(store), store=name)


def _oldest(store: StoreTally, case: Case) -> str:
    """The day of the oldest proof; one in the future is a clock that was wrong."""
    if store.proven_since is None or store.proven_since > case.now:
        return "an unknown day (its proof is in the future: a clock was wrong)"
    return store.proven_since.date().isoformat()


def scrub_holds(case: Case) -> str:
    """How it stands where all is well."""
    proven = [store.proven_since for store in case.read_stores if store.proven_since]
    intervals = {case.policy.scrub.interval_for(store.state.kind) for store in case.read_stores}
    every = f"the last {duration_words(intervals.pop())}" if len(intervals) == 1 else "the interval of its store"
    oldest = f" (the oldest proof: {min(proven).date().isoformat()})" if proven else ""
    return f"every copy was proven within {every}{oldest}"


def parity(case: Case) -> Iterator[RuleFinding]:
    """Parity lies where the policy wants it."""
    for store in case.own_stores:
        if store.unsealed.count:
            message = f"{count_text(store.unsealed.count, 'copy', 'copies')} in {store.state.name} without parity"
            yield found(
                "parity.missing",
                Severity.ERROR,
                message,
                store.unsealed,
                command=commands.REPAIR,
                store=store.state.name,
            )
    known = {store.state.name for store in case.own_stores}
    if case.policy.parity.enabled and (strange := [name for name in case.policy.parity.stores if name not in known]):
        message = f"the policy wants parity on {listed(strange)}, which is not a store of this node"
        yield found("parity.missing", Severity.WARNING, message, command=commands.LIST_STORES)


def parity_holds(case: Case) -> str:
    """How it stands where all is well."""
    on = listed(list(case.policy.parity.stores)) if case.policy.parity.stores else "every store"
    return f"is beside every copy on {on}" if case.policy.parity.enabled else "the policy wants none"


def none(case: Case) -> Iterator[RuleFinding]:
    """There is a store that answers and takes copies."""
    stores = [store.state for store in case.own_stores]
    used = [state for state in stores if not state.retired]
    there = [state for state in used if state.reachable]
    if case.takes_copies:
        return
    message, command = "the node has no store", commands.add_store("")
    if there:
        names = ", ".join(state.name for state in there)
        message, command = f"no store that answers can be written to ({names})", commands.DOCTOR
    elif used:
        names = ", ".join(state.name for state in used)
        message, command = f"no store of the node answers ({names})", commands.move_store(used[0].name)
    elif stores:
        message = "every store of the node is retired"
    yield found("store.none", Severity.ERROR, f"{message}: nothing can be archived", command=command)


def unreachable(case: Case) -> Iterator[RuleFinding]:
    """Every store answers; a cold one need not, and any other may be away for a while."""
    for store in case.tally.stores.values():
        name, state = store.state.name, store.state
        held = count_text(store.packages, "copy", "copies")
        counts = "counts as it was last proven" if store.packages == 1 else "count as they were last proven"
        if store.known and not state.reachable:
            message, severity = "does not answer", Severity.WARNING
            if state.kind == "cold":
                severity = Severity.WARNING if store.due.count else Severity.INFO
            elif state.answered is not None and case.now - state.answered > case.policy.stores.unseen:
                longest = duration_words(case.policy.stores.unseen)
                message = f"has not answered since {state.answered:%Y-%m-%d %H:%M} UTC; the policy allows {longest}"
                severity, counts = Severity.ERROR, "cannot be seen"
            message = f"{name} {message} ({state.url}); its {held} {counts}"
            yield found("store.unreachable", severity, message, command=commands.move_store(name), store=name)
        elif not store.known and not state.reachable and store.packages:  # what went with a lost store is not recorded
            are, do = ("is", "does") if store.packages == 1 else ("are", "do")
            message = f"{held} {are} recorded in '{name}', which is not a store of this node and {do} not count"
            yield found("store.unreachable", Severity.WARNING, message, command=commands.REINDEX, store=name)


def stores_hold(case: Case) -> str:
    """How it stands where all is well."""
    number = len(list(case.own_stores))
    several = "both answer" if number == 2 else f"all {number} answer" if number else "the node has no store yet"
    return "the store answers" if number == 1 else several


def writable(case: Case) -> Iterator[RuleFinding]:
    """Every store that is not retired can be written to."""
    for store in case.own_stores:
        if store.state.reachable and store.state.read_only and not store.state.retired:
            name = store.state.name
            message = (
                f"{name} cannot be written to: it gets no copies, and what is damaged in it stays so; look at its "
                f"permissions, its write protection, and how it is mounted ({store.state.url})"
            )
            yield found("store.read-only", Severity.WARNING, message, command=commands.DOCTOR, store=name)


def space(case: Case) -> Iterator[RuleFinding]:
    """There is room for the missing copies, and some to spare."""
    for store in case.own_stores:
        state = store.state
        cramped = case.debts.cramped.get(state.name)
        if state.free is None or not state.reachable or state.read_only:
            continue
        free = size_text(state.free)
        if cramped:
            copies = f"{count_text(cramped.count, 'missing copy', 'missing copies')} ({size_text(cramped.bytes)})"
            reserve = f" and the {size_text(BESIDE)} that stay free" if state.free >= cramped.bytes else ""
            message = f"{state.name} has {free} free, too little for {copies}{reserve}; a larger store is needed"
        elif state.total and state.free < _FREE_SHARE * state.total:
            message = f"{state.name} is nearly full: {free} free of {size_text(state.total)}"
        else:
            continue
        yield found("store.space", Severity.WARNING, message, command=commands.add_store(""), store=state.name)


def space_holds(case: Case) -> str:
    """How it stands where all is well."""
    free = [(store.state.free, store.state.name) for store in case.own_stores if store.state.free is not None]
    if not free:
        return "unknown: no store in reach says how much is free"
    least, name = min(free)
    return f"{size_text(least)} free on {name}" + (
        f", more on the other{'s' * (len(free) > 2)}" if len(free) > 1 else ""
    )


def space_unseen(case: Case) -> bool:
    """Whether no store in reach says how much is free, and one of them does not answer."""
    states = [store.state for store in case.own_stores]
    return all(state.free is None for state in states) and not all(state.reachable for state in states)


def metadata(case: Case) -> Iterator[RuleFinding]:
    """What the policy requires was stated, also of what was archived before it did."""
    group = case.tally.untold
    if not group.count:
        return
    counts = sorted(case.tally.missing_fields.items(), key=lambda item: (-item[1], item[0]))
    named = ", ".join(f"{key}: {number:,}" for key, number in counts[:4])
    message = f"{packages_have(group)} not all the metadata that the policy requires ({named})"
    command = commands.amend(group.first[0][0], counts[0][0])
    yield found("metadata.required", Severity.INFO, message, group, command=command)


def metadata_holds(case: Case) -> str:
    """How it stands where all is well."""
    required = list(case.policy.metadata.required)
    return f"every package states {listed(required)}" if required else "the policy requires none"


def policy(case: Case) -> Iterator[RuleFinding]:
    """What the group agreed on is written down."""
    if case.node.policy_lost:
        message = f"policy.toml {case.node.policy_lost}, so the defaults hold: {_defaults(case)}; {POLICY_AGAIN}"
        yield found("policy.missing", Severity.ERROR, message, command=case.node.policy_back or commands.DOCTOR)


def keys(case: Case) -> Iterator[RuleFinding]:
    """What the node says can be signed."""
    if case.node.key_fault:
        message = f"{case.node.key_fault}; nothing can be signed with it"
        yield found("keys.damaged", Severity.ERROR, message, command=case.node.key_back)


#: What to do where the policy is gone.
POLICY_AGAIN: Final = "put your own back from a store, or write another (one with a comment alone takes the defaults)"


def _defaults(case: Case) -> str:
    copies = count_text(case.policy.copies.minimum, "copy", "copies")
    return f"{copies} on any kind of store, read every {duration_words(case.policy.scrub.interval)}"


def unsigned(case: Case) -> Iterator[RuleFinding]:
    """The log says of every package how it came here."""
    group = case.tally.unsigned
    if group.count:
        came = "it came" if group.count == 1 else "they came"
        message = f"{packages_have(group)} no ingest statement; the log does not say how {came} here"
        yield found("package.unsigned", Severity.WARNING, message, group, command=commands.REINDEX)


def unlisted(case: Case) -> Iterator[RuleFinding]:
    """No package lies in a store without being in the log."""
    for path, store, source in case.node.unlisted:
        message = f"{path} in {store} is whole and in no log, so it does not count: archiving {source} did not finish"
        yield found("package.unlisted", Severity.WARNING, message, command=commands.REPAIR, store=store)


def log(case: Case) -> Iterator[RuleFinding]:
    """What the log holds lies in a store too, and no store holds more of it."""
    if case.node.superseded:
        message = f"{case.node.superseded}; nothing can be written here"
        yield found("log.unmirrored", Severity.ERROR, message, command=recover_command(store=case.node.recover))
    pending = case.node.log_pending
    if pending:
        are, them = ("is", "it") if pending == 1 else ("are", "them")
        message = (
            f"{count_text(pending, 'batch', 'batches')} of the log {are} on this machine only: no store took {them}"
        )
        yield found("log.unmirrored", Severity.WARNING, message, command=commands.REPAIR)


def recovery(case: Case) -> Iterator[RuleFinding]:
    """The recovery file lies somewhere else."""
    if not case.node.recovery_confirmed:
        message = "the recovery file is not confirmed as moved; without it, a lost machine cannot be replaced"
        yield found("recovery.unconfirmed", Severity.WARNING, message, command=commands.CONFIRM_RECOVERY)
    elif case.node.recovery_in_place:
        message = f"the recovery file was confirmed as moved away, and is at {case.node.recovery_in_place}"
        yield found("recovery.unconfirmed", Severity.WARNING, message, command=commands.CONFIRM_RECOVERY)


def clock(case: Case) -> Iterator[RuleFinding]:
    """Time does not run backwards."""
    if not case.node.clock_ok:
        message = "this machine's clock is behind what the log already holds; set it before anything is archived"
        yield found("clock.behind", Severity.WARNING, message, command=commands.DOCTOR)
