"""Reading a recipient's permit: whose it is, and what of it holds before the hub's book is asked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from diadem.custody.statements import relay_subject
from diadem.errors import Refused
from diadem.model.statements import parse_time
from diadem.serialization.validation import read_statement
from diadem.trust.envelope import PAYLOAD_TYPE, Envelope
from diadem.trust.keys import PublicKey


@dataclass(frozen=True, slots=True)
class Permit:
    """What a recipient lets a hub keep.

    Attributes
    ----------
    id : str
        Of the statement.
    relay, sender, recipient : str
        The relay, and the ids of the nodes.
    ceiling : int
        Sealed bytes, all taken together.
    expires : datetime
        From when on nothing is kept.
    """

    id: str
    relay: str
    sender: str
    recipient: str
    ceiling: int
    expires: datetime


def read_permit(line: bytes, *, relay: str, hub: str, asker: str, key: PublicKey) -> Permit:
    """The permit of an envelope from a spoke.

    Parameters
    ----------
    line : bytes
        As it came.
    relay, hub : str
        For which relay it must be, and the id of this node.
    asker : str
        Id of the node that brought it: its recipient.
    key : PublicKey
        The asker's online key.

    Raises
    ------
    DocumentError
        It is no statement, or one that its schema refuses.
    Refused
        It is not this node's permit for this relay at this hub.
    """
    envelope = Envelope.from_line(line)
    statement = read_statement(envelope.payload)
    said = statement.predicate
    if envelope.payload_type != PAYLOAD_TYPE or statement.kind != "permit" or not envelope.signers([key]):
        raise _refused("it is not a permit signed by your node")
    if statement.subjects != (relay_subject(relay),) or said["relay"] != relay:
        raise _refused("it is for another relay, or names more than one")
    if said["hub"] != hub:
        raise _refused("it is for another hub")
    if not asker == said["recipient"] == statement.node:
        raise _refused("it is the permit of another node")
    if said["sender"] in (asker, hub):
        raise _refused("sender, hub and recipient are three nodes")
    return Permit(envelope.statement_id, relay, said["sender"], asker, said["ceiling"], parse_time(said["expires"]))


def _refused(why: str) -> Refused:
    return Refused(f"the permit is not valid: {why}", next="Accept the offer again.")
