"""Taking a newer card and note of a known peer; and stopping where they contradict what is known."""

from __future__ import annotations

from dataclasses import replace

from diadem.errors import DocumentError, IntegrityError, Refused
from diadem.model.peers import EndpointNote, Peer, PeerState
from diadem.model.statements import Draft
from diadem.model.times import read_time
from diadem.node.context import Context
from diadem.node.peers.book import PeerBook
from diadem.node.peers.cards import Forked, NodeCard, prove_card
from diadem.node.peers.notes import open_note
from diadem.node.peers.opening import peer_book
from diadem.node.peers.saying import peer_draft, say_refused

_ASK = "Ask the people there by phone, not by mail; then: diadem peer confirm NAME, or diadem peer drop NAME"


def take_card(context: Context, peer: Peer, chain: bytes, note: bytes) -> Peer:
    """Take what a peer shows of itself now; the log notes a new key, a new address, a new name.

    Parameters
    ----------
    context : Context
        The node.
    peer : Peer
        As the list of peers has it.
    chain, note : bytes
        Its card and its endpoint note, from anyone.

    Returns
    -------
    Peer
        As it is now known.

    Raises
    ------
    DocumentError
        They prove nothing. Nothing was changed.
    Refused
        The card is an older one.
    IntegrityError
        Its root key vouched for two online keys of one version, or its log was rewritten. The peer is to be confirmed
        again.
    """
    book = peer_book(context)
    with context.locked("peers"):
        peer = book.get(peer.id)
        card = proven_card(context, book, peer, chain)
        found = open_note(note, card.online, peer.id)
        require_in_force(context, card, found)
        return take(context, book, peer, card, (note, found))


def proven_card(context: Context, book: PeerBook, peer: Peer, chain: bytes, *, seen: str = "") -> NodeCard:
    """The card of a known peer, held against what is known of it; for those who hold the lock ``peers``.

    Parameters
    ----------
    context, book : Context and PeerBook
        The node, and its list of peers.
    peer : Peer
        As the list has it.
    chain : bytes
        From anyone.
    seen : str
        The checkpoint of which the peer was told, where it was asked for the card.

    Raises
    ------
    DocumentError, Refused, IntegrityError
        As `take_card`.
    """
    try:
        kept = book.checkpoint(peer.id)
        card = prove_card(chain, peer.id, kept=kept, asked=kept == seen)
    except Forked as error:
        _stop(context, book, peer, error.message)
        raise
    if card.version < peer.version:
        reason = f"a card of version {card.version} was shown; version {peer.version} is known"
        say_refused(context, peer.id, "showed an older card", actor=peer.name, reason=reason)
        raise Refused(
            f"an old card of the node '{peer.name}': {reason}", where="node card", next="Nothing was changed. " + _ASK
        )
    if card.version == peer.version and card.online.key_id != peer.key_id:
        reason = f"its root key vouched for two online keys of version {card.version}"
        _stop(context, book, peer, reason)
        raise IntegrityError(f"the node '{peer.name}' is two: {reason}", where="node card", next=_ASK)
    return card


def _stop(context: Context, book: PeerBook, peer: Peer, reason: str) -> None:
    """Nothing of the peer counts until a person has confirmed it again."""
    say_refused(context, peer.id, "contradicted what was known of it", actor=peer.name, reason=reason)
    if peer.state is PeerState.CONFIRMED:
        book.put(replace(peer, state=PeerState.PENDING, reason=reason))


def require_in_force(context: Context, card: NodeCard, note: EndpointNote) -> None:
    """Refuse a card or a note that has ended."""
    now = context.clock()
    if card.expires and read_time(card.expires) <= now:
        raise Refused(
            f"the card of '{card.name}' ended on {card.expires}",
            next="The people there make a new one, on their node: diadem key rotate --recovery-file FILE",
        )
    if note.expires <= now:
        raise Refused(f"the endpoint note of '{card.name}' has ended", next="Compare the clocks of both machines.")


def take(context: Context, book: PeerBook, peer: Peer, card: NodeCard, note: tuple[bytes, EndpointNote]) -> Peer:
    """Keep a proven card and a note of a peer, and say what is new; for those who hold the lock ``peers``."""
    data, found = note
    known = peer.note
    same_key = card.online.key_id == peer.key_id
    if known is not None and same_key and found.version == known.version and found != known:
        raise DocumentError(
            f"the node '{peer.name}' signed two endpoint notes of version {found.version}", where="endpoint note"
        )
    newer = known is None or found.version > known.version or not same_key  # whoever had the old key has no last word
    now = replace(
        peer,
        own_name=card.name,
        online=card.online.to_text(),
        log=card.log.to_text(),
        key_id=card.online.key_id,
        version=card.version,
        expires=card.expires,
        note=found if newer else known,
        stolen={**card.stolen, **peer.stolen},
    )
    if drafts := list(_news(peer, now, card)):
        context.say(drafts)
    book.put(now, chain=card.chain, note=data if newer else None)
    book.keep_checkpoint(peer.id, card.epoch, card.size, card.checkpoint)
    return now


def _place(note: EndpointNote) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return note.urls, note.tls


def _news(before: Peer, now: Peer, card: NodeCard) -> list[Draft]:
    """What a card and a note say that was not known."""
    drafts = []
    if before.key_id and now.key_id != before.key_id:
        drafts.append(peer_draft(now, "rotated"))
    if before.own_name != now.own_name and before.key_id:
        drafts.append(peer_draft(now, "renamed", reason=f"it calls itself {now.own_name} now"))
    if before.note is not None and now.note is not None and _place(now.note) != _place(before.note):
        where = ", ".join(now.note.urls) or "it cannot be called any more, it calls"
        drafts.append(peer_draft(now, "moved", reason=where))
    for key_id, since in card.stolen.items():
        if key_id not in before.stolen:
            more = {"since": since, "reason": f"it says so itself; the key is {key_id[:12]}…"}
            drafts.append(peer_draft(now, "compromised", **more))
    return drafts
