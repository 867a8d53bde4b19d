"""Whom the node takes the asker for: what `diadem doctor` and a new peer look at first."""

from __future__ import annotations

from diadem.network.exchange import Request, Response, Services, route


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
