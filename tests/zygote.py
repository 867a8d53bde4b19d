"""Processes of `diadem` without the second that a new interpreter takes: forked from one that has imported everything.

The process that forks has one thread and lives at one site; a command gets a process, a folder, variables and streams
of its own, as `diadem` gives them to it, and may be killed as any other. POSIX alone.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import json
import os
import pkgutil
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, Self

#: What commands import.
_MODULES = (
    "diadem.cli.main",
    "diadem.api.nodes",
    "diadem.archive.packing",
    "diadem.node.archiving",
    "diadem.node.custody_verbs",
    "diadem.transfer.working",
    "diadem.transfer.syncing",
    "diadem.transfer.peering",
    "diadem.transfer.peer_verbs",
    "diadem.transfer.client",
    "diadem.transfer.handlers.windows",
    "diadem.hooks.manager",
    "diadem.node.closing",
    "diadem.node.exporting_run",
    "diadem.node.mending",
    "diadem.node.reindexing",
    "diadem.node.repairing",
    "diadem.node.restoring",
    "diadem.node.rules.dropping",
    "diadem.node.watch.folder",
    "diadem.node.watch_verbs",
)
_ROOT = Path(__file__).resolve().parent.parent
#: Seconds for it to begin; and between two looks at its children.
_BEGINS, _LOOK = 60, 0.01


class Forked:
    """A command under way: as `subprocess.Popen`, as far as tests need it."""

    def __init__(self, connection: socket.socket, pid: int) -> None:
        self._connection, self.pid = connection, pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit code, or None; that of a process that was killed is the negative number of the signal."""
        return self._ended(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end. Raises `subprocess.TimeoutExpired`."""
        if (code := self._ended(timeout)) is None:
            raise subprocess.TimeoutExpired("diadem", timeout or 0.0)
        return code

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

    def start(self, arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], stdout: int, stderr: int) -> Forked:
        """Start a command of `diadem`; its output goes to two open files."""
        connection = socket.socket(socket.AF_UNIX)
        self._reach(connection)
        said = json.dumps({"arguments": list(arguments), "cwd": str(cwd), "env": dict(env)}).encode()
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
    plugins = importlib.import_module("diadem.plugins")
    for name in (*_MODULES, *(f"diadem.plugins.{one.name}" for one in pkgutil.iter_modules(plugins.__path__))):
        importlib.import_module(name)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(16)
    children: dict[int, socket.socket] = {}
    while True:
        ready = select.select([listener, sys.stdin], [], [], _LOOK if children else None)[0]
        if sys.stdin in ready:
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
    """Be a new process of `diadem`, from its first line to its last."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(said["env"])
    os.chdir(said["cwd"])
    random.seed()
    sys.argv = ["diadem", *said["arguments"]]
    from diadem.__main__ import main

    main()
    sys.exit(0)


if __name__ == "__main__":
    serve(sys.argv[1])
