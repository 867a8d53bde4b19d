"""Asking a hub: what a spoke puts there, takes there and ends there. What the hub signs is checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType, field

from diadem.errors import DocumentError, IntegrityError, Unreachable
from diadem.model import canonical
from diadem.model.carriers import MAX_OBJECT, Carried
from diadem.model.documents import Count, Document
from diadem.network.client import PeerClient
from diadem.network.exchange import JSON, PARAMETERS
from diadem.network.hub.notes import DELETED, DELIVERED, STORED, Note, open_note
from diadem.network.limits import MAX_NAMES
from diadem.trust.http_signature import body_digest
from diadem.trust.keys import PublicKey


class _Answer(Document, frozen=True, forbid_unknown_fields=False):
    """Of a hub, which may be of a later version and say more."""

    @classmethod
    def fault(cls, message: str, at: str = "") -> Unreachable:
        """It is tried again: maybe after an update."""
        words = f"{at}: {message}" if at else message
        return Unreachable(f"the hub's answer is not understood: {words}", next="Update DIADEM here and at the hub.")


class _Permitted(_Answer, frozen=True):
    expires: str


class _Ended(_Answer, frozen=True):
    chain: str
    #: Whether the chain does not say yet what was deleted now.
    owed: bool = False


class _Object(_Answer, frozen=True):
    name: Annotated[str, Meta(pattern=rf"\A(?:{PARAMETERS['object']})\Z", description="the name of an object")]
    size: Count = field(name="bytes")
    sha256: str
    #: Of a small one, in base64.
    data: bytes | UnsetType = UNSET


class _Objects(_Answer, frozen=True):
    objects: tuple[_Object, ...] = ()


class HubClient:
    """A hub, as one of its spokes asks it. Safe to use from many threads.

    Parameters
    ----------
    client : PeerClient
        Asks the hub's node.
    node, hub : str
        Ids of this node and of the hub.
    key : PublicKey
        The hub's online key, as it is pinned: what it signs is held against it.
    """

    def __init__(self, client: PeerClient, *, node: str, hub: str, key: PublicKey) -> None:
        self.node, self.hub = node, hub
        self._client, self._key = client, key
        #: Messages that came with the list of those that wait, until they are asked for.
        self._came: dict[str, bytearray] = {}

    def status(self) -> dict[str, Any]:
        """What the hub allows this node, and holds for it: ``limits`` and ``used``."""
        return self._client.get_json("hub")

    def set_box(self, senders: Sequence[str], invitations: Sequence[str] = ()) -> None:
        """Say who may put messages into this node's box, and nobody else.

        Parameters
        ----------
        senders : sequence of str
            Ids of nodes.
        invitations : sequence of str
            SHA-256 of the secrets of tickets that are open.
        """
        said = {"from": list(senders), "invitations": list(invitations)}
        self._client.put(_mailbox(self.node), canonical.encode(said, where="list of a box"), media=JSON)

    def permit(self, relay: str, line: bytes) -> str:
        """Permit another node to put sealed objects there for this one; until when they are kept at most, UTC.

        Raises
        ------
        Refused
            The hub does not carry that: too much, or for another hub.
        NotFound
            The sender is no spoke of it.
        """
        return _Permitted.of(self._client.put(_mailbox(relay), line, media=JSON)).expires

    def put(self, mailbox: str, name: str, data: bytes | bytearray, *, invitation: str = "") -> Note:
        """Put a sealed object there; the hub's note that it has it.

        Raises
        ------
        NotFound
            This node may put nothing there, or not any more.
        Refused
            It is above what was permitted, or another object has this name.
        CarrierFull, Unreachable
            It may go later.
        """
        query = {"invitation": invitation} if invitation else None
        digest = body_digest(data)
        answer = self._client.put(f"{_mailbox(mailbox)}/{name}", data, query, digest=digest)
        return self._noted(answer, STORED, mailbox, holds=(name, digest.hex(), len(data)))

    def ls(self, mailbox: str, *, wait: float = 0) -> list[Carried]:
        """What waits there, the oldest first, some at a time; within `wait` seconds, which the hub counts whole."""
        seconds = min(99, math.ceil(wait))  # one that is cut off would be filled with requests
        query = {"wait": str(seconds)} if seconds else None
        found = _Objects.of(self._client.get_json(_mailbox(mailbox), query, wait=seconds)).objects
        if mailbox == self.node:
            self._came = {one.name: bytearray(one.data) for one in found if one.data is not UNSET}
        return [Carried(one.name, one.size, one.sha256) for one in found]

    def get(self, mailbox: str, name: str) -> bytearray:
        """A sealed object for this node. It is not hashed: its seal shows whether it is what was sent.

        Raises
        ------
        NotFound
            It is gone, or was never there.
        """
        if mailbox == self.node and (came := self._came.pop(name, None)) is not None:
            return came
        with self._client.stream(f"{_mailbox(mailbox)}/{name}") as stream:
            return stream.read(MAX_OBJECT)

    def taken(self, mailbox: str, names: Sequence[str]) -> list[Note]:
        """Let objects be deleted that this node has; the hub's notes that it has delivered them."""
        path = f"{_mailbox(mailbox)}/taken"
        return [
            self._noted(self._client.post_json(path, {"names": some}), DELIVERED, mailbox, within=some)
            for some in (list(names[at : at + MAX_NAMES]) for at in range(0, len(names), MAX_NAMES))
        ]

    def end(self, relay: str) -> bytes:
        """End a relay, whatever had not been taken; what the hub's log says of it, see `keep_hub_chain`.

        Returns
        -------
        bytes
            Nothing where it never carried anything.

        Raises
        ------
        NotFound
            This node has no part in such a relay.
        Unreachable
            It has ended, and the hub cannot prove yet what became of it: ask again.
        """
        answer = self._client.post_json(f"{_mailbox(relay)}/end", {})
        self._noted(answer, DELETED, relay)
        ended = _Ended.of(answer)
        if ended.owed:
            raise Unreachable("the hub cannot prove yet what became of the transfer", next="It will be asked again.")
        return ended.chain.encode("utf-8")

    # -- what is answered --------------------------------------------------------------------------------------------

    def _noted(
        self,
        answer: Mapping[str, Any],
        said: str,
        mailbox: str,
        *,
        holds: tuple[str, str, int] | None = None,
        within: Sequence[str] | None = None,
    ) -> Note:
        """The note in an answer, if it is signed and says what it must.

        Raises
        ------
        IntegrityError
            It does not: the hub says something else than it should, and that is not retried.
        """
        line = answer.get(said)
        if not isinstance(line, str):
            raise _Answer.fault(f"'{said}' is missing")
        try:
            note = open_note(line, hub=self.hub, key=self._key)
        except DocumentError as error:
            raise IntegrityError(
                f"the hub's note is not valid: {error.message}", where=self.hub, next="Ask its operator."
            ) from error
        fits = (note.said, note.mailbox) == (said, mailbox)
        if holds is not None:
            fits &= (note.names, note.sha256, note.size) == ((holds[0],), (holds[1],), holds[2])
        if within is not None:
            fits &= set(note.names) <= set(within)
        if not fits:
            raise IntegrityError("the hub's note is about something else", where=self.hub, next="Ask its operator.")
        return note


def _mailbox(mailbox: str) -> str:
    return f"hub/mailboxes/{mailbox}"
