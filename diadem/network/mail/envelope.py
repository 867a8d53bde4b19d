"""What nodes say to each other, in one form: signed by the sender's online key, and over a hub sealed to the recipient.

::

    {"content":{…},"format":"diadem-mail/1","from","id","kind":"answer|introduction|message|welcome","sent","to"}

goes as the payload of a DSSE envelope. Introductions and welcomes are handed over so where a node can be called; over a
hub, which cannot read it, the same line of anything lies in an age file. Reading one proves nothing but its form; who
said it is proven against a key that the caller knows: that is pinned, or that the chain in it proves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Self

from diadem.errors import DocumentError, Refused
from diadem.model import canonical
from diadem.model.peer_checks import HEX, matches
from diadem.model.plain_text import one_line
from diadem.model.statements import parse_time
from diadem.model.tickets import TOKEN
from diadem.model.times import time_text
from diadem.network.limits import MAX_INTRODUCTION, MAX_SEALED, MAX_SEALED_PAYLOAD
from diadem.trust.envelope import Envelope, sign
from diadem.trust.keys import PrivateKey, PublicKey
from diadem.trust.sealing import seal, unseal

FORMAT: Final = "diadem-mail/1"
TYPE: Final = "application/vnd.diadem.mail+json"
#: What earlier versions signed instead.
_EARLIER: Final = frozenset(f"application/vnd.diadem.{name}+json" for name in ("message", "introduction", "welcome"))
#: Room that age itself takes of what is sealed.
_AGE: Final = 8 << 10

#: A control message, as `diadem.network.messages` has it; and what was answered to one of these envelopes.
MESSAGE: Final = "message"
ANSWER: Final = "answer"
INTRODUCTION: Final = "introduction"
WELCOME: Final = "welcome"
#: How a node is seen that has begun to join, and is to reveal its number.
BEGUN: Final = "begun"
#: Characters of the words of a refusal.
_TEXT: Final = 2000
_MEMBERS: Final = frozenset({"content", "format", "from", "id", "kind", "sent", "to"})
_ID: Final = re.compile(r"[0-9a-f]{32}")
_ASK: Final = "Its sender must send it again; both sides should run the same version of DIADEM."
_REFRESH: Final = "If its key is new, its people run: diadem peer refresh"


@dataclass(frozen=True, slots=True)
class Introduction:
    """What a node says when it joins, or tells a peer of its new keys."""

    #: Of the ticket; "" for a node that is known already.
    token: str
    #: 32 random hex digits, which the answer repeats.
    nonce: str
    #: The newest checkpoint of the reader's log that the sender has, or "".
    seen: str
    #: The sender's card, which leads from its id to the key that signed, and its endpoint note.
    chain: bytes
    note: bytes
    #: With a token: what binds the sender to its number for the words, and that number, "" until it is revealed.
    commitment: str = ""
    number: str = ""

    def to_dict(self) -> dict[str, Any]:
        """A JSON object of texts."""
        return _texts(self)

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Self:
        """The introduction of what `to_dict` gives; raises `DocumentError` for anything else."""
        said = cls(**_read(found, cls.__slots__))
        joins = matches(TOKEN, said.token)
        _require(joins or said.token == "", "its token is malformed")
        _require(matches(TOKEN, said.nonce), "its nonce is malformed")
        _require(matches(HEX, said.commitment) if joins else said.commitment == "", "its commitment is malformed")
        _require(said.number == "" or (joins and matches(TOKEN, said.number)), "its number is malformed")
        return said


@dataclass(frozen=True, slots=True)
class Welcome:
    """The answer to an introduction."""

    #: Of the introduction.
    nonce: str
    #: How its node is seen here: ``pending`` or ``confirmed``; `BEGUN` where it is to reveal its number.
    state: str
    #: The card and the endpoint note of the node that answers.
    chain: bytes
    note: bytes
    #: To one who joins: the answering node's number for the words.
    number: str = ""

    def to_dict(self) -> dict[str, Any]:
        """A JSON object of texts."""
        return _texts(self)

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Self:
        """The welcome of what `to_dict` gives; raises `DocumentError` for anything else."""
        said = cls(**_read(found, cls.__slots__))
        _require(matches(TOKEN, said.nonce), "its nonce is malformed")
        _require(said.state in ("pending", "confirmed", *((BEGUN,) if said.number else ())), "its state is unknown")
        _require(said.number == "" or matches(TOKEN, said.number), "its number is malformed")
        return said


def _texts(said: Introduction | Welcome) -> dict[str, Any]:
    values = {name: getattr(said, name) for name in said.__slots__}
    return {name: value.decode("utf-8") if isinstance(value, bytes) else value for name, value in values.items()}


def _read(found: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    whole = found.keys() == set(names) and all(isinstance(value, str) for value in found.values())
    _require(whole, f"an object of texts with {', '.join(names)} is expected")
    return dict(found) | {name: found[name].encode("utf-8", "surrogatepass") for name in ("chain", "note")}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a node answered to what came over a hub: what a request would have been answered."""

    #: Id of the envelope that is answered.
    to: str
    #: As `diadem.network.incoming.receive` has it; ``refused`` where it was refused.
    state: str
    #: With ``unproven``: the checkpoint from which on the chain is to be exported.
    seen: str = ""
    #: Control messages that answer.
    messages: tuple[Mapping[str, Any], ...] = ()
    #: With ``refused``: `code`, `message` and `next`.
    error: Mapping[str, str] = field(default_factory=dict)
    #: With a refused introduction: the chain that proves who refuses, for a node that has never met it.
    card: str = ""

    def to_dict(self) -> dict[str, Any]:
        """A JSON object without what is empty."""
        told = {name: getattr(self, name) for name in self.__slots__}
        told["messages"], told["error"] = [dict(one) for one in self.messages], dict(self.error)
        return {name: value for name, value in told.items() if value or name in ("to", "state")}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Self:
        """The answer of what `to_dict` gives; raises `DocumentError` for anything else."""
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


