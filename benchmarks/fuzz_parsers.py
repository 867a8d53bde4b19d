"""What strangers wrote, changed by chance, given to everything of DIADEM that parses it outside of a worker.

Heads and archives of instrument files, tag files of packages and of foreign bags, records, blocks of vendor metadata
and their parsed trees, plans and tables that people edit, pictures that workers draw. Samples are made by DIADEM's own
verbs; heads of real files are added where `../shared/data` is there.

Ends with 1 where anything but an error of DIADEM's own was raised, an input took more than ten seconds, or the memory
rose above 300 MB; each such input is kept. A parser that kills the process is told by its exit code.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import hashlib
import io
import json
import random
import resource
import shutil
import sys
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import machine
from tables import workplace, write

import diadem
from diadem.errors import DiademError, ReaderError
from diadem.extract.extraction import encoded
from diadem.extract.refusals import Walk, look_through
from diadem.extract.sandbox import peak_memory
from diadem.extract.survey import HEAD_SIZE, rank, survey
from diadem.hooks.manager import collect
from diadem.node.watch.plan import read_watch_plan
from diadem.package.zips import member
from diadem.scan.plan import read_plan
from diadem.scan.tables import read_table
from diadem.serialization import typed_json
from diadem.serialization.record_json import read_record
from diadem.testing.faults import make_writable
from diadem.testing.samples import write_session

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
#: Bytes of a real file that are taken, and of one input.
TAKEN, LARGEST = 64 << 10, 1 << 20
#: Seconds that one input may take, and bytes of memory that all may.
SLOW, MEMORY = 10.0, 300_000_000
#: What turns a parser's head.
TOKENS = (
    b"-" * 4000, b"[" * 5000, b"{" * 5000, b'{"@np":{"dtype":"V60000","data":""}}',
    b'{"@nd":{"dtype":"O","shape":[1]}}', b"9" * 5000, b"\xff" * 8, bytes(8), b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\x7f", b"\x80", b"%0A", b"../", b"\xed\xa0\x80", b"\r\n", b"\t", b'"', b"''", b"&#0;", b"1e999",
    b"NaN", b"-1", b"PK\x05\x06", b"PK\x01\x02", b"\x89HDF\r\n\x1a\n", "e\u0301".encode(), b"\x1b[2J",
    b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"XFD1048576", b"0001-01-01T00:00:00Z",
)  # fmt: skip


#: Samples of formats of which there is no file.
BARE = (b"II*\0", b"\x93NUMPY\x01\0\x40\0{'descr': '<f8', 'shape': (3, 4), }", b"PK\x03\x04")


@dataclass(frozen=True, slots=True)
class Target:
    """One parser: what it is given, and how."""

    samples: Sequence[bytes]
    parse: Callable[[bytes], object]


@dataclass
class Found:
    """What happened."""

    rounds: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    faults: dict[str, str] = field(default_factory=dict)
    slowest: float = 0.0


# -- inputs --------------------------------------------------------------------------------------------------------


def changed(data: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    """An input: a sample with a few changes."""
    new = bytearray(data[:LARGEST])
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        at = chance.randrange(len(new) + 1)
        if chance.random() < 0.3:  # headers lie at the beginning
            at = min(at, chance.randrange(512))
        length = chance.choice((1, 1, 2, 4, 8, 64, 1024))
        match chance.randrange(9):
            case 0:
                new[at : at + length] = chance.randbytes(length)
            case 1:
                new[at : at + 1] = bytes([(new[at] if at < len(new) else 0) ^ (1 << chance.randrange(8))])
            case 2:
                new[at:at] = chance.choice(TOKENS)
            case 3:
                token = chance.choice(TOKENS)
                new[at : at + len(token)] = token
            case 4:
                del new[at : at + length]
            case 5:
                del new[at:]
            case 6:
                new[at:at] = new[at : at + length] * chance.choice((1, 2, 100, 1000))
            case 7:
                other = chance.choice(others)
                start = chance.randrange(len(other) + 1)
                new[at : at + length] = other[start : start + 16 * length]
            case _:
                number = chance.choice((0, 1, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1))
                width = chance.choice((1, 2, 4, 8))
                order = chance.choice(("little", "big"))
                new[at : at + width] = (number & ((1 << 8 * width) - 1)).to_bytes(width, order)
        del new[LARGEST:]
    return bytes(new)


def changed_inside(data: bytes, chance: random.Random) -> bytes:
    """An archive with one member changed, and packed again: else a checksum keeps every change from its parser."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = chance.choice(sorted(members))
    members[name] = changed(members[name], list(members.values()), chance)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in members.items():
            archive.writestr(path, content)
    return stream.getvalue()


# -- parsers -------------------------------------------------------------------------------------------------------


