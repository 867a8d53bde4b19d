"""A node with very many packages: is the next archive as fast as the first, and does `status` take less than 2 s?

The packages that fill it are made at the level of catalogue and log (see `catalogue.py`): each has a signed `ingest`
statement in the log and a row in the catalogue, but no bytes lie in the stores. The archives that are timed are real:
a folder with three files, packed, stated, catalogued and copied to a second store.
"""

from __future__ import annotations

import os
import random
import statistics
import sys
import time
from pathlib import Path

import catalogue as generator
import machine
from tables import parser, workplace, write

import diadem
from diadem.model.statements import Draft
from diadem.model.subjects import Subject
from diadem.node.follow.follow import apply
from diadem.node.node import Node

#: Aims: the next archive against the first, and seconds of `Node.status`.
FLAT, STATUS = 1.25, 2.0
COUNT, SAMPLE = 100_000, 40
#: Statements of one batch of the log.
TOGETHER = 1000


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, keep."""
    options = parser(__doc__ or "")
    options.add_argument("--count", type=int, help=f"packages (default {COUNT:,} × scale)")
    chosen = options.parse_args(arguments)
    count = chosen.count or max(1, round(COUNT * chosen.scale))
    sample = max(3, min(SAMPLE, count))
    with workplace(chosen.work) as work:
        os.environ["DIADEM_CONFIG"] = str(work / "config")
        folder = work / f"node-{time.time_ns()}"
        node = diadem.Node.create(folder / "node", name="full", user="alice", store=str(folder / "main"))
        node.stores.add(str(folder / "second"), name="second", place="another disk")
        early = archives(node, folder, "early", sample)
        fill(node, count)
        late = archives(node, folder, "late", sample)
        begin = time.perf_counter()
        status = node.status()
        judged = time.perf_counter() - begin
        begin = time.perf_counter()
        node.close()
        reopened = diadem.open_node(folder / "node")
        opened = time.perf_counter() - begin
        reopened.context.catalogue.close()
        growth = statistics.median(late) / statistics.median(early)
        lines = [
            (f"one more archive, median of {sample} (first ones {statistics.median(early) * 1e3:.0f} ms)",
             f"{statistics.median(late) * 1e3:.0f} ms, {growth:.2f} ×", f"≤ {FLAT} ×", growth <= FLAT),
            ("status of all, two stores", f"{judged:.2f} s", f"< {STATUS:.0f} s", judged < STATUS),
            ("closing (snapshot to two stores) and opening again", f"{opened:.2f} s", "reported", None),
        ]  # fmt: skip
        print(f"| {count:,} packages in log and catalogue | measured | aim | met |\n|---|---|---|---|")
        for what, value, aim, met in lines:
            print(f"| {what} | {value} | {aim} | {'–' if met is None else 'yes' if met else '**no**'} |")
        write(
            chosen.report,
            {
                "machine": machine.describe(work),
                "count": count,
                "early": early,
                "late": late,
                "growth": growth,
                "status": judged,
                "packages": status.totals.packages,
                "reopened": opened,
            },
        )
    return 0


def archives(node: Node, folder: Path, name: str, count: int) -> list[float]:
    """Seconds of each of some real archives."""
    taken = []
    for number in range(count):
        source = folder / f"{name} {number}"
        source.mkdir()
        content = random.Random(f"{name}{number}")
        for file in range(3):
            (source / f"scan {file}.bin").write_bytes(content.randbytes(20_000))
        begin = time.perf_counter()
        node.archive(source, now=True)
        taken.append(time.perf_counter() - begin)
    return taken


def fill(node: Node, count: int) -> None:
    """Put made-up packages into log and catalogue, as archiving would have."""
    context = node.context
    online = context.keys.open("online")
    mirrors, context.ledger.mirrors.stores = context.ledger.mirrors.stores, []
    begin = time.perf_counter()
    for start in range(0, count, TOGETHER):
        entries = [generator.entry(number) for number in range(start, min(start + TOGETHER, count))]
        drafts = [_ingest(one.id, one.payload_id, one.bytes, one.files, one.path) for one in entries]
        stated = context.ledger.append(drafts, [online])
        with context.catalogue.together():
            for one, entry in zip(entries, stated, strict=True):
                context.catalogue.add_package(one)
                apply(context.catalogue, entry)
                context.catalogue.set_replica(one.id, "second", one.path, state="present", written=entry.statement.time)
        print(f"  {start + TOGETHER:,} packages, {time.perf_counter() - begin:.0f} s", file=sys.stderr)
    context.ledger.mirrors.stores = mirrors


def _ingest(package: str, payload: str, size: int, files: int, path: str) -> Draft:
    return Draft(
        "ingest",
        (Subject.package(package),),
        {
            "payload_id": payload,
            "bytes": size,
            "files": files,
            "software": "made up by benchmarks/full_node.py",
            "source": "nowhere",
            "owner": "alice@full",
            "store": "main",
            "path": path,
            "proof": "written",
            "omitted": 0,
        },
    )


if __name__ == "__main__":
    sys.exit(main())
