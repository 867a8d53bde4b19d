"""A package from one node to another, against rsync and scp over ssh, rclone, and nginx with curl.

Each DIADEM run is the command `diadem accept` at a new node, in a new process: its acceptance is signed and told, every
leaf and every file's SHA-256 is proven, the package lands, its receipt is signed, told and answered by the closure. The
sender's node serves in a process of its own. All that was timed ends with one sync of the receiver's file system. CPU
seconds are those of both sides together, of the peers too.

A line: ``loopback``; ``long`` (two network namespaces, 50 ms, 1 Gbit/s); ``lossy`` (the same, every 200th packet lost).
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import machine
import network_peers
from inputs import described, make
from network_peers import CHECKED, Place
from tables import Row, compare, markdown, parser, workplace, write
from timing import STEADY, Contender, Run, Series, both_sides, interleave, run

from diadem.testing.faults import remove

sys.path.append(str(Path(__file__).resolve().parent.parent))

HERE = Path(__file__).resolve().parent
PORT = 18642
#: Bytes a second of the long line, its round trip, and the part of packets that is lost on the lossy one.
RATE, ROUND_TRIP, LOSS = 125e6, 0.050, 0.005
#: Bytes of memory that each process may take.
MEMORY = 250e6
OURS = "diadem"


@dataclass(frozen=True)
class Aim:
    """What a comparison should show.

    Attributes
    ----------
    words : str
        For people.
    peers : tuple of str
        Against whom, each in a row of its own; none for the fastest of those whose files are checked.
    factor : float, optional
        Times as fast.
    line : float, optional
        Part of the line's rate.
    cpu : float, optional
        CPU seconds a GiB, of both sides together.
    """

    words: str
    peers: tuple[str, ...] = ()
    factor: float | None = None
    line: float | None = None
    cpu: float | None = None


#: By line and set. A peer gives the same guarantee where the SHA-256 of every file is checked at the receiver. Small
#: files: 1.8 s where rsync takes 1.3 with the check, the floor of opening, hashing twice and closing each in Python.
AIMS: dict[tuple[str, str], Sequence[Aim]] = {
    ("loopback", "one"): [
        Aim("≥ 1.0 × the fastest that is checked, ≤ 2.4 CPU-s/GiB", factor=1.0, cpu=2.4),
        Aim("reported", ("nginx + curl",)),
    ],
    ("loopback", "small"): [
        Aim("≥ 0.72 ×", (f"rsync over ssh{CHECKED}",), 1.3 / 1.8),
        Aim("reported", ("rsync over ssh",)),
    ],
    ("long", "one"): [Aim("≥ 0.9 of the line", ("rsync over ssh",), line=0.9)],
    ("lossy", "one"): [Aim("≥ 4 ×", ("rsync over ssh",), 4.0)],
    ("long", "small"): [Aim("reported", ("rsync over ssh",))],
}


class Nodes:
    """The sender's node, which serves, and a new receiver for each round."""

    def __init__(self, work: Path, sender: Place, receiver: Place) -> None:
        self.work, self.sender, self.receiver = work, sender, receiver
        self.peaks: list[int] = []
        self.serving_peak = 0.0
        self._server: subprocess.Popen[bytes] | None = None

    def command(self, place: Place, *words: str | Path) -> list[str]:
        """DIADEM at a place."""
        return place.words(sys.executable, "-m", "diadem", *words)

    def said(self, place: Place, *words: str | Path) -> dict[str, object]:
        """What a command answers."""
        done = run(self.command(place, *words, "--json"), env=self._environment())
        found: dict[str, object] = json.loads(done.output)
        return found

    def _environment(self) -> dict[str, str]:
        own = {"DIADEM_CONFIG": str(self.work / "config"), "DIADEM_RECOVERY_PASSPHRASE": ""}
        return {**os.environ, **own, "PYTHONPATH": str(HERE.parent)}

    def begin(self, source: Path) -> str:
        """Archive at the sender's node, and serve it; the package's id."""
        node = self.work / "a"
        self._made(node, "hu-berlin", "alice")
        url = f"https://{self.sender.address}:{PORT}"
        words = ("serve", "--node", node, "--listen", f"{self.sender.address}:{PORT}", "--url", url)
        archived = self.said(self.sender, "archive", source, "--now", "--as-one", "--node", node)
        log = (self.work / "serve.log").open("wb")
        self._server = subprocess.Popen(
            self.command(self.sender, *words), env=self._environment(), stdout=log, stderr=log
        )
        while "listening" not in (self.work / "serve.log").read_text("utf-8", "replace"):
            if self._server.poll() is not None:
                raise RuntimeError((self.work / "serve.log").read_text("utf-8", "replace"))
            time.sleep(0.1)
        package = archived["package"]
        assert isinstance(package, dict)
        return str(package["id"])

    def _made(self, node: Path, name: str, user: str) -> None:
        store, recovery = f"{node}-store", f"{node}-recovery.txt"
        given = ("--store", store, "--name", name, "--user", user, "--recovery-file", recovery)
        self.said(self.sender, "init", node, *given)

    def offered(self, package: str, number: int) -> tuple[Path, str]:
        """A new receiver that knows the sender, and has an offer; its folder and the transfer."""
        node, name = self.work / f"b{number}", f"nmi{number}"
        self._made(node, name, "marie")
        ticket = self.said(self.sender, "peer", "invite", "--node", self.work / "a")["ticket"]
        self.said(self.receiver, "peer", "join", str(ticket), "--node", node)
        listed = self.said(self.sender, "peer", "ls", "--node", self.work / "a")["peers"]
        assert isinstance(listed, list)
        words = next(peer["words"] for peer in listed if peer["name"] == name)
        self.said(self.sender, "peer", "confirm", name, "--words", words, "--node", self.work / "a")
        sent = self.said(self.sender, "send", package, f"marie@{name}", "--node", self.work / "a")["transfer"]
        self.said(self.receiver, "inbox", "--node", node)
        assert isinstance(sent, dict)
        return node, str(sent["id"])

    def cpu(self) -> float:
        """CPU seconds of the server so far."""
        return machine.used_below(self._server.pid)[0] if self._server is not None else 0.0

    def end(self) -> None:
        """End the server, and note how much memory it took at most."""
        if self._server is not None:
            self.serving_peak = machine.used_below(self._server.pid)[1]
            self._server.terminate()
            self._server.wait(30)


