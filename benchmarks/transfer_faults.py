"""Transfers between two sites that are killed, cut and stopped at random: whole, once, and told alike by both.

Two nodes in network namespaces of their own, joined by a wire; `diadem serve` at the one, `diadem accept` and `diadem
transfers resume` at the other. At random moments the receiver or the server is killed (SIGKILL), the wire is taken away
for some seconds, or Ctrl-C is pressed; what ended is started again. When a transfer is over another one begins, until
there were as many interruptions as were asked for. After each: the package is the sender's, byte for byte, with names,
times and modes; `diadem verify --level full` says so; what came again is below 1 % and a MiB for each connection and
interruption, as the receipt says and as the network interface counts; both chains of custody agree; nothing is left
lying or locked; and no process needed more than 250 MB. Needs root on Linux. ``--seed`` repeats a run.
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
from tests.network.interruptions import MIB, Ordeal, Scale, acquainted, remove

#: Interruptions while a package lands, of each transfer.
LANDINGS = 2


def one_transfer(folder: Path, scale: Scale, source: random.Random, interruptions: int) -> dict[str, Any]:
    """One transfer with so many interruptions; its figures, or what went wrong."""
    folder.mkdir()
    began = time.monotonic()
    with namespaces.wire() as wire:
        alice, marie = acquainted(wire, folder)
        ordeal = Ordeal(wire, alice, marie, scale, source)
        try:
            ordeal.offer()
            ordeal.begin()
            while ordeal.interruptions < max(1, interruptions - LANDINGS) and ordeal.interrupt():
                pass
            while ordeal.interruptions < interruptions and ordeal.interrupt_landing():
                pass
            ordeal.finish()
            found = ordeal.judged()
        except Exception:
            words = [traceback.format_exc(), *ordeal.history, ordeal.log()]
            found = {"interruptions": ordeal.interruptions, "kinds": dict(ordeal.counts), "broken": "\n".join(words)}
        finally:
            alice.end()
    return found | {"seconds": round(time.monotonic() - began, 1)}


def try_it(work: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Transfers until there were enough interruptions; a line for each."""
    scale = Scale(options.size * MIB, options.files, options.rate, options.wait, (1.0, 3.0))
    transfers: list[dict[str, Any]] = []
    print("| transfer | interruptions | again, by the receipt | again, on the wire | bound | memory | seconds |")
    print("|---|---|---|---|---|---|---|", flush=True)
    while (left := options.interruptions - sum(one["interruptions"] for one in transfers)) > 0:
        source = random.Random(f"{options.seed} {len(transfers)}")
        folder = work / f"transfer {len(transfers)}"
        one = one_transfer(folder, scale, source, min(left, options.each))
        transfers.append(one)
        if "broken" in one:
            print(f"| {len(transfers)} | {one['interruptions']} | broken | | | | {one['seconds']} |")
            print(one["broken"], flush=True)
            if options.stop:
                break
        else:
            again = [f"{one[name] / 1e6:.1f} MB" for name in ("again_by_receipt", "again_on_the_wire", "bound")]
            memory = f"{max(one['memory'].values()) / 1e6:.0f} MB"
            row = [len(transfers), one["interruptions"], *again, memory, one["seconds"]]
            print("| " + " | ".join(map(str, row)) + " |", flush=True)
        if not options.keep:
            remove(folder)
        if options.json:
            keep(options, transfers)
    return transfers


def keep(options: argparse.Namespace, transfers: list[dict[str, Any]]) -> None:
    """Keep the figures so far."""
    document = {
        "machine": machine.describe(Path(tempfile.gettempdir())),
        "seed": options.seed,
        "size_mib": options.size,
        "files": options.files,
        "interruptions": sum(one["interruptions"] for one in transfers),
        "kinds": dict(sum((Counter(one["kinds"]) for one in transfers), Counter())),
        "transfers": transfers,
    }
    options.json.write_text(json.dumps(document, indent=1))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--interruptions", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", type=int, default=2048, help="MiB of the large files of a package")
    parser.add_argument("--files", type=int, default=5000, help="small files beside them")
    parser.add_argument("--each", type=int, default=20, help="interruptions of one transfer, at most")
    parser.add_argument("--rate", default="30MB", help="what the receiver may take a second")
    parser.add_argument("--wait", type=float, default=3.0, help="seconds until an interruption, at most")
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
    transfers = try_it(Path(tempfile.mkdtemp(dir=options.work)), options)
    print(dict(sum((Counter(one["kinds"]) for one in transfers), Counter())))
    return 1 if any("broken" in one for one in transfers) else 0


if __name__ == "__main__":
    sys.exit(main())
