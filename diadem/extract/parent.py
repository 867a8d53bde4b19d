"""The parent's end of its workers: each is started when needed, lent to one caller at a time, and ended when it hangs,
dies or has grown.

In a notebook one `diadem.extract` follows another, and a start takes a second: so workers whose last job ended well
rest for a while. The next crew of the same kind takes them; whoever changes the environment, the search path or the
plugins is of another kind. A worker that nobody takes ends by itself.
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from diadem.errors import UsageError
from diadem.extract.extraction import COMMON_MODULES, LARGE_MODULES, MAX_ANSWER, Places

#: Seconds that a worker may take to start on a slow disk.
START_SECONDS = 120.0
#: Seconds that a worker rests, and workers that rest at most.
REST, MOST_RESTING = 30.0, 2
#: The part of its rest after which nobody takes it any more: it may be about to end.
_AWAKE = 0.8
#: A worker that has used more memory than this is replaced after its job.
RETIRE_ABOVE = 1 << 30
#: Seconds that a caller waits for one of the workers before another is started, at least and at most; in between it is
#: so many times what a start took, for with the imports of its first datasets a new worker is of use only then.
PATIENCE, MOST_PATIENCE = 2.0, 10.0
_STARTS = 4.0
_A_MOMENT = 0.1
#: Variables of the environment that a worker may see: where programs and libraries are, nothing of the user's.
_PASSED_ON = (
    *("PATH", "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "CONDA_PREFIX"),
    "DIADEM_PLUGINS",
)
_ERROR_LINES = 20
_NONSENSE = "the worker's answer cannot be understood"
#: Bytes that a worker may say of one dataset before its answer: all blocks that are kept have less.
_MOST_HEARD = 256 << 20


class WorkerStopped(Exception):
    """A worker that did not answer: `code` and `message` of the issue; `part` is what ran, kind and name."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.part = ("", "")


