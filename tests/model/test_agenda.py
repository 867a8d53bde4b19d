"""The order of many things on several workers: each once, none before what it follows, the largest first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from diadem.model.agenda import Agenda, bundles

Wanted = tuple[list[int], dict[int, set[int]]]


@st.composite
def wanted(draw: st.DrawFn) -> Wanted:
    """Sizes, and for some numbers earlier ones that they follow."""
    sizes = draw(st.lists(st.integers(0, 50), max_size=30))
    numbers = range(len(sizes))
    after = {
        number: draw(st.sets(st.integers(0, number - 1), max_size=3))
        for number in numbers
        if number and draw(st.booleans())
    }
    return sizes, after


@given(wanted(), st.integers(1, 5), st.randoms())
def test_each_once_in_order_and_the_largest_first(given_: Wanted, workers: int, random: object) -> None:
    sizes, after = given_
    agenda = Agenda(sizes, after)
    running: list[int] = []
    ended: set[int] = set()
    begun: list[int] = []
    while True:
        while len(running) < workers and (number := agenda.take()) is not None:
            ready = [n for n in range(len(sizes)) if n not in begun and after.get(n, set()) <= ended]
            assert sizes[number] == max(sizes[n] for n in ready)
            assert number in ready
            begun.append(number)
            running.append(number)
        if not running:
            break
        number = running.pop(random.randrange(len(running)))  # type: ignore[attr-defined]
        ended.add(number)
        agenda.done(number)
    assert sorted(begun) == list(range(len(sizes)))


@given(st.lists(st.integers(0, 100)), st.integers(1, 200), st.integers(1, 5))
def test_bundles_keep_the_order_and_are_no_larger_than_wanted(sizes: list[int], most: int, count: int) -> None:
    found = list(bundles(sizes, most=most, count=count))
    assert [number for bundle in found for number in bundle] == list(range(len(sizes)))
    for bundle in found:
        assert 1 <= len(bundle) <= count
        assert len(bundle) == 1 or sum(sizes[number] for number in bundle) <= most
