"""Words, runs and the order of packages."""

from __future__ import annotations

import datetime
import hashlib
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diadem.catalogue.dataset_sets import Runs, full, mask, numbers
from diadem.catalogue.package_key import days_between, package_key
from diadem.catalogue.words import padded, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Å-HAADF_001.dm4", ["a", "haadf", "001", "dm4"]),
        ("Straße, 5 µm", ["strasse", "5", "um"]),
        ("ZnO nanorods", ["zno", "nanorods"]),
        ("Ruska Ernst", ["ruska", "ernst"]),
        ("日本 電子", ["日本", "電子"]),
        ("  ", []),
        ("—/…", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@given(st.text())
def test_words_are_words_of_themselves(text: str) -> None:
    """What is stored is read again as the same words; else a search for a text would miss it."""
    assert words(" ".join(words(text))) == words(text)
    assert words(text) == words(unicodedata.normalize("NFD", text))
    assert padded(text).split() == words(text)


@given(st.sets(st.integers(1, 300)))
def test_runs(chosen: set[int]) -> None:
    runs = Runs()
    for number in sorted(chosen):
        runs.add(number)
    assert list(numbers(mask(runs.text()))) == sorted(chosen)
    assert runs.covers(len(chosen)) == (chosen == set(range(1, len(chosen) + 1)))


def test_a_run_is_short() -> None:
    runs = Runs()
    for number in range(1, 20_001):
        runs.add(number)
        runs.add(number)
    assert runs.text() == "1-20000"
    assert mask(runs.text()) == full(20_000)
    assert full(0) == 1


dates = st.one_of(st.none(), st.dates())


@given(dates, dates, st.binary(), st.binary())
def test_order(one: datetime.date | None, two: datetime.date | None, first: bytes, second: bytes) -> None:
    """By day, and within a day by id; no date comes before all."""
    a, b = (hashlib.sha256(data).hexdigest() for data in (first, second))
    left, right = package_key(one, a), package_key(two, b)
    if one != two:
        assert (left < right) == (
            (one or datetime.date.min, one is not None) < (two or datetime.date.min, two is not None)
        )
    else:
        assert (left > right) == (a < b)
    assert 0 <= left < 1 << 63


@given(st.dates(), st.dates(max_value=datetime.date(9999, 12, 30)), st.binary())
def test_days(date: datetime.date, first: datetime.date, data: bytes) -> None:
    key = package_key(date, hashlib.sha256(data).hexdigest())
    day, every = days_between(first, first + datetime.timedelta(days=1)), days_between(None, None)
    assert (day.low <= key < day.high) == (date == first)
    assert every.low <= key < every.high
    assert not every.low <= package_key(None, hashlib.sha256(data).hexdigest())
