"""Putting something sealed into the box that another node has at a hub."""

from __future__ import annotations

from typing import Any

from diadem.errors import DiademError, Unreachable
from diadem.model.carriers import CarrierFull
from diadem.model.peers import Peer
from diadem.model.routes import DIRECT
from diadem.network.box_lists import tell_hub
from diadem.network.desk import Desk
from diadem.network.messages import new_id
from diadem.network.route_book import Put, route_book
from diadem.network.routing import through
from diadem.network.sealed_messages import SealedMessage, seal_message


def put_sealed(
    desk: Desk,
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
    desk : Desk
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
    now, book = desk.now, route_book(desk.context)
    one = SealedMessage(new_id(), desk.node, to[0], now.replace(microsecond=0), *said)
    data = seal_message(one, desk.context.keys.open("online"), to[1])
    try:
        tell_hub(desk, hub)  # else what answers it would find no box
        desk.hub(hub.id).put_message(to[0], one.id, data, invitation=invitation)
    except DiademError as error:
        book.failed(to[0], through(hub), now, error.message)
        if isinstance(error, Unreachable) and not isinstance(error, CarrierFull):
            book.failed(hub.id, DIRECT, now, error.message)
        raise
    book.worked(to[0], through(hub), now)
    if about:
        book.put(Put(one.id, about, hub.id, now, seen))
