"""Pictures of large files in `diadem page`, a process of its own: seconds of each, and the most memory that it held.

A stack of frames, one image as large, a 4D scan as large, and one of 30 GB whose file holds little. What is drawn first
pays for what is imported, and is told apart.
"""

from __future__ import annotations

import http.client
import re
import statistics
import struct
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import h5py
import machine
import numpy as np
from inputs import MIB
from tables import parser, workplace, write

import diadem

#: Aims: seconds of a picture, MB of the process.
SECONDS, MEMORY = 1.0, 300
TURNS = 5
#: What is drawn of each file.
LOOKS = {
    "stack.mrc": ("row=3", "row=9&crop=100,100,700,700"),
    "image.mrc": ("", "crop=64,64,768,768"),
    "scan.hspy": ("of=map&size=320", "", "row=3&column=5"),
    "thirty.hspy": ("of=map&size=320", "", "row=200&column=5"),
}


def write_mrc(path: Path, frames: int, side: int, kind: str, mode: int) -> None:
    """Noise as MRC file."""
    header = bytearray(1024)
    struct.pack_into("<4i", header, 0, side, side, frames, mode)
    struct.pack_into("<3i", header, 28, side, side, frames)
    struct.pack_into("<3f", header, 40, 2.0 * side, 2.0 * side, 2.0 * frames)
    struct.pack_into("<3i", header, 64, 1, 2, 3)
    header[208:214] = b"MAP DD"
    draw = np.random.default_rng(1)
    with path.open("wb") as file:
        file.write(header)
        for _ in range(frames * side):
            file.write((100 * draw.random(side)).astype(kind).tobytes())


def write_scan(path: Path, shape: tuple[int, int, int, int], chunks: tuple[int, ...], rows: int) -> None:
    """A 4D scan as HyperSpy keeps it, of which so many rows are written."""
    draw = np.random.default_rng(2)
    with h5py.File(path, "w") as file:
        file.attrs["file_format"], file.attrs["file_format_version"] = "HyperSpy", "3.3"
        scan = file.create_group("Experiments/scan")
        data = scan.create_dataset("data", shape=shape, dtype="u2", chunks=chunks)
        for row in range(0, rows, chunks[0]):
            data[row : row + chunks[0]] = draw.poisson(5, (chunks[0], *shape[1:]))
        for number, (name, unit) in enumerate((("y", "nm"), ("x", "nm"), ("ky", "1/nm"), ("kx", "1/nm"))):
            about = {"name": name, "size": shape[number], "scale": 1.0, "offset": 0.0, "units": unit}
            axis = scan.create_group(f"axis-{number}")
            axis.attrs.update(about | {"navigate": number < 2, "index_in_array": number, "_type": "UniformDataAxis"})
        scan.create_group("metadata/General").attrs["title"] = "4D"
        scan.create_group("metadata/Signal").attrs["signal_type"] = ""
        scan.create_group("original_metadata")


def made(work: Path, scale: float) -> tuple[str, dict[str, str]]:
    """A node with the files, and the ids of their datasets."""
    session = work / "session"
    session.mkdir(parents=True)
    side, rows = max(64, int(4096 * scale**0.5)), max(4, int(128 * scale))
    write_mrc(session / "stack.mrc", 32, side, "<i2", 1)
    write_mrc(session / "image.mrc", 1, 4 * side, "<f4", 2)
    write_scan(session / "scan.hspy", (rows, 128, 128, 256), (4, 8, 32, 32), rows)
    write_scan(session / "thirty.hspy", (256, 256, 512, 448), (16, 16, 64, 64), 0)
    with diadem.Node.create(work / "node", name="bench", user="alice", store=str(work / "store")) as node:
        package = node.archive(session, now=True).package
        return package.id.removeprefix("diadem:"), {dataset.path: dataset.id for dataset in package}


def memory(process: subprocess.Popen[str]) -> int | None:
    """The most that a process has held, in MB, where the system tells it."""
    told = Path(f"/proc/{process.pid}/status")
    found = re.search(r"VmHWM:\s+(\d+)", told.read_text()) if told.exists() else None
    return int(found[1]) >> 10 if found else None


class Browser:
    """Asks a page as a browser does that was let in."""

    def __init__(self, address: str) -> None:
        where = urlsplit(address)
        self._line = http.client.HTTPConnection(where.hostname or "", where.port or 0, timeout=600)
        self._cookie = ""
        self._cookie = (self.ask(f"{where.path}?{where.query}").getheader("set-cookie") or "").partition(";")[0]

    def ask(self, path: str, status: int = 200) -> http.client.HTTPResponse:
        """An answer, read whole."""
        self._line.request("GET", path, headers={"Cookie": self._cookie})
        answer = self._line.getresponse()
        answer.read()
        if answer.status != status:
            raise RuntimeError(f"{path}: {answer.status}")
        return answer

    def seconds(self, path: str) -> float:
        """How long an answer takes."""
        start = time.perf_counter()
        self.ask(path)
        return time.perf_counter() - start


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, keep."""
    chosen = parser(__doc__).parse_args(arguments)
    with workplace(chosen.work) as work:
        package, ids = made(work, chosen.scale)
        command = [sys.executable, "-m", "diadem", "page", str(work / "node"), "--no-browser"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                line = process.stdout.readline()
                browser = Browser(line[line.index("http://") :].strip())
                first = browser.seconds(f"/drawing/{package}/{ids['stack.mrc']}?row=0")
                rows = []
                for name, looks in LOOKS.items():
                    for look in looks:
                        # another gamma is drawn anew, another place or size is read anew
                        turns = [
                            browser.seconds(f"/drawing/{package}/{ids[name]}?{look}&size={700 + turn}")
                            for turn in range(TURNS)
                        ]
                        rows.append({"file": name, "look": look, "seconds": turns, "memory": memory(process)})
            finally:
                process.terminate()
        document = {
            "machine": machine.describe(work),
            "scale": chosen.scale,
            "mib": (work / "session" / "image.mrc").stat().st_size / MIB,
            "first": first,
            "pictures": rows,
        }
    print("| what | median s | slowest s | MB of the page until then | aim |\n|---|---|---|---|---|")
    print(f"| the first picture, imports included | {first:.2f} | – | – | – |")
    for row in rows:
        middle, slowest = statistics.median(row["seconds"]), max(row["seconds"])
        met = "met" if middle < SECONDS and (row["memory"] or 0) < MEMORY else "missed"
        what = f"{row['file']} {row['look'] or 'as usual'}"
        print(f"| {what} | {middle:.2f} | {slowest:.2f} | {row['memory']} | < {SECONDS:g} s, < {MEMORY} MB: {met} |")
    write(chosen.report, document)
    return 0


if __name__ == "__main__":
    sys.exit(main())
