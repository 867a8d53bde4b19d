"""Who signed: whose key signed a request, as far as this node knows the key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

#: A confirmed peer; one that is still to be confirmed; a user of this node; a key that introduces itself.
SignerKind = Literal["peer", "pending", "user", "introduced"]
PEER: Final = "peer"
PENDING: Final = "pending"
USER: Final = "user"
INTRODUCED: Final = "introduced"


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signed a request.

    Attributes
    ----------
    kind : {"peer", "pending", "user", "introduced"}
        What the node knows of the key.
    key_id : str
        64 hex digits: SHA-256 of the raw public key.
    key : str
        The public key, ``ed25519:<base64>``.
    node_id : str
        The node that the key belongs to; "" for one that introduces itself.
    address : str
        Of a user: ``alice@hu-berlin``; of a peer the name that this node uses for it; else "".
    """

    kind: SignerKind
    key_id: str
    key: str
    node_id: str = ""
    address: str = ""
