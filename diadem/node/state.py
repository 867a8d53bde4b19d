"""What the policy judges: packages and copies from the catalogue, stores as they answer now, the node itself."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterable, Iterator
from datetime import timedelta

from diadem.model.replicas import PackageState
from diadem.model.times import read_time
from diadem.node.context import Context
from diadem.node.rules.engine import judge
from diadem.node.rules.facts import ArchiveState, NodeState
from diadem.node.rules.status import Status

#: How far a clock may lie behind the newest statement.
_SKEW = timedelta(minutes=5)


def judged(context: Context) -> Status:
    """What the policy says of every package, store and of the node itself, and what to do now."""
    with _without_collection():
        return judge(context.policy, archive_state(context), context.clock())


@contextlib.contextmanager
def _without_collection() -> Iterator[None]:
    """No looking for cycles for a second or two: 100,000 values have none, and each look goes through all."""
    wanted = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if wanted:
            gc.enable()


def archive_state(context: Context, packages: Iterable[PackageState] | None = None) -> ArchiveState:
    """Everything the policy asks; `packages` narrows it to some."""
    return ArchiveState(
        packages=context.catalogue.package_states(context.policy.metadata.required) if packages is None else packages,
        stores=context.stores.states(),
        node=node_state(context),
    )


def node_state(context: Context) -> NodeState:
    """What the policy asks of the node itself."""
    return NodeState(
        name=context.settings.name,
        recovery_confirmed=bool(context.settings.recovery_confirmed),
        log_pending=context.ledger.pending(),
        clock_ok=_clock_ok(context),
    )


def _clock_ok(context: Context) -> bool:
    """Whether this machine's clock is not behind what the log already says."""
    size = context.ledger.size
    if not size:
        return True
    last = read_time(str(context.ledger.entry(size - 1).statement.predicate["time"]))
    return last - context.clock() <= _SKEW
