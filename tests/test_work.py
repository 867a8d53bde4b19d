"""Work on threads: order, bounds, the first failure, nothing left running."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from diadem.work import as_they_come, in_order

BOTH = pytest.mark.parametrize("work", [in_order, as_they_come])


def threads_of(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(name)]


def test_results_in_order_whatever_is_ready_first() -> None:
    def slow(number: int) -> int:
        time.sleep(0.02 * (number % 3 == 0))
        return number

    assert list(in_order(slow, range(20), threads=4, ahead=7)) == list(range(20))


def test_results_as_they_are_ready() -> None:
    gate = threading.Event()

    def held(number: int) -> int:
        if number == 0:
            assert gate.wait(20)
        return number

    results = as_they_come(held, range(3), threads=2, ahead=3)
    assert [next(results), next(results)] == [1, 2]
    gate.set()
    assert list(results) == [0]


@BOTH
def test_no_result_is_lost(work: Callable[..., Any]) -> None:
    assert sorted(work(lambda number: number, range(2000), threads=8, ahead=50)) == list(range(2000))
    assert list(work(lambda number: number, [], threads=8, ahead=50)) == []


@BOTH
@pytest.mark.parametrize(("ahead", "budget", "most"), [(3, 0, 3), (100, 25, 2), (100, 5, 1)])
def test_no_more_items_are_taken_than_there_is_room_for(
    work: Callable[..., Any], ahead: int, budget: int, most: int
) -> None:
    taken = given = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(30):
            taken += 1
            assert taken - given <= most + 1, "one more is taken, and waits for its place"
            yield number

    for _ in work(lambda number: number, items(), threads=2, ahead=ahead, size=lambda _: 10, budget=budget):
        given += 1
    assert given == 30


@BOTH
def test_the_first_failure_stops_what_has_not_begun(work: Callable[..., Any]) -> None:
    begun: list[int] = []

    def work_on(number: int) -> int:
        begun.append(number)
        if number == 3:
            raise ValueError("three")
        time.sleep(0.001)  # a thread that the system holds back for a while is not overtaken by hundreds
        return number

    with pytest.raises(ValueError, match="three"):
        list(work(work_on, range(1000), threads=2, ahead=10, name="fails"))
    assert len(begun) < 200
    assert not threads_of("fails")


@BOTH
def test_a_failing_source_and_a_leaving_caller_leave_nothing_running(work: Callable[..., Any]) -> None:
    def items() -> Iterator[int]:
        yield from range(5)
        raise OSError("the disk")

    with pytest.raises(OSError, match="the disk"):
        list(work(lambda number: number, items(), threads=2, ahead=10, name="reads"))
    with closing(work(abs, range(99), threads=2, ahead=10, name="left")) as results:
        next(results)
    assert not threads_of("reads") + threads_of("left")


@BOTH
def test_what_runs_is_told_to_stop_before_it_is_waited_for(work: Callable[..., Any]) -> None:
    stopped = threading.Event()

    def long(_: int) -> bool:
        return stopped.wait(60)

    def items() -> Iterator[int]:
        yield from range(2)
        raise OSError("the disk")

    with pytest.raises(OSError, match="the disk"):
        list(work(long, items(), threads=2, ahead=10, stop=stopped.set))
    assert stopped.is_set()


@BOTH
def test_a_timeout_of_the_work_itself_is_a_failure(work: Callable[..., Any]) -> None:
    def late(_: int) -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        list(work(late, range(3), threads=1, ahead=2))


_HANGING = """
import signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started us may have been deaf to it
from diadem.work import do_all
print("begun", flush=True)
do_all([lambda: time.sleep(60)] * 2, threads=2)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_second_interruption_ends_the_process_though_a_thread_hangs() -> None:
    process = subprocess.Popen([sys.executable, "-c", _HANGING], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline()
        for _ in range(2):
            time.sleep(0.7)
            process.send_signal(signal.SIGINT)
        try:
            assert process.wait(15) != 0
        finally:
            process.kill()


@pytest.mark.parametrize("run", ["in_order", "do_all", "make_all"])
@pytest.mark.sweep(1)
def test_an_interruption_at_any_moment_ends_the_work(run: str) -> None:
    command = [sys.executable, "-m", "tests.interrupted", run]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert ended.stdout == "over\n"
