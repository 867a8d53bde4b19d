"""A node's card: the chain of its key statements, from the id that is pinned to the keys that speak for it now; and
taking a newer one of a known peer, or stopping where it contradicts what is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from diadem.custody.chain import LoadedChain, export_chain, load
from diadem.custody.keyring import Card, KeyRing
from diadem.custody.report import CustodyReport, Verdict
from diadem.custody.statements import LOG, ONLINE
from diadem.custody.verify import verify_chains
from diadem.errors import DocumentError, IntegrityError, Refused
from diadem.model.peer_checks import NAME
from diadem.model.peers import EndpointNote, Peer, PeerState, Unproven
from diadem.model.statements import Draft
from diadem.model.times import read_time, time_text
from diadem.node.context import Context
from diadem.node.peers.book import PeerBook, peer_book, peer_draft, say_refused
from diadem.node.peers.notes import open_note
from diadem.trust.keys import PublicKey

#: Bytes of a card that are read: a thousand key statements. A node has about six.
MAX_CARD: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class NodeCard:
    """What the chain of another node's keys proves."""

    node: str
    #: What it calls itself.
    name: str
    online: PublicKey
    log: PublicKey
    #: Of the card of the online key, and when that ends, UTC; "" where it does not.
    version: int
    expires: str
    chain: bytes
    #: The newest checkpoint in it, a signed note.
    checkpoint: str
    epoch: int
    size: int
    #: Key ids that the node itself says were stolen, each with the time from which on, UTC.
    stolen: Mapping[str, str] = field(default_factory=dict)


class Forked(IntegrityError):
    """The log of a node does not begin with what a checkpoint of it saw: it was rewritten, or there are two."""

    code = "forked"


def own_card(context: Context, *, since: str = "") -> bytes:
    """The card of this node; with a checkpoint that its reader kept, it proves that the log still begins so."""
    ledger, keys = context.ledger, [context.keys.open("online")]
    if since:
        try:
            return export_chain(ledger, context.settings.id, keys, clock=context.clock, since=[since])
        except IntegrityError:  # not of this log, or not any more: the reader finds that out by itself
            pass
    return export_chain(ledger, context.settings.id, keys, clock=context.clock)


def prove_card(data: bytes, node: str, *, kept: str = "", asked: bool = False) -> NodeCard:
    """What a card from anyone proves of the node with this id; `DocumentError` where it proves nothing.

    It must show that the log still begins as in the checkpoint that was `kept` (`Unproven`); where the node was `asked`
    to show that, it can, unless the log does not (`Forked`).
    """
    if len(data) > MAX_CARD:
        raise _unproven(f"it has {len(data):,} bytes; {MAX_CARD:,} are read")
    loaded = load("node card", data)
    if loaded.chain.node != node or loaded.chain.subject.sha256 != node or not loaded.chain.checkpoints:
        raise _unproven(f"it is not the card of the node {node[:12]}…")
    report = verify_chains([data], names=["node card"], pins=[node])
    for step in (*report.of(Verdict.CONTRADICTED), *report.of(Verdict.MISSING)):
        raise _unproven(f"{step.sentence} {step.reason or ''}".strip())
    if kept:
        report = verify_chains([data], names=["node card"], pins=[node], checkpoints=[kept])
        _require_continued(report, kept, asked=asked)
    return _card(loaded, data, node)


def _require_continued(report: CustodyReport, kept: str, *, asked: bool) -> None:
    """What is wrong now is so only beside the checkpoint that was kept: without it nothing was."""
    missing = report.of(Verdict.MISSING)
    for step in (*report.of(Verdict.CONTRADICTED), *(missing if asked else ())):
        raise Forked(
            f"{step.sentence} {step.reason or ''}".strip(),
            where="node card",
            next="Ask the people there what happened, by phone. Nothing from it is accepted until then.",
        )
    for step in missing:
        advice = "Try again: diadem peer refresh"
        raise Unproven(f"{step.sentence} It may be an old card.", kept, where="node card", next=advice)


def _card(loaded: LoadedChain, data: bytes, node: str) -> NodeCard:
    ring = KeyRing(node, loaded.key_entries)
    online, log = ring.newest(ONLINE), ring.newest(LOG)
    if online is None or log is None:
        raise _unproven("it names no online key and log key that the root key vouches for")
    if not NAME.fullmatch(online.name):
        raise _unproven("the node's own name cannot be part of an address")
    newest = max(loaded.chain.checkpoints, key=lambda held: held.epoch)
    size = int(newest.text.split("\n")[1])
    return NodeCard(
        node,
        online.name,
        online.public,
        log.public,
        online.version,
        "" if online.expires is None else time_text(online.expires),
        data,
        newest.text,
        newest.epoch,
        size,
        _stolen(loaded, node, online),
    )


def _stolen(loaded: LoadedChain, node: str, online: Card) -> dict[str, str]:
    """Keys that the node itself calls stolen; the one that is in force now cannot be among them."""
    found: dict[str, str] = {}
    for read in loaded.statements:
        said = read.entry.statement.predicate if read.entry and read.entry.statement.kind == "peer" else {}
        if said.get("event") == "compromised" and said.get("peer") == node and said.get("since"):
            key = PublicKey.from_text(str(said.get("online")))
            if key != online.public:
                found[key.key_id] = min(str(said["since"]), found.get(key.key_id, str(said["since"])))
    return found


def _unproven(message: str) -> DocumentError:
    return DocumentError(message, where="node card", next="Ask the other node for its card again.")


_ASK = "Ask the people there by phone, not by mail; then: diadem peer confirm NAME, or diadem peer drop NAME"


def take_card(context: Context, peer: Peer, chain: bytes, note: bytes) -> Peer:
    """Take what a peer shows of itself now; the log notes a new key, a new address, a new name.

    Nothing is changed where it proves nothing (`DocumentError`) or is an older card (`Refused`). Two online keys of one
    version, or a log that was rewritten, is an `IntegrityError`: the peer is to be confirmed again.
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

    `seen` is the checkpoint of which the peer was told, where it was asked for the card. Raises as `take_card`.
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
    if drafts := _news(peer, now, card):
        context.say(drafts)
    book.put(now, chain=card.chain, note=data if newer else None)
    book.keep_checkpoint(peer.id, card.epoch, card.size, card.checkpoint)
    return now


def _news(before: Peer, now: Peer, card: NodeCard) -> list[Draft]:
    """What a card and a note say that was not known."""
    drafts = []
    if before.key_id and now.key_id != before.key_id:
        drafts.append(peer_draft(now, "rotated"))
    if before.own_name != now.own_name and before.key_id:
        drafts.append(peer_draft(now, "renamed", reason=f"it calls itself {now.own_name} now"))
    if before.note and now.note and (now.note.urls, now.note.tls) != (before.note.urls, before.note.tls):
        where = ", ".join(now.note.urls) or "it cannot be called any more, it calls"
        drafts.append(peer_draft(now, "moved", reason=where))
    for key_id, since in card.stolen.items():
        if key_id not in before.stolen:
            more = {"since": since, "reason": f"it says so itself; the key is {key_id[:12]}…"}
            drafts.append(peer_draft(now, "compromised", **more))
    return drafts
