"""What is said of a transfer that is over, and of one that was stopped in the middle."""

from __future__ import annotations

import random

import pytest

from diadem.cli.transfers import transfer_line
from diadem.errors import DiademError
from diadem.model.ports import silent
from diadem.model.transfers import State
from tests.transfer.pair import Pair
from tests.transfer.test_landing import MIB, accepted


def test_nothing_of_the_way_stands_behind_a_transfer_that_is_over(pair: Pair) -> None:
    sent = accepted(pair, {"a.bin": random.Random(1).randbytes(3 * MIB)})
    pair.a.node.transfers.pause(sent.id)
    with pytest.raises(DiademError):
        pair.b.node.transfers.resume(sent.id, listener=silent)
    assert "ERROR" in transfer_line(pair.b.node.transfers.show(sent.id).to_dict())
    pair.b.node.transfers.cancel(sent.id)
    for side in (pair.a, pair.b):
        found = side.node.transfers.show(sent.id).transfer
        assert (found.state, found.paused, found.error, found.next) == (State.CANCELLED, False, "", "")
        line = transfer_line(found.to_dict())
        assert "paused" not in line
        assert "ERROR" not in line
