"""Signed notes of a hub: that it has stored, delivered or deleted something. Nobody keeps them: they are counted by."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, ClassVar, Final

from msgspec import Meta, field

from diadem.model.documents import Count, Document, Moment, NodeId
from diadem.model.statements import parse_time
from diadem.model.times import time_text
from diadem.trust.envelope import MAX_PAYLOAD_BYTES, Envelope, sign
from diadem.trust.keys import PrivateKey, PublicKey

FORMAT: Final = "diadem-mailbox/1"
TYPE: Final = "application/vnd.diadem.mailbox+json"
STORED, DELIVERED, DELETED = "stored", "delivered", "deleted"


class Note(Document, frozen=True, kw_only=True, tag_field="format", tag=FORMAT):
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
    at : str
        When, by the hub's clock, UTC.
    """

    WHAT: ClassVar[str] = "note of a hub"
    ADVICE: ClassVar[str] = "Ask its operator."
    LIMIT: ClassVar[int] = MAX_PAYLOAD_BYTES

    hub: NodeId
    said: Annotated[str, Meta(pattern=r"\A(stored|delivered|deleted)\Z", description="stored, delivered or deleted")]
    mailbox: Annotated[str, Meta(min_length=1)]
    names: tuple[str, ...]
    sha256: tuple[NodeId, ...]
    size: Count = field(name="bytes")
    at: Moment

    def __post_init__(self) -> None:
        """Refuse lists that do not belong together, and a time that is none."""
        if len(self.names) != len(self.sha256):
            raise ValueError("names and digests differ in number")
        parse_time(self.at)

    def signed(self, key: PrivateKey) -> str:
        """The note in an envelope, as one line."""
        return sign(self.to_bytes(), [key], TYPE).to_line().decode("ascii")


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
        raise Note.fault("the hub's online key did not sign it")
    note = Note.from_bytes(envelope.payload)
    if note.hub != hub:
        raise Note.fault("it is of another hub")
    return note


def note_of(hub: str, said: str, rows: Sequence[tuple[str, str, int]], at: datetime, mailbox: str) -> Note:
    """A note of some objects: name, SHA-256 and bytes of each."""
    return Note(
        hub=hub,
        said=said,
        mailbox=mailbox,
        names=tuple(row[0] for row in rows),
        sha256=tuple(row[1] for row in rows),
        size=sum(row[2] for row in rows),
        at=time_text(at),
    )
