"""What a benchmark prints and keeps: one Markdown table, one JSON file."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import machine
import peers
from timing import STEADY, Series, pair_ratios, slowest_of

from diadem.testing.faults import remove


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison: what was measured, against what, and whether the aim is met.

    `ratio` is the median over the pairs, of seconds, or of speeds where `faster`. `claimed` is False when the peer
    itself was too unsteady for a ratio to mean anything; then `met` speaks of the CPU seconds alone, or is None.
    """

    what: str
    ours: float
    peer: str
    theirs: float | None
    ratio: float | None
    faster: bool
    pairs: int
    peer_spread: float | None
    claimed: bool
    cpu_per_gib: float | None
    peer_cpu_per_gib: float | None
    peak_mb: float | None
    aim: str
    met: bool | None


HEADER = (
    "| what | DIADEM s | against | peer s | ratio | pairs | peer max/min | CPU-s/GiB | peer's | peak MB | aim | met |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|"
)


def compare(
    what: str,
    ours: Series,
    theirs: Sequence[Series],
    *,
    size: int,
    aim: str,
    limit: float | None,
    peak: int | None = None,
    inverse: bool = False,
    cpu_limit: float | None = None,
) -> Row:
    """The row of one contender against the slowest of some peers.

    `limit` is the largest good ratio of seconds, ours over theirs; with `inverse` the smallest good ratio of speeds,
    theirs over ours. None makes no claim.
    """
    bar = slowest_of(theirs)
    ratios = [1 / ratio if inverse else ratio for ratio in pair_ratios(ours, bar)]
    claimed = bar.spread <= STEADY and bool(ratios)
    ratio = statistics.median(ratios) if ratios else None
    cpu = ours.cpu_per_gib(size)
    verdicts = []
    if claimed and limit is not None and ratio is not None:
        verdicts.append(ratio >= limit if inverse else ratio <= limit)
    if cpu_limit is not None and cpu is not None:
        verdicts.append(cpu <= cpu_limit)
    return Row(
        what=what,
        ours=ours.median,
        peer=bar.name,
        theirs=bar.median,
        ratio=ratio,
        faster=inverse,
        pairs=len(ratios),
        peer_spread=bar.spread,
        claimed=claimed,
        cpu_per_gib=cpu,
        peer_cpu_per_gib=bar.cpu_per_gib(size),
        peak_mb=None if peak is None else peak / 1e6,
        aim=aim,
        met=all(verdicts) if verdicts else None,
    )


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def markdown(rows: Sequence[Row]) -> str:
    """The table."""
    lines = [HEADER]
    for row in rows:
        ratio = _number(row.ratio) + (" × as fast" if row.faster else " × as long")
        ratio += "" if row.claimed else " (not claimed)"
        met = {True: "yes", False: "**no**", None: "–"}[row.met]
        cells = [row.what, _number(row.ours), row.peer, _number(row.theirs), ratio, str(row.pairs)]
        cells += [_number(row.peer_spread), _number(row.cpu_per_gib), _number(row.peer_cpu_per_gib)]
        cells += [_number(row.peak_mb, 0), row.aim, met]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def parser(purpose: str) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    options = argparse.ArgumentParser(description=purpose)
    options.add_argument("--scale", type=float, default=1.0, help="size of the data, 1 = full (default)")
    options.add_argument("--rounds", type=int, default=7, help="interleaved rounds (default 7)")
    options.add_argument("--slow-rounds", type=int, default=3, help="rounds of bagit.py and git-annex (default 3)")
    options.add_argument("--work", type=Path, help="folder for the data (default: a temporary one, removed at the end)")
    options.add_argument("--json", type=Path, dest="report", help="also write machine, runs and rows to this file")
    return options


@contextmanager
def workplace(chosen: Path | None) -> Iterator[Path]:
    """The folder to work in: the chosen one, which is kept, or a temporary one, which is removed."""
    # commands start with modules that are compiled, as where DIADEM is installed; else each compiles them anew
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if chosen is not None:
        chosen.mkdir(parents=True, exist_ok=True)
        yield chosen.resolve()
        return
    folder = Path(tempfile.mkdtemp(prefix="diadem-bench-")).resolve()
    try:
        yield folder
    finally:
        remove(folder)


def keep(
    path: Path | None, work: Path, rows: Sequence[Row], runs: dict[str, dict[str, Series]], **more: object
) -> None:
    """Write the JSON of a comparison, if asked to."""
    document: dict[str, object] = {
        "machine": machine.describe(work),
        "peers": peers.versions(),
        **more,
        "rows": [asdict(row) for row in rows],
        "runs": {
            part: {name: [[one.wall, one.cpu] for one in series.runs.values()] for name, series in table.items()}
            for part, table in runs.items()
        },
    }
    write(path, document)


def write(path: Path | None, document: dict[str, object]) -> None:
    """Write a document as JSON, if a path was given; its folder is made."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
