"""Rules about copies: how many, on which kinds of store, in which state, when they were last read."""

from __future__ import annotations

from typing import Final

from diadem.model.plain_text import count_text, duration_words
from diadem.model.replicas import MISSING, SUSPECT
from diadem.model.report import Severity
from diadem.policy import commands
from diadem.policy.case import (
    Answer,
    Case,
    Holds,
    PackageGroup,
    PolicyRule,
    finding,
    joined,
    of_packages,
    packages_have,
    rule,
)
from diadem.policy.status import Action, RuleFinding
from diadem.policy.tally import safe_elsewhere

#: In the order in which a person should hear of them.
COPIES: Final[list[PolicyRule]] = []


@rule(COPIES, "copies.minimum", "copies", "A disk fails without warning: what is in one place only is lost with it.")
def minimum(case: Case) -> Answer:
    """Every package has as many proven copies on different places as the policy wants."""
    want, unseen = case.policy.copies.minimum, case.totals.unseen
    found = []
    for (copies, hidden), group in sorted(case.short.items()):
        have = count_text(copies, "proven copy", "proven copies") if copies else "no proven copy"
        if hidden:
            have += f" ({hidden:,} of them cannot be seen now)" if copies > 1 else ", which cannot be seen now"
        message = f"{packages_have(group)} {have}; the policy wants {want}"
        found.append(finding(Severity.ERROR, message, group, command=_way_out(case)))
    if found:
        return found
    if not case.totals.packages:
        return of_packages(case, "nothing is archived yet")
    more = " or more" if case.totals.proven > want * case.totals.packages else ""
    different = "copy" if want == 1 else "copies on different disks"
    if unseen:
        told = f"{count_text(unseen, 'copy', 'copies')} cannot be seen now; as last proven, every package had"
        return of_packages(case, f"{told} {want} {different}{more}", doubted=True)
    return of_packages(case, f"every package has {want} proven {different}{more}")


def _way_out(case: Case) -> str:
    """The command that comes first for packages with too few copies."""
    if case.missing.places:
        return commands.add_store(sorted(case.missing.places)[0])
    if case.missing.actions or any(case.store_of(copy).takes_copies for _, copy in case.damaged):
        return commands.REPAIR
    if case.lost:
        return commands.write_off(case.first_lost.id)
    unproven = [store for store in case.own_stores if store.unproven.count]
    if unproven:
        return commands.scrub(next((store for store in unproven if store.state.reachable), unproven[0]))
    away = [store.state.name for store in case.own_stores if not store.state.reachable]
    wanted = (name for name in away if name in case.hidden_in or case.stores[name].damaged or case.stores[name].missing)
    return next(map(commands.move_store, wanted), commands.LIST_STORES)


@rule(
    COPIES,
    "copies.out-of-reach",
    "in reach",
    "A copy that nobody can see now may be gone, and nobody would know.",
    quiet=True,
)
def in_reach(case: Case) -> Answer:
    """Of every package at least one copy can be seen now."""
    group = case.hidden
    if not group.count:
        return of_packages(case, "of every package a copy can be seen")
    holders = [store.state.name for store in case.own_stores if store.state.name in case.hidden_in]
    command = commands.move_store(holders[0]) if holders else commands.LIST_STORES
    message = f"no store answers that holds a copy of {count_text(group.count, 'package')}"
    return [finding(Severity.ERROR, message, group, command=command)]


@rule(
    COPIES,
    "copies.kinds",
    "kinds of store",
    "Fire, theft and a broken controller take all copies of one kind or one room together.",
)
def kinds(case: Case) -> Answer:
    """Every package has copies on the kinds of store that the policy names."""
    found = []
    for (kind, have, want), group in sorted(case.lacking.items()):
        amount = f"{have} of {want} copies" if have else "no copy" if want == 1 else f"none of {want} copies"
        message = f"{packages_have(group)} {amount} on a store of kind {kind}"
        found.append(finding(Severity.ERROR, message, group, command=_way_out(case)))
    wanted = [f"{count} {kind}" for kind, count in case.policy.copies.kinds.items()]
    text = f"every package has at least {joined(wanted)}" if wanted else "the policy names no kind of store"
    return found or of_packages(case, text, asked=bool(wanted), doubted=case.totals.unseen > 0)


