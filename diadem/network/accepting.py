"""Answering an offer: accepted with a ceiling and room kept for it, declined, or taken back."""

from __future__ import annotations

from typing import Final

from diadem.custody import statements
from diadem.errors import Refused, StoreError
from diadem.model.plain_text import size_text
from diadem.model.policy import Incoming
from diadem.model.replicas import PRESENT
from diadem.model.transfers import IN, LOCAL, MOVING, OUT, Counts, Rule, State, Transfer, ceiling
from diadem.network.desk import Desk, outgoing
from diadem.network.grants import require_read
from diadem.network.messages import ACCEPTANCE, DECLINE, REVOCATION
from diadem.network.relay_book import relay_book
from diadem.network.routing import choose

#: Room that a store keeps beside what comes.
RESERVE: Final = 64 << 20


def accept(desk: Desk, transfer_id: str, *, store: str | None = None) -> Transfer:
    """Accept an offer to the user at work; one that is accepted already stays so.

    Raises
    ------
    NotFound, Refused
        There is no such offer, it is for somebody else, or it holds no longer.
    StoreError
        No store has room for it.
    """
    whole = desk.book.get(transfer_id).id
    with desk.turn(whole):
        return accept_offer(desk, desk.mine(whole), store=store, rule=None)


def accept_offer(desk: Desk, transfer: Transfer, *, store: str | None, rule: Rule | None) -> Transfer:
    """Accept an offer, by its recipient at work or by a rule of theirs. The caller holds the turn."""
    if transfer.direction == LOCAL and transfer.state in {State.OFFERED, *MOVING, State.RECEIVED}:
        return _accept_local(desk, transfer)
    if transfer.state in MOVING:
        return transfer
    if transfer.state is not State.OFFERED:
        raise _answered(desk, transfer)
    with desk.context.locked("room"):  # two that accept at once are not promised the same room
        require_allowed(desk.context.policy.incoming, transfer.bytes, desk.book.waiting())
        chosen = store_for(desk, transfer, store)
        way = choose(desk, transfer)
        place = _place_for(desk, transfer, way.route)
        limit = ceiling(transfer.bytes, carried=bool(place))
        draft = statements.acceptance(
            transfer,
            ceiling=limit,
            route=way.route,
            rule=rule.id if rule else "",
            by=transfer.recipient,
            **place,
        )
        said = desk.say_once(transfer.id, draft, as_user=rule is None)
        return desk.book.step(
            transfer.id,
            State.ACCEPTED,
            desk.now,
            statement=said,
            words=way.why,
            post=outgoing(transfer, ACCEPTANCE),
            acceptance=said,
            rule=rule.id if rule else "",
            ceiling=limit,
            store=chosen,
            route=way.route,
        )


def _answered(desk: Desk, transfer: Transfer) -> Refused:
    """Why an offer that does not wait any more cannot be answered, and what can be done."""
    if transfer.state in (State.RECEIVED, State.CLOSED):
        days = [event.at[:10] for event in desk.book.events(transfer.id) if event.state is State.RECEIVED]
        where = f", into the store '{transfer.store}'" if transfer.store else ""
        return Refused(
            f"the package was received{''.join(f' on {day}' for day in days[:1])}{where}",
            next=f"See it: diadem show {transfer.package[7:19]}",
        )
    advice = "Ask the sender to offer the package again."
    if transfer.state in {*MOVING, State.FAILED}:
        advice = f"To end the transfer: diadem transfer cancel {transfer.id[:8]}"
    return Refused(f"the offer is {transfer.state.word}", next=advice)


def _place_for(desk: Desk, transfer: Transfer, route: str) -> dict[str, str]:
    """Where, and sealed to what, a sender may put it down, where it may go by carriers."""
    if set(transfer.routes) <= {"direct", "local"}:
        return {}
    relays = relay_book(desk.context)
    with desk.book.together():
        made = relays.make(transfer.id)
        if route != "direct":
            relays.use(transfer.id, route)
    return {"relay": made.relay, "seal": made.recipient}


def require_allowed(rules: Incoming, size: int, waiting: int) -> None:
    """Raise `Refused` where the policy takes no package of this size, or no more of them now."""
    advice = "See [incoming] in policy.toml."
    if size > rules.max_size:
        raise Refused(
            f"{size_text(size)} is more than the {size_text(rules.max_size)} allowed for a package", next=advice
        )
    if waiting + size > rules.max_waiting:
        raise Refused(
            f"with {size_text(waiting)} on the way, {size_text(size)} more would exceed {size_text(rules.max_waiting)}",
            next=advice,
        )


