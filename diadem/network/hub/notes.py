"""Signed notes of a hub: that it has stored, delivered or deleted something. Not logged; each side keeps its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

from diadem.errors import DocumentError
from diadem.model.canonical import decode, encode
from diadem.model.peer_checks import HEX, matches, members_of, require
from diadem.model.statements import parse_time
from diadem.model.times import time_text
from diadem.trust.envelope import MAX_PAYLOAD_BYTES, Envelope, sign
from diadem.trust.keys import PrivateKey, PublicKey

FORMAT: Final = "diadem-mailbox/1"
TYPE: Final = "application/vnd.diadem.mailbox+json"
STORED, DELIVERED, DELETED = "stored", "delivered", "deleted"
_WHAT: Final = "note of a hub"


@dataclass(frozen=True, slots=True)
class Note:
    """What a hub says of some objects of a mailbox.

    Attributes
    ----------
    hub : str
        Its node id.
    said : str
        ``stored``, ``delivered`` or ``deleted``.
    mailbox : str
        Id of it: of a relay, or of the node whose box it is.
    names, sha256 : tuple of str
        Names and SHA-256 of the sealed bytes, in the same order.
    size : int
        Bytes of all of them.
    at : datetime
        When, by the hub's clock.
    """

    hub: str
    said: str
    mailbox: str
    names: tuple[str, ...]
    sha256: tuple[str, ...]
    size: int
    at: datetime

    def to_payload(self) -> bytes:
        """The bytes that are signed: canonical JSON."""
        document: dict[str, Any] = {
            "format": FORMAT,
            "hub": self.hub,
            "said": self.said,
            "mailbox": self.mailbox,
            "names": list(self.names),
            "sha256": list(self.sha256),
            "bytes": self.size,
            "at": time_text(self.at),
        }
        return encode(document, where=_WHAT)

    @classmethod
    def from_payload(cls, data: bytes) -> Self:
        """The note of exactly what `to_payload` writes.

        Raises
        ------
        DocumentError
            Anything else.
        """
        document = decode(data, where=_WHAT, limit=MAX_PAYLOAD_BYTES)
        found = members_of(document, _WHAT, "format hub said mailbox names sha256 bytes at")
        names, digests = _texts(found["names"]), _texts(found["sha256"])
        require(found["format"] == FORMAT, _WHAT, f"its format is not {FORMAT}")
        require(found["said"] in (STORED, DELIVERED, DELETED), _WHAT, "it says nothing that is known")
        require(matches(HEX, found["hub"]), _WHAT, "it names no hub")
        require(isinstance(found["mailbox"], str) and bool(found["mailbox"]), _WHAT, "it is of no mailbox")
        require(len(names) == len(digests), _WHAT, "names and digests differ in number")
        require(all(matches(HEX, digest) for digest in digests), _WHAT, "a digest is malformed")
        require(type(found["bytes"]) is int and found["bytes"] >= 0, _WHAT, "its bytes are not a number")
        of, size, at = found["mailbox"], found["bytes"], parse_time(found["at"])
        return cls(found["hub"], found["said"], of, names, digests, size, at)

    def signed(self, key: PrivateKey) -> str:
        """The note in an envelope, as one line."""
        return sign(self.to_payload(), [key], TYPE).to_line().decode("ascii")


def _texts(value: object) -> tuple[str, ...]:
    fine = isinstance(value, list) and all(isinstance(item, str) for item in value)
    require(fine, _WHAT, "a list of texts is expected")
    return tuple(value) if isinstance(value, list) else ()


def open_note(line: str, *, hub: str, key: PublicKey) -> Note:
    """The note of an envelope, if this hub signed it.

    Parameters
    ----------
    line : str
        As it came.
    hub : str
        Id of the hub that is asked.
    key : PublicKey
        Its online key, as it is pinned.

    Raises
    ------
    DocumentError
        It is none, of another hub, or not signed by that key.
    """
    envelope = Envelope.from_line(line.encode("utf-8", "surrogatepass"))
    if envelope.payload_type != TYPE or not envelope.signers([key]):
        raise DocumentError("the hub's online key did not sign it", where=_WHAT, next="Ask its operator.")
    note = Note.from_payload(envelope.payload)
    if note.hub != hub:
        raise DocumentError("it is of another hub", where=_WHAT, next="Ask its operator.")
    return note


def note_of(hub: str, said: str, rows: Sequence[tuple[str, str, int]], at: datetime, mailbox: str) -> Note:
    """A note of some objects: name, SHA-256 and bytes of each."""
    names, digests = tuple(row[0] for row in rows), tuple(row[1] for row in rows)
    return Note(hub, said, mailbox, names, digests, sum(row[2] for row in rows), at)
