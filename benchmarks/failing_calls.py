"""Calls of the operating system that fail under commands, thousands of them: see `tests/failing_calls.py`.

A case is a seed: a command, and which of its calls (open, write, fsync, rename, stat, flock …) below the node, a store
or the source fails, with which error, once or from then on. The command must end, without an internal error, and say
what to do; the same command must work afterwards; and no package may be lost or damaged.

Exit code 1 if one promise was broken once. ``--case SEED`` repeats a case and tells what was said. Linux, with gcc.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from multiprocessing import get_context
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import machine
from tables import write

from tests import failing_calls
from tests.failing_calls import Case, Site
from tests.faults.laboratory import workplace


def _cases(work: Path, seeds: range) -> list[Case]:
    """The cases of one process."""
    work.mkdir()
    with Site(work) as site:
        found = []
        for seed in seeds:
            found.append(site.case(seed))
            if found[-1].broken or len(seeds) == 1:
                print(f"\n{found[-1]}", flush=True)
        return found


def main() -> int:
    """Try it, tell it, keep it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1000, help="of the first case; the tests try 0 to 199")
    parser.add_argument("--jobs", type=int, default=1, help="cases at once")
    parser.add_argument("--case", type=int, help="repeat this case and tell it")
    parser.add_argument("--work", type=Path, help="folder for the data (default: a temporary one, removed at the end)")
    parser.add_argument("--json", type=Path, dest="report", help="also write everything to this file")
    chosen = parser.parse_args()
    if why := failing_calls.missing():
        print(f"not run: {why}")
        return 2
    started = time.monotonic()
    first, count, jobs = chosen.seed, chosen.cases, chosen.jobs
    if chosen.case is not None:
        first, count, jobs = chosen.case, 1, 1
    with workplace(chosen.work) as work:
        shares = [(work / f"{number}", range(first + number, first + count, jobs)) for number in range(jobs)]
        with get_context("fork").Pool(jobs) as processes:
            done = [case for share in processes.starmap(_cases, shares) for case in share]
        document = {
            "machine": machine.describe(work),
            "seed": first,
            "cases": len(done),
            "broken": [str(case) for case in done if case.broken],
            "verbs": Counter(case.verb for case in done),
            "calls": Counter(case.call for case in done),
            "ended with": Counter(case.code for case in done),
            "seconds": round(time.monotonic() - started, 1),
        }
    for name in ("cases", "verbs", "calls", "ended with", "seconds"):
        print(f"{name}: {document[name]}")
    print(f"broken: {len(document['broken'])}")
    write(chosen.report, document)
    return int(bool(document["broken"]))


if __name__ == "__main__":
    sys.exit(main())
