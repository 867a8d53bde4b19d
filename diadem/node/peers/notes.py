"""Endpoint notes: where a node is found, signed by its online key; its own is made anew when something changes."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from diadem.errors import DocumentError
from diadem.model.peer_checks import MAX_URLS
from diadem.model.peers import MAX_NOTE, NOTE_TYPE, EndpointNote, Peer
from diadem.node.context import Context
from diadem.node.key_verbs import tls_files
from diadem.node.peers.book import PeerBook
from diadem.trust.envelope import Envelope, sign
from diadem.trust.keys import PublicKey

#: How long a note holds, and how long before its end it is made anew.
_HOLDS: Final = datetime.timedelta(days=180)
_RENEW: Final = datetime.timedelta(days=90)


def endpoint_note(context: Context, book: PeerBook) -> bytes:
    """This node's note as the bytes of its envelope, the same until something in it changes or it grows old."""
    with contextlib.suppress(DocumentError):  # somebody is just editing it
        context.reread_settings()
    key, now = context.keys.open("online"), context.clock().replace(microsecond=0)
    wished = _wished(context, book, now)
    if (kept := book.own_note()) is not None:
        try:
            known = open_note(kept, key.public, context.settings.id)
        except DocumentError:  # signed by the key before
            known = None
        if known is not None and known.expires - now > _RENEW and _same(known, wished):
            return kept
    with book.file.writing() as connection:
        last = connection.execute("SELECT version FROM own WHERE one = 1").fetchone()
        # The time in seconds, so that a node whose book was lost does not begin again below what others know.
        version = max(int(now.timestamp()), last[0] + 1 if last else 1)
        data = sign(replace(wished, version=version).to_payload(), [key], NOTE_TYPE).to_line()
        connection.execute("INSERT OR REPLACE INTO own VALUES (1, ?, ?)", (version, data))
    return data


def _wished(context: Context, book: PeerBook, now: datetime.datetime) -> EndpointNote:
    settings = context.settings
    return EndpointNote(
        settings.id,
        settings.name,
        1,
        now,
        now + _HOLDS,
        tuple(settings.server.urls),
        (tls_files(context).pin,) if settings.server.urls else (),
        age_recipient(context),
        relays(context),
        tuple(hub.id for hub in own_hubs(context, book)),
    )


def _same(known: EndpointNote, wished: EndpointNote) -> bool:
    return replace(known, version=1, issued=wished.issued, expires=wished.expires) == wished


def relays(context: Context) -> bool:
    """Whether this node is a hub."""
    return context.settings.server.hub


def own_hubs(context: Context, book: PeerBook) -> Sequence[Peer]:
    """The hubs where this node picks up: confirmed peers that say that they relay, by name.

    A hub itself has none: nothing goes over two hubs in a row.
    """
    return [] if relays(context) else [peer for peer in book.ls() if peer.is_hub][:MAX_URLS]


def age_recipient(context: Context) -> str:
    """The public half of the node's age identity."""
    import pyrage

    return str(pyrage.x25519.Identity.from_str(context.keys.age_identity()).to_public())


def open_note(data: bytes, online: PublicKey, node: str) -> EndpointNote:
    """The note of an envelope from anyone; `DocumentError` where it is none of that node, signed by its online key."""
    if len(data) > 2 * MAX_NOTE:
        raise _fault(f"it has {len(data):,} bytes; {2 * MAX_NOTE:,} are read")
    envelope = Envelope.from_line(data)
    if envelope.payload_type != NOTE_TYPE:
        raise _fault("it is not an endpoint note")
    if not envelope.signers([online]):
        raise _fault("it is not signed by the node's online key")
    note = EndpointNote.from_payload(envelope.payload)
    if note.node != node:
        raise _fault("it is the note of another node")
    return note


def _fault(message: str) -> DocumentError:
    return DocumentError(message, where="endpoint note", next="Ask the other node for it again.")
