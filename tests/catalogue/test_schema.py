"""One version of the tables: an earlier catalogue is built anew, and nothing of a later version is touched."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from diadem.catalogue import Catalogue
from diadem.catalogue.tables import VERSION
from diadem.errors import IntegrityError, Refused
from tests import catalogues
from tests.catalogue.conftest import rows
from tests.catalogue.making import entry
from tests.cli.inside import said
from tests.node.verbs.conftest import Lab, lab

__all__ = ["lab"]


@pytest.fixture
def address(new_address: Callable[[], str]) -> str:
    """That of a catalogue with one package."""
    with Catalogue.open(new_address(), create=True) as made:
        made.add_package(entry())
        return made.address


def set_version(address: str, version: int) -> None:
    with Catalogue.open(address) as catalogue, catalogue.writing() as connection:
        connection.exec_driver_sql("DELETE FROM schema_version")
        connection.exec_driver_sql(f"INSERT INTO schema_version VALUES ({version}, '2026-01-01T00:00:00Z')")


def content(address: str) -> bytes | None:
    """All that is in a file; of what lies on a server nothing is known."""
    return None if "://" in address else Path(address).read_bytes()


def test_a_catalogue_is_opened_again_as_it_is(address: str) -> None:
    with Catalogue.open(address) as found:
        assert found.search("one").total == 1
    assert "://" in address or [file.name for file in Path(address).parent.glob("*")] == [Path(address).name]


def test_a_later_version_is_refused(address: str) -> None:
    set_version(address, VERSION + 1)
    before = content(address)
    for read_only, more in ((False, r"node\.reindex"), (True, "that wrote it\\.$")):
        with pytest.raises(Refused, match=rf"(?s)version {VERSION + 1}, .* knows {VERSION}.*{more}"):
            Catalogue.open(address, read_only=read_only)
    assert content(address) == before


def test_an_earlier_version_is_told_and_never_half_raised(address: str) -> None:
    set_version(address, VERSION - 2)
    before = content(address)
    with pytest.raises(IntegrityError, match="an earlier version of DIADEM made the catalogue") as told:
        Catalogue.open(address)
    assert "for its 1 package in about 1 s, longer where stores answer slowly" in str(told.value)
    with pytest.raises(Refused, match="an earlier one"):
        Catalogue.open(address, read_only=True)
    assert content(address) == before


def as_before(address: str) -> None:
    """Make it a catalogue of the version before."""
    with Catalogue.open(address) as catalogue, catalogue.writing() as connection:
        connection.exec_driver_sql("DROP INDEX packages_owed")
        connection.exec_driver_sql("ALTER TABLE packages DROP COLUMN owed")
        connection.exec_driver_sql("DELETE FROM schema_version")
        connection.exec_driver_sql(f"INSERT INTO schema_version VALUES ({VERSION - 1}, '2026-01-01T00:00:00Z')")


def test_of_the_version_before_what_is_new_is_added(address: str) -> None:
    as_before(address)
    before = content(address)
    with pytest.raises(Refused, match="an earlier one"):
        Catalogue.open(address, read_only=True)
    assert content(address) == before
    for _ in range(2):
        with Catalogue.open(address) as found:
            assert found.search("one").total == 1
            assert found.owed() == []
    with Catalogue.open(address) as found:
        found.add_package(entry("two"))
        assert rows(found, "SELECT owed FROM packages") == [(False,), (False,)]


def test_a_command_with_a_catalogue_in_a_file_imports_nothing_of_a_server() -> None:
    code = "import sys, diadem.catalogue; print([name for name in sys.modules if 'postgres' in name])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.strip() == b"[]"


@pytest.fixture
def lab_on(lab: Lab, new_address: Callable[[], str]) -> Lab:
    """A node with one package, whose catalogue is a file, or lies on a server."""
    lab.archived("ZnO")
    wanted = new_address()
    if ("://" in wanted) != ("://" in catalogues.address(lab.node.path)):
        lab.node.reindex(into=wanted if "://" in wanted else "file")
    lab.node.close()
    return lab


def test_a_node_with_an_earlier_catalogue_builds_it_anew(lab_on: Lab) -> None:
    """Every command that needs it says the one command that helps."""
    on = ("--node", lab_on.node.path)
    set_version(catalogues.address(lab_on.node.path), 1)
    asked = (("status",), ("search", "ZnO"), ("archive", lab_on.session("other"), "--now"), ("sample", "ls"))
    for arguments in asked:
        text = said(*arguments, *on, code=IntegrityError.exit_code)
        assert "an earlier version of DIADEM made the catalogue" in text, arguments
        assert "for its 1 package in about" in text, arguments
        assert "Run: diadem reindex" in " ".join(text.split()), arguments
    said("reindex", *on)
    assert "ZnO" in said("search", "ZnO", *on)


def test_going_back_builds_it_anew_and_keeps_the_later_one(lab_on: Lab) -> None:
    on, address = ("--node", lab_on.node.path), catalogues.address(lab_on.node.path)
    set_version(address, VERSION + 1)
    text = said("status", *on, code=Refused.exit_code)
    assert f"knows {VERSION}" in text
    assert "diadem reindex" in text
    said("reindex", *on)
    assert "ZnO" in said("search", "ZnO", *on)
    if "://" not in address:
        assert len(list(lab_on.node.path.glob("catalogue*damaged*"))) >= 1
        return
    aside = address.rpartition("=")[2] + "_damaged"
    with Catalogue.open(address) as found:
        assert rows(found, f"SELECT version FROM {aside}.schema_version") == [(VERSION + 1,)]


@contextmanager
def nothing_can_be_added(lab: Lab) -> Iterator[None]:
    """The disk of a file is full; on a server, the node comes as a role that owns nothing there."""
    address = catalogues.address(lab.node.path)
    if "://" not in address:
        as_before(address)
        with closing(sqlite3.connect(address)) as made:
            made.execute("VACUUM")  # what was taken out leaves no room

        def fill(made: sqlite3.Connection, _: object) -> None:
            made.execute("PRAGMA max_page_count = 1").close()

        event.listen(Engine, "connect", fill)
        try:
            yield
        finally:
            event.remove(Engine, "connect", fill)
        return
    schema = address.rpartition("=")[2]
    with Catalogue.open(address) as catalogue, catalogue.writing() as connection:
        connection.exec_driver_sql(f"CREATE ROLE guest_{schema} LOGIN")
        connection.exec_driver_sql(f"GRANT USAGE ON SCHEMA {schema} TO guest_{schema}")
        rights = "SELECT, INSERT, UPDATE, DELETE"
        connection.exec_driver_sql(f"GRANT {rights} ON ALL TABLES IN SCHEMA {schema} TO guest_{schema}")
    as_before(address)
    settings = lab.node.path / "node.toml"
    settings.write_text(settings.read_text("utf-8").replace("diadem@", f"guest_{schema}@"), "utf-8")
    yield


def test_what_cannot_be_added_is_told_and_locks_nobody_out(lab_on: Lab) -> None:
    on, address = ("--node", lab_on.node.path), catalogues.address(lab_on.node.path)
    with nothing_can_be_added(lab_on):
        text = " ".join(said("status", *on, code=IntegrityError.exit_code).split())
        assert "cannot be added" in text
        assert "Run: diadem reindex" in text
        told = " ".join(said("doctor", *on, code=1).split())
        assert "cannot be added" in told
        assert "log" in told
        if "://" in address:
            said("reindex", "--into", "file", *on)
    if "://" not in address:
        said("reindex", *on)
    assert "ZnO" in said("search", "ZnO", *on)
