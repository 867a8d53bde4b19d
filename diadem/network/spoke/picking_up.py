"""Picking up what lies in this node's box at a hub, and answering it there."""

from __future__ import annotations

from itertools import chain

from diadem.errors import DiademError, NotFound, Refused, StoreError, Unreachable
from diadem.model import canonical
from diadem.model.carriers import CarrierFull
from diadem.model.peers import Peer
from diadem.model.routes import DIRECT
from diadem.network import sealed_messages
from diadem.network.desk import Desk
from diadem.network.incoming import receive
from diadem.network.limits import MAX_ANSWER, MAX_SEALED
from diadem.network.mailbox import put_sealed, tell_hub
from diadem.network.postman import take_answer
from diadem.network.route_book import KEPT, route_book
from diadem.network.sealed_messages import Answer, SealedMessage, open_message, require_from
from diadem.network.spoke.meeting import meet_again, refusal, take_introduction, take_refusal, take_welcome
from diadem.node.peers.book import peer_book
from diadem.trust.envelope import Envelope
from diadem.trust.keys import PublicKey


def pick_up(desk: Desk, hub: Peer, *, wait: float = 0.0) -> int:
    """Take everything that lies in the own box at a hub, and answer it.

    Parameters
    ----------
    desk : Desk
        Of this node.
    hub : Peer
        Which hub.
    wait : float
        Seconds until something comes, where nothing is there.

    Returns
    -------
    int
        How many messages came.

    Raises
    ------
    Unreachable, NotFound, Refused
        The hub does not answer, or does not know this node. What was not taken stays there.
    StoreError
        Something cannot be written here now; it stays there, and what came after it was taken.
    """
    book, boxes = route_book(desk.context), desk.hub(hub.id)
    try:
        tell_hub(desk, hub)
        meet_again(desk, hub)
        waiting = boxes.ls(desk.node, wait=wait)
    except DiademError as error:
        book.failed(hub.id, DIRECT, desk.now, error.message)
        raise
    book.worked(hub.id, DIRECT, desk.now)
    left: DiademError | None = None
    early: list[str] = []
    for name in chain((one.name for one in waiting), early):
        if not book.was_taken(name):
            data = bytes(boxes.get(desk.node, name))
            try:
                _take(desk, hub, name, data)
            except (Unreachable, StoreError) as error:  # nobody's message keeps those of others waiting
                left = left or error
                continue
            except NotFound as error:
                if name not in early:  # a hub tells no order: what it follows on may lie there too
                    early.append(name)
                    continue
                _refuse(desk, hub, error)
            book.take(name, desk.now)
        boxes.taken(desk.node, [name])
    if left is not None:
        raise left
    return len(waiting)


def _take(desk: Desk, hub: Peer, name: str, data: bytes) -> None:
    """Take one message; what proves nothing is noted and forgotten: whoever meant it puts it down again.

    Raises
    ------
    Unreachable, StoreError
        The answer cannot be put down, or nothing can be written here, now: it is taken later.
    NotFound
        What it is about is not known here, or not yet.
    """
    try:
        _read(desk, hub, *_opened(desk, name, data))
    except (Unreachable, StoreError) as error:
        if not isinstance(error, CarrierFull):  # its box is full: it says it again when there is room
            raise
    except (NotFound, OSError):
        raise
    except DiademError as error:
        _refuse(desk, hub, error)
    except Exception as error:  # whatever anybody sealed, it keeps no other message waiting
        _refuse(desk, hub, Refused(f"it cannot be read ({type(error).__name__})"))


def _opened(desk: Desk, name: str, data: bytes) -> tuple[SealedMessage, Envelope]:
    """What was sealed for this node. Raises `Refused` where it is too large or too old, else as `open_message`."""
    if len(data) > MAX_SEALED:
        raise Refused(f"it has {len(data):,} bytes; at most {MAX_SEALED:,} are read")
    said, envelope = open_message(data, desk.context.keys.age_identity(), desk.node, name)
    if abs(said.sent - desk.now) > KEPT:
        raise Refused("its date is months away from now: somebody held it back, or a clock is wrong")
    return said, envelope


def _refuse(desk: Desk, hub: Peer, error: DiademError) -> None:
    desk.book.refuse(hub.id, "", f"from the box at the hub '{hub.name}': {error.message}", desk.now)


def _read(desk: Desk, hub: Peer, said: SealedMessage, envelope: Envelope) -> None:
    if said.kind == sealed_messages.MESSAGE:
        _message(desk, hub, said, envelope)
    elif said.kind == sealed_messages.ANSWER:
        _answer(desk, said, envelope)
    elif said.kind == sealed_messages.INTRODUCTION:
        take_introduction(desk, hub, said, envelope)
    else:
        take_welcome(desk, said, envelope)


def _require_pinned(desk: Desk, said: SealedMessage, envelope: Envelope) -> Peer:
    """The peer that said it, by the key that is pinned of it now. Raises `Refused`, `NotFound`."""
    peer = peer_book(desk.context).known(said.sender)
    if peer is None or not peer.speaks or not peer.online:
        raise NotFound(f"the node {said.sender[:12]}… is not a peer, or is not listened to")
    require_from(envelope, PublicKey.from_text(peer.online), peer.name)
    return peer


def _message(desk: Desk, hub: Peer, said: SealedMessage, envelope: Envelope) -> None:
    peer = _require_pinned(desk, said, envelope)
    try:
        data = receive(desk, peer.id, canonical.encode(said.content, where="message"))
        found = canonical.decode(data, where="answer", limit=MAX_ANSWER)
        answer = Answer(said.id, found["state"], found.get("seen", ""), tuple(found.get("messages", ())))
    except (NotFound, StoreError, Unreachable):  # not confirmed, or not now: as a request, that is tried again
        raise
    except DiademError as error:
        answer = refusal(said.id, error)
    if peer.note is not None:
        to = (peer.id, peer.note.age)
        put_sealed(desk, hub, to, (sealed_messages.ANSWER, answer.to_dict()))


def _answer(desk: Desk, said: SealedMessage, envelope: Envelope) -> None:
    answer = Answer.from_dict(said.content)
    if take_refusal(desk, said, envelope, answer):
        return
    peer = _require_pinned(desk, said, envelope)
    take_answer(desk, desk.peer(peer.id).id, answer)
    peer_book(desk.context).seen_confirmed(peer.id)  # it answers messages of confirmed peers only