def _ours(nodes: Nodes, package: str) -> Contender:
    made: list[tuple[Path, str]] = [nodes.offered(package, 0)]

    def work() -> Run:
        node, transfer = made[-1]
        note = nodes.work / "note.json"
        accept = [sys.executable, str(HERE / "child.py"), str(note), "cli", "accept", transfer, "--node", str(node)]
        script = f'"$@" && sync -f {node}-store'
        words = nodes.receiver.words("sh", "-euc", script, "sh", *accept, "--json", "--quiet")
        done = run(words, env=nodes._environment())
        nodes.peaks.append(json.loads(note.read_text())["peak"] or 0)
        if json.loads(done.output)["transfer"]["state"] != "closed":
            raise RuntimeError(f"the transfer is not closed:\n{done.output}")
        return done

    def after() -> None:
        node, _ = made[-1]
        for path in (node, Path(f"{node}-store")):
            remove(path)
        made.append(nodes.offered(package, len(made)))

    return Contender(OURS, partial(both_sides, work, nodes.cpu), after)


@contextmanager
def _places(line: str, control: str) -> Iterator[tuple[Place, Place]]:
    if line == "loopback":
        yield Place("127.0.0.1"), Place("127.0.0.1")
        return
    from tests.namespaces import long_line

    loss = LOSS if line == "lossy" else 0.0
    with long_line(round_trip=ROUND_TRIP, bytes_per_second=RATE, loss=loss, control=control) as wire:
        yield Place(wire.one.address, tuple(wire.one.words())), Place(wire.two.address, tuple(wire.two.words()))


