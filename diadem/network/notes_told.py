"""Telling peers this node's newest card and note by itself, and learning theirs: new addresses, hubs and keys."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Final

from diadem.model.peers import Peer, PeerState
from diadem.network.asking import TOGETHER, do_all
from diadem.network.outbox import outbox_of
from diadem.network.peer_verbs import PeerVerbs
from diadem.network.route_book import route_book
from diadem.network.routing import common_hubs
from diadem.node.context import Context
from diadem.node.peers.book import peer_book
from diadem.node.peers.notes import endpoint_note
from diadem.trust.hashing import sha256_hex

#: Between two times that a peer is told, whatever changes meanwhile and whether it answers or not.
_REST: Final = timedelta(minutes=10)
#: So often a peer that can be called is asked for what is new there.
_ASK: Final = timedelta(days=1)


def tell_notes(peers: PeerVerbs) -> int:
    """Exchange cards and notes with each peer that does not have this node's newest note; how many were asked.

    Parameters
    ----------
    peers : PeerVerbs
        Of this node. Who is reached over a hub answers later: the caller has no patience.
    """
    context, routes = peers.context, route_book(peers.context)
    newest, now = sha256_hex(endpoint_note(context, peer_book(context))), context.clock()
    asked, later = 0, list[Callable[[], object]]()
    for peer in sorted(peers.ls(), key=lambda peer: not peer.is_hub):  # a hub lets this node in by its newest key only
        if peer.state is not PeerState.CONFIRMED or not (peer.has_address or common_hubs(context, peer)):
            continue
        told, at, tried = routes.told_note(peer.id)
        stale = peer.has_address and (at is None or at + _ASK < now)
        if (
            (told == newest and not stale)
            or (tried is not None and tried + _REST > now)
            or _lies(context, peer, newest)
        ):
            continue
        routes.try_note(peer.id, now)
        ask = partial(peers.refresh, peer.name)  # not there, or not yet: it is told the next time, or when it answers
        if peer.is_hub:
            do_all([ask], TOGETHER)
        else:
            later.append(ask)
        asked += 1
    do_all(later, TOGETHER)
    return asked


def _lies(context: Context, peer: Peer, newest: str) -> bool:
    """Whether the newest note lies at a hub for a peer, and is put down again until it answers."""
    pending = outbox_of(context).introduction(peer.id)
    return pending is not None and not pending.refused and sha256_hex(pending.said.endpoint) == newest
