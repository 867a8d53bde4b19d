"""Twenty interruptions of one transfer: kills of either side, cuts of the wire, Ctrl-C. It comes whole, and once."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests import namespaces
from tests.network.interruptions import SMALL, Ordeal, acquainted

pytestmark = [
    pytest.mark.program("a transfer is interrupted twenty times"),
    pytest.mark.skipif(bool(namespaces.missing()), reason=namespaces.missing()),
]
SEED, INTERRUPTIONS, LANDINGS = 20260314, 20, 2


def test_a_transfer_is_interrupted_twenty_times(tmp_path: Path) -> None:
    with namespaces.wire() as wire:
        alice, marie = acquainted(wire, tmp_path)
        ordeal = Ordeal(wire, alice, marie, SMALL, random.Random(SEED))
        try:
            ordeal.offer()
            ordeal.begin()
            while ordeal.interruptions < INTERRUPTIONS and ordeal.interrupt():
                pass
            while ordeal.interruptions < INTERRUPTIONS + LANDINGS and ordeal.interrupt_landing():
                pass
            ordeal.finish()
            ordeal.judged()
        except AssertionError as error:
            raise AssertionError(f"{error}\n" + "\n".join(ordeal.history) + ordeal.log()) from error
        finally:
            alice.end()
    assert ordeal.interruptions >= INTERRUPTIONS
