"""Delivering what is to be told to peers: at once where they answer, over a hub, or when they ask for it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable
from typing import Any, Final

from diadem.errors import DiademError, NotFound, Refused, StoreError, Unreachable, UsageError
from diadem.model import canonical
from diadem.model.peers import Peer
from diadem.model.routes import DIRECT
from diadem.model.times import time_text
from diadem.model.transfers import new_id
from diadem.network import sealed_messages
from diadem.network.book import Outgoing
from diadem.network.closing import corrections_now
from diadem.network.desk import Desk
from diadem.network.evidence import own_chain
from diadem.network.incoming import never_proven, note_refusal, receive
from diadem.network.limits import MAX_ANSWER
from diadem.network.link import Link
from diadem.network.mailbox import put_sealed
from diadem.network.messages import CLOSURE, MAX_ERROR, OFFER, PROGRESS, UNSIGNED, Message
from diadem.network.route_book import route_book
from diadem.network.routing import AUTO, no_way, ways
from diadem.network.sealed_messages import Answer
from diadem.network.wire import no_answer
from diadem.node.peers.book import peer_book

#: Bytes of an answer: some messages.
_MESSAGES: Final = 4
#: Messages that are handed out at once; the others wait for the next time.
_AT_ONCE: Final = 4
#: The answer of a node that cannot connect a chain with what it saw of the log before.
UNPROVEN: Final = "unproven"


def message_of(desk: Desk, outgoing: Outgoing, *, seen: str = "") -> Message:
    """A message of the outbox with its chain as it is now: nothing that it states is older than what was said last.

    Raises
    ------
    Unreachable
        What was said last is in no store yet: it stays in the outbox.
    """
    theirs, ours = desk.book.checkpoints(outgoing.peer)
    chain = "" if outgoing.kind in UNSIGNED else own_chain(desk.context, outgoing.transfer, seen=seen or ours)
    about = {**outgoing.about, **({"seen": theirs} if theirs else {})}
    if outgoing.kind == OFFER and (offered := desk.book.find(outgoing.transfer)) is not None:
        about |= corrections_now(desk, offered.package)
    return Message(
        outgoing.id, outgoing.kind, outgoing.transfer, desk.node, outgoing.peer, time_text(desk.now), chain, about
    )


def deliver_all(desk: Desk, *, peer: str | None = None, due: bool = True, stop: threading.Event | None = None) -> int:
    """Deliver what is in the outbox; returns how many messages were not taken.

    A peer that does not answer holds nobody else up: its other messages wait with the first.
    """
    left, away = 0, set[str]()
    for outgoing in desk.book.to_post(due=desk.now if due else None, peer=peer):
        if stop is not None and stop.is_set():
            break
        if outgoing.peer in away or not deliver(desk, outgoing):
            left += 1
            away.add(outgoing.peer)
    return left


def deliver(desk: Desk, outgoing: Outgoing) -> bool:
    """Hand over one message, directly or over a hub; False where it has to wait.

    What lies at a hub stays in the outbox until it is answered, and is put down again where nobody answers for long.
    """
    peer = peer_book(desk.context).known(outgoing.peer)
    known = desk.book.find(outgoing.transfer)
    routes = known.routes if known is not None else AUTO
    open_ways = ways(desk.context, peer, routes) if peer is not None else [None]
    if peer is not None and not open_ways:
        desk.book.not_posted(outgoing, no_way(desk.context, peer), desk.now)
    return any(
        _put_down(desk, outgoing, peer, hub) if hub is not None and peer is not None else _called(desk, outgoing)
        for hub in open_ways
    )


def _called(desk: Desk, outgoing: Outgoing) -> bool:
    """Hand over one message directly, and take in what answers it."""
    routes = route_book(desk.context)
    try:
        link, message = desk.link(outgoing.peer), message_of(desk, outgoing)
    except DiademError as error:  # no address; or what was said last is in no store yet
        desk.book.not_posted(outgoing, error.message, desk.now)
        return False
    try:
        answer = _posted(link, message)
        if answer.get("state") == UNPROVEN:  # it cannot connect our log with what it saw of it: it is shown how
            answer = _posted(link, message_of(desk, outgoing, seen=str(answer.get("seen", ""))))
        if answer.get("state") == UNPROVEN:
            raise never_proven()
    except (Unreachable, NotFound) as error:  # not there, or this node is not yet confirmed there
        routes.failed(outgoing.peer, DIRECT, desk.now, error.message)
        desk.book.not_posted(outgoing, error.message, desk.now)
        return False
    except DiademError as error:
        _refused(desk, outgoing, error)
        return True
    routes.worked(outgoing.peer, DIRECT, desk.now)
    _answered(desk, outgoing, answer.get("messages", ()))
    return True


def _put_down(desk: Desk, outgoing: Outgoing, peer: Peer, hub: Peer) -> bool:
    """Put one message into the box of its recipient, unless it has lain there for a short while only."""
    routes = route_book(desk.context)
    words = f"it waits at the hub '{hub.name}', not answered yet"
    try:
        if routes.is_due(outgoing.id, desk.now):
            before = routes.puts(outgoing.id)
            put_message(desk, outgoing, peer, hub, before[-1].seen if before else "")
    except Unreachable as error:
        desk.book.not_posted(outgoing, no_answer(f"the hub '{hub.name}'", error.message), desk.now)
        return False
    except DiademError as error:
        desk.book.not_posted(outgoing, f"it cannot go to the hub '{hub.name}': {error.message}", desk.now)
        return False
    desk.book.not_posted(outgoing, words, desk.now)
    return True


def put_message(desk: Desk, outgoing: Outgoing, peer: Peer, hub: Peer, seen: str) -> None:
    """Put a message into a box, with its chain as it is now. Raises as `put_sealed`."""
    if peer.note is None:
        raise Unreachable(f"nothing can be sealed for '{peer.name}'", next=f"diadem peer refresh {peer.name}")
    said = (sealed_messages.MESSAGE, message_of(desk, outgoing, seen=seen).to_dict())
    to = (peer.id, peer.note.age)
    put_sealed(desk, hub, to, said, about=outgoing.id, seen=seen)


def take_answer(desk: Desk, peer: str, answer: Answer) -> None:
    """Take what a peer answered over a hub to a message; what was answered before, or never said, changes nothing."""
    routes = route_book(desk.context)
    put = routes.found_put(answer.to)
    outgoing = next((one for one in desk.book.to_post(peer=peer) if put is not None and one.id == put.about), None)
    if put is None or outgoing is None:
        return
    if answer.state == UNPROVEN and not put.seen:
        if not any(one.seen for one in routes.puts(put.about)):  # else it was put down again already
            book = peer_book(desk.context)
            put_message(desk, outgoing, book.get(peer), book.get(put.hub), answer.seen)
    elif answer.state == UNPROVEN:
        _refused(desk, outgoing, never_proven())
    elif answer.error:
        _refused(desk, outgoing, Refused(answer.error["message"], next=answer.error["next"] or None))
    else:
        _answered(desk, outgoing, answer.messages)


def _answered(desk: Desk, outgoing: Outgoing, documents: Iterable[Any]) -> None:
    """A message has arrived; what answers it is taken in, and only then it leaves the outbox: nobody answers twice."""
    try:
        for document in documents:
            receive(desk, outgoing.peer, canonical.encode(document, where="answer"))
    except (StoreError, Unreachable):  # not now: it is told, and answered, again
        raise
    except DiademError:
        _over(desk, outgoing)
        raise
    _over(desk, outgoing)


def _over(desk: Desk, outgoing: Outgoing) -> None:
    desk.book.posted(outgoing.id)


def _refused(desk: Desk, outgoing: Outgoing, error: DiademError) -> None:
    note_refusal(desk, outgoing, error)
    _over(desk, outgoing)


def _posted(link: Link, message: Message) -> dict[str, Any]:
    found = canonical.decode(link.post_message(message.to_bytes()), where="answer", limit=MAX_ANSWER)
    listed = found.get("messages", []) if isinstance(found, dict) else None
    if not isinstance(found, dict) or not isinstance(listed, list) or len(listed) > _MESSAGES:
        raise UsageError("this version does not understand the answer of the other side", where="answer")
    return found


def collect(desk: Desk, peer: str) -> int:
    """Fetch what waits at a peer for this node, and answer it; returns how many messages came.

    Raises
    ------
    Unreachable, NotFound
        It does not answer, or does not know this node.
    """
    link, routes = desk.link(peer), route_book(desk.context)
    try:
        waiting = link.waiting_messages()
    except DiademError as error:
        routes.failed(peer, DIRECT, desk.now, error.message)
        raise
    routes.worked(peer, DIRECT, desk.now)
    unproven = set()
    for message in map(Message.from_bytes, waiting):
        if seen := _collected(desk, link, peer, message):
            unproven.add(message.id)
            _say(desk, link, peer, message.transfer, {"seen": seen})
    for message in map(Message.from_bytes, link.waiting_messages() if unproven else ()):
        if message.id in unproven and _collected(desk, link, peer, message):
            reason = f"{message.kind}: its chain does not show that the log of the node still begins as it did"
            desk.book.refuse(peer, message.transfer, reason, desk.now)
            link.acknowledge(message.id)
    return len(waiting)


def _collected(desk: Desk, link: Link, peer: str, message: Message) -> str:
    """Take a message that was fetched; where its chain does not connect with what was seen, the checkpoint of that."""
    try:
        answer = canonical.decode(receive(desk, peer, message.to_bytes()), where="answer", limit=MAX_ANSWER)
    except (StoreError, Unreachable):  # not now: it comes again
        return ""
    except DiademError as error:  # refused, and noted: it does not come again
        if message.kind == OFFER:
            _say(desk, link, peer, message.transfer, {"state": "failed", "error": error.message[:MAX_ERROR]})
        with contextlib.suppress(NotFound):  # who heard that takes it back
            link.acknowledge(message.id)
        return ""
    if answer.get("state") == UNPROVEN:
        return str(answer["seen"])
    for document in answer.get("messages", ()):  # an answer that no connection carries is a message of its own
        desk.book.post(Outgoing(document["id"], peer, document["transfer"], CLOSURE, {}), desk.now)
    link.acknowledge(message.id)
    return ""


def _say(desk: Desk, link: Link, peer: str, transfer: str, about: dict[str, Any]) -> None:
    """Tell the sender of a message that was fetched what the answer to its call would have said."""
    told = Message(new_id(), PROGRESS, transfer, desk.node, peer, time_text(desk.now), "", about)
    with contextlib.suppress(NotFound, Refused, UsageError):  # an earlier version makes nothing of it
        link.post_message(told.to_bytes())


def waiting_for(desk: Desk, peer: str) -> list[bytes]:
    """Messages that wait here for a peer that asks for them; their chains as they are now."""
    found = []
    for outgoing in desk.book.to_post(peer=peer)[:_AT_ONCE]:
        try:
            found.append(message_of(desk, outgoing).to_bytes())
        except DiademError as error:
            desk.book.not_posted(outgoing, error.message, desk.now)
    return found


def acknowledged(desk: Desk, peer: str, message: str) -> None:
    """A peer that asked for its messages took one. Raises `NotFound` for one that is not its."""
    if message not in {outgoing.id for outgoing in desk.book.to_post(peer=peer)}:
        raise NotFound("no such message")
    desk.book.posted(message)
