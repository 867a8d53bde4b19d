"""Many paths, one after the other or on an executor: results in order, one error no end, workers started once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import Generic, Self, TypeVar, cast

from diadem.errors import DiademError

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Tasks that an executor is given ahead of the caller: enough for a large cluster, and their records fit in memory.
AHEAD = 256


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
