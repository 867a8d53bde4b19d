"""Asking the peers what waits there for this node: all at once, and no dead one keeps anybody waiting."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from typing import Final

from diadem.errors import DiademError
from diadem.transfer.desk import Desk
from diadem.transfer.postman import collect, deliver_all

#: Seconds that a person waits for peers at most.
PATIENCE: Final = 5.0
#: Peers that are asked at once.
_AT_ONCE: Final = 16


def ask_peers(desk: Desk, *, patience: float = PATIENCE) -> None:
    """Hand over what waits here and take what waits at the peers, as far as they answer in time.

    Parameters
    ----------
    desk : Desk
        The node's.
    patience : float
        Seconds; who answers later is heard the next time.
    """
    peers = list(desk.network.reachable())
    if not peers:
        return
    pool = ThreadPoolExecutor(min(len(peers), _AT_ONCE), "diadem-ask")
    try:
        wait([pool.submit(_quietly, partial(_exchange, desk, peer)) for peer in peers], timeout=patience)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _exchange(desk: Desk, peer: str) -> None:
    deliver_all(desk, peer=peer, due=False)
    collect(desk, peer)


def _quietly(work: Callable[[], None]) -> None:
    with contextlib.suppress(DiademError):  # it is asked again the next time; what is due to it is kept
        work()
