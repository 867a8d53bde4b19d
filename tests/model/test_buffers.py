"""Buffers that are used again have the asked size, and never change under somebody who still looks into them."""

from __future__ import annotations

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed

import pytest

from diadem.errors import Interrupted
from diadem.model.buffers import Rooms, fitted


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


def test_so_many_are_at_it_at_once_and_memory_is_used_again_and_given_back() -> None:
    rooms, lock, at_it, most, seen = Rooms(2), threading.Lock(), 0, 0, set[int]()

    def work(size: int) -> None:
        nonlocal at_it, most
        with rooms.room(size, 2 * size) as (one, two):
            with lock:
                at_it += 1
                most = max(most, at_it)
                seen.update(map(id, (one, two)))
            assert fitted(one, size) is one
            assert len(two) >= 2 * size
            time.sleep(0.005)
            with lock:
                at_it -= 1

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, [1000] * 40))
    assert most == 2
    assert len(seen) < 40
    with rooms.room(10) as (small,):
        assert len(small) == 10, "nothing was kept"


def test_who_is_gone_holds_no_more_than_its_share_and_who_waits_hears_when_to_stop() -> None:
    rooms, end, stop = Rooms(4, each=2), threading.Event(), threading.Event()

    def stays(of: str) -> bool:
        with rooms.room(1, of=of, require_going=require_going):
            return end.wait(10)

    def require_going() -> None:
        if stop.is_set():
            raise Interrupted("stopped")

    with ThreadPoolExecutor(4) as pool:
        gone = [pool.submit(stays, "gone") for _ in range(4)]
        try:
            with rooms.room(1, of="here"), rooms.room(1, of="here"):
                stop.set()
                assert (
                    sum(isinstance(one.exception(5), Interrupted) for one in itertools.islice(as_completed(gone, 5), 2))
                    == 2
                )
        finally:
            end.set()
    assert [one.result() for one in gone if one.exception() is None] == [True, True]
