"""What the verbs need of a client: JSON to a node and back; and the client that calls over the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from diadem.model.peers import Contact
    from diadem.trust.keys import PrivateKey


class Poster(Protocol):
    """A node that can be asked. Paths are below ``/diadem/v1/``."""

    def post_json(self, path: str, document: Mapping[str, Any], *, introduce: bool = False) -> dict[str, Any]:
        """Post a JSON object, with the public key for who does not know it; the answer is an object too."""
        ...

    def close(self) -> None:
        """End the connections."""
        ...


#: Makes one: whom to call, and the key that signs the requests.
Connect = Callable[["Contact", "PrivateKey"], Poster]


def dial(contact: Contact, key: PrivateKey) -> Poster:
    """A node, called at its addresses over TLS with the keys that are known of it."""
    from diadem.network.client import PeerClient

    return PeerClient(contact.urls, contact.tls, contact.node, key, name=contact.name)
