"""Damaged and hostile files through every family: an end soon, blocks or an ordinary exception."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from diadem.extract.tables import apply
from diadem.hooks.cuts import cutter
from diadem.hooks.fields import Block
from diadem.hooks.tables import table
from tests.hooks.distributions import fields_of
from tests.plugins import opened

FAMILIES = (
    *("thermofisher", "zeiss", "tescan", "fibics", "tvips", "olympus", "hamamatsu", "jeol", "gatan"),
    *("hitachi", "pictures", "imagej", "aspex", "sightx", "sem_text"),
)
#: Seconds in which all families must be through with one file.
SOON = 5


def own(path: Path) -> Iterable[Block]:
    """What formats of pictures themselves give."""
    return opened.blocks(f"diadem.plugins.{'hamamatsu' if path.suffix == '.img' else 'pictures'}.files:open", path)


def through(path: Path) -> tuple[int, int]:
    """How many blocks and how many exceptions; tables are applied too."""
    blocks = failures = 0
    for family in FAMILIES:
        for offer in fields_of(f"diadem.plugins.{family}"):
            if not offer.blocks and family not in ("pictures", "hamamatsu"):  # its own format is opened
                continue
            try:
                in_own = path.suffix == ".img" and family == "hamamatsu"
                cutting = own(path) if in_own or not offer.blocks else cutter(offer.blocks)(str(path), [str(path)])
                for block in cutting:
                    assert isinstance(block, Block)
                    blocks += 1
                    if block.byte_range is not None:
                        assert path.read_bytes()[slice(*block.byte_range)] == block.data
                    if block.tree and block.kind in offer.tables:
                        apply(table(offer.tables[block.kind]), block, offer.name)
            except AssertionError:
                raise
            except Exception:
                failures += 1
    return blocks, failures


def real(unpacked_data: Path) -> list[Path]:
    return [
        path for pattern in ("tif-*/*.tif", "image/*", "hamamatsu/*") for path in sorted(unpacked_data.glob(pattern))
    ]


@pytest.mark.parametrize("part", [0.0, 0.001, 0.01, 0.3, 0.9, 0.99, 0.9999])
def test_ends_too_early(unpacked_data: Path, tmp_path: Path, part: float) -> None:
    for source in real(unpacked_data):
        data = source.read_bytes()
        path = tmp_path / source.name
        path.write_bytes(data[: int(len(data) * part)])
        started = time.process_time()
        through(path)
        assert time.process_time() - started < SOON, source.name


@pytest.mark.parametrize("seed", range(3))
def test_bytes_changed_anywhere_but_in_pixels(unpacked_data: Path, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    for source in real(unpacked_data):
        data = bytearray(source.read_bytes())
        for _ in range(200):
            where = chance.choice([chance.randrange(min(4096, len(data))), -1 - chance.randrange(min(9000, len(data)))])
            data[where] = chance.randrange(256)
        path = tmp_path / source.name
        path.write_bytes(data)
        started = time.process_time()
        through(path)
        assert time.process_time() - started < SOON, source.name


def test_hostile_files(shared_data: Path) -> None:
    for path in sorted((shared_data / "bad").iterdir()):
        if path.suffix != ".tsv" and path.stat().st_size < 50e6:
            started = time.process_time()
            through(path)
            assert time.process_time() - started < SOON, path.name


def test_whole_files_have_no_failures(unpacked_data: Path) -> None:
    for path in real(unpacked_data):
        blocks, failures = through(path)
        assert blocks >= 1, path.name
        assert failures == 0, path.name
