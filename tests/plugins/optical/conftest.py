"""Records of the real files of optics, and a table applied to a tree that was made up."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from diadem.extract.tables import apply
from diadem.hooks.fields import Block, Table

Apply = Callable[[Table, Mapping[str, Any]], dict[str, Any]]


@pytest.fixture(scope="session")
def optics(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the real files of all formats of this family."""
    target = tmp_path_factory.mktemp("optics")
    for name in ("wdf", "jobinyvon", "trivista", "delmic", "digitalsurf"):
        shutil.copytree(shared_data / name, target / name)
    return target


@pytest.fixture(scope="session")
def datasets(real: Mapping[str, Any]) -> Mapping[str, Any]:
    """Datasets by the name of their file."""
    folders = ("wdf/", "jobinyvon/", "trivista/", "delmic/", "digitalsurf/")
    return {Path(path).name: dataset for path, dataset in real.items() if path.startswith(folders)}


@pytest.fixture
def applied() -> Apply:
    """What a table makes of a tree, without an issue: field to value, or to values where there are several."""

    def run(table: Table, tree: Mapping[str, Any]) -> dict[str, Any]:
        found = apply(table, Block("rosettasciio", tree), "test")
        assert found.issues == []
        return {value.field: value.value for value in found.values}

    return run
