"""Verifying against b3sum, sha256sum and bagit.py, everything in the page cache.

`diadem verify` is the command; `verify()` is the call alone, without the start of the interpreter, which is what a node
that scrubs a thousand packages pays for each.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import peers
from inputs import INPUTS, described, make
from tables import Row, compare, keep, markdown, parser, workplace
from timing import Contender, Run, Series, interleave


def packed(name: str, work: Path, scale: float) -> tuple[Path, int, int]:
    """A package of a set of files, made if it is not there: its folder, the payload's bytes, its number of files."""
    source, size, files = make(name, work, scale)
    done, _ = peers.diadem(work, "cli", "pack", source, work / f"packed-{name}-{scale:g}", "--json")
    return Path(json.loads(done.output)["package"]["path"]), size, files


def measure(
    name: str, work: Path, scale: float, rounds: int, slow_rounds: int
) -> tuple[list[Row], dict[str, Series], int]:
    """All contenders on one package; the rows, every run, and the bytes of the payload."""
    bag, size, files = packed(name, work, scale)
    peaks: list[int] = []

    def command(level: str) -> Contender:
        def work_once() -> Run:
            done, facts = peers.diadem(work, "cli", "verify", bag, "--level", level, "--json")
            peaks.append(facts["peak"] or 0)
            return done

        return Contender(f"diadem verify --level {level}", work_once)

    def call() -> Run:
        done, facts = peers.diadem(work, "verify", bag, "leaves")
        return replace(done, wall=facts["seconds"], cpu=None)

    ours = [command("leaves"), command("full"), command("quick"), Contender("verify(level='leaves')", call)]
    others = [
        ("b3sum", peers.b3sum(bag / "data", files)),
        ("sha256sum", peers.sha256sum(bag / "data")),
        ("bagit.py", peers.bagit_validate(bag, slow_rounds)),
    ]
    peers.sha256sum(bag).work()  # the first read warms the cache, for nobody's account
    series = interleave([*peers.installed(others), *ours], rounds)
    return _rows(described(name, scale, size, files), series, size, max(peaks)), series, size


def _rows(title: str, series: dict[str, Series], size: int, peak: int) -> list[Row]:
    leaves, full, call = "diadem verify --level leaves", "diadem verify --level full", "verify(level='leaves')"
    plan = [
        (f"verify leaves, call, {title}", call, "b3sum", "≥ 0.9 × its speed", 0.9),
        (f"verify leaves, command, {title}", leaves, "b3sum", "reported", None),
        (f"verify leaves, command, {title}", leaves, "bagit.py --validate", "≥ 6 × faster", 6.0),
        (f"verify full, command, {title}", full, "sha256sum", "reported", None),
        (f"verify full, command, {title}", full, "bagit.py --validate", "reported", None),
    ]
    return [
        compare(what, series[mine], [series[peer]], size=size, aim=aim, limit=limit, inverse=True, peak=peak)
        for what, mine, peer, aim, limit in plan
        if peer in series
    ]


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, keep."""
    options = parser(__doc__)
    options.add_argument("--sets", default="one,many,small", help=f"which of {', '.join(INPUTS)}")
    chosen = options.parse_args(arguments)
    rows: list[Row] = []
    runs: dict[str, dict[str, Series]] = {}
    with workplace(chosen.work) as work:
        for name in chosen.sets.split(","):
            found, runs[name], _ = measure(name, work, chosen.scale, chosen.rounds, chosen.slow_rounds)
            rows += found
            print(f"{name}: done", file=sys.stderr)
        keep(chosen.report, work, rows, runs, scale=chosen.scale)
    print(markdown(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
