"""The real DigitalMicrograph files, unpacked, and what DIADEM says of all of them."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from diadem.model.record import Dataset


@pytest.fixture(scope="session")
def dm_files(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the real files."""
    folder = tmp_path_factory.mktemp("dm")
    for path in sorted((shared_data / "dm").iterdir()):
        if path.suffix == ".gz":
            with gzip.open(path) as source, (folder / path.stem).open("wb") as sink:
                shutil.copyfileobj(source, sink)
        else:
            shutil.copyfile(path, folder / path.name)
    return folder


@pytest.fixture(scope="session")
def datasets(real: Mapping[str, Dataset]) -> Mapping[str, Dataset]:
    """What the record says, by file name."""
    return {Path(path).name: dataset for path, dataset in real.items() if path.startswith("dm/")}
