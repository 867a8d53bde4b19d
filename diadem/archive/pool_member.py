"""One process of a `WorkerPool`: pickled calls in, pickled results out, one at a time.

Started as ``python -m diadem.archive.pool_member``. It ends when its input ends, also in the middle of a call: what it
was writing is a stage that the next run removes. Pickle is safe here, for both ends are the same program; instrument
files are read by processes of its own that speak JSON.
"""

from __future__ import annotations

import os
import pickle
import queue
import struct
import sys
import threading
from pathlib import Path
from typing import IO, Any

#: Set in the environment of these processes, so that one knows what it is.
POOL_MEMBER = "DIADEM_POOL_MEMBER"
_LENGTH = struct.Struct(">Q")


def write_frame(sink: IO[bytes], data: bytes) -> None:
    """Send so many bytes, their number before them."""
    sink.write(_LENGTH.pack(len(data)))
    sink.write(data)
    sink.flush()


def read_frame(source: IO[bytes]) -> bytes:
    """Receive them.

    Raises
    ------
    EOFError
        The other end is gone.
    """
    (length,) = _LENGTH.unpack(_exactly(source, _LENGTH.size))
    return _exactly(source, length)


def _exactly(source: IO[bytes], count: int) -> bytes:
    data = source.read(count)
    if len(data) < count:
        raise EOFError("the message ends early")
    return data


def main() -> None:
    """Answer calls until the input ends."""
    source, sink = _take_pipes()
    calls: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    busy = threading.Event()
    threading.Thread(target=_listen, args=(source, calls, busy), daemon=True).start()
    while (call := calls.get()) is not None:
        answer = _answer(call)
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


def _answer(call: bytes) -> bytes:
    try:
        function, arguments, options = pickle.loads(call)  # noqa: S301  from our own parent
        value = (True, function(*arguments, **options))
    except BaseException as error:  # it is raised again where the result is asked for
        value = (False, error)
    return _pickled(value)


def _pickled(value: tuple[bool, Any]) -> bytes:
    try:
        return pickle.dumps(value)
    except Exception as error:  # whatever a class does when it is pickled
        return pickle.dumps((False, RuntimeError(f"the result cannot be sent: {error!r}")))


if __name__ == "__main__":
    main()
