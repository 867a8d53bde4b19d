"""What nodes say to each other, in one form: signed by the sender's online key, and over a hub sealed to the recipient.

::

    {"content":{…},"format":"diadem-mail/1","from","id","kind":"answer|introduction|message|welcome","sent","to"}

goes as the payload of a DSSE envelope. Introductions and welcomes are handed over so where a node can be called; over a
hub, which cannot read it, the same line of anything lies in an age file. Reading one proves nothing but its form; who
said it is proven against a key that the caller knows: that is pinned, or that the chain in it proves.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from msgspec import Meta, field
from msgspec.structs import force_setattr

from diadem.errors import DocumentError, Refused
from diadem.model import canonical
from diadem.model.documents import Document, Id, Moment, NodeId
from diadem.model.peer_checks import HEX, matches
from diadem.model.plain_text import one_line
from diadem.model.statements import parse_time
from diadem.model.tickets import TOKEN
from diadem.model.times import time_text
from diadem.network.limits import MAX_CHECKPOINT, MAX_INTRODUCTION, MAX_SEALED, MAX_SEALED_PAYLOAD
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
_ASK: Final = "Its sender must send it again; both sides should run the same version of DIADEM."
_REFRESH: Final = "If its key is new, its people run: diadem peer refresh"


class _Said(Document, frozen=True):
    """What may stand in an envelope, by its form; what a node shows of itself are texts of signed documents."""

    ADVICE: ClassVar[str] = "Update DIADEM on both sides, and try again."


class _Shown(_Said, frozen=True):
    """What a node shows of itself."""

    #: 32 random hex digits of the introduction, which the answer repeats.
    nonce: Id
    #: Its card, which leads from its id to the key that signed, and its endpoint note.
    chain: str
    note: str

    @property
    def card(self) -> bytes:
        """The chain as it is proven."""
        return self.chain.encode("utf-8", "surrogatepass")

    @property
    def endpoint(self) -> bytes:
        """The note as it is opened."""
        return self.note.encode("utf-8", "surrogatepass")


class Introduction(_Shown, frozen=True, kw_only=True):
    """What a node says when it joins, or tells a peer of its new keys."""

    WHAT: ClassVar[str] = INTRODUCTION

    #: The newest checkpoint of the reader's log that the sender has, or "".
    seen: str
    #: Of the ticket; "" for a node that is known already.
    token: str
    #: With a token: what binds the sender to its number for the words, and that number, "" until it is revealed.
    commitment: str
    number: str

    def __post_init__(self) -> None:
        """Refuse one that joins by halves."""
        joins = matches(TOKEN, self.token)
        if not joins and self.token:
            raise ValueError("its token is malformed")
        if not (matches(HEX, self.commitment) if joins else self.commitment == ""):
            raise ValueError("its commitment is malformed")
        if self.number and not (joins and matches(TOKEN, self.number)):
            raise ValueError("its number is malformed")


class Welcome(_Shown, frozen=True, kw_only=True):
    """The answer to an introduction."""

    WHAT: ClassVar[str] = WELCOME

    #: How the other node is seen here, ``pending`` or ``confirmed``; `BEGUN` where it is to reveal its number.
    state: str
    #: To one who joins: the answering node's number for the words.
    number: str

    def __post_init__(self) -> None:
        """Refuse another state, and a number that is none."""
        if self.state not in ("pending", "confirmed", BEGUN):
            raise ValueError("its state is unknown")
        if not (matches(TOKEN, self.number) or (self.number == "" and self.state != BEGUN)):
            raise ValueError("its number is malformed")


class Answer(_Said, frozen=True, omit_defaults=True):
    """What a node answered to what came over a hub: what a request would have been answered."""

    WHAT: ClassVar[str] = ANSWER

    #: Id of the envelope that is answered.
    to: Id
    #: As `diadem.network.incoming.receive` has it; ``refused`` where it was refused.
    state: Annotated[str, Meta(min_length=1, max_length=40)]
    #: With ``unproven``: the checkpoint from which on the chain is to be exported.
    seen: Annotated[str, Meta(max_length=MAX_CHECKPOINT)] = ""
    #: Control messages that answer.
    messages: Annotated[tuple[dict[str, Any], ...], Meta(max_length=4)] = ()
    #: With ``refused``: `code`, `message` and `next`.
    error: dict[str, Annotated[str, Meta(max_length=_TEXT)]] = field(default_factory=dict)
    #: With a refused introduction: the chain that proves who refuses, for a node that has never met it.
    card: Annotated[str, Meta(max_length=1 << 20)] = ""

    def __post_init__(self) -> None:
        """Refuse another error; what it says becomes words that no terminal obeys."""
        if self.error and self.error.keys() != {"code", "message", "next"}:
            raise ValueError("an error has code, message and next")
        force_setattr(self, "error", {name: one_line(text, _TEXT) for name, text in self.error.items()})


#: What may be said: a control message as its JSON object, which `diadem.network.messages` reads.
Content = Mapping[str, Any] | Answer | Introduction | Welcome
_READERS: Final[Mapping[str, Callable[[Any], Content]]] = {
    MESSAGE: dict,
    ANSWER: Answer.of,
    INTRODUCTION: Introduction.of,
    WELCOME: Welcome.of,
}


class _Form(Document, frozen=True, tag_field="format", tag=FORMAT):
    """What is signed."""

    WHAT: ClassVar[str] = "mail"

    id: Id
    sender: NodeId = field(name="from")
    recipient: NodeId = field(name="to")
    sent: Moment
    kind: Literal["answer", "introduction", "message", "welcome"]
    content: dict[str, Any]

    def __post_init__(self) -> None:
        """Refuse what nobody says to anybody."""
        parse_time(self.sent)
        if self.sender == self.recipient:
            raise ValueError("it is from the node that it is for")


@dataclasses.dataclass(frozen=True, slots=True)
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
    envelope: Envelope | None = dataclasses.field(default=None, repr=False, compare=False)

    @property
    def kind(self) -> Literal["answer", "introduction", "message", "welcome"]:
        """Which of the four it is."""
        match self.content:
            case Answer():
                return ANSWER
            case Introduction():
                return INTRODUCTION
            case Welcome():
                return WELCOME
        return MESSAGE

    def to_payload(self) -> bytes:
        """The bytes that are signed: canonical JSON."""
        content = self.content.to_dict() if isinstance(self.content, Document) else dict(self.content)
        sent = time_text(self.sent)
        return _Form(self.id, self.sender, self.recipient, sent, self.kind, content).to_bytes()

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
        form = _Form.of(canonical.decode(envelope.payload, where="mail", limit=min(most, MAX_SEALED_PAYLOAD)))
        content = _READERS[form.kind](form.content)
        return cls(form.id, form.sender, form.recipient, parse_time(form.sent), content, envelope)

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
