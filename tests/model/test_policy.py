"""Policy, copies and stores as values."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

import pytest

from diadem.model.policy import Copies, Parity, Policy, Retention, Scrub
from diadem.model.replicas import DROPPED, MISSING, PRESENT, SUSPECT, PackageState, ReplicaState, StoreState

NOW = datetime(2026, 3, 14, 9, 26, 53, 123456, tzinfo=UTC)


def test_the_default_wants_two_copies_read_every_ninety_days_kept_for_ten_years() -> None:
    policy = Policy()
    assert policy.copies == Copies(minimum=2, kinds={}, adopted_counts=True)
    assert policy.scrub.interval_for("disk") == timedelta(days=90)
    assert policy.scrub.interval_for("cold") == timedelta(days=365)
    assert policy.retention.years == 10
    assert policy.access.default == "private"
    assert not policy.parity.enabled


def test_an_interval_of_a_kind_goes_before_the_general_one() -> None:
    scrub = Scrub(interval=timedelta(days=30), kinds={"object": timedelta(days=7)})
    assert scrub.interval_for("object") == timedelta(days=7)
    assert scrub.interval_for("cold") == timedelta(days=30)


def test_parity_is_wanted_on_the_stores_named_or_on_all() -> None:
    assert Parity(enabled=True).wanted_on("anything")
    assert Parity(enabled=True, stores=("nas",)).wanted_on("nas")
    assert not Parity(enabled=True, stores=("nas",)).wanted_on("main")
    assert not Parity(enabled=False, stores=("nas",)).wanted_on("nas")


@pytest.mark.parametrize(
    ("begin", "years", "end"),
    [
        (datetime(2026, 3, 14, 9, tzinfo=UTC), 10, datetime(2036, 3, 14, 9, tzinfo=UTC)),
        (datetime(2024, 2, 29, tzinfo=UTC), 10, datetime(2034, 3, 1, tzinfo=UTC)),
        (datetime(2024, 2, 29, tzinfo=UTC), 4, datetime(2028, 2, 29, tzinfo=UTC)),
        (datetime(2026, 3, 14, tzinfo=UTC), 0, datetime(2026, 3, 14, tzinfo=UTC)),
    ],
)
def test_retention_ends_on_the_same_day(begin: datetime, years: int, end: datetime) -> None:
    assert Retention(years).ends(begin) == end


def test_a_policy_is_plain_json() -> None:
    document = Policy(copies=Copies(kinds={"offsite": 1})).to_dict()
    assert json.loads(json.dumps(document)) == document
    assert document["copies"] == {"minimum": 2, "kinds": {"offsite": 1}, "adopted_counts": True}
    assert document["scrub"]["interval"] == 90 * 86400
    assert document["transfer"]["allow"] == [{"who": "owner", "to": "*", "route": "auto", "custody": True}]


@pytest.mark.parametrize("level", ["written", "server", "read-back", "leaves", "full"])
def test_a_copy_is_proven_when_every_byte_was_hashed(level: str) -> None:
    assert ReplicaState("main", "x", proven_at=NOW, proven_level=level).proven


@pytest.mark.parametrize("level", ["", "quick", "sampled", "earlier", "none", "LEAVES"])
def test_anything_less_is_no_proof(level: str) -> None:
    assert not ReplicaState("main", "x", proven_at=NOW, proven_level=level).proven
    assert not ReplicaState("main", "x", proven_level="leaves").proven


@pytest.mark.parametrize("state", [SUSPECT, MISSING, DROPPED])
def test_what_is_damaged_or_gone_is_not_proven(state: str) -> None:
    assert not ReplicaState("main", "x", state, proven_at=NOW, proven_level="leaves").proven


def test_states_are_plain_json() -> None:
    copy = ReplicaState("main", "2026/x", PRESENT, written_at=NOW, proven_at=NOW, proven_level="written")
    state = PackageState("diadem:" + "0" * 64, "ZnO", 7, 2, None, (copy,), date=date(2026, 3, 14))
    document = json.loads(json.dumps(state.to_dict()))
    assert document["replicas"][0]["proven_at"] == "2026-03-14T09:26:53Z"
    assert document["ingested_at"] is None
    assert document["date"] == "2026-03-14"
    store = json.loads(json.dumps(StoreState("main", "disk", None, "/data").to_dict()))
    assert store["name"] == "main"
    assert store["place"] is None
