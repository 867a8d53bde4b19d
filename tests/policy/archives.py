"""Archives to judge: a few by hand, and Hypothesis strategies for many."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from hypothesis import strategies as st

from diadem.model.policy import Copies, Parity, Policy
from diadem.model.replicas import (
    DROPPED,
    MISSING,
    PRESENT,
    STORE_KINDS,
    SUSPECT,
    PackageState,
    ReplicaState,
    StoreState,
)
from diadem.policy.case import ArchiveState, NodeState
from diadem.policy.engine import judge
from diadem.policy.status import Status

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
    return f"diadem:{sha256(str(number).encode()).hexdigest()}"


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


#: Kinds of store that may occur, by what matters to a rule. Few draws make many examples.
STORES = [
    StoreState("", kind, place, "/somewhere", reachable=reachable, read_only=read_only, free=free, total=2000 * GB)
    for place in ("own", "own", "p1", None)
    for kind in STORE_KINDS
    for reachable, read_only, free in (
        (True, False, 1000 * GB),
        (True, False, None),
        (True, False, 2 * GB),
        (True, True, 0),
        (False, False, None),
    )
]
_PROOFS = [
    (NOW, "written"),
    (NOW - 10 * DAY, "leaves"),
    (NOW - 200 * DAY, "full"),
    (NOW - 900 * DAY, "server"),
    (NOW + 30 * DAY, "read-back"),
    (NOW, "sampled"),
    (NOW, ""),
    (None, ""),
    (None, "leaves"),
]
#: Copies that may occur: mostly present, ours and proven.
COPIES = [
    ReplicaState("", "2026/x", state, adopted, NOW, proven_at, level, parity=parity, place="p1" if adopted else None)
    for state in (PRESENT, PRESENT, PRESENT, PRESENT, SUSPECT, MISSING, DROPPED)
    for adopted, parity in ((False, False), (False, True), (False, False), (True, False))
    for proven_at, level in _PROOFS
]
NAMES = ("a", "b", "c", "d", "e")


@st.composite
def stores(draw: st.DrawFn) -> list[StoreState]:
    """One to five stores, of which some lie on one disk, some nobody knows where, some do not answer."""
    drawn = draw(st.lists(st.sampled_from(STORES), min_size=1, max_size=5))
    named = zip(NAMES, drawn, strict=False)
    return [
        replace(store, name=name, place=f"own-{name}" if store.place == "own" else store.place) for name, store in named
    ]


@st.composite
def packages(draw: st.DrawFn, names: list[str]) -> list[PackageState]:
    """Up to four packages; copies lie in the stores named, and some where no store is any more."""
    made = []
    copies = st.dictionaries(st.sampled_from([*names, "gone"]), st.sampled_from(COPIES), max_size=4)
    kinds = st.sampled_from(
        [(size, dead, signed) for size in (1, GB, 5 * GB) for dead in (0, 0, 1) for signed in (0, 1)]
    )
    for number, (held, (size, dead, signed)) in enumerate(draw(st.lists(st.tuples(copies, kinds), max_size=4))):
        replicas = [replace(copy, store=name) for name, copy in held.items()]
        made.append(package(number, *replicas, bytes=size, tombstoned=bool(dead), signed=bool(signed)))
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
