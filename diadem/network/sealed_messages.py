"""Messages that a hub carries and cannot read: signed by the sender's online key, sealed to the recipient.

::

    {"answer" | "introduction" | "message" | "welcome": …, "format":"diadem-sealed-message/1", "from","id","sent","to"}

goes as the payload of a DSSE envelope, and that in an age file. Opening one proves only that it was sealed for this
node and put down under its own name; who said it is proven by `require_from`, against a key that the caller knows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Self

from diadem.errors import DocumentError, Refused
from diadem.model import canonical
from diadem.model.peer_checks import HEX, matches
from diadem.model.plain_text import one_line
from diadem.model.statements import parse_time
from diadem.model.times import time_text
from diadem.network.limits import MAX_SEALED, MAX_SEALED_PAYLOAD
from diadem.trust.envelope import Envelope, sign
from diadem.trust.keys import PrivateKey, PublicKey
from diadem.trust.sealing import seal, unseal

FORMAT: Final = "diadem-sealed-message/1"
TYPE: Final = "application/vnd.diadem.message+json"
#: Room that age itself takes of a sealed message.
_AGE: Final = 8 << 10

#: A control message, as `diadem.network.messages` has it.
MESSAGE: Final = "message"
#: What was answered to a sealed message.
ANSWER: Final = "answer"
#: An envelope of `diadem.network.introductions`, and the one that answers it.
INTRODUCTION: Final = "introduction"
WELCOME: Final = "welcome"
KINDS: Final = (MESSAGE, ANSWER, INTRODUCTION, WELCOME)
#: Characters of the words of a refusal.
_TEXT: Final = 2000
_COMMON: Final = frozenset({"format", "from", "to", "sent", "id"})
_ID: Final = re.compile(r"[0-9a-f]{32}")
_ASK: Final = "Its sender must send it again."
_REFRESH: Final = "If its key is new, its people run: diadem peer refresh"


@dataclass(frozen=True, slots=True)
class SealedMessage:
    """What one node says to another over a hub.

    Attributes
    ----------
    id : str
        32 random hex digits: the name under which it lies at the hub. What is put down again has another.
    sender, recipient : str
        Node ids.
    sent : datetime
        By the sender's clock.
    kind : str
        One of `KINDS`.
    content : object
        Of a message the object; of an introduction or a welcome the text of its envelope; of an answer what
        `Answer.to_dict` gives.
    """

    id: str
    sender: str
    recipient: str
    sent: datetime
    kind: str
    content: Any

    def __post_init__(self) -> None:
        """Refuse what would not be read."""
        _require(matches(_ID, self.id), "its id is not 32 hex digits")
        _require(matches(HEX, self.sender) and matches(HEX, self.recipient), "it names no two nodes")
        _require(self.sender != self.recipient, "it is from the node that it is for")
        _require(self.kind in KINDS, "it is of no kind")
        wanted = dict if self.kind in (MESSAGE, ANSWER) else str
        _require(isinstance(self.content, wanted), f"its {self.kind} is of another form")
        if self.kind == ANSWER:
            Answer.from_dict(self.content)

    def to_payload(self) -> bytes:
        """The bytes that are signed: canonical JSON."""
        document = {
            "format": FORMAT,
            "from": self.sender,
            "to": self.recipient,
            "sent": time_text(self.sent),
            "id": self.id,
            self.kind: self.content,
        }
        return canonical.encode(document, where="sealed message")

    @classmethod
    def from_payload(cls, data: bytes) -> Self:
        """The message of exactly what `to_payload` writes.

        Raises
        ------
        DocumentError
            Anything else.
        """
        found = canonical.decode(data, where="sealed message", limit=MAX_SEALED_PAYLOAD)
        _require(isinstance(found, dict) and found.get("format") == FORMAT, f"an object of {FORMAT} is expected")
        kinds = [kind for kind in KINDS if kind in found]
        _require(len(kinds) == 1 and found.keys() == _COMMON | set(kinds), "other members than one of its form")
        _require(isinstance(found["sent"], str), "it does not say when it was sent")
        return cls(found["id"], found["from"], found["to"], parse_time(found["sent"]), kinds[0], found[kinds[0]])


@dataclass(frozen=True, slots=True)
class Answer:
    """What a node answered to a sealed message: what a request would have been answered.

    Attributes
    ----------
    to : str
        Id of the sealed message that is answered.
    state : str
        As `diadem.network.incoming.receive` has it; ``refused`` where it was refused.
    seen : str
        With ``unproven``: the checkpoint from which on the chain is to be exported.
    messages : tuple
        Control messages that answer.
    error : mapping
        With ``refused``: `code`, `message` and `next`.
    card : str
        With a refused introduction: the chain that proves who refuses, for a node that has never met it.
    """

    to: str
    state: str
    seen: str = ""
    messages: tuple[Mapping[str, Any], ...] = ()
    error: Mapping[str, str] = field(default_factory=dict)
    card: str = ""

    def to_dict(self) -> dict[str, Any]:
        """A JSON object without what is empty."""
        told = {name: getattr(self, name) for name in self.__slots__}
        told["messages"], told["error"] = [dict(one) for one in self.messages], dict(self.error)
        return {name: value for name, value in told.items() if value or name in ("to", "state")}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Self:
        """The answer of what `to_dict` gives.

        Raises
        ------
        DocumentError
            Anything else.
        """
        _require({"to", "state"} <= found.keys() <= set(cls.__slots__) and all(found.values()), "no such answer")
        _require(matches(_ID, found["to"]), "it answers nothing")
        for name, longest in (("state", 40), ("seen", 4096), ("card", 1 << 20)):
            value = found.get(name, "")
            _require(isinstance(value, str) and len(value) <= longest, f"its {name} is not a short text")
        messages, error = found.get("messages", []), found.get("error", {})
        several = isinstance(messages, list) and len(messages) <= 4 and all(isinstance(one, dict) for one in messages)
        _require(several, "at most four messages answer one")
        fits = isinstance(error, dict) and (not error or error.keys() == {"code", "message", "next"})
        _require(fits and all(isinstance(text, str) and len(text) <= _TEXT for text in error.values()), "no such error")
        error = {name: one_line(text, _TEXT) for name, text in error.items()}
        return cls(found["to"], found["state"], found.get("seen", ""), tuple(messages), error, found.get("card", ""))


def seal_message(said: SealedMessage, key: PrivateKey, recipient: str) -> bytes:
    """Sign and seal.

    Parameters
    ----------
    said : SealedMessage
        What is said.
    key : PrivateKey
        The sender's online key.
    recipient : str
        ``age1…`` of the recipient node, from its endpoint note or ticket.

    Raises
    ------
    Refused
        It would be too large to be carried.
    """
    payload = said.to_payload()
    if len(payload) > MAX_SEALED_PAYLOAD:
        raise Refused(
            f"a message of {len(payload):,} bytes; hubs carry {MAX_SEALED_PAYLOAD:,}", next="Send fewer previews."
        )
    return seal(sign(payload, [key], TYPE).to_line(), recipient)


def open_message(data: bytes, identity: str, node: str, name: str) -> tuple[SealedMessage, Envelope]:
    """What was sealed for a node; who said it is still to be proven.

    Parameters
    ----------
    data : bytes
        From anyone.
    identity : str
        The node's ``AGE-SECRET-KEY-1…``.
    node : str
        Its id.
    name : str
        Under which name it lay at the hub.

    Raises
    ------
    Refused
        It is sealed for another node, or says something to another one.
    IntegrityError, DocumentError
        It was changed, or is no such message.
    """
    line = unseal(data, [identity], limit=MAX_SEALED - _AGE)
    envelope = Envelope.from_line(line)
    _require(envelope.payload_type == TYPE, "it is something else")
    said = SealedMessage.from_payload(envelope.payload)
    if said.recipient != node:
        raise Refused("it is meant for another node: somebody passed it on", where="sealed message", next=_ASK)
    if said.id != name:
        raise Refused("it was stored under another name: somebody stored it again", where="sealed message", next=_ASK)
    return said, envelope


def require_from(envelope: Envelope, online: PublicKey, name: str, *, advice: str = _REFRESH) -> None:
    """That the online key which is known of the sender has signed; else `advice` says what to do.

    Raises
    ------
    Refused
        It has not: it is of somebody else, or was signed by a key that the sender does not use any more.
    """
    if not envelope.signers([online]):
        raise Refused(
            f"it is not signed by the online key of '{name}'",
            where="sealed message",
            next=advice,
        )


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise DocumentError(message, where="sealed message", next=_ASK)
