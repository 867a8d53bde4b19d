"""What peers say of transfers to each other, and the parts and windows of packages: handed over, or fetched."""

from __future__ import annotations

import json
from typing import Final, NoReturn

from diadem.errors import NotFound, Refused
from diadem.model.routes import DIRECT
from diadem.model.signers import PEER
from diadem.network.desk import desk_of
from diadem.network.exchange import BYTES, PARAMETERS, Intake, Request, Response, Services, route
from diadem.network.incoming import receive
from diadem.network.limits import MAX_EMPTY, MAX_MESSAGE, MAX_PUSHED_PART
from diadem.network.mail.delivery import acknowledged, waiting_for
from diadem.network.pushed import Pushed
from diadem.network.routing import note_call
from diadem.network.source import Source, sources_of
from diadem.network.windows import RUN, WINDOW
from diadem.node.context import Context

# -- control messages --------------------------------------------------------------------------------------------------


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


# -- packages that were accepted ---------------------------------------------------------------------------------------


@route("GET", "transfers/{transfer}/parts/{part}", gives=BYTES, answers={200: "the part"})
def give_part(request: Request, services: Services) -> Response:
    """Tag files of a package that you accepted."""
    size, blocks = _asked_for(request, services).part(int(request.params["part"]))
    return Response.blocks(blocks, 0, size, of=size)


@route("GET", "transfers/{transfer}/windows/{number}", gives=BYTES, answers={200: "the window", 206: "a part of it"})
def give_window(request: Request, services: Services) -> Response:
    """A payload window of a package that you accepted; a range that names its end may end in one behind it."""
    source, number = _asked_for(request, services), int(request.params["number"])
    size = source.size(number, RUN if request.headers.get("range", "-")[-1:] != "-" else 1)
    start, stop = request.range(size)
    return Response.blocks(source.read(number, start, stop), start, stop, of=size)


def _asked_for(request: Request, services: Services) -> Source:
    return sources_of(services.context).of(asking_node(request, services), request.params["transfer"], DIRECT)


def pushed_of(context: Context) -> Pushed:
    """What takes in the packages that are pushed to a node; one for all its threads."""
    return context.once("pushed", lambda: Pushed(desk_of(context)))


def let_go(context: Context) -> None:
    """Let go of what is pushed no more; done again and again by who takes it in."""
    pushed_of(context).let_go()


@route("GET", "transfers/{transfer}/have")
def say_have(request: Request, services: Services) -> Response:
    """What this node has of a package that you push."""
    return Response.json(pushed_of(services.context).have(asking_node(request, services), request.params["transfer"]))


@route("PUT", "transfers/{transfer}/parts/{part}", takes=BYTES, body=MAX_PUSHED_PART)
def take_part(request: Request, services: Services) -> Response:
    """Push the tag files of a package that was accepted."""
    peer, transfer = asking_node(request, services), request.params["transfer"]
    pushed_of(services.context).put_part(peer, transfer, int(request.params["part"]), request.body)
    return Response.json({"state": "taken"})


def take_in_window(request: Request, services: Services, length: int) -> Intake:
    """Take leaves of a window as they come."""
    peer, transfer = asking_node(request, services), request.params["transfer"]
    number, start = int(request.params["number"]), int(request.query.get("from", "0"))
    return pushed_of(services.context).window(peer, transfer, number, start, length)


@route(
    "PUT",
    "transfers/{transfer}/windows/{number}",
    takes=BYTES,
    body=WINDOW,
    query={"from": PARAMETERS["number"]},
    intake=take_in_window,
)
def take_window(request: Request, services: Services) -> Response:
    """Push a payload window of a package that was accepted, or whole leaves of it from a byte on."""
    intake = take_in_window(request, services, len(request.body))
    intake.take(request.body)
    return intake.end()


def refuse_pushed(_request: Request, _services: Services) -> NoReturn:
    """Answer a push at a node that is served by several processes: what arrives is in the hands of one."""
    raise Refused(
        "this node is served by several processes, and cannot receive pushed packages",
        next="Ask its people to serve it without --workers, or give your own node an address to fetch from.",
    )


#: What one process alone can answer.
PUSHED: Final = (say_have, take_part, take_window)
