"""What the tests of `WorkerPool` have its processes do."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from diadem.errors import NotFound


def process(_: object = None) -> int:
    """Who is at work."""
    return os.getpid()


def die(number: int) -> int:
    """End in the middle of a task, as a process does that needs too much memory."""
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
    return number


def die_once(marker: str) -> int:
    """End the first time only."""
    if not os.path.exists(marker):
        Path(marker).touch()
        die(0)
    return os.getpid()


def fail(where: str) -> None:
    """Raise one of DIADEM's errors."""
    raise NotFound("nothing is there", where=where, next="Look elsewhere.")


def unsendable() -> object:
    """Return what cannot be pickled."""
    return lambda: None


def shout() -> str:
    """Print, which must not disturb the answer."""
    sys.stdout.write("noise" * 1000)
    return "said"


def sleep(seconds: float) -> float:
    """Take a while."""
    time.sleep(seconds)
    return seconds
