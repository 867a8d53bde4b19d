"""Archives to judge: a few by hand, and Hypothesis strategies for many."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from diadem.model.policy import Copies, Parity, Policy
from diadem.model.replicas import (
    DROPPED,
    MISSING,
    PRESENT,
    REPLICA_STATES,
    STORE_KINDS,
    SUSPECT,
    PackageState,
    ReplicaState,
    StoreState,
)
from diadem.node.rules.engine import judge
from diadem.node.rules.facts import ArchiveState, NodeState
from diadem.node.rules.status import Status

NOW = datetime(2026, 3, 14, 9, 26, 53, tzinfo=UTC)
DAY = timedelta(days=1)
GB = 10**9

MAIN = StoreState("main", "disk", "disk-1", "/data/archive", free=1000 * GB, total=2000 * GB)
TWIN = StoreState("twin", "disk", "disk-1", "/data/second", free=1000 * GB, total=2000 * GB)
NAS = StoreState("nas", "nas", "share-1", "//nas/em", free=4000 * GB, total=8000 * GB)
CLOUD = StoreState("cloud", "offsite", "bucket-1", "s3://bucket/em")
DRAWER = StoreState("drawer", "cold", "disk-9", "/media/drawer", free=1000 * GB, total=2000 * GB)
HAPPY = NodeState("hu-berlin", recovery_confirmed=True)


def identity(number: int) -> str:
    """A package id."""
    return f"diadem:{number * 0x9E3779B97F4A7C15 % 2**256:064x}"


def replica(store: str, age: float | None = 0, **more: Any) -> ReplicaState:
    """A copy whose last proof is `age` days old; None for one that was never proven."""
    facts: dict[str, Any] = {"written_at": NOW - DAY}
    if age is not None:
        facts |= {"proven_at": NOW - age * DAY, "proven_level": "leaves"}
    return ReplicaState(store, "2026/20260314-zno", **(facts | more))


def package(number: int, *replicas: ReplicaState, **more: Any) -> PackageState:
    """A package of 1 GB."""
    facts = {"title": f"ZnO {number}", "bytes": GB, "files": 20, "ingested_at": NOW - DAY, **more}
    return PackageState(identity(number), replicas=replicas, **facts)


def judged(
    packages: Iterable[PackageState],
    stores: Iterable[StoreState],
    policy: Policy | None = None,
    *,
    node: NodeState = HAPPY,
    now: datetime = NOW,
) -> Status:
    """The status of an archive."""
    return judge(policy or Policy(), ArchiveState(list(packages), list(stores), node), now)


def found(status: Status, rule: str) -> list[str]:
    """What was found about a rule."""
    return [finding.message for finding in status.findings if finding.rule == rule]


NAMES = ("a", "b", "c", "d", "e")


@st.composite
def stores(draw: st.DrawFn) -> list[StoreState]:
    """One to five stores, of which some lie on one disk, some nobody knows where, some do not answer."""
    names = NAMES[: draw(st.integers(1, 5))]
    return [
        StoreState(
            name,
            draw(st.sampled_from(STORE_KINDS)),
            draw(st.sampled_from([None, "p1", "p2", "p3"])) if draw(st.booleans()) else f"own-{name}",
            f"/stores/{name}",
            reachable=draw(st.sampled_from([True, True, True, False])),
            free=draw(st.sampled_from([None, 0, 3 * GB, 1000 * GB])),
            total=2000 * GB,
            read_only=draw(st.sampled_from([False, False, False, True])),
        )
        for name in names
    ]


def replicas(store: str) -> st.SearchStrategy[ReplicaState]:
    """A copy in a store, in any state, proven in any way or not at all."""
    times = st.sampled_from([None, NOW, NOW - 10 * DAY, NOW - 200 * DAY, NOW - 900 * DAY, NOW + 30 * DAY])
    levels = st.sampled_from(["written", "server", "read-back", "leaves", "full", "sampled", "quick", "earlier", ""])
    states = st.sampled_from([PRESENT, PRESENT, PRESENT, *REPLICA_STATES])
    return st.builds(
        ReplicaState,
        store=st.just(store),
        path=st.just("2026/x"),
        state=states,
        adopted=st.sampled_from([False, False, False, True]),
        proven_at=times,
        proven_level=levels,
        parity=st.booleans(),
        place=st.sampled_from([None, None, "p1"]),
    )


@st.composite
def packages(draw: st.DrawFn, names: list[str]) -> list[PackageState]:
    """Up to six packages; copies lie in the stores named, and some where no store is any more."""
    made = []
    for number in range(draw(st.integers(0, 6))):
        where = draw(st.lists(st.sampled_from([*names, "gone"]), unique=True, max_size=5))
        copies = tuple(draw(replicas(name)) for name in where)
        more = {"tombstoned": draw(st.sampled_from([False, False, False, True])), "signed": draw(st.booleans())}
        made.append(package(number, *copies, bytes=draw(st.sampled_from([1, GB, 5 * GB])), **more))
    return made


policies = st.builds(
    Policy,
    copies=st.builds(
        Copies,
        minimum=st.integers(1, 4),
        kinds=st.dictionaries(st.sampled_from(STORE_KINDS), st.integers(1, 2), max_size=2),
        adopted_counts=st.booleans(),
    ),
    parity=st.builds(Parity, enabled=st.booleans(), stores=st.sampled_from([(), ("a",), ("a", "b")])),
)


@st.composite
def archives(draw: st.DrawFn) -> tuple[Policy, list[PackageState], list[StoreState]]:
    """A policy, packages and stores."""
    its_stores = draw(stores())
    return draw(policies), draw(packages([store.name for store in its_stores])), its_stores


def with_copy(state: PackageState, new: ReplicaState) -> PackageState:
    """The package with one more copy, or another in place of the one in the same store."""
    others = tuple(copy for copy in state.replicas if copy.store != new.store)
    return replace(state, replicas=(*others, new))


__all__ = ["DROPPED", "MISSING", "PRESENT", "SUSPECT"]
