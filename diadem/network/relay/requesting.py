"""Asking the sender of a package for what is to be put down, and by which route; taking such a wish at the sender."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from diadem.errors import DiademError, IntegrityError, NotFound, Refused
from diadem.model.carriers import LAST_GENERATION
from diadem.model.routes import DIRECT, DISK, HUB
from diadem.model.transfers import IN, LOCAL, MOVING, NEXT, State, Transfer
from diadem.network.arrival import Arrival
from diadem.network.desk import Desk
from diadem.network.landing import place_of
from diadem.network.messages import MAX_ERROR, PROGRESS, WANTED, Message, Wanted
from diadem.network.receiving import Receiving
from diadem.network.relay_book import EVERYTHING, Place, Relay, RelayBook, Spoilt, relay_book
from diadem.network.routing import hub_for, working_hubs
from diadem.network.windows import bits_of, missing_windows, most_windows, numbers_of
from diadem.trust.base64_text import from_base64, to_base64

#: No window: "" stands for all of them.
_NONE: Final = b"\0"


# -- at the receiver -------------------------------------------------------------------------------------------------


def request(desk: Desk, transfer: Transfer, route: str, *, hub: str = "") -> Transfer:
    """Go on by another route, or ask anew by the same one: the sender is told what is still missing.

    Parameters
    ----------
    desk : Desk
        Of the receiver.
    transfer : Transfer
        Accepted.
    route : str
        One of those that were offered.
    hub : str
        Id of the hub; "" for the one that was agreed on, as long as it answers.

    Raises
    ------
    Refused
        The route was not offered, or the acceptance names no place for it; nothing is to be fetched; or another process
        is at it.
    """
    if transfer.direction != IN or transfer.state not in {*MOVING, State.FAILED}:
        raise Refused(
            f"the transfer is {transfer.state.word}: it cannot take another route", next="See: diadem transfer ls"
        )
    if route not in transfer.routes:
        raise Refused(f"the route '{route}' was not offered", next=f"It may go by: {', '.join(transfer.routes)}")
    relays = relay_book(desk.context)
    relay = relays.get(transfer.id)
    if route != DIRECT and relay is None:
        raise Refused("its acceptance names no place to write it to", next="Ask for a new offer.")
    about: dict[str, Any] = {"route": route, "generation": 1, "parts": [], "windows": to_base64(_NONE)}
    used = route
    if relay is not None and route == DIRECT and relay.routes:
        about["generation"] = min(relay.generation + 1, LAST_GENERATION)  # of what is said the highest counts
        used = relay.routes[-1]
    elif relay is not None and route != DIRECT:
        about |= {"generation": _checked(relay.generation + bool(relay.routes)), **_missing(desk, transfer)}
        if route == HUB:
            about["hub"] = hub or _hub(desk, transfer, relay)
    with desk.book.together():  # or the sender would be told a generation that this node does not know
        if "hub" in about:
            relays.use_hub(transfer.id, about["hub"])
        if used != DIRECT:
            relays.use(transfer.id, used, generation=about["generation"])
        if route != DIRECT:
            relays.forgive(transfer.id)
        desk.book.change(transfer.id, route=route, error="", next="")
        if relay is not None:  # else nothing was ever to be put down
            desk.post(transfer, WANTED, about)
    return desk.book.get(transfer.id)


def request_anew(desk: Desk, transfer: Transfer) -> Transfer:
    """Ask for all that is missing to be put down again by the present route, because it is lost there.

    Raises
    ------
    Refused
        Nothing is put down by that route; else as `request`.
    """
    if transfer.direction != IN or transfer.route in (DIRECT, DISK, LOCAL):
        raise Refused(
            "it does not come by a hub or folder: nothing can be requested there",
            next=f"Fetch what is missing: diadem transfer resume {transfer.id[:8]}",
        )
    with desk.turn(transfer.id):
        return request(desk, desk.book.get(transfer.id), transfer.route)


def _hub(desk: Desk, transfer: Transfer, relay: Relay) -> str:
    hubs = working_hubs(desk, transfer.peer, relay.hub)
    return hubs[0].id if hubs else hub_for(desk, transfer.peer).id


def ask_again(
    desk: Desk, transfer: Transfer, spoilt: Mapping[Place, Spoilt], is_lacking: Callable[[Place], bool]
) -> None:
    """Ask for everything that came damaged and is still missing, in one later generation.

    Raises
    ------
    IntegrityError
        It was asked for so often that no name is left.
    """
    lacking = {place: known for place, known in spoilt.items() if is_lacking(place)}
    if not lacking:
        return
    relays = relay_book(desk.context)
    relay = relays.get(transfer.id)
    assert relay is not None
    generation = _checked(max(relay.generation, *(known.generation for known in lacking.values())) + 1)
    windows = {window for part, window in lacking if part == 2}
    parts = sorted({part for part, _ in lacking if part < 2})
    bits = bits_of(windows) or _NONE
    with contextlib.suppress(StopIteration):  # an earlier wish that has not gone yet is part of this one
        waiting = desk.outbox.waiting(peer=transfer.peer)
        unsent = next(one for one in waiting if (one.transfer, one.kind) == (transfer.id, WANTED))
        parts = sorted({*parts, *unsent.about["parts"]})
        bits = _both(bits, from_base64(unsent.about["windows"]))
    about = {"route": transfer.route, "generation": generation, "parts": parts, "windows": to_base64(bits)}
    if transfer.route == HUB and relay.hub:
        about["hub"] = relay.hub
    with desk.book.together():
        relays.use(transfer.id, transfer.route, generation=generation)
        desk.post(transfer, WANTED, about)


def _both(one: bytes, other: bytes) -> bytes:
    """All windows of two wishes; none named is all of them."""
    return bits_of({*numbers_of(one), *numbers_of(other)}) if other else b""


def _checked(generation: int) -> int:
    if generation > LAST_GENERATION:
        raise IntegrityError(
            "it was asked for too often, and came damaged or not at all", next="Ask for an offer by another route."
        )
    return generation


def _missing(desk: Desk, transfer: Transfer) -> dict[str, Any]:
    """Parts and windows that are not here."""
    arrival = Arrival.open(place_of(desk, transfer), transfer.id)
    try:
        receiving = Receiving(desk, transfer, arrival)
        if not receiving.open_tag_files():
            return {"parts": [0, 1], "windows": ""}
        assert receiving.plan is not None
        bits = bits_of(set(missing_windows(receiving.plan, arrival.marks.proven)))
        return {"parts": [], "windows": to_base64(bits or _NONE)}
    finally:
        arrival.close()


# -- at the sender ---------------------------------------------------------------------------------------------------


def know_relay(relays: RelayBook, transfer: Transfer, route: str, relay: str, recipient: str) -> None:
    """Note where an acceptance wants it put down; by its route, all of it is wanted at once."""
    relays.know(transfer.id, relay, recipient)
    if route not in (DIRECT, DISK):
        relays.ask(transfer.id, route, [EVERYTHING], 1)


def take_wanted(desk: Desk, transfer: Transfer, message: Message) -> Transfer:
    """Note what the receiver wants put down; it is not signed, and gives it nothing that it may not have anyway.

    Raises
    ------
    NotFound
        The acceptance is still on its way, and the wish comes again; or it names no place.
    Refused
        The route was not offered, or the package has no such windows.
    """
    wanted, relays = Wanted.of(message.about), relay_book(desk.context)
    if transfer.state is State.OFFERED:
        raise NotFound("the acceptance has not come yet", next="Send it again.")
    if transfer.state not in {*MOVING, State.FAILED}:
        return transfer
    if wanted.route not in transfer.routes:
        raise Refused(f"the route '{wanted.route}' was not offered", next=f"It may go by: {', '.join(transfer.routes)}")
    if relays.get(transfer.id) is None:
        raise NotFound("the acceptance names no place to write it to")
    if wanted.hub and wanted.hub not in [one.id for one in working_hubs(desk, transfer.peer)]:
        raise Refused("the hub that it names is not used by both nodes", next="diadem peer refresh")
    if transfer.state is State.FAILED and wanted.route != DIRECT:  # it is the carrier's fault, or the receiver's
        _tell_failed(desk, transfer)
        return transfer
    places = [] if wanted.route == DIRECT else _places(wanted, transfer)
    with desk.book.together():
        if wanted.route == DIRECT:
            heard = relays.ask_nothing(transfer.id, wanted.generation)
        else:
            heard = relays.ask(transfer.id, wanted.route, places, wanted.generation)
        if heard:
            if wanted.hub:
                relays.use_hub(transfer.id, wanted.hub)
            desk.book.change(transfer.id, route=wanted.route, error="", next="")
    return desk.book.get(transfer.id)


def give_up(desk: Desk, transfer_id: str, label: str, error: DiademError) -> None:
    """Say that a transfer has failed, and at which carrier: so much was lost or spoilt there that no more is allowed.

    The receiver is told so; it cannot know what was put down.
    """
    words = f"{label} lost or damaged so much that no more may be sent: {error.message}"
    with desk.turn(transfer_id):
        if State.FAILED in NEXT[desk.book.get(transfer_id).state]:
            desk.book.step(transfer_id, State.FAILED, desk.now, words=words, error=words, next=error.next or "")
            _tell_failed(desk, desk.book.get(transfer_id))


def _tell_failed(desk: Desk, transfer: Transfer) -> None:
    desk.post(transfer, PROGRESS, {"state": str(State.FAILED), "error": transfer.error[:MAX_ERROR]})


def _places(wanted: Wanted, transfer: Transfer) -> Iterable[Place]:
    parts = [(int(part), 0) for part in wanted.parts]
    if wanted.windows == "":
        return [*parts, EVERYTHING]
    bits, most = from_base64(wanted.windows), most_windows(transfer.bytes, transfer.files)
    if 8 * len(bits) >= most + 8:  # each of them would be a row in the book
        raise Refused(f"windows are wanted of a package that has {most:,} at most", next="Ask for a new offer.")
    return [*parts, *((2, number) for number in numbers_of(bits))]
