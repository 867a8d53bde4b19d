"""Faults on purpose, thousands of them: what a node of two stores does when disks, power, people and machines fail.

A case is a seed. It gives a small node with two stores and parity, and what happens to it: flipped bytes, truncations,
deletions, swapped files and packages, torn writes, lost tag files, copies, catalogues, logs, stores and machines, kill
-9, a power cut, a full disk, two processes at once. Then the node is scrubbed, repaired and indexed anew. After every
step the harness, which kept all bytes aside, looks whether the promises were kept:

- every damage is found by the next scrub and named by package, store, file and leaf;
- everything that can be repaired is, to the byte; the rest is told, and left as it was;
- nothing good is ever overwritten by anything else; nothing is called proven that is not whole;
- the log loses nothing and proves itself; the catalogue can always be built anew and finds the same.

Exit code 1 if one promise was broken once. ``--case SEED`` repeats a case and tells what was done. ``--sabotage``
switches off one defence after the other in a copy of the code: the harness must then see a loss.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import diadem
from tests.faults.laboratory import workplace
from tests.faults.sabotage import check_defences
from tests.faults.workers import outcomes

#: Seeds of one run are this far from those of the next.
_STRIDE = 1_000_000
#: Broken promises that are told in full.
_TOLD = 10


def node_part(work: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    """Cases on a node; counts by kind, and every case in which a promise was broken."""
    kinds: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    broken: list[dict[str, Any]] = []
    started, done, seconds = time.monotonic(), 0, 0.0
    first = chosen.seed * _STRIDE
    for outcome in outcomes(work, first=first, count=chosen.cases, jobs=chosen.jobs, kind=chosen.kind):
        done += 1
        kinds[outcome["kind"]] += 1
        counts.update(outcome["counts"])
        seconds += outcome["seconds"]
        if outcome["problems"]:
            broken.append(outcome)
            if len(broken) <= _TOLD:
                tell(outcome)
        if done % max(1, chosen.cases // 20) == 0:
            elapsed = time.monotonic() - started
            print(f"{done} of {chosen.cases} cases, {len(broken)} broken, {elapsed:.0f} s", flush=True)
    lost = chosen.cases - done + sum(one["seed"] < 0 for one in broken)
    return {
        "cases": done,
        "seconds a case": round(seconds / max(1, done), 3),
        "seconds": round(time.monotonic() - started, 1),
        "kinds": dict(sorted(kinds.items())),
        "counts": dict(sorted(counts.items())),
        "broken": len(broken) + lost,
        "broken cases": broken[:_TOLD],
    }


def tell(outcome: dict[str, Any]) -> None:
    """What was done in a case, and what was broken."""
    print(f"\ncase {outcome['seed']} ({outcome['kind']}):")
    print("\n".join(f"  - {line}" for line in outcome["history"]))
    print("\n".join(f"  ! {line}" for line in outcome["problems"][:_TOLD]) or "  every promise was kept", flush=True)


def one_case(work: Path, seed: int, kind: str) -> int:
    """Repeat one case and tell it."""
    (outcome,) = outcomes(work, first=seed, count=1, kind=kind)
    tell(outcome)
    return int(bool(outcome["problems"]))


def sabotage_part(work: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    """Every defence switched off in turn; a table of what was noticed."""
    rows = []
    print("| defence | cases | noticed by | as |\n|---|---|---|---|")
    for row in check_defences(work, cases=chosen.tries, seed=chosen.seed * _STRIDE, names=chosen.defence):
        rows.append(row)
        noticed = f"case {row['noticed']} of {row['cases']}" if row["noticed"] else "**nobody: UNTESTED**"
        first = row["problem"].partition("\n")[0][:140]
        print(f"| {row['defence']} | {row['kind']} | {noticed} | {first} |", flush=True)
    return {"defences": rows, "broken": sum(row["noticed"] is None for row in rows)}


def options() -> argparse.ArgumentParser:
    """What can be chosen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=200, help="how many (default 200)")
    parser.add_argument("--seed", type=int, default=1, help="of the cases; another seed, other cases")
    parser.add_argument("--jobs", type=int, default=1, help="cases at once")
    parser.add_argument("--kind", default="", help="one kind of cases only: disk, kill, power, full, race, …")
    parser.add_argument("--case", type=int, help="repeat this case and tell it")
    parser.add_argument("--sabotage", action="store_true", help="switch off each defence in turn")
    parser.add_argument("--tries", type=int, default=60, help="most cases for a defence (default 60)")
    parser.add_argument("--defence", action="append", default=[], help="only defences with this in their name")
    parser.add_argument("--work", type=Path, help="folder for the data (default: a temporary one, removed at the end)")
    parser.add_argument("--json", type=Path, dest="report", help="also write everything to this file")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Do what was chosen, tell it, keep it; 1 if a promise was broken or a defence is untested."""
    chosen = options().parse_args(arguments)
    with workplace(chosen.work) as work:
        if chosen.case is not None:
            return one_case(work, chosen.case, chosen.kind)
        name, part = ("sabotage", sabotage_part) if chosen.sabotage else ("node", node_part)
        found = part(work, chosen)
    print(f"{name}: {json.dumps({key: value for key, value in found.items() if key != 'broken cases'})}")
    if chosen.report is not None:
        document = {"diadem": diadem.__version__, "seed": chosen.seed, "parts": {name: found}}
        chosen.report.parent.mkdir(parents=True, exist_ok=True)
        chosen.report.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return int(bool(found["broken"]))


if __name__ == "__main__":
    sys.exit(main())
