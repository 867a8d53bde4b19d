"""Putting something sealed into the box that another node has at a hub."""

from __future__ import annotations

from typing import Any

from diadem.errors import DiademError, Unreachable
from diadem.model.carriers import CarrierFull
from diadem.model.peers import Peer
from diadem.model.routes import DIRECT
from diadem.network.box_lists import tell_hub
from diadem.network.messages import new_id
from diadem.network.network import Network
from diadem.network.route_book import Put, route_book
from diadem.network.routing import through
from diadem.network.sealed_messages import SealedMessage, seal_message
from diadem.node.context import Context


def put_sealed(
    context: Context,
    network: Network,
    hub: Peer,
    to: tuple[str, str],
    said: tuple[str, Any],
    *,
    about: str = "",
    seen: str = "",
    invitation: str = "",
) -> None:
    """Say something to a node over a hub.

    Parameters
    ----------
    context, network : Context and Network
        Of this node.
    hub : Peer
        Where it is put down.
    to : tuple of str
        Id of the node, and its age recipient.
    said : tuple of str and object
        Kind and content, as `SealedMessage` has them.
    about : str
        By what an answer to it is recognised; "" for what is not answered.
    seen : str
        See `Put`.
    invitation : str
        SHA-256 of the secret of the ticket that lets this node do so.

    Raises
    ------
    Unreachable
        The hub does not answer, or has no room.
    NotFound, Refused
        The hub takes nothing from this node for that one.
    """
    now, book = context.clock(), route_book(context)
    one = SealedMessage(new_id(), context.settings.id, to[0], now.replace(microsecond=0), *said)
    data = seal_message(one, context.keys.open("online"), to[1])
    try:
        tell_hub(context, network, hub)  # else what answers it would find no box
        network.hub(hub.id).put_message(to[0], one.id, data, invitation=invitation)
    except DiademError as error:
        book.failed(to[0], through(hub), now, error.message)
        if isinstance(error, Unreachable) and not isinstance(error, CarrierFull):
            book.failed(hub.id, DIRECT, now, error.message)
        raise
    book.worked(to[0], through(hub), now)
    if about:
        book.put(Put(one.id, about, hub.id, now, seen))
