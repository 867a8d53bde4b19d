"""Which judgements count: whatever the order in which they arrive, however often, and never a mean of them."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.model.assessments import VERDICTS, Assessment, current, differ, disputes

PROPERTY = settings(max_examples=100, derandomize=True, deadline=None)


@st.composite
def said(draw: st.DrawFn) -> list[Assessment]:
    """Judgements of one package, some in the place of earlier ones."""
    found: list[Assessment] = []
    for order in range(draw(st.integers(0, 12))):
        found.append(
            Assessment(
                statement_id=f"{order:064x}",
                order=order,
                by=draw(st.sampled_from(["alice@a", "bob@a"])),
                verdict=draw(st.sampled_from(VERDICTS)),
                purpose=draw(st.sampled_from(["EELS", " eels ", "imaging"])),
                criterion=draw(st.sampled_from(["", "drift"])),
                dataset=draw(st.sampled_from(["", "d1", "d2"])),
                plugin=draw(st.sampled_from(["", "", "saturation"])),
                replaces=draw(st.sampled_from(["", *(one.statement_id for one in found)])),
            )
        )
    return found


@PROPERTY
@given(said(), st.randoms(use_true_random=False))
def test_order_and_repetition_do_not_matter(found: list[Assessment], chance: random.Random) -> None:
    again = [*found, *found[::2]]
    chance.shuffle(again)
    assert current(again) == current(found)


@PROPERTY
@given(said())
def test_of_each_assessor_one_answer_counts_on_each_question(found: list[Assessment]) -> None:
    counting = current(found)
    asked = [(one.assessor, one.question) for one in counting]
    assert len(asked) == len(set(asked))
    assert set(counting) <= set(found)
    if found:
        assert found[-1] in counting, "nothing is said later than the last"
    for one in found:
        if one not in counting:
            assert any(
                later.order > one.order
                and later.assessor == one.assessor
                and (later.question == one.question or later.replaces == one.statement_id)
                for later in found
            )


@PROPERTY
@given(said())
def test_a_dispute_is_between_assessors_who_answer_the_same_question(found: list[Assessment]) -> None:
    counting = current(found)
    told = disputes(counting)
    for one in told:
        assert differ(one.assessments)
        assert len({answer.assessor for answer in one.assessments}) == len(one.assessments) > 1
        assert {answer.question for answer in one.assessments} == {one.question}
    disputed = {one.question for one in told}
    for answer in counting:
        others = [one for one in counting if one.question == answer.question]
        assert (answer.question in disputed) == differ(others)


@PROPERTY
@given(said())
def test_what_is_stated_is_read_back(found: list[Assessment]) -> None:
    for one in found:
        assert Assessment.of(one.statement_id, one.order, one.to_predicate()) == one
