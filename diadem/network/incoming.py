"""What comes from other nodes: each message is weighed, and what it proves takes the transfer on; nothing else does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

from diadem.custody.statements import transfer_subject
from diadem.errors import DiademError, NotFound, Refused, StoreError, Unreachable
from diadem.model import canonical
from diadem.model.peers import Peer, Unproven
from diadem.model.plain_text import one_line
from diadem.model.routes import DIRECT
from diadem.model.statements import Subject
from diadem.model.times import read_time, time_text
from diadem.model.transfers import IN, MOVING, NEXT, OUT, State, Transfer, TransferEvent
from diadem.network import messages
from diadem.network.accepting import accept_offer, require_allowed
from diadem.network.closing import brought_with, close_received, closure_message, custody_came, with_custody
from diadem.network.desk import Desk
from diadem.network.evidence import Contradicted, Evidence, Proven, is_own_checkpoint, weigh
from diadem.network.limits import MAX_ANSWER
from diadem.network.messages import MAX_ERROR, Message
from diadem.network.outbox import Outgoing
from diadem.network.relay.requesting import know_relay, take_wanted
from diadem.network.relay_book import relay_book
from diadem.network.rules import rule_for
from diadem.node.peers.book import peer_book
from diadem.serialization.validation import validate_statement

#: How much later than this node's clock an offer may say that it was made.
_DAY: Final = timedelta(days=1)
#: Counts of others below this one are taken: what JSON, SQLite and every reader hold exactly.
_COUNTABLE: Final = 1 << 53
_DISTRUST: Final = "Do not trust it; ask the other side."

Answer = dict[str, Any]


def receive(desk: Desk, node: str, data: bytes) -> bytes:
    """Take a control message, and answer it.

    Parameters
    ----------
    desk : Desk
        Of this node.
    node : str
        Id of the node that handed it over, as its signature on the request or the seal proves.
    data : bytes
        As it came.

    Returns
    -------
    bytes
        Canonical JSON: `state`, and `messages` that answer it. The same message gets the same answer.

    Raises
    ------
    NotFound
        From a node that is no confirmed peer, or about a transfer that is not with it.
    Refused, DocumentError, Contradicted
        It proves nothing, or what it proves is not allowed; noted in the book.
    StoreError, Unreachable
        It cannot be taken in or answered now; it is to come again.
    """
    peer = desk.peer(node)
    message = Message.from_bytes(data)
    if message.sender != node or message.recipient != desk.node:
        raise Refused("the message is not from the node that sent it, or not for this one", next=_DISTRUST)
    if (known := desk.book.answered(message.id, node)) is not None:
        return _told(desk, known)
    try:
        with desk.turn(message.transfer):
            answer = _ANSWERS[message.kind](desk, peer, message)
    except Unproven as error:
        return _written({"state": "unproven", "seen": error.seen})
    except Contradicted as error:
        desk.distrust(message.transfer, node, error.message)
        raise
    except (StoreError, Unreachable):  # not now: it comes again
        raise
    except DiademError as error:
        desk.book.refuse(node, message.transfer, f"{message.kind}: {error.message}", desk.now)
        raise
    written = _written(answer)
    if message.kind != messages.PROGRESS:  # it changes nothing to hear that again, and there is a lot of it
        desk.book.answer(message.id, node, written, desk.now)
    return _told(desk, written)


def _told(desk: Desk, answer: bytes) -> bytes:
    """An answer that is kept, as it goes: a closure in it with the custody of the package as it is now."""
    found = canonical.decode(answer, where="answer", limit=MAX_ANSWER)
    if "messages" not in found:
        return answer
    return _written({**found, "messages": [with_custody(desk, closure) for closure in found["messages"]]})


def _written(answer: Answer) -> bytes:
    return canonical.encode(answer, where="answer")


def _state(transfer: Transfer) -> Answer:
    return {"state": str(transfer.state)}


def _weighed(desk: Desk, peer: Peer, message: Message) -> Evidence:
    """What the message proves; its chain and checkpoint are kept, for the next one must go on from there."""
    theirs, _ = desk.book.checkpoints(peer.id)
    kept = desk.shelf.get(message.transfer, peer.id)
    evidence = weigh(message.transfer, peer.id, message.chain, kept=kept, seen=theirs)
    seen = str(message.about.get("seen", ""))
    ours = seen if seen and is_own_checkpoint(desk.context, seen) else ""
    if desk.book.find(message.transfer) is not None:  # an offer that is refused takes no room here
        desk.shelf.keep(message.transfer, peer.id, message.chain.encode())
    desk.book.see(peer.id, theirs=evidence.checkpoint, ours=ours)
    return evidence


def _one(evidence: Evidence, message: Message, kind: str) -> Proven:
    """The newest statement of a kind, of the form that its schema demands, by whom it says.

    Raises
    ------
    Refused, DocumentError
        There is none that is proven.
    """
    found = evidence.of(kind)
    if not found:
        raise Refused(f"the chain proves no {kind}", next=_DISTRUST)
    newest = found[-1]
    validate_statement(newest.entry.statement)
    named = newest.said.get("transfer", message.transfer)
    if named != message.transfer or transfer_subject(message.transfer) not in newest.entry.statement.subjects:
        raise Refused(f"the {kind} is of another transfer", next=_DISTRUST)
    return newest


def _by_user(proven: Proven) -> str:
    """The user who says it, whose signature holds. Raises `Refused` where it is somebody else's."""
    by = str(proven.said.get("by", ""))
    if by not in proven.signers:
        raise Refused(f"the {proven.kind} is not signed by {by or 'whom it names'}", next=_DISTRUST)
    return by


