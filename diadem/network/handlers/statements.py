"""What people say from their laptops: prepared here, signed there, logged here."""

from __future__ import annotations

from diadem.model import canonical
from diadem.network import stating
from diadem.network.askers import asker_for
from diadem.network.exchange import Request, Response, Services, route
from diadem.network.limits import MAX_STATEMENT
from diadem.network.wishes import read_wish
from diadem.trust.keys import PublicKey


@route(
    "POST",
    "statements/prepare",
    body=MAX_STATEMENT,
    answers={200: "the bytes to sign, and what they say in words", 409: "you are not a user of this node"},
)
def prepare(request: Request, services: Services) -> Response:
    """Have a statement written out, to sign it yourself: an assessment, or an offer and its grant."""
    asker = asker_for(services.context, request.known_asker)
    wish = read_wish(canonical.decode(request.body, where="request body", limit=MAX_STATEMENT))
    return Response.json(stating.prepare(services.context, asker, wish))


@route(
    "POST",
    "statements",
    body=MAX_STATEMENT,
    answers={
        200: "its place in the log",
        409: "it does not wait for your signature, or is out of date: prepare it again",
    },
)
def append(request: Request, services: Services) -> Response:
    """Have a statement logged that was prepared for you and that you have signed (a DSSE envelope)."""
    asker = asker_for(services.context, request.known_asker)
    key = PublicKey.from_text(request.known_asker.key)
    entry, transfer = stating.append(services.context, asker, key, request.body)
    place = {"statement": entry.statement_id, "epoch": entry.epoch, "index": entry.index}
    return Response.json(place | ({"transfer": transfer.to_dict()} if transfer is not None else {}))
