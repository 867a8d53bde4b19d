"""Verbs in processes of their own: killed at a random event or moment, short of space, or two at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node_faults.laboratory import Place

_BENCHMARKS = Path(__file__).resolve().parent.parent
#: Seconds after which a process that does not end is a broken promise of its own.
_PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a process.

    Attributes
    ----------
    done : mapping or None
        The verb's own result as a JSON object.
    error : str or None
        What it refused or failed with, in words.
    crash : str or None
        A traceback, where it ended by an error that is not DIADEM's.
    killed : bool
        Whether it was killed before it could answer.
    events : int
        Changes that it made to the file system.
    seconds : float
        Time that the verb took.
    """

    done: Mapping[str, Any] | None = None
    error: str | None = None
    crash: str | None = None
    killed: bool = False
    events: int = 0
    seconds: float = 0.0

    @property
    def words(self) -> str:
        """In a few words."""
        if self.killed:
            return "killed"
        return "done" if self.done is not None else f"refused: {self.error}" if self.error else f"crashed: {self.crash}"


class Child:
    """One process at work."""

    def __init__(self, nursery: Nursery, pid: int, answer: Path, process: subprocess.Popen[bytes] | None) -> None:
        self._nursery, self.pid, self._answer, self._process = nursery, pid, answer, process

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
        else:
            os.kill(self.pid, signal.SIGKILL)

    def kill_after(self, seconds: float) -> None:
        """kill -9 after some time, unless it has answered by then."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self._answer.exists():
                return
            time.sleep(min(0.001, seconds))
        self.kill()

    def answer(self) -> Answer:
        """Wait for its end, and read what it said."""
        if self._process is not None:
            self._process.wait(_PATIENCE)
        elif self._nursery.ask({"wait": self.pid, "patience": _PATIENCE}).get("hung"):
            return Answer(crash=f"it did not end within {_PATIENCE:.0f} seconds")
        if not self._answer.exists():
            return Answer(killed=True)
        said = json.loads(self._answer.read_text())
        self._answer.unlink()
        return Answer(said.get("done"), said.get("error"), said.get("crash"), False, said["events"], said["seconds"])


class Nursery:
    """Makes the processes. Close it at the end.

    Parameters
    ----------
    scratch : Path
        Where answers are written.
    """

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._count = 0
        self._zygote: subprocess.Popen[str] | None = None

    def begin(
        self,
        place: Place,
        verb: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        accident: Mapping[str, Any] | None = None,
        start: float | None = None,
    ) -> Child:
        """Start a verb on the node.

        Parameters
        ----------
        place : Place
            The node.
        verb, arguments : str, mapping
            See `node_faults.verbs.VERBS`.
        accident : mapping, optional
            ``event``: killed at the how-manieth change; ``limit``: bytes that no file may exceed; ``power``: what
            `node_faults.power.cut_power` is told.
        start : float, optional
            Unix time at which it begins, for two that shall begin together.
        """
        self._count += 1
        answer = self._scratch / f"answer-{self._count}.json"
        order = {
            "node": str(place.node),
            "watch": str(place.root),
            "verb": verb,
            "arguments": dict(arguments or {}),
            "accident": dict(accident or {}),
            "start": start,
            "answer": str(answer),
        }
        if not hasattr(os, "fork"):
            process = subprocess.Popen(
                _command("--once", json.dumps(order)), env=_environment(), stdin=subprocess.DEVNULL
            )
            return Child(self, process.pid, answer, process)
        return Child(self, self.ask(order)["pid"], answer, None)

    def ask(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Send the zygote a line and read its answer."""
        if self._zygote is None:
            self._zygote = subprocess.Popen(
                _command(), env=_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        assert self._zygote.stdin is not None
        assert self._zygote.stdout is not None
        self._zygote.stdin.write(json.dumps(order) + "\n")
        self._zygote.stdin.flush()
        answer: dict[str, Any] = json.loads(self._zygote.stdout.readline())
        return answer

    def close(self) -> None:
        """End the zygote."""
        if self._zygote is not None:
            zygote, self._zygote = self._zygote, None
            assert zygote.stdin is not None
            assert zygote.stdout is not None
            zygote.stdin.close()
            zygote.stdout.close()
            zygote.wait(_PATIENCE)


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-P", "-m", "node_faults.zygote", *arguments]


def _environment() -> dict[str, str]:
    paths = [str(_BENCHMARKS), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
