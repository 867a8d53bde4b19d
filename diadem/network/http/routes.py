"""The whole table: what nodes are answered, and what the listener says of itself."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final

from diadem.network.exchange import Request, Response, Route, Services
from diadem.network.handlers import routes as transfer_routes
from diadem.network.http.openapi import description


def health(_: Request, __: Services) -> Response:
    """Say that somebody is here; nothing more, for everybody may ask."""
    return Response.json({"ok": True})


def openapi(_: Request, services: Services) -> Response:
    """The description of the interface, made from the table."""
    return _described(services.version)


@cache
def _described(version: str) -> Response:
    return Response.json(description(every_route(), version=version))


_OWN: Final = (
    Route("GET", "health", health, "Whether a node listens here.", auth="none", answers={200: "it does"}),
    Route("GET", "openapi.json", openapi, "This description.", auth="none", answers={200: "OpenAPI 3.1"}),
)


def every_route() -> Sequence[Route]:
    """Every route."""
    return (*_OWN, *transfer_routes())
