"""The book of transfers: what it forgets, and what that costs."""

from __future__ import annotations

import datetime
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from diadem.network.book import TransferBook
from diadem.network.book_file import FILE, open_book

NOW = datetime.datetime(2026, 3, 14, tzinfo=datetime.UTC)
KEPT = 20_000


@pytest.fixture
def full(tmp_path: Path) -> Iterator[TransferBook]:
    """A book with as many answers as are kept and some more."""
    open_book(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / FILE)) as file:
        rows = ((f"{number:032x}", "ab" * 32, f"2026-03-13T00:{number:06}Z", b"{}") for number in range(KEPT + 300))
        file.executemany("INSERT INTO inbox VALUES (?, ?, ?, ?)", rows)
        file.commit()
    with open_book(tmp_path) as opened:
        yield TransferBook(opened)


def test_an_answer_costs_as_little_where_very_many_are_kept(full: TransferBook) -> None:
    began = time.process_time()
    for number in range(100):
        full.answer(f"f{number:031x}", "ab" * 32, b"{}", NOW)
    assert time.process_time() - began < 1.5, "40 ms each where they are sorted"
    assert full.answered(f"{0:032x}", "ab" * 32) is None, "the oldest are forgotten"
    assert full.answered(f"{KEPT + 299:032x}", "ab" * 32) == b"{}"
    assert full.answered(f"f{99:031x}", "ab" * 32) == b"{}"
