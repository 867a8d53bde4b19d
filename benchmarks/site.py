"""`diadem site` of ten thousand sessions: bytes in all, and how long a search takes in Chromium, from the disk.

The packages are made up, and given to the exporter as a node would give them: sessions of a few dozen datasets at most,
each with a dozen values, and a noisy picture of 160 by 160 pixels. Time is counted in the page, from the letter that is
typed to the frame in which the answer is painted.
"""

from __future__ import annotations

import datetime
import hashlib
import io
import math
import random
import resource
import sys
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import catalogue as generator
import machine
import numpy as np
from PIL import Image
from tables import parser, workplace, write

from diadem.hooks.exporters import ExportedPackage, ExportSource, ExportTarget
from diadem.model.assessments import Assessment
from diadem.model.facts import DatasetFacts, PackageFacts
from diadem.model.record import Dataset, Datasets, Record
from diadem.plugins.site.site import export

COUNT = 10_000
#: Aims: bytes of all files, and seconds of a search.
SIZE, SEARCH = 30e6, 0.200
_MATERIALS = ("ZnO", "MoS2", "GaN", "graphene", "steel 316L", "Pt/C", "SrTiO3", "LiFePO4", "CeO2", "ferritin")
_WORK = (
    "grain boundary",
    "precipitates",
    "overview",
    "strain map",
    "tilt series",
    "in situ heating",
    "lamella",
    "EELS",
)
_DETECTORS = ("HAADF", "BF", "SE", "EDX", "CCD", "DF4")
_PEOPLE = ("Marie Curie", "Emmy Noether", "Ernst Ruska", "Lise Meitner", "José Müller", "Chien-Shiung Wu")
_SCOPES = ("Titan Themis 300", "JEM-ARM200F", "Helios 5 UX", "Merlin", "Talos F200X")
#: Searches, and letters of one that is typed.
SEARCHES = (
    *("zno", "haadf", "muller", "s-1234", '"grain boundary"', "mos2 -strain", "2026-03", "e", "curie titan zno"),
    *("nothing of this", "200 kv", "boundary haadf 300 kv", ""),
)


