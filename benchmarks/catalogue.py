"""The catalogue with very many packages: search, the states that `status` judges, and the cost of one more package.

The packages are made at the level of the catalogue: `Catalogue.add_package` gets records as `pack` would have made
them, with replicas, judgements and derivations, but no bytes lie in any store, and their tag files are 2 KiB of
noise. So this measures the catalogue, not archiving. Searches run in one process on a catalogue that is warm, as in
`diadem serve` or a notebook; the first search of a new process is given beside.
"""

from __future__ import annotations

import datetime
import hashlib
import math
import multiprocessing
import random
import resource
import statistics
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import machine
from tables import parser, workplace, write

from diadem.catalogue import Catalogue, CopyEntry, PackageEntry, packages
from diadem.model.assessments import Assessment
from diadem.model.lineage import Derivation, Source
from diadem.model.record import Dataset, Datasets, Record
from diadem.terms.fields import field, field_keys

#: Aims: p95 of searches and the time of all states in seconds; the 100,001st package against the first.
SEARCH, STATES, FLAT = 0.050, 2.0, 1.5
#: Bytes of memory that the process may take.
MEMORY = 250e6
#: And of the counts of a search.
FACETS = 0.200
#: Packages at a scale of 1, and how many are added to see what one costs.
COUNT, SAMPLE = 100_000, 300
#: Datasets of a session, in the median.
MEDIAN = 8
#: Packages that are made in one transaction, to have them sooner.
TOGETHER = 1000
_START = datetime.date(2014, 1, 1)
_DAYS = 4500
_NOW = datetime.datetime(2026, 6, 1, 12, tzinfo=datetime.UTC)

_MATERIALS = [
    "ZnO", "GaN", "TiO2", "SrTiO3", "graphene", "MoS2", "Pt", "Au", "Ag", "Cu", "Si", "Ge", "InGaAs", "LiFePO4",
    "NMC", "steel", "perovskite", "silica",
]  # fmt: skip
_FORMS = [
    "nanorods", "nanowires", "film", "lamella", "powder", "interface", "catalyst", "grain", "particles",
    "heterostructure", "quantum", "dots",
]  # fmt: skip
_WORK = [
    "overview", "survey", "tilt", "series", "mapping", "EELS", "HAADF", "EDS", "tomography", "diffraction",
    "ptychography", "thickness", "test",
]  # fmt: skip
_PEOPLE = [f"{first} {last}" for first in ("Marie", "Otto", "Lise", "Ernst", "Rosalind", "Ada", "Max", "Emmy")
           for last in ("Curie", "Hahn", "Meitner", "Ruska", "Franklin", "Born", "Noether")]  # fmt: skip
_INSTRUMENTS = [("Titan 80-300", "FEI", (80e3, 200e3, 300e3)), ("Talos F200X", "FEI", (80e3, 200e3)),
                ("ARM200F", "JEOL", (60e3, 80e3, 200e3)), ("JEM-2100", "JEOL", (200e3,)),
                ("HERMES", "Nion", (30e3, 60e3, 200e3)), ("Gemini 500", "Zeiss", (1e3, 5e3, 15e3)),
                ("Helios 660", "FEI", (5e3, 15e3, 30e3)), ("Libra 200", "Zeiss", (200e3,))]  # fmt: skip
_DETECTORS = ["HAADF", "BF", "DF2", "DF4", "Ceta", "K2", "EMPAD", "SE2", "InLens", "Super-X", "Quantum"]
_FORMATS = [("digitalmicrograph", "dm4"), ("digitalmicrograph", "dm3"), ("emd", "emd"), ("tiff", "tif"), ("tia", "ser")]
_PURPOSES = ("imaging", "EELS", "EDS", "tomography", "strain")
_CRITERIA = ("drift", "thickness", "saturation", "contamination", "")
_ASSESSORS = ("alice@hu-berlin", "bob@hu-berlin", "marie@hu-berlin", "otto@hu-berlin")
_TECHNIQUES = ("STEM", "TEM", "SEM", "EELS", "EDS", "diffraction")


