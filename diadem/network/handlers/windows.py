"""Parts and windows of a package that was accepted: given to the receiver, or taken from the sender."""

from __future__ import annotations

from typing import Final, NoReturn

from diadem.errors import Refused
from diadem.network.desk import desk_of
from diadem.network.exchange import BYTES, PARAMETERS, Intake, Request, Response, Route, Services
from diadem.network.handlers.messages import asking_node
from diadem.network.pushed import Pushed
from diadem.network.serving import Serving
from diadem.network.windows import WINDOW
from diadem.node.context import Context


def serving_of(context: Context) -> Serving:
    """What gives out the packages of a node; one for all its threads."""
    return context.once("serving", lambda: Serving(desk_of(context)))


def give_part(request: Request, services: Services) -> Response:
    """Part 0 (the tag manifest) or 1 (the other tag files, each behind its length)."""
    peer, transfer = asking_node(request, services), request.params["transfer"]
    return serving_of(services.context).part(peer, transfer, int(request.params["part"]))


def give_window(request: Request, services: Services) -> Response:
    """A payload window, or the range of it that is asked for."""
    peer, transfer = asking_node(request, services), request.params["transfer"]
    return serving_of(services.context).window(peer, transfer, int(request.params["number"]), request.range)


def pushed_of(context: Context) -> Pushed:
    """What takes in the packages that are pushed to a node; one for all its threads."""
    return context.once("pushed", lambda: Pushed(desk_of(context)))


def let_go(context: Context) -> None:
    """Let go of what is pushed no more; done again and again by who takes it in."""
    pushed_of(context).let_go()


def say_have(request: Request, services: Services) -> Response:
    """What is here of a package that is pushed."""
    return Response.json(pushed_of(services.context).have(asking_node(request, services), request.params["transfer"]))


def take_part(request: Request, services: Services) -> Response:
    """Take a part that is pushed."""
    peer, transfer = asking_node(request, services), request.params["transfer"]
    pushed_of(services.context).put_part(peer, transfer, int(request.params["part"]), request.body)
    return Response.json({"state": "taken"})


def take_window(request: Request, services: Services) -> Response:
    """Take leaves of a window that are here as a whole."""
    intake = take_in_window(request, services, len(request.body))
    intake.take(request.body)
    return intake.end()


def take_in_window(request: Request, services: Services, length: int) -> Intake:
    """Take leaves of a window as they come."""
    peer, transfer = asking_node(request, services), request.params["transfer"]
    number, start = int(request.params["number"]), int(request.query.get("from", "0"))
    return pushed_of(services.context).window(peer, transfer, number, start, length)


def refuse_pushed(_request: Request, _services: Services) -> NoReturn:
    """Answer a push at a node that is served by several processes: what arrives is in the hands of one."""
    raise Refused(
        "this node is served by several processes, and cannot receive pushed packages",
        next="Ask its people to serve it without --workers, or give your own node an address to fetch from.",
    )


#: Bytes of the tag files of a package that can be pushed; a larger one is fetched.
_PART: Final = 64 << 20
#: What one process alone can answer.
PUSHED: Final = (
    Route("GET", "transfers/{transfer}/have", say_have, "What this node has of a package that you push."),
    Route(
        "PUT",
        "transfers/{transfer}/parts/{part}",
        take_part,
        "Push the tag files of a package that was accepted.",
        takes=BYTES,
        body=_PART,
    ),
    Route(
        "PUT",
        "transfers/{transfer}/windows/{number}",
        take_window,
        "Push a payload window of a package that was accepted, or whole leaves of it from a byte on.",
        takes=BYTES,
        body=WINDOW,
        query={"from": PARAMETERS["number"]},
        intake=take_in_window,
    ),
)
ROUTES: Final = (
    *PUSHED,
    Route(
        "GET",
        "transfers/{transfer}/parts/{part}",
        give_part,
        "Tag files of a package that you accepted.",
        gives=BYTES,
        answers={200: "the part"},
    ),
    Route(
        "GET",
        "transfers/{transfer}/windows/{number}",
        give_window,
        "A payload window of a package that you accepted.",
        gives=BYTES,
        answers={200: "the window", 206: "a part of it"},
    ),
)
