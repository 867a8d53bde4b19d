"""What is said of a transfer that is over, and of one that was stopped in the middle."""

from __future__ import annotations

import random

import pytest

from diadem.cli.transfers import transfer_line
from diadem.errors import DiademError, Interrupted
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


def test_an_accepted_package_that_was_stopped_is_in_the_status_with_its_next_step(pair: Pair) -> None:
    sent = accepted(pair, {"a.bin": random.Random(2).randbytes(6 * MIB)})

    def stop(kind: str, number: int, _start: int, data: bytes) -> bytes:
        if kind == "window":
            raise KeyboardInterrupt
        return data

    pair.b.wire.spoil = stop
    with pytest.raises((Interrupted, KeyboardInterrupt)):
        pair.b.node.transfers.resume(sent.id, listener=silent)
    transfers = pair.b.node.transfers
    look = transfers.look()
    assert look["not_here"] == [sent.id]
    assert "1 accepted package not here yet" in look["text"]
    assert f"diadem transfer resume {sent.id[:8]}" in transfers.show(sent.id).to_dict()["next"]
    pair.b.wire.spoil = lambda _kind, _number, _start, data: data
    transfers.resume(sent.id, listener=silent)
    assert transfers.look()["not_here"] == []
    assert transfers.show(sent.id).to_dict()["next"] == ""
