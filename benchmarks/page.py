"""`diadem page` of a node with very many packages: how soon home is there with its pictures, searches, memory.

The page is a process of its own, as a person starts it. The packages are made at the level of the catalogue, as in
`catalogue.py`, but for the newest ones, whose pictures the home page shows: these are archived. Time is counted from
the request to the first byte of the answer; pictures come over six connections at a time, as a browser asks for them.
Beside each stands what the processor has worked for it in the page's process, which other programs do not lengthen.
"""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from urllib.parse import urlencode, urlsplit

import catalogue as generator
import machine
from tables import parser, workplace, write

import diadem
from diadem.testing.samples import write_image_session

#: Aims in seconds: first byte of home, all of its pictures, p95 of searches.
HOME, PICTURES, SEARCH = 0.150, 1.5, 0.100
#: Bytes of memory that the process of the page may take.
MEMORY = 300e6
COUNT, REAL, SEARCHES = 100_000, 12, 84
#: Connections that a browser opens to one place.
_LINES = 6


@dataclass
class Visitor:
    """A browser that was let in, as far as a benchmark needs one, and the process that it asks."""

    origin: str
    process: int
    cookie: str = ""
    spent: float = 0.0

    def ask(self, path: str) -> tuple[float, float, bytes]:
        """Seconds to the first byte and to the last of an answer, and the answer."""
        line = http.client.HTTPConnection(urlsplit(self.origin).netloc, timeout=120)
        before, begin = worked(self.process), time.perf_counter()
        line.request("GET", path, headers={"Cookie": self.cookie, "Accept-Encoding": "gzip"})
        answer = line.getresponse()
        first, self.spent = time.perf_counter() - begin, max(0.0, worked(self.process) - before)
        content = answer.read()
        taken = time.perf_counter() - begin
        if "set-cookie" in answer.headers:
            self.cookie = answer.headers["set-cookie"].partition(";")[0]
        elif answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {content[:500]!r}")
        line.close()
        return first, taken, content


def made(work: Path, count: int) -> Path:
    """A node with packages: the newest are real, the others are in its catalogue only."""
    folder = work / f"node-{count}"
    if (folder / "whole").exists():
        return folder / "node"
    with diadem.Node.create(folder / "node", name="full", user="alice", store=str(folder / "main")) as node:
        node.stores.add(str(folder / "second"), name="second", place="another disk")
        generator.fill(node.context.catalogue, 0, count, stores=("main", "second"))
        for number in range(REAL):
            day = f"2026-06-{number + 1:02d}"
            source = folder / f"{day} S-{number}"
            write_image_session(source, sample=f"S-{number}", date=day, seed=number)
            node.archive(source, now=True)
    (folder / "whole").touch()
    return folder / "node"


@contextmanager
def shown(node: Path) -> Iterator[Visitor]:
    """The page of a node, entered."""
    command = [sys.executable, "-m", "diadem", "page", str(node), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            where, _, entrance = line[line.index("http://") :].strip().partition("/enter")
            visitor = Visitor(where, process.pid)
            visitor.ask("/enter" + entrance)
            yield visitor
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(20)


def worked(process: int) -> float:
    """Seconds of processors that the threads of a process have had."""
    return sum(float(task.read_text().split()[0]) for task in Path(f"/proc/{process}/task").glob("*/schedstat")) / 1e9


def timed(visitor: Visitor, path: str) -> tuple[float, float]:
    """Seconds to the first byte, and those of a processor until then."""
    first, _, _ = visitor.ask(path)
    return first, visitor.spent


def pictures(visitor: Visitor, content: bytes) -> tuple[float, float, int]:
    """Seconds until the pictures of a page are all there, those of a processor, and how many they are."""
    places = [place.replace("&amp;", "&") for place in re.findall(r'<img src="(/picture[^"]*)"', content.decode())]
    begin, before = time.perf_counter(), worked(visitor.process)
    with ThreadPoolExecutor(_LINES) as lines:
        found = list(lines.map(visitor.ask, places))
    assert all(picture.startswith((b"\x89PNG", b"\xff\xd8")) for _, _, picture in found), "an empty picture"
    return time.perf_counter() - begin, worked(visitor.process) - before, len(found)


def peak(process: int) -> float:
    """Bytes that a process has had in memory at most."""
    text = Path(f"/proc/{process}/status").read_text()
    return float(re.search(r"VmHWM:\s+(\d+)", text)[1]) * 1024  # type: ignore[index]


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, keep."""
    options = parser(__doc__ or "")
    options.add_argument("--count", type=int, help=f"packages (default {COUNT:,} × scale)")
    chosen = options.parse_args(arguments)
    count = chosen.count or max(1, round(COUNT * chosen.scale))
    with workplace(chosen.work) as work:
        os.environ["DIADEM_CONFIG"] = str(work / "config")
        with shown(made(work, count)) as visitor:
            first, _, content = visitor.ask("/")
            time.sleep(8)  # the archive is judged at the beginning, in a thread
            gallery, gallery_processor, images = pictures(visitor, content)
            later = [timed(visitor, "/") for _ in range(max(3, chosen.rounds))]
            again, _, _ = pictures(visitor, content)
            searches = [
                (*timed(visitor, f"/search?{urlencode({'q': query})}"), query)
                for _, query in generator.queries(SEARCHES)
            ]
            for path in ("/health", *re.findall(r'href="(/session/[^"]*)"', content.decode())[:3]):
                visitor.ask(path)
            memory = peak(visitor.process)
        document = {"machine": machine.describe(work), "count": count, "first": first, "later": later,
                    "pictures": [gallery, again], "searches": searches, "memory": memory}  # fmt: skip
    seconds, processor = ([one[place] for one in searches] for place in (0, 1))
    home, home_processor = (median(one[place] for one in later) for place in (0, 1))
    p95, slowest = generator.quantile(seconds, 0.95), max(searches)
    lines = [
        ("home, first byte, the first time", first, None, HOME),
        (f"home, first byte, median of {len(later)}", home, home_processor, HOME),
        (f"its {images} pictures, the first time", gallery, gallery_processor, PICTURES),
        ("the same again", again, None, PICTURES),
        (f"a search, first byte, median of {len(searches)}", median(seconds), median(processor), SEARCH),
        (f"the same, p95 (slowest {slowest[0] * 1e3:.0f} ms: `{slowest[-1]}`)", p95,
         generator.quantile(processor, 0.95), SEARCH),
    ]  # fmt: skip
    print(f"| page of {count:,} packages | measured | processor | aim | met |\n|---|---|---|---|---|")
    for what, found, cost, aim in lines:
        spent = "–" if cost is None else f"{cost * 1e3:.0f} ms"
        met = "yes" if found < aim else "**no**"
        print(f"| {what} | {found * 1e3:.0f} ms | {spent} | < {aim * 1e3:.0f} ms | {met} |")
    met = "yes" if memory < MEMORY else "**no**"
    print(f"| most memory of its process | {memory / 1e6:.0f} MB | – | < {MEMORY / 1e6:.0f} MB | {met} |")
    write(chosen.report, document)
    return 0


if __name__ == "__main__":
    sys.exit(main())
