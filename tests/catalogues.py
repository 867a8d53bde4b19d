"""Catalogues of nodes in tests: all of them on PostgreSQL where DIADEM_TEST_CATALOGUE says so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from diadem.catalogue import Catalogue
from diadem.errors import DiademError
from diadem.node.config import read_settings
from diadem.node.open import catalogue_address

#: Whether the nodes of all tests have their catalogue on a server.
ON_POSTGRES = os.environ.get("DIADEM_TEST_CATALOGUE", "") == "postgresql"
in_a_file = pytest.mark.skipif(ON_POSTGRES, reason="of a catalogue in a file")


def address(folder: Path) -> str:
    """Where the catalogue of a node lies."""
    return catalogue_address(read_settings(folder), folder)


def forget(folder: Path) -> None:
    """Remove the catalogue of a node."""
    where = address(folder)
    if where.startswith("postgresql://"):
        try:
            Catalogue.open(where).discard()
        except DiademError:  # it is gone already
            return
    else:
        for path in folder.glob("catalogue.sqlite*"):
            path.unlink()


def drafts(folder: Path) -> list[str]:
    """Drafts that lie beside the catalogue of a node."""
    where = address(folder)
    if not where.startswith("postgresql://"):
        return [path.name for path in folder.glob(".catalogue.sqlite.*")]
    with Catalogue.open(where) as catalogue, catalogue.reading() as connection:
        names = connection.exec_driver_sql("SELECT nspname FROM pg_namespace").scalars().all()
    own = where.rpartition("schema=")[2]
    return [name for name in names if name.startswith(own) and name != own]
