"""A catalogue for each test, on each database."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from diadem.catalogue import Catalogue

DATABASES = ("sqlite", "postgresql")


@pytest.fixture(scope="module", params=DATABASES)
def new_address(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], str]:
    """Gives addresses of catalogues that are not there yet, on one of the databases."""
    if request.param == "postgresql":
        url: Callable[[], str] = request.getfixturevalue("postgres_server").url
        return url
    folder = tmp_path_factory.mktemp("catalogues")
    return lambda: str(folder / f"{uuid.uuid4().hex}.sqlite")


@pytest.fixture
def catalogue(new_address: Callable[[], str]) -> Iterator[Catalogue]:
    """An empty one."""
    with Catalogue.open(new_address(), create=True) as made:
        yield made


@pytest.fixture
def in_a_file(tmp_path: Path) -> Iterator[Catalogue]:
    """An empty one in a file, for what no server does."""
    with Catalogue.open(tmp_path / "catalogue.sqlite", create=True) as made:
        yield made


def is_file(catalogue: Catalogue) -> bool:
    """Whether a catalogue is a file."""
    return "://" not in catalogue.address


def rows(catalogue: Catalogue, statement: str) -> list[Any]:
    """What a plain question finds in its tables."""
    with catalogue.reading() as connection:
        return list(connection.exec_driver_sql(statement).all())
