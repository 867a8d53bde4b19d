"""The windows of a package: every byte once, in order, whatever the files, and in little memory."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.model.manifest import FileEntry, Manifest, leaf_count
from diadem.network.windows import LEAVES, RUN, WINDOW, WindowPlan, most_windows

MIB = 1 << 20


def manifest_of(sizes: list[int], leaf_size: int = MIB) -> Manifest:
    entries, first = [], 0
    for number, size in enumerate(sizes):
        entries.append(FileEntry(f"data/{number:07}", size, "0" * 64, 0, None, first))
        first += leaf_count(size, leaf_size)
    return Manifest(tuple(entries), leaf_size)


SIZES = st.one_of(
    st.sampled_from([0, 1, MIB - 1, MIB, MIB + 1, WINDOW - 1, WINDOW, WINDOW + 1, 3 * WINDOW + 5]),
    st.integers(0, 40 * MIB),
    st.integers(0, 5000),
)


@settings(deadline=None, max_examples=50)
@given(st.lists(SIZES, max_size=12), st.sampled_from([1 << 16, MIB, 4 * MIB]))
def test_every_byte_is_in_one_window_in_order(sizes: list[int], leaf_size: int) -> None:
    manifest = manifest_of(sizes, leaf_size)
    plan = WindowPlan(manifest)
    expected = [(number, offset) for number, size in enumerate(sizes) for offset in range(0, size, leaf_size)]
    found = []
    for window in range(len(plan)):
        spans = plan.spans(window)
        length = 0
        for span in spans:
            assert span.at == length
            assert span.offset == span.leaf * leaf_size
            assert span.length == min(span.offset + span.leaves * leaf_size, span.entry.size) - span.offset
            found += [(span.number, (span.leaf + leaf) * leaf_size) for leaf in range(span.leaves)]
            length += span.length
            for leaf in (span.leaf, span.leaf + span.leaves - 1):
                assert plan.window_of(span.entry.first_leaf + leaf) == window
        assert 0 < length <= max(WINDOW, leaf_size)
        assert sum(span.leaves for span in spans) <= LEAVES
        assert plan.size(window) == length
    assert found == expected
    assert (plan.bytes, plan.leaves) == (sum(sizes), len(expected))
    assert len(plan) <= most_windows(plan.bytes, len(sizes))
    for window in (-1, len(plan)):
        with pytest.raises(IndexError):
            plan.spans(window)


@given(st.lists(SIZES, max_size=25))
def test_a_window_is_closed_only_where_the_next_leaf_does_not_fit(sizes: list[int]) -> None:
    plan = WindowPlan(manifest_of(sizes))
    for window in range(len(plan) - 1):
        first = plan.spans(window + 1)[0]
        leaf = min(MIB, first.entry.size - first.offset)
        held = sum(span.leaves for span in plan.spans(window))
        assert plan.size(window) + leaf > WINDOW or held == LEAVES


def test_windows_that_eight_connections_have_under_way_are_laid_out_once() -> None:
    plan = WindowPlan(manifest_of([16 << 10] * 40_000))
    under_way = range(8 * RUN)
    laid = [plan.spans(number) for number in under_way]
    assert all(plan.spans(number) is spans for number, spans in zip(under_way, laid, strict=True))


@pytest.mark.program("100,000 files and one of 500 GB, while memory is traced")
def test_many_files_and_a_huge_one_take_little_memory() -> None:
    many, huge = manifest_of([16 << 10] * 100_000), manifest_of([500 * 10**9])
    tracemalloc.start()
    plans = [WindowPlan(many), WindowPlan(huge)]
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    assert len(plans[0]) == -(-100_000 // 1024)
    assert [most_windows(1_638_400_000, 100_000), most_windows(500 * 10**9, 1)] == [318, 89408]
    assert len(plans[1]) == -(-500 * 10**9 // WINDOW)
    for number in range(0, len(plans[1]), 100):
        assert plans[1].spans(number)[0].leaf == number * 16
    tracemalloc.stop()
