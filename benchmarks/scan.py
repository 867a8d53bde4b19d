"""Scanning a tree of small images: the first time, and again with what the first time has kept.

Each run is the command `diadem scan --json` in a new process: start-up, workers, listing, reading, comparing, planning.
The peer reads the same files with RosettaSciIO alone, lazily, one after the other in one process.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

import peers
from tables import Row, compare, keep, markdown, parser, workplace
from timing import Contender, Run, Series, interleave, run

from diadem.testing.faults import remove
from diadem.testing.samples import write_small_images

#: Files at a scale of 1, and in each session's folder.
FILES, A_SESSION = 10_000, 250
_PEER = (
    "import sys\n"
    "from pathlib import Path\n"
    "from rsciio.tiff import file_reader\n"
    "for path in sorted(Path(sys.argv[1]).rglob('*.tif')): file_reader(str(path), lazy=True)\n"
)


def make(work: Path, scale: float) -> tuple[Path, int, int]:
    """Write the tree, or take the one that is there; its folder, its bytes, its number of files."""
    folder = work / f"input-scan-{scale:g}"
    done = work / f"input-scan-{scale:g}.complete"
    count = max(2, round(FILES * scale))
    if not done.exists():
        for number, first in enumerate(range(0, count, A_SESSION)):
            place = folder / f"user {number % 4}" / f"2026-03-{number % 28 + 1:02d} sample {number}"
            write_small_images(place, min(A_SESSION, count - first), seed=number)
        done.touch()
    return folder, sum(path.stat().st_size for path in folder.rglob("*.tif")), count


def scan(work: Path, folder: Path, peaks: list[int], *, fresh: bool) -> Run:
    """One scan with its cache below `work`, emptied before where it is to be `fresh`."""
    home = work / ("cache-first" if fresh else "cache-second")
    if fresh and home.exists():
        remove(home)
    os.environ.update(dict.fromkeys(("XDG_CACHE_HOME", "LOCALAPPDATA", "HOME"), str(home)))
    done, facts = peers.diadem(work, "cli", "scan", folder, "--json")
    peaks.append(facts["peak"] or 0)
    return done


def measure(work: Path, scale: float, rounds: int) -> tuple[list[Row], dict[str, Series]]:
    """Both scans and the peer; rows and every run."""
    folder, size, count = make(work, scale)
    peaks: list[int] = []
    scan(work, folder, peaks, fresh=False)
    alone = partial(run, [sys.executable, "-c", _PEER, folder])
    series = interleave(
        [
            Contender("rosettasciio, lazy", alone),
            Contender("first scan", partial(scan, work, folder, peaks, fresh=True)),
            Contender("second scan", partial(scan, work, folder, peaks, fresh=False)),
        ],
        rounds,
    )
    title, first = f"{count:,} small TIFF images", series["first scan"]
    told = {"size": size, "peak": max(peaks)}
    return [
        compare(f"first scan of {title}", first, [series["rosettasciio, lazy"]], aim="reported", limit=None, **told),
        compare(
            f"second scan of {title}",
            series["second scan"],
            [first],
            aim="≥ 5 × faster than the first",
            limit=5.0,
            inverse=True,
            **told,
        ),
    ], series


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, keep."""
    chosen = parser(__doc__).parse_args(arguments)
    with workplace(chosen.work) as work:
        rows, series = measure(work, chosen.scale, chosen.rounds)
        keep(chosen.report, work, rows, {"scan": series}, scale=chosen.scale)
    print(markdown(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
