"""Many things on any executor: as many at once as it has workers for, results as they come, an orderly end."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import contextmanager
from importlib import import_module
from typing import Any, TypeVar

from diadem.errors import Unreachable, UsageError
from diadem.model.agenda import Agenda

Result = TypeVar("Result")

#: Seconds between two looks whether the work is to stop.
_LOOK = 0.5


def width(executor: Executor) -> int:
    """How many tasks an executor does at once, now; 1 where it does not say."""
    if (client := _dask_client(executor)) is not None:
        return max(1, sum(int(threads) for threads in client.nthreads().values()))
    for name in ("workers", "_max_workers"):
        if isinstance(count := getattr(executor, name, None), int):
            return max(1, count)
    return 1


def everywhere(executor: Executor, function: Callable[[Any], Result], argument: object) -> list[Future[Result]]:
    """Call a function once on every worker of a Dask cluster; once on any other executor, whose workers are alike."""
    if (client := _dask_client(executor)) is None:
        return [executor.submit(function, argument)]
    addresses = list(client.nthreads())
    return [client.submit(function, argument, workers=[one], pure=False) for one in addresses]


def _dask_client(executor: Executor) -> Any:
    """The client behind an executor of Dask, which itself says nothing of its workers; None for any other."""
    client = getattr(executor, "_client", None)
    return client if hasattr(client, "scheduler_info") else None


def carry_out(
    agenda: Agenda,
    begin: Callable[[int], Future[Result]],
    *,
    ahead: int,
    heed: Callable[[], None] = lambda: None,
    stop: Callable[[], None] = lambda: None,
) -> Generator[tuple[int, Future[Result]]]:
    """Begin what an agenda gives, `ahead` at a time, and give number and future of each when it is done.

    `heed` is called now and then and may raise; `stop` is called where the work stops early. Then what has not begun is
    cancelled, and what has is waited for.
    """
    running: dict[Future[Result], int] = {}
    try:
        while True:
            while len(running) < ahead and (number := agenda.take()) is not None:
                running[begin(number)] = number
            if not running:
                return
            done, _ = wait(running, timeout=_LOOK, return_when=FIRST_COMPLETED)
            heed()
            for future in done:
                number = running.pop(future)
                agenda.done(number)
                yield number, future
    finally:
        if running:
            stop()
            for future in running:
                future.cancel()
            wait(running)


# -- Executors as the command line asks for them: processes of this machine, or a Dask cluster.

#: Seconds that a scheduler may take to answer.
_ANSWER = 20


@contextmanager
def executor_of(*, jobs: int | None = None, dask: str | None = None) -> Iterator[Executor | None]:
    """Processes of this machine, or a Dask scheduler, for as long as the block lasts; None where nothing is asked for.

    Raises `UsageError` where both are asked for, or Dask is not installed; `Unreachable`.
    """
    if jobs is not None and dask is not None:
        raise UsageError("--jobs and --dask cannot be used together", next="Leave one of them out.")
    if dask is not None:
        with _cluster(dask) as executor:
            yield executor
    elif jobs is not None:
        from diadem.workers.pool import WorkerPool

        with WorkerPool(jobs) as pool:
            yield pool
    else:
        yield None


@contextmanager
def _cluster(address: str) -> Iterator[Executor]:
    try:
        distributed: Any = import_module("distributed")
    except ImportError as error:
        raise UsageError(
            "a Dask cluster needs a package that is missing", next="Install it: pip install 'diadem-em[dask]'."
        ) from error
    try:
        client = distributed.Client(address, timeout=_ANSWER, set_as_default=False)
    except (OSError, ValueError) as error:
        raise Unreachable(
            f"the scheduler does not answer: {error}",
            where=address,
            next="Start it, or correct the address: tcp://HOST:8786",
        ) from error
    with client:
        yield client.get_executor()