#: What may be said: a control message as its JSON object, which `diadem.network.messages` reads.
Content = Mapping[str, Any] | Answer | Introduction | Welcome
_READERS: Final[Mapping[str, Callable[[Mapping[str, Any]], Content]]] = {
    MESSAGE: dict,
    ANSWER: Answer.from_dict,
    INTRODUCTION: Introduction.from_dict,
    WELCOME: Welcome.from_dict,
}


@dataclass(frozen=True, slots=True)
class Mail:
    """What one node says to another."""

    #: 32 random hex digits: the name under which it lies at a hub. What is put down again has another.
    id: str
    #: Node ids.
    sender: str
    recipient: str
    #: By the sender's clock.
    sent: datetime
    content: Content
    #: With which it came; None of what is only to be signed.
    envelope: Envelope | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse what would not be read."""
        _require(matches(_ID, self.id), "its id is not 32 hex digits")
        _require(matches(HEX, self.sender) and matches(HEX, self.recipient), "it names no two nodes")
        _require(self.sender != self.recipient, "it is from the node that it is for")

    @property
    def kind(self) -> str:
        """Which of the four it is."""
        names = {Answer: ANSWER, Introduction: INTRODUCTION, Welcome: WELCOME}
        return names.get(type(self.content), MESSAGE)

    def to_payload(self) -> bytes:
        """The bytes that are signed: canonical JSON."""
        content = self.content if isinstance(self.content, Mapping) else self.content.to_dict()
        document = {
            "content": content,
            "format": FORMAT,
            "from": self.sender,
            "id": self.id,
            "kind": self.kind,
            "sent": time_text(self.sent),
            "to": self.recipient,
        }
        return canonical.encode(document, where="mail")

    def to_line(self, key: PrivateKey) -> bytes:
        """The envelope, signed by the sender's online key."""
        return sign(self.to_payload(), [key], TYPE).to_line()

    @classmethod
    def from_line(cls, data: bytes, *, most: int = MAX_INTRODUCTION) -> Self:
        """What an envelope of `most` bytes from anyone says; that its signature holds is still to be proven.

        Raises
        ------
        DocumentError
            It is none.
        Refused
            An earlier version of DIADEM wrote it.
        """
        _require(len(data) <= most, f"it has {len(data):,} bytes; at most {most:,} are read")
        envelope = Envelope.from_line(data)
        if envelope.payload_type in _EARLIER:
            raise Refused(
                "it has the form of an earlier version of DIADEM",
                where="mail",
                next="Update DIADEM there, then have it sent again; a ticket that was not used still holds.",
            )
        _require(envelope.payload_type == TYPE, "it is something else")
        found = canonical.decode(envelope.payload, where="mail", limit=min(most, MAX_SEALED_PAYLOAD))
        fits = isinstance(found, dict) and found.keys() == _MEMBERS and found["format"] == FORMAT
        _require(fits, f"an object of {FORMAT} with {', '.join(sorted(_MEMBERS))} is expected")
        _require(isinstance(found["kind"], str) and found["kind"] in _READERS, "it is of no kind")
        _require(isinstance(found["content"], dict), f"its {found['kind']} is of another form")
        _require(isinstance(found["sent"], str), "it does not say when it was sent")
        content = _READERS[found["kind"]](found["content"])
        return cls(found["id"], found["from"], found["to"], parse_time(found["sent"]), content, envelope)

    def is_signed(self, online: PublicKey) -> bool:
        """Whether a key has signed what came."""
        return self.envelope is not None and bool(self.envelope.signers([online]))

    def require_from(self, online: PublicKey, name: str, *, advice: str = _REFRESH) -> None:
        """That the online key which is known of the sender has signed; else `advice` says what to do.

        Raises
        ------
        Refused
            It has not: it is of somebody else, or was signed by a key that the sender does not use any more.
        """
        if not self.is_signed(online):
            raise Refused(f"it is not signed by the online key of '{name}'", where="mail", next=advice)


def seal_mail(said: Mail, key: PrivateKey, recipient: str) -> bytes:
    """Sign and seal, for what a hub or a disk carries.

    Parameters
    ----------
    said : Mail
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


def open_mail(data: bytes, identity: str, node: str, name: str) -> Mail:
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
        It is sealed for another node, says something to another one, or is of an earlier version.
    IntegrityError, DocumentError
        It was changed, or says nothing in this form.
    """
    most = MAX_SEALED - _AGE
    said = Mail.from_line(unseal(data, [identity], limit=most), most=most)
    if said.recipient != node:
        raise Refused("it is meant for another node: somebody passed it on", where="mail", next=_ASK)
    if said.id != name:
        raise Refused("it was stored under another name: somebody stored it again", where="mail", next=_ASK)
    return said


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise DocumentError(message, where="mail", next=_ASK)