def _require(same: bool, what: str) -> None:
    if not same:
        raise Refused(what, next=_DISTRUST)


# -- at the receiver -------------------------------------------------------------------------------------------------


def _offered(desk: Desk, peer: Peer, message: Message) -> Answer:
    known = desk.book.find(message.transfer)
    if known is not None and (known.peer, known.direction) != (peer.id, IN):
        raise NotFound("no such transfer")
    offer = _one(_weighed(desk, peer, message), message, "offer")
    by = _by_user(offer)
    if known is not None:
        _require(known.offer == offer.id, "another offer was made for this transfer before")
        return _state(desk.refreshed(known))
    said, settings = offer.said, desk.context.settings
    _require(said["recipient"] == desk.node, "the offer is for another node")
    _require(Subject.package(said["package"]) in offer.entry.statement.subjects, "the offer is of another package")
    user = str(said["to"]).rpartition("@")[0]
    _require(any(one.name == user for one in settings.users), f"this node has no user '{user}'")
    expires = read_time(str(said["expires"]))
    _require(desk.now < expires, "the offer has expired")
    _require(int(said["files"]) < _COUNTABLE, "no package has so many files")
    rules = desk.context.policy.incoming
    require_allowed(rules, int(said["bytes"]), 0)
    if desk.book.offers_since(peer.id, desk.now - _DAY) >= rules.max_per_day:
        raise Refused(f"more than {rules.max_per_day} offers came in a day", next="Offer it again tomorrow.")
    record = message.about.get("record", {})
    transfer = Transfer(
        id=message.transfer,
        direction=IN,
        state=State.OFFERED,
        package=str(said["package"]),
        payload_id=str(said["payload_id"]),
        title=one_line(str(record.get("title") or str(said["package"])[:19])),
        bytes=int(said["bytes"]),
        files=int(said["files"]),
        peer=peer.id,
        sender=f"{by.rpartition('@')[0]}@{peer.name}",
        recipient=f"{user}@{settings.name}",
        routes=tuple(said["routes"]),
        expires=expires,
        created=desk.now,
        comment=str(said.get("comment", "")),
        offer=offer.id,
        grant=str(said["grant"]),
    )
    about = {name: value for name, value in message.about.items() if name != "seen"}
    brought_with(desk, transfer, about)  # what does not hold is refused before a byte moves
    desk.shelf.keep(message.transfer, peer.id, message.chain.encode())
    desk.book.add(transfer, TransferEvent(State.OFFERED, time_text(desk.now), offer.id), about=about)
    peer_book(desk.context).seen_confirmed(peer.id)  # else it could not offer anything
    return _state(_accepted_by_rule(desk, transfer, record))


