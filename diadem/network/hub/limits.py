"""What a hub takes whatever its policy says: sizes of single things, and how many one node may ask for."""

from __future__ import annotations

from typing import Final

#: Bytes of a sealed message: a control message of 2 MiB in its envelope, sealed.
MAX_MESSAGE: Final = 3 << 20
#: Nodes and invitations in the list of a box.
MAX_SENDERS: Final = 1000
MAX_INVITATIONS: Final = 100
#: Messages of one sender in an hour, to all boxes together.
MESSAGES_AN_HOUR: Final = 1000
#: Part of a box that one sender may fill: one in so many messages.
SHARE_OF_BOX: Final = 4
#: Messages that wait by one invitation.
MESSAGES_BY_INVITATION: Final = 8
#: Relays for one recipient that are open, or ended in the last day.
MAX_RELAYS: Final = 1000
#: Names in one request, and rows in one answer.
MAX_NAMES: Final = 1000
MAX_ROWS: Final = 10_000
#: Messages that are told at once.
MESSAGES_AT_ONCE: Final = 100
