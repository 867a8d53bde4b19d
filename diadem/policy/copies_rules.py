"""Rules about copies: how many, on which kinds of store, in which state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from diadem.model.plain_text import count_text
from diadem.model.replicas import MISSING, SUSPECT, PackageState, ReplicaState
from diadem.model.report import Severity
from diadem.policy import commands
from diadem.policy.case import Case, found, listed, packages_have
from diadem.policy.losses import safe_elsewhere
from diadem.policy.status import RuleFinding
from diadem.policy.tally import Group, StoreTally


def minimum(case: Case) -> Iterator[RuleFinding]:
    """Every package has as many proven copies on different places as the policy wants."""
    want = case.policy.copies.minimum
    for (copies, unseen), group in sorted(case.tally.short.items()):
        have = count_text(copies, "proven copy", "proven copies") if copies else "no proven copy"
        if unseen:
            have += f" ({unseen:,} of them cannot be seen now)" if copies > 1 else ", which cannot be seen now"
        message = f"{packages_have(group)} {have}; the policy wants {want}"
        yield found("copies.minimum", Severity.ERROR, message, group, command=_way_out(case))


def minimum_holds(case: Case) -> str:
    """How it stands where all is well."""
    if case.empty:
        return "nothing is archived yet"
    want, unseen = case.policy.copies.minimum, case.tally.totals.unseen
    more = " or more" if case.tally.totals.proven > want * case.tally.totals.packages else ""
    if unseen:
        had = f"{want} {'copy' if want == 1 else 'copies on different disks'}{more}"
        return f"{count_text(unseen, 'copy', 'copies')} cannot be seen now; as last proven, every package had {had}"
    return f"every package has {want} proven {'copy' if want == 1 else 'copies on different disks'}{more}"


def in_reach(case: Case) -> Iterator[RuleFinding]:
    """Of every package at least one copy can be seen now."""
    group = case.tally.hidden
    if group.count:
        holders = [store.state.name for store in case.own_stores if store.packages and not store.state.reachable]
        command = commands.move_store(holders[0]) if holders else commands.LIST_STORES
        message = f"no store answers that holds a copy of {count_text(group.count, 'package')}"
        yield found("copies.out-of-reach", Severity.ERROR, message, group, command=command)


def kinds(case: Case) -> Iterator[RuleFinding]:
    """Every package has copies on the kinds of store that the policy names."""
    for (kind, have, want), group in sorted(case.tally.lacking.items()):
        amount = f"{have} of {want} copies" if have else "no copy" if want == 1 else f"none of {want} copies"
        message = f"{packages_have(group)} {amount} on a store of kind {kind}"
        yield found("copies.kinds", Severity.ERROR, message, group, command=_way_out(case))


def kinds_hold(case: Case) -> str:
    """How it stands where all is well."""
    wanted = [f"{count} {kind}" for kind, count in case.policy.copies.kinds.items()]
    return f"every package has at least {listed(wanted)}" if wanted else "the policy names no kind of store"


def _way_out(case: Case) -> str:
    """The command that comes first for packages with too few copies."""
    if case.debts.places:
        return commands.add_store(sorted(case.debts.places)[0])
    if case.debts.copied.count or case.tally.damaged:
        return commands.REPAIR
    if case.tally.lost:
        return commands.write_off(first_lost(case).id)
    unproven = [store for store in case.own_stores if store.unproven.count]
    return commands.scrub(unproven[0]) if unproven else commands.LIST_STORES


def same_disk(case: Case) -> Iterator[RuleFinding]:
    """Stores that lie on one disk are one copy; of those whose disk is unknown nobody can say that they are not."""
    severity = Severity.WARNING if case.tally.short else Severity.INFO
    places: dict[str | None, list[str]] = {}
    for store in case.own_stores:
        if store.state.reachable:
            places.setdefault(store.state.place, []).append(store.state.name)
    for place, names in places.items():
        if len(names) > 1:
            lie = "are on one disk or share" if place else "may be on one disk: where they are cannot be found out"
            message = f"the stores {listed(names)} {lie}; together they count as one copy"
            yield found("copies.same-disk", severity, message, command=commands.add_store(""))


def unproven(case: Case) -> Iterator[RuleFinding]:
    """Bytes that were never hashed are never called good."""
    if group := _some(case.tally.unproven):
        are = "package is" if group.count == 1 else "packages are"
        message = f"{group.count:,} {are} not yet proven: no copy was ever read and found right"
        yield found("replica.unproven", Severity.ERROR, message, group, command=_way_out(case))
    for store in case.read_stores:
        if group := _some(store.unproven):
            name = store.state.name
            were = "was" if group.count == 1 else "were"
            message = f"{count_text(group.count, 'copy', 'copies')} in {name} {were} never read: not yet proven"
            yield found("replica.unproven", Severity.WARNING, message, group, command=commands.scrub(store), store=name)


def _some(group: Group) -> Group | None:
    return group if group.count else None


def suspect(case: Case) -> Iterator[RuleFinding]:
    """Damage that was found is mended."""
    return _damage(case, SUSPECT, "damaged")


def missing(case: Case) -> Iterator[RuleFinding]:
    """What was archived is there."""
    if case.tally.lost:
        group = Group()
        for package in case.tally.lost:
            group.add(package)
        message = f"{packages_have(group)} no copy left in any store{_held_elsewhere(case)}"
        yield found("replica.missing", Severity.ERROR, message, group, command=commands.write_off(first_lost(case).id))
    yield from _damage(case, MISSING, "gone or incomplete")


def first_lost(case: Case) -> PackageState:
    """The lost package that is named."""
    return min(case.tally.lost, key=lambda package: package.id)


def _held_elsewhere(case: Case) -> str:
    """Where the files of lost packages are, where they were archived again."""
    others = [other for package in case.tally.lost if (other := case.tally.holders.get(package.payload_id))]
    if len(others) == len(case.tally.lost) == 1:
        return f"; {safe_elsewhere(others[0])}"
    return f"; of {len(others):,} the same files are safe in another package" if others else ""


def _damage(case: Case, state: str, word: str) -> Iterator[RuleFinding]:
    for store in case.own_stores:
        group = _packages(case.tally.damaged, state, store)
        if group.count:
            copies, are = ("copy", "is") if group.count == 1 else ("copies", "are")
            message = f"{group.count:,} {copies} in {store.state.name} {are} {word} and not yet mended"
            locked = store.state.reachable and store.state.read_only
            command = commands.DOCTOR if locked else _repair(case, store)
            yield found(f"replica.{state}", Severity.ERROR, message, group, command=command, store=store.state.name)


def _repair(case: Case, store: StoreTally) -> str:
    """The repair that mends the copies in a store."""
    foreign = any(copy.foreign for _, copy in case.tally.damaged if copy.store == store.state.name)
    return commands.REPAIR_SET_ASIDE if foreign else commands.REPAIR


def _packages(copies: Sequence[tuple[PackageState, ReplicaState]], state: str, store: StoreTally | None) -> Group:
    """The packages of copies in a state, in one store or anywhere."""
    group = Group()
    for package, copy in copies:
        if copy.state == state and (store is None or copy.store == store.state.name):
            group.add(package)
    return group


def edited(case: Case) -> Iterator[RuleFinding]:
    """Folders that were adopted where they lie are as they were. An edit is not damage."""
    words = ((SUSPECT, "was changed", "were changed"), (MISSING, "is not where it was", "are not where they were"))
    for state, one, several in words:
        group = _packages(case.tally.edited, state, None)
        if group.count:
            message = (
                f"{count_text(group.count, 'adopted folder')} {one if group.count == 1 else several}; "
                "it belongs to a person, is left as it is, and does not count as a copy"
            )
            yield found("adopted.changed", Severity.WARNING, message, group, command=commands.RESCAN)