class WorkerProcess:
    """One worker. Its start is not waited for until the first job.

    It may use `memory` bytes of address space, where the system has such a limit, finds the code of foreign plugins at
    `packages`, and imports `modules` before the first job.
    """

    def __init__(self, memory: int, packages: Places, modules: Sequence[str]) -> None:
        self._owner = os.getpid()
        self._scratch = Path(tempfile.mkdtemp(prefix="diadem-worker-"))
        empty = self._scratch / "empty"
        empty.mkdir()
        self._since = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-s", "-W", "ignore", "-m", "diadem.extract.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=empty,
            env=environment(self._scratch),
            start_new_session=os.name != "nt",
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        self.seconds_to_start = 0.0
        self._heard = 0
        self._answers: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._errors: deque[bytes] = deque(maxlen=_ERROR_LINES)
        for target in (self._listen, self._drain):
            threading.Thread(target=target, daemon=True).start()
        self.about: Mapping[str, Any] | None = None
        self.peak = 0
        self.rests_since = 0.0
        self._send({"memory": memory, "modules": modules, "packages": packages})

    def ask(self, job: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """Send a job (see `diadem.extract.reading.read_dataset`) and wait for its answer, the start not counted.

        Raises `WorkerStopped` where it is too late, dead, or no answer. The worker must not be used again.
        """
        if self.about is None:
            self.about = self._receive(START_SECONDS)
        self._send(job)
        part = ("", "")
        blocks: list[Any] = []
        until, self._heard = time.monotonic() + seconds, 0
        try:
            while "job" not in (answer := self._receive(max(0.0, until - time.monotonic()), allowed=seconds)):
                try:
                    if "part" in answer:
                        kind, name = answer["part"]
                        part = (str(kind), str(name))
                    else:
                        said = answer["block"]
                        blocks.append({**said, "data": base64.b64decode(said["data"])})
                except (KeyError, TypeError, ValueError):  # it may be taken over by what it reads
                    raise WorkerStopped("reader-crashed", _NONSENSE) from None
        except WorkerStopped as stopped:
            stopped.part = part
            raise
        if answer.get("job") != job["job"]:
            raise WorkerStopped("reader-crashed", "the worker answered something else")
        answer["blocks"] = blocks
        self.peak = answer["peak"] if isinstance(answer.get("peak"), int) else 0
        return answer

    def rest(self) -> None:
        """Have it let go of whatever files its readers have left open, and end after a while. Not waited for."""
        self._send({"rest": REST})
        self.rests_since = time.monotonic()

    def rests(self) -> bool:
        """Whether it is this process's, and there, has said nothing that nobody asked, and will stay a little."""
        late = time.monotonic() - self.rests_since > _AWAKE * REST
        mine = self._owner == os.getpid()
        return mine and not late and self._process.poll() is None and (self.about is None or self._answers.empty())

    def end(self) -> None:
        """Kill the process and remove its folder; a forked child has copies of the pipes, and no right to them."""
        if self._owner != os.getpid():
            return
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _send(self, message: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise WorkerStopped("worker-lost", f"the worker is gone: {self._last_words()}") from error

    def _receive(self, seconds: float, *, allowed: float | None = None) -> dict[str, Any]:
        """The next answer; `allowed` is told where none comes in what is left of it."""
        try:
            line = self._answers.get(timeout=seconds)
        except queue.Empty:
            within = seconds if allowed is None else allowed
            raise WorkerStopped("reader-timeout", f"no answer within {within:.0f} s; the reader was stopped") from None
        if line is None:
            raise self._death()
        self._heard += len(line)
        if self._heard > _MOST_HEARD:
            raise WorkerStopped("reader-crashed", "the worker sent too much; the reader was stopped")
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise WorkerStopped("reader-crashed", _NONSENSE)
        return answer

    def _death(self) -> WorkerStopped:
        """Why a worker died, from how."""
        try:
            status = self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:  # it closed its pipe and lives on
            self._process.kill()
            self._process.wait()
            return WorkerStopped("reader-crashed", "the reader closed its connection or sent too much")
        if status == -getattr(signal, "SIGXCPU", 0x1000):
            return WorkerStopped("reader-timeout", "the reader used more processor time than a file of this size needs")
        if status < 0:
            return WorkerStopped("reader-crashed", f"the reader's process was ended by signal {-status}")
        if self.about is None:
            return WorkerStopped("worker-lost", f"the worker did not start: {self._last_words()}")
        return WorkerStopped("reader-crashed", f"the reader's process ended with status {status}")

    def _last_words(self) -> str:
        """The last line of the error stream, for a worker that does not start."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=1)
        lines = [line.decode("utf-8", "replace").strip() for line in self._errors]
        return next((line for line in reversed(lines) if line), f"status {self._process.poll()}")[:300]

    def _listen(self) -> None:
        """Pass complete lines on; one that is too long ends the connection."""
        assert self._process.stdout is not None
        with contextlib.suppress(OSError, ValueError):
            while line := self._process.stdout.readline(2 * MAX_ANSWER):
                if not line.endswith(b"\n"):
                    break
                self.seconds_to_start = self.seconds_to_start or time.monotonic() - self._since
                self._answers.put(line)
        self._answers.put(None)
        self._process.wait()

    def _drain(self) -> None:
        """Keep the error stream flowing, and its last lines."""
        assert self._process.stderr is not None
        with contextlib.suppress(OSError, ValueError):
            while line := self._process.stderr.readline(4096):
                self._errors.append(line)


class Crew:
    """At most `size` workers, each with `memory` bytes of address space.

    `lasting`: whether they may come from an earlier crew of the same kind, and rest for a later one.
    """

    def __init__(self, size: int, memory: int, packages: Places, *, lasting: bool = False) -> None:
        self.size = max(1, size)
        self._memory = memory
        self._packages = packages
        self._lasting = lasting
        self._idle: list[WorkerProcess] = []
        self._all: set[WorkerProcess] = set()
        self._free = threading.Condition()
        self._starting = 0
        self._closed = False
        self._broken: WorkerStopped | None = None

    def warm(self, workers: int = 1) -> None:
        """Start workers, unless there are so many; their imports, the large ones too, are not waited for."""
        wanted = min(workers, self.size)
        for _ in range(wanted):
            with self._free:
                if self._closed or len(self._all) + self._starting >= wanted:
                    return
                if (rested := self._rested()) is not None:
                    self._idle.append(rested)
                    continue
                self._starting += 1
            self._give_back(self._start((*COMMON_MODULES, *LARGE_MODULES)))

    def ask(self, job: Mapping[str, Any], seconds: float) -> tuple[dict[str, Any], Mapping[str, Any]]:
        """A worker's answer to a job, and what it said of itself at its start.

        One that was lost before it got the job is replaced once. Raises `WorkerStopped` where the job was not done;
        once workers do not start at all, none is tried again. Raises `UsageError` where the crew is closed.
        """
        for attempt in (1, 2):
            if self._broken is not None:
                raise self._broken
            worker = self._take()
            try:
                answer = worker.ask(job, seconds)
            except WorkerStopped as stopped:
                self._drop(worker)
                if stopped.code != "worker-lost":
                    raise
                if attempt == 2:
                    self._broken = stopped if worker.about is None else None
                    raise
                continue
            except BaseException:
                self._drop(worker)
                raise
            if worker.peak > RETIRE_ABOVE:
                self._drop(worker)
            else:
                self._give_back(worker)
            return answer, worker.about or {}
        raise AssertionError("unreachable")

    def release(self) -> None:
        """Go home after work that ended well: idle workers of a lasting crew rest for the next one."""
        with self._free:
            idle = self._idle[:] if self._lasting else []
            self._all.difference_update(idle)
        self.close()
        for worker in idle:
            try:
                worker.rest()
            except WorkerStopped:
                worker.end()
            else:
                with _LOCK:
                    _RESTING.append((self._kind(), worker))
        end_resting(MOST_RESTING)

    def close(self) -> None:
        """End all workers, also busy ones."""
        with self._free:
            self._closed = True
            workers = list(self._all)
            self._idle.clear()
            self._all.clear()
            self._free.notify_all()
        for worker in workers:
            worker.end()

    def _take(self) -> WorkerProcess:
        """A free worker, the next to become free, or a new one where that would take longer."""
        with self._free:
            since = time.monotonic()
            while True:
                if self._closed:
                    raise _closed()
                if self._idle:
                    return self._idle.pop()
                if (rested := self._rested()) is not None:
                    return rested
                there = len(self._all) + self._starting
                slowest = max((worker.seconds_to_start for worker in self._all), default=0.0)
                patience = min(MOST_PATIENCE, max(PATIENCE, _STARTS * slowest))
                if not there or (there < self.size and time.monotonic() - since >= patience):
                    self._starting += 1
                    break
                if self._starting or any(worker.about is None for worker in self._all):
                    since = time.monotonic()
                self._free.wait(_A_MOMENT)
        return self._start(COMMON_MODULES)

    def _kind(self) -> str:
        """What makes two workers alike: limits, plugins, and all that a process sees of its surroundings."""
        return repr((self._memory, self._packages, sorted(environment(Path()).items())))

    def _rested(self) -> WorkerProcess | None:
        """One of this kind that rests, the last first; it costs nothing."""
        if not self._lasting or len(self._all) + self._starting >= self.size:
            return None
        kind = self._kind()
        with _LOCK:
            found = next((one for one in reversed(_RESTING) if one[0] == kind and one[1].rests()), None)
            if found is None:
                return None
            _RESTING.remove(found)
        self._all.add(found[1])
        return found[1]

    def _start(self, modules: Sequence[str]) -> WorkerProcess:
        """Start a process that has been counted in `_starting`."""
        try:
            worker = WorkerProcess(self._memory, self._packages, modules)
        except OSError as error:
            with self._free:
                self._starting -= 1
                self._free.notify()
            raise WorkerStopped("worker-lost", f"no worker can be started: {error.strerror}") from error
        with self._free:
            self._starting -= 1
            if not self._closed:
                self._all.add(worker)
                return worker
        worker.end()
        raise _closed()

    def _give_back(self, worker: WorkerProcess) -> None:
        """Let the next caller have the worker."""
        with self._free:
            if worker in self._all:
                self._idle.append(worker)
                self._free.notify()

    def _drop(self, worker: WorkerProcess) -> None:
        """End a worker; the next caller starts another."""
        worker.end()
        with self._free:
            self._all.discard(worker)
            self._free.notify()


def _closed() -> UsageError:
    """The error of a crew that has gone home."""
    return UsageError("the extractor is closed", next="Make a new one.")


#: Kind and worker of those that rest, the last at the end.
_RESTING: list[tuple[str, WorkerProcess]] = []
_LOCK = threading.Lock()


def end_resting(kept: int = 0) -> None:
    """End workers that rest, but for the last ones, and what is left of those that have ended."""
    with _LOCK:
        awake = [one for one in _RESTING if one[1].rests()]
        staying = awake[len(awake) - min(kept, len(awake)) :]
        ended = [worker for _, worker in _RESTING if all(worker is not other for _, other in staying)]
        _RESTING[:] = staying
    for worker in ended:
        worker.end()


atexit.register(end_resting)


def environment(scratch: Path) -> dict[str, str]:
    """What a worker sees of the environment: UTC, plain locale, private caches, our own search path.

    The current folder is not on it: in a folder of data, a file may be called ``json.py``.
    """
    import diadem

    ours = str(Path(diadem.__file__).resolve().parents[1])
    here = str(Path.cwd())
    places = [place for place in sys.path if place not in ("", here) and Path(place).exists()]
    private = {name: str(scratch) for name in ("HOME", "USERPROFILE", "TMPDIR", "TEMP", "TMP", "XDG_CACHE_HOME")}
    return {
        **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
        **private,
        "DIADEM_SCRATCH": str(scratch),
        "PYTHONPATH": os.pathsep.join(dict.fromkeys([*places, ours])),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        "PYTHONUTF8": "1",
        "TZ": "UTC",
        "LC_ALL": "C.UTF-8",
        "NUMBA_CACHE_DIR": str(scratch),
        "MPLCONFIGDIR": str(scratch),
        "HDF5_PLUGIN_PATH": "",
        "HDF5_USE_FILE_LOCKING": "FALSE",
        **dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    }
