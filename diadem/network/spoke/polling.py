"""Waiting at the hubs for what comes, as a node that serves does: for each hub in a thread of its own."""

from __future__ import annotations

import threading
from typing import Final

from diadem.errors import DiademError
from diadem.model.peers import Peer
from diadem.network.desk import Desk
from diadem.network.spoke.picking_up import pick_up
from diadem.node.peers.book import peer_book
from diadem.node.peers.notes import own_hubs

#: Seconds that a hub lets this node wait for something new.
WAIT: Final = 25.0
#: Seconds after nothing came, for a hub that lets nobody wait.
_PAUSE: Final = 0.5
#: Seconds after a hub did not answer: the first time, and at most.
_FIRST, _LONGEST = 2.0, 300.0


class Polling:
    """Picks up at each of the node's hubs, one thread a hub: one that does not answer keeps no other waiting.

    Parameters
    ----------
    desk : Desk
        Of the node that serves.
    wait : float
        Seconds that a hub lets this node wait.
    """

    def __init__(self, desk: Desk, *, wait: float = WAIT) -> None:
        self._desk, self._wait = desk, wait
        self._threads: dict[str, threading.Thread] = {}

    def run(self, stop: threading.Event) -> bool:
        """Begin at each hub at which nobody waits."""
        for hub in own_hubs(self._desk.context, peer_book(self._desk.context)):
            known = self._threads.get(hub.id)
            if known is None or not known.is_alive():
                thread = threading.Thread(target=self._poll, args=(hub, stop), name=f"box at {hub.name}", daemon=True)
                self._threads[hub.id] = thread
                thread.start()
        return False

    def _poll(self, hub: Peer, stop: threading.Event) -> None:
        rest = _FIRST
        while not stop.is_set() and peer_book(self._desk.context).get(hub.id).is_hub:
            try:
                if not pick_up(self._desk, hub, wait=self._wait):
                    stop.wait(_PAUSE)
                rest = _FIRST
            except DiademError:  # the book of routes has it
                stop.wait(rest)
                rest = min(_LONGEST, 2 * rest)
