"""Two nodes that know each other, for every test of this folder that wants them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.transfer.pair import Pair, make_pair


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
