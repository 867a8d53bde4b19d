"""What a hub answers its spokes: boxes with sealed messages, and relays with sealed objects.

Where this node is no hub, and for whoever has no part in what is asked for, there is the one 404.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from diadem.errors import PackageError, Unreachable, UsageError
from diadem.model.carriers import MAX_OBJECT
from diadem.model.peer_checks import HEX, matches
from diadem.network.exchange import BYTES, RANGED, Request, Response, Services, route
from diadem.network.hub.hub import Hub, hub_of, spoke_of
from diadem.network.hub.notes import DELETED, DELIVERED, STORED
from diadem.network.limits import (
    MAX_EMPTY,
    MAX_INVITATIONS,
    MAX_LIST,
    MAX_NAMES,
    MAX_QUESTION,
    MAX_SEALED,
    MAX_SENDERS,
)
from diadem.network.relay.hub_evidence import relay_chain
from diadem.store.bags import open_below
from diadem.store.system import long_path
from diadem.trust.http_signature import digest_of

_STORES: Final = {200: "it is stored: a signed note", 507: "there is no room now"}
_WAITS: Final[dict[str, Any]] = {
    "query": {"wait": "[0-9]{1,2}"},
    "answers": {200: "some of them, the oldest first", 204: "there are none"},
    "waits": True,
}


@route("GET", "hub", answers={200: "limits, and what is used"})
def tell(request: Request, services: Services) -> Response:
    """What this hub allows and holds for you."""
    spoke, hub = _asked(request, services)
    return Response.json(hub.told(spoke))


# -- boxes -----------------------------------------------------------------------------------------------------------


@route("PUT", "hub/box", body=MAX_LIST, answers={200: "they may"})
def set_box(request: Request, services: Services) -> Response:
    """Say who may put messages into your box."""
    spoke, hub = _asked(request, services)
    nodes, invitations = _lists(request, **{"from": MAX_SENDERS, "invitations": MAX_INVITATIONS})
    if not all(matches(HEX, one) for one in (*nodes, *invitations)):
        raise UsageError("ids of nodes and hashes of invitations have 64 hex digits", where="request body")
    hub.boxes.allow(spoke, nodes, invitations)
    return Response.json({"from": len(nodes), "invitations": len(invitations)})


@route(
    "PUT",
    "hub/boxes/{node}/{message}",
    body=MAX_SEALED,
    takes=BYTES,
    query={"invitation": "[0-9a-f]{64}"},
    answers=_STORES,
)
def put_message(request: Request, services: Services) -> Response:
    """Put a sealed message into the box of a node that has named you, or whose invitation you have."""
    sender, hub = _asked(request, services)
    box, message = hub.spoke(request.params["node"]).id, request.params["message"]
    invitation = request.query.get("invitation", "")
    letter = hub.boxes.put(sender, box, message, _body(request), _sha256(request), invitation=invitation)
    return Response.json({"stored": hub.note(STORED, [(letter.id, letter.sha256, letter.bytes)], box=box)})


@route("GET", "hub/messages", **_WAITS)
def list_messages(request: Request, services: Services) -> Response:
    """The sealed messages that wait for you."""
    spoke, hub = _asked(request, services)
    waiting = hub.boxes.ls(spoke)
    if not waiting:
        return Response(204)
    return Response.json({"messages": [{"id": one.id, "bytes": one.bytes, "at": one.at} for one in waiting]})


@route("GET", "hub/messages/{message}", **RANGED)
def give_message(request: Request, services: Services) -> Response:
    """A sealed message of your box."""
    spoke, hub = _asked(request, services)
    return _given(request, *hub.boxes.find(spoke, request.params["message"]))


@route("POST", "hub/messages/taken", body=MAX_LIST, answers={200: "a signed note"})
def take_messages(request: Request, services: Services) -> Response:
    """Say which messages you have: they are deleted."""
    spoke, hub = _asked(request, services)
    (ids,) = _lists(request, ids=MAX_NAMES)
    gone = hub.boxes.taken(spoke, ids)
    note = hub.note(DELIVERED, [(one.id, one.sha256, one.bytes) for one in gone], box=spoke)
    return Response.json({"delivered": note})


# -- relays ----------------------------------------------------------------------------------------------------------


@route(
    "PUT",
    "hub/relays/{relay}/permit",
    body=MAX_QUESTION,
    answers={200: "until when they are kept", 507: "you have too many relays"},
)
def put_permit(request: Request, services: Services) -> Response:
    """Permit a node to put sealed objects here for you (a DSSE envelope of a permit statement)."""
    _, hub = _asked(request, services)
    relay = request.params["relay"]
    return Response.json({"relay": relay, "expires": hub.permit(request.known_asker, relay, request.body)})


@route("PUT", "hub/relays/{relay}/objects/{object}", body=MAX_OBJECT, takes=BYTES, answers=_STORES)
def put_object(request: Request, services: Services) -> Response:
    """Put a sealed object here, as its recipient permitted. A name is given once."""
    # its digest was signed, and compared with the body: it is not hashed again
    sender, hub = _asked(request, services)
    relay, name = request.params["relay"], request.params["object"]
    hub.spoke(hub.relays.open(relay, sender=sender).recipient)
    held = hub.relays.put(sender, relay, name, _body(request), _sha256(request))
    return Response.json({"stored": hub.note(STORED, [held.row], relay=relay)})


@route("GET", "hub/relays/{relay}/objects", **_WAITS)
def list_objects(request: Request, services: Services) -> Response:
    """The sealed objects that wait in a relay of yours."""
    spoke, hub = _asked(request, services)
    waiting = hub.relays.ls(spoke, request.params["relay"])
    if not waiting:
        return Response(204)
    told = [{"name": one.name, "bytes": one.bytes, "sha256": one.sha256} for one in waiting]
    return Response.json({"objects": told})


@route("GET", "hub/relays/{relay}/objects/{object}", **RANGED)
def give_object(request: Request, services: Services) -> Response:
    """A sealed object for you."""
    spoke, hub = _asked(request, services)
    return _given(request, *hub.relays.find(spoke, request.params["relay"], request.params["object"]))


@route("POST", "hub/relays/{relay}/taken", body=MAX_LIST, answers={200: "a signed note"})
def take_objects(request: Request, services: Services) -> Response:
    """Say which objects you have: they are deleted."""
    spoke, hub = _asked(request, services)
    (names,) = _lists(request, names=MAX_NAMES)
    relay = request.params["relay"]
    gone = hub.relays.taken(spoke, relay, names)
    return Response.json({"delivered": hub.note(DELIVERED, [one.row for one in gone], relay=relay)})


@route("POST", "hub/relays/{relay}/end", body=MAX_EMPTY, answers={200: "a signed note"})
def end_relay(request: Request, services: Services) -> Response:
    """End a relay: everything of it is deleted, and what became of it is stated."""
    spoke, hub = _asked(request, services)
    relay = request.params["relay"]
    hub.relays.require_party(spoke, relay)
    gone = hub.endings.end(relay)
    return Response.json({"deleted": hub.note(DELETED, [one.row for one in gone], relay=relay)})


@route("GET", "hub/relays/{relay}/chain", answers={200: "chain.json"})
def give_chain(request: Request, services: Services) -> Response:
    """What this hub's log says of a relay of yours."""
    spoke, hub = _asked(request, services)
    return Response.line(relay_chain(hub.context, request.params["relay"], spoke))


