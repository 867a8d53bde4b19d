"""The book of transfers: what it forgets, and what that costs."""

from __future__ import annotations

import datetime
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import diadem
from diadem.network.book import TransferBook
from diadem.network.book_file import FILE, network_book, open_book
from diadem.network.relay_book import RelayBook, relay_book

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


def test_who_notes_and_who_asks_for_the_first_time_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """One thread notes an acceptance while another one asks for the relays for the first time: each goes on."""
    node = diadem.Node.create(tmp_path / "node", name="n", user="u", store=str(tmp_path / "store"))
    context = node.context
    book, begun = TransferBook(network_book(context)), threading.Event()

    def note() -> None:
        begun.set()
        with book.together():
            relay_book(context).know("a" * 32, "b" * 32, "age1")

    threads = [threading.Thread(target=one, daemon=True) for one in (note, lambda: relay_book(context).all())]
    with closing(sqlite3.connect(node.path / "network" / FILE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for thread in threads:
            thread.start()
            assert begun.wait(10)
            time.sleep(0.2)
        other.execute("COMMIT")
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads), "each waits for the other"  # and to close it would, too
    assert relay_book(context).all() == ["a" * 32]
    node.close()


def test_what_has_no_key_to_lose_waits_for_no_reader(tmp_path: Path) -> None:
    with open_book(tmp_path) as file, closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM relays").fetchall()
        with file.writing() as connection:
            connection.execute("INSERT INTO taken VALUES ('a', 'b')")
        began = time.monotonic()
        for _ in range(10):
            RelayBook(file).lose_key("a" * 32)
        assert time.monotonic() - began < 1.5, "0.2 s each where it is waited for"
