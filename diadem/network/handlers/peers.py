"""Nodes and people that introduce themselves, and peers that ask how they are seen."""

from __future__ import annotations

from typing import Final

from diadem.errors import NotFound
from diadem.network.exchange import JSON, Request, Response, Route, Services
from diadem.network.introductions import MAX_INTRODUCTION
from diadem.network.logins import MAX_LOGIN, answer_login
from diadem.network.peering import answer_join, peer_view


def join(request: Request, services: Services) -> Response:
    """Answer a node that comes with a ticket, or a peer with its newest keys."""
    body = answer_join(services.context, request.body, request.known_asker.key_id)
    return Response(200, {"content-type": JSON}, body)


def login(request: Request, services: Services) -> Response:
    """Take in a person who comes with a ticket."""
    body = answer_login(services.context, request.body, request.known_asker.key_id)
    return Response(200, {"content-type": JSON}, body)


def view(request: Request, services: Services) -> Response:
    """Say how this node sees the peer that asks."""
    asker = request.known_asker
    if asker.kind not in ("peer", "pending"):
        raise NotFound("users are not peers")
    return Response.json(peer_view(services.context, asker.node_id).to_dict())


ROUTES: Final = (
    Route(
        "POST",
        "peer/join",
        join,
        "A node introduces itself, with a ticket or as one that is known.",
        auth="introduced",
        body=MAX_INTRODUCTION,
        answers={200: "who this node is, and how it sees you", 409: "the ticket does not hold"},
    ),
    Route(
        "POST",
        "peer/login",
        login,
        "A person introduces a key of their own, with a ticket.",
        auth="introduced",
        body=MAX_LOGIN,
        answers={200: "your address, and the card of your key", 409: "the ticket does not hold"},
    ),
    Route(
        "GET",
        "peer",
        view,
        "How this node sees you, and its card and endpoint note.",
        pending=True,
        answers={200: "your state here"},
    ),
)
