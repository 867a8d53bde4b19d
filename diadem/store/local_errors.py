"""The operating system's errors, as errors that say what to do; and tidying up that hides none of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from diadem.errors import DiademError, StoreError, cause_of


class SinkFailed(Exception):
    """The copy cannot be written; the cause is the `OSError`. The source is not to blame."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(str(cause))
        self.cause = cause


class translated:  # noqa: N801  reads as a phrase: `with translated(url):`
    """Turns the operating system's errors, and those of a copy, into `StoreError`s that say what to do."""

    def __init__(self, url: str, consequence: str = "nothing was written") -> None:
        self._url = url
        self._consequence = consequence

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Translate."""
        cause = error.cause if isinstance(error, SinkFailed) else error
        if isinstance(cause, OSError) and not isinstance(cause, DiademError):
            raise store_error(cause, self._url, self._consequence) from cause


def store_error(error: OSError, url: str, consequence: str = "nothing was written") -> StoreError:
    """The `StoreError` for an error of the operating system while a store, or a file of the node, was written."""
    message, advice = cause_of(error) or (error.strerror or str(error), "See the operating system's message.")
    return StoreError(f"{message}; {consequence}" if consequence else message, where=url, next=advice)


@contextmanager
def or_else(tidy_up: Callable[[], object]) -> Iterator[None]:
    """Tidy up where the block fails. What fails in tidying up is noted with the cause, and never takes its place."""
    try:
        yield
    except BaseException as cause:
        try:
            tidy_up()
        except (OSError, DiademError) as failure:
            cause.add_note(f"What was written so far could not be removed: {failure}")
        raise
