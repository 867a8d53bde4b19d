"""What people say from their laptops: prepared here, signed there, logged here."""

from __future__ import annotations

from typing import Final

from diadem.network import stating
from diadem.network.askers import weighed
from diadem.network.exchange import Request, Response, Route, Services
from diadem.trust.keys import PublicKey

_BODY: Final = 256 << 10


def prepare(request: Request, services: Services) -> Response:
    """Write out a statement for the asker to sign."""
    asker = weighed(services.context, request.known_asker)
    return Response.json(stating.prepare(services.context, asker, request.document()))


def append(request: Request, services: Services) -> Response:
    """Log a statement that the asker has signed."""
    asker = weighed(services.context, request.known_asker)
    key = PublicKey.from_text(request.known_asker.key)
    entry, transfer = stating.append(services.context, asker, key, request.body)
    place = {"statement": entry.statement_id, "epoch": entry.epoch, "index": entry.index}
    return Response.json(place | ({"transfer": transfer.to_dict()} if transfer is not None else {}))


ROUTES: Final = (
    Route(
        "POST",
        "statements/prepare",
        prepare,
        "Have a statement written out, to sign it yourself: an assessment, or an offer and its grant.",
        body=_BODY,
        answers={200: "the bytes to sign, and what they say in words", 409: "you are not a user of this node"},
    ),
    Route(
        "POST",
        "statements",
        append,
        "Have a statement logged that was prepared for you and that you have signed (a DSSE envelope).",
        body=_BODY,
        answers={
            200: "its place in the log",
            409: "it does not wait for your signature, or is out of date: prepare it again",
        },
    ),
)
