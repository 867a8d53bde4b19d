"""The worker process: jobs as JSON lines in, results as JSON lines out, one dataset at a time.

Started by `diadem.extract.parent` as ``python -m diadem.extract.worker``. It ends when its input ends, so that it does
not outlive its parent, whatever a reader is doing; and when it is sent to rest and nobody asks it any more.

Where Linux can close files to a process (`diadem.extract.confinement`), this one never opens a file of the data. It
imports what readers need, and divides: for each folder of data a child that can read that folder and no other.
"""

from __future__ import annotations

import base64
import contextlib
import gc
import importlib
import json
import logging
import os
import queue
import re
import select
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Never

from diadem.errors import line_of
from diadem.extract import confinement, sandbox
from diadem.extract.extraction import LARGE_MODULES, MAX_ANSWER
from diadem.model.vendor import TREE

#: Jobs between two collections of cycles, which hold files open, among everything.
_COLLECT_EVERY = 32
#: What readers import late, and takes long: of these a child tells by number which it has.
_OFTEN = ("dask.array", "distributed", "hdf5plugin", "tifffile")
#: Modules of readers, blocks and pictures in a job, but for those of foreign plugins.
_OURS = re.compile(rb'"((?:diadem|rsciio)\.[\w.]+):\w+"')


def main() -> None:
    """Take the limits, then answer jobs until the input ends."""
    network = confinement.cut_network()
    source, sink = _take_pipes()
    settings = json.loads(source.readline() or b"{}")
    foreign = settings.get("packages", {})
    sandbox.install(foreign)
    code = sandbox.readable(foreign)
    guard = sandbox.Guard(sandbox.scratch_folder(), code)
    limited = sandbox.limit_resources(int(settings.get("memory", 4 << 30)))
    sandbox.forbid_pickled_codecs()
    logging.disable(logging.CRITICAL)
    jobs: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    landlock = confinement.landlock_version()
    if not landlock:
        threading.Thread(target=_listen, args=(source, jobs, guard), daemon=True).start()
    sandbox.import_freely(guard, LARGE_MODULES)
    _import(settings.get("modules", ()))
    gc.freeze()
    with contextlib.suppress(OSError):  # the parent is gone: its end of the other pipe says so, too
        _say(sink, {"ready": True, "network": network, "limited": limited})
    if landlock:
        _divide(source, partial(_confined, sink, guard, code, landlock), guard)
    guard.install()
    _work(jobs, sink, guard, {"files": False, "calls": confinement.limit_calls()})


def _work(
    jobs: queue.SimpleQueue[bytes],
    sink: BinaryIO,
    guard: sandbox.Guard,
    enforced: Mapping[str, bool],
    imported: Callable[[int], object] = lambda _: None,
) -> Never:
    """Answer jobs, and say with each what the system enforces."""
    done, patience = 0, None
    untold = {name: number for number, name in enumerate(_OFTEN) if name not in sys.modules}
    while True:
        try:
            job = json.loads(jobs.get(timeout=patience))
        except queue.Empty:
            sandbox.remove_scratch(guard)
            os._exit(0)
        patience = job.get("rest") or None
        if "rest" in job:
            _let_go()
            continue
        _say(sink, {**_answer(job, guard, partial(_tell, sink)), "enforced": enforced})
        for name in [name for name in untold if name in sys.modules]:
            imported(untold.pop(name))
        done += 1
        if done % _COLLECT_EVERY == 0:
            gc.unfreeze()
            _collect()


# -- a child for each folder ---------------------------------------------------------------------------------------


