"""What a repair cannot do now, and what it waits for: a store that is away, a larger one, a scrub."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from diadem.model.plain_text import count_text
from diadem.policy import commands
from diadem.policy.case import Case, listed
from diadem.policy.tally import Group


def wanting(case: Case, told: Collection[str] = ()) -> Iterator[str]:
    """Why the copies rules do not hold although everything was done that can be done now.

    Parameters
    ----------
    case : Case
        As it is after a repair.
    told : collection of str
        Ids of packages of which it was said already that nothing is left of them.
    """
    for kind, group in sorted(case.debts.places.items()):
        of_kind = f" on a store of kind {kind}" if kind else ""
        yield f"{_lack(group)}{of_kind}; {_no_place(case, kind)}"
    if case.debts.stranded.count:
        yield f"{_lack(case.debts.stranded)}; none that is left can be read now{_away(case)}"
    yield from _out_of_reach(case)
    if case.tally.short or case.tally.lacking:
        yield from _never_read(case)
    for package in case.tally.lost:
        if package.id not in told:
            yield f"no copy of {package.id[:19]}… is left in any store: {commands.write_off(package.id)}"


def _lack(group: Group) -> str:
    return f"{count_text(group.count, 'package')} {'lacks' if group.count == 1 else 'lack'} a copy"


def _no_place(case: Case, kind: str) -> str:
    """Why there is no store to go to."""
    store = "no store of that kind" if kind else "no store on another disk"
    if away := case.absent(kind):
        return f"{store} answers ({listed(away)} {'is' if len(away) == 1 else 'are'} away)"
    if obstacles := list(case.obstacles()):
        return f"{store} can take it ({', '.join(obstacles)})"
    return f"the node has {store}: {commands.add_store(kind)}"


def _away(case: Case) -> str:
    away = [store.state.name for store in case.own_stores if not store.state.reachable]
    return f" ({listed(away)} {'is' if len(away) == 1 else 'are'} away)" if away else ""


def _out_of_reach(case: Case) -> Iterator[str]:
    """Copies that are to be mended where nothing can be mended now."""
    counts: dict[str, int] = {}
    for _, copy in case.tally.damaged:
        counts[copy.store] = counts.get(copy.store, 0) + 1
    for name, count in counts.items():
        state = case.tally.stores[name].state
        if not state.reachable or state.read_only:
            why = "cannot be written to" if state.reachable else "does not answer"
            are = "is" if count == 1 else "are"
            yield f"{count_text(count, 'copy', 'copies')} in {name} {are} damaged or missing, and {name} {why}"


def _never_read(case: Case) -> Iterator[str]:
    """Copies that may be good, and that nobody has read."""
    for store in case.own_stores:
        if count := store.unproven.count:
            were = "was" if count == 1 else "were"
            copies = f"{count_text(count, 'copy', 'copies')} in {store.state.name} {were} never read"
            yield f"{copies}: {commands.scrub(store)}" if store.state.reachable else f"{copies}, and it is away"
