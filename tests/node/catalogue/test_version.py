"""The version of the catalogue's tables: one of another version is not touched, and a reindex makes it anew."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from diadem.errors import Refused
from diadem.node.catalogue import Catalogue
from diadem.node.catalogue.version import VERSION
from tests.cli.inside import said, said_json
from tests.node.catalogue.making import entry
from tests.node.verbs.agreeing import require_agreement
from tests.node.verbs.conftest import Lab, lab

__all__ = ["lab"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with Catalogue.open(tmp_path / "catalogue.sqlite", create=True) as made:
        made.add_package(entry())
    return tmp_path / "catalogue.sqlite"


def become(path: Path, version: int) -> bytes:
    """Let a catalogue be of another version; the bytes of its file."""
    with closing(sqlite3.connect(path)) as connection, connection:
        if version < VERSION:
            connection.execute("DROP TABLE facet_rows")
        connection.execute("DELETE FROM schema_version")
        connection.execute("INSERT INTO schema_version VALUES (?, '2026-03-14T09:00:00Z')", (version,))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.read_bytes()


def test_a_new_catalogue_is_of_this_version_and_opens_again(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version FROM schema_version").fetchall() == [(VERSION,)]
    with Catalogue.open(path) as again:
        assert again.search("one").total == 1


@pytest.mark.parametrize("version", [1, VERSION - 1, VERSION + 1])
def test_one_of_another_version_is_not_touched(path: Path, version: int) -> None:
    before = become(path, version)
    for read_only in (False, True):
        with pytest.raises(Refused, match=rf"version {version}, .* knows {VERSION}.*diadem reindex"):
            Catalogue.open(path, read_only=read_only)
    assert path.read_bytes() == before


@pytest.mark.parametrize("version", [1, VERSION + 1])
def test_a_reindex_makes_it_anew(lab: Lab, version: int) -> None:
    package = lab.archived("s")
    lab.node.close()
    before = become(lab.node.path / "catalogue.sqlite", version)
    for command in (["status"], ["search"], ["get", package, lab.root / "out"]):
        error = said_json(*command, "--node", lab.node.path, code=4)["error"]
        assert error["next"].endswith(": diadem reindex")
    assert (lab.node.path / "catalogue.sqlite").read_bytes() == before
    (check,) = [
        one for one in said_json("doctor", "--node", lab.node.path, code=1)["checks"] if one["name"] == "catalogue"
    ]
    assert (check["verdict"], check["next"].endswith(": diadem reindex")) == ("wrong", True)
    said("reindex", "--node", lab.node.path)
    with lab.reopened() as node:
        require_agreement(node)
        assert node.get(package).id == package
