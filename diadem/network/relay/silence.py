"""Noticing that a carrier gives nothing of what should lie there: it has lost it, and nobody says so."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Final

from diadem.model.transfers import MOVING, State, Transfer
from diadem.network.desk import Desk
from diadem.network.messages import ACCEPTANCE, WANTED
from diadem.network.relay.requesting import request
from diadem.network.relay_book import Silence, relay_book

#: After so long without a byte, though the sender has heard what is wanted, it is asked for anew: the first time, when
#: a person wants it to go on, and else; so often at most. The carrier has answered, and listed nothing of it: hardly
#: anything is put down twice.
_FIRST: Final = timedelta(hours=1)
_SOON: Final = timedelta(minutes=5)
LONG: Final = timedelta(days=1)
TIMES: Final = 3
#: As long as the sender has not heard it, the time is set so often.
_SET: Final = timedelta(hours=1)


def ask_where_silent(desk: Desk, transfer: Transfer, label: str, *, by_hand: bool = False) -> Transfer:
    """Ask the sender anew for what is missing, where the carrier has given nothing for long; in the end give it up.

    Parameters
    ----------
    desk : Desk
        Of the receiver.
    transfer : Transfer
        As it stands after its carrier was looked at, and answered.
    label : str
        What people call the carrier.
    by_hand : bool
        Whether a person wants it to go on.
    """
    if transfer.state not in MOVING:
        return transfer
    book, now, received = relay_book(desk.context), desk.now, transfer.counts.received
    known = book.silence(transfer.id)
    if known is None or known.received != received:
        book.keep_silence(transfer.id, Silence(now, received))
    elif _is_unheard(desk, transfer):
        if known.since + _SET <= now:
            book.keep_silence(transfer.id, replace(known, since=now))
    elif known.since + _patience(known, by_hand) <= now:
        with desk.turn(transfer.id):
            if by_hand or known.asked < TIMES:
                request(desk, transfer, transfer.route)
                book.keep_silence(transfer.id, Silence(now, received, 0 if by_hand else known.asked + 1))
            else:
                _give_up(desk, transfer, label)
    return desk.book.get(transfer.id)


def _patience(known: Silence, by_hand: bool) -> timedelta:
    if by_hand:
        return _SOON
    return LONG if known.asked else _FIRST


def _is_unheard(desk: Desk, transfer: Transfer) -> bool:
    """Whether the sender does not know yet what is wanted."""
    waiting = desk.outbox.waiting(peer=transfer.peer)
    return any(one.transfer == transfer.id and one.kind in (ACCEPTANCE, WANTED) for one in waiting)


def _give_up(desk: Desk, transfer: Transfer, label: str) -> None:
    words = f"{label} gives nothing more, although the sender was asked {TIMES} times to send it again"
    advice = f"Ask the sender's people; then: diadem transfer resume {transfer.id[:8]} --anew"
    desk.book.step(transfer.id, State.FAILED, desk.now, words=words, error=words, next=advice, rate=0.0)
