"""All that moves in a process has one limit of memory: everybody has a turn; it is used again, and given back."""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.errors import Interrupted
from diadem.model.buffers import fitted
from diadem.model.transfers import State
from diadem.network.memory import PICKED_UP, SENT, Memory, NoRoom
from tests.transfer.pair import Pair


class Used:
    """Bytes that are in use just now, and at most."""

    def __init__(self) -> None:
        self.lock, self.now, self.most = threading.Lock(), 0, 0

    def add(self, size: int) -> None:
        with self.lock:
            self.now += size
            self.most = max(self.most, self.now)


def test_so_much_is_in_use_at_once_and_memory_is_used_again_and_given_back() -> None:
    memory, used, seen = Memory(6000), Used(), set[int]()

    def work(size: int) -> None:
        with memory.room(size, 2 * size) as (one, two):
            used.add(3 * size)
            seen.update(map(id, (one, two)))
            assert (len(one), len(two)) == (size, 2 * size)
            assert fitted(two, 2 * size - 3) is two, "as who seals a window cuts it"
            time.sleep(0.005)
            used.add(-3 * size)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, [1000] * 40))
    assert used.most == 6000
    assert len(seen) < 40
    with memory.room(10) as (small,):
        assert len(small) == 10, "nothing was kept"


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 1500), st.sampled_from(["", "a", "b"])), min_size=1, max_size=30))
def test_whatever_is_asked_for_comes_in_turn_and_never_more_at_once(asked: list[tuple[int, str]]) -> None:
    memory, used = Memory(1000), Used()

    def work(one: tuple[int, str]) -> None:
        with memory.room(one[0], of=one[1]):
            used.add(min(one[0], 500))
            time.sleep(0.0005)
            used.add(-min(one[0], 500))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, asked))
    assert used.most <= 1000
    assert memory.take(500), "all of it was given back"
    assert not memory.take(1), "half is left for those who must have some"
    memory.give(500)


def test_who_holds_what_can_be_done_without_keeps_nobody_waiting_for_ever() -> None:
    memory = Memory(1000)
    assert memory.take(500)
    with memory.room(900) as (large,):
        assert len(large) == 900
    with memory.room(300), memory.room(200):
        pass
    memory.give(500)


def test_one_takes_no_more_of_what_it_can_do_without_than_leaves_it_room_to_go_on() -> None:
    memory = Memory(1600)
    assert memory.take(600, "cern")
    assert not memory.take(1, "cern"), "it has the rest of its share for what it cannot do without"
    assert memory.take(100, "desy")
    with memory.room(200, of="cern"):
        pass
    memory.give(600, "cern")
    assert memory.take(1, "cern")


def test_who_is_gone_holds_no_more_than_its_share_and_who_waits_hears_when_to_stop() -> None:
    memory, end, stop = Memory(4), threading.Event(), threading.Event()

    def stays(of: str) -> bool:
        with memory.room(1, of=of, require_going=require_going):
            return end.wait(10)

    def require_going() -> None:
        if stop.is_set():
            raise Interrupted("stopped")

    with ThreadPoolExecutor(4) as pool:
        gone = [pool.submit(stays, "gone") for _ in range(4)]
        try:
            with memory.room(1, of="here"), memory.room(1, of="here"):
                stop.set()
                stopped = itertools.islice(as_completed(gone, 5), 2)
                assert [type(one.exception(5)) for one in stopped] == [Interrupted] * 2
        finally:
            end.set()
    assert [one.result() for one in gone if one.exception() is None] == [True, True]


def test_who_wants_much_is_not_passed_by_those_who_want_little() -> None:
    memory, order = Memory(10), list[str]()
    begun = threading.Event()

    def large() -> None:
        begun.set()
        with memory.room(5):
            order.append("large")

    def small() -> None:
        with memory.room(1):
            order.append("small")

    with memory.room(3), memory.room(3):
        first = threading.Thread(target=large)
        first.start()
        assert begun.wait(5)
        time.sleep(0.1)
        assert not memory.take(1), "somebody waits"
        second = threading.Thread(target=small)
        second.start()
        time.sleep(0.1)
        assert order == [], "there is room for the small one, but it came later"
    for one in (first, second):
        one.join(5)
    assert sorted(order) == ["large", "small"]