def _accepted_by_rule(desk: Desk, transfer: Transfer, record: Mapping[str, Any]) -> Transfer:
    """The transfer, accepted where a rule of its recipient says so and there is room; else it waits for a person."""
    rule = rule_for(desk.context, transfer, record) if desk.by_rules else None
    if rule is None:
        return transfer
    try:
        return accept_offer(desk, transfer, store=None, rule=rule)
    except Refused as error:
        desk.book.change(transfer.id, error=error.message, next=error.next or "")
        return transfer


def _revoked(desk: Desk, peer: Peer, message: Message) -> Answer:
    transfer = desk.from_peer(message.transfer, peer.id)
    _require(transfer.direction == IN, "only the sender can withdraw an offer")
    evidence = _weighed(desk, peer, message)
    revocation, offer = _one(evidence, message, "revocation"), _one(evidence, message, "offer")
    _require(revocation.said["revokes"] == transfer.offer == offer.id, "another statement is revoked")
    _require(_by_user(revocation) == offer.said["by"], "only the sender can withdraw an offer")
    if State.REVOKED in NEXT[transfer.state] and not desk.said(transfer.id, "receipt"):  # what landed stays
        words = str(revocation.said.get("reason", ""))
        transfer = desk.book.step(transfer.id, State.REVOKED, desk.now, statement=revocation.id, words=words)
    return _state(transfer)


def _closed(desk: Desk, peer: Peer, message: Message) -> Answer:
    transfer = desk.from_peer(message.transfer, peer.id)
    _require(transfer.direction == IN, "only the sender can close a transfer")
    closure = _one(_weighed(desk, peer, message), message, "closure")
    _require(closure.said["receipt"] == transfer.receipt, "the closure is for another receipt")
    _require(closure.said["recipient"] == desk.node, "the closure is for another node")
    _require(is_own_checkpoint(desk.context, str(closure.said["checkpoint"])), "the closure names a foreign checkpoint")
    if transfer.state is State.RECEIVED:
        if said := brought_with(desk, transfer, message.about):  # what was corrected while it travelled
            desk.context.say(said)
        told = "; ".join(f"custody not taken over: {why}" for why in custody_came(desk, transfer, message.about))
        words, at = one_line(told, MAX_ERROR), desk.now
        transfer = desk.book.step(transfer.id, State.CLOSED, at, statement=closure.id, words=words, closure=closure.id)
    return _state(transfer)


# -- at the sender ---------------------------------------------------------------------------------------------------


def _sent(desk: Desk, peer: Peer, message: Message) -> Transfer:
    transfer = desk.refreshed(desk.from_peer(message.transfer, peer.id))
    _require(transfer.direction == OUT, f"only the receiver can send a {message.kind}")
    return transfer


def _require_recipient(transfer: Transfer, by: str) -> None:
    """That the other side's user who says it is the one to whom it was offered, whatever each calls the node."""
    same = by.rpartition("@")[0] == transfer.recipient.rpartition("@")[0]
    _require(same, f"it was offered to {transfer.recipient}, not to {by}")


def _accepted(desk: Desk, peer: Peer, message: Message) -> Answer:
    transfer = _sent(desk, peer, message)
    acceptance = _one(_weighed(desk, peer, message), message, "acceptance")
    if transfer.acceptance:
        _require(transfer.acceptance == acceptance.id, "another acceptance came before")
        return _state(transfer)
    return _state(_take_acceptance(desk, transfer, acceptance))


