"""What every SQLite file of a node must stand, whatever is in it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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
