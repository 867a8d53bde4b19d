"""A command that is killed at its n-th change of the disk; forked from this process: it costs no start. POSIX."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

#: What a process tells (`sys.addaudithook`) before it changes the disk; of files those that are opened for writing.
_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.chmod", "os.truncate", "sqlite3.connect"}


def killed(number: int, root: Path, *words: object) -> bool:
    """Run `diadem` and kill it before its n-th change below a folder; whether it was killed, else it has ended."""
    child = os.fork()
    if child == 0:
        _die_at(number, str(root), [str(word) for word in words])
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def _die_at(number: int, root: str, words: list[str]) -> None:
    from diadem.cli.main import run

    left = number

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        change = event in _CHANGES or (event == "open" and isinstance(arguments[2], int) and arguments[2] & os.O_CREAT)
        if change and str(arguments[0]).startswith(root):
            left -= 1
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

    quiet = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(quiet, stream)
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115  pytest's are its own
    sys.addaudithook(count)
    try:
        run(words)
    except SystemExit as left_with:
        os._exit(int(left_with.code or 0))
    finally:
        os._exit(99)
