"""Fetching an accepted package from its sender: whole, or as far as it comes, to go on later."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final

from diadem.errors import IntegrityError, Interrupted, PackageError, Refused
from diadem.model.manifest import TAGMANIFEST
from diadem.model.ports import Listener
from diadem.model.transfers import IN, MOVING, State, Transfer
from diadem.network.arrival import Arrival
from diadem.network.desk import Desk
from diadem.network.fetching import MAX_CONNECTIONS, NEAR, NEAR_CONNECTIONS, WAITS, Fetch, Wish
from diadem.network.intake import Follower
from diadem.network.landing import Landing, go_on, note_fault, place_of
from diadem.network.link import Link
from diadem.network.reporting import Reporter
from diadem.network.tag_parts import limit_of
from diadem.store.contract import Pace

#: Below a rate, what comes within these seconds may wait unread, of a connection from so many bytes to so many. The
#: system would take in megabytes more, which come again where the process ends.
_AHEAD: Final = 0.1
_LEAST, _MOST = 128 << 10, 512 << 10


@dataclass(frozen=True, slots=True)
class Wishes:
    """How a package is to be fetched.

    Attributes
    ----------
    connections : int or None
        At once; None for as many as the way to the sender asks for.
    max_rate : float or None
        Bytes a second at most.
    waits : tuple of float
        Seconds between two tries to reach the sender.
    """

    connections: int | None = None
    max_rate: float | None = None
    waits: tuple[float, ...] = WAITS


def receive_package(
    desk: Desk, transfer_id: str, wishes: Wishes, *, listener: Listener, stop: threading.Event | None = None
) -> Transfer:
    """Fetch an accepted package and land it; a package that is received already stays so.

    Raises
    ------
    Interrupted
        A person stopped it, or `stop` was set. What is here stays.
    Unreachable
        The sender does not answer. What is here stays.
    NotFound, Refused
        The sender gives nothing more, or it is over.
    IntegrityError, PackageError
        What came is not what was offered; the transfer has failed, and goes on when the sender mended its package.
    """
    transfer = desk.book.get(transfer_id)
    if transfer.state in (State.RECEIVED, State.CLOSED):
        return transfer
    if transfer.direction != IN or not (transfer.state in MOVING or transfer.state is State.FAILED):
        raise Refused(f"the transfer is {transfer.state}: there is nothing to fetch", next="See: diadem transfer ls")
    if transfer.paused or not transfer.acceptance:
        raise Refused("the transfer is paused, or was never accepted", next=go_on(transfer.id))
    arrival = Arrival.open(place_of(desk, transfer), transfer.id)
    landing = Landing(desk, transfer, arrival)
    try:
        landed = _Pull(desk, landing, wishes, listener, stop or threading.Event()).run()
    except BaseException as error:
        landing.close()
        note_fault(desk, transfer.id, error)
        if isinstance(error, KeyboardInterrupt):
            raise Interrupted("stopped; what has arrived is kept", next=go_on(transfer.id)) from None
        raise
    arrival.remove()
    return landed


class _Pull:
    """One run of one transfer."""

    def __init__(self, desk: Desk, landing: Landing, wishes: Wishes, listener: Listener, stop: threading.Event) -> None:
        self._desk, self._wishes, self._listener, self._stop = desk, wishes, listener, stop
        self._landing = landing
        self._reporter = Reporter(desk, landing.transfer)

    def run(self) -> Transfer:
        """Everything from the first byte to the receipt."""
        landing = self._landing
        landing.step(State.TRANSFERRING, error="", next="")
        if landing.arrival.published:
            return landing.finish(landing.published(), self._listener)
        link = self._desk.link(landing.transfer.peer)
        opened = landing.begin(self._tag_files(link))
        self._payload(link)
        self._reporter.tell(link)  # who took it back meanwhile is heard before it lands
        return landing.finish(opened, self._listener)

    def _tag_files(self, link: Link) -> bytes:
        """Fetch what is not here of the tag files; returns the tag manifest."""
        landing = self._landing
        if (data := landing.tagmanifest()) is None:
            landing.take_tagmanifest(data := self._part(link))
        if not landing.has_tag_files(data):
            with link.open_part(landing.transfer.id, 1) as incoming:
                landing.take_tag_files(data, incoming)
        return data

    def _part(self, link: Link) -> bytes:
        limit = limit_of(TAGMANIFEST)
        data = bytearray(limit + 1)
        view, at = memoryview(data), 0
        with link.open_part(self._landing.transfer.id, 0) as incoming:
            while at < len(data) and (count := incoming.readinto(view[at:])):
                at += count
        if at > limit:
            raise PackageError(f"the tag manifest has more than {limit:,} bytes", where=TAGMANIFEST)
        return bytes(view[:at])

    def _payload(self, link: Link) -> None:
        """Everything that is missing; whole files that the disk gives back changed are fetched once more."""
        landing = self._landing
        self._fetch(link, landing.follow(known=True))
        if landing.judged():
            self._fetch(link, landing.follow())
            if again := landing.judged():
                path = landing.arrival.manifest.entries[min(again)].path
                raise IntegrityError(
                    "the disk returns different bytes than were written", where=path, next="Check the disk."
                )

    def _fetch(self, link: Link, follower: Follower) -> None:
        landing, wishes = self._landing, self._wishes
        pace = Pace(wishes.max_rate) if wishes.max_rate else None
        allowed = landing.transfer.ceiling - self._desk.book.get(landing.transfer.id).counts.received
        connections = wishes.connections or (NEAR_CONNECTIONS if link.round_trip < NEAR else MAX_CONNECTIONS)
        ahead = int(min(max(wishes.max_rate * _AHEAD / connections, _LEAST), _MOST)) if wishes.max_rate else 0
        wish = Wish(self._listener, lambda: False, connections, pace, ahead, wishes.waits)
        fetch = Fetch(landing.transfer.id, landing.peer, landing.arrival, follower, link, wish, allowed)
        wish.stop = lambda: self._stop.is_set() or self._reporter.tick(fetch, link)
        try:
            fetch.run()
        finally:
            self._reporter.note(fetch)
