"""Copies of one store read by workers: in shares of similar size, the most urgent first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

from diadem.errors import Unreachable
from diadem.model.agenda import Agenda, bundles
from diadem.model.replicas import ReplicaState
from diadem.model.report import Level, Report
from diadem.node.context import Context
from diadem.node.keep.placing import not_there
from diadem.node.tasks import CopyToProve, Proved, ProveTask
from diadem.node.workers import Workers
from diadem.store.contract import Pace
from diadem.workers.executors import run_agenda

#: Bytes and copies of one share at most: a worker that is lost has read no more for nothing.
_MOST_BYTES, _MOST_COPIES = 256 << 20, 200
#: Shares for each worker at least, so that none waits long for the last one.
_SHARES = 4


@dataclass(frozen=True, slots=True)
class Reading:
    """A copy that is to be read, and how far."""

    package: str
    bytes: int
    replica: ReplicaState
    level: Level


@dataclass(frozen=True, slots=True)
class Read:
    """What a worker found of it; `silence` says why there is no report."""

    copy: Reading
    report: Report | None
    silence: str = ""


def read_at_once(
    context: Context,
    store: str,
    copies: Sequence[Reading],
    workers: Workers,
    *,
    pace: Pace | None = None,
    heed: Callable[[], None] = lambda: None,
) -> Iterator[Read]:
    """Have copies in one store read.

    Parameters
    ----------
    context : Context
        The node.
    store : str
        Name of the store.
    copies : sequence of Reading
        The most urgent first; shares are begun in this order.
    workers : Workers
        Who reads.
    pace : Pace, optional
        Shared by all of them.
    heed : callable
        Called now and then; may raise to stop.

    Raises
    ------
    Unreachable
        The store does not answer this machine either, or the executor broke: the rest need not be tried.
    """
    shares = shares_of(copies, workers.width)
    rate = pace.bytes_per_second / workers.width if pace is not None else None
    settings = context.settings.store(store)
    with ThreadPoolExecutor(workers.ahead, "diadem-share") as threads:

        def begin(number: int) -> Future[Sequence[Proved]]:
            wanted = tuple(CopyToProve(one.package, one.replica.path, one.level) for one in shares[number])
            return threads.submit(workers.prove, ProveTask(settings, wanted, rate))

        ended = run_agenda(Agenda([0] * len(shares)), begin, ahead=workers.ahead, heed=heed, stop=workers.stop)
        with closing(ended):
            for number, future in ended:
                yield from _found(context, store, shares[number], future)
                if workers.broken:
                    raise workers.refusal()


def _found(context: Context, store: str, share: Sequence[Reading], future: Future[Sequence[Proved]]) -> Iterator[Read]:
    try:
        proved = future.result()
    except Unreachable as error:
        context.stores.require_there(store)
        yield from (Read(one, None, error.message) for one in share)
        return
    for one, found in zip(share, proved, strict=True):
        if found.report is None or not found.report.ok:
            context.stores.require_there(store)
        yield Read(one, _judged(context, one.package, one.replica, found), found.silence)


def _judged(context: Context, package_id: str, replica: ReplicaState, proved: Proved) -> Report | None:
    """The report; where another package that the node knows lies at the place, the copy is missing, not damaged."""
    if proved.found and context.catalogue.has(proved.found):
        return not_there(replica, package_id, proved.found)
    return proved.report


def read_there(context: Context, workers: Workers, package_id: str, replica: ReplicaState, level: Level) -> Report:
    """Have a worker read one copy.

    Raises
    ------
    Unreachable
        The store does not answer there.
    """
    settings = context.settings.store(replica.store)
    (proved,) = workers.prove(ProveTask(settings, (CopyToProve(package_id, replica.path, level),)))
    report = _judged(context, package_id, replica, proved)
    if report is None:
        raise Unreachable(proved.silence, where=settings.url)
    return report


def shares_of(copies: Sequence[Reading], width: int) -> list[list[Reading]]:
    """Copies in shares that are worth a task: some for each worker, in their order."""
    total = sum(one.bytes for one in copies)
    most = min(_MOST_BYTES, total // (_SHARES * width) + 1)
    count = min(_MOST_COPIES, len(copies) // (_SHARES * width) + 1)
    return [
        [copies[number] for number in share] for share in bundles((one.bytes for one in copies), most=most, count=count)
    ]
