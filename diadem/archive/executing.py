"""Many things on any executor: as many at once as it has workers for, results as they come, an orderly end."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from typing import Any, TypeVar

from diadem.model.agenda import Agenda

Result = TypeVar("Result")

#: Seconds between two looks whether the work is to stop.
_LOOK = 0.5


def width(executor: Executor) -> int:
    """How many tasks an executor does at once, now; 1 where it does not say.

    Parameters
    ----------
    executor : concurrent.futures.Executor
        A pool of the standard library, a `WorkerPool`, or the executor of a Dask client, whose workers are asked for.
    """
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
    """Begin what an agenda gives, and give each future when it is done.

    Parameters
    ----------
    agenda : Agenda
        What, in which order.
    begin : callable
        Begins one, by its number.
    ahead : int
        How many may be begun and not done.
    heed : callable
        Called now and then; may raise to stop the work.
    stop : callable
        Called where the work stops early, before what has begun is waited for.

    Yields
    ------
    (int, Future)
        Number and future, as they are done. Where the caller stops, or `heed` raises, what has not begun is cancelled
        and what has is waited for.
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
