"""Nodes that call each other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.transfer.pair import Pair, make_pair
from tests.transfer.towns import Town, make_nodes


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nodes that are copied for each test."""
    root = tmp_path_factory.mktemp("towns")
    make_nodes(root)
    return root


@pytest.fixture
def town(templates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Town]:
    """Three nodes: hu-berlin, nmi and oslo."""
    monkeypatch.setenv("DIADEM_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("DIADEM_CACHE", str(tmp_path / "cache"))
    made = Town(templates, tmp_path / "town")
    try:
        yield made
    finally:
        for node in made.nodes.values():
            node.close()


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    """alice@hu-berlin with a package, and marie@nmi."""
    monkeypatch.setenv("DIADEM_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("DIADEM_CACHE", str(tmp_path / "cache"))
    made = make_pair(tmp_path)
    try:
        yield made
    finally:
        made.close()
