"""How nodes introduce themselves to each other: an introduction and its answer, each signed by the online key.

::

    {"format":"diadem-introduction/1", "to", "token":"", "nonce", "seen", "chain", "note"}
    {"format":"diadem-welcome/1", "to", "nonce", "state", "chain", "note"}

and where a node joins by a ticket, twice, first without its number, then with it::

    {"format":"diadem-introduction/2", "to", "token", "nonce", "seen", "chain", "note", "commitment", "number"}
    {"format":"diadem-welcome/2", "to", "nonce", "state", "chain", "note", "number"}

Each goes as a DSSE envelope. ``to`` is the node that it is for, so that it says nothing to another; ``chain`` leads
from the sender's id to the key that signed; ``seen`` is the newest checkpoint of the reader's log that the sender has.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, Self

from diadem.errors import DocumentError
from diadem.model.canonical import decode, encode
from diadem.model.peer_checks import HEX, matches, members_of, require
from diadem.model.tickets import TOKEN
from diadem.node.peers.cards import MAX_CARD
from diadem.trust.envelope import Envelope, sign
from diadem.trust.keys import PrivateKey, PublicKey

#: Bytes of an introduction, or a welcome, that are read: a card and a note, in base64.
MAX_INTRODUCTION: Final = 2 * MAX_CARD
_INTRODUCTION: Final = ("diadem-introduction", "application/vnd.diadem.introduction+json")
_WELCOME: Final = ("diadem-welcome", "application/vnd.diadem.welcome+json")
#: How a node is seen that has begun to join, and is to reveal its number.
BEGUN: Final = "begun"
_NODE: Final = re.compile(rb'\{"format":"diadem-chain/1",\n"node":"([0-9a-f]{64})",\n')


@dataclass(frozen=True, slots=True)
class Introduction:
    """What a node says when it joins, or tells a peer of its new keys.

    Attributes
    ----------
    to : str
        Id of the node that it is for.
    token : str
        Of the ticket; "" for a node that is known already.
    nonce : str
        32 random hex digits, which the answer repeats.
    seen : str
        The newest checkpoint of the reader's log that the sender has, or "".
    chain, note : bytes
        The sender's card, and its endpoint note.
    commitment, number : str
        With a token: what binds the sender to its number for the words, and that number, "" until it is revealed.
    """

    to: str
    token: str
    nonce: str
    seen: str
    chain: bytes
    note: bytes
    commitment: str = ""
    number: str = ""

    @property
    def node(self) -> str:
        """The id that the sender claims; its chain proves it."""
        found = _NODE.match(self.chain)
        if found is None:
            raise _fault("its chain names no node")
        return found[1].decode("ascii")

    def to_bytes(self, key: PrivateKey) -> bytes:
        """The envelope, signed."""
        names = ("to", "token", "nonce", "seen", *(("commitment", "number") if self.token else ()))
        return _signed(self, names, _INTRODUCTION, key)

    @classmethod
    def from_bytes(cls, data: bytes) -> tuple[Self, Envelope]:
        """What an envelope from anyone says; that its signature holds is still to be proven.

        Raises
        ------
        DocumentError
            It is none.
        """
        names = ("to token nonce seen chain note", "commitment number")
        found, envelope = _opened(data, names, _INTRODUCTION)
        joins = "commitment" in found
        fits = matches(TOKEN, found["token"]) or (not joins and found["token"] == "")
        require(fits, "introduction", "its token is malformed")
        if joins:
            require(matches(HEX, found["commitment"]), "introduction", "its commitment is malformed")
            require(found["number"] == "" or matches(TOKEN, found["number"]), "introduction", "its number is malformed")
        return cls(**found), envelope


@dataclass(frozen=True, slots=True)
class Welcome:
    """The answer to an introduction.

    Attributes
    ----------
    to, nonce : str
        Id of the node that introduced itself, and its nonce.
    state : str
        How it is seen here: ``pending`` or ``confirmed``; `BEGUN` where it is to reveal its number.
    chain, note : bytes
        The card and the endpoint note of the node that answers.
    number : str
        To one who joins: the answering node's number for the words.
    """

    to: str
    nonce: str
    state: str
    chain: bytes
    note: bytes
    number: str = ""

    def to_bytes(self, key: PrivateKey) -> bytes:
        """The envelope, signed."""
        return _signed(self, ("to", "nonce", "state", *(("number",) if self.number else ())), _WELCOME, key)

    @classmethod
    def from_bytes(cls, data: bytes) -> tuple[Self, Envelope]:
        """What an envelope from anyone says; that its signature holds is still to be proven.

        Raises
        ------
        DocumentError
            It is none.
        """
        found, envelope = _opened(data, ("to nonce state chain note", "number"), _WELCOME)
        states = ("pending", "confirmed", *((BEGUN,) if "number" in found else ()))
        require(found["state"] in states, "introduction", "its state is unknown")
        require("number" not in found or matches(TOKEN, found["number"]), "introduction", "its number is malformed")
        return cls(**found), envelope


def require_signed(envelope: Envelope, online: PublicKey) -> None:
    """That the online key which a chain proves has signed.

    Raises
    ------
    DocumentError
        It has not.
    """
    if not envelope.signers([online]):
        raise _fault("it is not signed by the online key of the node that it names")


def _signed(message: Any, texts: tuple[str, ...], kind: tuple[str, str], key: PrivateKey) -> bytes:
    document = {name: getattr(message, name) for name in texts}
    form = f"{kind[0]}/{2 if 'number' in texts else 1}"
    document |= {"format": form, "chain": message.chain.decode("utf-8"), "note": message.note.decode("utf-8")}
    return sign(encode(document, where="introduction"), [key], kind[1]).to_line()


def _opened(data: bytes, names: tuple[str, str], kind: tuple[str, str]) -> tuple[dict[str, Any], Envelope]:
    """The members of an introduction or a welcome: those of its first form, or of the second, which has more."""
    if len(data) > MAX_INTRODUCTION:
        raise _fault(f"it has {len(data):,} bytes; at most {MAX_INTRODUCTION:,} are read")
    envelope = Envelope.from_line(data)
    require(envelope.payload_type == kind[1], "introduction", "it is something else")
    document = decode(envelope.payload, where="introduction", limit=MAX_INTRODUCTION)
    second = isinstance(document, dict) and document.get("format") == f"{kind[0]}/2"
    found = members_of(document, "introduction", f"format {' '.join(names) if second else names[0]}")
    form = f"{kind[0]}/{2 if second else 1}"
    require(found.pop("format") == form, "introduction", f"its format is not {form}")
    require(all(isinstance(value, str) for value in found.values()), "introduction", "its members must be texts")
    require(matches(HEX, found["to"]) and matches(TOKEN, found["nonce"]), "introduction", "it is for no node")
    found |= {name: found[name].encode("utf-8", "surrogatepass") for name in ("chain", "note")}
    return found, envelope


def _fault(message: str) -> DocumentError:
    return DocumentError(message, where="introduction", next="Update DIADEM on both sides, and try again.")