def entry(number: int, *, datasets: int | None = None, median: int = MEDIAN, count: int = 0) -> PackageEntry:
    """Package `number` of this benchmark, always the same; a session has 1 to 40 datasets, `median` in the median.

    Of `count` packages they come in the order of their days, as sessions do; of 0, on any day.
    """
    draw = random.Random(number)
    digest = _digest(number)
    day = draw.randrange(_DAYS)
    date = _START + datetime.timedelta(days=min(number, count) * _DAYS // count if count else day)
    material, form, work = draw.choice(_MATERIALS), draw.choice(_FORMS), draw.choice(_WORK)
    sample = f"S-{draw.randrange(3000)}"
    session = _Session(draw, date, f"{material}_{form}", sample)
    count = datasets or min(40, max(1, round(draw.lognormvariate(math.log(median), 0.8))))
    documents = [session.dataset(index) for index in range(1, count + 1)]
    known = field_keys()
    record = Record(
        "diadem-record/1.0.0",
        Datasets([Dataset(document, known) for document in documents]),
        known,
        session={"title": f"{material} {form}, {work}", "project": draw.choice(("oxides", "nitrides", "batteries"))},
        sample={"identifier": sample, "name": f"{material} {form}"},
        people=[{"name": session.operator, "role": "operator"}],
    )
    return PackageEntry(
        id="diadem:" + digest,
        payload_id=hashlib.sha256(digest.encode()).hexdigest(),
        path=f"{date:%Y}/{date:%Y%m%d}-{material.lower()}-{digest[:12]}",
        title=str(record.session["title"]),
        date=date,
        bytes=count * draw.randrange(1 << 20, 1 << 30),
        files=count,
        owner=session.operator.split()[0].lower() + "@hu-berlin",
        ingested_at=datetime.datetime.combine(date, datetime.time(18), datetime.UTC),
        record=record,
        tag_files={"diadem/leaves.blake3": draw.randbytes(2048)},
    )


def judgements(one: PackageEntry, number: int) -> Iterator[Assessment]:
    """What two users and a program say of a package: nothing of two thirds, and of some they differ."""
    draw = random.Random(f"judged {number}")
    if draw.random() < 2 / 3:
        return
    purpose = draw.choice(_PURPOSES)
    target = {"dataset": draw.choice([dataset.id for dataset in one.record.datasets])} if draw.random() < 0.5 else {}
    for order, assessor in enumerate(draw.sample(_ASSESSORS, draw.choice((1, 1, 1, 2)))):
        verdict = draw.choices(("accept", "limited", "reject"), (6, 2, 1))[0]
        said = {"purpose": purpose, "criterion": draw.choice(_CRITERIA), "verdict": verdict, "target": target}
        statement = hashlib.sha256(f"{number} {assessor}".encode()).hexdigest()
        yield Assessment.of(statement, number * 2 + order, {**said, "by": assessor, "time": "2026-06-01T12:00:00Z"})


def derivation(number: int) -> Derivation | None:
    """Every hundredth package is the result of one to three others of the hundred before it."""
    if number % 100 or not number:
        return None
    made = hashlib.sha256(b"derived %d" % number).hexdigest()
    sources = tuple(Source("diadem:" + one) for one in _sources(number))
    return Derivation(made, number, "diadem:" + _digest(number), sources, "alice@hu-berlin")


def _sources(number: int) -> list[str]:
    draw = random.Random(f"derived {number}")
    return [_digest(number - draw.randrange(1, 100)) for _ in range(draw.randrange(1, 4))]


def _digest(number: int) -> str:
    return hashlib.sha256(b"package %d" % number).hexdigest()


class _Session:
    """One session at one instrument: most values stay, some are of each dataset."""

    def __init__(self, draw: random.Random, date: datetime.date, stem: str, sample: str) -> None:
        self._draw, self._date, self._stem, self._sample = draw, date, stem, sample
        self.operator = draw.choice(_PEOPLE)
        model, vendor, voltages = draw.choice(_INSTRUMENTS)
        self._format = draw.choice(_FORMATS)
        self._constant: dict[str, Any] = {
            "beam.acceleration_voltage": draw.choice(voltages),
            "beam.source_type": draw.choice(("XFEG", "Schottky", "LaB6")),
            "instrument.model": model,
            "instrument.vendor": vendor,
            "instrument.software": f"{vendor} {draw.randrange(1, 6)}.{draw.randrange(20)}",
            "person.operator": self.operator,
            "sample.name": sample,
            "stage.holder": draw.choice(("double tilt", "single tilt", "tomography")),
            "camera.binning": draw.choice((1, 2, 4)),
        }

    def dataset(self, index: int) -> dict[str, Any]:
        """The document of one dataset, as the record of a package has it."""
        draw, (name, suffix) = self._draw, self._format
        detector = draw.choice(_DETECTORS[:4] if index % 3 else _DETECTORS)
        time_ = datetime.datetime.combine(self._date, datetime.time(9)) + datetime.timedelta(minutes=3 * index)
        own: dict[str, Any] = {
            "detector.name": detector,
            "signal.technique": draw.choice(_TECHNIQUES),
            "optics.magnification": float(draw.choice((5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6))),
            "image.pixel_size_x": draw.choice((1e-11, 2e-11, 5e-11, 1e-10, 5e-10, 1e-9, 5e-9)),
            "scan.dwell_time": draw.choice((1e-6, 2e-6, 5e-6, 1e-5, 2e-5)),
            "camera.exposure": draw.choice((0.1, 0.2, 0.5, 1.0, 2.0)),
            "stage.x": draw.uniform(-1e-3, 1e-3),
            "stage.y": draw.uniform(-1e-3, 1e-3),
            "stage.alpha": round(draw.uniform(-30, 30), 2),
            "time.acquired_start": time_.isoformat(),
        }
        path = f"{self._date:%y%m%d}_{self._stem}_{self._sample}_{detector}_{index:04d}.{suffix}"
        file = {"id": "f1", "path": path, "role": "primary", "bytes": 1 << 20, "sha256": "0" * 64, "format": name}
        fields = {key: [_assertion(key, value)] for key, value in (self._constant | own).items()}
        return {"id": f"d{index}", "files": [file], "signals": [{"id": "s1", "kind": "image", "shape": [1024, 1024]}],
                "fields": fields, "raw": [], "issues": [], "extraction": {}}  # fmt: skip


def _assertion(key: str, value: Any) -> dict[str, Any]:
    return {"value": value, "unit": field(key).unit, "status": "stated", "preferred": True}


def queries(count: int) -> Iterator[tuple[str, str]]:
    """Searches as people make them, each with the kind that it is of; always the same."""
    draw = random.Random(1)
    kinds: dict[str, Callable[[], str]] = {
        "one word": lambda: draw.choice((*_MATERIALS, *_WORK, *_DETECTORS, "Curie", "Noether", "dm4")),
        "two words": lambda: f"{draw.choice(_MATERIALS)} {draw.choice((*_FORMS, *_DETECTORS))}",
        "three words": lambda: f"{draw.choice(_MATERIALS)} {draw.choice(_DETECTORS)} {draw.choice(_PEOPLE).split()[1]}",
        "beginning of a word": lambda: draw.choice(("nano*", "hetero*", "MoS*", "graph*", "ptych*", "Lib*")),
        "sample": lambda: f"sample:S-{draw.randrange(3000)}",
        "operator": lambda: f'operator:"{draw.choice(_PEOPLE)}"',
        "voltage": lambda: f"kV={draw.choice((30, 60, 80, 200, 300))}",
        "common range": lambda: f"mag:{draw.choice(('10k..50k', '100k..500k'))}",
        "rare range": lambda: f"stage.x:{(x := draw.uniform(-900, 900)):.2f}um..{x + 0.05:.2f}um",
        "words and voltage": lambda: f"{draw.choice(_MATERIALS)} HAADF kV>={draw.choice((80, 200))}",
        "ranges of one dataset": lambda: f"pixel<{draw.choice(('0.05nm', '0.1nm', '1nm'))} dwell>=10us kV=200",
        "either": lambda: f"({draw.choice(_MATERIALS)} or {draw.choice(_MATERIALS)}) and detector:EMPAD",
        "either, mixed": lambda: f"{draw.choice(_MATERIALS)} or kV={draw.choice((30, 60))}",
        "not": lambda: f"{draw.choice(_MATERIALS)} not {draw.choice(_DETECTORS)}",
        "month": lambda: f"date:{draw.randrange(2014, 2026)}-{draw.randrange(1, 13):02d}",
        "month and word": lambda: (
            f"date:{draw.randrange(2014, 2026)}-{draw.randrange(1, 13):02d} {draw.choice(_MATERIALS)}"
        ),
        "year and field": lambda: (
            f"date:{draw.randrange(2014, 2026)} instrument:{draw.choice(('JEOL', 'Titan'))} exposure>=1s"
        ),
        "id": lambda: f"id:{_digest(draw.randrange(1000))[:10]}",
        "file": lambda: f"file:{draw.choice(_DETECTORS)}_{draw.randrange(1, 9):04d}",
        "everything": lambda: "",
        "verdict": lambda: f"quality:{draw.choice(('accept', 'limited', 'reject'))}",
        "verdict for a purpose": lambda: (
            f"quality:{draw.choice(('accept', 'reject'))} purpose:{draw.choice(_PURPOSES)}"
        ),
        "verdict and word": lambda: f"{draw.choice(_MATERIALS)} {draw.choice(_DETECTORS)} quality:reject",
        "disputed": lambda: "quality:disputed",
        "assessor and criterion": lambda: f"assessed-by:{draw.choice(('bob', 'marie'))} criterion:drift",
        "not assessed": lambda: f"not:assessed {draw.choice(_MATERIALS)}",
        "made from": lambda: f"derived-from:{_sources(100 * draw.randrange(1, 9))[0][:12]}",
    }
    names = list(kinds)
    for number in range(count):
        name = names[number % len(names)]
        yield name, kinds[name]()


def fill(
    catalogue: Catalogue, first: int, end: int, median: int = MEDIAN, stores: Sequence[str] = ("lab", "nas")
) -> list[float]:
    """Add packages with a copy in each store, judgements and derivations, many in one transaction; seconds of each."""
    taken: list[float] = []
    catalogue.prepare_to_fill()
    for prepared, judged, derived in _batches(first, end, median):
        begin = time.perf_counter()
        _write(catalogue, prepared, judged, derived, stores)
        taken.append(time.perf_counter() - begin)
        print(f"  {first + TOGETHER * len(taken):,} packages, {taken[-1]:.2f} s", file=sys.stderr)
    catalogue.complete()
    return taken


def _batches(first: int, end: int, median: int) -> Iterator[_Batch]:
    """Packages as they are written, made by another process, which is a few batches ahead."""
    starts = iter(range(first, end, TOGETHER))
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:

        def ask(count: int) -> list[Future[_Batch]]:
            return [
                pool.submit(_batch, start, min(start + TOGETHER, end), end, median) for start in islice(starts, count)
            ]

        waiting = deque(ask(3))
        while waiting:
            found = waiting.popleft().result()
            waiting += ask(1)
            yield found


_Batch = tuple[list[packages.Prepared], list[tuple[str, list[Assessment]]], list[Derivation]]


def _batch(start: int, end: int, count: int, median: int) -> _Batch:
    entries = [(number, entry(number, median=median, count=count)) for number in range(start, end)]
    judged = [(one.id, list(judgements(one, number))) for number, one in entries]
    derived = [found for number, _ in entries if (found := derivation(number)) is not None]
    return [packages.prepare(one) for _, one in entries], [pair for pair in judged if pair[1]], derived


def _write(
    catalogue: Catalogue,
    prepared: Sequence[packages.Prepared],
    judged: Sequence[tuple[str, Sequence[Assessment]]],
    derived: Sequence[Derivation],
    stores: Sequence[str],
) -> None:
    with catalogue.together():
        with catalogue.writing() as connection:
            packages.enter(connection, prepared)
        ids = [("diadem:" + one.id, str(one.package["path"])) for one in prepared]
        catalogue.add_copies([CopyEntry(id_, store, path, _NOW) for id_, path in ids for store in stores])
        for id_, said in judged:
            for assessment in said:
                catalogue.add_assessment(id_, assessment)
        for made in derived:
            catalogue.add_derivation(made)


def adding(catalogue: Catalogue, first: int, count: int) -> list[float]:
    """Seconds of each of some more packages; what it takes to make the records is left out."""
    taken = []
    for one in [entry(number) for number in range(first, first + count)]:
        begin = time.perf_counter()
        catalogue.add_package(one)
        taken.append(time.perf_counter() - begin)
    return taken


def searching(catalogue: Catalogue, count: int, rounds: int) -> list[tuple[str, str, float, int]]:
    """Kind, search, its seconds and how many were found; every round counts."""
    found = []
    for _ in range(rounds):
        for kind, query in queries(count):
            begin = time.perf_counter()
            total = catalogue.search(query).total
            found.append((kind, query, time.perf_counter() - begin, total))
    return found


def counting(catalogue: Catalogue, rounds: int) -> list[tuple[str, float, int, bool]]:
    """Search, seconds of its counts by the usual fields, packages that were counted, and whether those are all."""
    found = []
    for query in ("", *(query for _, query in queries(20))):
        taken = []
        for _ in range(max(2, rounds)):
            begin = time.perf_counter()
            counted = catalogue.facets(query)
            taken.append(time.perf_counter() - begin)
        found.append((query, min(taken), counted.total, counted.exact))
    return found


def quantile(values: Sequence[float], part: float) -> float:
    """The value below which a part of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(part * (len(ordered) - 1)))]


def first_search(address: str) -> float:
    """Seconds of the first search in a new process, after its imports."""
    script = (
        "import sys, time\nfrom diadem.catalogue import Catalogue\nbegin = time.perf_counter()\n"
        "with Catalogue.open(sys.argv[1]) as catalogue: catalogue.search('ZnO HAADF kV>=200')\n"
        "print(time.perf_counter() - begin)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, address], capture_output=True, text=True, check=True)
    return float(done.stdout)


def states(catalogue: Catalogue) -> float:
    """Seconds until all states of packages were read."""
    begin = time.perf_counter()
    count = sum(1 for _ in catalogue.package_states())
    if count < 1:
        raise RuntimeError("the catalogue is empty")
    return time.perf_counter() - begin


def place(work: Path, name: str, database: str | None) -> str:
    """The address of a catalogue: a file, or a schema of a database."""
    return f"{database}?schema={name}" if database else str(work / f"{name}.sqlite")


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, keep."""
    options = parser(__doc__ or "")
    options.add_argument("--count", type=int, help=f"packages (default {COUNT:,} × scale)")
    options.add_argument("--database", help="postgresql://user@host/database, in place of a file")
    options.add_argument("--queries", type=int, default=400, help="searches in a round (default 400)")
    options.add_argument("--datasets", type=int, default=MEDIAN, help=f"in a session, in the median (default {MEDIAN})")
    chosen = options.parse_args(arguments)
    count = chosen.count or max(1, round(COUNT * chosen.scale))
    sample = max(1, min(SAMPLE, count))
    with workplace(chosen.work) as work:
        address = place(work, f"catalogue_{count}_{chosen.datasets}", chosen.database)
        with Catalogue.open(place(work, f"empty_{time.time_ns()}", chosen.database), create=True) as empty:
            early = adding(empty, 0, sample)
            empty.discard()
        with Catalogue.open(address, create=True) as catalogue:
            have = catalogue.count()
            filled = fill(catalogue, have, count, chosen.datasets) if have < count else None
            catalogue.analyse()
            late = adding(catalogue, 10**9 + time.time_ns() % 10**8 * 1000, sample)
            cold_ones = searching(catalogue, chosen.queries, 1)
            searches = searching(catalogue, chosen.queries, max(1, min(3, chosen.rounds)))
            counts = counting(catalogue, min(3, chosen.rounds))
            judged = min(states(catalogue) for _ in range(3))
            size = catalogue.size()
        cold = statistics.median(first_search(address) for _ in range(3))
        document = report(count, early, late, cold_ones, searches, counts, judged, cold, filled, size)
        write(chosen.report, {"machine": machine.describe(work), **document})
    return 0


def report(
    count: int,
    early: list[float],
    late: list[float],
    cold_ones: list[tuple[str, str, float, int]],
    searches: list[tuple[str, str, float, int]],
    counts: list[tuple[str, float, int, bool]],
    judged: float,
    cold: float,
    filled: list[float] | None,
    size: int,
) -> dict[str, Any]:
    """Print the tables; all figures as a document."""
    times = [taken for _, _, taken, _ in searches]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    growth = statistics.median(late) / statistics.median(early)
    figures = {"p50": quantile(times, 0.5), "p95": quantile(times, 0.95), "p99": quantile(times, 0.99)}
    lines = [
        (f"search, p95 of {len(times)} (p50 {figures['p50'] * 1e3:.1f}, p99 {figures['p99'] * 1e3:.1f})",
         f"{figures['p95'] * 1e3:.1f} ms", f"< {SEARCH * 1e3:.0f} ms", figures["p95"] < SEARCH),
        (f"counts of a search by 12 fields, p95 of {len(counts)} (of all packages {counts[0][1] * 1e3:.1f} ms)",
         f"{quantile([taken for _, taken, _, _ in counts], 0.95) * 1e3:.0f} ms", f"< {FACETS * 1e3:.0f} ms",
         quantile([taken for _, taken, _, _ in counts], 0.95) < FACETS),
        ("search, p95 of a round before, on a disk's cache as it was",
         f"{quantile([taken for _, _, taken, _ in cold_ones], 0.95) * 1e3:.1f} ms", "reported", None),
        ("first search of a new process", f"{cold * 1e3:.0f} ms", "reported", None),
        ("states of all packages, with two replicas each", f"{judged:.2f} s", f"< {STATES:.0f} s", judged < STATES),
        (f"one more package, median of {len(late)} (first ones {statistics.median(early) * 1e3:.1f} ms)",
         f"{statistics.median(late) * 1e3:.1f} ms, {growth:.2f} ×", f"≤ {FLAT} ×", growth <= FLAT),
        ("peak memory of this process", f"{peak / 1e6:.0f} MB", f"< {MEMORY / 1e6:.0f} MB", peak < MEMORY),
        ("size of the catalogue", f"{size / 1e9:.2f} GB", "reported", None),
    ]  # fmt: skip
    print(f"| {count:,} packages | measured | aim | met |\n|---|---|---|---|")
    if filled:
        tenth = max(1, len(filled) // 10)
        early_rate, late_rate = (TOGETHER / statistics.median(part) for part in (filled[:tenth], filled[-tenth:]))
        lines.append(("filling, packages a second, first and last tenth",
                      f"{early_rate:,.0f}, {late_rate:,.0f}", "reported", None))  # fmt: skip
    for what, value, aim, met in lines:
        print(f"| {what} | {value} | {aim} | {'–' if met is None else 'yes' if met else '**no**'} |")
    print(f"\n| search | p50 ms | p95 ms | < {SEARCH * 1e3:.0f} ms | slowest | found |\n|---|---|---|---|---|---|")
    kinds = {}
    for kind in dict.fromkeys(kind for kind, *_ in searches):
        own = [(taken, query, total) for name, query, taken, total in searches if name == kind]
        spent = [taken for taken, _, _ in own]
        slowest = max(own)
        kinds[kind] = {"p50": quantile(spent, 0.5), "p95": quantile(spent, 0.95), "slowest": slowest[1]}
        p95 = quantile(spent, 0.95)
        met = "yes" if p95 < SEARCH else "**no**"
        print(f"| {kind} | {quantile(spent, 0.5) * 1e3:.1f} | {p95 * 1e3:.1f} | {met} | "
              f"`{slowest[1]}` {slowest[0] * 1e3:.0f} ms | {slowest[2]:,} |")  # fmt: skip
    print("\n| counts of | ms | packages counted |\n|---|---|---|")
    for query, taken, total, exact in counts:
        print(f"| `{query}` | {taken * 1e3:.0f} | {total:,}{'' if exact else ', the newest'} |")
    return {"count": count, "search": figures, "counts": counts, "kinds": kinds, "states": judged,
            "early": statistics.median(early), "late": statistics.median(late), "growth": growth, "cold": cold,
            "filled": filled, "peak": peak}  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
