"""The parent's end of one worker process: start, ask, wait no longer than allowed, end."""

from __future__ import annotations

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

from diadem.extract.worker import MAX_ANSWER

#: Seconds that a worker may take to start on a slow disk.
START_SECONDS = 120.0
#: Variables of the environment that a worker may see: where programs and libraries are, nothing of the user's.
_PASSED_ON = (
    *("PATH", "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "CONDA_PREFIX"),
    "DIADEM_PLUGINS",
)
_ERROR_LINES = 20


class WorkerStopped(Exception):
    """A worker that did not answer: `code` and `message` of the issue; `part` is what ran, kind and name."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.part = ("", "")


class WorkerProcess:
    """One worker. Its start is not waited for until the first job.

    Parameters
    ----------
    memory : int
        Bytes of address space, where the system has such a limit.
    modules : sequence of str
        Modules to import before the first job.
    packages : mapping, optional
        Where the code of foreign plugins lies; see `diadem.extract.packages`.
    on_demand : sequence of str
        Large modules that a reader may import; see `diadem.extract.on_demand`.
    """

    def __init__(
        self,
        memory: int,
        modules: Sequence[str] = (),
        packages: Mapping[str, Mapping[str, Any]] | None = None,
        on_demand: Sequence[str] = (),
    ) -> None:
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
        self._answers: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._errors: deque[bytes] = deque(maxlen=_ERROR_LINES)
        for target in (self._listen, self._drain):
            threading.Thread(target=target, daemon=True).start()
        self.about: Mapping[str, Any] | None = None
        self.peak = 0
        settings = {"memory": memory, "modules": list(modules), "on_demand": list(on_demand)}
        self._send({**settings, "packages": dict(packages or {})})

    def ask(self, job: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """Send a job and wait for its answer.

        Parameters
        ----------
        job : mapping
            See `diadem.extract.reading.read_dataset`.
        seconds : float
            Wall time allowed, the worker's start not counted.

        Returns
        -------
        dict
            The worker's answer.

        Raises
        ------
        WorkerStopped
            Too late, dead, or an answer that is none. The worker must not be used again.
        """
        if self.about is None:
            self.about = self._receive(START_SECONDS)
        self._send(job)
        part = ("", "")
        blocks = []
        until = time.monotonic() + seconds
        try:
            while "job" not in (answer := self._receive(max(0.0, until - time.monotonic()))):
                if "part" in answer:
                    part = _part(answer["part"])
                else:
                    blocks.append(_block(answer.get("block")))
        except WorkerStopped as stopped:
            stopped.part = part
            raise
        if answer.get("job") != job["job"]:
            raise WorkerStopped("reader-crashed", "the worker answered something else")
        answer["blocks"] = blocks
        self.peak = answer["peak"] if isinstance(answer.get("peak"), int) else 0
        return answer

    def rest(self) -> None:
        """Have the worker let go of whatever files its readers have left open. Not waited for."""
        self._send({"rest": True})

    def lives(self) -> bool:
        """Whether the process is there and has said nothing that nobody asked."""
        return self._process.poll() is None and (self.about is None or self._answers.empty())

    def end(self) -> None:
        """Kill the process and remove its folder."""
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

    def _receive(self, seconds: float) -> dict[str, Any]:
        """The next answer."""
        try:
            line = self._answers.get(timeout=seconds)
        except queue.Empty:
            raise WorkerStopped("reader-timeout", f"no answer within {seconds:.0f} s; the reader was stopped") from None
        if line is None:
            raise self._death()
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise WorkerStopped("reader-crashed", "the worker's answer cannot be understood")
        return answer

    def _death(self) -> WorkerStopped:
        """Why a worker died, from how."""
        try:
            status = self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:  # it closed its pipe and lives on
            self._process.kill()
            self._process.wait()
            return WorkerStopped("reader-crashed", "the reader closed its connection or said too much")
        if status == -getattr(signal, "SIGXCPU", 0x1000):
            return WorkerStopped("reader-timeout", "the reader used more processor time than a file of this size needs")
        if status < 0:
            return WorkerStopped("reader-crashed", f"the reader ended its process by signal {-status}")
        if self.about is None:
            return WorkerStopped("worker-lost", f"the worker did not start: {self._last_words()}")
        return WorkerStopped("reader-crashed", f"the reader ended its process with status {status}")

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

    def _drain(self) -> None:
        """Keep the error stream flowing, and its last lines."""
        assert self._process.stderr is not None
        with contextlib.suppress(OSError, ValueError):
            while line := self._process.stderr.readline(4096):
                self._errors.append(line)


def _part(said: Any) -> tuple[str, str]:
    """What runs in the worker, as it has said it."""
    if isinstance(said, list) and len(said) == 2:
        return str(said[0]), str(said[1])
    raise WorkerStopped("reader-crashed", "the worker's answer cannot be understood")


def _block(said: Any) -> dict[str, Any]:
    """A block as the worker has said it, its bytes decoded."""
    try:
        return {**said, "data": base64.b64decode(said["data"])}
    except (TypeError, KeyError, ValueError):
        raise WorkerStopped("reader-crashed", "the worker's answer cannot be understood") from None


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
