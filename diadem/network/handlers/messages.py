"""Control messages: handed over by a peer, or fetched by one that cannot be reached."""

from __future__ import annotations

import json
from typing import Final

from diadem.errors import NotFound
from diadem.model.signers import PEER
from diadem.network.desk import desk_of
from diadem.network.exchange import JSON, Request, Response, Route, Services
from diadem.network.incoming import receive
from diadem.network.messages import MAX_BYTES
from diadem.network.postman import acknowledged, waiting_for
from diadem.network.routing import note_call


def asking_node(request: Request, services: Services) -> str:
    """Id of the confirmed peer that asks; that it called is noted. Raises the one `NotFound` for anybody else."""
    asker = request.known_asker
    if asker.kind != PEER or not asker.node_id:
        raise NotFound("there is nothing here that you may see")
    note_call(services.context, asker.node_id)
    return asker.node_id


def take_message(request: Request, services: Services) -> Response:
    """Take a control message; what answers it is in the answer."""
    answer = receive(desk_of(services.context), asking_node(request, services), request.body)
    return Response(200, {"content-type": JSON}, answer)


def give_messages(request: Request, services: Services) -> Response:
    """The oldest messages that wait here for the asking node; 204 where there are none."""
    waiting = waiting_for(desk_of(services.context), asking_node(request, services))
    if not waiting:
        return Response(204)
    return Response.json({"messages": [json.loads(data) for data in waiting]})


def acknowledge(request: Request, services: Services) -> Response:
    """A message that was fetched need not be sent any more."""
    acknowledged(desk_of(services.context), asking_node(request, services), request.params["message"])
    return Response.json({"state": "acknowledged"})


#: Bytes of an object without members, and some to spare.
_EMPTY: Final = 64
ROUTES: Final = (
    Route("POST", "messages", take_message, "Hand over a control message.", body=MAX_BYTES),
    Route(
        "GET",
        "messages",
        give_messages,
        "Fetch the control messages that wait here for you.",
        query={"wait": "[0-9]{1,2}"},
        answers={200: "some messages", 204: "there are none"},
        waits=True,
    ),
    Route("POST", "messages/{message}/ack", acknowledge, "Say that you have a message that you fetched.", body=_EMPTY),
)