def heads(work: Path, files: Sequence[Path]) -> Iterator[tuple[str, Target]]:
    """Pre-flight of each kind of instrument file, as archiving and watching do it."""
    readers = collect().readers
    by_suffix: dict[str, list[bytes]] = {}
    for path in files:
        with path.open("rb") as stream:
            by_suffix.setdefault(path.suffix.lower(), []).append(stream.read(TAKEN))
    for suffix in {one for reader in readers for one in reader.suffixes} | {".prz"}:
        by_suffix.setdefault(
            suffix, [b"II*\0", b"\x93NUMPY\x01\0\x40\0{'descr': '<f8', 'shape': (3, 4), }", b"PK\x03\x04"]
        )
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("data.npy", b"d" * 100)
    for suffix in (".prz", ".zspy"):
        by_suffix[suffix].append(stream.getvalue())
    for suffix, samples in sorted(by_suffix.items()):
        path = work / f"head{suffix}"

        def parse(data: bytes, path: Path = path) -> object:
            path.write_bytes(data)
            (plan,) = survey([(path.name, len(data))], readers)
            head = data[:HEAD_SIZE]
            names = rank(plan, head, readers)[0]
            try:
                return look_through(Walk(), path.parent, path.name, [path.name], names, {})
            except Exception as error:
                if traceback.extract_tb(error.__traceback__)[-1].filename.startswith("h5py"):
                    raise ReaderError(str(error)) from error  # the library's own, which its caller takes
                raise

        yield f"head {suffix}", Target(samples, parse)


def tag_files(work: Path, package: diadem.Package) -> Iterator[tuple[str, Target]]:
    """Each tag file of a package, and of a bag that is no package."""
    own, foreign = work / "package", work / "bag"
    shutil.copytree(package.url, own)
    make_writable(own)
    for place in (own, foreign):
        if place == foreign:
            (foreign / "data").mkdir(parents=True)
            (foreign / "data" / "a.txt").write_bytes(b"a")
            digest = hashlib.sha256(b"a").hexdigest()
            (foreign / "bagit.txt").write_text("BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")
            (foreign / "bag-info.txt").write_text("Payload-Oxum: 1.1\nContact: x\n y\n")
            (foreign / "manifest-sha256.txt").write_text(f"{digest}  data/a.txt\n")
            (foreign / "tagmanifest-sha256.txt").write_text(f"{digest}  manifest-sha256.txt\n")
            (foreign / "fetch.txt").write_text("https://x/ 1 data/b.txt\n")
        tags = [
            path
            for path in place.rglob("*")
            if path.is_file() and path.parent.name != "data" and place / "data" not in path.parents
        ]
        for tag in sorted(tags):
            whole = tag.read_bytes()

            def parse(data: bytes, place: Path = place, tag: Path = tag, whole: bytes = whole) -> object:
                tag.write_bytes(data)
                try:
                    report = diadem.verify(place, level="quick" if place.name == "package" else "full")
                    report.to_dict()
                    return diadem.open(place).record if place.name == "package" else report
                finally:
                    tag.write_bytes(whole)

            yield f"{place.name} {tag.relative_to(place).as_posix()}", Target([whole], parse)


def documents(package: diadem.Package) -> Iterator[tuple[str, Target]]:
    """Records, vendor metadata, and what a worker draws and answers."""
    record = package.read_derived("data/diadem-record.json")
    archive = (Path(package.url) / "diadem" / "vendor.zip").read_bytes()
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        names = opened.namelist()
        blocks = [opened.read(name) for name in names]
    trees = [block for block in blocks if block[:1] == b"{"] or [b"{}"]
    trees += [b'{"@time":"2026-03-14T00:00:00"}', b'{"@complex":[1,2]}', b'{"@map":[[1,2]]}', b'{"@bytes":"AA=="}',
              b'{"@nd":{"dtype":[["a","<f8"]],"shape":[1],"data":"AAAAAAAAAAA="}}'] * 2  # fmt: skip

    def parse_record(data: bytes) -> object:
        found = read_record(data)
        found.to_dict()
        return [(dataset.path, dataset.fields, dataset.issues) for dataset in found.datasets]

    def parse_member(data: bytes) -> object:
        for name in names[:3]:
            try:
                member(data, name)
            except (KeyError, ValueError):  # as its caller takes them
                continue
        return None

    def parse_picture(data: bytes) -> object:
        try:
            return encoded(json.loads(data))
        except (ValueError, RecursionError):  # as its caller takes them
            return None

    yield "record", Target([record], parse_record)
    yield "vendor.zip", Target([archive], parse_member)
    yield "vendor tree", Target(trees, typed_json.decode)
    said = {"rows": 3, "columns": 4, "colours": 1, "pixels": "AAECAwQFBgcICQoL"}
    yield "picture", Target([json.dumps(said).encode()], parse_picture)


