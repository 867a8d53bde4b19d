"""What the policy judges: packages and copies from the catalogue, stores as they answer now, the node itself."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import timedelta

from diadem.errors import DiademError
from diadem.model.manifest import PackageId
from diadem.model.replicas import SUSPECT, PackageState, ReplicaState, StoreState
from diadem.model.report import STRANGER
from diadem.model.times import read_time
from diadem.node.context import Context
from diadem.node.mirrors import policy_back
from diadem.policy import engine
from diadem.policy.case import ArchiveState, Case, NodeState, WatchState
from diadem.policy.status import Status
from diadem.policy.tally import counted
from diadem.store.addresses import local_path

#: How far a clock may lie behind the newest statement.
_SKEW = timedelta(minutes=5)


def status_of(
    context: Context, watch: Callable[[], WatchState] | None = None, packages: Iterable[PackageState] | None = None
) -> Status:
    """What the policy says of packages, stores, watched folders and of the node itself, and what to do now.

    `watch` is asked about the watched folders where there are any; `packages` narrows it to some.
    """
    from diadem.node.unlisted import killed_archives, unlisted

    settings, ledger = context.settings, context.ledger
    collecting = gc.isenabled()
    gc.disable()  # for a second or two: among 100,000 values are no cycles, and each look for some goes through all
    try:
        owed = unread = 0
        if packages is None:
            owed, unread = len(context.catalogue.owed()), len(context.catalogue.unread())
            packages = context.catalogue.package_states(context.policy.metadata.required)
        other, lost, fault = ledger.mirrors.superseded(), context.policy_lost(), next(context.key_faults(), None)
        left = unlisted(context, killed_archives(context)) if context.writable else ()
        node = NodeState(
            name=settings.name,
            recovery_confirmed=bool(settings.recovery_confirmed),
            recovery_in_place=settings.recovery_in_place,
            log_pending=ledger.mirrors.pending(),
            owed=owed,
            unread=unread,
            clock_ok=not clock_behind(context),
            superseded=other.message if other else "",
            recover=other.mirror if other else "",
            key_fault=fault.message if fault else "",
            key_back=(fault.next or "") if fault else "",
            policy_lost=lost,
            policy_back=policy_back(context) if lost else "",
            unlisted=tuple((one.path, one.store, one.job.words) for one in left),
            watch=watch() if watch and settings.watched else WatchState(),
        )
        state = ArchiveState(_with_findings(context, packages), _stores(context), node)
        return engine.judge(context.policy, state, context.clock())
    finally:
        if collecting:
            gc.enable()


def clock_behind(context: Context) -> timedelta:
    """By how much this machine's clock is behind what the log already says; nothing where clocks differ as they do."""
    if not (size := context.ledger.size):
        return timedelta(0)
    behind = read_time(str(context.ledger.entry(size - 1).statement.predicate["time"])) - context.clock()
    return behind if behind > _SKEW else timedelta(0)


def case_of_copies(context: Context, package_id: str | None = None) -> Case:
    """The copies of one package, or of all, as the policy looks at them: what `engine` is asked about them alone.

    The node itself is not looked at: no mirror of its log is asked how far it is.
    """
    known = context.catalogue
    packages = known.package_states() if package_id is None else [known.package_state(package_id)]
    state = ArchiveState(_with_findings(context, packages), _stores(context), NodeState(context.settings.name))
    return counted(context.policy, state, context.clock())


def is_well_kept(context: Context, package_id: str) -> bool:
    """Whether the policy wants no further copy of a package, and no damage of it is known."""
    return engine.is_well_kept(case_of_copies(context, package_id))


def stores_wanting(context: Context, package_id: str) -> tuple[list[str], list[str]]:
    """Names of the stores that should get a copy of a package now, by the policy; and of those that are too small."""
    package = context.catalogue.package_state(package_id)
    return engine.stores_wanting(context.policy, _stores(context), package, context.clock())


def _stores(context: Context) -> list[StoreState]:
    """The stores as they answer now, and when each last did."""
    states, answered = context.stores.states(), {}
    if context.writable:  # who reads it from another PC keeps nothing
        answered = context.stores.note_answers(context.folder, context.clock())
    found = []
    for state in states:
        read_only = state.read_only
        if state.reachable and state.is_folder and not read_only:  # tried; a server, which takes a while, is believed
            with contextlib.suppress(DiademError):
                read_only = not context.stores.open(state.name).capabilities().writes
        found.append(replace(state, read_only=read_only, answered=answered.get(state.name)))
    return found


def _with_findings(context: Context, packages: Iterable[PackageState]) -> Iterator[PackageState]:
    """The packages; of copies that are damaged, which are few, also what the log says was found in them."""
    for package in packages:
        if any(copy.state == SUSPECT and not copy.adopted for copy in package.replicas):
            copies = tuple(
                replace(copy, foreign=True) if copy.state == SUSPECT and _is_foreign(context, package, copy) else copy
                for copy in package.replicas
            )
            yield replace(package, replicas=copies)
        else:
            yield package


def _is_foreign(context: Context, package: PackageState, copy: ReplicaState) -> bool:
    """Whether the last check of a copy found files in it that do not belong there, and these can be moved away."""
    if copy.store not in context.stores.names or local_path(context.settings.store(copy.store).url) is None:
        return False
    for entry in reversed(context.ledger.of_subject(PackageId(package.id).hex, ["fixity"])):
        said = entry.statement.predicate
        if said.get("store") == copy.store and said.get("findings"):
            return any(one.get("code") == STRANGER for one in said["findings"] if one.get("package") == package.id)
    return False
