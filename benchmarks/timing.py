"""Runs of child processes, timed from outside: wall clock, CPU seconds with all descendants, what they printed."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

#: Above this ratio of a peer's slowest to its fastest run the disk decides, and only CPU seconds are claimed.
STEADY = 1.5


@dataclass(frozen=True, slots=True)
class Run:
    """One finished child: seconds, CPU seconds of it and its waited-for descendants, standard output."""

    wall: float
    cpu: float | None
    code: int
    output: str


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    allowed: Sequence[int] = (0,),
) -> Run:
    """Run a command to its end and time it.

    Raises
    ------
    RuntimeError
        If the exit code is not one of `allowed`; with the end of its standard error.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        child = subprocess.Popen([str(part) for part in command], cwd=cwd, env=env, stdout=output, stderr=errors)
        cpu = _wait(child)
        wall = time.perf_counter() - start
        output.seek(0)
        errors.seek(0)
        text, complaint = output.read().decode(errors="replace"), errors.read().decode(errors="replace")
    if child.returncode not in allowed:
        raise RuntimeError(f"{command[:3]} … ended with {child.returncode}:\n{complaint[-2000:]}{text[-2000:]}")
    return Run(wall, cpu, child.returncode, text)


def both_sides(work: Callable[[], Run], server: Callable[[], float]) -> Run:
    """A run with the CPU seconds that the other side took for it."""
    before = server()
    done = work()
    return done if done.cpu is None else replace(done, cpu=done.cpu + server() - before)


def _wait(child: subprocess.Popen[bytes]) -> float | None:
    """Wait for the child; its CPU seconds where the system tells them (not on Windows)."""
    if sys.platform == "win32":
        child.wait()
        return None
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime


def settle() -> None:
    """Write out everything that is pending, so that no run pays for the one before it."""
    if sys.platform != "win32":
        os.sync()


@dataclass(frozen=True, slots=True)
class Contender:
    """One thing that is timed: what makes it ready, what is timed, what clears up.

    `rounds` limits the rounds of a slow one.
    """

    name: str
    work: Callable[[], Run]
    after: Callable[[], None] = lambda: None
    rounds: int = 1_000


@dataclass(slots=True)
class Series:
    """All runs of one contender, by round."""

    name: str
    runs: dict[int, Run] = field(default_factory=dict)

    @property
    def walls(self) -> list[float]:
        """Seconds of every run."""
        return [one.wall for one in self.runs.values()]

    @property
    def median(self) -> float:
        """Median seconds."""
        return statistics.median(self.walls)

    @property
    def spread(self) -> float:
        """Slowest over fastest run."""
        return max(self.walls) / min(self.walls)

    def cpu_per_gib(self, size: int) -> float | None:
        """Median CPU seconds a GiB, where the system tells them."""
        seconds = [one.cpu for one in self.runs.values() if one.cpu is not None]
        return statistics.median(seconds) / (size / 2**30) if seconds else None


def interleave(contenders: Sequence[Contender], rounds: int) -> dict[str, Series]:
    """Run all contenders in turn, `rounds` times, every other round backwards, settled before each run."""
    series = {one.name: Series(one.name) for one in contenders}
    for number in range(rounds):
        for one in contenders[:: -1 if number % 2 else 1]:
            if number < one.rounds:
                settle()
                series[one.name].runs[number] = one.work()
                one.after()
    return series


def slowest_of(peers: Sequence[Series]) -> Series:
    """Round by round the slowest of some peers, where all of them ran: the bar that is set in that round."""
    shared = [number for number in peers[0].runs if all(number in peer.runs for peer in peers)]
    name = peers[0].name if len(peers) == 1 else f"max({', '.join(peer.name for peer in peers)})"
    return Series(name, {number: max((peer.runs[number] for peer in peers), key=_wall) for number in shared})


def _wall(one: Run) -> float:
    return one.wall


def pair_ratios(ours: Series, peer: Series) -> list[float]:
    """Our seconds over the peer's, round by round, where both ran."""
    return [one.wall / peer.runs[number].wall for number, one in ours.runs.items() if number in peer.runs]
