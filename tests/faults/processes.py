"""Verbs in processes of their own: killed at a random change or moment, short of space, or two at once."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import zygote
from tests.faults.laboratory import Laboratory

#: Seconds after which a process that does not end is a broken promise of its own.
_PATIENCE = 120.0
#: Numbers of answers.
_COUNT = itertools.count()


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a process: the verb's result, its refusal in words, a traceback that is not DIADEM's, or none."""

    done: Mapping[str, Any] | None = None
    error: str | None = None
    crash: str | None = None

    @property
    def words(self) -> str:
        """In a few words."""
        if self.done is not None:
            return "done"
        return f"refused: {self.error}" if self.error else f"crashed: {self.crash}" if self.crash else "killed"


class Child:
    """One process at work."""

    def __init__(self, process: zygote.Process, answer: Path) -> None:
        self._process, self._answer = process, answer

    def kill_after(self, seconds: float) -> None:
        """kill -9 after some time, unless it has answered by then."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self._answer.exists():
                return
            time.sleep(min(0.001, seconds))
        self._process.kill()

    def answer(self) -> Answer:
        """Wait for its end, and read what it said."""
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_PATIENCE)
            return Answer(crash=f"it did not end within {_PATIENCE:.0f} seconds")
        if not self._answer.exists():
            return Answer()
        said = json.loads(self._answer.read_text())
        self._answer.unlink()
        return Answer(said.get("done"), said.get("error"), said.get("crash"))


def begin(
    laboratory: Laboratory,
    verb: str,
    arguments: Mapping[str, Any],
    *,
    accident: Mapping[str, Any] | None = None,
    start: float | None = None,
) -> Child:
    """Start one of `tests.faults.verbs.VERBS` on the laboratory's node.

    `accident` is an ``event``, the how-manieth change at which it is killed; a ``limit`` in bytes that no file may
    exceed; or ``power``, what `tests.faults.power.cut_power` is told. `start` is the Unix time at which it begins, for
    two that shall begin together.
    """
    answer = laboratory.scratch / "answers" / f"{next(_COUNT)}.json"
    answer.parent.mkdir(exist_ok=True)
    order = {
        "node": str(laboratory.place.node),
        "watch": str(laboratory.place.root),
        "verb": verb,
        "arguments": dict(arguments),
        "accident": dict(accident or {}),
        "start": start,
        "answer": str(answer),
    }
    # The folder above is that of the weakened copy, where there is one: a process that is started looks there first.
    command = [sys.executable, "-m", "tests.faults.verbs", json.dumps(order)]
    return Child(zygote.start(command, cwd=Path(__file__).parents[2], stdout=2), answer)
