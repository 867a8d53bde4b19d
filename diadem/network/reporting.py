"""Telling how far a transfer is: the book of this side every second, the other side every few."""

from __future__ import annotations

import contextlib
import time
from typing import Final

from diadem.errors import DiademError
from diadem.model import canonical
from diadem.model.times import time_text
from diadem.model.transfers import MOVING, Counts, Transfer, new_id
from diadem.network.desk import Desk
from diadem.network.fetching import Fetch
from diadem.network.limits import MAX_MESSAGE
from diadem.network.link import Link
from diadem.network.mail.pickup import collect
from diadem.network.messages import PROGRESS, Message

#: Seconds between two notes in the book, and between two messages.
_NOTED, _TOLD = 1.0, 5.0
_SMOOTHED: Final = 0.3
_STILL: Final = frozenset(map(str, MOVING))


class Reporter:
    """Reports one transfer that is being fetched.

    Parameters
    ----------
    desk : Desk
        Of the receiver.
    transfer : Transfer
        Which.
    """

    def __init__(self, desk: Desk, transfer: Transfer) -> None:
        self._desk, self._transfer = desk, transfer
        self._noted = self._told = time.monotonic()
        self._counted = Counts()
        self._done = transfer.done
        self._rate = 0.0

    def tick(self, fetch: Fetch, link: Link) -> bool:
        """Report where it is time to; whether to stop: a person paused or ended the transfer."""
        if time.monotonic() - self._noted < _NOTED:
            return False
        self.note(fetch)
        if time.monotonic() - self._told >= _TOLD:
            self._told = time.monotonic()
            self.tell(link)
        known = self._desk.book.get(self._transfer.id)
        return known.paused or known.state not in MOVING or known.route != self._transfer.route

    def note(self, fetch: Fetch) -> None:
        """Write into the book what came since the last time."""
        now, counts, done = time.monotonic(), fetch.counts, fetch.done
        seconds = max(now - self._noted, 1e-3)
        fresh = max(0, done - self._done) / seconds
        self._rate = fresh if not self._rate else (1 - _SMOOTHED) * self._rate + _SMOOTHED * fresh
        before = self._counted
        delta = Counts(
            counts.received - before.received, 0, counts.again - before.again, counts.retries - before.retries
        )
        self._desk.book.count(self._transfer.id, delta, done, self._rate)
        self._noted, self._counted, self._done = now, counts, done

    def tell(self, link: Link) -> None:
        """Tell the sender; what it does not hear now it hears the next time. Where it has ended it, hear that at once.

        Only what is signed ends the transfer here: it is fetched.
        """
        about = {
            "state": "transferring",
            "done": self._done,
            "total": self._transfer.bytes,
            "rate": int(self._rate),
        }
        own, peer = self._desk.node, self._transfer.peer
        message = Message(new_id(), PROGRESS, self._transfer.id, own, peer, time_text(self._desk.now), "", about)
        with contextlib.suppress(DiademError):
            answer = canonical.decode(link.post_message(message.to_bytes()), where="answer", limit=MAX_MESSAGE)
            if isinstance(answer, dict) and str(answer.get("state")) not in _STILL:
                collect(self._desk, peer)
