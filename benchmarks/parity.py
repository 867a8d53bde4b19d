"""Parity against SHA-256 of the same bytes, and a tenth of a package lost in one place and made again.

Speeds are those of the calls alone on one core, everything in the page cache: `build` computes the parity file and
proves every leaf on the way; `make_parity` also writes it and waits for the disk. The peer reads the same files with
`hashlib`, one thread, one pass.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import machine
import peers
from inputs import INPUTS, described, make
from tables import Row, compare, keep, markdown, parser, workplace
from timing import Contender, Run, Series, interleave, run

from diadem.testing.faults import zero_block

#: Aims: bytes a second of one core; bytes of resident memory; bytes of parity over bytes of payload.
SPEED, MEMORY, OVERHEAD = 1e9, 250e6, (0.10, 0.12)
#: Largest loss in one place that is repaired in each 1.25 GiB.
BURST = 128 << 20


def packed(name: str, work: Path, scale: float) -> tuple[Path, int, int]:
    """A package of a set of files, made if it is not there: its folder, the payload's bytes, its number of files."""
    source, size, files = make(name, work, scale)
    done, _ = peers.diadem(work, "cli", "pack", source, work / f"parity-{name}-{scale:g}", "--json")
    return Path(json.loads(done.output)["package"]["path"]), size, files


def alone(work: Path, verb: str, bag: Path) -> tuple[Run, dict[str, Any]]:
    """One call in a process of its own: seconds and CPU seconds of the call, peak memory of the process."""
    note = work / "parity-note.json"
    done = run([sys.executable, Path(__file__), "--child", note, verb, bag])
    facts: dict[str, Any] = json.loads(note.read_text())
    return replace(done, wall=facts["seconds"], cpu=facts["cpu"]), facts


def measure(name: str, work: Path, scale: float, rounds: int) -> tuple[list[Row], dict[str, Series], dict[str, Any]]:
    """All contenders on one package; rows, runs, and what else is worth keeping."""
    bag, size, files = packed(name, work, scale)
    notes: dict[str, dict[str, Any]] = {}

    def contender(title: str, verb: str) -> Contender:
        def work_once() -> Run:
            done, notes[verb] = alone(work, verb, bag)
            return done

        return Contender(title, work_once)

    verbs = [("sha256, one thread", "sha256"), ("parity computed", "build"), ("parity written", "write")]
    alone(work, "sha256", bag)  # the first read warms the cache, for nobody's account
    series = interleave([contender(*one) for one in verbs], rounds)
    loss = repair(bag, size, work)
    stream = notes["build"]["stream"]
    more = {"stream": stream, "overhead": notes["write"]["bytes"] / stream, "peaks": _peaks(notes, loss), **loss}
    title = described(name, scale, size, files)
    return _rows(title, series, stream, max(more["peaks"].values())), series, more


def _peaks(notes: dict[str, dict[str, Any]], loss: dict[str, Any]) -> dict[str, int]:
    return {verb: note["peak"] or 0 for verb, note in notes.items() if verb != "sha256"} | {"repair": loss["peak"] or 0}


def _rows(title: str, series: dict[str, Series], size: int, peak: int) -> list[Row]:
    return [
        compare(
            f"{what}, {title}", series[what], [series["sha256, one thread"]],
            size=size, aim="reported", limit=None, inverse=True, peak=peak,
        )
        for what in ("parity computed", "parity written")
    ]  # fmt: skip


