"""The real files, as the package of all of them describes them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from diadem.archive.package import Package
from diadem.model.record import Dataset


@pytest.fixture(scope="session")
def real(corpus: Package) -> Mapping[str, Dataset]:
    """Datasets by the path of their first file: ``bruker/test_TEM.bcf``."""
    return {dataset.files[0].path: dataset for dataset in corpus.record.datasets}