@cache
def preview(number: int) -> bytes:
    """A picture as detectors give it: rows of atoms, and noise."""
    draw = np.random.default_rng(number)
    down, right = np.mgrid[0:160, 0:160]
    turn, step = draw.uniform(0, math.pi), draw.uniform(6, 30)
    across = (down * math.cos(turn) + right * math.sin(turn)) / step
    along = (down * math.sin(turn) - right * math.cos(turn)) / step
    light = 110 + 70 * np.cos(2 * math.pi * across) * np.cos(2 * math.pi * along) + draw.normal(0, 12, (160, 160))
    buffer = io.BytesIO()
    Image.fromarray(light.clip(0, 255).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def package(number: int) -> ExportedPackage:
    """A session that somebody might have recorded; always the same of a number."""
    draw = random.Random(number)
    material, work, person, scope = (draw.choice(each) for each in (_MATERIALS, _WORK, _PEOPLE, _SCOPES))
    sample = f"S-{draw.randrange(3000)}"
    day = (datetime.date(2019, 1, 1) + datetime.timedelta(days=draw.randrange(2700))).isoformat()
    datasets = []
    for place in range(min(60, max(1, round(draw.lognormvariate(2, 0.8))))):
        detector, magnification = draw.choice(_DETECTORS), draw.choice((20, 40, 80, 160, 320)) * 1000
        rows = [
            ("Acquired", f"{day} {draw.randrange(8, 20):02d}:{draw.randrange(60):02d}:{draw.randrange(60):02d}"),
            ("Acceleration voltage", f"{draw.choice((80, 200, 300))} kV"),
            ("Magnification", f"{magnification:,}"),
            ("Detector", detector),
            ("Pixel width", f"{draw.uniform(5, 900):.4g} pm"),
            ("Dwell time", f"{draw.uniform(1, 40):.3g} µs"),
            ("Stage x", f"{draw.uniform(-900, 900):.4g} µm"),
            ("Stage y", f"{draw.uniform(-900, 900):.4g} µm"),
            ("Stage z", f"{draw.uniform(-200, 200):.4g} µm"),
            ("Tilt", f"{draw.uniform(-30, 30):.3g} deg"),
            ("Beam current", f"{draw.uniform(5, 200):.3g} pA"),
            ("Convergence angle", f"{draw.uniform(5, 30):.3g} mrad"),
        ]
        size = draw.choice((512, 1024, 2048, 4096))
        name = f"{place + 1:04d} {sample} {detector} {magnification // 1000}kx.emd"
        shown = preview(number % 300) if not place else None
        signals, bytes_ = (f"{detector}, {size:,} × {size:,}",), 2 * size * size
        datasets.append(DatasetFacts(f"d{place + 1}", name, "velox", bytes_, 1, signals, rows, preview=shown))
    facts = PackageFacts(
        name=f"{material} {work}, {sample}",
        archived=f"{day}T20:00:00+00:00",
        payload_id="",
        file_count=len(datasets),
        total_bytes=sum(one.size for one in datasets),
        dataset_count=len(datasets),
        datasets=datasets,
        description=f"{work.capitalize()} of {material}, the {draw.randrange(1, 9)}th lamella of {sample}.",
        license="CC BY 4.0",
        session={"date": day, "project": f"SFB {draw.randrange(900, 960)}", "purpose": work},
        sample={"name": sample, "description": material},
        people=[{"name": person, "role": "operator", "affiliation": "NMI"}],
        days=(day, day),
        instruments=[{"model": scope}],
        operators=[person],
    )
    said = Assessment("0" * 64, number, "anna@nmi", draw.choice(("accept", "limited", "reject")), "strain", time=day)
    id_ = f"diadem:{hashlib.sha256(str(number).encode()).hexdigest()}"
    documents = [
        {
            "id": one.id,
            "files": [{"id": "f1", "path": one.primary, "role": "primary", "bytes": one.size}],
            "signals": [{"kind": draw.choice(("image", "spectrum_image"))}],
        }
        for one in datasets
    ]
    return ExportedPackage(
        id=id_,
        payload_id="",
        record=Record("", Datasets(()), frozenset()),
        facts=facts,
        datasets=[Dataset(one, frozenset()) for one in documents],
        files=(),
        open=lambda _: io.BytesIO(),
        load=lambda _: [],
        assessments=[said] if number % 5 == 0 else (),
    )


class Made(Sequence[ExportedPackage]):
    """So many packages, each made when it is asked for."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: Any) -> Any:
        if not 0 <= number < self._count:
            raise IndexError(number)
        return package(number)


#: Types a query, and says after how many milliseconds its answer is painted, and how many are found.
_TYPED = """
query => new Promise(done => {
  const box = document.getElementById("words");
  box.value = query;
  const begin = performance.now();
  box.dispatchEvent(new Event("input"));
  requestAnimationFrame(() => setTimeout(() => done([performance.now() - begin, found.textContent])));
})
"""


def searched(page: Path, rounds: int) -> tuple[float, list[tuple[float, str]]]:
    """Seconds until the page can be searched, and those of each search."""
    sys.path.insert(0, str(Path(__file__).parent.parent))
    from tests.browser import browser

    taken: list[tuple[float, str]] = []
    ready = math.nan
    for chromium in browser():
        window = chromium.new_page()
        begin = time.perf_counter()
        window.goto(page.as_uri())
        window.wait_for_selector("#loading", state="hidden")
        ready = time.perf_counter() - begin
        for _ in range(rounds):
            for query in SEARCHES:
                milliseconds, found = window.evaluate(_TYPED, query)
                assert f" of {int(window.evaluate('document.body.dataset.total')):,} sessions" in found, found
                taken.append((milliseconds / 1e3, query))
    return ready, taken


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, keep."""
    options = parser(__doc__ or "")
    options.add_argument("--count", type=int, help=f"sessions (default {COUNT:,} × scale)")
    chosen = options.parse_args(arguments)
    count = chosen.count or max(1, round(COUNT * chosen.scale))
    with workplace(chosen.work) as work:
        out = work / "catalogue"
        out.mkdir()
        moment = datetime.datetime(2026, 3, 14, tzinfo=datetime.UTC)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        begin = time.perf_counter()
        export(ExportSource(Made(count), moment, node="nmi"), ExportTarget(out, "catalogue"), packages=False)
        written = time.perf_counter() - begin
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
        parts = {
            name: sum(path.stat().st_size for path in out.glob(pattern))
            for name, pattern in (
                ("pictures", "pictures/*"), ("search", "data/search-*"), ("pages", "data/packages-*"), ("page", "*.*"),
            )
        }  # fmt: skip
        ready, taken = searched(out / "index.html", max(3, chosen.rounds))
        document = {"machine": machine.describe(work), "count": count, "bytes": parts, "written": written,
                    "grown": grown, "ready": ready, "searches": taken}  # fmt: skip
    total, seconds = sum(parts.values()), [one for one, _ in taken]
    slowest = max(taken)
    of = ", ".join(f"{name} {size / 1e6:.1f}" for name, size in parts.items())
    lines = [
        (f"bytes of it ({of} MB)", f"{total / 1e6:.1f} MB", f"< {SIZE / 1e6:.0f} MB", total < SIZE),
        ("written in, without reading packages", f"{written:.0f} s", "", None),
        ("memory that grew meanwhile", f"{grown / 1e6:.0f} MB", "", None),
        ("Chromium: until it can be searched", f"{ready:.2f} s", "", None),
        (f"a search until it is painted, median of {len(taken)}", f"{median(seconds) * 1e3:.0f} ms", "", None),
        ("the same, p95", f"{generator.quantile(seconds, 0.95) * 1e3:.0f} ms", "", None),
        (f"the slowest, `{slowest[1]}`", f"{slowest[0] * 1e3:.0f} ms", f"< {SEARCH * 1e3:.0f} ms",
         slowest[0] < SEARCH),
    ]  # fmt: skip
    print(f"| catalogue of {count:,} sessions | measured | aim | met |\n|---|---|---|---|")
    for what, found, aim, met in lines:
        print(f"| {what} | {found} | {aim or '–'} | {'–' if met is None else 'yes' if met else '**no**'} |")
    write(chosen.report, document)
    return 0


if __name__ == "__main__":
    sys.exit(main())