def _take_acceptance(desk: Desk, transfer: Transfer, acceptance: Proven, *, received: bool = False) -> Transfer:
    """The transfer as it was accepted; also one that was taken back, where it was `received` nevertheless."""
    said = acceptance.said
    if "rule" not in said:
        _by_user(acceptance)
    _require_recipient(transfer, str(said["by"]))
    _require(said["offer"] == transfer.offer, "the acceptance is of another offer")
    _require(said["package"] == transfer.package, "the acceptance is of another package")
    _require(said.get("sender", desk.node) == desk.node, "the acceptance is for another node")
    _require(said["route"] in transfer.routes, "the acceptance names a route that was not offered")
    _require(transfer.state is State.OFFERED or received, f"the offer is {transfer.state.word}")
    _require(int(said["ceiling"]) < _COUNTABLE, "no limit can be so high")
    relays = relay_book(desk.context)
    with desk.book.together():
        if "relay" in said:
            know_relay(relays, transfer, str(said["route"]), str(said["relay"]), str(said["seal"]))
        how: dict[str, Any] = {
            "acceptance": acceptance.id,
            "ceiling": int(said["ceiling"]),
            "route": str(said["route"]),
        }
        if transfer.state is State.OFFERED:
            return desk.book.step(transfer.id, State.ACCEPTED, desk.now, statement=acceptance.id, **how)
        desk.book.change(transfer.id, **how)
        return desk.book.get(transfer.id)


def _declined(desk: Desk, peer: Peer, message: Message) -> Answer:
    transfer = _sent(desk, peer, message)
    decline = _one(_weighed(desk, peer, message), message, "decline")
    _require_recipient(transfer, _by_user(decline))
    _require(decline.said["offer"] == transfer.offer, "another offer was declined")
    to = State.DECLINED if transfer.state is State.OFFERED else State.CANCELLED
    if to in NEXT[transfer.state]:
        words = str(decline.said.get("reason", ""))
        transfer = desk.book.step(transfer.id, to, desk.now, statement=decline.id, words=words)
    return _state(transfer)


def _progressed(desk: Desk, peer: Peer, message: Message) -> Answer:
    """What the receiver says of its progress: not signed, only shown, and no event: the book would grow by it."""
    if message.about.keys() == {"seen"}:
        return _held_there(desk, peer, message)
    if desk.from_peer(message.transfer, peer.id).direction == IN:
        return _given_up(desk, peer, message)
    transfer, about = _sent(desk, peer, message), message.about
    if transfer.state is State.OFFERED and about.get("state") == "failed":
        return _refused_there(desk, transfer, Refused(one_line(str(about.get("error", "")))))
    if transfer.state not in MOVING:
        return _state(transfer)
    said = State(about["state"]) if about.get("state") in ("transferring", "verifying") else transfer.state
    state = said if said in NEXT[transfer.state] else transfer.state
    done = min(int(about.get("done", transfer.done)), transfer.bytes)
    rate, error = float(about.get("rate", 0)), one_line(str(about.get("error", "")))
    desk.book.change(transfer.id, durable=False, state=str(state), done=done, rate=rate, error=error)
    return {"state": str(state)}


def _held_there(desk: Desk, peer: Peer, message: Message) -> Answer:
    """A peer that fetches its messages says which checkpoint of this log it has: they are connected with that.

    Where this log does not go on from there, nothing more is told of the transfer.
    """
    transfer, seen = desk.from_peer(message.transfer, peer.id), str(message.about["seen"])
    if is_own_checkpoint(desk.context, seen):
        desk.book.see(peer.id, ours=seen)
        return _state(transfer)
    return _refused_there(desk, transfer, never_proven())


