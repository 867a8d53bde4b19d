"""A node worked with from a laptop over loopback TLS: searches, and slices of a large file, through `diadem.connect`.

The node is served by `diadem serve` in a process of its own. Its packages are made at the level of the catalogue, as in
`catalogue.py`, but for one with a large file, which is real; the user who asks is a guest, so that every search is
restricted to what was granted. Searches are counted once the server is warm. The bytes of a slice are counted on the
wire by a relay, TLS and heads included, after the package was opened.
"""

from __future__ import annotations

import json
import os
import random
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path

import machine
from catalogue import entry, queries
from inputs import MIB
from meter import Meter
from tables import parser, workplace, write

import diadem
from diadem.testing.samples import write_large

#: Aims: p95 of searches in seconds; bytes on the wire of a slice of 1 MiB, which lies in two leaves.
SEARCH, FETCHED = 0.050, 2 * MIB * 1.02
PACKAGES, SEARCHES = 600, 200
_WARM = 20


def free_port() -> int:
    """A port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


def made(work: Path, size: int, packages: int) -> str:
    """A node with packages; the id of the one that is real."""
    write_large(work / "session", size)
    with diadem.Node.create(work / "node", name="bench", user="alice", store=str(work / "store")) as node:
        real = str(node.archive(work / "session", now=True).package.id)
        node.context.catalogue.add_packages(replace(entry(number), owner="alice@bench") for number in range(packages))
    return real


@contextmanager
def served(node: Path, port: int, *urls: str) -> Iterator[None]:
    """The node, served."""
    command = [sys.executable, "-m", "diadem", "serve", "--node", node, "--listen", f"127.0.0.1:{port}", "--quiet"]
    command += [part for url in urls for part in ("--url", url)]
    process = subprocess.Popen([*map(str, command), "--json"], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        _wait_for(port)
        yield
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(port: int) -> None:
    """Wait until the worker listens; a relay that finds nobody gives up for good."""
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("the node does not answer")


def searched(node: object, count: int) -> list[float]:
    """Seconds of each search."""
    seconds = []
    for number, (_, query) in enumerate(islice(queries(count + _WARM), count + _WARM)):
        start = time.perf_counter()
        node.search(query, limit=50)  # type: ignore[attr-defined]
        if number >= _WARM:
            seconds.append(time.perf_counter() - start)
    return sorted(seconds)


def sliced(package: diadem.Package, meter: Meter, size: int, count: int) -> tuple[list[float], list[int]]:
    """Seconds and bytes on the wire of slices of 1 MiB, each through a newly opened file."""
    draw, seconds, fetched = random.Random(1), [], []
    for _ in range(count):
        offset, before, start = draw.randrange(size - MIB), meter.received, time.perf_counter()
        with package.open("large.dat") as file:
            found = file.read_at(offset, MIB)
        seconds.append(time.perf_counter() - start)
        fetched.append(meter.received - before)
        assert len(found) == MIB
    return seconds, fetched


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, keep."""
    options = parser(__doc__)
    chosen = options.parse_args(arguments)
    size = max(16, round(1024 * chosen.scale)) * MIB
    packages = max(20, round(PACKAGES * chosen.scale))
    with workplace(chosen.work) as work, ExitStack() as stack:
        os.environ["DIADEM_CONFIG"] = str(work / "config")
        real, port = made(work, size, packages), free_port()
        meter = stack.enter_context(Meter("127.0.0.1", port))
        relay, direct = meter.url.replace("http:", "https:"), f"https://127.0.0.1:{port}"
        stack.enter_context(served(work / "node", port, direct, relay))
        _let_in(work / "node", real)
        with diadem.connect(direct) as node:
            seconds = searched(node, SEARCHES)
            start = time.perf_counter()
            package = node.get(real)
            opened = time.perf_counter() - start
            start = time.perf_counter()
            with package.open("large.dat") as file:
                while file.read(8 * MIB):
                    pass
            whole = time.perf_counter() - start
        with diadem.connect(relay) as node:
            slices, fetched = sliced(node.get(real), meter, size, 20)
        document = {
            "machine": machine.describe(work),
            "packages": packages,
            "bytes": size,
            "search": {"p50": statistics.median(seconds), "p95": seconds[int(len(seconds) * 0.95)]},
            "get": opened,
            "slice": {"seconds": slices, "fetched": fetched},
            "whole": whole,
        }
    print(_table(document))
    write(chosen.report, document)
    return 0


def _let_in(folder: Path, real: str) -> None:
    """Make the guest a user, who may read the real package and find those of two projects of three."""
    with diadem.open_node(folder) as node:
        ticket = node.users.invite("gwen", guest=True).to_text()
    diadem.login(ticket)
    with diadem.open_node(folder) as node:
        node.grant(real, "gwen")
        for project in ("oxides", "nitrides"):
            node.grant(f"project:{project}", "gwen", ["list"])


def _table(document: dict[str, object]) -> str:
    found = json.loads(json.dumps(document))
    search, fetched = found["search"], max(found["slice"]["fetched"])
    rows = [
        (f"{SEARCHES} searches of {found['packages']} packages, p50", f"{1000 * search['p50']:.1f} ms", "–", True),
        ("the same, p95", f"{1000 * search['p95']:.1f} ms", f"< {1000 * SEARCH:.0f} ms", search["p95"] < SEARCH),
        ("a package is opened", f"{1000 * found['get']:.1f} ms", "–", True),
        (
            "a slice of 1 MiB, on the wire at most",
            f"{fetched / MIB:.3f} MiB",
            f"≤ {FETCHED / MIB:.2f} MiB: its leaves",
            fetched <= FETCHED,
        ),
        ("a slice of 1 MiB, median", f"{1000 * statistics.median(found['slice']['seconds']):.1f} ms", "–", True),
        (f"all of {found['bytes'] / MIB:.0f} MiB", f"{found['bytes'] / MIB / found['whole']:.0f} MiB/s", "–", True),
    ]
    lines = ["| what | figure | aim | met |", "|---|---|---|---|"]
    lines += [f"| {a} | {b} | {c} | {'–' if c == '–' else 'yes' if ok else '**no**'} |" for a, b, c, ok in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