def sheets(work: Path, session: Path) -> Iterator[tuple[str, Target]]:
    """Plans and tables, as text and as workbooks."""
    scan = diadem.scan(session)
    for suffix in ("csv", "xlsx"):
        plan, table = work / f"plan.{suffix}", work / f"table.{suffix}"
        scan.save_plan(plan)
        samples = [plan.read_bytes()]

        def parse_plan(data: bytes, plan: Path = plan) -> object:
            plan.write_bytes(data)
            return read_plan(plan)

        def parse_table(data: bytes, table: Path = table) -> object:
            table.write_bytes(data)
            return read_table(table, ("folder", "archive"), sheet="sessions", needed=["folder"], make="diadem scan")

        yield f"plan.{suffix}", Target(samples, parse_plan)
        yield f"table.{suffix}", Target(samples, parse_table)

    def parse_watch_plan(data: bytes) -> object:
        path = work / "watch.csv"
        path.write_bytes(data)
        return read_watch_plan(path)

    yield "watch plan", Target([b"folder,archive,wait,set\n/a/b,yes,10 min,x=y\n/a/c,no,,\n"], parse_watch_plan)


# -- the run -------------------------------------------------------------------------------------------------------


def targets(work: Path) -> dict[str, Target]:
    """All parsers with their samples."""
    session = work / "session"
    write_session(session)
    package = diadem.pack(session, work / "store")
    files = [path for path in session.rglob("*") if path.is_file() and ".zspy" not in str(path)]
    files += sorted(path for path in SHARED.rglob("*") if path.is_file() and path.stat().st_size < 4 << 20)
    scratch = work / "scratch"
    scratch.mkdir()
    return {
        name: target
        for part in (
            heads(scratch, files),
            tag_files(scratch, package),
            documents(package),
            sheets(scratch, session),
        )
        for name, target in part
    }


def once(name: str, target: Target, chance: random.Random, found: Found, kept: Path) -> None:
    """Give a parser one input."""
    sample = chance.choice(target.samples)
    inside = chance.random() < 0.7 and zipfile.is_zipfile(io.BytesIO(sample))
    data = changed_inside(sample, chance) if inside else changed(sample, target.samples, chance)
    found.rounds[name] += 1
    started = time.monotonic()
    before = peak_memory()
    fault = ""
    try:
        target.parse(data)
    except DiademError:
        found.refused[name] += 1
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        fault = f"{name}: {type(error).__name__} at {Path(last.filename).name}:{last.lineno}: {str(error)[:200]}"
    seconds = time.monotonic() - started
    found.slowest = max(found.slowest, seconds)
    if seconds > SLOW:
        fault = f"{name}: took {seconds:.0f} s"
    if before < MEMORY <= (after := peak_memory()):
        fault = f"{name}: {after / 1e6:.0f} MB of memory"
    key = fault.rpartition(": ")[0] if fault else ""
    if key and key not in found.faults:
        found.faults[key] = fault
        kept.mkdir(parents=True, exist_ok=True)
        (kept / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
        print(f"FAULT {fault}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Give each parser in turn an input, until the time is over; 1 if one did what it must not."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=60.0, help="how long (default 60)")
    options.add_argument("--seed", type=int, default=20260314)
    options.add_argument("--only", default="", help="parsers whose name begins so")
    options.add_argument("--kept", type=Path, default=Path("fuzz-kept"), help="where inputs of faults are kept")
    options.add_argument("--work", type=Path, help="folder for the data (default: a temporary one, removed at the end)")
    options.add_argument("--json", type=Path, dest="report", help="also write everything to this file")
    chosen = options.parse_args(arguments)
    chance, found = random.Random(chosen.seed), Found()
    with workplace(chosen.work) as work:
        chosen_targets = {name: one for name, one in targets(work).items() if name.startswith(chosen.only)}
        if hasattr(resource, "RLIMIT_AS"):  # what asks for it all fails, and takes nothing else with it
            resource.setrlimit(resource.RLIMIT_AS, (4 << 30, resource.getrlimit(resource.RLIMIT_AS)[1]))
        gc.collect()
        with contextlib.suppress(OSError):  # Linux: the most from now on, without what making the samples took
            Path("/proc/self/clear_refs").write_text("5", "ascii")
        until = time.monotonic() + chosen.seconds
        while time.monotonic() < until:
            for name, target in chosen_targets.items():
                once(name, target, chance, found, chosen.kept)
                if time.monotonic() >= until:
                    break
        peak = peak_memory()
        counts: dict[str, Any] = {
            "rounds": sum(found.rounds.values()),
            "refused": sum(found.refused.values()),
            "faults": list(found.faults.values()),
            "slowest seconds": round(found.slowest, 2),
            "peak bytes": peak,
        }
        print(json.dumps(counts, indent=1))
        document = {"machine": machine.describe(work), "seed": chosen.seed, "by parser": dict(found.rounds), **counts}
    write(chosen.report, document)
    return int(bool(found.faults) or peak > MEMORY)


if __name__ == "__main__":
    sys.exit(main())
