"""Control messages: handed over by a peer, or fetched by one that cannot be reached."""

from __future__ import annotations

import json

from diadem.errors import NotFound
from diadem.model.signers import PEER
from diadem.network.desk import desk_of
from diadem.network.exchange import Request, Response, Services, route
from diadem.network.incoming import receive
from diadem.network.limits import MAX_EMPTY, MAX_MESSAGE
from diadem.network.mail.delivery import acknowledged, waiting_for
from diadem.network.routing import note_call


def asking_node(request: Request, services: Services) -> str:
    """Id of the confirmed peer that asks; that it called is noted. Raises the one `NotFound` for anybody else."""
    asker = request.known_asker
    if asker.kind != PEER or not asker.node_id:
        raise NotFound("there is nothing here that you may see")
    note_call(services.context, asker.node_id)
    return asker.node_id


@route("POST", "messages", body=MAX_MESSAGE)
def take_message(request: Request, services: Services) -> Response:
    """Hand over a control message."""
    answer = receive(desk_of(services.context), asking_node(request, services), request.body)
    return Response.line(answer)


@route(
    "GET", "messages", query={"wait": "[0-9]{1,2}"}, answers={200: "some messages", 204: "there are none"}, waits=True
)
def give_messages(request: Request, services: Services) -> Response:
    """Fetch the control messages that wait here for you."""
    waiting = waiting_for(desk_of(services.context), asking_node(request, services))
    if not waiting:
        return Response(204)
    return Response.json({"messages": [json.loads(data) for data in waiting]})


@route("POST", "messages/{message}/ack", body=MAX_EMPTY)
def acknowledge(request: Request, services: Services) -> Response:
    """Say that you have a message that you fetched."""
    acknowledged(desk_of(services.context), asking_node(request, services), request.params["message"])
    return Response.json({"state": "acknowledged"})
