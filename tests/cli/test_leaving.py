"""A command that was stopped is gone soon, also where one of its threads would wait for ever."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import sys, threading
import diadem.__main__ as door
import diadem.cli.main as commands
door._PATIENCE = 0.2
commands.run = lambda: sys.exit({code})
threading.Thread(target=threading.Event().wait).start()
door.main()
"""


def run(code: int, patience: float) -> int:
    return subprocess.run([sys.executable, "-c", PROGRAM.format(code=code)], timeout=patience, check=False).returncode


def test_who_was_stopped_leaves() -> None:
    assert run(6, 60) == 6


def test_who_was_not_stopped_waits_for_its_threads() -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        run(0, 3)


@pytest.mark.parametrize("words", [["plugins"], ["--version"], ["--help"]])
def test_a_reader_that_has_enough_is_no_fault(words: list[str]) -> None:
    """As with ``| head -1``: the last lines find nobody."""
    reading, writing = os.pipe()
    os.close(reading)
    line = [sys.executable, "-m", "diadem", *words]
    held = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}  # as in a shell
    done = subprocess.run(line, stdout=writing, stderr=subprocess.PIPE, text=True, check=False, env=held)
    os.close(writing)
    assert done.stderr == ""
