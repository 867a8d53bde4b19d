"""What a hub answers its spokes: mailboxes, in which sealed objects wait for their owner.

Where this node is no hub, and for whoever has no part in what is asked for, there is the one 404.
"""

from __future__ import annotations

import contextlib
from typing import Annotated, ClassVar, Final

from msgspec import Meta, field

from diadem.errors import NotFound, PackageError, StoreError, Unreachable, UsageError
from diadem.model.carriers import MAX_OBJECT
from diadem.model.documents import Document, NodeId
from diadem.model.ports import RangeReader
from diadem.network.exchange import BYTES, RANGED, Request, Response, Services, route
from diadem.network.hub.hub import Hub, hub_of, spoke_of
from diadem.network.hub.mailboxes import Held
from diadem.network.hub.notes import DELETED, DELIVERED, STORED
from diadem.network.limits import MAX_EMPTY, MAX_GIVEN_AT_ONCE, MAX_INVITATIONS, MAX_LIST, MAX_NAMES, MAX_SENDERS
from diadem.network.relay.hub_evidence import relay_chain
from diadem.store.bags import open_below
from diadem.store.system import long_path
from diadem.trust.base64_text import to_base64
from diadem.trust.http_signature import digest_of

_MAILBOX: Final = "hub/mailboxes/{mailbox}"


class _Body(Document, frozen=True):
    """What a spoke says."""

    WHAT: ClassVar[str] = "request body"
    ADVICE: ClassVar[str] = "Update DIADEM here and at the hub."
    LIMIT: ClassVar[int] = MAX_LIST


class Senders(_Body, frozen=True):
    """Who may put messages into a box: ids of nodes, and SHA-256 of secrets of tickets that are open."""

    nodes: Annotated[tuple[NodeId, ...], Meta(max_length=MAX_SENDERS)] = field(name="from")
    invitations: Annotated[tuple[NodeId, ...], Meta(max_length=MAX_INVITATIONS)]


class Taken(_Body, frozen=True):
    """Which objects a spoke has."""

    names: Annotated[tuple[str, ...], Meta(max_length=MAX_NAMES)]


@route("GET", "hub", answers={200: "limits, and what is used"})
def tell(request: Request, services: Services) -> Response:
    """What this hub allows and holds for you."""
    spoke, hub = _asked(request, services)
    return Response.json(hub.told(spoke))


@route(
    "PUT",
    _MAILBOX,
    body=MAX_LIST,
    answers={200: "they may: until when", 507: "you have too many mailboxes of this sort"},
)
def open_mailbox(request: Request, services: Services) -> Response:
    """Say who may put something there: into your box who is in lists, into a relay whom a permit (DSSE) names."""
    spoke, hub = _asked(request, services)
    mailbox, expires = request.params["mailbox"], ""
    if mailbox == spoke:
        said = Senders.from_bytes(request.body)
        hub.mailboxes.allow(spoke, said.nodes, said.invitations)
    else:
        expires = hub.permit(request.known_asker, mailbox, request.body)
    return Response.json({"mailbox": mailbox, "expires": expires})


@route(
    "PUT",
    _MAILBOX + "/{object}",
    body=MAX_OBJECT,
    takes=BYTES,
    query={"invitation": "[0-9a-f]{64}"},
    answers={200: "it is stored: a signed note", 507: "there is no room now"},
)
def put_object(request: Request, services: Services) -> Response:
    """Put a sealed object there, if its owner has named you, or permitted it, or if you have an invitation."""
    sender, hub = _asked(request, services)
    if not request.body:
        raise UsageError("nothing was sent", where="request body")
    mailbox, name, invitation = *_place(request), request.query.get("invitation", "")
    hub.spoke(hub.mailboxes.owner_of(sender, mailbox, invitation=invitation))
    # its digest was signed, and compared with the body: it is not hashed again
    digest = digest_of(request.headers).hex()
    held = hub.mailboxes.put(sender, mailbox, name, request.body, digest, invitation=invitation)
    return Response.json({STORED: hub.note(STORED, [held.row], mailbox)})


