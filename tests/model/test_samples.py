"""Samples, pure: what statements say of one, which of them are one thing, and where the thing is."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.model.sample_custody import followed, history
from diadem.model.sample_relations import KnownSamples, family, same_thing, with_parts
from diadem.model.sample_statements import Stated, sample_of
from diadem.model.samples import Event, Link, OtherName, Parent, Sample, is_sample_id, new_id
from diadem.model.statements import Draft, Statement, Subject

PROPERTY = settings(max_examples=150, derandomize=True, deadline=None)
A, B, C = (f"sample:{digit * 8}-{digit * 4}-4{digit * 3}-8{digit * 3}-{digit * 12}" for digit in "abc")


def said(what: str, *about: str, **predicate: Any) -> Statement:
    subjects = tuple(Subject.named(one) for one in about or (A,))
    draft = Draft("sample", subjects, {"event": what, **predicate, "by": "alice@hu-berlin"})
    prev = {subject.sha256: None for subject in subjects}
    return draft.entered(node="ab" * 32, time=datetime(2026, 3, 14, tzinfo=UTC), salt="0" * 32, prev=prev)


def made_of(*statements: Statement) -> Sample | None:
    return sample_of(A, stated(statements))


def stated(statements: Iterable[Statement]) -> list[Stated]:
    return [Stated(place, f"{place:064x}", one) for place, one in enumerate(statements)]


# -- what is said --------------------------------------------------------------------------------------------------


def test_ids() -> None:
    assert is_sample_id(new_id())
    assert new_id() != new_id()
    assert not any(map(is_sample_id, ("sample:1", A[:-1], A + "0", A.upper(), A.removeprefix("sample:"), "")))


def test_of_one_member_the_last_counts_and_the_others_stay() -> None:
    sample = made_of(
        said("defined", identifier="S-12", name="ZnO", names=[{"name": "K-7", "lab": "NMI"}], elements=["Zn", "O"]),
        said("changed", name="ZnO nanorods", maker={"name": "Ada", "lab": "NMI", "mood": "good"}),
        said("changed", names=[], comment="broken"),
        said("changed", comment=None),
    )
    assert sample is not None
    assert (sample.identifier, sample.name, sample.names, sample.comment) == ("S-12", "ZnO nanorods", (), "")
    assert (str(sample.maker), sample.elements, sample.by) == ("Ada, NMI", ("Zn", "O"), "alice@hu-berlin")
    assert Sample.of(A, sample.said()) == Sample.of(A, {**sample.said(), "of a later version": 1})


def test_nothing_is_known_of_what_nobody_defined() -> None:
    assert made_of() is None
    assert made_of(said("lost", date="2026-03-14"), said("linked", A, B, reason="x")) is None


def test_a_link_holds_until_it_is_undone_and_again_when_it_is_made_again() -> None:
    define, other = said("defined", identifier="S-12"), {"name": "ZNO-3", "lab": "FZ"}
    link, unlink = said("linked", other=other, reason="mail"), said("unlinked", other=other, reason="wrong")
    with_b = said("linked", A, B, reason="the same box")
    linked, undone, again = (made_of(define, *more) for more in ([link], [link, unlink], [link, with_b, unlink, link]))
    assert linked is not None
    assert undone is not None
    assert again is not None
    assert linked.links == (Link(other=OtherName("ZNO-3", "FZ"), reason="mail", by="alice@hu-berlin"),)
    assert undone.links == ()
    assert (again.linked, [str(one) for one in again.other_names]) == ((B,), ["ZNO-3 (FZ)"])
    assert set(again.all_names()) == {"S-12", "ZNO-3"}


def test_what_this_version_does_not_know_means_nothing() -> None:
    sample = made_of(
        said("defined", identifier="S-12"), said("polished", date="2026-03-14"), said("linked", reason="x")
    )
    assert sample == Sample(A, "S-12", by="alice@hu-berlin")


_STATEMENTS = st.lists(
    st.one_of(
        st.builds(lambda text: said("defined", identifier=text), st.sampled_from(["S-1", "S-2"])),
        st.builds(lambda text: said("changed", name=text), st.sampled_from(["ZnO", "TiO"]) | st.none()),
        st.builds(lambda what, other: said(what, A, other, reason="x"), st.sampled_from(["linked", "unlinked"]),
                  st.sampled_from([B, C])),
        st.builds(lambda what, name: said(what, other={"name": name, "lab": "FZ"}, reason="x"),
                  st.sampled_from(["linked", "unlinked"]), st.sampled_from(["x", "y"])),
        st.builds(lambda day: said("received", date=f"2026-03-{day:02}", to="FZ"), st.integers(1, 28)),
        st.builds(lambda place: said("retracted", retracts=f"{place:064x}", reason="x"), st.integers(0, 11)),
    ),
    max_size=12,
)  # fmt: skip


@PROPERTY
@given(_STATEMENTS, st.randoms(use_true_random=False))
def test_statements_may_be_learnt_in_any_order(some: list[Statement], chance: random.Random) -> None:
    known = stated(some)
    expected = sample_of(A, known)
    chance.shuffle(known)
    assert sample_of(A, known) == expected


# -- which are one thing -------------------------------------------------------------------------------------------

_IDS = [f"sample:{number:08x}-0000-4000-8000-000000000000" for number in range(7)]
_PAIRS = st.lists(st.tuples(st.sampled_from(_IDS), st.sampled_from(_IDS)), max_size=9)


def world(links: Sequence[tuple[str, str]], parents: Sequence[tuple[str, str]]) -> KnownSamples:
    """Samples with links that one side tells, and (child, parent)."""
    return KnownSamples(
        {
            one: Sample(
                one,
                one[7:15],
                links=tuple(Link(sample=b) for a, b in links if a == one),
                parents=tuple(Parent(b, "split") for a, b in parents if a == one),
            )
            for one in _IDS
        }
    )


def closure(pairs: Sequence[tuple[str, str]], start: str) -> set[str]:
    """What can be reached, worked out in the plainest way."""
    found = {start}
    while more := {b for a, b in pairs if a in found} - found:
        found |= more
    return found


@PROPERTY
@given(_PAIRS, _PAIRS, st.sampled_from(_IDS))
def test_relations_are_what_can_be_reached_also_in_circles(
    links: list[tuple[str, str]], parents: list[tuple[str, str]], one: str
) -> None:
    known = world(links, parents)
    both = [*links, *((b, a) for a, b in links)]
    same = closure(both, one)
    assert set(same_thing(known, one)) == same
    down = closure([*both, *((b, a) for a, b in parents)], one)
    up = closure([*both, *parents], one)
    found = family(known, one)
    assert set(with_parts(known, [one])) == down
    assert set(found.parts) == down - same
    assert set(found.ancestors) == up - same
    assert found.same[0] == one
    circular = any(a in same and same & closure([*both, *parents], b) for a, b in parents)
    assert found.circular == circular
    assert len(found.all()) == len(set(found.all()))


@PROPERTY
@given(_PAIRS, _PAIRS, st.sampled_from(_IDS), st.randoms(use_true_random=False))
def test_neither_the_order_of_links_nor_who_states_them_matters(
    links: list[tuple[str, str]], parents: list[tuple[str, str]], one: str, chance: random.Random
) -> None:
    expected = family(world(links, parents), one)
    turned = [(b, a) if chance.random() < 0.5 else (a, b) for a, b in links]
    chance.shuffle(turned)
    assert family(world(turned, parents), one) == expected


@PROPERTY
@given(_PAIRS, _PAIRS)
def test_one_thing_has_the_same_family_by_every_name(
    links: list[tuple[str, str]], parents: list[tuple[str, str]]
) -> None:
    known = world(links, parents)
    for one in _IDS:
        for other in same_thing(known, one):
            first, second = family(known, one), family(known, other)
            assert (set(first.same), set(first.parts), set(first.ancestors), first.circular) == (
                set(second.same), set(second.parts), set(second.ancestors), second.circular,
            )  # fmt: skip


# -- where it is ---------------------------------------------------------------------------------------------------


def event(order: int, what: str, day: str, from_: str = "", to: str = "") -> Event:
    return Event(what, f"2026-03-{int(day):02}", from_, to, order=order)


def where(*events: tuple[str, ...]) -> tuple[str, list[str]]:
    """Words, and codes of what contradicts itself, of (what, day of March, from, to)."""
    told = [event(number, *one) for number, one in enumerate(events)]
    now, findings = followed(
        history([Sample(A, "S", events=tuple(told[::2])), Sample(B, "T", events=tuple(told[1::2]))])
    )
    return str(now), [finding.code for finding in findings]


@pytest.mark.parametrize(
    ("events", "words", "codes"),
    [
        ([], "location unknown", []),
        ([("made", "1", "", "NMI")], "at NMI since 1 March 2026", []),
        ([("made", "1", "", "NMI"), ("sent", "2", "", "HU")], "on its way from NMI to HU since 2 March 2026", []),
        ([("sent", "2", "NMI", "HU"), ("received", "4", "", "hu ")], "at hu  since 4 March 2026", []),
        ([("sent", "2", "NMI", "HU"), ("received", "4")], "at HU since 4 March 2026", []),
        ([("received", "4", "", "HU"), ("sent", "2", "NMI", "HU")], "at HU since 4 March 2026", []),
        ([("received", "4", "NMI", "HU")], "at HU since 4 March 2026", ["received-never-sent"]),
        ([("made", "1", "", "HU"), ("consumed", "4")], "consumed on 4 March 2026, at HU", []),
        ([("consumed", "4"), ("sent", "5", "", "HU")], "on its way to HU since 5 March 2026", ["after-consumed"]),
        ([("lost", "4"), ("sent", "5", "", "HU")], "on its way to HU since 5 March 2026", ["after-lost"]),
        ([("lost", "4"), ("received", "5", "", "HU")], "at HU since 5 March 2026", []),
        ([("made", "1", "", "HU"), ("sent", "5", "NMI", "FZ")], "on its way from NMI to FZ since 5 March 2026",
         ["two-places"]),
        ([("made", "1", "", "HU"), ("sent", "5", "", "FZ"), ("sent", "6", "", "NMI")],
         "on its way to NMI since 6 March 2026", ["sent-twice"]),
        ([("sent", "5", "HU", "FZ"), ("received", "6", "", "NMI")], "at NMI since 6 March 2026",
         ["received-elsewhere"]),
        ([("made", "1"), ("made", "2")], "at an unnamed place since 1 March 2026", ["made-twice"]),
        ([("received", "1", "", "HU"), ("made", "2", "", "HU")], "at HU since 1 March 2026",
         ["received-never-sent", "made-later"]),
    ],
)  # fmt: skip
def test_where_the_thing_is_and_what_cannot_be(events: list[tuple[str, ...]], words: str, codes: list[str]) -> None:
    assert where(*events) == (words, codes)


@PROPERTY
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["made", "sent", "received", "consumed", "lost"]),
            st.integers(1, 28).map(str),
            st.sampled_from(["", "HU", "NMI"]),
            st.sampled_from(["", "HU", "FZ"]),
        ),
        max_size=9,
    )
)
def test_any_history_has_an_end_and_every_finding_a_next_step(events: list[tuple[str, ...]]) -> None:
    told = [event(number, *one) for number, one in enumerate(events)]
    now, findings = followed(history([Sample(A, "S", events=tuple(told))]))
    assert str(now)
    assert now.to_dict()["since"] in {"", *(one.date for one in told)}
    assert all(finding.message.endswith(".") and finding.next for finding in findings)
