"""What nodes take from each other, whatever a policy says: bytes of single things, and how many there may be.

Each number of the wire stands here once. What a listener allows itself (rates, memory, connections) is in
`diadem.network.http.limits`.
"""

from __future__ import annotations

from typing import Final

# -- bytes ---------------------------------------------------------------------------------------------------------

#: Bytes that are read, sent or taken in at once: larger portions cost memory, smaller ones calls.
PORTION: Final = 1 << 20
#: Bytes of a file that are read and sent at once: less than what `use_one_heap` gives back, so that memory is used
#: again; a connection has three times as much on its way.
BLOCK: Final = PORTION // 2
#: Bytes of all that moves that are in memory at once, in one process: with the hundred megabytes that an idle process
#: takes, and what the system keeps of lines that are open, less than 300 MB. Two windows of one transfer are sealed at
#: once in half of it, with some bytes to spare; each takes twice its bytes.
TRANSFER_MEMORY: Final = 128 << 20
#: Bytes of a control message, with chain and previews.
MAX_MESSAGE: Final = 2 << 20
#: Bytes of a checkpoint.
MAX_CHECKPOINT: Final = 4 << 10
#: Bytes of an introduction, or a welcome, that is handed over: a card and a note, in base64.
MAX_INTRODUCTION: Final = 2 << 20
#: Bytes of what a sealed message has in its envelope, and of all of it: its base64, and what age adds.
MAX_SEALED_PAYLOAD: Final = MAX_MESSAGE + (64 << 10)
MAX_SEALED: Final = 3 << 20
#: Bytes of a JSON answer: some messages, or a chain that a hub gives.
MAX_ANSWER: Final = 4 * MAX_MESSAGE
#: Bytes of bodies: an object without members, with some to spare; a search, or a permit; a statement that somebody
#: signs; a list of names; tag files that are pushed (larger ones are fetched).
MAX_EMPTY: Final = 64
MAX_QUESTION: Final = 64 << 10
MAX_STATEMENT: Final = 256 << 10
MAX_LIST: Final = 128 << 10
MAX_PUSHED_PART: Final = 64 << 20
#: Bytes of an answer after which it is asked again whether its asker may have it.
ASKED_AGAIN: Final = 16 << 20

# -- at a hub ------------------------------------------------------------------------------------------------------

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
#: Messages that are told at once, and bytes of those that are given with that.
MESSAGES_AT_ONCE: Final = 100
MAX_GIVEN_AT_ONCE: Final = 1 << 20
