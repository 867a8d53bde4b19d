"""What a node that serves does by itself, again and again: hand over what waits, ask peers, fetch, keep mirrors."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from diadem.network.desk import Desk
from diadem.node.context import Context


@dataclass(frozen=True, slots=True)
class Job:
    """One thing that is done periodically, in a thread of its own.

    Attributes
    ----------
    name : str
        For the log: ``outbox``.
    run : callable
        Does what is due and returns whether there is more that is due at once. Looks at the event now and then and
        ends soon after it is set. What it raises is told and tried again, later each time.
    settle : callable
        Waits so many seconds for what it has begun in other threads, after the event was set.
    every : float
        Seconds between two runs.
    longest : float
        Seconds between two runs at most, where it fails again and again.
    """

    name: str
    run: Callable[[threading.Event], bool]
    settle: Callable[[float], object] = lambda _: None
    every: float = 5.0
    longest: float = 300.0


def _switch(desk: Desk, _: threading.Event) -> bool:
    from diadem.network.relay.requesting import request
    from diadem.network.switching import switch_all

    switch_all(desk, request)
    return False


def _notes(context: Context, _: threading.Event) -> bool:
    from diadem.network.notes_told import tell_notes
    from diadem.network.peer_verbs import PeerVerbs

    tell_notes(PeerVerbs(context, patience=0.0))
    return False


def _mirrors(context: Context, _: threading.Event) -> bool:
    from diadem.node.mirrors import mirror

    mirror(context)
    return False


def jobs(context: Context) -> Sequence[Job]:
    """What a node that serves does again and again."""
    from diadem.network.desk import desk_of
    from diadem.network.handlers.windows import serving_of
    from diadem.network.spoke.polling import Polling
    from diadem.network.working import Messages, Movers

    desk = desk_of(context)
    messages, movers = Messages(desk), Movers(desk, serving_of(context))
    return (
        Job("messages", messages.run, messages.settle),
        Job("transfers", movers.run, movers.settle),
        Job("hubs", Polling(desk).run),
        Job("routes", partial(_switch, desk), every=30.0),
        Job("notes", partial(_notes, context), every=60.0),
        Job("mirrors", partial(_mirrors, context), every=60.0),
    )