@rule(
    COPIES,
    "copies.same-disk",
    "same disk",
    "Two copies on one disk are lost together, so they count as one.",
    quiet=True,
)
def same_disk(case: Case) -> Answer:
    """Stores that lie on one disk are one copy; of those whose disk is unknown nobody can say that they are not."""
    severity = Severity.WARNING if case.short else Severity.INFO
    places: dict[str | None, list[str]] = {}
    for store in case.own_stores:
        if store.state.reachable:
            places.setdefault(store.state.place, []).append(store.state.name)
    found = []
    for place, names in places.items():
        if len(names) > 1:
            lie = "are on one disk or share" if place else "may be on one disk: where they are cannot be found out"
            message = f"the stores {joined(names)} {lie}; together they count as one copy"
            found.append(finding(severity, message, command=commands.add_store("")))
    return found or Holds("no two stores share one")


@rule(
    COPIES, "replica.unproven", "unproven", "A copy that was never read back may have been written wrong.", quiet=True
)
def unproven(case: Case) -> Answer:
    """Bytes that were never hashed are never called good."""
    found = []
    if (group := case.unproven).count:
        are = "package is" if group.count == 1 else "packages are"
        message = f"{group.count:,} {are} not yet proven: no copy was ever read and found right"
        found.append(finding(Severity.ERROR, message, group, command=_way_out(case)))
    for store in case.read_stores:
        if (group := store.unproven).count:
            name, were = store.state.name, "was" if group.count == 1 else "were"
            message = f"{count_text(group.count, 'copy', 'copies')} in {name} {were} never read: not yet proven"
            found.append(finding(Severity.WARNING, message, group, command=commands.scrub(store), store=name))
    return found or of_packages(case, "every copy was read at least once")


@rule(
    COPIES,
    "replica.suspect",
    "damage",
    "Damage is mended from a good copy while there is one, so it should be done soon.",
)
def suspect(case: Case) -> Answer:
    """Damage that was found is mended."""
    return _harmed(case, SUSPECT, "damaged") or of_packages(case, "none is known")


@rule(
    COPIES,
    "replica.missing",
    "missing",
    "A copy that is gone leaves the package with fewer than the policy wants.",
    quiet=True,
)
def missing(case: Case) -> Answer:
    """What was archived is there."""
    found, lost = _harmed(case, MISSING, "gone or incomplete"), case.lost
    if lost:
        group = PackageGroup()
        for package in lost:
            group.add(package)
        others = [other for package in lost if (other := case.holders.get(package.payload_id))]
        elsewhere = f"; of {len(others):,} the same files are safe in another package" if others else ""
        if len(others) == len(lost) == 1:
            elsewhere = f"; {safe_elsewhere(others[0])}"
        message = f"{packages_have(group)} no copy left in any store{elsewhere}"
        command = commands.write_off(case.first_lost.id)
        found.insert(0, finding(Severity.ERROR, message, group, command=command))
    return found or of_packages(case, "none is known")


def _harmed(case: Case, state: str, word: str) -> list[RuleFinding]:
    found = []
    for store in case.own_stores:
        name, group = store.state.name, PackageGroup()
        for package, copy in case.damaged:
            if copy.state == state and copy.store == name:
                group.add(package)
        if group.count:
            copies, are = ("copy", "is") if group.count == 1 else ("copies", "are")
            message = f"{group.count:,} {copies} in {name} {are} {word} and not yet mended"
            foreign = any(copy.foreign for _, copy in case.damaged if copy.store == name)
            command = commands.REPAIR_SET_ASIDE if foreign else commands.REPAIR
            if not store.takes_copies:
                command = commands.DOCTOR if store.state.reachable else commands.move_store(name)
            found.append(finding(Severity.ERROR, message, group, command=command, store=name))
    return found


