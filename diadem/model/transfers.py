"""Transfers: the states that one goes through, each with its legal next steps, and what is known of one. Pure."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from diadem.errors import Refused
from diadem.model.display import Display
from diadem.model.plain_text import count_text
from diadem.model.times import time_text

#: Bytes beside those of the package that may move, for what has to be sent again: a share and a fixed part.
CEILING_SHARE: Final = 0.02
CEILING_EXTRA: Final = 64 << 20
#: What is added where a carrier may bring it, for what it may lose or spoil: the package so many times, or 64 windows.
CARRIED_TIMES: Final = 8
CARRIED_EXTRA: Final = 64 * (16 << 20)
#: From here, to here, or from one user of this node to another.
OUT: Final = "out"
IN: Final = "in"
LOCAL: Final = "local"


def new_id() -> str:
    """An id for a transfer or a message: 128 random bits."""
    return secrets.token_hex(16)


class State(StrEnum):
    """Where a transfer stands."""

    DRAFTED = "drafted"
    OFFERED = "offered"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    EXPIRED = "expired"
    TRANSFERRING = "transferring"
    VERIFYING = "verifying"
    RECEIVED = "received"
    CLOSED = "closed"
    REVOKED = "revoked"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def word(self) -> str:
        """What people call it; some have another name in JSON and in statements."""
        return {State.CLOSED: "confirmed", State.REVOKED: "withdrawn"}.get(self, str(self))


_ENDED_EARLY: Final = (State.REVOKED, State.FAILED, State.CANCELLED)
#: The way of a transfer that comes to its good end.
STRAIGHT: Final = (
    State.DRAFTED,
    State.OFFERED,
    State.ACCEPTED,
    State.TRANSFERRING,
    State.VERIFYING,
    State.RECEIVED,
    State.CLOSED,
)
#: What may follow each state. Bytes that are found wrong at the end are fetched anew: verifying goes back; what failed
#: is taken up again where the fault is mended. What was received cannot be undone.
NEXT: Final[Mapping[State, frozenset[State]]] = MappingProxyType(
    {
        State.DRAFTED: frozenset({State.OFFERED, *_ENDED_EARLY}),
        State.OFFERED: frozenset({State.ACCEPTED, State.DECLINED, State.EXPIRED, *_ENDED_EARLY}),
        State.ACCEPTED: frozenset({State.TRANSFERRING, *_ENDED_EARLY}),
        State.TRANSFERRING: frozenset({State.VERIFYING, *_ENDED_EARLY}),
        State.VERIFYING: frozenset({State.RECEIVED, State.TRANSFERRING, *_ENDED_EARLY}),
        State.RECEIVED: frozenset({State.CLOSED}),
        State.FAILED: frozenset({State.TRANSFERRING, State.REVOKED, State.CANCELLED}),
        State.CLOSED: frozenset(),
        State.DECLINED: frozenset(),
        State.EXPIRED: frozenset({State.RECEIVED}),
        State.REVOKED: frozenset({State.RECEIVED}),
        State.CANCELLED: frozenset(),
    }
)
#: Bytes may move.
MOVING: Final = frozenset({State.ACCEPTED, State.TRANSFERRING, State.VERIFYING})
#: Nothing more happens; but what was taken back, or not answered in time, may turn out to have been received.
OVER: Final = frozenset({State.CLOSED, State.DECLINED, State.EXPIRED, State.REVOKED, State.CANCELLED})


def step(state: State, to: State) -> State:
    """The next state.

    Raises
    ------
    Refused
        It may not follow this one.
    """
    if to not in NEXT[state]:
        raise Refused(
            f"a transfer that is {state.word} cannot become {to.word}", next="See its state: diadem transfer show ID"
        )
    return to


def way(state: State, to: State) -> tuple[State, ...]:
    """The states between and the last: one side learns of several steps of the other at once.

    Raises
    ------
    Refused
        No way leads there.
    """
    if to in STRAIGHT and state in STRAIGHT and STRAIGHT.index(state) < STRAIGHT.index(to):
        return STRAIGHT[STRAIGHT.index(state) + 1 : STRAIGHT.index(to) + 1]
    if state is State.FAILED and to in STRAIGHT[STRAIGHT.index(State.TRANSFERRING) :]:
        return STRAIGHT[STRAIGHT.index(State.TRANSFERRING) : STRAIGHT.index(to) + 1]
    return (step(state, to),)


def ceiling(size: int, *, carried: bool = False) -> int:
    """Bytes that may move for a package of so many; more where a carrier may bring it."""
    lost = min(CARRIED_TIMES * size, CARRIED_EXTRA) if carried else 0
    return size + int(size * CEILING_SHARE) + CEILING_EXTRA + lost


@dataclass(frozen=True, slots=True)
class Counts(Display):
    """What came, as the receipt says.

    Attributes
    ----------
    received : int
        All bytes that came.
    reused : int
        Bytes that were here already, and were proven.
    again : int
        Bytes that came more than once, or came wrong.
    retries : int
        How often a connection was resumed.
    """

    received: int = 0
    reused: int = 0
    again: int = 0
    retries: int = 0

    def plus(self, other: Counts) -> Counts:
        """Both together."""
        return Counts(
            self.received + other.received,
            self.reused + other.reused,
            self.again + other.again,
            self.retries + other.retries,
        )

    def to_dict(self) -> dict[str, int]:
        """A JSON object with every attribute."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class TransferEvent(Display):
    """One step of a transfer.

    Attributes
    ----------
    state : State
        What it became.
    at : str
        When this node noted it, UTC.
    statement : str
        Id of the statement that says so; "" where none does.
    words : str
        More, for people.
    """

    state: State
    at: str
    statement: str = ""
    words: str = ""

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute."""
        return {"state": str(self.state), "at": self.at, "statement": self.statement or None, "words": self.words}


@dataclass(frozen=True, slots=True)
class Transfer(Display):
    """A transfer as this node knows it.

    Attributes
    ----------
    id : str
        32 hex digits.
    direction : str
        ``out``, ``in``, or ``local`` within the node.
    state : State
        Where it stands.
    package, payload_id, title : str
        What.
    bytes, files : int
        Of the whole package; files of the payload.
    peer : str
        Id of the other node; this node's own if it is local.
    sender, recipient : str
        From whom and to whom; the other side's user with this node's name for that node.
    routes : tuple of str
        By which routes it may go.
    route : str
        By which it goes; "" before it is accepted.
    expires : datetime
        Until when it can be accepted.
    created : datetime
        When this node first knew of it.
    comment : str
        A line of the sender.
    offer, grant, acceptance, receipt, closure, rule : str
        Ids of the statements; "" for those that are missing.
    ceiling : int
        Bytes that may move.
    store : str
        Where it is stored; "" for what is sent, or not accepted.
    done : int
        Bytes of the package that are proven.
    rate : float
        Bytes a second, lately.
    moved : int
        Bytes that this node sent, each time counted.
    counts : Counts
        What came.
    paused : bool
        Whether a person paused it.
    error, next : str
        The last fault, and what to do; "" where there is none.
    """

    _display_keys = (
        "id",
        "direction",
        "package",
        "sender",
        "recipient",
        "state",
        "words",
        "done",
        "created",
        "expires",
        "error",
    )

    id: str
    direction: str
    state: State
    package: str
    payload_id: str
    title: str
    bytes: int
    files: int
    peer: str
    sender: str
    recipient: str
    routes: tuple[str, ...]
    expires: datetime
    created: datetime
    route: str = ""
    comment: str = ""
    offer: str = ""
    grant: str = ""
    acceptance: str = ""
    receipt: str = ""
    closure: str = ""
    rule: str = ""
    ceiling: int = 0
    store: str = ""
    done: int = 0
    rate: float = 0.0
    moved: int = 0
    counts: Counts = field(default_factory=Counts)
    paused: bool = False
    error: str = ""
    next: str = ""

    @property
    def missing(self) -> tuple[str, ...]:
        """Statements that should follow and are missing: ``receipt``, ``closure``. Sent is not received."""
        if self.state in MOVING and self.direction == OUT:
            return ("receipt",)
        if self.state is State.RECEIVED and not self.closure:
            return ("closure",)
        return ()

    @property
    def waits(self) -> bool:
        """Whether it is an offer that its recipient has not answered."""
        return self.state is State.OFFERED

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute, and what is missing."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        return plain | {
            "state": str(self.state),
            "routes": list(self.routes),
            "expires": time_text(self.expires),
            "created": time_text(self.created),
            "counts": self.counts.to_dict(),
            "missing": list(self.missing),
        }


@dataclass(frozen=True, slots=True)
class Preview(Display):
    """A small picture of what is offered.

    Attributes
    ----------
    name : str
        Which dataset it shows.
    png : str
        Base64 of the picture.
    """

    name: str
    png: str

    def to_dict(self) -> dict[str, str]:
        """As it stands in a message."""
        return {"name": self.name, "png": self.png}


@dataclass(frozen=True, slots=True)
class Offer(Display):
    """Something that is offered to a user of this node.

    Attributes
    ----------
    transfer : Transfer
        What, by whom, until when.
    record : mapping
        What the sender says about the record: title, dates, instrument, samples, people, counts. Not signed; what
        arrives is proven, and may differ.
    previews : sequence of Preview
        Pictures, not signed either.
    """

    transfer: Transfer
    record: Mapping[str, Any] = field(default_factory=dict)
    previews: Sequence[Preview] = ()

    @property
    def id(self) -> str:
        """The transfer's id."""
        return self.transfer.id

    def to_dict(self) -> dict[str, Any]:
        """A JSON object: the transfer's members, the record and the previews."""
        return {
            **self.transfer.to_dict(),
            "record": dict(self.record),
            "previews": [preview.to_dict() for preview in self.previews],
        }


