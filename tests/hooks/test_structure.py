"""Structures of binary headers as a `formats.toml` has them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from diadem.errors import PluginError
from diadem.hooks.binary import Structure
from diadem.hooks.manifest import document

TEXT = """
[structure.head]
Version = "i"
"Made by" = "8s"
Dwell   = [20, "d"]
Tilts   = "2f"
Mark    = [4, "B"]
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package on the search path, whose document is not known yet."""
    monkeypatch.syspath_prepend(tmp_path)
    document.cache_clear()
    folder = tmp_path / "with_structures"
    folder.mkdir()
    (folder / "formats.toml").write_text(TEXT, "utf-8")
    yield folder
    document.cache_clear()


def test_members_stand_one_after_the_other_or_at_their_own_place(package: Path) -> None:
    head = Structure(package.name, "head")
    data = b"before" + struct.pack("<i8s8xd2f", 3, b"EM\0 old", 0.5, 1.0, -2.0)
    assert head.size == len(data) - 6
    assert head.read(data, 6) == {"Version": 3, "Made by": "EM", "Dwell": 0.5, "Tilts": [1.0, -2.0], "Mark": ord("E")}
    assert list(head.read(data, 6)) == ["Version", "Made by", "Dwell", "Tilts", "Mark"]


def test_what_does_not_lie_within_the_data_is_left_out(package: Path) -> None:
    head = Structure(package.name, "head")
    data = struct.pack(">i8s8xd2f", 3, b"EM", 0.5, 1.0, -2.0)
    for length in range(len(data) + 1):
        found = head.read(data[:length], order=">", text=len)
        ends = {"Version": 4, "Made by": 12, "Dwell": 28, "Tilts": 36, "Mark": 5}
        assert set(found) == {name for name, end in ends.items() if end <= length}
    assert found["Made by"] == 8


@pytest.mark.parametrize("said", ['"z"', '[-1, "i"]', '[1, 2, "i"]', "4", '"3i2h"', '"i" \nq = "<i"'])
def test_a_code_that_is_none_is_named(package: Path, said: str) -> None:
    (package / "formats.toml").write_text(f"[structure.head]\np = {said}\n", "utf-8")
    with pytest.raises(PluginError, match=r"formats\.toml, line [23]: structure\.head\.[pq]"):
        Structure(package.name, "head")


def test_one_that_is_not_there_is_named(package: Path) -> None:
    with pytest.raises(PluginError, match=r"formats\.toml of with_structures has no structure 'heat'; it has head"):
        Structure(package.name, "heat")
