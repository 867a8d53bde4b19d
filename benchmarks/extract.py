"""Extraction: all real files against RosettaSciIO's own lazy reads, and small files with one worker and with two.

The peer is a plain loop in one process over the same files with the readers that DIADEM chose, lazily, eagerly where
that is refused; it makes no record, no evidence and no pictures. Both start an interpreter, DIADEM its workers as well.
Needs the real files (`--data`, by default beside the checkout); without them only the small ones are measured.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from real_files import SHARED, unpack
from tables import Row, compare, keep, markdown, parser, workplace
from timing import Contender, Series, interleave, run

import diadem
from diadem.testing.samples import write_small_images

HERE = Path(__file__).resolve().parent
#: A spectrum as ISO 22029 has it.
_MSA = """#FORMAT      : EMSA/MAS Spectral Data File
#VERSION     : 1.0
#TITLE       : point {number}
#DATE        : 14-MAR-2026
#TIME        : 15:{minute:02d}
#NPOINTS     : 256.0
#NCOLUMNS    : 4.0
#XUNITS      : eV
#YUNITS      : Counts
#DATATYPE    : Y
#XPERCHAN    : 10.0
#OFFSET      : -200.0
#SIGNALTYPE  : EDS
#BEAMKV   -kV: 200.0
#LIVETIME  -s: 30.0
#SPECTRUM    : Spectral Data Starts Here
{counts}
#ENDOFDATA   :
"""
#: Files named in the table of the slowest.
_NAMED = 15


@dataclass(frozen=True, slots=True)
class Slow:
    """Seconds of one file in a started worker, and of its reader alone."""

    path: str
    format: str
    ours: float
    theirs: float | None


def contender(name: str, *arguments: str | Path) -> Contender:
    """A run of `extract_child.py`."""
    return Contender(name, lambda: run([sys.executable, HERE / "extract_child.py", *arguments]))


def readers(folder: Path, target: Path) -> Path:
    """The list of files and of RosettaSciIO's readers that DIADEM chose for them."""
    listed = []
    for dataset in diadem.extract(folder).datasets:
        reader = dataset.primary.format.partition("-")[0]
        if dataset.signals and importlib.util.find_spec(f"rsciio.{reader}") is not None:
            path = dataset.path
            if ".zspy/" in path:
                path = path[: path.index(".zspy/") + len(".zspy")]
            listed.append((reader, path))
    target.write_text(json.dumps(listed))
    return target


def real(data: Path, work: Path, rounds: int) -> tuple[list[Row], dict[str, Series], list[Slow]]:
    """All real files: ours against theirs, and where ours spends its time."""
    folder = unpack(data, work)
    listed = readers(folder, work / "readers.json")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    count = len(json.loads(listed.read_text()))
    contenders = [
        contender("RosettaSciIO, lazy", "theirs", listed, folder),
        contender("diadem.extract", "ours", folder),
    ]
    for one in contenders:
        one.work()  # the first reads fill the page cache and compile what numba compiles
    series = interleave(contenders, rounds)
    title = f"extract all real files ({count} read)"
    row = compare(title, series["diadem.extract"], [series["RosettaSciIO, lazy"]], size=size, aim="≤ 1.2 ×", limit=1.2)
    return [row], series, slowest(listed, folder, work)


def slowest(listed: Path, folder: Path, work: Path) -> list[Slow]:
    """Files by the seconds that they take, the slowest first."""
    note = work / "apart.json"
    run([sys.executable, HERE / "extract_child.py", "apart", listed, folder, note])
    found = [Slow(path, *told) for path, told in json.loads(note.read_text()).items()]
    return sorted(found, key=lambda one: -one.ours)


def small_files(work: Path, count: int) -> tuple[Path, int, int]:
    """Three small images for each spectrum in one folder, written once; the folder, its bytes, its number of files."""
    folder = work / f"small-{count}"
    if not folder.exists():
        write_small_images(folder, count - count // 4)
        counts = ", ".join(["12.0", "17.0", "11.0", "9.0"] * 64)
        for number in range(count // 4):
            text = _MSA.format(number=number, minute=number % 60, counts=counts)
            (folder / f"point_{number:05d}.msa").write_text(text, encoding="ascii", newline="\r\n")
    sizes = [path.stat().st_size for path in folder.iterdir()]
    return folder, sum(sizes), len(sizes)


def small(work: Path, scale: float, rounds: int) -> tuple[list[Row], dict[str, Series]]:
    """Small files: two workers against one."""
    folder, size, files = small_files(work, max(8, round(5000 * scale)))
    contenders = [contender("1 worker", "workers", folder, "1"), contender("2 workers", "workers", folder, "2")]
    series = interleave(contenders, rounds)
    row = compare(
        f"extract {files:,} small TIFF and MSA files, 2 workers",
        series["2 workers"],
        [series["1 worker"]],
        size=size,
        aim="≥ 1.6 × faster",
        limit=1.6,
        inverse=True,
    )
    return [row], series


def table(found: list[Slow]) -> str:
    """The slowest files, in a worker that has started, against their reader alone."""
    total, theirs = sum(one.ours for one in found), sum(one.theirs or 0 for one in found)
    lines = [
        f"In one started worker: {total:.2f} s for {len(found)} datasets, their readers alone {theirs:.2f} s.",
        "",
        "| file | format | DIADEM ms | reader ms |",
        "|---|---|---|---|",
    ]
    for one in found[:_NAMED]:
        alone = "–" if one.theirs is None else f"{one.theirs * 1000:.0f}"
        lines.append(f"| {one.path} | {one.format} | {one.ours * 1000:.0f} | {alone} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, keep."""
    options = parser(__doc__)
    options.add_argument("--sets", default="real,small", help="which of real, small")
    options.add_argument("--data", type=Path, default=SHARED, help="folder of real files")
    chosen = options.parse_args(arguments)
    rows: list[Row] = []
    runs: dict[str, dict[str, Series]] = {}
    slow: list[Slow] = []
    with workplace(chosen.work) as work:
        if "real" in chosen.sets and chosen.data.is_dir():
            rows, runs["real"], slow = real(chosen.data, work, chosen.rounds)
        if "small" in chosen.sets:
            more, runs["small"] = small(work, chosen.scale, chosen.rounds)
            rows += more
        keep(chosen.report, work, rows, runs, scale=chosen.scale, slowest=[(one.path, one.ours) for one in slow])
    print(markdown(rows))
    print("\n" + (table(slow) if slow else "No real files were given (--data): only small files were measured."))
    return 0


if __name__ == "__main__":
    sys.exit(main())
