"""The worker process: jobs as JSON lines in, results as JSON lines out, one dataset at a time.

Started by `diadem.extract.process` as ``python -m diadem.extract.worker``. It ends when its input ends, so that it does
not outlive its parent, whatever a reader is doing.
"""

from __future__ import annotations

import base64
import contextlib
import gc
import json
import logging
import os
import queue
import re
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from diadem.extract import on_demand, packages, sandbox
from diadem.model.vendor import TREE

#: Bytes that one answer may have.
MAX_ANSWER = 8 << 20
#: Jobs between two collections of cycles, which hold files open, among everything.
_COLLECT_EVERY = 32


def main() -> None:
    """Take the limits, then answer jobs until the input ends."""
    network = sandbox.cut_network()
    source, sink = _take_pipes()
    settings = json.loads(source.readline() or b"{}")
    foreign = settings.get("packages", {})
    packages.install(foreign)
    guard = sandbox.Guard(sandbox.scratch_folder(), packages.allowed(foreign))
    limited = sandbox.limit_resources(int(settings.get("memory", 4 << 30)))
    logging.disable(logging.CRITICAL)
    jobs: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(source, jobs, guard), daemon=True).start()
    _import(settings.get("modules", ()))
    on_demand.spare(guard, settings.get("on_demand", ()))
    guard.install()
    gc.freeze()
    _say(sink, {"ready": True, "network": network, "limited": limited, "reader": _reader_version()})
    done = 0
    while True:
        job = json.loads(jobs.get())
        if job.get("rest"):
            _let_go()
            continue
        _say(sink, _answer(job, guard, partial(_tell, sink)))
        done += 1
        if done % _COLLECT_EVERY == 0:
            gc.unfreeze()
            _collect()


def _let_go() -> None:
    """Close what readers have left open; some keep their HDF5 files in a table of their own."""
    _collect()
    if (h5py := sys.modules.get("h5py")) is not None:
        for file in h5py.h5f.get_obj_ids(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE):
            with contextlib.suppress(Exception):
                h5py.File(file).close()


def _collect() -> None:
    """Look for cycles among what has come since the last time; to look at all that libraries bring takes 30 ms.

    What a reader keeps for a while, and lets go in a cycle, waits for the look at everything, or the worker's end.
    """
    gc.collect()
    gc.freeze()


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Keep the two pipes for ourselves: what readers print goes to the error stream, what they read is empty."""
    source = os.fdopen(os.dup(0), "rb")
    sink = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    sys.stdin = Path(os.devnull).open()  # noqa: SIM115 - for as long as the process lives
    sys.stdout = sys.stderr
    return source, sink


def _listen(source: BinaryIO, jobs: queue.SimpleQueue[bytes], guard: sandbox.Guard) -> None:
    """Pass jobs on; the end of the input ends the process, also in the middle of a job."""
    for line in source:
        jobs.put(line)
    sandbox.remove_scratch(guard)
    os._exit(0)


def _import(modules: Any) -> None:
    """Import what nearly every job needs, while the parent still copies files."""
    import importlib

    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError:
            logging.getLogger(__name__).debug("%s is not there", name)


def _reader_version() -> str:
    """RosettaSciIO's name and version."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"rosettasciio {version('rosettasciio')}"
    except PackageNotFoundError:
        return ""


def _tell(sink: BinaryIO, kind: str, name: str) -> None:
    """Say what runs now, so that the parent knows whom to leave out where it never comes back."""
    sink.write(json.dumps({"part": [kind, name]}).encode("ascii") + b"\n")
    sink.flush()


def _answer(job: dict[str, Any], guard: sandbox.Guard, tell: Callable[[str, str], None]) -> dict[str, Any]:
    """The result of one job; an error outside any reader is one of ours, and the parent reports it."""
    from diadem.extract.reading import read_dataset

    guard.enter(Path(job["root"]))
    sandbox.limit_time(float(job["seconds"]))
    try:
        result = read_dataset(job, tell)
    except Exception as error:  # a signal of a form that no reader should return
        result = {"failed": f"{type(error).__name__}: {error}"}
    return {"job": job["job"], "peak": sandbox.peak_memory(), "root": job["root"], **result}


def _say(sink: BinaryIO, answer: dict[str, Any]) -> None:
    """Write blocks and answer, a line each, without paths of this machine; a too long one is cut to its issues."""
    root = answer.pop("root", "")
    places = {root, os.path.realpath(root) if root else "", sandbox.scratch_folder()} - {""}
    for block in answer.pop("blocks", ()):
        data = block["data"]
        if block["media_type"] == TREE:
            for place in places:
                data = _without(data.decode(), place).encode()
        line = {"block": {**block, "data": base64.b64encode(data).decode("ascii")}}
        sink.write(json.dumps(line).encode("ascii") + b"\n")
    text = json.dumps(answer, allow_nan=False, default=str)
    if len(text) > MAX_ANSWER:
        kept = {key: answer.get(key) for key in ("job", "peak", "format", "evidence", "mode")}
        found = {"code": "too-much-metadata", "message": f"the description has {len(text)} bytes; it was left out"}
        text = json.dumps({**kept, "signals": [], "fields": {}, "issues": [found]})
    for place in places:
        text = _without(text, place)
    sink.write(text.encode("ascii") + b"\n")
    sink.flush()


def _without(text: str, place: str) -> str:
    """The JSON text without a folder of this machine. A short one (`/data`) may be a path inside a file: it stays."""
    if len([part for part in re.split(r"[/\\\\]", place) if part]) < 2:
        return text
    spelled = re.escape(json.dumps(place)[1:-1])
    return re.sub(rf"(?<![\w./\\-]){spelled}(?:/|\\\\|(?![\w.-]))", "", text)


if __name__ == "__main__":
    main()