def repair(bag: Path, size: int, work: Path) -> dict[str, Any]:
    """Lose a tenth of the first 1.25 GiB in one place, unaligned, and mend it from parity alone."""
    file = max((path for path in (bag / "data").rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    good = _sha256(file)
    whole = file.stat().st_size
    lost = min(BURST, size // 10, whole)
    start = random.Random(size).randrange(whole - lost + 1)
    zero_block(file, start, lost)
    _, facts = alone(work, "repair", bag)
    again = _sha256(file) == good and facts["complete"]
    return {"lost": lost, "identical": again, "repair_seconds": facts["seconds"], "peak": facts["peak"]}


def _sha256(file: Path) -> str:
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


# -- in a process of its own -------------------------------------------------------------------------------------------


def child(note: str, verb: str, bag: str) -> int:
    """Make one call and write down what it took."""
    from diadem.package.examine import open_tag_files
    from diadem.store.bags import LocalBundle

    bundle = LocalBundle(bag)
    facts: dict[str, Any] = {"stream": sum(entry.size for entry in open_tag_files(bundle).manifest)}
    call: Callable[[Path], dict[str, Any]] = {"sha256": _hash, "build": _build, "write": _write, "repair": _repair}[
        verb
    ]
    start, busy = time.perf_counter(), time.process_time()
    facts |= call(Path(bag))
    facts |= {"seconds": time.perf_counter() - start, "cpu": time.process_time() - busy, "peak": machine.peak_memory()}
    Path(note).write_text(json.dumps(facts))
    return 0


def _hash(bag: Path) -> dict[str, Any]:
    for path in sorted((bag / "data").rglob("*")):
        if path.is_file():
            _sha256(path)
    return {}


def _build(bag: Path) -> dict[str, Any]:
    from diadem.package.examine import open_tag_files
    from diadem.package.parity.build import build
    from diadem.store.bags import LocalBundle

    bundle = LocalBundle(bag)
    return {"bytes": sum(len(piece) for piece in build(bundle, open_tag_files(bundle)))}


def _write(bag: Path) -> dict[str, Any]:
    from diadem.node.keep.parity import make_parity
    from diadem.package.examine import open_tag_files
    from diadem.store import open_store

    store, path = bag.parent.parent, f"{bag.parent.name}/{bag.name}"
    opened = open_store(store)
    return {"bytes": make_parity(opened, path, open_tag_files(opened.bundle(path)))}


def _repair(bag: Path) -> dict[str, Any]:
    from diadem.model.report import Level
    from diadem.node.keep.mend import mend
    from diadem.node.keep.parity import parity_of
    from diadem.package.examine import open_tag_files
    from diadem.package.verify import verify
    from diadem.store import open_store

    store, path = open_store(bag.parent.parent), f"{bag.parent.name}/{bag.name}"
    package = open_tag_files(store.bundle(path)).id
    report = verify(store.bundle(path), level=Level.LEAVES, expected_id=package)
    with parity_of(store, package) as parity:
        mended = mend(package, store, path, report, parity=parity)
    return {"complete": mended.complete, "repairs": len(mended.repairs)}


# -- tables ------------------------------------------------------------------------------------------------------------


def told(name: str, scale: float, series: dict[str, Series], more: dict[str, Any]) -> str:
    """What was aimed at, in one line a set."""
    runs = series["parity computed"].runs.values()
    busiest = max(more["stream"] / (one.cpu or one.wall) for one in runs)
    low, high = OVERHEAD
    peak = max(more["peaks"].values())
    verdicts = [
        f"{busiest / 1e9:.2f} GB/s of one core (aim ≥ {SPEED / 1e9:g})",
        f"{100 * more['overhead']:.1f} % of the payload (aim {100 * low:g} to {100 * high:g} %)",
        f"peak {peak / 1e6:.0f} MB (aim < {MEMORY / 1e6:g})",
        f"{more['lost'] / 2**20:.1f} MiB lost in one place and mended in {more['repair_seconds']:.1f} s, "
        + ("byte for byte" if more["identical"] else "**NOT IDENTICAL**"),
    ]
    return f"- {INPUTS[name].title}, scale {scale:g}: " + "; ".join(verdicts)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, keep."""
    options = parser(__doc__)
    options.add_argument("--sets", default="one,many", help=f"which of {', '.join(INPUTS)}")
    chosen = options.parse_args(arguments)
    rows: list[Row] = []
    runs: dict[str, dict[str, Series]] = {}
    facts: dict[str, Any] = {}
    lines = []
    with workplace(chosen.work) as work:
        for name in chosen.sets.split(","):
            found, runs[name], facts[name] = measure(name, work, chosen.scale, chosen.rounds)
            rows += found
            lines.append(told(name, chosen.scale, runs[name], facts[name]))
            print(f"{name}: done", file=sys.stderr)
        keep(chosen.report, work, rows, runs, scale=chosen.scale, parity=facts)
    print(markdown(rows))
    print("\n".join(lines))
    return 0 if all(one["identical"] for one in facts.values()) else 1


if __name__ == "__main__":
    sys.exit(child(*sys.argv[2:]) if sys.argv[1:2] == ["--child"] else main())
