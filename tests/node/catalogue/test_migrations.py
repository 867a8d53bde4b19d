"""Versions of the tables: one transaction each, a copy before, and nothing of a later version is touched."""

from __future__ import annotations

import datetime
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from diadem.errors import Refused
from diadem.node.catalogue import Catalogue, migrations
from diadem.node.catalogue.migrations import MIGRATIONS, Migration, migrate
from diadem.node.catalogue.sqlite import SqlitePlace
from tests.node.catalogue.making import NOW, entry


def _add_column(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE packages ADD COLUMN colour TEXT"))
    connection.execute(text("UPDATE packages SET colour = 'green'"))


def _fail(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE packages ADD COLUMN shape TEXT"))
    connection.execute(text("CREATE TABLE extra (a INTEGER)"))
    raise RuntimeError("the step failed")


KNOWN = [step.version for step in MIGRATIONS]
LAST = KNOWN[-1]
GOOD = (*MIGRATIONS, Migration(LAST + 1, "colours", _add_column))
BAD = (*GOOD, Migration(LAST + 2, "shapes", _fail))


def clock() -> datetime.datetime:
    return NOW


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with Catalogue.open(tmp_path / "catalogue.sqlite", create=True) as made:
        made.add_package(entry())
    return tmp_path / "catalogue.sqlite"


def bring_up(path: Path, steps: tuple[Migration, ...]) -> Path | None:
    place = SqlitePlace(path)
    try:
        return migrate(place, clock=clock, migrations=steps)
    finally:
        place.close()


def columns(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        return {row[1] for row in connection.execute("PRAGMA table_info(packages)")}


def versions(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute("SELECT version FROM schema_version ORDER BY 1")]


def test_numbers_rise() -> None:
    assert sorted(set(KNOWN)) == KNOWN
    assert KNOWN[0] == 1
    assert all(step.purpose for step in MIGRATIONS)


def test_a_new_catalogue_needs_no_copy(path: Path) -> None:
    assert [file.name for file in path.parent.iterdir()] == ["catalogue.sqlite"]
    assert versions(path) == KNOWN
    assert bring_up(path, tuple(MIGRATIONS)) is None


def test_a_step_keeps_a_copy_of_before(path: Path) -> None:
    kept = bring_up(path, GOOD)
    assert kept is not None
    assert kept.name == f"catalogue-v{LAST}-20260315T120000Z.sqlite"
    assert "colour" in columns(path)
    assert "colour" not in columns(kept)
    assert (versions(path), versions(kept)) == ([*KNOWN, LAST + 1], KNOWN)
    with Catalogue.open(kept, read_only=True) as before:
        assert before.search("one").total == 1
    assert bring_up(path, GOOD) is None


def test_a_step_that_fails_leaves_the_version_before(path: Path) -> None:
    with pytest.raises(RuntimeError, match="the step failed"):
        bring_up(path, BAD)
    assert versions(path) == [*KNOWN, LAST + 1], "the step before it was done, and stays"
    assert "shape" not in columns(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT colour FROM packages").fetchall() == [("green",)]
        assert connection.execute("SELECT name FROM sqlite_master WHERE name = 'extra'").fetchall() == []


def test_two_processes_that_find_an_early_version(path: Path) -> None:
    """The second does nothing again: here it comes when the first is done, with what it had read before."""
    place = SqlitePlace(path)
    try:
        bring_up(path, GOOD)
        migrations._apply(place, GOOD[-1], NOW)
    finally:
        place.close()
    assert versions(path) == [*KNOWN, LAST + 1]


def test_a_later_version_is_refused(path: Path) -> None:
    bring_up(path, GOOD)
    before = path.read_bytes()
    for read_only in (False, True):
        with pytest.raises(Refused, match=rf"version {LAST + 1}, .* knows {LAST}.*diadem reindex"):
            Catalogue.open(path, read_only=read_only)
    assert path.read_bytes() == before


def test_an_earlier_version_is_not_migrated_by_a_reader(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "MIGRATIONS", GOOD)
    with pytest.raises(Refused, match="an earlier one"):
        Catalogue.open(path, read_only=True)


def test_every_step_brings_the_first_version_up(path: Path) -> None:
    """A catalogue as the first version left it: its tables alone."""
    added = {"samples", "sample_names", "sample_ties"}
    with closing(sqlite3.connect(path)) as connection:
        for table in added:
            connection.execute(f"DROP TABLE {table}")
        connection.execute("DELETE FROM schema_version WHERE version > 1")
        connection.commit()
    with Catalogue.open(path) as opened:
        assert opened.search("one").total == 1
        assert opened.search("sample:S-12").total == opened.count_samples() == 0
    assert versions(path) == KNOWN
    with closing(sqlite3.connect(path)) as connection:
        assert added <= {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}


def test_packages_from_before_there_were_judgements_count_as_not_assessed(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for table in ("assessments", "unassessed", "sealed_facts", "derivations"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("DELETE FROM schema_version WHERE version > 1")
        connection.commit()
    with Catalogue.open(path) as found:
        assert found.search("not:assessed").total == 1
        assert found.search("quality:accept").total == 0


def test_packages_from_before_there_were_counts_are_counted(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for table in ("facet_values", "facet_rows"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("DELETE FROM schema_version WHERE version > 3")
        connection.commit()
    with Catalogue.open(path) as found:
        assert [(value.text, value.packages) for value in found.facets()["owner"]] == [("alice@hu-berlin", 1)]
        assert found.facets("one", fields=["quality"])["quality"].values[0].text == "none"
