"""The real project of JEOL's Analysis Station, and a single spectrum."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def project(shared_data: Path) -> Path:
    """The project file; the files that it lists lie below it."""
    return shared_data / "jeol" / "rawdata.ASW"


@pytest.fixture(scope="session")
def view(project: Path) -> Path:
    """Folder of the project's files."""
    return project.parent / "Sample" / "00_View000"


@pytest.fixture(scope="session")
def spectrum(shared_data: Path) -> Path:
    """A single spectrum."""
    return shared_data / "jeol_single" / "met03.EDS"


@pytest.fixture
def copied(project: Path, tmp_path: Path) -> Path:
    """A copy of the project that a test may damage."""
    shutil.copytree(project.parent, tmp_path / "jeol")
    for path in (tmp_path / "jeol").rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return tmp_path / "jeol" / project.name
