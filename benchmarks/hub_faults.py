"""Transfers through a hub while cables are cut, processes killed, and the hub does what it should not, at random.

Two nodes and a hub between them, in three network namespaces; `diadem serve --hub`, and `diadem serve --listen none` at
either side. At random moments a cable is taken away, the hub, the sender or the receiver is killed (SIGKILL, all
processes) and started again, the hub's disk is full, or what lies there is lost, doubled, cut short, changed, swapped
with that of another transfer, given again, or listed without being there. At the end the hub is put in order, and a
person asks anew for what does not come within some seconds. Then: both packages are the sender's, byte for byte, with
names, times and modes; `diadem verify --level full` says so; a transfer that failed meanwhile named the hub; both
chains of custody agree; nothing is left lying; what went again over either cable is below 1 % and three windows of
16 MiB for each fault; no process needed more than 250 MB. Needs root on Linux. ``--seed`` repeats a run.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import machine

from tests import namespaces
from tests.network.hub_ordeal import HubOrdeal, harbour
from tests.network.interruptions import MIB, Scale, remove


def one_ordeal(folder: Path, scale: Scale, source: random.Random, faults: int) -> dict[str, Any]:
    """Two transfers with so many faults; their figures, or what went wrong."""
    folder.mkdir()
    began = time.monotonic()
    with namespaces.star() as star, harbour(star, folder) as parties:
        ordeal = HubOrdeal(star, *parties, scale, source)
        try:
            ordeal.begin()
            while ordeal.interruptions < faults and ordeal.strike():
                pass
            ordeal.finish()
            found = ordeal.judged()
        except Exception:
            words = [traceback.format_exc(), ordeal.log()]
            found = {"interruptions": ordeal.interruptions, "kinds": dict(ordeal.counts), "broken": "\n".join(words)}
    return found | {"wall": round(time.monotonic() - began, 1)}


def try_it(work: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Ordeals until there were enough faults; a line for each."""
    scale = Scale(options.size * MIB, options.files, options.rate, options.wait, (0.2, options.cut))
    done: list[dict[str, Any]] = []
    print("| ordeal | faults | failed meanwhile | sent again | received again | bound | memory | seconds |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    while (left := options.faults - sum(one["interruptions"] for one in done)) > 0:
        folder = work / f"ordeal {len(done)}"
        one = one_ordeal(folder, scale, random.Random(f"{options.seed} {len(done)}"), min(left, options.each))
        done.append(one)
        if "broken" in one:
            print(
                f"| {len(done)} | {one['interruptions']} | broken | | | | | {one['wall']} |\n{one['broken']}",
                flush=True,
            )
        else:
            again = [f"{one[name] / 1e6:.1f} MB" for name in ("again_sent", "again_received", "bound")]
            memory = f"{max(one['memory'].values()) / 1e6:.0f} MB"
            row = [len(done), one["interruptions"], one["failed"], *again, memory, one["wall"]]
            print("| " + " | ".join(map(str, row)) + " |", flush=True)
        if not options.keep:
            remove(folder)
        if options.json:
            keep(options, done)
        if "broken" in one and options.stop:
            break
    return done


def keep(options: argparse.Namespace, done: list[dict[str, Any]]) -> None:
    """Keep the figures so far."""
    document = {
        "machine": machine.describe(Path(tempfile.gettempdir())),
        "seed": options.seed,
        "size_mib": options.size,
        "files": options.files,
        "faults": sum(one["interruptions"] for one in done),
        "kinds": _kinds(done),
        "ordeals": done,
    }
    options.json.write_text(json.dumps(document, indent=1))


def _kinds(done: list[dict[str, Any]]) -> dict[str, int]:
    return dict(sum((Counter(one["kinds"]) for one in done), Counter()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", type=int, default=192, help="MiB of the large files of each of two packages")
    parser.add_argument("--files", type=int, default=200, help="small files beside them")
    parser.add_argument("--each", type=int, default=40, help="faults of one ordeal, at most")
    parser.add_argument("--rate", default="200mbit", help="what each cable carries a second")
    parser.add_argument("--wait", type=float, default=0.5, help="seconds until a fault, at most")
    parser.add_argument("--cut", type=float, default=2.0, help="seconds without a cable, at most")
    parser.add_argument("--stop", action="store_true", help="end at the first promise that is broken")
    parser.add_argument("--keep", action="store_true", help="leave nodes and packages where they are")
    parser.add_argument("--work", type=Path, help="a folder that may be filled and emptied")
    parser.add_argument("--json", type=Path, help="where to keep the figures")
    options = parser.parse_args()
    if why := namespaces.missing():
        print(f"not run: {why}")
        return 2
    if options.work:
        options.work.mkdir(parents=True, exist_ok=True)
    done = try_it(Path(tempfile.mkdtemp(dir=options.work)), options)
    print(_kinds(done))
    return 1 if any("broken" in one for one in done) else 0


if __name__ == "__main__":
    sys.exit(main())
