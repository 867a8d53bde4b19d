"""The signed log: appending, opening, exporting and checking offline, against the bare operations underneath.

An append is one transaction of SQLite with its flush, two signatures, and a dozen look-ups; the bar is SQLite alone
writing the same bytes with the same care. Checking a chain is one signature a statement; the bar is the signatures
alone. What must not grow with the log (one append, opening) is measured in a long log too.
"""

from __future__ import annotations

import datetime
import hashlib
import shutil
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import machine
from tables import parser, workplace, write
from timing import Contender, Run, Series, interleave, pair_ratios

from diadem.custody.chain import export_chain
from diadem.custody.log import Ledger
from diadem.custody.statements import node_card
from diadem.custody.verify import verify_chains
from diadem.model.statements import Draft, Subject
from diadem.store.folder import FolderStore
from diadem.trust.keys import PrivateKey

ROOT, ONLINE, LOG = (PrivateKey.from_seed(hashlib.sha256(b"bench %d" % number).digest()) for number in range(3))
PACKAGE = hashlib.sha256(b"package").hexdigest()


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table."""

    what: str
    seconds: float
    against: str
    ratio: float | None
    aim: str
    met: bool | None


def now() -> datetime.datetime:
    """This machine's clock."""
    return datetime.datetime.now(datetime.UTC)


def fixity(package: str) -> Draft:
    """A statement of usual length."""
    said = {"store": "main", "level": "leaves", "proven": [f"diadem:{package}"], "checked": {"bytes": 3_200_000_000}}
    return Draft("fixity", (Subject.package(package),), {**said, "findings": []})


def new_log(folder: Path) -> Ledger:
    """A log with the node's card."""
    shutil.rmtree(folder, ignore_errors=True)
    ledger = Ledger.create(folder, origin="bench/log", log_key=LOG, node=ROOT.public.key_id, clock=now)
    ledger.append(node_card(name="bench", root=ROOT.public, online=ONLINE.public, log=LOG.public), [ROOT])
    return ledger


