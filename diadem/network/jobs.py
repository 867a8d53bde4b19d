"""What a node that serves does by itself: periodic jobs, each in a thread, so that none keeps another waiting.

It hands over what waits, asks peers, fetches, keeps mirrors, and ends what has expired at a hub.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from diadem.errors import DiademError
from diadem.network.desk import Desk
from diadem.network.hub.book import has_hub
from diadem.network.hub.hub import hub_of
from diadem.node.context import Context

#: Below the listener's, whose lines go to standard error.
_LOG: Final = logging.getLogger("diadem.network.http.jobs")
_HUB_LOG: Final = logging.getLogger("diadem.network.http.hub")


@dataclass(frozen=True, slots=True)
class Job:
    """One thing that is done periodically, in a thread of its own.

    Attributes
    ----------
    name : str
        For the log: ``outbox``.
    run : callable
        Does what is due and returns whether there is more that is due at once. Looks at the event now and then and
        ends soon after it is set. What it raises is told and tried again, later each time.
    settle : callable
        Waits so many seconds for what it has begun in other threads, after the event was set.
    every : float
        Seconds between two runs.
    longest : float
        Seconds between two runs at most, where it fails again and again.
    """

    name: str
    run: Callable[[threading.Event], bool]
    settle: Callable[[float], object] = lambda _: None
    every: float = 5.0
    longest: float = 300.0


class JobRunner:
    """Runs jobs until it is stopped.

    Parameters
    ----------
    jobs : sequence of Job
        What is done.
    told : callable
        Told of each run: the job's name, and whether it went well.
    """

    def __init__(self, jobs: Sequence[Job], told: Callable[[str, bool], None]) -> None:
        self._told, self._jobs = told, jobs
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._go, args=(job,), name=f"job {job.name}", daemon=True) for job in jobs
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self, patience: float) -> bool:
        """Ask all to end, and wait so many seconds for them together; whether all ended."""
        self._stop.set()
        until = time.monotonic() + patience
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        for job in self._jobs:
            job.settle(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _go(self, job: Job) -> None:
        wait = 0.0
        while not self._stop.wait(wait):
            try:
                more = job.run(self._stop)
            except Exception as error:
                self._told(job.name, False)
                _LOG.warning(
                    "job %s failed: %s",
                    job.name,
                    error.message if isinstance(error, DiademError) else type(error).__name__,
                )
                wait = min(job.longest, max(wait, job.every) * 2)
            else:
                self._told(job.name, True)
                wait = 0.0 if more else job.every


def jobs(context: Context) -> list[Job]:
    """What a node that serves does again and again."""
    from diadem.network.desk import desk_of
    from diadem.network.handlers.windows import serving_of
    from diadem.network.mail.pickup import HubPoller
    from diadem.network.working import Messages, Movers

    desk = desk_of(context)
    messages, movers = Messages(desk), Movers(desk, serving_of(context))
    hub = [Job("hub", partial(_sweep_hub, context), every=60.0)] if has_hub(context) else []
    return [
        Job("messages", messages.run, messages.settle),
        Job("transfers", movers.run, movers.settle),
        Job("hubs", HubPoller(desk).run),
        Job("routes", partial(_switch, desk), every=30.0),
        Job("notes", partial(_notes, context), every=60.0),
        Job("mirrors", partial(_mirrors, context), every=60.0),
        Job("datasets", partial(_datasets, context)),
        *hub,
    ]


def _switch(desk: Desk, _: threading.Event) -> bool:
    from diadem.network.relay.requesting import request
    from diadem.network.switching import switch_all

    switch_all(desk, request)
    return False


def _notes(context: Context, _: threading.Event) -> bool:
    from diadem.network.notes_told import tell_notes
    from diadem.network.peer_verbs import PeerVerbs

    tell_notes(PeerVerbs(context, patience=0.0))
    return False


def _mirrors(context: Context, _: threading.Event) -> bool:
    from diadem.node.mirrors import mirror

    mirror(context)
    return False


def _datasets(context: Context, _: threading.Event) -> bool:
    """Of what was pushed here, or was left by a process that was killed."""
    context.follower.enter_owed()
    return False


def _sweep_hub(context: Context, _: threading.Event) -> bool:
    if swept := hub_of(context).endings.sweep():
        _HUB_LOG.info("hub deleted: %s", swept)
    return False
