"""What a node that serves does by itself: periodic jobs, each in a thread, so that none keeps another waiting.

It hands over what waits, asks peers, fetches, keeps mirrors, and ends what has expired at a hub.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from diadem.errors import DiademError, DocumentError
from diadem.model.transfers import LOCAL, MOVING
from diadem.network.desk import Desk, desk_of
from diadem.network.errands import Errands
from diadem.network.hub.book import has_hub
from diadem.network.hub.hub import hub_of
from diadem.network.mail.delivery import deliver_all, introduce_all
from diadem.network.mail.pickup import collect, pick_up
from diadem.network.notes_told import tell_notes
from diadem.network.open_ends import tell_verbs
from diadem.network.peer_verbs import PeerVerbs
from diadem.network.pull import FetchOptions
from diadem.network.relay.carriers import clear, to_clear
from diadem.network.relay.requesting import request
from diadem.network.rounds import fetch_all, push_all, tidy
from diadem.network.routing import is_resting
from diadem.network.source import Sources, sources_of
from diadem.network.switching import switch_all
from diadem.node.context import Context
from diadem.node.mirrors import mirror
from diadem.node.peers.book import peer_book
from diadem.node.peers.notes import own_hubs
from diadem.node.tell.verbs import EVERY

#: Below the listener's, whose lines go to standard error.
_LOG: Final = logging.getLogger("diadem.network.http.jobs")
_HUB_LOG: Final = logging.getLogger("diadem.network.http.hub")
#: Seconds that a hub lets this node wait for something new.
WAIT: Final = 25.0
#: Seconds after nothing came, for a hub that lets nobody wait.
_PAUSE: Final = 0.5
#: Seconds after a hub did not answer: the first time, and at most.
_FIRST, _LONGEST = 2.0, 300.0


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


class Messages(Errands):
    """Hands over what is due to each peer, and asks for what waits there.

    Parameters
    ----------
    desk : Desk
        Of the node that serves.
    """

    def __init__(self, desk: Desk) -> None:
        super().__init__("messages")
        self._desk = desk

    def run(self, stop: threading.Event) -> bool:
        """Begin with each peer to which something is due, or that is asked; one that has just failed rests a while.

        Raises what an earlier run failed with at this node itself.
        """
        desk = self._desk
        due = set(desk.outbox.peers(due=desk.now))
        asked = {peer for peer in desk.polled() if not is_resting(desk.context, peer)}
        self.begin(due | asked, self._talk, stop)
        return False

    def _talk(self, peer: str, stop: threading.Event) -> None:
        desk = self._desk
        try:
            while not deliver_all(desk, peer, stop=stop) and not stop.is_set():
                if not desk.outbox.waiting(due=desk.now, peer=peer):
                    break
            if not stop.is_set() and peer in desk.polled():
                collect(desk, peer)
        finally:
            introduce_all(desk, peer=peer, stop=stop)


class Movers(Errands):
    """Fetches and pushes what was accepted.

    Parameters
    ----------
    desk : Desk
        Of the node that serves.
    sources : Sources
        What is pushed.
    """

    def __init__(self, desk: Desk, sources: Sources) -> None:
        super().__init__("mover")
        self._desk, self._sources = desk, sources

    def run(self, stop: threading.Event) -> bool:
        """Begin with each peer and route by which something is under way: a carrier that hangs stops nothing else.

        Raises what an earlier run failed with at this node.
        """
        moving = self._desk.book.all(states=MOVING)
        busy = {f"{one.peer} {one.route}" for one in moving if one.direction != LOCAL and not one.paused}
        self.begin(busy | {f"{one.peer} " for one in to_clear(self._desk)}, self._move, stop)
        return False

    def _move(self, way: str, stop: threading.Event) -> None:
        """Fetch and push what goes by the route of a peer; without one, have carriers forget what is over."""
        peer, _, route = way.partition(" ")
        if not route:
            clear(self._desk, peer)
            return
        fetch_all(self._desk, FetchOptions(), peer=peer, route=route, stop=stop)
        push_all(self._desk, self._sources, peer=peer, route=route, stop=stop)


class HubPoller(Errands):
    """Waits at each of the node's hubs for what comes.

    Parameters
    ----------
    desk : Desk
        Of the node that serves.
    wait : float
        Seconds that a hub lets this node wait.
    """

    def __init__(self, desk: Desk, *, wait: float = WAIT) -> None:
        super().__init__("box at")
        self._desk, self._wait = desk, wait

    def run(self, stop: threading.Event) -> bool:
        """Begin at each hub at which nobody waits."""
        hubs = own_hubs(self._desk.context, peer_book(self._desk.context))
        self.begin([hub.id for hub in hubs], self._poll, stop)
        return False

    def _poll(self, hub: str, stop: threading.Event) -> None:
        rest, book = _FIRST, peer_book(self._desk.context)
        while not stop.is_set() and (known := book.get(hub)).is_hub:
            try:
                if not pick_up(self._desk, known, wait=self._wait):
                    stop.wait(_PAUSE)
                rest = _FIRST
            except DiademError:  # the book of routes has it
                stop.wait(rest)
                rest = min(_LONGEST, 2 * rest)


def jobs(context: Context) -> list[Job]:
    """What a node that serves does again and again."""
    desk, sources = desk_of(context), sources_of(context)
    messages, movers = Messages(desk), Movers(desk, sources)
    hub = [Job("hub", partial(_sweep_hub, context), every=60.0)] if has_hub(context) else []
    return [
        Job("messages", messages.run, messages.settle),
        Job("transfers", movers.run, movers.settle),
        Job("arrivals", partial(_tidy, desk)),
        Job("hubs", HubPoller(desk).run),
        Job("routes", partial(_switch, desk), every=30.0),
        Job("notes", partial(_notes, context), every=60.0),
        Job("mirrors", partial(_mirrors, context), every=60.0),
        Job("datasets", partial(_datasets, context)),
        Job("tell", partial(_tell, context), every=EVERY),
        *hub,
    ]


def _tidy(desk: Desk, _: threading.Event) -> bool:
    tidy(desk)  # by itself: a store whose server hangs keeps no message waiting
    return False


def _switch(desk: Desk, _: threading.Event) -> bool:
    switch_all(desk, request)
    return False


def _notes(context: Context, _: threading.Event) -> bool:
    tell_notes(PeerVerbs(context, patience=0.0))
    return False


def _mirrors(context: Context, _: threading.Event) -> bool:
    mirror(context)
    return False


def _datasets(context: Context, _: threading.Event) -> bool:
    """Of what was pushed here, or was left by a process that was killed."""
    context.follower.enter_owed()
    return False


def _tell(context: Context, _: threading.Event) -> bool:
    with suppress(DocumentError):  # somebody is editing settings or policy: what was known stays known
        context.refresh()
    tell_verbs(context).now()
    return False


def _sweep_hub(context: Context, _: threading.Event) -> bool:
    if swept := hub_of(context).sweep():
        _HUB_LOG.info("hub deleted: %s", swept)
    return False
