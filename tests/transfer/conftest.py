"""Nodes that call each other."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.transfer.folder_hub import FolderHub
from tests.transfer.pair import Pair, make_pair
from tests.transfer.star import Star, make_acquainted, make_star
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


@pytest.fixture(scope="session")
def strangers(templates: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub and two nodes behind it that do not know each other, to be copied."""
    root = tmp_path_factory.mktemp("strangers")
    make_star(templates, root)
    return root


@pytest.fixture(scope="session")
def acquainted(strangers: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, where the two have met."""
    root = tmp_path_factory.mktemp("acquainted")
    make_acquainted(strangers, root)
    return root


def _star(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Star]:
    monkeypatch.setenv("DIADEM_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("DIADEM_CACHE", str(tmp_path / "cache"))
    shutil.copytree(root / "hub", tmp_path / "hub")
    made = Star(root, tmp_path / "star", hub=FolderHub(tmp_path / "hub"))
    try:
        yield made
    finally:
        for node in made.nodes.values():
            node.close()


@pytest.fixture
def strange(strangers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Star]:
    """Two nodes behind a hub that do not know each other."""
    yield from _star(strangers, tmp_path, monkeypatch)


@pytest.fixture
def star(acquainted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Star]:
    """Two nodes behind a hub that have met."""
    yield from _star(acquainted, tmp_path, monkeypatch)
