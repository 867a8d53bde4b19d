"""All benchmarks, one after the other; each is also a program of its own (`python benchmarks/pack.py --help`)."""

from __future__ import annotations

import sys
from pathlib import Path

import custody
import extract
import imports
import memory
import pack
import parity
import peers
import read
import scan
import verify
from tables import parser

PARTS = {
    "pack": pack.main,
    "verify": verify.main,
    "read": read.main,
    "scan": scan.main,
    "extract": extract.main,
    "memory": memory.main,
    "imports": imports.main,
    "parity": parity.main,
    "custody": custody.main,
}


def main(arguments: list[str] | None = None) -> int:
    """Run the parts; each prints its table and writes `<part>.json` into the folder given with --json."""
    options = parser(__doc__)
    options.add_argument("--parts", default=",".join(PARTS), help=f"which of {', '.join(PARTS)}")
    chosen = options.parse_args(arguments)
    shared = ["--scale", str(chosen.scale), "--rounds", str(chosen.rounds), "--slow-rounds", str(chosen.slow_rounds)]
    if chosen.work:
        shared += ["--work", str(chosen.work)]
    print("\n".join(f"- {name}: {told}" for name, told in peers.versions().items()))
    for part in chosen.parts.split(","):
        print(f"\n## {part}\n")
        report = ["--json", str(Path(chosen.report) / f"{part}.json")] if chosen.report else []
        PARTS[part]([*shared, *report])
    return 0


if __name__ == "__main__":
    sys.exit(main())
