"""What people should hear of transfers: offers that wait for them, and receipts that should have come."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Final

from diadem.model.plain_text import one_line, size_text
from diadem.model.times import read_time
from diadem.model.transfers import IN, LOCAL, State
from diadem.network.desk import desk_of
from diadem.node.context import Context
from diadem.node.tell.news import Matter
from diadem.node.tell.verbs import TellVerbs

#: How long a receipt or its confirmation may take before somebody should look.
_LATE: Final = timedelta(days=1)


def tell_verbs(context: Context) -> TellVerbs:
    """Who is told what changes at a node, transfers included."""
    return TellVerbs(context, partial(open_ends, context))


def open_ends(context: Context) -> list[Matter]:
    """Offers that wait for an answer of somebody here, and transfers that came to no end for more than a day."""
    return list(_open_ends(context))


def _open_ends(context: Context) -> Iterator[Matter]:
    desk = desk_of(context)
    for transfer in map(desk.refreshed, desk.book.all()):
        short, title = transfer.id[:8], one_line(transfer.title, 60)
        if transfer.state is State.OFFERED and transfer.direction in (IN, LOCAL):
            text = f"{transfer.sender} offers {transfer.recipient} '{title}' ({size_text(transfer.bytes)})"
            yield Matter("offer", transfer.id, text, f"diadem accept {short}")
        elif transfer.missing:
            since = max((read_time(event.at) for event in desk.book.events(transfer.id)), default=transfer.created)
            if context.clock() - since > _LATE:
                what = "the receipt" if "receipt" in transfer.missing else "the sender's confirmation"
                text = f"{what} of '{title}' for {transfer.recipient} is missing since {since:%Y-%m-%d %H:%M} UTC"
                yield Matter("receipt", transfer.id, text, f"diadem transfer show {short}")
