"""Delivering what is to be told to peers: at once where they answer, else again and again; or when they ask for it."""

from __future__ import annotations

import threading
from typing import Any, Final

from diadem.errors import DiademError, NotFound, Refused, Unreachable, UsageError
from diadem.model import canonical
from diadem.model.transfers import NEXT, State
from diadem.transfer.book import Outgoing
from diadem.transfer.desk import Desk
from diadem.transfer.evidence import own_chain
from diadem.transfer.incoming import receive
from diadem.transfer.messages import CLOSURE, MAX_BYTES, OFFER, UNSIGNED, Message
from diadem.transfer.network import Link

#: Bytes of an answer: some messages.
_ANSWER: Final = 4 * MAX_BYTES
_MESSAGES: Final = 4
#: Messages that are handed out at once; the others wait for the next time.
_AT_ONCE: Final = 4


def message_of(desk: Desk, outgoing: Outgoing, *, seen: str = "") -> Message:
    """A message of the outbox with its chain as it is now: nothing that it states is older than what was said last.

    Raises
    ------
    Refused
        What was said last is in no store yet: it stays in the outbox.
    """
    theirs, ours = desk.book.checkpoints(outgoing.peer)
    chain = "" if outgoing.kind in UNSIGNED else own_chain(desk.context, outgoing.transfer, seen=seen or ours)
    about = {**outgoing.about, **({"seen": theirs} if theirs else {})}
    return Message(outgoing.id, outgoing.kind, outgoing.transfer, desk.node, outgoing.peer, desk.now, chain, about)


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
    """Deliver one message and take in what answers it; False where it has to wait."""
    try:
        link, message = desk.network.link(outgoing.peer), message_of(desk, outgoing)
    except DiademError as error:  # no address; or what was said last is in no store yet
        desk.book.not_posted(outgoing, error.message, desk.now)
        return False
    try:
        answer = _posted(link, message)
        if answer.get("state") == "unproven":  # it cannot connect our log with what it saw of it: it is shown how
            answer = _posted(link, message_of(desk, outgoing, seen=str(answer.get("seen", ""))))
        if answer.get("state") == "unproven":
            raise Refused("the other side holds a checkpoint that this log does not go on from")
    except (Unreachable, NotFound) as error:  # not there, or this node is not yet confirmed there
        desk.book.not_posted(outgoing, error.message, desk.now)
        return False
    except DiademError as error:
        desk.book.posted(outgoing.id)
        _note_refusal(desk, outgoing, error)
        return True
    desk.book.posted(outgoing.id)
    for document in answer.get("messages", ()):
        receive(desk, outgoing.peer, canonical.encode(document, where="answer"))
    return True


def _posted(link: Link, message: Message) -> dict[str, Any]:
    found = canonical.decode(link.post_message(message.to_bytes()), where="answer", limit=_ANSWER)
    listed = found.get("messages", []) if isinstance(found, dict) else None
    if not isinstance(found, dict) or not isinstance(listed, list) or len(listed) > _MESSAGES:
        raise UsageError("the other side gives an answer that this version does not understand", where="answer")
    return found


def _note_refusal(desk: Desk, outgoing: Outgoing, error: DiademError) -> None:
    """What the other side refuses is not sent again; an offer that it refuses has failed."""
    words = f"the other side refused the {outgoing.kind}: {error.message}"
    known, advice = desk.book.find(outgoing.transfer), error.next or ""
    if known is None:
        return
    if outgoing.kind == OFFER and State.FAILED in NEXT[known.state]:
        desk.book.step(known.id, State.FAILED, desk.now, words=words, error=words, next=advice)
    else:
        desk.book.change(known.id, error=words, next=advice)


def collect(desk: Desk, peer: str) -> int:
    """Fetch what waits at a peer for this node, and answer it; returns how many messages came.

    Raises
    ------
    Unreachable, NotFound
        It does not answer, or does not know this node.
    """
    link = desk.network.link(peer)
    came = 0
    for data in link.waiting_messages():
        message = Message.from_bytes(data)
        came += 1
        try:
            answer = canonical.decode(receive(desk, peer, data), where="answer", limit=_ANSWER)
        except DiademError:  # refused, and noted: it does not come again
            link.acknowledge(message.id)
            continue
        if answer.get("state") != "unproven":
            link.acknowledge(message.id)
        for document in answer.get("messages", ()):  # an answer that no connection carries is a message of its own
            desk.book.post(Outgoing(document["id"], peer, document["transfer"], CLOSURE, {}), desk.now)
    return came


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