def _refused_there(desk: Desk, transfer: Transfer, error: Refused) -> Answer:
    """A peer that fetches its messages takes none of those of a transfer."""
    for outgoing in desk.outbox.waiting(peer=transfer.peer):
        if outgoing.transfer == transfer.id and outgoing.kind not in messages.UNSIGNED:
            note_refusal(desk, outgoing, error)
            desk.outbox.remove(outgoing.id)
    return _state(desk.book.get(transfer.id))


def never_proven() -> Refused:
    """Why the other side takes nothing: it has seen another log than this one."""
    return Refused("the other side holds a checkpoint that this log does not continue")


def note_refusal(desk: Desk, outgoing: Outgoing, error: DiademError) -> None:
    """What the other side refuses is not sent again; an offer that it refuses has failed."""
    words = f"the other side refused the {outgoing.kind}: {error.message}"
    known, advice = desk.book.find(outgoing.transfer), error.next or ""
    if known is None:
        return
    if outgoing.kind == messages.OFFER and State.FAILED in NEXT[known.state]:
        desk.book.step(known.id, State.FAILED, desk.now, words=words, error=words, next=advice)
    else:
        desk.book.change(known.id, error=words, next=advice)


def _given_up(desk: Desk, peer: Peer, message: Message) -> Answer:
    """The sender puts down no more: it alone knows how much was lost at a carrier. A person has it offered anew."""
    transfer, about = desk.from_peer(message.transfer, peer.id), message.about
    _require(about.get("state") == "failed", "a sender reports no progress but a failure")
    if transfer.route != DIRECT and transfer.state in (State.ACCEPTED, State.TRANSFERRING):  # else it is all here
        words = f"{peer.name} sends no more: {one_line(str(about.get('error', '')))}"
        advice = "Cancel it, and ask for a new offer, by another route if there is one."
        transfer = desk.book.step(transfer.id, State.FAILED, desk.now, words=words, error=words, next=advice, rate=0.0)
    return _state(transfer)


def _wished(desk: Desk, peer: Peer, message: Message) -> Answer:
    """What the receiver wants put down for it: not signed, and nothing that it may not have anyway."""
    return _state(take_wanted(desk, _sent(desk, peer, message), message))


def _received(desk: Desk, peer: Peer, message: Message) -> Answer:
    transfer = _sent(desk, peer, message)
    evidence = _weighed(desk, peer, message)
    receipt = _one(evidence, message, "receipt")
    said = receipt.said
    if not transfer.acceptance:  # the acceptance got lost on its way: it is in the same chain
        transfer = _take_acceptance(desk, transfer, _one(evidence, message, "acceptance"), received=True)
    _require(said["offer"] == transfer.offer, "the receipt is for another offer")
    _require(said["acceptance"] == transfer.acceptance, "the receipt is for another acceptance")
    _require(said["package"] == transfer.package, "the receipt is for another package")
    _require(said["payload_id"] == transfer.payload_id, "the receipt is for another payload")
    _require(said["bytes"] == transfer.bytes, "the receipt is for other bytes")
    _require(said.get("sender", desk.node) == desk.node, "the receipt is for another sender")
    if transfer.receipt:
        _require(transfer.receipt == receipt.id, "another receipt came before")
    return _answered_receipt(desk, transfer, receipt.id, evidence.checkpoint)


def _answered_receipt(desk: Desk, transfer: Transfer, receipt: str, checkpoint: str) -> Answer:
    """The closure, as the answer to a receipt."""
    closed = close_received(desk, transfer, receipt, checkpoint)
    return {"state": str(closed.state), "messages": [closure_message(desk, closed).to_dict()]}


_ANSWERS: Final[Mapping[str, Callable[[Desk, Peer, Message], Answer]]] = {
    messages.OFFER: _offered,
    messages.ACCEPTANCE: _accepted,
    messages.DECLINE: _declined,
    messages.REVOCATION: _revoked,
    messages.RECEIPT: _received,
    messages.CLOSURE: _closed,
    messages.PROGRESS: _progressed,
    messages.WANTED: _wished,
}
