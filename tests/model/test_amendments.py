"""Which amendments hold: the outcome is that of what follows what, not of the order in which anything arrives."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.model.amendments import Amendment, Change, Corrections
from diadem.model.effective import effective_record
from diadem.model.record import Dataset, Datasets, Record
from diadem.serialization.validation import validate_dataset

PROPERTY = settings(max_examples=100, derandomize=True, deadline=None)
FIELDS = ("sample.name", "sample.identifier")
OWNER = "alice@a"


@st.composite
def changes(draw: st.DrawFn) -> tuple[Change, ...]:
    made = [
        Change(draw(st.sampled_from(FIELDS)), draw(st.sampled_from(["", "d1", "d2"])), draw(st.sampled_from("ABC")))
        for _ in range(draw(st.integers(1, 3)))
    ]
    return tuple(made)


@st.composite
def said(draw: st.DrawFn) -> list[Amendment]:
    """Amendments of two people; each follows any earlier ones, or none, perhaps one that is not here."""
    found: list[Amendment] = []
    for order in range(draw(st.integers(0, 10))):
        earlier = [one.statement_id for one in found]
        found.append(
            Amendment(
                statement_id=f"{order:064x}",
                order=order,
                by=draw(st.sampled_from([OWNER, OWNER, "bob@a"])),
                predecessor=draw(st.sampled_from(["", "f" * 64, *earlier])),
                joins=tuple(draw(st.lists(st.sampled_from(earlier), max_size=2, unique=True))) if earlier else (),
                changes=draw(changes()),
            )
        )
    return found


def outcome(found: list[Amendment]) -> object:
    corrections = Corrections(found, OWNER)
    return [corrections.decide(field, dataset) for field in FIELDS for dataset in ("", "d1", "d2")]


@PROPERTY
@given(said(), st.randoms(use_true_random=False))
def test_order_and_repetition_do_not_matter(found: list[Amendment], chance: random.Random) -> None:
    again = [*found, *found[::2]]
    chance.shuffle(again)
    assert outcome(again) == outcome(found)


@PROPERTY
@given(st.lists(changes(), max_size=8))
def test_in_a_chain_the_last_word_holds(made: list[tuple[Change, ...]]) -> None:
    chain = [
        Amendment(f"{order:064x}", order, OWNER, f"{order - 1:064x}" if order else "", one)
        for order, one in enumerate(made)
    ]
    corrections = Corrections(chain, OWNER)
    assert not corrections.conflicts()
    assert not corrections.forks()
    for field in FIELDS:
        for dataset in ("", "d1", "d2"):
            words = [one for amendment in chain if (one := amendment.on(field, dataset)) is not None]
            chosen = corrections.decide(field, dataset).chosen
            assert (chosen.change if chosen else None) == (words[-1] if words else None)


@PROPERTY
@given(said())
def test_others_change_nothing_and_rivals_differ(found: list[Amendment]) -> None:
    own = [one for one in found if one.by == OWNER]
    with_all, alone = Corrections(found, OWNER), Corrections(own, OWNER)
    for field in FIELDS:
        for dataset in ("", "d1", "d2"):
            decision = with_all.decide(field, dataset)
            assert decision.chosen == alone.decide(field, dataset).chosen
            assert {one.amendment.by for one in decision.extras} <= {"bob@a"}
            if decision.rivals:
                assert len({one.change.value for one in decision.rivals}) > 1
                assert decision.chosen is None or decision.chosen not in decision.rivals
    assert Corrections(found, "").decide(FIELDS[0]).chosen is None


@PROPERTY
@given(said())
def test_the_owner_can_always_decide(found: list[Amendment]) -> None:
    tips = Corrections(found, OWNER).tips(OWNER)
    last = Amendment("e" * 64, 99, OWNER, tips[-1] if tips else "", (Change(FIELDS[0], "", "Z"),), joins=tips[:-1])
    corrections = Corrections([*found, last], OWNER)
    assert corrections.tips(OWNER) == (last.statement_id,)
    for dataset in ("", "d1", "d2"):
        decision = corrections.decide(FIELDS[0], dataset)
        assert decision.chosen is not None
        assert (decision.chosen.change.value, decision.rivals) == ("Z", ())


@PROPERTY
@given(said())
def test_the_effective_record_says_what_is_decided(found: list[Amendment]) -> None:
    stated = {
        "value": "sealed",
        "status": "stated",
        "source": {"file": "f1"},
        "by": {"plugin": "x", "version": "1", "rule": "r"},
    }
    file = {"id": "f1", "path": "a", "role": "primary", "bytes": 1, "sha256": "0" * 64}
    rest: dict[str, Any] = {"signals": [], "raw": [], "issues": [], "extraction": {}}
    documents = [{"id": one, "files": [file], "fields": {FIELDS[0]: [stated]}, **rest} for one in ("d1", "d2", "d3")]
    known = frozenset(FIELDS)
    sealed = Record("diadem-record/1.0.0", Datasets([Dataset(one, known) for one in documents]), known)
    corrections = Corrections(found, OWNER)
    record = effective_record(sealed, corrections)
    assert [one.id for one in record.datasets[:2]] == ["d1", "d2"]
    for dataset in record.datasets:
        validate_dataset(dataset.document)
        for field, before in ((FIELDS[0], "sealed"), (FIELDS[1], None)):
            decision = corrections.decide(field, dataset.id)
            holds = before if decision.chosen is None else decision.chosen.change.value
            assert dataset.value(field) == holds
            assert sum(one.preferred for one in dataset.assertions(field)) <= 1
    assert [one.value(FIELDS[0]) for one in sealed.datasets] == ["sealed"] * 3
