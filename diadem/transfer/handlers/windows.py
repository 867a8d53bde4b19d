"""Parts and windows of a package that was accepted: given to the receiver."""

from __future__ import annotations

from typing import Final

from diadem.node.context import Context
from diadem.transfer.desks import desk_of
from diadem.transfer.exchange import BYTES, Request, Response, Route, Services
from diadem.transfer.handlers.messages import asking_node
from diadem.transfer.serving import Serving


def serving_of(context: Context) -> Serving:
    """What gives out the packages of a node; one for all its threads."""
    desk = desk_of(context)
    with context.locked("serving"):
        for one in context.kept:
            if isinstance(one, Serving):
                return one
        context.kept.append(serving := Serving(desk))
        return serving


def give_part(request: Request, services: Services) -> Response:
    """Part 0 (the tag manifest) or 1 (the other tag files, each behind its length)."""
    peer, transfer = asking_node(request), request.params["transfer"]
    return serving_of(services.context).part(peer, transfer, int(request.params["part"]))


def give_window(request: Request, services: Services) -> Response:
    """A payload window, or the range of it that is asked for."""
    peer, transfer = asking_node(request), request.params["transfer"]
    serving = serving_of(services.context)
    size = serving.size(peer, transfer, int(request.params["number"]))
    start, stop = request.range(size)
    return serving.window(peer, transfer, int(request.params["number"]), start, stop)


ROUTES: Final = (
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
