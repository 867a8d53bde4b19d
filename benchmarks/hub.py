"""A package through a hub: put down by its sender, and picked up by its receiver, each at a time of its own.

Each side is the command `diadem transfer sync` in a new process. *Send*: windows are read, proven, sealed, put.
*Receive*: they are got, opened, proven, written, landed, and the receipt is signed and told. The hub serves on
loopback, over TLS, in a process of its own, and forces each window to its disk. What was timed ends with one sync of
the file system. Seconds include the start of the interpreter and the messages. CPU seconds and memory are those of
each process.
"""

from __future__ import annotations

import json
import os
import re
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import machine
from inputs import described, make
from tables import parser, workplace, write
from timing import STEADY, Run, run, settle

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import diadem
from diadem.testing.faults import remove
from tests.consoles import given_here

HERE = Path(__file__).resolve().parent
#: MiB a second of each side, and bytes of memory of each process.
RATE, MEMORY = 200.0, 250e6


@dataclass(frozen=True)
class Side:
    """One round of one side.

    Attributes
    ----------
    wall, cpu, hub_cpu : float
        Seconds: of the clock, of the command's processor, of the hub's.
    peak, hub_peak : float
        Bytes of memory, at most.
    """

    wall: float
    cpu: float
    hub_cpu: float
    peak: float
    hub_peak: float


class Harbour:
    """A hub that is served, and the two nodes of each round."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self._server: subprocess.Popen[bytes] | None = None

    def said(self, node: str, *words: str | Path) -> dict[str, object]:
        """What a command of a node answers that is not timed; it is given in this process."""
        return self._answered(*words, "--node", self.work / node)

    def _answered(self, *words: str | Path) -> dict[str, object]:
        code, text = given_here([*map(str, words), "--json"], self.environment(), self.work)
        if code:
            raise RuntimeError(f"{words[:2]} ended with {code}:\n{text}")
        found: dict[str, object] = json.loads(text)
        return found

    def command(self, *words: str | Path) -> list[str | Path]:
        """DIADEM in a process of its own."""
        return [sys.executable, "-m", "diadem", *words]

    def environment(self) -> dict[str, str]:
        """For each command."""
        own = {"DIADEM_CONFIG": str(self.work / "config"), "DIADEM_RECOVERY_PASSPHRASE": ""}
        return {**os.environ, **own, "PYTHONPATH": str(HERE.parent)}

    def begin(self) -> None:
        """Serve the hub."""
        self.made("hub", "institute-hub", "operator")
        self._server = self.served("hub", "--hub")

    def served(self, node: str, *words: str, address: bool = True) -> subprocess.Popen[bytes]:
        """A process that serves a node, at an address or calling others only, once it does."""
        here, log = f"127.0.0.1:{_free_port()}" if address else "none", self.work / f"{node}-serve.log"
        found = ("--url", f"https://{here}") if address else ()
        command = self.command("serve", *words, "--listen", here, *found, "--node", self.work / node)
        with log.open("wb") as sink:
            server = subprocess.Popen(command, env=self.environment(), stdout=sink, stderr=sink)
        while not re.search("listening|calls others", log.read_text("utf-8", "replace")):
            if server.poll() is not None:
                raise RuntimeError(log.read_text("utf-8", "replace"))
            time.sleep(0.1)
        return server

    def made(self, node: str, name: str, user: str) -> None:
        """A new node."""
        place = self.work / node
        diadem.Node.create(place, name=name, user=user, store=f"{place}-store").close()

    def spoke(self, node: str, name: str, user: str) -> None:
        """A new node, that knows the hub."""
        self.made(node, name, user)
        ticket = str(self.said("hub", "peer", "invite")["ticket"])
        words = self.said(node, "peer", "join", ticket)["peer"]
        assert isinstance(words, dict)
        self.said("hub", "peer", "confirm", name, "--words", str(words["words"]))

    def meet(self, one: str, two: str, name: str) -> None:
        """Let the second join the first through the hub, confirmed by its id."""
        known = self.said("hub", "peer", "ls")["peers"]
        assert isinstance(known, list)
        node = next(str(peer["id"]) for peer in known if peer["name"] == name)
        ticket = str(self.said(one, "peer", "invite", "--for", node)["ticket"])
        joining = subprocess.Popen(
            [str(word) for word in self.command("peer", "join", ticket, "--node", self.work / two)],
            env=self.environment(),
            stdout=subprocess.DEVNULL,
        )
        while joining.poll() is None:
            self.said(one, "transfer", "sync")
        if joining.returncode:
            raise RuntimeError("the two nodes do not meet")

    def timed(self, node: str) -> Side:
        """One round of a node."""
        settle()
        note, before = self.work / "note.json", self._hub()
        script = f'"$@" && sync -f {self.work / node}-store'
        words: list[str | Path] = [sys.executable, HERE / "child.py", note, "cli", "transfer", "sync"]
        words += ["--node", self.work / node, "--json", "--quiet"]
        done: Run = run(["sh", "-euc", script, "sh", *words], env=self.environment())
        after = self._hub()
        peak = float(json.loads(note.read_text())["peak"] or 0)
        return Side(done.wall, done.cpu or 0.0, after[0] - before[0], peak, after[1])

    def _hub(self) -> tuple[float, float]:
        """CPU seconds of the hub's processes so far, and the largest memory of one of them."""
        assert self._server is not None
        return machine.used_below(self._server.pid)

    def end(self) -> None:
        """End the hub."""
        if self._server is not None:
            self._server.terminate()
            self._server.wait(30)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


