"""Many transfers at once, in both directions: peak memory of each process.

Two nodes that are served have ten packages each for the other, and ten commands `diadem accept` at each fetch them.
Meanwhile a third node, which nobody can call, pushes three to the first and fetches three, and exchanges three in each
direction with a fourth through a hub. All bytes pass over TLS on loopback. At the end every transfer is closed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import machine
from hub import HERE, Harbour
from inputs import MIB
from tables import parser, workplace, write

from diadem.testing.faults import remove
from diadem.testing.samples import write_large

#: Bytes of memory of each process, at most.
LIMIT = 300e6
#: Bytes of a package.
SIZE = 400 * MIB
#: Seconds for all of it, at full size.
PATIENCE = 1800.0
#: Who sends whom so many: the first two answer calls, the others only call.
FETCHED, OTHERS = [("a", "b"), ("b", "a")], [("c", "a"), ("a", "c"), ("c", "d"), ("d", "c")]


class Yard(Harbour):
    """Four nodes that are served, and a hub."""

    def __init__(self, work: Path) -> None:
        super().__init__(work)
        self.servers: dict[str, subprocess.Popen[bytes]] = {}

    def begin(self) -> None:
        """Serve them, once they know each other."""
        super().begin()
        assert self._server is not None
        self.servers["hub"] = self._server
        for node in "ab":
            self.made(node, f"lab-{node}", "marie")
            self.servers[node] = self.served(node)
        for node in "cd":
            self.spoke(node, f"lab-{node}", "marie")
        self.meet("c", "d", "lab-d")
        for other in "bc":
            ticket = str(self.said("a", "peer", "invite")["ticket"])
            words = self.said(other, "peer", "join", ticket)["peer"]["words"]  # type: ignore[index]
            self.said("a", "peer", "confirm", f"lab-{other}", "--words", str(words))
        for node in "cd":
            self.servers[node] = self.served(node, address=False)

    def sent(self, sender: str, receiver: str, number: int, size: int) -> str:
        """An offer of a new package; its transfer."""
        source = self.work / f"source-{sender}-{receiver}-{number}"
        write_large(source, size, seed=hash((sender, receiver, number)) % 2**32)
        package = self.said(sender, "archive", source, "--now", "--as-one")["package"]
        remove(source)
        said = self.said(sender, "send", package["id"], f"marie@lab-{receiver}")  # type: ignore[index]
        return str(said["transfer"]["id"])  # type: ignore[index]

    def wait_for(self, node: str, transfer: str, states: set[str], until: float) -> None:
        """Wait until a transfer has one of some states at a node."""
        while True:
            listed = self.said(node, "transfer", "ls", "--all")["transfers"]
            state = next((one["state"] for one in listed if one["id"] == transfer), "")  # type: ignore[attr-defined]
            if state in states:
                return
            if time.monotonic() > until:
                raise RuntimeError(f"transfer {transfer[:8]} at {node} is {state or 'unknown'}")
            time.sleep(0.5)

    def accept(self, node: str, transfer: str) -> tuple[subprocess.Popen[bytes], Path]:
        """A command that fetches, in a process of its own, and what it notes at its end."""
        note = self.work / f"note-{transfer[:8]}.json"
        words: list[str | Path] = [sys.executable, HERE / "child.py", note, "cli", "accept", transfer, "--quiet"]
        words += ["--node", self.work / node]
        with (self.work / f"accept-{transfer[:8]}.log").open("wb") as log:
            return subprocess.Popen(words, env=self.environment(), stdout=log, stderr=log), note

    def end(self) -> None:
        """End all."""
        for one in self.servers.values():
            one.terminate()
        for one in self.servers.values():
            one.wait(30)


def measure(yard: Yard, scale: float, many: int, few: int) -> Iterator[tuple[str, float]]:
    """Each process, and its peak memory in bytes."""
    until, size = time.monotonic() + PATIENCE, max(MIB, round(SIZE * scale))
    pairs = [(pair, number) for pair in FETCHED for number in range(many)]
    pairs += [(pair, number) for pair in OTHERS for number in range(few)]
    offers = [(one, two, yard.sent(one, two, number, size)) for (one, two), number in pairs]
    for _, two, transfer in offers:
        yard.wait_for(two, transfer, {"offered"}, until)
    began = time.monotonic()
    running = []
    for one, two, transfer in offers:
        if (one, two) in FETCHED:
            running.append(yard.accept(two, transfer))
        else:
            yard.said(two, "accept", transfer, "--no-wait")
    for process, _ in running:
        process.wait(max(1.0, until - time.monotonic()))
    for one, two, transfer in offers:
        yard.wait_for(two, transfer, {"closed"}, until)
        yard.wait_for(one, transfer, {"closed"}, until)
    print(f"{len(offers)} transfers of {size / MIB:.0f} MiB in {time.monotonic() - began:.0f} s")
    for node, server in yard.servers.items():
        yield f"serve, {node}", machine.used_below(server.pid)[1]
    for number, (_, note) in enumerate(running):
        yield f"accept, {number}", float(json.loads(note.read_text())["peak"] or 0)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, keep."""
    options = parser(__doc__)
    options.add_argument("--many", type=int, default=10, help="packages that are fetched each way (default 10)")
    options.add_argument("--few", type=int, default=3, help="packages by each of the other ways (default 3)")
    chosen = options.parse_args(arguments)
    with workplace(chosen.work) as work:
        yard = Yard(work)
        try:
            yard.begin()
            peaks = dict(measure(yard, chosen.scale, chosen.many, chosen.few))
        finally:
            yard.end()
        write(chosen.report, {"machine": machine.describe(work), "limit": LIMIT, "peaks": peaks})
    print("| process | peak MB | aim | met |\n|---|---|---|---|")
    accepts = [peak for name, peak in peaks.items() if name.startswith("accept")]
    shown = {name: peak for name, peak in peaks.items() if name.startswith("serve")}
    for name, peak in {**shown, "accept, the largest": max(accepts)}.items():
        met = "–" if not peak else "yes" if peak < LIMIT else "**no**"
        print(f"| {name} | {peak / 1e6:.0f} | < {LIMIT / 1e6:.0f} | {met} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