def _divide(source: BinaryIO, work: Callable[[int, int, str], Never], guard: sandbox.Guard) -> Never:
    """Pass jobs on to a child that can read their folder; end with it, as it ended, or with the input.

    Of what a child says nothing comes back here but numbers of modules: it may be taken over by what it reads.
    """
    child, root, pending = _Child(), "", b""
    often: set[str] = set()
    patience: float | None = None
    while True:
        waited, _, _ = select.select([source.fileno(), *child.living], [], [], patience)
        if not waited:  # it has rested for long enough
            break
        if child.living and child.living[0] in waited:
            numbers = os.read(child.living[0], len(_OFTEN))
            if not numbers:
                child.end_alike()
            often.update(_OFTEN[number] for number in numbers if number < len(_OFTEN))
        if source.fileno() not in waited:
            continue
        said = source.read1(1 << 16)  # type: ignore[attr-defined]
        if not said:
            break
        *lines, pending = (pending + said).split(b"\n")
        for line in lines:
            job = json.loads(line)
            if job.get("root", root) != root:
                child.end()
                if root:  # one folder follows another: what each child would import is imported once
                    _import([*often, *(name.decode() for name in _OURS.findall(line))])
                gc.freeze()  # a child that looked for cycles among all of it would copy all of it
                root = job["root"]
                child = _Child.started(work, root, source)
            patience = job.get("rest")
            if patience is None:
                child.tell(line + b"\n")
            else:
                child.tell(b'{"rest": 0}\n')  # it ends with this process
                _import([*often])  # nobody waits: so it is there for the readers of the next folder
    child.end()
    sandbox.remove_scratch(guard)
    os._exit(0)


class _Child:
    """A process that does the jobs of one folder; at first there is none."""

    def __init__(self, process: int = 0, jobs: int = -1, living: int = -1) -> None:
        self._process = process
        self._jobs = jobs
        self.living = [living] if process else []

    @classmethod
    def started(cls, work: Callable[[int, int, str], Never], root: str, source: BinaryIO) -> _Child:
        """Fork; the child never returns from here."""
        (jobs, tell), (living, lives) = os.pipe(), os.pipe()
        process = os.fork()
        if not process:
            confinement.die_with_parent()
            for other in (tell, living, source.fileno()):
                os.close(other)
            work(jobs, lives, root)
        os.close(jobs)
        os.close(lives)  # the child's end alone is left: it closes when the child is gone, however it went
        return cls(process, tell, living)

    def tell(self, line: bytes) -> None:
        """Pass a line on; one that is gone is noticed elsewhere."""
        with contextlib.suppress(OSError):
            while self._process and line:
                line = line[os.write(self._jobs, line) :]

    def end(self) -> None:
        """Kill it."""
        if self._process:
            os.kill(self._process, signal.SIGKILL)
            self._wait()

    def end_alike(self) -> Never:
        """End this process as the child has ended: the parent tells from it what happened."""
        code = os.waitstatus_to_exitcode(self._wait())
        if code < 0:
            with contextlib.suppress(OSError):  # some signals always do what they do
                signal.signal(-code, signal.SIG_DFL)
            os.kill(os.getpid(), -code)
        os._exit(code)

    def _wait(self) -> int:
        for pipe in (self._jobs, *self.living):
            os.close(pipe)
        return os.waitpid(self._process, 0)[1]


def _confined(
    sink: BinaryIO, guard: sandbox.Guard, code: Sequence[str], landlock: int, jobs: int, lives: int, root: str
) -> Never:
    """What a child does: give up what it does not need, and work."""
    files = confinement.limit_files([root, *sandbox.own_places(), *code], sandbox.scratch_folder(), landlock)
    guard.install()
    enforced = {"files": files, "calls": confinement.limit_calls()}
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(os.fdopen(jobs, "rb"), lines), daemon=True).start()
    _work(lines, sink, guard, enforced, lambda number: os.write(lives, bytes([number])))


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


def _listen(source: BinaryIO, jobs: queue.SimpleQueue[bytes], guard: sandbox.Guard | None = None) -> None:
    """Pass jobs on; the end of the input ends the process, also in the middle of a job."""
    for line in source:
        jobs.put(line)
    if guard is not None:
        sandbox.remove_scratch(guard)
    os._exit(0)


def _import(modules: Sequence[str]) -> None:
    """Import what nearly every job needs, while the parent still copies files."""
    for name in modules:
        try:
            importlib.import_module(name)
        except Exception as error:  # whoever needs it meets the same, and is told
            logging.getLogger(__name__).debug("%s: %r", name, error)


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
        result = {"failed": f"{type(error).__name__}: {line_of(error)}"}
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
