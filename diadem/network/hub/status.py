"""What the operator of a hub sees: whose things wait, how many, how large, since and until when. There is no more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from diadem.model.display import Display
from diadem.model.times import time_text
from diadem.network.hub.book import rows
from diadem.node.context import Context
from diadem.node.peers.book import peer_book

if TYPE_CHECKING:
    from diadem.network.hub.hub import Hub

#: What ends within this time is about to.
_SOON: Final = timedelta(days=1)
_BOXES: Final = """SELECT owner AS node, count(*) AS messages, SUM(bytes) AS bytes, MIN(at) AS since,
    MIN(expires) AS expires FROM objects WHERE mailbox = owner AND how = '' GROUP BY owner"""
_RELAYS: Final = """SELECT id, mailboxes.sender, mailboxes.owner AS recipient, put, ceiling, mailboxes.expires,
    count(name) AS objects, COALESCE(SUM(bytes), 0) AS bytes, COALESCE(MIN(at), opened) AS since
    FROM mailboxes LEFT JOIN objects ON mailbox = id AND how = '' WHERE permit <> '' AND ended = '' GROUP BY id
    ORDER BY mailboxes.expires, id"""


@dataclass(frozen=True, slots=True)
class BoxStatus:
    """What waits in the box of a spoke.

    Attributes
    ----------
    node : str
        What the hub calls it.
    messages, bytes : int
        How many, and how large together.
    since, expires : str
        When the oldest came, and when the first ends; UTC.
    soon : bool
        Whether one of them is about to end.
    """

    node: str
    messages: int
    bytes: int
    since: str
    expires: str
    soon: bool


@dataclass(frozen=True, slots=True)
class RelayStatus:
    """A relay that is open.

    Attributes
    ----------
    id, sender, recipient : str
        Its id, and what the hub calls the two nodes.
    objects, bytes : int
        What waits.
    put, ceiling : int
        Bytes that were put in all, and that may be.
    since, expires : str
        When the oldest of what waits came, else when it was opened; and when it ends. UTC.
    soon : bool
        Whether it is about to end.
    """

    id: str
    sender: str
    recipient: str
    objects: int
    bytes: int
    put: int
    ceiling: int
    since: str
    expires: str
    soon: bool


@dataclass(frozen=True, slots=True)
class HubStatus(Display):
    """A hub, as its operator sees it.

    Attributes
    ----------
    bytes, objects, messages : int
        What waits in all.
    room : int
        Bytes that it may still take, by its policy and by its disk.
    boxes : sequence of BoxStatus
        Those in which something waits.
    relays : sequence of RelayStatus
        Those that are open; the first to end first.
    owed : int
        Relays that have ended and of which the log does not say it yet.
    """

    bytes: int
    objects: int
    messages: int
    room: int
    boxes: Sequence[BoxStatus]
    relays: Sequence[RelayStatus]
    owed: int

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)


def hub_status(context: Context, hub: Hub) -> HubStatus:
    """Look at a hub."""
    names = {peer.id: peer.name for peer in peer_book(context).ls()}
    soon = time_text(context.clock() + _SOON)
    with hub.file.reading() as connection:
        boxes = rows(connection, _BOXES)
        relays = rows(connection, _RELAYS)
        (owed,) = rows(connection, "SELECT count(*) AS n FROM mailboxes WHERE ended <> '' AND NOT stated")
    held, rules = hub.mailboxes.held(), context.policy.hub
    free = hub.storage.free() - rules.free

    def named(node: str) -> str:
        return names.get(node, node[:12])

    return HubStatus(
        held["bytes"],
        held["objects"],
        held["messages"],
        max(0, min(free, rules.max_size - held["bytes"])),
        [BoxStatus(named(row.pop("node")), **row, soon=row["expires"] <= soon) for row in boxes],
        [
            RelayStatus(
                sender=named(row.pop("sender")),
                recipient=named(row.pop("recipient")),
                **row,
                soon=row["expires"] <= soon,
            )
            for row in relays
        ],
        owed["n"],
    )
