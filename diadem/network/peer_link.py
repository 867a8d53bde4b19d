"""A way to a peer over HTTPS: messages, parts and windows by `PeerClient`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from diadem.errors import IntegrityError
from diadem.model import canonical
from diadem.network.client import PeerClient, PeerRefused
from diadem.network.link import Incoming
from diadem.network.messages import MAX_BYTES
from diadem.trust.http_signature import length_and_digest


@dataclass(frozen=True, slots=True)
class PeerLink:
    """Implements `diadem.network.network.Link`.

    Parameters
    ----------
    client : PeerClient
        Asks the peer.
    """

    client: PeerClient

    def post_message(self, data: bytes) -> bytes:
        """See `Link.post_message`."""
        document = canonical.decode(data, where="message", limit=MAX_BYTES)
        return canonical.encode(self.client.post_json("messages", document), where="answer")

    def waiting_messages(self) -> list[bytes]:
        """See `Link.waiting_messages`."""
        found = self.client.get_json("messages").get("messages", [])
        return [canonical.encode(document, where="messages") for document in found if isinstance(document, dict)]

    def acknowledge(self, message: str) -> None:
        """See `Link.acknowledge`."""
        self.client.post_json(f"messages/{message}/ack", {})

    def open_part(self, transfer: str, number: int) -> Incoming:
        """See `Link.open_part`."""
        return self.client.stream(f"transfers/{transfer}/parts/{number}")

    def open_window(self, transfer: str, number: int, start: int, stop: int) -> Incoming:
        """See `Link.open_window`."""
        return self.client.stream(f"transfers/{transfer}/windows/{number}", range=(start, stop))

    def have(self, transfer: str) -> bytes:
        """See `Link.have`."""
        return canonical.encode(self.client.get_json(f"transfers/{transfer}/have"), where="have")

    def put_part(self, transfer: str, number: int, data: bytes) -> None:
        """See `Link.put_part`."""
        self.client.put(f"transfers/{transfer}/parts/{number}", data)

    def put_window(self, transfer: str, number: int, start: int, pieces: Callable[[], Iterable[bytes]]) -> None:
        """See `Link.put_window`."""
        length, digest = length_and_digest(pieces())
        query = {"from": str(start)} if start else None
        try:
            self.client.put(f"transfers/{transfer}/windows/{number}", pieces, query, length=length, digest=digest)
        except PeerRefused as error:
            if error.status != 422:
                raise
            raise IntegrityError(error.message, where=error.where, next=error.next) from error
