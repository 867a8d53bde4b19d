"""What the log says of copies, and where stores show them: gathered on the disk while a catalogue is built anew.

An archive of a million packages has as many ingests and copies; the memory of a reindex does not grow with them.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from diadem.catalogue.replica_states import path_of, path_text
from diadem.catalogue.sqlite import SqliteDatabase
from diadem.model.statement_kinds import ARRIVAL_KINDS

_TABLES: Final = (
    "CREATE TABLE ingests (package TEXT PRIMARY KEY, said TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE places (store TEXT, path TEXT, package TEXT NOT NULL, PRIMARY KEY (store, path)) WITHOUT ROWID",
    (
        "CREATE TABLE seen (package TEXT, store TEXT, path TEXT, number INTEGER, PRIMARY KEY (package, store, path)) "
        "WITHOUT ROWID"
    ),
    "CREATE TABLE arrived (package TEXT NOT NULL, store TEXT NOT NULL, path TEXT NOT NULL)",
    "CREATE TABLE lost (package TEXT NOT NULL, store TEXT NOT NULL)",
)
#: It is made for one run, and worth nothing after it.
_SETTINGS: Final = ("journal_mode = OFF", "synchronous = OFF", "cache_size = -16000")
#: Rows that are read at once.
_PAGE: Final = 500
#: By store, the paths at which a copy of a package lies; none where something is there that is not whole.
Places = Mapping[str, Sequence[str]]


class ReindexScratch:
    """Ingests and places that the log names, and copies that stores show."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._translated = SqliteDatabase(path).translated
        with self._translated():
            self._database = sqlite3.connect(path, isolation_level=None)
            for setting in _SETTINGS:
                self._database.execute(f"PRAGMA {setting}").close()
            for table in _TABLES:
                self._database.execute(table)

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove it."""
        self._database.close()
        self._path.unlink(missing_ok=True)

    # What the log says

    def hear(self, packages: Iterable[tuple[str, str, Mapping[str, Any]]]) -> None:
        """Note what says that a copy was written: kind, package id, predicate; the first ingest or receipt counts."""
        heard = list(packages)
        ingests = [(package, json.dumps(dict(said))) for kind, package, said in heard if kind in ARRIVAL_KINDS]
        places = [
            (str(said["store"]), path_text(str(said.get("path", ""))), package)
            for kind, package, said in heard
            if kind != "receipt"
        ]
        self._many("INSERT OR IGNORE INTO ingests VALUES (?, ?)", ingests)
        self._many("INSERT OR REPLACE INTO places VALUES (?, ?, ?)", places)

    def ingest(self, package_id: str) -> Mapping[str, Any] | None:
        """The predicate of the ingest of a package; None where the log has none."""
        row = self._one("SELECT said FROM ingests WHERE package = ?", package_id)
        return dict(json.loads(row[0])) if row else None

    def owner(self, store: str, path: str) -> str | None:
        """Id of the package whose copy the log has at a place."""
        row = self._one("SELECT package FROM places WHERE store = ? AND path = ?", store, path_text(path))
        return str(row[0]) if row else None

    def ingested(self) -> Iterator[list[tuple[str, Mapping[str, Any]]]]:
        """All packages of which the log has an ingest, with its predicate, some at a time."""
        last = ""
        while rows := self._all(
            "SELECT package, said FROM ingests WHERE package > ? ORDER BY package LIMIT ?", last, _PAGE
        ):
            yield [(package, json.loads(said)) for package, said in rows]
            last = rows[-1][0]

    # What stores show

    def see(self, package_id: str, store: str, path: str | None) -> bool:
        """Note a copy; without a path, that something is there which is not whole. Whether it is the first one."""
        first = (
            self._one("SELECT 1 FROM seen WHERE package = ? AND store = ? AND path <> ''", package_id, store) is None
        )
        number = "INSERT OR IGNORE INTO seen SELECT ?1, ?2, ?3, count(*) FROM seen WHERE package = ?1 AND store = ?2"
        self._many(number, [(package_id, store, path_text(path or ""))])
        return first and path is not None

    def seen(self, package_ids: Sequence[str]) -> dict[str, dict[str, list[str]]]:
        """By package and store, the paths at which copies lie, in the order in which they were seen."""
        among = "SELECT value FROM json_each(?)"
        rows = self._all(
            f"SELECT package, store, path FROM seen WHERE package IN ({among}) ORDER BY package, number",  # noqa: S608
            json.dumps(list(package_ids)),
        )
        found: dict[str, dict[str, list[str]]] = {}
        for package, store, path in rows:
            paths = found.setdefault(package, {}).setdefault(store, [])
            paths += [path_of(path)] if path else []
        return found

    def count(self) -> int:
        """Copies that were seen, of each package one a store."""
        return int(self._all("SELECT count(*) FROM (SELECT DISTINCT package, store FROM seen)")[0][0])

    # What is to be stated

    def arrive(self, package_id: str, store: str, path: str) -> None:
        """Note a copy of which the log does not know."""
        self._many("INSERT INTO arrived VALUES (?, ?, ?)", [(package_id, store, path_text(path))])

    def lose(self, package_id: str, store: str) -> None:
        """Note a copy that the log has in vain."""
        self._many("INSERT INTO lost VALUES (?, ?)", [(package_id, store)])

    def arrived(self) -> Iterator[tuple[str, str, str]]:
        """Package, store and path of copies of which the log does not know."""
        for package, store, path in self._pages("SELECT package, store, path, rowid FROM arrived"):
            yield package, store, path_of(path)

    def lost(self) -> Iterator[tuple[str, str]]:
        """Package and store of copies that the log has in vain."""
        yield from self._pages("SELECT package, store, rowid FROM lost")

    def _pages(self, statement: str) -> Iterator[Any]:
        last = 0
        while rows := self._all(f"{statement} WHERE rowid > ? ORDER BY rowid LIMIT ?", last, _PAGE):
            yield from (row[:-1] for row in rows)
            last = rows[-1][-1]

    def _many(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        with self._translated():
            self._database.executemany(statement, rows).close()

    def _one(self, statement: str, *values: Any) -> tuple[Any, ...] | None:
        return next(iter(self._all(statement, *values)), None)

    def _all(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._translated():
            return self._database.execute(statement, values).fetchall()
