"""Picking up what others have to tell: what waits for this node at a peer, and what lies in its box at a hub.

Each thing is taken and answered. One that cannot be taken now keeps no other waiting.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any

from diadem.errors import (
    DiademError,
    IntegrityError,
    NotFound,
    Refused,
    StoreError,
    Unreachable,
    UsageError,
)
from diadem.model import canonical
from diadem.model.carriers import CarrierFull
from diadem.model.peers import Peer, Unproven
from diadem.model.routes import DIRECT
from diadem.model.tickets import Ticket
from diadem.model.times import time_text
from diadem.model.transfers import new_id
from diadem.network.desk import Desk
from diadem.network.envelope import Answer, Content, Introduction, Mail, Welcome, open_mail
from diadem.network.incoming import receive
from diadem.network.limits import MAX_ANSWER, MAX_SEALED
from diadem.network.link import Link
from diadem.network.mail.delivery import UNPROVEN, begin_introduction, put_sealed, take_answer, tell_hub
from diadem.network.messages import CLOSURE, MAX_ERROR, OFFER, PROGRESS, Message
from diadem.network.outbox import KEPT, Outgoing, PendingIntroduction
from diadem.network.peering import answer_introduction, finish_introduction, finish_join, introduce, join_request
from diadem.network.route_book import route_book
from diadem.node.peers.book import peer_book
from diadem.node.peers.cards import own_card, prove_card
from diadem.node.peers.notes import open_note
from diadem.store.system import translated
from diadem.trust.keys import PublicKey

# -- at a peer ------------------------------------------------------------------------------------------------------


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
    unproven = dict[str, str]()
    for message in map(Message.from_bytes, waiting):
        if seen := _collected(desk, link, peer, message):
            unproven[message.id] = seen
            _say(desk, link, peer, message.transfer, {"seen": seen})
    for message in map(Message.from_bytes, link.waiting_messages() if unproven else ()):
        if (shown := unproven.get(message.id)) and _collected(desk, link, peer, message) == shown:
            reason = f"{message.kind}: its chain does not show that the log of the node still begins as it did"
            desk.book.refuse(peer, message.transfer, reason, desk.now)
            _acknowledge(link, message)
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
        _acknowledge(link, message)
        return ""
    if answer.get("state") == UNPROVEN:
        return str(answer["seen"])
    for document in answer.get("messages", ()):  # an answer that no connection carries is a message of its own
        desk.outbox.add(Outgoing(document["id"], peer, document["transfer"], CLOSURE, {}), desk.now)
    _acknowledge(link, message)
    return ""


def _acknowledge(link: Link, message: Message) -> None:
    """Tell the sender that a message came; one that it took back, or told another process of this node, is gone."""
    with contextlib.suppress(NotFound):
        link.acknowledge(message.id)


def _say(desk: Desk, link: Link, peer: str, transfer: str, about: dict[str, Any]) -> None:
    """Tell the sender of a message that was fetched what the answer to its call would have said."""
    told = Message(new_id(), PROGRESS, transfer, desk.node, peer, time_text(desk.now), "", about)
    with contextlib.suppress(NotFound, Refused, UsageError):  # an earlier version makes nothing of it
        link.post_message(told.to_bytes())


# -- at a hub -------------------------------------------------------------------------------------------------------


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
        waiting = boxes.ls(desk.node, wait=wait)
    except DiademError as error:
        book.failed(hub.id, DIRECT, desk.now, error.message)
        raise
    book.worked(hub.id, DIRECT, desk.now)
    left: DiademError | None = None
    early, gone = list[str](), list[str]()
    with _forgotten(partial(boxes.taken, desk.node), gone):
        for name in chain((one.name for one in waiting), early):
            if not book.was_taken(name):
                try:
                    data = bytes(boxes.get(desk.node, name))
                except NotFound:  # the hub has lost it since; who put it there puts it there again
                    continue
                try:
                    with translated(str(desk.context.folder), "what came waits at the hub"):
                        _take(desk, hub, name, data)
                except NotFound as error:
                    if name not in early:  # a hub tells no order: what it follows on may lie there too
                        early.append(name)
                        continue
                    _refuse(desk, hub, error)
                except (Unreachable, StoreError) as error:  # nobody's message keeps those of others waiting
                    left = left or error
                    continue
                book.take(name, desk.now)
            gone.append(name)
        if left is not None:
            raise left
    return len(waiting)


@contextlib.contextmanager
def _forgotten(forget: Callable[[list[str]], object], gone: list[str]) -> Iterator[None]:
    """Have the hub forget what was taken, also where it, or this program, fails: the first error is the one told."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(DiademError):
            if gone:
                forget(gone)
        raise
    if gone:
        forget(gone)


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
        _read(desk, hub, _opened(desk, name, data))
    except (Unreachable, StoreError) as error:
        if not isinstance(error, CarrierFull):  # its box is full: it says it again when there is room
            raise
    except (NotFound, OSError):
        raise
    except DiademError as error:
        _refuse(desk, hub, error)
    except Exception as error:  # whatever anybody sealed, it keeps no other message waiting
        _refuse(desk, hub, Refused(f"it cannot be read ({type(error).__name__})"))


def _opened(desk: Desk, name: str, data: bytes) -> Mail:
    """What was sealed for this node. Raises `Refused` where it is too large or too old, else as `open_mail`."""
    if len(data) > MAX_SEALED:
        raise Refused(f"it has {len(data):,} bytes; at most {MAX_SEALED:,} are read")
    said = open_mail(data, desk.context.keys.age_identity(), desk.node, name)
    if abs(said.sent - desk.now) > KEPT:
        raise Refused("its date is months away from now: somebody held it back, or a clock is wrong")
    return said


