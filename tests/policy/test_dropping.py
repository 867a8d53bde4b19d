"""Giving copies up: nothing ever leads to a package without a proven copy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.model.policy import Copies, Policy, Retention
from diadem.model.replicas import DROPPED, MISSING, PRESENT, SUSPECT, PackageState, ReplicaState, StoreState
from diadem.policy.drop import FRESH, DropDecision, FreshProof, may_delete, may_drop
from tests.policy.archives import CLOUD, DAY, MAIN, NAS, NOW, TWIN, package, replica

THREE = package(1, replica("main"), replica("nas"), replica("cloud"))
TWO = package(1, replica("main"), replica("nas"))
ONE = Policy(copies=Copies(minimum=1))
HOUR = timedelta(hours=1)


def read(*names: str, at: datetime = NOW, level: str = "leaves") -> list[FreshProof]:
    """Copies that were read whole just now."""
    return [FreshProof(name, level, at) for name in names]


def drop(
    its_package: PackageState,
    store: str,
    proofs: Sequence[FreshProof],
    *,
    policy: Policy | None = None,
    stores: Sequence[StoreState] = (MAIN, NAS, CLOUD),
    reason: str = "disk full",
    below_policy: bool = False,
) -> DropDecision:
    """The verdict on one drop."""
    chosen = policy or Policy()
    return may_drop(chosen, its_package, store, NOW, proofs, stores=stores, reason=reason, below_policy=below_policy)


def test_a_third_copy_may_go_when_another_was_just_read() -> None:
    verdict = drop(THREE, "main", read("nas"))
    assert verdict.allowed
    assert verdict.reasons == ("read whole just now, and right: nas",)


@pytest.mark.parametrize("level", ["leaves", "full"])
def test_both_whole_readings_prove(level: str) -> None:
    assert drop(THREE, "main", read("nas", level=level)).allowed


@pytest.mark.parametrize(
    "proof",
    [
        FreshProof("nas", "quick", NOW),
        FreshProof("nas", "written", NOW),
        FreshProof("nas", "leaves", NOW, sampled=True),
        FreshProof("nas", "leaves", NOW, ok=False),
        FreshProof("nas", "leaves", NOW - FRESH - timedelta(seconds=1)),
        FreshProof("nas", "leaves", NOW + timedelta(seconds=1)),
        FreshProof("main", "full", NOW),
        FreshProof("elsewhere", "full", NOW),
    ],
)
def test_nothing_less_than_a_whole_fresh_reading_of_another_copy_proves(proof: FreshProof) -> None:
    verdict = drop(THREE, "main", [proof])
    assert not verdict.allowed
    assert "was just read whole" in verdict.reasons[0]
    assert verdict.next == "See why: diadem scrub nas and diadem scrub cloud"


def test_a_reading_that_found_damage_counts_more_than_one_that_did_not() -> None:
    readings = [FreshProof("nas", "leaves", NOW - HOUR), FreshProof("nas", "quick", NOW, ok=False)]
    assert not drop(THREE, "main", readings).allowed


def test_without_any_reading_nothing_goes() -> None:
    assert not drop(THREE, "main", []).allowed


def test_the_only_copy_never_goes() -> None:
    only = package(1, replica("main"))
    for below_policy in (False, True):
        verdict = drop(only, "main", read("main"), policy=ONE, below_policy=below_policy)
        assert not verdict.allowed
        assert verdict.reasons[0] == "it is the only copy"


def test_of_the_last_two_both_must_have_been_read() -> None:
    assert drop(TWO, "main", read("nas", "main"), policy=ONE).allowed
    verdict = drop(TWO, "main", read("nas"), policy=ONE)
    assert not verdict.allowed
    assert "one of the last two" in verdict.reasons[0]
    assert verdict.next == "See why: diadem scrub main"


@pytest.mark.parametrize("state", [SUSPECT, MISSING])
def test_a_damaged_copy_may_go_when_another_was_just_read(state: str) -> None:
    damaged = package(1, replica("main", state=state), replica("nas"))
    assert drop(damaged, "main", read("nas")).allowed
    assert not drop(damaged, "nas", read("nas", "main"), policy=ONE).allowed


def test_the_copies_of_the_policy_stay_also_after_the_retention() -> None:
    verdict = drop(TWO, "main", read("nas", "main"))
    assert not verdict.allowed
    assert verdict.reasons == ("1 proven copy would remain; the policy wants 2",)
    assert drop(TWO, "main", read("nas", "main"), below_policy=True).allowed
    old = replace(TWO, ingested_at=NOW - 11 * 366 * DAY)
    assert not drop(old, "main", read("nas", "main")).allowed


def test_without_a_day_of_archiving_the_retention_is_not_over() -> None:
    assert not drop(replace(TWO, ingested_at=None), "main", read("nas", "main")).allowed


def test_the_kinds_of_the_policy_stay() -> None:
    policy = Policy(copies=Copies(minimum=2, kinds={"offsite": 1}))
    assert drop(THREE, "main", read("nas"), policy=policy).allowed
    verdict = drop(THREE, "cloud", read("nas"), policy=policy)
    assert verdict.reasons == ("0 of 1 copies on a store of kind offsite would remain",)
    assert verdict.next.endswith("--kind offsite")


def test_a_copy_on_the_same_disk_is_no_other_copy() -> None:
    twins = package(1, replica("main"), replica("twin"))
    verdict = drop(twins, "main", read("main", "twin"), policy=ONE, stores=[MAIN, TWIN])
    assert not verdict.allowed
    assert "on the same disk" in verdict.reasons[0]


def test_where_nobody_knows_the_disks_they_may_be_one() -> None:
    nowhere = [replace(MAIN, place=None), replace(NAS, place=None)]
    assert not drop(TWO, "main", read("main", "nas"), policy=ONE, stores=nowhere).allowed


def test_a_copy_on_the_disk_of_another_one_may_go_without_making_fewer() -> None:
    three = package(1, replica("main"), replica("twin"), replica("nas"))
    assert drop(three, "twin", read("nas"), stores=[MAIN, TWIN, NAS]).allowed


def test_an_adopted_folder_is_no_copy_to_rely_on() -> None:
    adopted = package(1, replica("main"), replica("adopted", adopted=True, place="disk-7"))
    verdict = drop(adopted, "main", read("main", "adopted"), policy=ONE)
    assert verdict.reasons == ("it is the only copy",)


def test_a_copy_in_a_store_that_is_none_of_ours_is_no_own_copy() -> None:
    assert not drop(THREE, "main", read("nas", "cloud"), stores=[MAIN]).allowed


@pytest.mark.parametrize("reason", ["", "  ", "\n"])
def test_a_reason_is_needed(reason: str) -> None:
    verdict = drop(THREE, "main", read("nas"), reason=reason)
    assert verdict.reasons == ("no reason is given",)


@pytest.mark.parametrize(
    ("its_package", "store"),
    [
        (THREE, "elsewhere"),
        (package(1, replica("main", state=DROPPED), replica("nas"), replica("cloud")), "main"),
        (package(1, replica("main", adopted=True), replica("nas"), replica("cloud")), "main"),
        (replace(THREE, tombstoned=True), "main"),
    ],
)
def test_what_is_not_there_cannot_go(its_package: PackageState, store: str) -> None:
    assert not drop(its_package, store, read("nas", "cloud")).allowed


def test_the_proofs_are_told_as_a_statement_names_them() -> None:
    assert read("nas")[0].to_dict() == {"store": "nas", "level": "leaves", "at": "2026-03-14T09:26:53Z"}
    assert drop(THREE, "main", read("nas")).to_dict()["allowed"] is True


# -- deleting ------------------------------------------------------------------------------------------------------


def test_a_package_is_kept_until_its_retention_is_over() -> None:
    verdict = may_delete(Policy(), TWO, NOW, reason="duplicate")
    assert not verdict.allowed
    assert verdict.reasons == ("the policy keeps it until 2036-03-13: 10 years from the day of archiving",)
    assert may_delete(Policy(), replace(TWO, ingested_at=NOW - 11 * 366 * DAY), NOW, reason="duplicate").allowed
    assert may_delete(Policy(retention=Retention(0)), TWO, NOW, reason="duplicate").allowed


def test_to_the_second() -> None:
    ends = Policy().retention.ends(NOW)
    kept = replace(TWO, ingested_at=NOW)
    assert not may_delete(Policy(), kept, ends - timedelta(seconds=1), reason="x").allowed
    assert may_delete(Policy(), kept, ends, reason="x").allowed


def test_what_has_no_date_no_reason_or_is_gone_is_not_deleted() -> None:
    forgiving = Policy(retention=Retention(0))
    assert not may_delete(forgiving, replace(TWO, ingested_at=None), NOW, reason="x").allowed
    assert not may_delete(forgiving, TWO, NOW, reason=" ").allowed
    assert not may_delete(forgiving, replace(TWO, tombstoned=True), NOW, reason="x").allowed


# -- whatever is tried ---------------------------------------------------------------------------------------------


STORES = [
    StoreState(name, "disk", place, f"/{name}") for name, place in zip("abcd", ("1", "2", "2", None), strict=True)
]
NAMES = [store.name for store in STORES]
#: What may be done to an archive: read copies honestly, claim what is no proof, drop, wait, lose bits unseen.
EVENTS = st.one_of(
    st.tuples(st.just("read"), st.sampled_from(NAMES)),
    st.tuples(st.just("drop"), st.sampled_from(NAMES)),
    st.tuples(st.just("claim"), st.sampled_from(NAMES)),
    st.tuples(st.just("rot"), st.sampled_from(NAMES)),
)


class Disks:
    """What really lies on the disks, and what is believed of it."""

    def __init__(self, held: dict[str, tuple[str, bool]], policy: Policy) -> None:
        self.intact = {name for name, (state, right) in held.items() if right and state == PRESENT}
        copies = (
            ReplicaState(name, "x", state, proven_at=NOW, proven_level="leaves") for name, (state, _) in held.items()
        )
        self.package = package(1, *copies)
        self.policy, self.now, self.proofs = policy, NOW, list[FreshProof]()

    def event(self, kind: str, name: str) -> None:
        """Something happens."""
        held = {copy.store: copy for copy in self.package.replicas if copy.state == PRESENT}
        self.now += HOUR / 60
        if kind == "read" and name in held:
            self.proofs.append(FreshProof(name, "leaves", self.now, ok=name in self.intact))
        elif kind == "claim":
            self.proofs.append(FreshProof(name, "leaves", self.now, sampled=True))
            self.proofs.append(FreshProof(name, "quick", self.now))
            self.proofs.append(FreshProof(name, "leaves", self.now + DAY))
        elif kind == "rot":  # what rots after it was read is found by nobody until the reading is no longer fresh
            self.now += FRESH + DAY + HOUR
            self.intact -= {name} if len(self.intact) > 1 else set()
        elif (
            kind == "drop"
            and may_drop(
                self.policy, self.package, name, self.now, self.proofs, stores=STORES, reason="x", below_policy=True
            ).allowed
        ):
            self.intact -= {name}
            copies = (replace(c, state=DROPPED) if c.store == name else c for c in self.package.replicas)
            self.package = replace(self.package, replicas=tuple(copies))


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(NAMES), st.tuples(st.sampled_from([PRESENT, PRESENT, SUSPECT]), st.booleans()), min_size=1
    ),
    st.lists(EVENTS, max_size=25),
    st.integers(1, 3),
)
def test_no_sequence_of_drops_leaves_a_package_without_an_intact_copy(
    held: dict[str, tuple[str, bool]], events: list[tuple[str, str]], minimum: int
) -> None:
    disks = Disks(held, Policy(copies=Copies(minimum=minimum)))
    if not disks.intact:
        return
    for kind, name in events:
        disks.event(kind, name)
        assert disks.intact


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.sampled_from(NAMES), st.tuples(st.just(PRESENT), st.just(True)), min_size=1),
    st.lists(st.sampled_from(NAMES), max_size=8),
    st.integers(1, 3),
)
def test_without_leave_no_drop_breaks_the_policy(
    held: dict[str, tuple[str, bool]], drops: list[str], minimum: int
) -> None:
    policy = Policy(copies=Copies(minimum=minimum))
    copies = {name: ReplicaState(name, "x", PRESENT, proven_at=NOW, proven_level="leaves") for name in held}
    its_package = package(1, *copies.values())
    places = {store.name: store.place for store in STORES}
    for name in drops:
        before = {places[copy.store] for copy in its_package.replicas if copy.state == PRESENT}
        if not drop(its_package, name, read(*NAMES), policy=policy, stores=STORES).allowed:
            continue
        dropped = (replace(c, state=DROPPED) if c.store == name else c for c in its_package.replicas)
        its_package = replace(its_package, replicas=tuple(dropped))
        after = {places[copy.store] for copy in its_package.replicas if copy.state == PRESENT}
        assert len(after) >= min(minimum, len(before))
        assert len(after) >= 1
