"""What somebody may find and read of this node's packages: searches, records, tag files, and any bytes of any file.

Each handler asks first whether its asker may; what is unknown, forbidden, revoked or deleted has the one same answer.
"""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from typing import Annotated, ClassVar

from msgspec import Meta

from diadem.model.access import Asker, Right
from diadem.model.documents import Document
from diadem.model.manifest import PREFIX
from diadem.network import telling
from diadem.network.askers import asker_for
from diadem.network.exchange import BYTES, RANGED, Request, Response, Services, WhileAllowed, route
from diadem.network.limits import MAX_QUESTION
from diadem.network.shelf import shelf_of
from diadem.node.access.askers import not_found, require
from diadem.node.quality.amend import effective
from diadem.serialization.record_writer import write_record


class Search(Document, frozen=True):
    """What is searched for, and which of the rows found are wanted."""

    WHAT: ClassVar[str] = "request body"
    ADVICE: ClassVar[str] = "Update DIADEM here and at the node."
    LIMIT: ClassVar[int] = MAX_QUESTION

    query: Annotated[str, Meta(max_length=10_000)] = ""
    limit: Annotated[int, Meta(ge=0)] = 0
    offset: Annotated[int, Meta(ge=0, le=1 << 40)] = 0


@route("POST", "search", body=MAX_QUESTION, answers={200: "a page of rows"})
def search(request: Request, services: Services) -> Response:
    """Find packages among those that you may find."""
    said = Search.from_bytes(request.body)
    asker = asker_for(services.context, request.known_asker)
    return Response.json(telling.search(services.context, asker, said.query, limit=said.limit, offset=said.offset))


@route("GET", "packages/{package}", answers={200: "a row, assessments, warnings"})
def facts(request: Request, services: Services) -> Response:
    """What the catalogue knows of a package."""
    asker, package = _permitted(request, services, Right.LIST)
    return Response.json(telling.facts(services.context, asker, package))


@route("GET", "packages/{package}/record", answers={200: "the record"})
def record(request: Request, services: Services) -> Response:
    """Its record as its owner has corrected it."""
    _, package = _permitted(request, services, Right.LIST)
    sealed = shelf_of(services.context).record(package)
    stream = BytesIO()
    write_record(stream, effective(services.context, package, sealed))
    return Response.line(stream.getvalue())


@route("GET", "packages/{package}/tags", gives=BYTES, answers={200: "the tag files"})
def tags(request: Request, services: Services) -> Response:
    """Its tag manifest and the tag files that it lists, each behind its length in 8 bytes; without vendor.zip."""
    _, package = _permitted(request, services, Right.READ)
    return _while_permitted(shelf_of(services.context).tags(package), request, services)


@route("GET", "packages/{package}/tags/{number}", **RANGED)
def tag(request: Request, services: Services) -> Response:
    """A tag file, by its place in the tag manifest."""
    _, package = _permitted(request, services, Right.READ)
    given = shelf_of(services.context).tag(package, int(request.params["number"]), request)
    return _while_permitted(given, request, services)


@route("GET", "packages/{package}/files/{number}", **RANGED)
def file(request: Request, services: Services) -> Response:
    """A file, by its place in the manifest."""
    _, package = _permitted(request, services, Right.READ)
    given = shelf_of(services.context).file(package, int(request.params["number"]), request)
    return _while_permitted(given, request, services)


def _while_permitted(response: Response, request: Request, services: Services) -> Response:
    """An answer that ends where its asker may not read any more: a grant was revoked, a peer dropped, a user left."""
    body = response.body

    def require_still() -> None:
        asker = services.find_asker(request.known_asker.key_id)
        if asker is None:
            raise not_found()
        _permitted(replace(request, asker=asker), services, Right.READ)

    return response if isinstance(body, bytes) else replace(response, body=WhileAllowed(body, require_still))


def _permitted(request: Request, services: Services, right: Right) -> tuple[Asker, str]:
    """Who asks, and for which package; raises the one answer where they may not."""
    asker, package = asker_for(services.context, request.known_asker), PREFIX + request.params["package"]
    require(services.context, asker, right, package)
    return asker, package