def _refuse(desk: Desk, hub: Peer, error: DiademError) -> None:
    desk.book.refuse(hub.id, "", f"from the box at the hub '{hub.name}': {error.message}", desk.now)


def _read(desk: Desk, hub: Peer, said: Mail) -> None:
    content = said.content
    if isinstance(content, Introduction):
        _take_introduction(desk, hub, said)
    elif isinstance(content, Welcome):
        _take_welcome(desk, said, content)
    elif isinstance(content, Answer):
        _take_answer(desk, said, content)
    else:
        _take_message(desk, hub, said)


def _require_pinned(desk: Desk, said: Mail) -> Peer:
    """The peer that said it, by the key that is pinned of it now. Raises `Refused`, `NotFound`."""
    peer = peer_book(desk.context).known(said.sender)
    if peer is None or not peer.speaks or not peer.online:
        raise NotFound(f"the node {said.sender[:12]}… is not a peer, or is not listened to")
    said.require_from(PublicKey.from_text(peer.online), peer.name)
    return peer


def _take_message(desk: Desk, hub: Peer, said: Mail) -> None:
    peer = _require_pinned(desk, said)
    try:
        data = receive(desk, peer.id, canonical.encode(said.content, where="message"))
        found = canonical.decode(data, where="answer", limit=MAX_ANSWER)
        answer = Answer(said.id, found["state"], found.get("seen", ""), tuple(found.get("messages", ())))
    except (NotFound, StoreError, Unreachable):  # not confirmed, or not now: as a request, that is tried again
        raise
    except DiademError as error:
        answer = _refusal(said.id, error)
    if peer.note is not None:
        put_sealed(desk, hub, (peer.id, peer.note.age), answer)


def _take_answer(desk: Desk, said: Mail, answer: Answer) -> None:
    """Take what was answered to something that was put down; to what was never said, it changes nothing."""
    put = desk.outbox.find_put(answer.to)
    pending = desk.outbox.introduction(said.sender)
    if answer.card and put is not None and pending is not None and put.about == pending.id:
        _take_refusal(desk, said, answer, pending)
        return
    peer = desk.peer(_require_pinned(desk, said).id)
    if put is not None:
        take_answer(desk, peer.id, put, answer)
    peer_book(desk.context).seen_confirmed(peer.id)  # it answers messages of confirmed peers only


def _refusal(to: str, error: DiademError, card: str = "") -> Answer:
    """What is answered where something was refused: as a request would be, with nothing of this machine."""
    told = {"code": error.code, "message": error.message[:2000], "next": (error.next or "")[:2000]}
    return Answer(to, "refused", error.seen if isinstance(error, Unproven) else "", error=told, card=card)


# -- introductions ---------------------------------------------------------------------------------------------------


def _take_introduction(desk: Desk, hub: Peer, said: Mail) -> None:
    """Answer an introduction from anyone, in the box of who introduces itself.

    Raises
    ------
    DocumentError, Refused
        It does not prove who it is from: nobody is answered.
    """
    assert isinstance(said.content, Introduction)
    card = prove_card(said.content.card, said.sender)
    said.require_from(card.online, card.name)
    to = (said.sender, open_note(said.content.endpoint, card.online, card.node).age)
    answer: Content
    try:
        answer = answer_introduction(desk.context, said, card.online.key_id)
    except (StoreError, Unreachable):
        raise
    except DiademError as error:
        answer = _refusal(said.id, error, own_card(desk.context).decode("utf-8"))
    put_sealed(desk, hub, to, answer)


def _take_welcome(desk: Desk, said: Mail, welcome: Welcome) -> None:
    """Take the answer to an introduction; one that was answered before, or never made, changes nothing.

    Raises
    ------
    DocumentError, Refused, IntegrityError
        It does not prove that it is of the node that was asked; the introduction still waits.
    """
    pending = desk.outbox.introduction(said.sender)
    if pending is None or pending.id != welcome.nonce:
        return
    card = prove_card(welcome.card, said.sender)
    said.require_from(card.online, card.name)
    try:
        if pending.ticket:
            met = finish_join(desk.context, Ticket.from_text(pending.ticket), pending.said, said, pending.name)
            if isinstance(met, Introduction):
                begin_introduction(desk, replace(pending, said=met))
                return
        else:
            finish_introduction(desk.context, peer_book(desk.context).get(pending.peer), pending.said, said)
    except (Refused, IntegrityError) as error:  # a person has to look at it
        desk.outbox.refuse(pending, error.message)
        raise
    desk.outbox.remove(pending.id)


def _take_refusal(desk: Desk, said: Mail, answer: Answer, pending: PendingIntroduction) -> None:
    """Take the refusal of an introduction; who misses the proof of a checkpoint that it has is shown it, once."""
    card = prove_card(answer.card.encode("utf-8"), said.sender)
    said.require_from(card.online, card.name)
    shown = any(one.seen for one in desk.outbox.puts(pending.id))
    if answer.seen and not shown and pending.ends > desk.now:
        if pending.ticket:
            again = join_request(desk.context, Ticket.from_text(pending.ticket), since=answer.seen)
        else:
            again = introduce(desk.context, peer_book(desk.context).get(pending.peer), since=answer.seen)
        begin_introduction(desk, replace(pending, said=again), seen=answer.seen)
        return
    desk.outbox.refuse(pending, f"{answer.error.get('message', 'it was refused')}")
