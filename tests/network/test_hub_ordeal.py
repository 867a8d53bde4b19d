"""Twenty faults while packages go through a hub: cables, processes and the hub itself. They come whole, and once."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests import namespaces
from tests.network.hub_ordeal import HubOrdeal, harbour
from tests.network.interruptions import MIB, Scale

pytestmark = [
    pytest.mark.program("a transfer over a hub meets twenty faults"),
    pytest.mark.skipif(bool(namespaces.missing()), reason=namespaces.missing()),
]
SEED, FAULTS = 20260315, 20
SCALE = Scale(112 * MIB, 40, "300mbit", 0.2, (0.1, 0.3))


def test_twenty_faults_of_cables_processes_and_the_hub(tmp_path: Path) -> None:
    with namespaces.star() as star, harbour(star, tmp_path) as parties:
        ordeal = HubOrdeal(star, *parties, SCALE, random.Random(SEED))
        try:
            ordeal.begin()
            while ordeal.interruptions < FAULTS:
                if not ordeal.strike():
                    ordeal.go_on()
            ordeal.finish()
            ordeal.judged()
        except AssertionError as error:
            raise AssertionError(f"{error}\n{ordeal.log()}") from error
    assert ordeal.interruptions >= FAULTS
