"""The states of a transfer: whatever happens in whatever order, only legal steps are taken."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diadem.errors import Refused
from diadem.model.transfers import NEXT, OVER, STRAIGHT, Rule, State, ceiling, step, summary, way

STATES = st.sampled_from(list(State))


@given(st.lists(STATES, max_size=12))
def test_any_order_of_events_takes_only_legal_steps(events: list[State]) -> None:
    now = State.DRAFTED
    for event in events:
        try:
            steps = way(now, event)
        except Refused:
            continue
        for one in steps:
            assert one in NEXT[now]
            now = one
        assert now is event
        assert State.RECEIVED not in NEXT or NEXT[State.RECEIVED] == {State.CLOSED}


@given(STATES, STATES)
def test_a_step_is_refused_or_legal(state: State, to: State) -> None:
    if to in NEXT[state]:
        assert step(state, to) is to
    else:
        with pytest.raises(Refused):
            step(state, to)


def test_no_end_is_left_and_what_was_received_cannot_be_undone() -> None:
    assert {State.CLOSED, State.DECLINED, State.EXPIRED, State.REVOKED, State.CANCELLED} == OVER
    for ended in (State.REVOKED, State.FAILED, State.CANCELLED):
        assert ended not in NEXT[State.RECEIVED]
        assert all(ended in NEXT[state] for state in STRAIGHT[:-2])
    assert State.TRANSFERRING not in NEXT[State.OFFERED], "no byte before the acceptance"
    assert way(State.ACCEPTED, State.RECEIVED) == (State.TRANSFERRING, State.VERIFYING, State.RECEIVED)
    assert way(State.FAILED, State.VERIFYING) == (State.TRANSFERRING, State.VERIFYING)


@given(st.integers(0, 10**15))
def test_the_ceiling_leaves_room_for_what_is_sent_again(size: int) -> None:
    assert size + (64 << 20) <= ceiling(size) <= size * 1.03 + (64 << 20)


def test_a_rule_fits_by_sender_size_project_and_time() -> None:
    now = datetime.datetime(2026, 3, 14, tzinfo=datetime.UTC)
    rule = Rule("r", "*@hu-berlin", 1000, "ZnO", now, "marie@nmi")
    offer: dict[str, Any] = {"sender": "alice@hu-berlin", "node": "ab" * 32, "size": 1000, "project": "ZnO"}
    before = now - datetime.timedelta(seconds=1)
    assert rule.fits(**offer, at=before)
    assert not rule.fits(**offer, at=now)
    wrongs: list[dict[str, Any]] = [{"sender": "alice@hu"}, {"size": 1001}, {"project": ""}]
    for wrong in wrongs:
        assert not rule.fits(**{**offer, **wrong}, at=before)
    assert Rule("r", "ab" * 32, 1000, "", None, "marie@nmi").fits(**offer, at=now)


def test_what_deserves_a_look() -> None:
    assert summary(0, 0, 0) == ""
    assert summary(0, 0, 0, 0, 2) == "2 accepted packages not here yet"
    assert summary(1, 2, 0) == "1 offer to answer, 2 packages sent without a receipt"
