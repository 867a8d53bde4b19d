"""Faults on purpose, many of them: kill -9 at random moments, single flipped bytes, a sparse file, very many files.

Every part counts what happened and ends with exit code 1 if one promise of the package was broken once:

- a package is visible whole or not at all; the source is unchanged; the next run sweeps what a killed one left;
- a flipped byte anywhere in a package is found, and a flip in the payload is found in its leaf;
- holes stay holes; a hundred thousand files pack in the memory of one.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import machine
import peers
from inputs import MIB, write_small_unknown
from tables import workplace, write

import diadem
from diadem.model.manifest import LEAF_SIZE, TAGMANIFEST
from diadem.testing.faults import flip_byte, remove, writable_copy
from diadem.testing.samples import write_large, write_session

HERE = Path(__file__).resolve().parent
Counts = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Task:
    """Where to work, the seed of everything random, how many times, and the size of the data (1 = full)."""

    work: Path
    seed: int
    count: int
    scale: float


def fingerprint(folder: Path) -> str:
    """SHA-256 over every file's name, bytes and modification time."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            state = f"{path.relative_to(folder).as_posix()} {path.stat().st_mtime_ns}\n"
            digest.update(state.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def visible(store: Path) -> list[Path]:
    """Folders that look like packages: everything at the depth of packages outside `.diadem`."""
    years = [place for place in store.iterdir() if place.name != ".diadem"] if store.exists() else []
    return [package for year in years for package in year.iterdir()]


def stages(store: Path) -> list[Path]:
    """Stages that a killed writer left."""
    folder = store / ".diadem" / "stage"
    return [place for place in folder.iterdir() if place.is_dir()] if folder.exists() else []


#: What a kill must never lead to.
_BROKEN = ("partial", "stages not swept", "second run not whole", "workers left", "source changed")


def kills(task: Task) -> Counts:
    """Kill `diadem pack` at random moments, `count` times, each in a store of its own."""
    source = task.work / "kill-source"
    write_session(source, seed=task.seed)
    write_large(source, max(1, round(64 * task.scale)) * MIB)
    write_small_unknown(source / "frames", max(1, round(300 * task.scale)))
    before, chance = fingerprint(source), random.Random(task.seed)
    usual, payload = _undisturbed(source, task.work / "kill-undisturbed")
    counts: Counter[str] = Counter()
    for number in range(task.count):
        store = task.work / f"kill-store-{number:03d}"
        finished, outliving = _kill_one(source, store, chance.uniform(0, usual * 1.1))
        counts["workers left"] += outliving
        counts[_state(store, payload, finished)] += 1
        left = len(stages(store))
        counts["stages left"] += left
        diadem.pack(source, store)
        counts["stages not swept"] += len(stages(store))
        counts["second run not whole"] += [diadem.verify(bag, level="full").ok for bag in visible(store)] != [True]
        remove(store)
    counts["source changed"] += fingerprint(source) != before
    broken = sum(counts[name] for name in _BROKEN)
    return {"runs": task.count, "seconds undisturbed": round(usual, 3), **counts, "broken": broken}


def _undisturbed(source: Path, store: Path) -> tuple[float, str]:
    """Seconds that packing takes when nobody disturbs it, and the payload id that it gives."""
    run, _ = peers.diadem(store.parent, "cli", "pack", source, store, "--json")
    remove(store)
    payload: str = json.loads(run.output)["package"]["payload_id"]
    return run.wall, payload


def _kill_one(source: Path, store: Path, after: float) -> tuple[bool, int]:
    """Start packing and kill it after some seconds; whether it had finished before, and the workers that outlive it."""
    command = [sys.executable, HERE / "child.py", store.parent / "note.json", "cli", "pack", source, store, "--json"]
    with subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as child:
        try:
            child.wait(after)
        except subprocess.TimeoutExpired:
            child.kill()
        finished = child.wait() == 0
    return finished, _outliving(child.pid)


def _outliving(session: int, patience: float = 10.0) -> int:
    """Processes of a session that still run some seconds after its first one died; 0 where the system does not tell."""
    end = time.monotonic() + patience
    while alive := [stat for stat in map(_process, Path("/proc").glob("[0-9]*/stat")) if stat[1] == session]:
        if time.monotonic() > end:
            return len(alive)
        time.sleep(0.02)
    return 0


def _process(stat: Path) -> tuple[str, int]:
    """State and session of a process (proc_pid_stat(5)); of one that is gone or a zombie, nobody's session."""
    try:
        state, _, _, session = stat.read_text().rpartition(")")[2].split()[:4]
    except (OSError, ValueError):
        return "gone", -1
    return state, -1 if state == "Z" else int(session)


def _state(store: Path, payload: str, finished: bool) -> str:
    """What is visible after a kill: "absent", "complete" or "partial"."""
    bags = visible(store)
    if not bags:
        return "partial" if finished else "absent"
    if len(bags) > 1 or not (bags[0] / TAGMANIFEST).exists():
        return "partial"
    whole = diadem.verify(bags[0], level="full").ok and diadem.open(bags[0]).payload_id == payload
    return "complete" if whole else "partial"


def flips(task: Task) -> Counts:
    """Flip one byte anywhere in a package, `count` times; every file is as likely as every other."""
    source, chance = task.work / "flip-source", random.Random(task.seed)
    write_session(source, seed=task.seed)
    write_large(source, max(2, round(16 * task.scale)) * MIB)
    bag = writable_copy(Path(diadem.pack(source, task.work / "flip-store").url), task.work / "flip-copy")
    files = sorted(path for path in bag.rglob("*") if path.is_file() and path.stat().st_size)
    counts: Counter[str] = Counter({"missed": 0, "wrong place": 0})
    for _ in range(task.count):
        path = chance.choice(files)
        offset, mask = chance.randrange(path.stat().st_size), chance.randrange(1, 256)
        name = path.relative_to(bag).as_posix()
        flip_byte(path, offset, mask=mask)
        report = diadem.verify(bag, level="leaves" if chance.random() < 0.5 else "full")
        flip_byte(path, offset, mask=mask)
        counts["payload" if name.startswith("data/") else "tag file"] += 1
        counts["missed"] += report.ok
        counts["wrong place"] += not _points_at(report, name, offset)
    counts["not whole afterwards"] = not diadem.verify(bag, level="full").ok
    broken = counts["missed"] + counts["wrong place"] + counts["not whole afterwards"]
    return {"flips": task.count, "files": len(files), **counts, "broken": broken}


def _points_at(report: diadem.Report, name: str, offset: int) -> bool:
    """Whether an error names the file, and its leaf where the file has leaves.

    A damaged tag manifest cannot be told from a list of damaged tag files: there any error will do.
    """
    errors = [finding for finding in report.findings if finding.severity == "error"]
    if name == TAGMANIFEST:
        return bool(errors)
    if not name.startswith("data/"):
        return any(finding.path == name for finding in errors)
    return any(finding.path == name and finding.leaf == offset // LEAF_SIZE for finding in errors)


def sparse(task: Task) -> Counts:
    """A file of 16 GiB with 1 MB of data in it: packed, verified, and still small on disk."""
    source = task.work / "sparse-source"
    source.mkdir(exist_ok=True)
    path, size = source / "sparse.dat", round(16 * 2**30 * task.scale)
    data = random.Random(task.seed).randbytes(min(1_000_000, size // 2))
    with path.open("wb") as file:
        file.truncate(size)
        file.seek(size // 3)
        file.write(data)
    run, facts = peers.diadem(task.work, "cli", "pack", source, task.work / "sparse-store", "--json")
    bag = Path(json.loads(run.output)["package"]["path"])
    held = _on_disk(bag / "data" / path.name)
    checked, _ = peers.diadem(task.work, "cli", "verify", bag, "--level", "leaves", "--json", allowed=(0, 1))
    holes = _on_disk(path) is not None and (_on_disk(path) or 0) < size // 2
    swollen = holes and held is not None and held > len(data) + 16 * MIB
    remove(task.work / "sparse-store")
    return {
        "bytes": size,
        "bytes on disk": held,
        "file system has holes": holes,
        "pack seconds": round(run.wall, 2),
        "verify seconds": round(checked.wall, 2),
        "peak bytes": facts["peak"],
        "broken": int(swollen) + (checked.code != 0),
    }


def _on_disk(path: Path) -> int | None:
    """Bytes that a file takes on the disk, where the system tells."""
    blocks = getattr(path.stat(), "st_blocks", None)
    return None if blocks is None else blocks * 512


def many(task: Task) -> Counts:
    """A hundred thousand files of 1 KiB, packed and verified."""
    files = max(1, round(100_000 * task.scale))
    source = task.work / "many-source"
    write_small_unknown(source, files, 1024)
    run, facts = peers.diadem(task.work, "cli", "pack", source, task.work / "many-store", "--json")
    bag = Path(json.loads(run.output)["package"]["path"])
    checked, verifying = peers.diadem(task.work, "cli", "verify", bag, "--level", "full", "--json", allowed=(0, 1))
    listed = len((bag / "manifest-sha256.txt").read_text(encoding="utf-8").splitlines())
    record = (bag / "data" / "diadem-record.json").stat().st_size
    peak = max(facts["peak"] or 0, verifying["peak"] or 0)
    remove(task.work / "many-store")
    return {
        "files": files,
        "pack seconds": round(run.wall, 2),
        "verify seconds": round(checked.wall, 2),
        "record bytes": record,
        "peak bytes": peak,
        "broken": (checked.code != 0) + (listed != files + 3) + (peak >= 250e6),
    }


PARTS: dict[str, Callable[[Task], Counts]] = {
    "kills": kills,
    "flips": flips,
    "sparse": sparse,
    "many": many,
}


def main(arguments: list[str] | None = None) -> int:
    """Do the parts, print the counts, keep them; 1 if a promise was broken."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--parts", default=",".join(PARTS), help=f"which of {', '.join(PARTS)}")
    options.add_argument("--count", type=int, default=200, help="kills and flips (default 200)")
    options.add_argument("--seed", type=int, default=20260314)
    options.add_argument("--scale", type=float, default=1.0, help="size of the data, 1 = full (default)")
    options.add_argument("--work", type=Path, help="folder for the data (default: a temporary one, removed at the end)")
    options.add_argument("--json", type=Path, dest="report", help="also write everything to this file")
    chosen = options.parse_args(arguments)
    found: dict[str, Counts] = {}
    with workplace(chosen.work) as work:
        for part in chosen.parts.split(","):
            found[part] = PARTS[part](Task(work, chosen.seed, chosen.count, chosen.scale))
            print(f"{part}: {json.dumps(found[part])}")
        document = {"machine": machine.describe(work), "seed": chosen.seed, "scale": chosen.scale, "parts": found}
    write(chosen.report, document)
    return int(any(counts["broken"] for counts in found.values()))


if __name__ == "__main__":
    sys.exit(main())
