"""The catalogue with very many packages: search, the states that `status` judges, and the cost of one more package.

The packages are made at the level of the catalogue: `Catalogue.add_package` gets records as `pack` would have made
them, with replicas and proofs, but no bytes lie in any store, and their tag files are 2 KiB of noise. So this measures
the catalogue, not archiving. Searches run in one process on a catalogue that is warm, as in `diadem serve` or a
notebook; the first search of a new process is given beside.
"""

from __future__ import annotations

import datetime
import hashlib
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import machine
from tables import parser, workplace, write

from diadem.model.record import Dataset, Record
from diadem.node.catalogue import Catalogue, PackageEntry
from diadem.serialization.fields import field_keys, unit

#: Aims: p95 of searches and the time of all states in seconds; the 100,001st package against the first.
SEARCH, STATES, FLAT = 0.050, 2.0, 1.5
#: Packages at a scale of 1, and how many are added to see what one costs.
COUNT, SAMPLE = 100_000, 300
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
_TECHNIQUES = ("STEM", "TEM", "SEM", "EELS", "EDS", "diffraction")


def entry(number: int, *, datasets: int | None = None) -> PackageEntry:
    """Package `number` of this benchmark, always the same; a session has 1 to 40 datasets, 8 in the median."""
    draw = random.Random(number)
    digest = hashlib.sha256(b"package %d" % number).hexdigest()
    date = _START + datetime.timedelta(days=draw.randrange(_DAYS))
    material, form, work = draw.choice(_MATERIALS), draw.choice(_FORMS), draw.choice(_WORK)
    sample = f"S-{draw.randrange(3000)}"
    session = _Session(draw, date, f"{material}_{form}", sample)
    count = datasets or min(40, max(1, round(draw.lognormvariate(2.1, 0.8))))
    documents = [session.dataset(index) for index in range(1, count + 1)]
    known = field_keys()
    record = Record(
        "diadem-record/1.0.0",
        [Dataset(document, known) for document in documents],
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
    return {"value": value, "unit": unit(key), "status": "stated", "preferred": True}


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
        "id": lambda: "id:" + hashlib.sha256(b"package %d" % draw.randrange(1000)).hexdigest()[:10],
        "file": lambda: f"file:{draw.choice(_DETECTORS)}_{draw.randrange(1, 9):04d}",
        "everything": lambda: "",
    }
    names = list(kinds)
    for number in range(count):
        name = names[number % len(names)]
        yield name, kinds[name]()


def fill(catalogue: Catalogue, first: int, end: int) -> float:
    """Add packages with two replicas each, many in one transaction; seconds."""
    begin = time.perf_counter()
    for start in range(first, end, TOGETHER):
        with catalogue.together():
            for one in map(entry, range(start, min(start + TOGETHER, end))):
                catalogue.add_package(one)
                for store in ("lab", "nas"):
                    catalogue.set_replica(one.id, store, one.path, state="present", written=_NOW)
        print(f"  {start + TOGETHER:,} packages, {time.perf_counter() - begin:.0f} s", file=sys.stderr)
    return time.perf_counter() - begin


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


def quantile(values: Sequence[float], part: float) -> float:
    """The value below which a part of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(part * (len(ordered) - 1)))]


def first_search(address: str) -> float:
    """Seconds of the first search in a new process, after its imports."""
    script = (
        "import sys, time\nfrom diadem.node.catalogue import Catalogue\nbegin = time.perf_counter()\n"
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
    chosen = options.parse_args(arguments)
    count = chosen.count or max(1, round(COUNT * chosen.scale))
    sample = max(1, min(SAMPLE, count))
    with workplace(chosen.work) as work:
        address = place(work, f"catalogue_{count}", chosen.database)
        with Catalogue.open(place(work, f"empty_{time.time_ns()}", chosen.database), create=True) as empty:
            early = adding(empty, 0, sample)
            empty.discard()
        with Catalogue.open(address, create=True) as catalogue:
            have = catalogue.count()
            filled = fill(catalogue, have, count) if have < count else None
            catalogue.analyse()
            late = adding(catalogue, 10**9 + time.time_ns() % 10**8 * 1000, sample)
            searches = searching(catalogue, chosen.queries, max(1, min(3, chosen.rounds)))
            judged = min(states(catalogue) for _ in range(3))
            size = catalogue.size()
        cold = statistics.median(first_search(address) for _ in range(3))
        document = report(count, early, late, searches, judged, cold, filled, size)
        write(chosen.report, {"machine": machine.describe(work), **document})
    return 0


def report(
    count: int,
    early: list[float],
    late: list[float],
    searches: list[tuple[str, str, float, int]],
    judged: float,
    cold: float,
    filled: float | None,
    size: int,
) -> dict[str, Any]:
    """Print the tables; all figures as a document."""
    times = [taken for _, _, taken, _ in searches]
    growth = statistics.median(late) / statistics.median(early)
    figures = {"p50": quantile(times, 0.5), "p95": quantile(times, 0.95), "p99": quantile(times, 0.99)}
    lines = [
        (f"search, p95 of {len(times)} (p50 {figures['p50'] * 1e3:.1f}, p99 {figures['p99'] * 1e3:.1f})",
         f"{figures['p95'] * 1e3:.1f} ms", f"< {SEARCH * 1e3:.0f} ms", figures["p95"] < SEARCH),
        ("first search of a new process", f"{cold * 1e3:.0f} ms", "reported", None),
        ("states of all packages, with two replicas each", f"{judged:.2f} s", f"< {STATES:.0f} s", judged < STATES),
        (f"one more package, median of {len(late)} (first ones {statistics.median(early) * 1e3:.1f} ms)",
         f"{statistics.median(late) * 1e3:.1f} ms, {growth:.2f} ×", f"≤ {FLAT} ×", growth <= FLAT),
        ("size of the catalogue", f"{size / 1e9:.2f} GB", "reported", None),
    ]  # fmt: skip
    print(f"| {count:,} packages | measured | aim | met |\n|---|---|---|---|")
    for what, value, aim, met in lines:
        print(f"| {what} | {value} | {aim} | {'–' if met is None else 'yes' if met else '**no**'} |")
    print("\n| search | p50 ms | p95 ms | slowest | found |\n|---|---|---|---|---|")
    kinds = {}
    for kind in dict.fromkeys(kind for kind, *_ in searches):
        own = [(taken, query, total) for name, query, taken, total in searches if name == kind]
        spent = [taken for taken, _, _ in own]
        slowest = max(own)
        kinds[kind] = {"p50": quantile(spent, 0.5), "p95": quantile(spent, 0.95), "slowest": slowest[1]}
        print(f"| {kind} | {quantile(spent, 0.5) * 1e3:.1f} | {quantile(spent, 0.95) * 1e3:.1f} | "
              f"`{slowest[1]}` {slowest[0] * 1e3:.0f} ms | {slowest[2]:,} |")  # fmt: skip
    return {"count": count, "search": figures, "kinds": kinds, "states": judged, "early": statistics.median(early),
            "late": statistics.median(late), "growth": growth, "cold": cold, "filled": filled}  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