def store_for(desk: Desk, transfer: Transfer, wished: str | None) -> str:
    """The store in which a package lands: the wished for, or the first that answers and has room beside what comes.

    Raises
    ------
    StoreError
        None has room.
    """
    context = desk.context
    names = [context.settings.store(wished).name] if wished else _candidates(desk)
    reasons = []
    for name in names:
        if not context.stores.reachable(name):
            reasons.append(f"{name} does not answer")
            continue
        store = context.stores.open(name)
        if not store.capabilities().writes:
            reasons.append(f"{name} is read-only")
            continue
        free = store.free()
        if free is None or free - desk.book.reserved(name, besides=transfer.id) >= transfer.bytes + RESERVE:
            return name
        reasons.append(f"{name} has {size_text(free)} free, part of it reserved for other transfers")
    raise StoreError(
        f"no store has room for {size_text(transfer.bytes)}: {'; '.join(reasons) or 'the node has none'}",
        next="Free space, or add a store: diadem store add PLACE",
    )


def _candidates(desk: Desk) -> list[str]:
    """Stores in the order in which they are tried: folders, servers; cold ones last."""
    usable = [store for store in desk.context.settings.stores if not store.retired]
    return [store.name for store in sorted(usable, key=lambda store: (store.kind == "cold", "://" in store.url))]


def _accept_local(desk: Desk, transfer: Transfer) -> Transfer:
    """Within the node no byte moves: the recipient may read it from now on, and the statements are the same.

    It goes on where an earlier run ended.
    """
    context = desk.context
    require_read(desk.context, transfer.package, to=transfer.recipient, recipient=desk.node)
    draft = statements.acceptance(transfer, ceiling=0, route="local", rule="", by=transfer.recipient)
    said = desk.say_once(transfer.id, draft, as_user=True)
    if transfer.state is State.OFFERED:
        transfer = desk.book.step(transfer.id, State.ACCEPTED, desk.now, statement=said, acceptance=said, route="local")
    replicas = context.catalogue.replicas(transfer.package)
    stores = [one.store for one in replicas if one.state == PRESENT] or [one.store for one in replicas]
    software = context.tools.software
    receipt = statements.receipt(transfer, Counts(), stores=stores, started=desk.now, ended=desk.now, software=software)
    received = desk.say_once(transfer.id, receipt)
    if transfer.state in MOVING:
        transfer = desk.book.step(
            transfer.id, State.RECEIVED, desk.now, statement=received, receipt=received, done=transfer.bytes
        )
    checkpoint = context.ledger.checkpoint()
    closure = statements.closure(transfer, receipt=received, recipient=desk.node, checkpoint=checkpoint)
    closed = desk.say_once(transfer.id, closure)
    return desk.book.step(transfer.id, State.CLOSED, desk.now, statement=closed, closure=closed)


def decline(desk: Desk, transfer_id: str, reason: str = "") -> Transfer:
    """Decline an offer to the user at work.

    Raises
    ------
    NotFound, Refused
        There is no such offer, it is for somebody else, or it was answered.
    """
    whole = desk.book.get(transfer_id).id
    with desk.turn(whole):
        transfer = desk.mine(whole)
        if transfer.state is not State.OFFERED:
            raise _answered(desk, transfer)
        return _take_back(desk, transfer, State.DECLINED, reason)


def cancel(desk: Desk, transfer_id: str, reason: str = "") -> Transfer:
    """End a transfer before it is received: its sender takes the offer back, its recipient the acceptance.

    Raises
    ------
    NotFound, Refused
        There is none, it is not the user's, or it is over.
    """
    whole = desk.book.get(transfer_id).id
    with desk.turn(whole):
        transfer = desk.refreshed(desk.book.get(whole))
        if desk.context.address not in (transfer.sender, transfer.recipient):
            raise Refused("this transfer is neither from you nor for you", next="Work as its user: --user")
        if transfer.state in (State.RECEIVED, State.CLOSED) or desk.said(transfer.id, "receipt"):
            raise Refused(
                "it was received, and what was delivered cannot be taken back", next="Ask the other side to delete it."
            )
        if transfer.direction == IN or (transfer.direction == LOCAL and desk.context.address == transfer.recipient):
            to = State.DECLINED if transfer.state is State.OFFERED else State.CANCELLED
            return _take_back(desk, transfer, to, reason)
        return _withdraw(desk, transfer, reason)


def _take_back(desk: Desk, transfer: Transfer, to: State, reason: str) -> Transfer:
    draft = statements.decline(transfer, reason=reason, by=transfer.recipient)
    said = desk.say_once(transfer.id, draft, as_user=True)
    told = outgoing(transfer, DECLINE) if transfer.direction == IN else None
    return desk.book.step(transfer.id, to, desk.now, statement=said, words=reason, post=told)


def _withdraw(desk: Desk, transfer: Transfer, reason: str) -> Transfer:
    if transfer.state is State.DRAFTED:  # nothing was said yet
        return desk.book.step(transfer.id, State.CANCELLED, desk.now, words=reason)
    draft = statements.offer_revocation(transfer, reason=reason, by=transfer.sender)
    said = desk.say_once(transfer.id, draft, as_user=True)
    told = outgoing(transfer, REVOCATION) if transfer.direction == OUT else None
    return desk.book.step(transfer.id, State.REVOKED, desk.now, statement=said, words=reason, post=told)
