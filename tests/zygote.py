"""Processes without the second that a new interpreter takes: forked from one that has imported everything.

`run` and `start` are `subprocess.run` and `subprocess.Popen` for tests: ``python -m …`` and ``python ….py`` are forked,
from a process that all tests of this one share; any other is started, and all are where nothing can be forked. A forked
command gets a process, a folder, variables and streams of its own, as ``python -m`` gives them to it, and may be killed
as any other. A test that wants to know something of the start itself uses `subprocess`.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import functools
import gc
import importlib
import io
import json
import os
import pkgutil
import random
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn, Self

_ROOT = Path(__file__).resolve().parent.parent
#: Seconds for it to begin; and between two looks at its children.
_BEGINS, _LOOK = 200, 0.01


def run(
    command: Sequence[object],
    *,
    cwd: str | Path | None = None,
    env: Mapping[str, str] | None = None,
    check: bool = False,
    timeout: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; what it prints is kept apart by stream, as UTF-8."""
    with start(command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            output, errors = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    done = subprocess.CompletedProcess([str(word) for word in command], process.returncode or 0, output, errors)
    if check:
        done.check_returncode()
    return done


def start(
    command: Sequence[object],
    *,
    cwd: str | Path | None = None,
    env: Mapping[str, str] | None = None,
    stdout: int | IO[Any] | None = None,
    stderr: int | IO[Any] | None = None,
) -> Process:
    """Start a command; it reads nothing, and its streams are text in UTF-8."""
    words = [str(word) for word in command]
    environment = os.environ if env is None else env
    program = words[2:] if words[1] == "-m" else words[1:] if words[1].endswith(".py") else []
    if not hasattr(os, "fork") or words[0] != sys.executable or not program:
        return subprocess.Popen(
            words, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, encoding="utf-8"
        )
    with contextlib.ExitStack() as stack:
        ours: list[IO[str] | None] = []
        theirs: list[int] = []
        for usual, given in ((1, stdout), (2, stderr)):
            stream = None
            if given == subprocess.PIPE:
                reading, writing = os.pipe()
                stack.callback(os.close, writing)
                stream = open(reading, encoding="utf-8")  # noqa: SIM115
            elif given == subprocess.DEVNULL:
                writing = os.open(os.devnull, os.O_WRONLY)
                stack.callback(os.close, writing)
            elif given == subprocess.STDOUT:
                writing = theirs[0]
            else:
                writing = usual if given is None else given if isinstance(given, int) else given.fileno()
            ours.append(stream)
            theirs.append(writing)
        forked = _shared_zygote().start(
            program[1:], program=program[0], cwd=Path.cwd() if cwd is None else Path(cwd), env=environment,
            stdout=theirs[0], stderr=theirs[1],
        )  # fmt: skip
    forked.stdout, forked.stderr = ours
    return forked


@functools.cache
def _shared_zygote() -> Zygote:
    shared = Zygote(lambda *words: words)
    atexit.register(shared.close)
    return shared


class Forked:
    """A command under way: as `subprocess.Popen`, as far as tests need it."""

    def __init__(self, connection: socket.socket, pid: int) -> None:
        self._connection, self.pid = connection, pid
        self.returncode: int | None = None
        self.stdout: IO[str] | None = None
        self.stderr: IO[str] | None = None

    def poll(self) -> int | None:
        """Its exit code, or None; that of a process that was killed is the negative number of the signal."""
        return self._ended(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end. Raises `subprocess.TimeoutExpired`."""
        if (code := self._ended(timeout)) is None:
            raise subprocess.TimeoutExpired("diadem", timeout or 0.0)
        return code

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Read what it prints to its end, and wait for that. Raises `subprocess.TimeoutExpired`."""
        end = None if timeout is None else time.monotonic() + timeout
        texts = [io.StringIO(), io.StringIO()]
        readers = [
            threading.Thread(target=lambda stream=stream, text=text: text.write(stream.read()), daemon=True)
            for stream, text in zip((self.stdout, self.stderr), texts, strict=True)
            if stream is not None
        ]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(None if end is None else max(0.0, end - time.monotonic()))
            if reader.is_alive():
                raise subprocess.TimeoutExpired("diadem", timeout or 0.0)
        self.wait(None if end is None else max(0.0, end - time.monotonic()))
        self._close()
        return texts[0].getvalue(), texts[1].getvalue()

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._connection], [], [], timeout)[0]:
            data = self._connection.recv(64)
            self.returncode = int(data) if data else -signal.SIGKILL  # with all its site
            self._connection.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def _close(self) -> None:
        for stream in (self.stdout, self.stderr):
            if stream is not None:
                stream.close()

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        self.wait()


