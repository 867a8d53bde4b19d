"""Durations and sizes as people write them."""

from __future__ import annotations

import contextlib
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diadem.errors import UsageError
from diadem.model.measures import read_duration, read_size
from diadem.model.plain_text import duration_words


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("10 min", timedelta(minutes=10)),
        ("10min", timedelta(minutes=10)),
        ("0 s", timedelta(0)),
        ("1.5 h", timedelta(minutes=90)),
        ("2 hours", timedelta(hours=2)),
        ("1 day", timedelta(days=1)),
        ("90 days", timedelta(days=90)),
        ("2 weeks", timedelta(days=14)),
        ("3 months", timedelta(days=90)),
        ("10 years", timedelta(days=3650)),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text: str, span: timedelta) -> None:
    assert read_duration(text) == span


@pytest.mark.parametrize(
    ("text", "size"),
    [("0 B", 0), ("1 kB", 1000), ("500 GB", 5 * 10**11), ("1.5 TB", 15 * 10**11), ("4 KiB", 4096), ("2TiB", 2**41)],
)
def test_a_size_is_a_number_and_a_unit(text: str, size: int) -> None:
    assert read_size(text) == size


@pytest.mark.parametrize(
    "text",
    ["", "90", "days", "90 dayz", "-1 day", "1e3 days", "90  days", "90 days ", "٣ days", "1 ss", "5 mins", "1 D"],
)
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(UsageError, match="not a duration"):
        read_duration(text)


@pytest.mark.parametrize("text", ["", "500", "GB", "500 gb", "500 Gb", "-1 GB", "1,5 TB", "1 EB", "inf GB"])
def test_anything_else_is_no_size(text: str) -> None:
    with pytest.raises(UsageError, match="not a size"):
        read_size(text)


@given(st.integers(0, 10**8))
def test_words_mean_the_duration(seconds: int) -> None:
    span = timedelta(seconds=seconds)
    assert read_duration(duration_words(span)) == span


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (read_duration, read_size):
        with contextlib.suppress(UsageError):
            read(text)


def test_words_take_the_largest_unit_that_fits() -> None:
    assert duration_words(timedelta(days=1)) == "1 day"
    assert duration_words(timedelta(days=90)) == "90 days"
    assert duration_words(timedelta(hours=36)) == "36 h"
    assert duration_words(timedelta(0)) == "0 s"
