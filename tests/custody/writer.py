"""A process that appends to a log until it is done or killed; says each batch that is durable.

``python -m tests.custody.writer <log folder> <store> <first number> <batches> <threads>`` appends at once.
``python -m tests.custody.writer`` reads such lines, and forks a writer for each: no start-up time.
"""

from __future__ import annotations

import datetime
import os
import sys
import threading
from pathlib import Path

from diadem.custody.log import Ledger
from diadem.store.folder import FolderStore
from tests.custody.group import Group, ingest


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def write(folder: str, store: str, first: int, batches: int, threads: int) -> None:
    """Append batches of one to four statements from some threads that share one ledger."""
    group = Group(Path(folder), clock=now)
    group.ledger = Ledger.open(group.folder, group.log, clock=now)
    group.ledger.mirrors.stores = [FolderStore(store)]
    workers = [threading.Thread(target=_append, args=(group, first + at * 10_000, batches)) for at in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    group.ledger.close()


def _append(group: Group, first: int, batches: int) -> None:
    for batch in range(batches):
        said = group.say(*(ingest(number) for number in range(first + 4 * batch, first + 4 * batch + batch % 4 + 1)))
        line = "".join(f"{entry.index} {entry.statement_id}\n" for entry in said)
        os.write(1, line.encode())


def serve() -> None:
    """Fork a writer for each line of the input; say its process id."""
    for line in sys.stdin:
        folder, store, first, batches, threads = line.rstrip("\n").split("\t")
        child = os.fork()
        if child == 0:
            out = os.open(Path(folder).parent / "said", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(out, 1)
            write(folder, store, int(first), int(batches), int(threads))
            os._exit(0)
        os.write(1, f"{child}\n".encode())
        os.waitpid(child, 0)
        os.write(1, b"ended\n")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        write(sys.argv[1], sys.argv[2], *(int(text) for text in sys.argv[3:6]))
    else:
        serve()