def one_round(harbour: Harbour, package: str, number: int) -> dict[str, Side]:
    """A new receiver; what sending and receiving took."""
    node, name = f"b{number}", f"nmi{number}"
    harbour.spoke(node, name, "marie")
    harbour.meet("a", node, name)
    sent = harbour.said("a", "send", package, f"marie@{name}")["transfer"]
    assert isinstance(sent, dict)
    transfer = str(sent["id"])
    harbour.said(node, "inbox")
    harbour.said(node, "accept", transfer, "--no-wait")
    harbour.said(node, "transfer", "sync")  # the hub is permitted to keep it
    sides = {"send": harbour.timed("a"), "receive": harbour.timed(node)}
    harbour.said("a", "transfer", "sync")
    harbour.said(node, "transfer", "sync")
    shown = harbour.said(node, "transfer", "show", transfer)["transfer"]
    assert isinstance(shown, dict)
    if shown["state"] != "closed":
        raise RuntimeError(f"the transfer is not closed: {shown}")
    for place in (harbour.work / node, Path(f"{harbour.work / node}-store")):
        remove(place)
    return sides


def measure(name: str, work: Path, scale: float, rounds: int) -> tuple[list[dict[str, object]], dict[str, object]]:
    """All rounds on one set of files: rows of the table, and every run."""
    source, size, files = make(name, work, scale)
    harbour = Harbour(work)
    harbour.begin()
    try:
        harbour.spoke("a", "hu-berlin", "alice")
        archived = harbour.said("a", "archive", source, "--now", "--as-one")["package"]
        assert isinstance(archived, dict)
        done = [one_round(harbour, str(archived["id"]), number) for number in range(rounds)]
    finally:
        harbour.end()
    title = described(name, scale, size, files)
    rows = [_row(title, part, size, [one[part] for one in done]) for part in ("send", "receive")]
    return rows, {part: [asdict(one[part]) for one in done] for part in ("send", "receive")}


def _row(title: str, part: str, size: int, sides: Sequence[Side]) -> dict[str, object]:
    wall = statistics.median(one.wall for one in sides)
    rate, gib = size / wall / 2**20, size / 2**30
    peak, hub_peak = max(one.peak for one in sides), max(one.hub_peak for one in sides)
    return {
        "what": f"{part}, {title}",
        "seconds": wall,
        "mib_s": rate,
        "spread": max(one.wall for one in sides) / min(one.wall for one in sides),
        "cpu_per_gib": statistics.median(one.cpu for one in sides) / gib,
        "hub_cpu_per_gib": statistics.median(one.hub_cpu for one in sides) / gib,
        "peak_mb": peak / 1e6,
        "hub_peak_mb": hub_peak / 1e6,
        "met": rate >= RATE and max(peak, hub_peak) < MEMORY,
    }


def markdown(rows: Sequence[dict[str, object]]) -> str:
    """The table."""
    head = "| what | s | MiB/s | max/min | CPU-s/GiB | hub's | peak MB | hub's | ≥ 200 MiB/s, < 250 MB |\n"
    lines = [head + "|---|---|---|---|---|---|---|---|---|"]
    for row in rows:
        numbers = [f"{row[name]:.2f}" for name in ("seconds", "mib_s", "spread", "cpu_per_gib", "hub_cpu_per_gib")]
        peaks = [f"{row[name]:.0f}" for name in ("peak_mb", "hub_peak_mb")]
        lines.append("| " + " | ".join([str(row["what"]), *numbers, *peaks, "yes" if row["met"] else "**no**"]) + " |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, keep."""
    options = parser(__doc__)
    options.add_argument("--sets", default="one", help="which sets of files")
    chosen = options.parse_args(arguments)
    rows: list[dict[str, object]] = []
    runs: dict[str, object] = {}
    with workplace(chosen.work) as work:
        for name in chosen.sets.split(","):
            place = work / name
            place.mkdir()
            found, runs[name] = measure(name, place, chosen.scale, chosen.rounds)
            rows += found
            remove(place)
        write(chosen.report, {"machine": machine.describe(work), "steady": STEADY, "rows": rows, "runs": runs})
    print(markdown(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
