"""Executors as the command line asks for them: processes of this machine, or a Dask cluster."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from diadem.errors import Unreachable, UsageError

#: Seconds that a scheduler may take to answer.
_ANSWER = 20


@contextmanager
def executor_of(*, jobs: int | None = None, dask: str | None = None) -> Iterator[Executor | None]:
    """An executor for as long as the block lasts; None where nothing is asked for.

    Parameters
    ----------
    jobs : int, optional
        Processes on this machine.
    dask : str, optional
        Address of a scheduler: ``tcp://scheduler:8786``.

    Raises
    ------
    UsageError
        Both are given, or Dask is not installed.
    Unreachable
        The scheduler does not answer.
    """
    if jobs is not None and dask is not None:
        raise UsageError("--jobs and --dask cannot be used together", next="Leave one of them out.")
    if dask is not None:
        with _cluster(dask) as executor:
            yield executor
    elif jobs is not None:
        from diadem.archive.worker_pool import WorkerPool

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
