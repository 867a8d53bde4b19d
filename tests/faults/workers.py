"""Workers in processes of their own, each with a laboratory of its own, and what they tell.

``python -m tests.faults.workers WORK FIRST STEP COUNT [KIND]`` does the cases FIRST, FIRST + STEP, … COUNT of them, and
tells each as one JSON object a line. Which DIADEM it tries is a matter of PYTHONPATH.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Generator
from pathlib import Path
from queue import Queue
from typing import Any

from tests.faults.kinds import run_case
from tests.faults.laboratory import Laboratory

_CHECKOUT = Path(__file__).resolve().parents[2]


def outcomes(
    work: Path, *, first: int, count: int, jobs: int = 1, kind: str = "", code: Path | None = None
) -> Generator[dict[str, Any], None, None]:
    """Do cases with some workers at once, each in a folder of its own; `Outcome.to_dict` of each as it ends.

    A worker that ends by an error is an outcome of its own. `code` is the folder of the packages `diadem` and `tests`
    that are tried; this checkout by default.
    """
    queue: Queue[dict[str, Any] | None] = Queue()
    workers = []
    for number in range(jobs):
        share = len(range(number, count, jobs))
        if share:
            arguments = [str(work / f"worker-{number}"), str(first + number), str(jobs), str(share), kind]
            workers.append(_start(arguments, code, queue))
    try:
        running = len(workers)
        while running:
            told = queue.get()
            running -= told is None
            if told is not None:
                yield told
    finally:
        for process in workers:
            process.kill()
            process.wait()


def _start(arguments: list[str], code: Path | None, queue: Queue[dict[str, Any] | None]) -> subprocess.Popen[str]:
    paths = [str(code or _CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH")])]
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "tests.faults.workers", *arguments],  # not the code of the current folder
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    threading.Thread(target=_listen, args=(process, queue), daemon=True).start()
    return process


def _listen(process: subprocess.Popen[str], queue: Queue[dict[str, Any] | None]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        queue.put(json.loads(line))
    if process.wait() > 0:  # a negative one was killed by us
        problem = f"the worker ended with code {process.returncode}"
        queue.put({"seed": -1, "kind": "worker", "history": [], "problems": [problem], "counts": {}, "seconds": 0.0})
    queue.put(None)


def main(work: str, first: str, step: str, count: str, kind: str = "") -> None:
    """Make the laboratory, do the cases, tell each."""
    laboratory = Laboratory(Path(work))
    laboratory.make()
    for number in range(int(count)):
        outcome = run_case(laboratory, int(first) + number * int(step), kind or None)
        print(json.dumps(outcome.to_dict()), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
