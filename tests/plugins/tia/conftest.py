"""The real TIA files, unpacked."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tia_files(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the real files."""
    folder = tmp_path_factory.mktemp("tia")
    for path in sorted((shared_data / "tia").iterdir()):
        if path.suffix == ".gz":
            with gzip.open(path) as source, (folder / path.stem).open("wb") as sink:
                shutil.copyfileobj(source, sink)
        else:
            shutil.copyfile(path, folder / path.name)
    return folder