@rule(
    COPIES,
    "scrub.interval",
    "scrub",
    "Disks lose bits silently; only reading finds it, while another copy can still mend it.",
)
def scrub(case: Case) -> Answer:
    """Every copy was read within the interval of its kind of store."""
    found = []
    for store in case.read_stores:
        if not (group := store.due).count:
            continue
        name, since = store.state.name, "an unknown day (its proof is in the future: a clock was wrong)"
        if store.proven_since is not None and store.proven_since <= case.now:
            since = store.proven_since.date().isoformat()
        away = "" if store.state.reachable else "; the store does not answer now"
        every = duration_words(case.policy.scrub.interval_for(store.state.kind))
        message = (
            f"{count_text(group.count, 'copy', 'copies')} in {name} not read for {every}, the first since {since}{away}"
        )
        found.append(finding(Severity.ERROR, message, group, command=commands.scrub(store), store=name))
    if found:
        return found
    proven = [store.proven_since for store in case.read_stores if store.proven_since]
    # What is known to be damaged or gone was read too, but proves nothing: other rules say what is to be done with it.
    without = sum(store.damaged + store.missing + store.unproven.count for store in case.read_stores)
    if without and not proven:
        return of_packages(case, "no copy is proven", doubted=True)
    copies = f"every copy but {without:,}" if without else "every copy"
    intervals = {case.policy.scrub.interval_for(store.state.kind) for store in case.read_stores}
    every = f"the last {duration_words(intervals.pop())}" if len(intervals) == 1 else "the interval of its store"
    oldest = f" (the oldest proof: {min(proven).date().isoformat()})" if proven else ""
    return of_packages(case, f"{copies} was proven within {every}{oldest}", doubted=without > 0)


@rule(
    COPIES, "parity.missing", "parity", "With parity a damaged file can be mended even where no other copy can be read."
)
def parity(case: Case) -> Answer:
    """Parity lies where the policy wants it."""
    wanted, found = case.policy.parity, []
    for store in case.own_stores:
        if (group := store.unsealed).count:
            name = store.state.name
            message = f"{count_text(group.count, 'copy', 'copies')} in {name} without parity"
            command = commands.REPAIR if store.state.reachable else commands.move_store(name)
            found.append(finding(Severity.ERROR, message, group, command=command, store=name))
    known = {store.state.name for store in case.own_stores}
    if wanted.enabled and (strange := [name for name in wanted.stores if name not in known]):
        message = f"the policy wants parity on {joined(strange)}, which is not a store of this node"
        found.append(finding(Severity.WARNING, message, command=commands.LIST_STORES))
    on = joined(wanted.stores) if wanted.stores else "every store"
    holds = Holds(f"is beside every copy on {on}") if wanted.enabled else Holds("the policy wants none", "idle")
    return found or holds


@rule(
    COPIES,
    "adopted.changed",
    "adopted",
    "What was edited in a folder that was adopted is no copy of the package any more.",
    quiet=True,
)
def edited(case: Case) -> Answer:
    """Folders that were adopted where they lie are as they were. An edit is not damage."""
    found: list[RuleFinding | Action] = []
    words = ((SUSPECT, "was changed", "were changed"), (MISSING, "is not where it was", "are not where they were"))
    for state, one, several in words:
        group = PackageGroup()
        for package, copy in case.edited:
            if copy.state == state:
                group.add(package)
        if group.count:
            message = (
                f"{count_text(group.count, 'adopted folder')} {one if group.count == 1 else several}; "
                "it belongs to a person, is left as it is, and does not count as a copy"
            )
            found.append(finding(Severity.WARNING, message, group, command=commands.RESCAN))
    if found:
        reason = f"{count_text(len(case.edited), 'adopted folder')} changed or moved"
        found.append(Action("rescan", reason, commands.RESCAN))
    return found or of_packages(case, "as they were")
