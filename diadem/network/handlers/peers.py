"""Nodes and people that introduce themselves, and whoever asks how they are seen."""

from __future__ import annotations

from diadem.errors import NotFound
from diadem.network.exchange import Request, Response, Services, route
from diadem.network.limits import MAX_INTRODUCTION
from diadem.network.logins import MAX_LOGIN, answer_login
from diadem.network.peering import answer_join, peer_view


@route(
    "POST",
    "peer/join",
    auth="introduced",
    body=MAX_INTRODUCTION,
    answers={200: "who this node is, and how it sees you", 409: "the ticket does not hold"},
)
def join(request: Request, services: Services) -> Response:
    """A node introduces itself, with a ticket or as one that is known."""
    return Response.line(answer_join(services.context, request.body, request.known_asker.key_id))


@route(
    "POST",
    "peer/login",
    auth="introduced",
    body=MAX_LOGIN,
    answers={200: "your address, and the card of your key", 409: "the ticket does not hold"},
)
def login(request: Request, services: Services) -> Response:
    """A person introduces a key of their own, with a ticket."""
    return Response.line(answer_login(services.context, request.body, request.known_asker.key_id))


@route("GET", "peer", pending=True, answers={200: "your state here"})
def view(request: Request, services: Services) -> Response:
    """How this node sees you, and its card and endpoint note."""
    asker = request.known_asker
    if asker.kind not in ("peer", "pending"):
        raise NotFound("users are not peers")
    return Response.json(peer_view(services.context, asker.node_id).to_dict())


@route("GET", "whoami", pending=True, answers={200: "your key, and whether it is of a node or a user"})
def whoami(request: Request, services: Services) -> Response:
    """Who you are to this node."""
    asker, settings = request.known_asker, services.context.settings
    return Response.json(
        {
            "asker": {"kind": asker.kind, "key_id": asker.key_id, "node_id": asker.node_id, "address": asker.address},
            "node": {"id": settings.id, "name": settings.name, "version": services.version},
        }
    )