@route(
    "GET",
    _MAILBOX,
    query={"wait": "[0-9]{1,2}"},
    answers={200: "some of them, the oldest first", 204: "there are none"},
    waits=True,
)
def list_objects(request: Request, services: Services) -> Response:
    """The sealed objects that wait in your box, with the first of them, or in a relay of yours."""
    spoke, hub = _asked(request, services)
    mailbox = request.params["mailbox"]
    waiting = hub.mailboxes.ls(spoke, mailbox)
    if not waiting:
        return Response(204)
    told, left = [], MAX_GIVEN_AT_ONCE if mailbox == spoke else 0
    for one in waiting:
        told.append({"name": one.name, "bytes": one.bytes, "sha256": one.sha256, "at": one.at})
        if one.bytes <= left:
            # one that cannot be read keeps no other from being listed
            with contextlib.suppress(NotFound, Unreachable, OSError), _reader(hub, spoke, mailbox, one.name) as reader:
                told[-1]["data"] = to_base64(reader.read_at(0, one.bytes))
                left -= one.bytes
    return Response.json({"objects": told})


@route("GET", _MAILBOX + "/{object}", **RANGED)
def give_object(request: Request, services: Services) -> Response:
    """A sealed object for you, from the file that was looked at."""
    spoke, hub = _asked(request, services)
    reader = _reader(hub, spoke, *_place(request))
    return Response.of_file(reader, request, size=reader.size)


@route("POST", _MAILBOX + "/taken", body=MAX_LIST, answers={200: "a signed note"})
def take_objects(request: Request, services: Services) -> Response:
    """Say which objects you have: they are deleted."""
    spoke, hub = _asked(request, services)
    mailbox = request.params["mailbox"]
    gone = hub.mailboxes.taken(spoke, mailbox, Taken.from_bytes(request.body).names)
    return Response.json({DELIVERED: hub.note(DELIVERED, [one.row for one in gone], mailbox)})


@route("POST", _MAILBOX + "/end", body=MAX_EMPTY, answers={200: "a signed note, and chain.json, or that it is owed"})
def end_relay(request: Request, services: Services) -> Response:
    """End a relay: all of it is deleted; what became of it, as this hub's log says. The other side is told the same.

    Where the log cannot say it yet the note is given, which alone tells what was deleted: ask again for the chain.
    """
    spoke, hub = _asked(request, services)
    mailbox = request.params["mailbox"]
    gone: list[Held] | None = None
    with contextlib.suppress(NotFound):  # forgotten, maybe, since it was stated
        gone = hub.end(spoke, mailbox)
    chain, owed = b"", False
    try:
        if gone is not None:
            hub.state(mailbox)
        chain = relay_chain(hub.context, mailbox, spoke)
    except (StoreError, Unreachable):
        if not gone:
            raise
        owed = True
    if gone is None and not chain:
        raise NotFound("there is no such mailbox")
    note = hub.note(DELETED, [one.row for one in gone or ()], mailbox)
    return Response.json({DELETED: note, "chain": chain.decode("utf-8"), "owed": owed})


# -- what was asked --------------------------------------------------------------------------------------------------


def _asked(request: Request, services: Services) -> tuple[str, Hub]:
    spoke = spoke_of(services.context, request.known_asker)
    return spoke, hub_of(services.context)


def _reader(hub: Hub, owner: str, mailbox: str, name: str) -> RangeReader:
    path, size = hub.mailboxes.find(owner, mailbox, name)
    try:
        reader = open_below(long_path(str(path.parent)), [path.name], path.name)
    except (OSError, PackageError):
        reader = None
    if reader is not None and reader.size != size:
        reader.close()
        reader = None
    if reader is None:
        raise Unreachable("what is asked for cannot be read now", next="Try again later.")
    return reader


def _place(request: Request) -> tuple[str, str]:
    return request.params["mailbox"], request.params["object"]
