"""What every SQLite file of a node must stand, whatever is in it."""

from __future__ import annotations

import _thread
import signal
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from diadem.errors import UsageError
from diadem.store.rows import Table
from diadem.store.sqlite_file import SqliteFile


def test_many_make_a_file_at_once(tmp_path: Path) -> None:
    """Whoever comes first makes the tables, and the others wait for them."""
    for number in range(40):
        path, together = tmp_path / str(number), threading.Barrier(8)

        def make(name: int, path: Path = path, together: threading.Barrier = together) -> None:
            together.wait(30)
            with SqliteFile(path, what="list", advice="") as file:
                file.prepare(["CREATE TABLE names (name INTEGER)"], application=1, version=1)
                with file.writing() as connection:
                    connection.execute("INSERT INTO names VALUES (?)", (name,))

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(make, range(8)))
        with SqliteFile(path, what="list", advice="") as file, file.reading() as connection:
            assert connection.execute("SELECT count(*) FROM names").fetchone() == (8,)


def test_a_transaction_within_another_is_a_part_of_it(tmp_path: Path) -> None:
    with SqliteFile(tmp_path / "file", what="list", advice="") as file:
        file.prepare(["CREATE TABLE names (name TEXT)"], application=1, version=1)
        with suppress(KeyError), file.writing():
            with file.writing(durable=False) as inner:
                inner.execute("INSERT INTO names VALUES ('given up')")
            raise KeyError
        with file.writing(), file.writing() as inner:
            inner.execute("INSERT INTO names VALUES ('kept')")
        with file.reading() as connection:
            assert connection.execute("SELECT name FROM names").fetchall() == [("kept",)]


def test_who_is_interrupted_while_another_writes_leaves_no_transaction_open(tmp_path: Path) -> None:
    """Ctrl-C comes when SQLite has waited: what is written later by the same connection is kept, and seen by others."""
    path = tmp_path / "file"
    with SqliteFile(path, what="list", advice="") as file, SqliteFile(path, what="list", advice="") as other:
        file.prepare(["CREATE TABLE names (name TEXT)"], application=1, version=1)
        held, handler = threading.Event(), signal.signal(signal.SIGINT, signal.default_int_handler)

        def hold() -> None:
            with other.writing():
                held.set()
                time.sleep(0.3)
                _thread.interrupt_main()
                time.sleep(0.3)

        holder = threading.Thread(target=hold)
        holder.start()
        held.wait(30)
        try:
            with pytest.raises(KeyboardInterrupt), file.writing() as connection:
                connection.execute("INSERT INTO names VALUES ('given up')")
        finally:
            holder.join()
            signal.signal(signal.SIGINT, handler)
        for name in ("second", "third"):
            with file.writing() as connection:
                connection.execute("INSERT INTO names VALUES (?)", (name,))
        with other.writing() as connection:
            assert connection.execute("SELECT name FROM names").fetchall() == [("second",), ("third",)]


def test_a_part_that_fails_leaves_nothing_in_the_transaction_that_goes_on(tmp_path: Path) -> None:
    with SqliteFile(tmp_path / "file", what="list", advice="") as file:
        file.prepare(["CREATE TABLE names (name TEXT)"], application=1, version=1)
        with file.writing() as outer:
            outer.execute("INSERT INTO names VALUES ('first')")
            with suppress(KeyError), file.writing() as inner:
                inner.execute("INSERT INTO names VALUES ('half')")
                with file.writing() as innermost:
                    innermost.execute("INSERT INTO names VALUES ('a part of it')")
                raise KeyError
            outer.execute("INSERT INTO names VALUES ('last')")
        with file.reading() as connection:
            assert connection.execute("SELECT name FROM names").fetchall() == [("first",), ("last",)]


def test_what_is_erased_within_another_transaction_is_gone_when_that_ends(tmp_path: Path) -> None:
    with SqliteFile(tmp_path / "file", what="list", advice="") as file:
        file.prepare(["CREATE TABLE names (name TEXT)"], application=1, version=1)
        with file.writing() as connection:
            connection.execute("INSERT INTO names VALUES ('a secret of this node')")
        with file.writing(), file.erasing() as inner:
            inner.execute("DELETE FROM names")
        assert not any(b"a secret" in path.read_bytes() for path in tmp_path.iterdir())


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Thing:
    name: str
    colour: Colour
    seen: datetime
    words: tuple[str, ...]
    about: Mapping[str, Any]
    data: bytes
    whole: bool = True
    weight: float = 0.0


def test_a_row_is_the_value_that_was_added(tmp_path: Path) -> None:
    things = Table("things", Thing)
    moment = datetime(2026, 3, 14, 9, 26, 53, tzinfo=UTC)
    thing = Thing("a", Colour.RED, moment, ("one", "two"), {"n": [1, None]}, b"\0\xff", whole=False)
    with SqliteFile(tmp_path / "file", what="list", advice="") as file:
        columns = "name TEXT PRIMARY KEY, colour, seen, words, about, data, whole INTEGER, weight REAL, owner TEXT"
        file.prepare([f"CREATE TABLE things ({columns})"], application=1, version=1)
        with file.writing() as connection:
            assert things.add(connection, thing, owner="x")
            assert not things.add(connection, thing, otherwise="IGNORE", owner="y")
            assert things.find(connection, "WHERE owner = ?", "x") == [thing]
            assert things.change(connection, "WHERE name = ?", "a", whole=True, words=("three",)) == 1
            (now,) = things.find(connection, "")
            assert (now.whole, now.words, now.colour, now.seen) == (True, ("three",), Colour.RED, moment)
            with pytest.raises(UsageError, match="owner cannot be changed"):
                things.change(connection, "", owner="z")
