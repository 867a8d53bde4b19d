"""A group and its mirror, anew for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.custody.group import Group, MemoryMirror


@pytest.fixture
def mirror() -> MemoryMirror:
    return MemoryMirror()


@pytest.fixture
def group(tmp_path: Path, mirror: MemoryMirror) -> Iterator[Group]:
    made = Group(tmp_path / "log").create(mirror)
    yield made
    made.ledger.close()
