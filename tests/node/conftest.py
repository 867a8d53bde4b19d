"""What the tests of the node share: workers, for starting them takes longer than most tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from diadem.api.tools import tools
from diadem.extract.pool import Extractor


@pytest.fixture(scope="session")
def lent_extractor() -> Iterator[Extractor]:
    """Workers that live as long as the process."""
    with tools().extractor(previews=False) as extractor:
        yield extractor