def measure(
    line: str, name: str, work: Path, scale: float, rounds: int, chosen: Sequence[str], control: str
) -> tuple[list[Row], dict[str, Series]]:
    """All contenders on one set of files over one line."""
    source, size, files = make(name, work, scale)
    target = work / "target"
    with _places(line, control) as (sender, receiver), network_peers.servers(work / "ssh", sender, source) as given:
        nodes = Nodes(work, sender, receiver)
        try:
            ours = _ours(nodes, nodes.begin(source))
            others, left_out = network_peers.contenders(given, receiver, target, many=files > 100)
            contenders = [one for one in others if not chosen or one.name in chosen]
            series = interleave([*contenders, ours], rounds)
        finally:
            nodes.end()
    remove(work / "a")
    title = f"{line}, {described(name, scale, size, files)}"
    for peer, why in left_out.items():
        print(f"{title}: left out: {peer} ({why})")
    peak = max([*nodes.peaks, nodes.serving_peak])
    print(f"{title}: memory of receiver {max(nodes.peaks) / 1e6:.0f} MB, of sender {nodes.serving_peak / 1e6:.0f} MB")
    print(f"  aim < {MEMORY / 1e6:.0f} MB each: {'met' if peak < MEMORY else 'missed'}")
    for one in series.values():
        rate, cpu = size / one.median / 2**20, one.cpu_per_gib(size) or 0.0
        print(f"  {one.name:26} {one.median:8.2f} s  {rate:7.0f} MiB/s  × {one.spread:.2f}  {cpu:6.2f} CPU-s/GiB")
    return _rows(line, name, title, series, size, peak), series


def _rows(line: str, name: str, title: str, series: dict[str, Series], size: int, peak: float) -> list[Row]:
    rows = []
    for aim in AIMS.get((line, name), [Aim("reported", ("rsync over ssh",))]):
        peers = [series[peer] for peer in aim.peers if peer in series]
        if not aim.peers:
            checked = [one for key, one in series.items() if key.endswith(CHECKED)]
            peers = [min(checked, key=lambda one: one.median)] if checked else []
        for peer in peers:
            row = compare(
                title,
                series[OURS],
                [peer],
                size=size,
                aim=aim.words,
                limit=aim.factor,
                peak=round(peak),
                inverse=True,
                cpu_limit=aim.cpu,
            )
            if aim.line is not None:
                part = size / series[OURS].median / RATE
                print(f"  part of the line's rate: {part:.2f} (aim {aim.line})")
                row = replace(row, met=row.met is not False and part >= aim.line)
            rows.append(row)
    return rows


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, keep."""
    options = parser(__doc__)
    options.add_argument("--lines", default="loopback,long,lossy", help="which lines")
    options.add_argument("--sets", default="one,small", help="which sets of files")
    options.add_argument("--peers", default="", help="names of peers, by commas; default all that are installed")
    options.add_argument(
        "--control", default="", help="TCP congestion control of both sides of a long line: bbr, cubic"
    )
    chosen = options.parse_args(arguments)
    rows: list[Row] = []
    runs: dict[str, dict[str, Series]] = {}
    with workplace(chosen.work) as work:
        for line in chosen.lines.split(","):
            for name in chosen.sets.split(","):
                place = work / f"{line}-{name}"
                place.mkdir()
                peers = [one for one in chosen.peers.split(",") if one]
                found, runs[f"{line} {name}"] = measure(
                    line, name, place, chosen.scale, chosen.rounds, peers, chosen.control
                )
                rows += found
                remove(place)
        document = {"machine": machine.describe(work), "peers": network_peers.versions(), "steady": STEADY}
        kept = {key: {name: one.walls for name, one in table.items()} for key, table in runs.items()}
        write(chosen.report, {**document, "rows": [asdict(row) for row in rows], "runs": kept})
    print(markdown(rows))
    print(f"children together: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime:.0f} s of processor")
    return 0


if __name__ == "__main__":
    sys.exit(main())
