"""Buffers that are used again have the asked size, and never change under somebody who still looks into them."""

from __future__ import annotations

import pytest

from diadem.model.buffers import fitted


@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 5000])
def test_a_buffer_has_the_size_that_is_asked_for_and_is_the_same_one(size: int) -> None:
    for before in (0, 1, 100):
        room = bytearray(before)
        assert fitted(room, size) is room
        assert len(room) == size
    assert fitted(None, size) == bytes(size)


@pytest.mark.parametrize("size", [50, 100, 150])
def test_what_somebody_looks_into_stays_as_it_is(size: int) -> None:
    room = bytearray(b"x" * 100)
    with memoryview(room)[10:20] as view:
        other = fitted(room, size)
        assert other is not room
        assert len(other) == size
        assert bytes(view) == b"x" * 10
    assert len(room) == 100