def test_one_that_waits_for_much_keeps_nobody_waiting_who_has_another_use_for_room() -> None:
    memory, end = Memory(100, share=30), threading.Event()

    def seals(of: str) -> None:
        with memory.room(30, of=of, use=SENT):
            end.wait(10)

    with memory.room(10):
        pass
    with ThreadPoolExecutor(4) as pool:
        sealed = [pool.submit(seals, f"drive {number}") for number in range(4)]
        try:
            time.sleep(0.2)
            assert not asyncio.run(_has_room(memory, 30, use=SENT)), "another one waits already"
            assert asyncio.run(_has_room(memory, 10)), "of what comes in portions there is as much as one of them took"
        finally:
            end.set()
    assert [one.result() for one in sealed] == [None] * 4


def test_what_goes_to_a_hub_does_not_stop_what_comes_from_it() -> None:
    memory = Memory(100, share=60)
    with memory.room(30, of="hub", use=SENT), memory.room(30, of="hub", use=SENT):
        assert asyncio.run(_has_room(memory, 30, of="hub", use=PICKED_UP))
        assert not asyncio.run(_has_room(memory, 30, of="hub", use=SENT)), "that is beyond its share"
        with memory.room(10, of="hub", use=PICKED_UP):
            assert not asyncio.run(_has_room(memory, 10, of="hub", use=PICKED_UP))


async def _has_room(memory: Memory, size: int, **more: str) -> bool:
    try:
        async with memory.holding(size, patience=0.1, **more):
            return True
    except NoRoom:
        return False


def test_the_next_turn_has_who_holds_least_whoever_asked_before() -> None:
    memory, order = Memory(40, share=20), list[str]()

    def work(of: str) -> None:
        with memory.room(10, of=of):
            order.append(of)
            time.sleep(0.05)

    with ThreadPoolExecutor(3) as pool, memory.room(10, of="slow"), memory.room(20, of="slower"):
        with memory.room(10, of="other"):
            for of in ("slow", "slow", "quick"):
                pool.submit(work, of)
                time.sleep(0.1)
            assert order == []
        time.sleep(0.02)
    assert order == ["quick", "slow", "slow"]


def test_a_task_of_an_event_loop_waits_beside_threads_and_not_for_ever() -> None:
    memory = Memory(10)

    async def holds(size: int, patience: float) -> str:
        try:
            async with memory.holding(size, patience=patience):
                return "had room"
        except NoRoom:
            return "none"

    async def cancelled() -> None:
        waiting = asyncio.ensure_future(holds(10, 30.0))
        await asyncio.sleep(0.05)
        waiting.cancel()

    with ThreadPoolExecutor(1) as pool, memory.room(5), memory.room(5):
        assert asyncio.run(holds(1, 0.1)) == "none"
        asyncio.run(cancelled())
        later = pool.submit(asyncio.run, holds(10, 10.0))
        time.sleep(0.1)
        assert not later.done()
    assert later.result(10) == "had room"
    assert memory.take(5)


@pytest.mark.program("six transfers at once")
def test_packages_that_come_at_once_all_come_where_there_is_room_for_one_buffer(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Memory(1 << 20)
    monkeypatch.setattr("diadem.network.pull.TRANSFERS", memory)
    files = [{"scan.bin": random.Random(number).randbytes(3 << 20)} for number in range(6)]
    packages = [pair.a.archived(f"session{number}", one) for number, one in enumerate(files)]
    sent = [pair.a.node.send(package, "marie@nmi").id for package in packages]
    with ThreadPoolExecutor(6) as pool:
        came = list(pool.map(pair.b.node.accept, sent))
    assert [one.state for one in came] == [State.CLOSED] * 6
    assert memory.take(1 << 19), "all of it was given back"
