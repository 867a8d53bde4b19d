"""What the policy judges: packages and copies from the catalogue, stores as they answer now, the node itself."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Collection, Iterable, Iterator
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
from diadem.policy.case import ArchiveState, NodeState, WatchState
from diadem.policy.engine import judge
from diadem.policy.status import Action, Status
from diadem.store.addresses import local_path

#: How far a clock may lie behind the newest statement.
_SKEW = timedelta(minutes=5)


def status_of(context: Context, watch: WatchState, packages: Iterable[PackageState] | None = None) -> Status:
    """What the policy says of packages, stores, watched folders and of the node itself, and what to do now."""
    from diadem.node.unlisted import killed_archives, unlisted

    with _without_collection():
        state = archive_state(context, packages)
        found = unlisted(context, killed_archives(context)) if context.writable else ()
        left = tuple((one.path, one.store, one.job.words) for one in found)
        node = replace(state.node, watch=watch, unlisted=left)
        return judge(context.policy, replace(state, node=node), context.clock())


@contextlib.contextmanager
def _without_collection() -> Iterator[None]:
    """No looking for cycles for a second or two: among 100,000 values are none, and each look goes through all."""
    wanted = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if wanted:
            gc.enable()


def archive_state(context: Context, packages: Iterable[PackageState] | None = None) -> ArchiveState:
    """Everything the policy asks; `packages` narrows it to some."""
    if packages is None:
        packages = context.catalogue.package_states(context.policy.metadata.required)
    return ArchiveState(_with_findings(context, packages), _stores(context), node_state(context))


def copy_actions(context: Context, package_id: str | None = None) -> tuple[Action, ...]:
    """What is to be done now for good copies of one package, or of all: mended, copied, given parity.

    The node itself is not looked at: no mirror of its log is asked how far it is.
    """
    return engine.copy_actions(context.policy, _copies(context, package_id), context.clock())


def still_wanted(context: Context, package_id: str | None = None, told: Collection[str] = ()) -> tuple[str, ...]:
    """What the policy still wants of the copies of one package, or of all, and why it cannot be done now."""
    return engine.wanting_of(context.policy, _copies(context, package_id), context.clock(), told)


def _copies(context: Context, package_id: str | None) -> ArchiveState:
    known = context.catalogue
    packages = known.package_states() if package_id is None else [known.package_state(package_id)]
    return ArchiveState(_with_findings(context, packages), _stores(context), NodeState(context.settings.name))


def stores_wanting(context: Context, package_id: str) -> list[str]:
    """Names of the stores that should get a copy of a package now, by the policy: as few as it needs."""
    package = context.catalogue.package_state(package_id)
    return engine.stores_wanting(context.policy, _stores(context), package, context.clock())


def _stores(context: Context) -> list[StoreState]:
    """The stores as they answer now, and when each last did."""
    states, answered = context.stores.states(), {}
    if context.writable:  # who reads it from another PC keeps nothing
        answered = context.stores.note_answers(context.folder, context.clock())
    return [replace(_tried(context, state), answered=answered.get(state.name)) for state in states]


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


def _tried(context: Context, state: StoreState) -> StoreState:
    """The store, and whether it can be written to: a folder is tried; a server, which takes a while, is believed."""
    if state.reachable and state.is_folder and not state.read_only:
        with contextlib.suppress(DiademError):
            return replace(state, read_only=not context.stores.open(state.name).capabilities().writes)
    return state


def node_state(context: Context) -> NodeState:
    """What the policy asks of the node itself."""
    other, lost = context.ledger.superseded(), context.policy_lost()
    return NodeState(
        name=context.settings.name,
        recovery_confirmed=bool(context.settings.recovery_confirmed),
        recovery_in_place=context.settings.recovery_in_place,
        log_pending=context.ledger.pending(),
        clock_ok=_clock_ok(context),
        superseded=other.message if other else "",
        recover=other.mirror if other else "",
        key_fault=fault.message if (fault := next(context.key_faults(), None)) else "",
        key_back=(fault.next or "") if fault else "",
        policy_lost=lost,
        policy_back=policy_back(context) if lost else "",
    )


def _clock_ok(context: Context) -> bool:
    """Whether this machine's clock is not behind what the log already says."""
    size = context.ledger.size
    if not size:
        return True
    last = read_time(str(context.ledger.entry(size - 1).statement.predicate["time"]))
    return last - context.clock() <= _SKEW
