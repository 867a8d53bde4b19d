"""Asking peers and hubs what waits there for this node: all at once, and no dead one keeps anybody waiting."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from diadem.errors import DiademError
from diadem.model.peers import Peer, PeerState
from diadem.network.desk import Desk
from diadem.node.peers.book import peer_book
from diadem.node.peers.notes import own_hubs

#: Seconds that a person waits for peers at most.
PATIENCE: Final = 5.0
#: Seconds that peers get together to take their messages, and to give those that wait there.
TOGETHER: Final = 60.0
#: Peers that are asked at once.
_AT_ONCE: Final = 16


def ask_peers(desk: Desk, *, patience: float = PATIENCE, hubs_only: bool = False) -> None:
    """Hand over what waits here and take what waits at peers and hubs, as far as they answer in time.

    Parameters
    ----------
    desk : Desk
        The node's.
    patience : float
        Seconds; who answers later is heard the next time.
    hubs_only : bool
        Only what lies at the hubs.
    """
    work: list[Callable[[], object]] = [
        partial(exchange_at, desk, hub) for hub in own_hubs(desk.context, peer_book(desk.context))
    ]
    if not hubs_only:
        work += [partial(_exchange, desk, peer) for peer in desk.reachable()]
    do_all(work, patience)


def tell_peers(desk: Desk) -> None:
    """Hand over everything that waits here: to all peers at once."""
    from diadem.network.mail.delivery import deliver_all

    do_all([partial(deliver_all, desk, peer=peer, due=False) for peer in desk.outbox.peers()], TOGETHER)


def do_all(work: Sequence[Callable[[], object]], patience: float) -> None:
    """Do everything, some at once, and wait so many seconds at most; what has not begun by then is left.

    What is still being done then keeps no command from ending: threads of a pool would be waited for.
    """
    turns, over = threading.Semaphore(_AT_ONCE), threading.Event()

    def do(one: Callable[[], object]) -> None:
        with turns, contextlib.suppress(DiademError):  # asked again the next time; what is due to it is kept
            if not over.is_set():
                one()

    threads = [threading.Thread(target=do, args=(one,), name="diadem-ask", daemon=True) for one in work]
    for thread in threads:
        thread.start()
    until = time.monotonic() + patience
    try:
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
    finally:
        over.set()


def _exchange(desk: Desk, peer: str) -> None:
    from diadem.network.mail.delivery import deliver_all
    from diadem.network.mail.pickup import collect

    deliver_all(desk, peer=peer, due=False)
    collect(desk, peer)


def exchange_at(desk: Desk, hub: Peer) -> int:
    """Put down what peers that are reached through a hub do not have, and pick up what lies there; how much came.

    Raises
    ------
    Unreachable, NotFound, Refused
        The hub does not answer, or does not know this node.
    """
    from diadem.network.mail.delivery import deliver_all
    from diadem.network.mail.pickup import pick_up
    from diadem.network.routing import common_hubs

    known = [one for one in peer_book(desk.context).ls() if one.state is PeerState.CONFIRMED]
    there = {one.id for one in known if hub in common_hubs(desk.context, one)}
    there |= {one.peer for one in desk.outbox.introductions() if one.hub == hub.id}
    for peer in desk.outbox.peers():
        if peer in there:
            deliver_all(desk, peer=peer, due=False)
    return pick_up(desk, hub)
