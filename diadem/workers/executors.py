"""Many things on any executor: as many at once as it has workers for, results as they come, an orderly end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Generic, Self, TypeVar, cast

from diadem.errors import DiademError, Unreachable, UsageError
from diadem.model.agenda import Agenda

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Tasks that an executor is given ahead of the caller: enough for a large cluster, and their records fit in memory.
AHEAD = 256
#: Seconds between two looks whether the work is to stop.
_LOOK = 0.5


def worker_count(executor: Executor) -> int:
    """How many tasks an executor does at once, now; 1 where it does not say."""
    if (client := _dask_client(executor)) is not None:
        return max(1, sum(int(threads) for threads in client.nthreads().values()))
    for name in ("workers", "_max_workers"):
        if isinstance(count := getattr(executor, name, None), int):
            return max(1, count)
    return 1


def submit_everywhere(executor: Executor, function: Callable[[Any], Result], argument: object) -> list[Future[Result]]:
    """Call a function once on every worker of a Dask cluster; once on any other executor, whose workers are alike."""
    if (client := _dask_client(executor)) is None:
        return [executor.submit(function, argument)]
    addresses = list(client.nthreads())
    return [client.submit(function, argument, workers=[one], pure=False) for one in addresses]


def _dask_client(executor: Executor) -> Any:
    """The client behind an executor of Dask, which itself says nothing of its workers; None for any other."""
    client = getattr(executor, "_client", None)
    return client if hasattr(client, "scheduler_info") else None


def run_agenda(
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


# -- as the command line asks for them --------------------------------------------------------------------------------

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


# -- in order ---------------------------------------------------------------------------------------------------------


class InOrder(Iterator[Result], Generic[Item, Result]):
    """Results of a function for many items, in their order; a few hundred are on their way at once.

    Where the function raises, `next` raises the same when the item's turn comes, and the next call goes on with the
    next item. Closing it, or leaving it to be collected, cancels what has not begun.
    """

    _open = False

    def __init__(
        self,
        executor: Executor,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        *,
        ahead: int = AHEAD,
        give_errors: bool = False,
        at_end: Callable[[], None] = lambda: None,
    ) -> None:
        self._ahead = ahead
        self._executor = executor
        self._function = function
        self._items = iter(items)
        self._give_errors = give_errors
        self._at_end = at_end
        self._waiting: deque[Future[Result]] = deque()
        self._open = True

    def __iter__(self) -> Self:
        """Itself."""
        return self

    def __next__(self) -> Result:
        """The next result, waited for."""
        while self._open and len(self._waiting) < self._ahead:
            for item in self._items:
                self._waiting.append(self._executor.submit(self._function, item))
                break
            else:
                break
        if not self._waiting:
            self.close()
            raise StopIteration
        try:
            return self._waiting.popleft().result()
        except DiademError as error:
            if self._give_errors:
                return cast("Result", error)
            raise

    def close(self) -> None:
        """Cancel what has not begun; nothing is given any more."""
        if self._open:
            self._open = False
            for future in self._waiting:
                future.cancel()
            self._waiting.clear()
            self._at_end()

    def __del__(self) -> None:
        """Close what was left behind."""
        self.close()
