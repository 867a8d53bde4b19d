"""Other nodes: the note that says where one is found, and what is known of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Self

from diadem.errors import Refused
from diadem.model.canonical import decode, encode
from diadem.model.display import Display
from diadem.model.peer_checks import HEX, NAME, matches, members_of, require, require_nodes, require_places, texts_of
from diadem.model.statements import parse_time
from diadem.model.times import time_text

#: Format of an endpoint note, and the payload type of its envelope.
NOTE_FORMAT: Final = "diadem-endpoint/1"
NOTE_TYPE: Final = "application/vnd.diadem.endpoint+json"
#: Bytes of a note that are read.
MAX_NOTE: Final = 16_384
AGE: Final = re.compile(r"age1[0-9a-z]{1,200}")
#: The greatest integer that every reader of JSON keeps exactly.
_GREATEST: Final = (1 << 53) - 1


class Unproven(Refused):
    """It is not shown that the log of another node still begins as it did; with the checkpoint at hand it can be.

    Parameters
    ----------
    message : str
        What was not shown.
    seen : str
        The checkpoint.
    """

    code = "unproven"

    def __init__(self, message: str, seen: str, *, where: str | None = None, next: str | None = None) -> None:  # noqa: A002
        super().__init__(message, where=where, next=next or "It is exported again with the checkpoint at hand.")
        self.seen = seen


@dataclass(frozen=True, slots=True)
class EndpointNote:
    """Where a node is found, as its online key signs it. A later version replaces the earlier one.

    Attributes
    ----------
    node, name : str
        Its id, and what it calls itself.
    version : int
        Grows.
    issued, expires : datetime
        Aware.
    urls, tls : tuple of str
        As in `Ticket`; without any where the node only dials out.
    age : str
        Recipient for what is sealed for the node, ``age1…``.
    hub : bool
        Whether it relays, for nodes that it knows, what it cannot read.
    hubs : tuple of str
        Ids of the hubs where it picks up what is sealed for it.
    """

    node: str
    name: str
    version: int
    issued: datetime
    expires: datetime
    urls: tuple[str, ...]
    tls: tuple[str, ...]
    age: str
    hub: bool = False
    hubs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what could not be read back, or leads nowhere."""
        require(matches(HEX, self.node) and matches(NAME, self.name), "endpoint note", "it names no node")
        require(
            type(self.version) is int and 0 < self.version <= _GREATEST, "endpoint note", "its version is not a count"
        )
        require(self.issued < self.expires, "endpoint note", "it ends before it begins")
        require_places("endpoint note", self.urls, self.tls)
        require(matches(AGE, self.age), "endpoint note", "its age recipient is malformed")
        require(type(self.hub) is bool, "endpoint note", "hub is neither true nor false")
        require_nodes("endpoint note", self.hubs)

    def to_payload(self) -> bytes:
        """The bytes that are signed: canonical JSON."""
        document = {
            "format": NOTE_FORMAT,
            "node": self.node,
            "name": self.name,
            "version": self.version,
            "issued": time_text(self.issued),
            "expires": time_text(self.expires),
            "urls": list(self.urls),
            "tls": list(self.tls),
            "age": self.age,
            "hub": self.hub,
            "hubs": list(self.hubs),
        }
        return encode(document, where="endpoint note")

    @classmethod
    def from_payload(cls, data: bytes) -> Self:
        """The note of exactly what `to_payload` writes.

        Raises
        ------
        DocumentError
            Anything else.
        """
        document = decode(data, where="endpoint note", limit=MAX_NOTE)
        found = members_of(document, "endpoint note", f"format {' '.join(cls.__slots__)}")
        require(found["format"] == NOTE_FORMAT, "endpoint note", f"its format is not {NOTE_FORMAT}")
        return cls(
            found["node"],
            found["name"],
            found["version"],
            parse_time(found["issued"]),
            parse_time(found["expires"]),
            texts_of(found["urls"], "endpoint note"),
            texts_of(found["tls"], "endpoint note"),
            found["age"],
            found["hub"],
            texts_of(found["hubs"], "endpoint note"),
        )


class PeerState(StrEnum):
    """How far a peer is trusted."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Peer(Display):
    """What a node knows of another one.

    Attributes
    ----------
    id, name : str
        Its node id, and what it is called here: unique, the part after @ in addresses.
    state : PeerState
        ``pending`` until somebody here has confirmed that it is who it says; nothing of a dropped one is accepted.
    own_name : str
        What it calls itself.
    online, log : str
        Its keys as its newest known card says, ``ed25519:…``; "" where the card itself is not known any more.
    key_id : str
        Id of the online key.
    version : int
        Of that card.
    expires : str
        When that card ends, UTC; "" where it does not.
    note : EndpointNote or None
        Where it is found.
    words : str
        What both sides compare.
    since : str
        When it was pinned, UTC.
    reason : str
        Why it was dropped or is to be confirmed again; "" else.
    seen_as : str
        How it sees this node, as it said last: ``pending``, ``confirmed`` or "".
    stolen : mapping of str to str
        Ids of keys that are not believed, each with the time from which on, UTC.
    """

    _display_keys = (
        "name",
        "state",
        "words",
        "urls",
        "hub",
        "online",
        "since",
        "reason",
        "id",
    )

    id: str
    name: str
    state: PeerState
    own_name: str
    online: str
    log: str
    key_id: str
    version: int
    expires: str = ""
    note: EndpointNote | None = None
    words: str = ""
    since: str = ""
    reason: str = ""
    seen_as: str = ""
    stolen: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_hub(self) -> bool:
        """Whether it relays, and people here have confirmed it."""
        return self.state is PeerState.CONFIRMED and self.note is not None and self.note.hub

    @property
    def has_address(self) -> bool:
        """Whether it can be called; else it calls."""
        return self.note is not None and bool(self.note.urls)

    @property
    def speaks(self) -> bool:
        """Whether its online key is listened to: it is neither dropped nor is the key known as stolen."""
        return self.state is not PeerState.DROPPED and self.key_id not in self.stolen

    def believed(self, key_id: str, moment: datetime) -> bool:
        """Whether what a key of this peer signed at a moment counts, as far as thefts are known."""
        since = self.stolen.get(key_id)
        return since is None or moment < parse_time(since)

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        note = self.note
        return {
            "id": self.id,
            "name": self.name,
            "state": str(self.state),
            "own_name": self.own_name,
            "online": self.online,
            "version": self.version,
            "expires": self.expires,
            "urls": list(note.urls) if note else [],
            "hub": note.hub if note else False,
            "hubs": list(note.hubs) if note else [],
            "words": self.words,
            "since": self.since,
            "reason": self.reason,
            "seen_as": self.seen_as,
            "stolen": dict(self.stolen),
        }


@dataclass(frozen=True, slots=True)
class Contact:
    """Where and how a node is called: what a client needs.

    Attributes
    ----------
    node, name : str
        Its id, and how people call it.
    urls, tls : tuple of str
        As in `Ticket`.
    """

    node: str
    name: str
    urls: tuple[str, ...]
    tls: tuple[str, ...]
