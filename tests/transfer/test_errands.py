"""Asking all peers at once: one that says nothing keeps nobody waiting."""

from __future__ import annotations

import subprocess
import sys
import threading
from functools import partial

from diadem.errors import Unreachable
from diadem.network.errands import do_all


def refuse() -> None:
    raise Unreachable("away")


def test_everybody_is_asked_and_who_is_away_hinders_nobody() -> None:
    asked: list[int] = []
    do_all([refuse, *(partial(asked.append, number) for number in range(40))], 30)
    assert sorted(asked) == list(range(40))


def test_who_has_had_no_turn_in_time_is_not_asked_later() -> None:
    end, late = threading.Event(), list[int]()
    do_all([*[end.wait] * 16, partial(late.append, 1)], 0.05)
    end.set()
    for thread in threading.enumerate():
        if thread.name == "diadem-ask":
            thread.join(10)
    assert late == []


def test_a_command_ends_though_a_peer_still_says_nothing() -> None:
    program = "import threading; from diadem.network.errands import do_all; do_all([threading.Event().wait], 0.05)"
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0