def long_log(folder: Path, size: int) -> Ledger:
    """A log of many entries, each package with about twenty."""
    ledger = new_log(folder)
    packages = [hashlib.sha256(b"%d" % number).hexdigest() for number in range(size // 20 + 1)]
    while ledger.size < size:
        start = ledger.size
        ledger.append([fixity(packages[at % len(packages)]) for at in range(start, start + 1000)], [ONLINE])
    return ledger


def timed(work: Callable[[], object]) -> Run:
    """One call in this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Run(time.perf_counter() - wall, time.process_time() - cpu, 0, "")


def plain_sqlite(folder: Path, lines: Sequence[bytes], batch: int) -> Callable[[], None]:
    """The same bytes into one table of SQLite, as durable."""

    def work() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        connection = sqlite3.connect(folder / "plain.sqlite", isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE entries (place INTEGER PRIMARY KEY, line BLOB)")
        for start in range(0, len(lines), batch):
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "INSERT INTO entries (line) VALUES (?)", [(line,) for line in lines[start : start + batch]]
            )
            connection.execute("COMMIT")
        connection.close()

    return work


def appending(ledger: Ledger, count: int, batch: int) -> Callable[[], None]:
    """Append statements to an open log."""

    def work() -> None:
        for _ in range(count // batch):
            ledger.append([fixity(PACKAGE) for _ in range(batch)], [ONLINE])

    return work


def measure_appends(work: Path, count: int, rounds: int) -> tuple[list[Figure], dict[str, Series]]:
    """Single appends and batches, against SQLite alone."""
    sample = new_log(work / "sample")
    lines = [entry.line for entry in sample.append([fixity(PACKAGE) for _ in range(count)], [ONLINE])]
    sample.close()
    alone, mirrored = new_log(work / "alone"), new_log(work / "mirrored")
    (work / "store").mkdir(exist_ok=True)
    mirrored.mirrors.stores = [FolderStore(work / "store")]
    contenders = {
        "one by one": appending(alone, count, 1),
        "one by one, SQLite alone": plain_sqlite(work / "plain", lines, 1),
        "one by one, with a mirror on the same disk": appending(mirrored, count, 1),
        "in one batch": appending(alone, count, count),
        "in one batch, SQLite alone": plain_sqlite(work / "plain", lines, count),
    }
    series = interleave([Contender(name, lambda job=job: timed(job)) for name, job in contenders.items()], rounds)
    alone.close()
    mirrored.close()
    figures = [
        against(f"append {count} statements one by one", series, "one by one", "one by one, SQLite alone"),
        against(
            f"append {count} one by one, with a mirror on the same disk",
            series,
            "one by one, with a mirror on the same disk",
            "one by one, SQLite alone",
        ),
        against(f"append {count} statements in one batch", series, "in one batch", "in one batch, SQLite alone"),
    ]
    return figures, series


def measure_long(
    work: Path, sizes: tuple[int, int], opened: int, rounds: int
) -> tuple[list[Figure], dict[str, Series]]:
    """One append, and opening, in a short and in a long log."""
    short, long = (long_log(work / f"log-{size}", size) for size in sizes)
    middle = long if opened == sizes[1] else long_log(work / f"log-{opened}", opened)
    contenders = {
        "long": Contender("long", lambda: timed(appending(long, 50, 1))),
        "short": Contender("short", lambda: timed(appending(short, 50, 1))),
        "open": Contender(
            "open", lambda: timed(lambda: Ledger.open(middle_folder(work, opened), LOG, clock=now).close())
        ),
    }
    series = interleave(list(contenders.values()), rounds)
    for ledger in {short, long, middle}:
        ledger.close()
    ratio = statistics.median(pair_ratios(series["long"], series["short"]))
    seconds = series["open"].median
    return [
        Figure(
            f"50 appends at {sizes[1]:,} entries",
            series["long"].median,
            f"at {sizes[0]:,}",
            ratio,
            "≤ 1.5 ×",
            ratio <= 1.5,
        ),
        Figure(f"open a log of {opened:,} entries", seconds, "", None, "< 0.1 s", seconds < 0.1),
    ], series


def middle_folder(work: Path, size: int) -> Path:
    """Where the log of a size lies."""
    return work / f"log-{size}"


def measure_checks(work: Path, count: int, rounds: int) -> tuple[list[Figure], dict[str, Series]]:
    """Export of a chain, and its check, against the signatures alone."""
    ledger = new_log(work / "chain")
    (work / "chain-store").mkdir(exist_ok=True)
    ledger.mirrors.stores = [FolderStore(work / "chain-store")]
    entries = ledger.append([fixity(PACKAGE) for _ in range(count)], [ONLINE])
    data = export_chain(ledger, PACKAGE, [ONLINE], clock=now)
    signed = [(dict(entry.envelope.signatures)[ONLINE.public.key_id], entry.envelope.pae()) for entry in entries]
    pins = [ROOT.public.key_id]

    def check() -> None:
        if verify_chains([data], pins=pins).counts["proved"] != count:
            raise RuntimeError("a sound chain is not proved")

    def bare() -> None:
        if not all(ONLINE.public.verify(signature, message) for signature, message in signed):
            raise RuntimeError("a signature does not hold")

    series = interleave(
        [
            Contender("check", lambda: timed(check)),
            Contender("signatures alone", lambda: timed(bare)),
            Contender("export", lambda: timed(lambda: export_chain(ledger, PACKAGE, [ONLINE], clock=now))),
        ],
        rounds,
    )
    ledger.close()
    figure = against(f"check a chain of {count} statements offline", series, "check", "signatures alone")
    seconds = series["check"].median
    return [
        Figure(figure.what, figure.seconds, figure.against, figure.ratio, "< 2 s", seconds < 2),
        Figure(f"export it ({len(data) / 1e6:.1f} MB)", series["export"].median, "", None, "", None),
    ], series


def against(what: str, series: dict[str, Series], ours: str, peer: str) -> Figure:
    """A figure with the median ratio of the pairs."""
    ratio = statistics.median(pair_ratios(series[ours], series[peer]))
    return Figure(what, series[ours].median, peer, ratio, "reported", None)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, keep."""
    chosen = parser(__doc__).parse_args(arguments)
    count = max(20, int(1000 * chosen.scale))
    sizes = (1000, max(2000, int(300_000 * chosen.scale)))
    opened = max(2000, int(100_000 * chosen.scale))
    with workplace(chosen.work) as work:
        parts = [
            measure_appends(work, count, chosen.rounds),
            measure_checks(work, count, chosen.rounds),
            measure_long(work, sizes, opened, chosen.rounds),
        ]
        figures = [figure for found, _ in parts for figure in found]
        print("| what | s | against | ratio | aim | met |\n|---|---|---|---|---|---|")
        for figure in figures:
            ratio = "–" if figure.ratio is None else f"{figure.ratio:.2f} × as long"
            met = {True: "yes", False: "**no**", None: "–"}[figure.met]
            print(
                f"| {figure.what} | {figure.seconds:.3f} | {figure.against or '–'} | {ratio} | {figure.aim} | {met} |"
            )
        runs = {
            name: [[one.wall, one.cpu] for one in each.runs.values()]
            for _, all_ in parts
            for name, each in all_.items()
        }
        rows = [
            {"what": one.what, "seconds": one.seconds, "against": one.against, "ratio": one.ratio} for one in figures
        ]
        write(chosen.report, {"machine": machine.describe(work), "rows": rows, "runs": runs})
    return 0


if __name__ == "__main__":
    sys.exit(main())
