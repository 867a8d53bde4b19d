"""What the policy judges: packages and copies from the catalogue, stores as they answer now, the node itself."""

from __future__ import annotations

import contextlib
import gc
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from diadem.errors import DiademError
from diadem.model.replicas import PackageState, StoreState
from diadem.model.times import read_time, time_text
from diadem.node.context import Context
from diadem.node.mirroring import policy_back, policy_lost
from diadem.node.rules.engine import judge
from diadem.node.rules.facts import ArchiveState, NodeState
from diadem.node.rules.status import Status
from diadem.store.whole import write_whole

#: In the node's folder: when each store, by its id, last answered.
ANSWERED_FILE: Final = "answered.json"
_ANSWERED: Final = "diadem-answered/1"
#: What is kept may be older than what is known by this much: a node is opened many times an hour.
_OFTEN: Final = timedelta(minutes=10)
#: How far a clock may lie behind the newest statement.
_SKEW = timedelta(minutes=5)


def judged(context: Context) -> Status:
    """What the policy says of every package, store and of the node itself, and what to do now."""
    with _without_collection():
        return judge(context.policy, archive_state(context), context.clock())


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
    states, answered = context.stores.states(), note_answers(context)
    return ArchiveState(
        packages=context.catalogue.package_states(context.policy.metadata.required) if packages is None else packages,
        stores=[replace(_tried(context, state), answered=answered.get(state.name)) for state in states],
        node=node_state(context),
    )


def note_answers(context: Context) -> dict[str, datetime]:
    """When each store last answered, by its name; kept in the node, since a store that is away cannot say so itself.

    A store of which nothing is known, because the file was lost or a clock was ahead, counts from now on: an alarm
    comes later by once the time that the policy allows, and it comes.
    """
    path, now = context.folder / ANSWERED_FILE, context.clock()
    if not context.writable:
        return {}  # it is read from another PC, which keeps nothing
    kept = _answers(path)
    noted: dict[str, datetime] = {}
    for store in context.stores:
        at, ago = kept.get(store.id), context.stores.last_answer(store.name)
        known = [now - timedelta(seconds=ago)] if ago is not None else []
        known += [at] if at is not None and at <= now else []
        noted[store.id] = max(known, default=now)
    if kept.keys() != noted.keys() or any(noted[name] - kept[name] > _OFTEN or kept[name] > now for name in noted):
        document = {"format": _ANSWERED, "stores": {name: time_text(at) for name, at in noted.items()}}
        with contextlib.suppress(OSError, DiademError):  # the node's disk is full or read-only: others say that
            write_whole(path, (json.dumps(document, indent=2) + "\n").encode())
    return {store.name: noted[store.id] for store in context.stores}


def _answers(path: Path) -> dict[str, datetime]:
    """What was kept; empty where it cannot be understood."""
    try:
        stores = json.loads(path.read_bytes())["stores"]
        return {str(name): read_time(at) for name, at in stores.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, DiademError):
        return {}


def _tried(context: Context, state: StoreState) -> StoreState:
    """The store, and whether it can be written: a folder is tried, a server, which would take a while, is believed."""
    if state.reachable and state.is_folder and not state.read_only:
        with contextlib.suppress(DiademError):
            return replace(state, read_only=not context.stores.open(state.name).capabilities().writes)
    return state


def node_state(context: Context) -> NodeState:
    """What the policy asks of the node itself."""
    other, lost = context.ledger.superseded(), policy_lost(context)
    return NodeState(
        name=context.settings.name,
        recovery_confirmed=bool(context.settings.recovery_confirmed),
        log_pending=context.ledger.pending(),
        clock_ok=_clock_ok(context),
        superseded=other.message if other else "",
        recover=other.mirror if other else "",
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
