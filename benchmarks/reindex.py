"""How fast a catalogue is built anew from stores and log, and in how much memory: twice the packages, twice the time?

The packages are real: folders with three small files of no known format, archived. Each size is a node of its own, and
each reindex a new process.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import machine
from tables import parser, workplace, write

import diadem

#: Packages of each size at a scale of 1.
COUNTS = (1_000, 2_000, 4_000)
#: Aims: time for each package of the largest size against that of the smallest, and bytes of memory.
LINEAR, MEMORY = 1.25, 250e6
_CHILD = """
import json, resource, sys, time
import diadem
workers = int(sys.argv[2])
pool = diadem.WorkerPool(workers) if workers else None
with diadem.open_node(sys.argv[1]) as node:
    begin = time.perf_counter()
    done = node.reindex(executor=pool)
    taken = time.perf_counter() - begin
if pool is not None:
    pool.shutdown()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"packages": done.packages, "seconds": taken, "peak": peak, "notes": list(done.notes)}))
"""


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, keep."""
    chosen = parser(__doc__ or "").parse_args(arguments)
    rows: list[dict[str, Any]] = []
    with workplace(chosen.work) as work:
        os.environ["DIADEM_CONFIG"] = str(work / "config")
        script = work / "child.py"
        script.write_text(_CHILD, "utf-8")
        for count in (max(2, round(count * chosen.scale)) for count in COUNTS):
            node = made(work / f"node-{count}-{time.time_ns()}", count)
            for workers in (0, 2):
                rows.append(run(script, node, workers) | {"workers": workers})
        write(chosen.report, {"machine": machine.describe(work), "rows": rows})
    report(rows)
    return 0


def made(folder: Path, count: int) -> Path:
    """A node with so many packages, each in two stores."""
    node = diadem.Node.create(folder / "node", name="many", user="alice", store=str(folder / "main"))
    node.stores.add(str(folder / "second"), name="second", place="another disk")
    with node:
        for number in range(count):
            source = folder / "sessions" / f"session {number}"
            source.mkdir(parents=True)
            content = random.Random(number)
            for file in range(3):
                (source / f"scan {file}.bin").write_bytes(content.randbytes(2_000))
            node.archive(source, now=True)
            if (number + 1) % 500 == 0:
                print(f"  {number + 1:,} packages", file=sys.stderr)
    return folder / "node"


def run(script: Path, node: Path, workers: int) -> dict[str, Any]:
    """One reindex in a process of its own."""
    command = [sys.executable, str(script), str(node), str(workers)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    if found["notes"]:
        raise RuntimeError(f"a sound node was noted: {found['notes'][:3]}")
    return found


def report(rows: list[dict[str, Any]]) -> None:
    """Print the table."""
    print("| packages, in two stores | workers | s | packages/s | for each, against the fewest | peak memory | met |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        first = next(one for one in rows if one["workers"] == row["workers"])
        each = row["seconds"] / row["packages"] / (first["seconds"] / first["packages"])
        met = "yes" if each <= LINEAR and row["peak"] < MEMORY else "**no**"
        speed, peak = row["packages"] / row["seconds"], row["peak"] / 1e6
        cells = f"{row['packages']:,}", row["workers"] or "none", f"{row['seconds']:.1f}", f"{speed:.0f}"
        print("| " + " | ".join((*map(str, cells), f"{each:.2f} ×", f"{peak:.0f} MB", met)) + " |")


if __name__ == "__main__":
    sys.exit(main())
