"""One round of all that is due with other nodes, for people whose node does not serve: `diadem transfer sync`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from diadem.errors import DiademError, NotFound
from diadem.model.display import Display
from diadem.model.peers import Peer, PeerState
from diadem.model.ports import Listener, silent
from diadem.model.transfers import MOVING, Transfer
from diadem.network.asking import TOGETHER, do_all
from diadem.network.desk import Desk
from diadem.network.handlers.windows import serving_of
from diadem.network.mail.delivery import deliver_all
from diadem.network.mail.pickup import collect, pick_up
from diadem.network.notes_told import tell_notes
from diadem.network.peer_verbs import PeerVerbs
from diadem.network.relay.carriers import clear
from diadem.network.relay.requesting import request
from diadem.network.switching import switch_all
from diadem.network.wire import no_answer
from diadem.network.working import FetchOptions, fetch_all, push_all, tidy
from diadem.node.peers.book import peer_book
from diadem.node.peers.notes import own_hubs


@dataclass(frozen=True, slots=True)
class Synced(Display):
    """What one round did.

    Attributes
    ----------
    came : int
        Messages that came.
    waiting : int
        Messages that the other side has not answered yet.
    moved : sequence of Transfer
        Transfers whose bytes were to move, as they stand now.
    trouble : sequence of str
        Who did not answer, and what went wrong.
    pending : sequence of str
        Names of the nodes that wait to be confirmed here.
    """

    came: int
    waiting: int
    moved: Sequence[Transfer]
    trouble: Sequence[str]
    pending: Sequence[str] = ()

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        moved = [one.to_dict() for one in self.moved]
        lists = {"trouble": list(self.trouble), "pending": list(self.pending)}
        return {"came": self.came, "waiting": self.waiting, "moved": moved, **lists}


def sync(desk: Desk, *, max_rate: float | None = None, listener: Listener = silent) -> Synced:
    """Messages out and in, bytes in and out, and once more messages: what was received is told at once."""
    trouble: dict[str, None] = {}
    tell_notes(PeerVerbs(desk.context, patience=0.0))
    came = _messages(desk, trouble)
    switch_all(desk, request)
    moving = [one.id for one in desk.book.all(states=MOVING) if not one.paused]
    fetch_all(desk, FetchOptions(max_rate=max_rate), listener)
    push_all(desk, serving_of(desk.context))
    if moving:
        came += _messages(desk, trouble)
    tidy(desk)
    clear(desk)
    moved = [desk.book.get(one) for one in moving]
    for one in moved:
        if one.error:
            trouble[f"transfer {one.id[:8]}: {one.error}"] = None
    pending = [peer.name for peer in peer_book(desk.context).ls() if peer.state is PeerState.PENDING]
    return Synced(came, len(desk.outbox.waiting()), moved, tuple(trouble), pending)


def _messages(desk: Desk, trouble: dict[str, None]) -> int:
    """Hand over what is due, and fetch what waits, at all peers at once; returns how much came."""
    book = peer_book(desk.context)
    told = [
        _Asked(f"'{desk.peer_name(peer)}'", partial(deliver_all, desk, peer=peer, due=False))
        for peer in desk.outbox.peers()
    ]
    do_all([one.run for one in told], TOGETHER)
    asked = [_Asked(_named(hub), partial(pick_up, desk, hub)) for hub in own_hubs(desk.context, book)]
    asked += [_Asked(_named(book.get(peer)), partial(collect, desk, peer)) for peer in desk.reachable()]
    do_all([one.run for one in asked], TOGETHER)
    for one in (*told, *asked):
        if one.fault is not None:
            raise one.fault
        if one.trouble:
            trouble[one.trouble] = None  # the same is told once
    return sum(one.came for one in asked)


def _named(peer: Peer) -> str:
    return f"the hub '{peer.name}'" if peer.is_hub else f"'{peer.name}'"


class _Asked:
    """A peer or hub that is told or asked something: how much came, and what was the trouble."""

    def __init__(self, name: str, work: Callable[[], int]) -> None:
        self._name, self._work, self.came = name, work, 0
        self.fault: Exception | None = None
        self.trouble = f"{name} does not answer: it took longer than {TOGETHER:.0f} s"

    def run(self) -> None:
        try:
            self.came, self.trouble = self._work(), ""
        except NotFound:
            self.trouble = f"{self._name} has not confirmed this node, or no longer does: ask its people"
        except DiademError as error:
            self.trouble = no_answer(self._name, error.message)
        except Exception as error:
            self.fault = error
