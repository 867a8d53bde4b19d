"""Delivering what is in the outbox: at once where a peer answers, over a hub, or when it asks for what waits.

A hub is told first who may put something into this node's box: else what answers would find none.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any, Final

from diadem.errors import DiademError, NotFound, Refused, StoreError, Unreachable, UsageError
from diadem.model import canonical
from diadem.model.carriers import CarrierFull
from diadem.model.peers import Peer
from diadem.model.routes import DIRECT
from diadem.model.tickets import FOR_PEER, Ticket
from diadem.model.times import read_time, time_text
from diadem.model.transfers import new_id
from diadem.network.closing import closure_message, corrections_now, with_custody
from diadem.network.desk import Desk
from diadem.network.envelope import Answer, Content, Mail, seal_mail
from diadem.network.evidence import is_own_checkpoint, own_chain
from diadem.network.incoming import never_proven, note_refusal, receive
from diadem.network.limits import MAX_ANSWER, MAX_INVITATIONS, MAX_SENDERS
from diadem.network.link import Link
from diadem.network.messages import CLOSURE, OFFER, UNSIGNED, Message
from diadem.network.outbox import Outgoing, PendingIntroduction, Put, outbox_of
from diadem.network.route_book import route_book
from diadem.network.routing import AUTO, no_way, through, ways
from diadem.network.wire import no_answer
from diadem.node.context import Context
from diadem.node.peers.book import peer_book
from diadem.node.peers.joins import joining_nodes
from diadem.node.peers.notes import own_hubs
from diadem.node.peers.tickets import tickets

#: Messages that answer one at most.
_MESSAGES: Final = 4
#: Messages that are handed out at once; the others wait for the next time.
_AT_ONCE: Final = 4
#: Why something is said again that was heard.
_CROSSED: Final = "the other side saw more of this log, or of its own, while it was under way"
#: The answer of a node that cannot connect a chain with what it saw of the log before.
UNPROVEN: Final = "unproven"
#: The list of who may put something into the own box is told anew so often, for a hub whose own disk was brought back
#: from a backup.
_AGAIN: Final = timedelta(days=1)


# -- what is in the outbox -------------------------------------------------------------------------------------------


def deliver_all(desk: Desk, peer: str, *, due: bool = True, stop: threading.Event | None = None) -> int:
    """Deliver the messages to a peer, or those that are due; returns how many were not taken.

    Behind one that has to wait the others wait with it.
    """
    waiting = desk.outbox.waiting(due=desk.now if due else None, peer=peer)
    for done, outgoing in enumerate(waiting):
        if stop is not None and stop.is_set():
            return 0
        if not deliver(desk, outgoing):
            return len(waiting) - done
    return 0


def introduce_all(
    desk: Desk, *, peer: str | None = None, hub: str | None = None, stop: threading.Event | None = None
) -> None:
    """Put down again what is due of introductions, to one peer or at one hub, and give up those that have ended.

    A hub may let this wait for long: what goes to peers directly, and what they are asked, comes before it.
    """
    for introduction in desk.outbox.introductions(due=desk.now, peer=peer):
        if stop is not None and stop.is_set():
            return
        if hub in (None, introduction.hub):
            _introduce(desk, introduction)


def deliver(desk: Desk, waiting: Outgoing) -> bool:
    """Hand over one message, directly or over a hub; False where it has to wait.

    What lies at a hub stays in the outbox until it is answered, and is put down again where nobody answers for long.
    """
    peer, known = peer_book(desk.context).known(waiting.peer), desk.book.find(waiting.transfer)
    routes = known.routes if known is not None else AUTO
    open_ways = ways(desk.context, peer, routes) if peer is not None else [None]
    if peer is not None and not open_ways:
        desk.outbox.put_off(waiting, no_way(desk.context, peer), desk.now)
    return any(
        _put_down(desk, waiting, peer, hub) if hub is not None and peer is not None else _called(desk, waiting)
        for hub in open_ways
    )


def _called(desk: Desk, outgoing: Outgoing) -> bool:
    """Hand over one message directly, and take in what answers it; False where nobody answers, or it cannot go."""
    routes = route_book(desk.context)
    try:
        link, message = desk.link(outgoing.peer), message_of(desk, outgoing)
    except DiademError as error:  # no address; or what was said last is in no store yet
        desk.outbox.put_off(outgoing, error.message, desk.now)
        return False
    try:
        answer, shown = _posted(link, message), ""
        if answer.get("state") == UNPROVEN:  # it cannot connect our log with what it saw of it: it is shown how
            shown = str(answer.get("seen", ""))
            answer = _posted(link, message_of(desk, outgoing, seen=shown))
        if answer.get("state") == UNPROVEN:
            _require_provable(desk, str(answer.get("seen", "")), shown=shown)
            desk.outbox.put_off(outgoing, _CROSSED, desk.now)
            return True
    except (Unreachable, NotFound) as error:  # not there, or this node is not yet confirmed there
        routes.failed(outgoing.peer, DIRECT, desk.now, error.message)
        desk.outbox.put_off(outgoing, error.message, desk.now)
        return False
    except DiademError as error:
        _refused(desk, outgoing, error)
        return True
    routes.worked(outgoing.peer, DIRECT, desk.now)
    _answered(desk, outgoing, answer.get("messages", ()))
    return True


def _put_down(desk: Desk, outgoing: Outgoing, peer: Peer, hub: Peer) -> bool:
    """Put one message into the box of its recipient, unless it has lain there for a short while only."""

    def put() -> None:
        before = desk.outbox.puts(outgoing.id)
        put_message(desk, outgoing, peer, hub, before[-1].seen if before else "")

    return _lies(desk, outgoing, hub, put)


def _introduce(desk: Desk, waiting: PendingIntroduction) -> None:
    """The same of an introduction; one that has ended is given up."""
    if waiting.ends <= desk.now:
        desk.outbox.remove(waiting.id)
    elif not waiting.refused:
        hub = next((one for one in own_hubs(desk.context, peer_book(desk.context)) if one.id == waiting.hub), None)
        if hub is None:
            desk.outbox.put_off(waiting, "its hub is no longer one of this node's", desk.now)
        else:
            _lies(desk, waiting, hub, lambda: put_introduction(desk, waiting))


def _lies(desk: Desk, waiting: Outgoing | PendingIntroduction, hub: Peer, put: Callable[[], object]) -> bool:
    """Whether something lies at a hub, where it is put down if that is due."""
    words, lies = f"it waits at the hub '{hub.name}', not answered yet", True
    try:
        if desk.outbox.is_due_at_hub(waiting.id, desk.now):
            put()
    except Unreachable as error:
        words, lies = no_answer(f"the hub '{hub.name}'", error.message), False
    except DiademError as error:
        words, lies = f"it cannot go to the hub '{hub.name}': {error.message}", False
    desk.outbox.put_off(waiting, words, desk.now)
    return lies


def message_of(desk: Desk, outgoing: Outgoing, *, seen: str = "") -> Message:
    """A message of the outbox with its chain as it is now: nothing that it states is older than what was said last.

    Raises
    ------
    Unreachable
        What was said last is in no store yet: it stays in the outbox.
    """
    known = desk.book.find(outgoing.transfer)
    if outgoing.kind == CLOSURE and known is not None:
        closure = closure_message(desk, known, name=outgoing.id, seen=seen)
        return Message.of(with_custody(desk, closure.to_dict()))
    theirs, ours = desk.book.checkpoints(outgoing.peer)
    chain = "" if outgoing.kind in UNSIGNED else own_chain(desk.context, outgoing.transfer, seen=seen or ours)
    about = {**outgoing.about, **({"seen": theirs} if theirs else {})}
    if outgoing.kind == OFFER and known is not None:
        about |= corrections_now(desk, known.package)
    return Message(
        outgoing.id, outgoing.kind, outgoing.transfer, desk.node, outgoing.peer, time_text(desk.now), chain, about
    )


def put_message(desk: Desk, outgoing: Outgoing, peer: Peer, hub: Peer, seen: str) -> None:
    """Put a message into a box, with its chain as it is now. Raises as `put_sealed`."""
    if peer.note is None:
        raise Unreachable(f"nothing can be sealed for '{peer.name}'", next=f"diadem peer refresh {peer.name}")
    said, to = message_of(desk, outgoing, seen=seen).to_dict(), (peer.id, peer.note.age)
    put_sealed(desk, hub, to, said, about=outgoing.id, seen=seen)


def put_introduction(desk: Desk, waiting: PendingIntroduction, *, seen: str = "") -> None:
    """Put an introduction into the box of the node that is met: always the same. Raises as `put_sealed`."""
    hub, invitation = peer_book(desk.context).get(waiting.hub), ""
    if waiting.ticket:
        ticket = Ticket.from_text(waiting.ticket)
        age, invitation = ticket.age, ticket.token_hash
    else:
        note = peer_book(desk.context).get(waiting.peer).note
        if note is None:
            raise Unreachable("it has no address, and nothing can be sealed for it", next="Ask for a new ticket.")
        age = note.age
    put_sealed(desk, hub, (waiting.peer, age), waiting.said, about=waiting.id, seen=seen, invitation=invitation)


def begin_introduction(desk: Desk, one: PendingIntroduction, *, seen: str = "") -> None:
    """Put an introduction into the outbox, instead of the one before, and down at its hub. Raises as `put_sealed`."""
    desk.outbox.introduce(one, desk.now)
    put_introduction(desk, one, seen=seen)


def _answered(desk: Desk, outgoing: Outgoing, documents: Iterable[Any]) -> None:
    """A message has arrived; what answers it is taken in, and only then it leaves the outbox: nobody answers twice.

    Where an answer does not go on from what was seen of the other log since, another one is asked for later.
    """
    try:
        for document in documents:
            taken = receive(desk, outgoing.peer, canonical.encode(document, where="answer"))
            if canonical.decode(taken, where="answer", limit=MAX_ANSWER).get("state") == UNPROVEN:
                desk.outbox.say_anew(outgoing, _CROSSED, desk.now)
                return
    except (StoreError, Unreachable):  # not now: it is told, and answered, again
        raise
    except DiademError:
        desk.outbox.remove(outgoing.id)
        raise
    desk.outbox.remove(outgoing.id)


def _require_provable(desk: Desk, seen: str, *, shown: str) -> None:
    """Raise `Refused` where this log does not go on from a checkpoint that was seen of it, or was shown to in vain.

    Who sees more of a log while one message travels, by another one, is no such case.
    """
    if seen == shown or not is_own_checkpoint(desk.context, seen):
        raise never_proven()


def _refused(desk: Desk, outgoing: Outgoing, error: DiademError) -> None:
    note_refusal(desk, outgoing, error)
    desk.outbox.remove(outgoing.id)


def take_answer(desk: Desk, peer: str, put: Put, answer: Answer) -> None:
    """Take what a peer answered over a hub to a message that was put down; what was answered before changes nothing."""
    outgoing = next((one for one in desk.outbox.waiting(peer=peer) if one.id == put.about), None)
    if outgoing is None:
        return
    if answer.state == UNPROVEN:
        try:
            _require_provable(desk, answer.seen, shown=put.seen)
        except Refused as error:
            _refused(desk, outgoing, error)
            return
        if all(one.seen != answer.seen for one in desk.outbox.puts(put.about)):  # else it was put down again already
            book = peer_book(desk.context)
            put_message(desk, outgoing, book.get(peer), book.get(put.hub), answer.seen)
    elif answer.error:
        _refused(desk, outgoing, Refused(answer.error["message"], next=answer.error["next"] or None))
    else:
        _answered(desk, outgoing, answer.messages)


def _posted(link: Link, message: Message) -> dict[str, Any]:
    found = canonical.decode(link.post_message(message.to_bytes()), where="answer", limit=MAX_ANSWER)
    listed = found.get("messages", []) if isinstance(found, dict) else None
    if not isinstance(found, dict) or not isinstance(listed, list) or len(listed) > _MESSAGES:
        raise UsageError("this version does not understand the answer of the other side", where="answer")
    return found


# -- what a peer asks for --------------------------------------------------------------------------------------------


def waiting_for(desk: Desk, peer: str) -> list[bytes]:
    """Messages that wait here for a peer that asks for them; their chains as they are now."""
    found = []
    for outgoing in desk.outbox.waiting(peer=peer)[:_AT_ONCE]:
        try:
            found.append(message_of(desk, outgoing).to_bytes())
        except DiademError as error:
            desk.outbox.put_off(outgoing, error.message, desk.now)
    return found


def acknowledged(desk: Desk, peer: str, message: str) -> None:
    """A peer that asked for its messages took one. Raises `NotFound` for one that is not its."""
    if message not in {outgoing.id for outgoing in desk.outbox.waiting(peer=peer)}:
        raise NotFound("no such message")
    desk.outbox.remove(message)


# -- at a hub --------------------------------------------------------------------------------------------------------


def put_sealed(
    desk: Desk,
    hub: Peer,
    to: tuple[str, str],
    said: Content,
    *,
    about: str = "",
    seen: str = "",
    invitation: str = "",
) -> None:
    """Say something to a node over a hub.

    `to` is its id and its age recipient. By `about`, an id in the outbox, an answer is recognised ("" for what is not
    answered), `seen` as `Put` has it; `invitation` is the SHA-256 of the secret of the ticket that lets this node in.

    Raises
    ------
    Unreachable
        The hub does not answer, or has no room.
    NotFound, Refused
        The hub takes nothing from this node for that one.
    """
    now, book = desk.now, route_book(desk.context)
    one = Mail(new_id(), desk.node, to[0], now.replace(microsecond=0), said)
    data = seal_mail(one, desk.context.keys.open("online"), to[1])
    try:
        tell_hub(desk, hub)  # else what answers it would find no box
        with _noted(desk, Put(one.id, about, hub.id, now, seen)):
            desk.hub(hub.id).put(to[0], one.id, data, invitation=invitation)
    except DiademError as error:
        book.failed(to[0], through(hub), now, error.message)
        if isinstance(error, Unreachable) and not isinstance(error, CarrierFull):
            book.failed(hub.id, DIRECT, now, error.message)
        raise
    book.worked(to[0], through(hub), now)


@contextlib.contextmanager
def _noted(desk: Desk, one: Put) -> Iterator[None]:
    """Know of what is put down before it is answered, which may be at once; forget it where it was not put down."""
    if not one.about:
        yield
        return
    desk.outbox.note_put(one)
    try:
        yield
    except BaseException:
        desk.outbox.forget_put(one.id)
        raise


def tell_hub(desk: Desk, hub: Peer) -> None:
    """Tell a hub who may put something into the own box, where it does not have that list already.

    Raises
    ------
    Unreachable, NotFound, Refused
        The hub does not answer, or does not take it.
    """
    senders, invitations, now = _senders(desk.context), _invitations(desk.context), desk.now
    digest = hashlib.sha256(canonical.encode([senders, invitations], where="box")).hexdigest()
    book = route_book(desk.context)
    told = book.told_list(hub.id)
    if told is None or told[0] != digest or told[1] + _AGAIN < now:
        desk.hub(hub.id).set_box(senders, invitations)
        book.tell_list(hub.id, digest, now)
        book.worked(hub.id, DIRECT, now)


def tell_hubs(desk: Desk) -> None:
    """Tell every hub that answers; the others are told when they are asked for messages the next time."""
    for hub in own_hubs(desk.context, peer_book(desk.context)):
        try:
            tell_hub(desk, hub)
        except DiademError as error:
            route_book(desk.context).failed(hub.id, DIRECT, desk.now, error.message)


def _senders(context: Context) -> list[str]:
    """Peers that are heard, and nodes that this one wants to meet, or that are just joining. A hub itself is called."""
    book = peer_book(context)
    known = {peer.id for peer in book.ls() if peer.speaks and not peer.is_hub}
    met = {one.peer for one in outbox_of(context).introductions() if not one.refused}
    return sorted(known | met | joining_nodes(book, context.clock()))[:MAX_SENDERS]


def _invitations(context: Context) -> list[str]:
    """Tickets that hold and were not used."""
    given = [one for one in tickets(peer_book(context)) if one.kind == FOR_PEER and not one.used_by]
    return sorted(one.hash for one in given if read_time(one.expires) > context.clock())[:MAX_INVITATIONS]