# -- what was asked --------------------------------------------------------------------------------------------------


def _given(request: Request, path: Path, size: int) -> Response:
    """Bytes of a sealed file of the hub, from the file that was looked at."""
    try:
        reader = open_below(long_path(str(path.parent)), [path.name], path.name)
    except (OSError, PackageError):
        raise Unreachable("what is asked for cannot be read now", next="Try again later.") from None
    return Response.of_file(reader, request, size=size)


def _asked(request: Request, services: Services) -> tuple[str, Hub]:
    spoke = spoke_of(services.context, request.known_asker)
    return spoke, hub_of(services.context)


def _body(request: Request) -> bytes:
    if not request.body:
        raise UsageError("nothing was sent", where="request body")
    return request.body


def _sha256(request: Request) -> str:
    return digest_of(request.headers).hex()


def _lists(request: Request, **most: int) -> list[list[str]]:
    """The lists of texts of a body that has these and nothing else."""
    said: dict[str, Any] = request.document()
    fine = said.keys() == most.keys() and all(
        isinstance(found, list) and len(found) <= most[name] and all(isinstance(one, str) for one in found)
        for name, found in said.items()
    )
    if not fine:
        told = " and ".join(f"at most {number} {name}" for name, number in most.items())
        raise UsageError(f"lists of {told} are expected", where="request body")
    return [said[name] for name in most]