#: A command under way, forked or started.
Process = Forked | subprocess.Popen[str]


class Zygote:
    """Starts commands at one site.

    Parameters
    ----------
    words : callable
        A command, to be run at the site.
    """

    def __init__(self, words: Callable[..., Sequence[str]]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="zygote-")
        self._socket = os.path.join(self._folder.name, "s")
        command = words(sys.executable, "-m", "tests.zygote", self._socket)
        self._process = subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE)

    def start(
        self,
        arguments: Sequence[str],
        *,
        program: str = "diadem",
        cwd: Path,
        env: Mapping[str, str],
        stdout: int,
        stderr: int,
    ) -> Forked:
        """Start a program, a module or the path of a file, with arguments; its output goes to two open files."""
        connection = socket.socket(socket.AF_UNIX)
        self._reach(connection)
        given = {"program": program, "arguments": list(arguments), "cwd": str(cwd), "env": dict(env)}
        said = json.dumps(given).encode()
        with open(os.devnull, "rb") as nothing:
            length = len(said).to_bytes(4, "big")
            socket.send_fds(connection, [length], [nothing.fileno(), stdout, stderr])
        connection.sendall(said)
        return Forked(connection, int.from_bytes(_exactly(connection, 4), "big"))

    def run(self, arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float) -> tuple[int, str]:
        """Give a command; its code, and everything that it prints."""
        with tempfile.TemporaryFile() as output:
            code = self.start(arguments, cwd=cwd, env=env, stdout=output.fileno(), stderr=output.fileno()).wait(timeout)
            output.seek(0)
            return code, output.read().decode("utf-8", "backslashreplace")

    def _reach(self, connection: socket.socket) -> None:
        end = time.monotonic() + _BEGINS
        while (fault := connection.connect_ex(self._socket)) != 0:
            assert fault in (errno.ENOENT, errno.ECONNREFUSED), os.strerror(fault)
            assert self._process.poll() is None, "the process that forks has ended"
            assert time.monotonic() < end, "the process that forks does not begin"
            time.sleep(_LOOK)

    def close(self) -> None:
        """End it; commands under way end by themselves."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(_BEGINS)
        self._folder.cleanup()

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise ConnectionError("the process that forks has ended")
        data += more
    return data


# -- the process that forks --------------------------------------------------------------------------------------------


def serve(address: str) -> None:
    """Fork a process for each command, until nobody holds the input open any more."""
    import diadem

    for module in pkgutil.walk_packages(diadem.__path__, "diadem."):
        if not module.name.startswith("diadem.testing") and not module.name.endswith("__main__"):
            with contextlib.suppress(ImportError):  # what this system or installation has not
                importlib.import_module(module.name)
    gc.freeze()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(16)
    children: dict[int, socket.socket] = {}
    while True:
        ready = select.select([listener, sys.stdin], [], [], _LOOK if children else None)[0]
        if sys.stdin in ready:
            shutil.rmtree(os.path.dirname(address), ignore_errors=True)  # whoever made it may have been killed
            return
        if listener in ready:
            connection, _ = listener.accept()
            length, files, _, _ = socket.recv_fds(connection, 4, 3)
            said = json.loads(_exactly(connection, int.from_bytes(length, "big")))
            if (pid := os.fork()) == 0:
                for one in (listener, connection, *children.values()):
                    one.close()
                _become(said, files)
            connection.sendall(pid.to_bytes(4, "big"))
            for file in files:
                os.close(file)
            children[pid] = connection
        _tell(children)


def _tell(children: dict[int, socket.socket]) -> None:
    """Tell of those that have ended."""
    for pid, connection in list(children.items()):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            with contextlib.suppress(OSError):  # nobody waits for it any more
                connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())
            children.pop(pid).close()


def _become(said: dict[str, Any], files: Sequence[int]) -> NoReturn:
    """Be a new process, from the first line of its program to its last."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(said["env"])
    time.tzset()
    os.chdir(said["cwd"])
    sys.path[1:1] = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    random.seed()
    program = said["program"]
    sys.argv = [program, *said["arguments"]]
    code = 0
    try:
        if program.endswith(".py"):
            sys.path[0] = os.path.dirname(program)
            runpy.run_path(program, run_name="__main__")
        else:
            runpy.run_module(program, run_name="__main__", alter_sys=True)
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    # As an interpreter ends, but that it clears a thousand modules one by one.
    threading._shutdown()  # type: ignore[attr-defined]
    with warnings.catch_warnings(action="ignore"):  # where an interpreter ends, nothing of this is shown
        atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    serve(sys.argv[1])
