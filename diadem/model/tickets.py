"""The ticket by which two nodes meet, or a person joins a node: one line of text that is handed over."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

from diadem.errors import DocumentError
from diadem.model.canonical import decode, encode
from diadem.model.peer_checks import HEX, NAME, fault, matches, members_of, require, require_places, texts_of
from diadem.model.peers import AGE, Contact
from diadem.model.statements import parse_time
from diadem.model.times import time_text

#: What stands before a ticket's text; the number counts its forms.
TICKET: Final = "diadem1:"
#: Kinds of tickets: for a node that becomes a peer, for a person who becomes a user.
FOR_PEER: Final = "peer"
FOR_USER: Final = "user"
#: Characters of a ticket that are read.
MAX_TICKET: Final = 16_384
#: Hubs that a ticket names.
MAX_HUBS: Final = 4
_LETTERS: Final = "some letters of it are missing or were changed"
TOKEN: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Ticket:
    """An invitation, good for one use. Who has its text has it: it carries the secret `token`.

    Attributes
    ----------
    node, name : str
        Id of the node that invites, and what it calls itself.
    urls, tls : tuple of str
        Where it is found, and SHA-256 of the TLS keys (SubjectPublicKeyInfo) that are its own, 64 hex digits each.
    token : str
        32 random hex digits.
    expires : datetime
        Aware.
    kind : {"peer", "user"}
        Whether a node or a person is invited.
    for_ : str
        Id of the one node that may use it; "" for whoever has it.
    user : str
        Short name of the user who is invited, for ``user``.
    hubs : tuple of Contact
        Hubs where the node picks up what is sealed for it; only on a ticket for a node.
    age : str
        Recipient for what is sealed for the node, ``age1…``; "" where there are no hubs.
    """

    node: str
    name: str
    urls: tuple[str, ...]
    tls: tuple[str, ...]
    token: str
    expires: datetime
    kind: str = FOR_PEER
    for_: str = ""
    user: str = ""
    hubs: tuple[Contact, ...] = ()
    age: str = ""

    def __post_init__(self) -> None:
        """Refuse what could not be read back, or leads nowhere."""
        require(matches(HEX, self.node) and matches(NAME, self.name), "ticket", "it names no node")
        require_places("ticket", self.urls, self.tls)
        require(matches(TOKEN, self.token), "ticket", "its token is not 32 hex digits")
        require(self.kind in (FOR_PEER, FOR_USER), "ticket", "it is neither for a peer nor for a user")
        require(self.for_ == "" or matches(HEX, self.for_), "ticket", "the node that it is for has no id")
        named = matches(NAME, self.user) if self.kind == FOR_USER else self.user == ""
        require(named and not (self.for_ and self.kind == FOR_USER), "ticket", "it does not say whom it is for")
        self._check_hubs()

    def _check_hubs(self) -> None:
        ids = {self.node, *(hub.node for hub in self.hubs)}
        once = len(ids) == len(self.hubs) + 1 <= MAX_HUBS + 1
        require(once, "ticket", "too many hubs, or one twice, or the node itself")
        require(not (self.hubs and self.kind == FOR_USER), "ticket", "a person does not come through a hub")
        for hub in self.hubs:
            require(matches(HEX, hub.node) and matches(NAME, hub.name), "ticket", "a hub has no name or id")
            require_places("ticket", hub.urls, hub.tls)
        require(matches(AGE, self.age) if self.hubs else self.age == "", "ticket", "its age recipient is malformed")

    @property
    def token_hash(self) -> str:
        """SHA-256 of the token: all that the inviting node keeps of it."""
        return hash_token(self.token)

    def to_text(self) -> str:
        """``diadem1:`` and the base64 (URL alphabet, without padding) of canonical JSON, on one line."""
        document = {
            "age": self.age,
            "expires": time_text(self.expires),
            "for": self.for_,
            "hubs": [_hub_document(hub) for hub in self.hubs],
            "kind": self.kind,
            "name": self.name,
            "node": self.node,
            "tls": list(self.tls),
            "token": self.token,
            "urls": list(self.urls),
            "user": self.user,
        }
        return TICKET + _base64url(encode(document, where="ticket"))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The ticket of what `to_text` writes; white space is left out, as mail programs break lines.

        Raises
        ------
        DocumentError
            Anything else.
        """
        plain = "".join(text.split())
        if len(plain) > MAX_TICKET or not plain.startswith(TICKET):
            later = re.match(r"diadem(?!1:)[0-9]+:", plain)
            raise DocumentError(
                "this ticket is of a later version of DIADEM" if later else f"a ticket begins with {TICKET}",
                where="ticket",
                next="Update DIADEM." if later else "Copy all of it, from the first letter to the last.",
            )
        data = _from_base64url(plain.removeprefix(TICKET))
        try:
            document = decode(data, where="ticket", limit=MAX_TICKET)
        except DocumentError:  # what is cut off, or changed, is no JSON
            raise fault("ticket", _LETTERS) from None
        members = members_of(document, "ticket", "age expires for hubs kind name node tls token urls user")
        return cls(
            members["node"],
            members["name"],
            texts_of(members["urls"], "ticket"),
            texts_of(members["tls"], "ticket"),
            members["token"],
            parse_time(members["expires"]),
            members["kind"],
            members["for"],
            members["user"],
            _hubs_of(members["hubs"]),
            members["age"],
        )


def hash_token(token: str) -> str:
    """SHA-256 of a token, 64 hex digits."""
    return hashlib.sha256(token.encode("ascii", "replace")).hexdigest()


def _hub_document(hub: Contact) -> dict[str, Any]:
    return {"node": hub.node, "name": hub.name, "urls": list(hub.urls), "tls": list(hub.tls)}


def _hubs_of(value: Any) -> tuple[Contact, ...]:
    require(isinstance(value, list) and len(value) <= MAX_HUBS, "ticket", f"a list of {MAX_HUBS} hubs is expected")
    found = [members_of(item, "ticket", "node name urls tls") for item in value]
    return tuple(
        Contact(hub["node"], hub["name"], texts_of(hub["urls"], "ticket"), texts_of(hub["tls"], "ticket"))
        for hub in found
    )


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")


def _from_base64url(text: str) -> bytes:
    try:
        data = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise fault("ticket", _LETTERS) from None
    if _base64url(data) != text:
        raise fault("ticket", _LETTERS)
    return data
