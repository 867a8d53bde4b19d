"""Archiving against a plain copy, SHA-256, bagit.py and git-annex.

Each DIADEM run is the command `diadem pack` in a new process, into a new store: start-up, worker, record, leaves,
previews, sync and rename included. The source is in the page cache for everybody, as it is after an acquisition.
"""

from __future__ import annotations

import sys
from pathlib import Path

import peers
from inputs import INPUTS, described, make
from tables import Row, compare, keep, markdown, parser, workplace
from timing import Contender, Run, Series, interleave

from diadem.testing.faults import remove

_LARGE = (("cp + sync", "sha256sum"), "≤ 1.3 ×, ≤ 1.6 CPU-s/GiB", 1.3, 1.6)
#: By set: peers of which the slower counts, the aim in words, its ratio of seconds, its CPU seconds a GiB.
_AIMS: dict[str, tuple[tuple[str, ...], str, float | None, float | None]] = {
    "one": _LARGE,
    "many": _LARGE,
    "small": (("cp + sync",), "≤ 2 ×", 2.0, None),
    "images": (("cp + sync",), "reported", None, None),
}
#: By set and peer: how many times faster than the peer.
_FASTER: dict[tuple[str, str], tuple[str, float | None]] = {("small", "git-annex"): ("≥ 8 × faster", 8.0)}


def measure(
    name: str, work: Path, scale: float, rounds: int, slow_rounds: int
) -> tuple[list[Row], dict[str, Series], int]:
    """All contenders on one set of files; the rows, every run, and the bytes of the set."""
    source, size, files = make(name, work, scale)
    store, target = work / "store", work / "target"
    peaks: list[int] = []

    def pack() -> Run:
        done, facts = peers.diadem(work, "cli", "pack", source, store, "--json")
        peaks.append(facts["peak"] or 0)
        return done

    ours = Contender("diadem pack", pack, lambda: remove(store))
    copies = [("cp", peers.copy(source, target)), ("sha256sum", peers.sha256sum(source))]
    slow = [
        ("bagit.py", peers.bagit_create(source, target, slow_rounds)),
        ("git-annex", peers.git_annex(source, target, slow_rounds)),
    ]
    contenders = peers.installed(copies + slow)
    series = interleave([*contenders, ours], rounds)
    return _rows(name, described(name, scale, size, files), series, size, max(peaks)), series, size


def _rows(name: str, title: str, series: dict[str, Series], size: int, peak: int) -> list[Row]:
    """The comparisons that DESIGN 10 names for this set, as far as the peers are installed."""
    title, ours = f"pack {title}", series["diadem pack"]
    bases, aim, limit, cpu_limit = _AIMS[name]
    rows = []
    if all(base in series for base in bases):
        against = [series[base] for base in bases]
        rows.append(compare(title, ours, against, size=size, aim=aim, limit=limit, peak=peak, cpu_limit=cpu_limit))
    for peer in ("git-annex", "cp + bagit.py"):
        if peer in series:
            aim, limit = _FASTER.get((name, peer), ("reported", None))
            rows.append(compare(title, ours, [series[peer]], size=size, aim=aim, limit=limit, inverse=True))
    return rows


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, keep."""
    options = parser(__doc__)
    options.add_argument("--sets", default="one,many,small,images", help=f"which of {', '.join(INPUTS)}")
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
