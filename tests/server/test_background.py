"""What a serving node does by itself: each job in its time, one failure ends none, and all end when they are asked."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter

import pytest

from diadem.errors import Refused, UsageError
from diadem.network.http.address import DEFAULT_PORT, Address
from diadem.network.http.limits import Buckets
from diadem.network.http.metrics import Counts
from diadem.network.jobs import Job, JobRunner


def test_a_long_job_and_a_failing_one_keep_no_other_from_its_work() -> None:
    done: Counter[str] = Counter()
    enough = threading.Event()

    def long(stop: threading.Event) -> bool:
        return not stop.wait(30)

    def failing(_: threading.Event) -> bool:
        done["tried"] += 1
        raise Refused("not now")

    def quick(_: threading.Event) -> bool:
        done["quick"] += 1
        if done["quick"] == 5:
            enough.set()
        return done["quick"] < 3

    told: Counter[tuple[str, bool]] = Counter()
    jobs = [Job("long", long), Job("failing", failing, every=0.01), Job("quick", quick, every=0.01)]
    work = JobRunner(jobs, lambda name, well: told.update([(name, well)]))
    work.start()
    assert enough.wait(10)
    began = time.monotonic()
    assert work.stop(5)
    assert time.monotonic() - began < 2
    assert told["failing", False] == done["tried"] >= 1
    assert told["quick", True] == done["quick"]


def test_what_a_job_has_begun_elsewhere_is_waited_for_as_long_as_there_is_patience() -> None:
    ended, left = threading.Event(), list[float]()

    def work() -> None:
        time.sleep(0.3)
        ended.set()

    thread = threading.Thread(target=work)

    def begin(_: threading.Event) -> bool:
        if not thread.ident:
            thread.start()
        return False

    def settle(seconds: float) -> None:
        left.append(seconds)
        thread.join(seconds)

    running = JobRunner([Job("mover", begin, settle)], lambda *_: None)
    running.start()
    while not thread.ident:
        time.sleep(0.01)
    running.stop(5)
    assert ended.is_set()
    assert 3 < left[0] <= 5


def test_what_fails_again_and_again_is_tried_more_and_more_rarely() -> None:
    moments: list[float] = []

    def failing(_: threading.Event) -> bool:
        moments.append(time.monotonic())
        raise Refused("not now")

    work = JobRunner([Job("failing", failing, every=0.02, longest=0.5)], lambda *_: None)
    work.start()
    time.sleep(0.9)
    assert work.stop(5)
    gaps = [later - sooner for sooner, later in itertools.pairwise(moments)]
    assert 2 <= len(gaps) <= 6
    assert gaps[-1] > 1.5 * gaps[0]


def test_a_bucket_fills_again_with_time_and_never_above_its_size() -> None:
    now = [0.0]
    bucket = Buckets(rate=2.0, burst=3.0, clock=lambda: now[0])
    assert [bucket.take("a") for _ in range(4)] == [True, True, True, False]
    assert bucket.take("b")
    now[0] = 0.5
    assert [bucket.take("a") for _ in range(2)] == [True, False]
    now[0] = 1000.0
    assert [bucket.take("a") for _ in range(4)] == [True, True, True, False]


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("0.0.0.0:7000", "0.0.0.0", 7000),
        ("localhost", "localhost", DEFAULT_PORT),
        (":7000", "0.0.0.0", 7000),
        ("[::1]:7000", "::1", 7000),
        ("[::1]", "::1", DEFAULT_PORT),
    ],
)
def test_an_address_is_read_as_people_write_it(text: str, host: str, port: int) -> None:
    assert Address.parse(text) == Address(host, port)
    assert Address.parse(str(Address(host, port))) == Address(host, port)


@pytest.mark.parametrize("text", ["x:y", "host:0", "host:99999", "a b:80", "host:８０"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Address.parse(text)


def test_seconds_fall_into_every_bucket_that_is_large_enough() -> None:
    counts = Counts()
    counts.request("GET health", 200, seconds=0.3, received=0, sent=11)
    found = {(name, labels): value for name, labels, value in counts.rows()}
    bucket = "request_seconds_bucket"
    assert found[bucket, '{le="0.1",route="GET health"}'] == 0
    assert found[bucket, '{le="0.5",route="GET health"}'] == 1
    assert found[bucket, '{le="+Inf",route="GET health"}'] == 1
    assert found["sent_bytes_total", ""] == 11
