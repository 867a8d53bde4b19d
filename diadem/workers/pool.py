"""`WorkerPool`: an executor of worker processes that needs no main guard, and of which a dead one costs one task.

Like the pools of `concurrent.futures`, but each process is started as ``python -m diadem.workers.pool``: the user's own
script is not run again in it (Windows and macOS would), and a process that is killed is replaced, where a
`ProcessPoolExecutor` is broken for good.

A process takes pickled calls and gives pickled results, one at a time. It ends when its input ends, also in the middle
of a call: what it was writing is a stage that the next run removes. Pickle is safe here, for both ends are the same
program; instrument files are read by processes of their own that speak JSON.
"""

from __future__ import annotations

import os
import pickle
import queue
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future
from pathlib import Path
from typing import IO, Any, ParamSpec, TypeVar

from diadem.errors import UsageError

Result = TypeVar("Result")
Given = ParamSpec("Given")

#: Set in the environment of these processes, so that one knows what it is.
POOL_MEMBER = "DIADEM_POOL_MEMBER"
_LENGTH = struct.Struct(">Q")
#: Seconds that an idle worker may take to end.
_FAREWELL = 5.0
_Item = tuple[Future[Any], bytes]


class WorkerPool(Executor):
    """Worker processes on this machine that archive, scrub and extract.

    Use it in a ``with`` block. Submitted functions must be importable by name; they and their arguments are pickled.

    Parameters
    ----------
    workers : int, optional
        Maximum number of processes; default one per core. Each starts when there is work for it.

    Raises
    ------
    UsageError
        `workers` is less than one.
    """

    def __init__(self, workers: int | None = None) -> None:
        count = workers if workers is not None else (os.cpu_count() or 1)
        if count < 1:
            raise UsageError(f"{count} workers can do nothing", next="Use at least one.")
        self.workers = count
        self._items: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._guard = threading.Lock()
        self._ended = False
        self._threads = [
            threading.Thread(target=_serve, args=(self._items,), name=f"diadem-worker-{number}", daemon=True)
            for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, fn: Callable[Given, Result], /, *args: Given.args, **kwargs: Given.kwargs) -> Future[Result]:
        """Call a function in a worker.

        Raises
        ------
        RuntimeError
            The pool was shut down. If a worker dies during its task, the result is a `BrokenExecutor`.
        """
        task = pickle.dumps((fn, args, kwargs))
        future: Future[Result] = Future()
        with self._guard:
            if self._ended:
                raise RuntimeError("the pool was shut down")
            self._items.put((future, task))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers once submitted tasks are done; with `cancel_futures`, once running tasks are done."""
        with self._guard:
            first, self._ended = not self._ended, True
        if cancel_futures:
            self._cancel()
        if first:
            for _ in self._threads:
                self._items.put(None)
        if wait:
            for thread in self._threads:
                thread.join()

    def _cancel(self) -> None:
        kept = 0
        while not self._items.empty():
            item = self._items.get()
            if item is None:
                kept += 1
            else:
                item[0].cancel()
        for _ in range(kept):
            self._items.put(None)


def _serve(items: queue.SimpleQueue[_Item | None]) -> None:
    """Pass tasks to one process after the other, as they die."""
    member: _Member | None = None
    while (item := items.get()) is not None:
        future, task = item
        if not future.set_running_or_notify_cancel():
            continue
        try:
            member = member or _Member()
            done, value = member.ask(task)
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            code = member.end() if member is not None else None
            member = None
            future.set_exception(
                BrokenExecutor(f"the worker process ended in the middle of its task ({code}, {error})")
            )
            continue
        future.set_result(value) if done else future.set_exception(value)
    if member is not None:
        member.end()


class _Member:
    """One worker process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-W", "ignore", "-m", "diadem.workers.pool"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_environment(),
            # Ctrl-C is for whoever gives the tasks: what has begun is finished.
            start_new_session=os.name != "nt",
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0)
            | getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )

    def ask(self, task: bytes) -> tuple[bool, Any]:
        """Whether the function returned, and what it returned or raised."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        write_frame(self._process.stdin, task)
        done, value = pickle.loads(read_frame(self._process.stdout))  # noqa: S301  from our own process
        return done, value

    def end(self) -> int:
        """End the process; its exit code."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    continue
        try:
            return self._process.wait(_FAREWELL)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


def _environment() -> dict[str, str]:
    """Of this process, with the places of its modules; not the current folder, where a file may be called json.py."""
    import diadem

    ours = str(Path(diadem.__file__).resolve().parents[1])
    here = str(Path.cwd())
    places = [place for place in sys.path if place not in ("", here)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys([ours, *places])), POOL_MEMBER: "1"}


# -- in the process ---------------------------------------------------------------------------------------------------


def write_frame(sink: IO[bytes], data: bytes) -> None:
    """Send so many bytes, their number before them."""
    sink.write(_LENGTH.pack(len(data)))
    sink.write(data)
    sink.flush()


def read_frame(source: IO[bytes]) -> bytes:
    """Receive them. Raises `EOFError` where the other end is gone."""
    head = source.read(_LENGTH.size)
    length = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else 0
    data = source.read(length)
    if len(head) < _LENGTH.size or len(data) < length:
        raise EOFError("the message ends early")
    return data


def main() -> None:
    """Answer calls until the input ends."""
    source, sink = _take_pipes()
    calls: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    busy = threading.Event()
    threading.Thread(target=_listen, args=(source, calls, busy), daemon=True).start()
    while (call := calls.get()) is not None:
        try:
            function, arguments, options = pickle.loads(call)  # noqa: S301  from our own parent
            value = (True, function(*arguments, **options))
        except BaseException as error:  # it is raised again where the result is asked for
            value = (False, error)
        try:
            answer = pickle.dumps(value)
        except Exception as error:  # whatever a class does when it is pickled
            answer = pickle.dumps((False, RuntimeError(f"the result cannot be sent: {error!r}")))
        busy.clear()
        write_frame(sink, answer)


def _listen(source: IO[bytes], calls: queue.SimpleQueue[bytes | None], busy: threading.Event) -> None:
    try:
        while True:
            call = read_frame(source)
            busy.set()
            calls.put(call)
    except EOFError:
        if busy.is_set():
            os._exit(1)
        calls.put(None)


def _take_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """Keep the two pipes: what is printed goes to the error stream."""
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    sys.stdin, sys.stdout = Path(os.devnull).open(), sys.stderr  # noqa: SIM115 - as long as the process lives
    return source, sink


if __name__ == "__main__":
    main()