@dataclass(frozen=True, slots=True)
class Rule(Display):
    """A rule by which a user's offers are accepted automatically.

    Attributes
    ----------
    id : str
        Id of the statement.
    sender : str
        Whose offers: ``alice@hu-berlin``, ``*@hu-berlin``, or a node id.
    max_bytes : int
        Of one package.
    project : str
        Only packages that the sender says are of this project; "" for all.
    expires : datetime or None
        When it ends; None: when it is removed.
    by : str
        Whose rule.
    """

    id: str
    sender: str
    max_bytes: int
    project: str
    expires: datetime | None
    by: str

    def fits(self, *, sender: str, node: str, size: int, project: str, at: datetime) -> bool:
        """Whether an offer may be accepted by it.

        Parameters
        ----------
        sender, node : str
            Who offers: the address by the name that this node gives to the peer, and the peer's id.
        size : int
            Bytes of the package.
        project : str
            Of which project the sender says that it is.
        at : datetime
            Now.
        """
        everybody = f"*@{sender.rpartition('@')[2]}"
        return (
            self.sender in (sender, everybody, node)
            and size <= self.max_bytes
            and self.project in ("", project)
            and (self.expires is None or at < self.expires)
        )

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute."""
        return {
            "id": self.id,
            "from": self.sender,
            "max_bytes": self.max_bytes,
            "project": self.project,
            "expires": None if self.expires is None else time_text(self.expires),
            "by": self.by,
        }


def summary(waiting: int, unreceived: int, unclosed: int, stopped: int = 0, not_here: int = 0) -> str:
    """What of the transfers deserves a look, in one line; "" where nothing does."""
    parts = [
        f"{count_text(waiting, 'offer')} to answer" if waiting else "",
        f"{count_text(unreceived, 'package')} sent without a receipt" if unreceived else "",
        f"{count_text(unclosed, 'receipt')} not confirmed by the other side" if unclosed else "",
        f"{count_text(not_here, 'accepted package')} not here yet" if not_here else "",
        f"{count_text(stopped, 'offer')} whose recipient may no longer read the package" if stopped else "",
    ]
    return ", ".join(part for part in parts if part)
