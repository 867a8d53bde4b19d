"""Peak memory of DIADEM's main process while it packs and verifies: one large file, many files, very many files.

The worker that runs the readers is another process and is not counted.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import machine
import peers
from inputs import make, write_small_unknown
from tables import parser, workplace, write

from diadem.testing.faults import remove

#: Aim: bytes of resident memory of the main process.
LIMIT = 250e6


def sources(work: Path, scale: float) -> list[tuple[str, Path]]:
    """The sets: 4 GiB in one file, 20,000 files, 100,000 files of 1 KiB."""
    most = work / f"input-most-{scale:g}"
    if not most.exists():
        write_small_unknown(most, max(1, round(100_000 * scale)), 1024)
    return [
        ("one file of 4 GiB", make("one", work, scale)[0]),
        ("20,000 × 16 KiB", make("small", work, scale)[0]),
        ("20,000 small TIFF images", make("images", work, scale)[0]),
        ("100,000 × 1 KiB", most),
    ]


def peaks(source: Path, work: Path) -> dict[str, int | None]:
    """Peak bytes of pack and of the three levels of verify."""
    store = work / "memory-store"
    done, facts = peers.diadem(work, "cli", "pack", source, store, "--json")
    found = {"pack": facts["peak"]}
    bag = json.loads(done.output)["package"]["path"]
    for level in ("quick", "leaves", "full"):
        found[f"verify {level}"] = peers.diadem(work, "cli", "verify", bag, "--level", level, "--json")[1]["peak"]
    remove(store)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, keep."""
    chosen = parser(__doc__).parse_args(arguments)
    with workplace(chosen.work) as work:
        found = {title: peaks(source, work) for title, source in sources(work, chosen.scale)}
        document = {"machine": machine.describe(work), "scale": chosen.scale, "limit": LIMIT, "peaks": found}
    print(f"| peak MB (scale {chosen.scale:g}) | pack | verify quick | verify leaves | verify full | aim | met |")
    print("|---|---|---|---|---|---|---|")
    for title, values in found.items():
        known = [value for value in values.values() if value is not None]
        met = "–" if not known else "yes" if max(known) < LIMIT else "**no**"
        cells = ["–" if value is None else f"{value / 1e6:.0f}" for value in values.values()]
        print(f"| {title} | " + " | ".join(cells) + f" | < {LIMIT / 1e6:.0f} | {met} |")
    write(chosen.report, document)
    return 0


if __name__ == "__main__":
    sys.exit(main())
