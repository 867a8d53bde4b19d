"""One version of the tables: an earlier catalogue is built anew, and nothing of a later version is touched."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from diadem.catalogue import Catalogue
from diadem.catalogue.tables import VERSION
from diadem.errors import IntegrityError, Refused
from tests import catalogues
from tests.catalogue.making import entry
from tests.cli.inside import said
from tests.node.verbs.conftest import Lab, lab

__all__ = ["lab"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with Catalogue.open(tmp_path / "catalogue.sqlite", create=True) as made:
        made.add_package(entry())
    return tmp_path / "catalogue.sqlite"


def set_version(path: Path, version: int) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM schema_version")
        connection.execute("INSERT INTO schema_version VALUES (?, '2026-01-01T00:00:00Z')", (version,))
        connection.commit()


def test_a_catalogue_is_opened_again_as_it_is(path: Path) -> None:
    with Catalogue.open(path) as found:
        assert found.search("one").total == 1
    assert [file.name for file in path.parent.iterdir()] == ["catalogue.sqlite"]


def test_a_later_version_is_refused(path: Path) -> None:
    set_version(path, VERSION + 1)
    before = path.read_bytes()
    for read_only, more in ((False, r"node\.reindex"), (True, "that wrote it\\.$")):
        with pytest.raises(Refused, match=rf"(?s)version {VERSION + 1}, .* knows {VERSION}.*{more}"):
            Catalogue.open(path, read_only=read_only)
    assert path.read_bytes() == before


def test_an_earlier_version_is_told_and_never_half_raised(path: Path) -> None:
    set_version(path, VERSION - 1)
    before = path.read_bytes()
    with pytest.raises(IntegrityError, match="an earlier version of DIADEM made the catalogue") as told:
        Catalogue.open(path)
    assert "for its 1 package in about 1 s, longer where stores answer slowly" in str(told.value)
    with pytest.raises(Refused, match="an earlier one"):
        Catalogue.open(path, read_only=True)
    assert path.read_bytes() == before


@catalogues.in_a_file
def test_a_node_with_an_earlier_catalogue_builds_it_anew(lab: Lab) -> None:
    lab.archived("ZnO")
    lab.node.close()
    set_version(lab.node.path / "catalogue.sqlite", 1)
    text = said("status", "--node", lab.node.path, code=1)
    assert "an earlier version of DIADEM made the catalogue" in text
    assert "diadem reindex" in text
    said("reindex", "--node", lab.node.path)
    assert "ZnO" in said("search", "ZnO", "--node", lab.node.path)


@catalogues.in_a_file
def test_going_back_builds_it_anew_and_keeps_the_later_one(lab: Lab) -> None:
    lab.archived("ZnO")
    lab.node.close()
    set_version(lab.node.path / "catalogue.sqlite", VERSION + 1)
    text = said("status", "--node", lab.node.path, code=Refused.exit_code)
    assert f"knows {VERSION}" in text
    assert "diadem reindex" in text
    said("reindex", "--node", lab.node.path)
    assert "ZnO" in said("search", "ZnO", "--node", lab.node.path)
    assert len(list(lab.node.path.glob("catalogue*damaged*"))) >= 1
