"""Work on threads, bounded by count and by bytes: the first failure stops it, whoever leaves leaves nothing running.

`in_order` gives results in the order of the items, `as_they_come` as they are ready. Items are taken in the caller's
thread and only as there is room for them, so that an iterator that reads files reads no further ahead than that.
What runs when it ends early is waited for; `stop` is called before that, so that it ends soon.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from contextlib import closing, contextmanager, suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Seconds for which a wait is deaf to Ctrl-C, where a system wakes no thread for it (Windows).
_DEAF = 0.5


def in_order(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    threads: int,
    ahead: int,
    size: Callable[[Item], int] = lambda _: 0,
    budget: int = 0,
    stop: Callable[[], object] = lambda: None,
    name: str = "diadem-work",
) -> Generator[Result, None, None]:
    """Results in the order of the items; `ahead` of them at most, and `budget` bytes by `size`, are on their way.

    One item larger than the budget goes alone. Close it where its results may not all be taken (`contextlib.closing`).
    """
    waiting: deque[tuple[int, SimpleQueue[Future[Result]]]] = deque()
    held = 0
    with _threads(threads, name, stop) as pool:
        for item in items:
            weight = size(item)
            while waiting and (len(waiting) >= ahead or (budget and held + weight > budget)):
                held -= waiting[0][0]
                yield _next(waiting.popleft()[1]).result()
            held += weight
            ready: SimpleQueue[Future[Result]] = SimpleQueue()
            pool.submit(function, item, ready)
            waiting.append((weight, ready))
        while waiting:
            yield _next(waiting.popleft()[1]).result()


def as_they_come(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    threads: int,
    ahead: int,
    size: Callable[[Item], int] = lambda _: 0,
    budget: int = 0,
    stop: Callable[[], object] = lambda: None,
    name: str = "diadem-work",
) -> Generator[Result, None, None]:
    """Results of a function as they are ready; bounds and end as in `in_order`."""
    ready: SimpleQueue[Future[Result]] = SimpleQueue()
    weights: dict[Future[Result], int] = {}
    held = 0
    with _threads(threads, name, stop) as pool:
        for item in items:
            weight = size(item)
            while weights and (
                not ready.empty() or len(weights) >= ahead or (budget and held + weight > budget)
            ):  # a failure is heard before the next item is begun
                held -= weights.pop(future := _next(ready))
                yield future.result()
            held += weight
            weights[pool.submit(function, item, ready)] = weight
        while weights:
            del weights[future := _next(ready)]
            yield future.result()


def do_all(tasks: Iterable[Callable[[], object]], *, threads: int, stop: Callable[[], object] = lambda: None) -> None:
    """Do everything, in any order; with one thread in the caller's. The first failure is raised when all have ended."""
    if threads <= 1:
        for task in tasks:
            task()
        return
    done = as_they_come(lambda task: task(), tasks, threads=threads, ahead=2 * threads, stop=stop)
    with closing(done):
        for _ in done:
            pass


class _Pool:
    """Threads that a process does not wait for when it ends: one of them may hang in a request to a server.

    `concurrent.futures` joins its threads at the exit, so that a second Ctrl-C would end nothing. The caller's thread
    touches no future before it is handed to it: a Ctrl-C inside the future's lock would leave it locked for the worker.
    """

    def __init__(self, number: int, name: str) -> None:
        self._number, self._name = number, name
        self._tasks: SimpleQueue[tuple[Future[Any], Callable[[Any], Any], Any, SimpleQueue[Future[Any]]] | None] = (
            SimpleQueue()
        )
        self._threads: list[Thread] = []

    def submit(
        self, function: Callable[[Item], Result], item: Item, ready: SimpleQueue[Future[Result]]
    ) -> Future[Result]:
        """Begin, as soon as a thread is free, what is put into `ready` when it has ended."""
        future: Future[Result] = Future()
        self._tasks.put((future, function, item, ready))
        if len(self._threads) < self._number:
            thread = Thread(target=self._work, name=f"{self._name}-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        return future

    def close(self) -> None:
        """Begin nothing more, and wait for what runs."""
        with suppress(Empty):
            while self._tasks.get_nowait():
                pass
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            while thread.is_alive():
                thread.join(_DEAF)

    def _work(self) -> None:
        while task := self._tasks.get():
            future, function, item, ready = task
            try:
                future.set_result(function(item))
            except BaseException as error:
                future.set_exception(error)
            ready.put(future)
            del task, future, item, ready  # nothing of one item is held while the next is waited for


@contextmanager
def _threads(number: int, name: str, stop: Callable[[], object]) -> Iterator[_Pool]:
    pool = _Pool(number, name)
    try:
        yield pool
    except BaseException:
        stop()
        raise
    finally:
        pool.close()


def _next(ready: SimpleQueue[Future[Result]]) -> Future[Result]:
    while True:
        try:
            return ready.get(timeout=_DEAF)
        except Empty:
            continue
