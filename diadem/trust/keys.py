"""Ed25519 keys (RFC 8032): who signed, told by the SHA-256 of the public key. `cryptography` does the arithmetic."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final, Self

from diadem.errors import DocumentError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

#: Bytes of a public key and of a private key's seed (RFC 8032 section 5.1.5).
KEY_SIZE: Final = 32
#: Bytes of a signature (RFC 8032 section 5.1.6).
SIGNATURE_SIZE: Final = 64
#: What stands before the base64 of a public key.
SCHEME: Final = "ed25519:"


@dataclass(frozen=True)
class PublicKey:
    """A public key: a value, equal to another of the same bytes.

    Parameters
    ----------
    raw : bytes
        The 32 bytes of RFC 8032.

    Raises
    ------
    DocumentError
        Not 32 bytes.
    """

    raw: bytes

    def __post_init__(self) -> None:
        """Check the length."""
        if len(self.raw) != KEY_SIZE:
            raise DocumentError(f"an Ed25519 public key has {KEY_SIZE} bytes, this one {len(self.raw)}")

    @cached_property
    def key_id(self) -> str:
        """SHA-256 of the raw key, 64 hex digits. Of a node's root key it is the node's identity."""
        return hashlib.sha256(self.raw).hexdigest()

    def to_text(self) -> str:
        """``ed25519:`` and the base64 of the raw key."""
        return SCHEME + base64.b64encode(self.raw).decode("ascii")

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The key of what `to_text` wrote; nothing else is accepted.

        Raises
        ------
        DocumentError
            Another scheme, not base64, or another length.
        """
        try:
            raw = base64.b64decode(text.removeprefix(SCHEME), validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if len(raw) != KEY_SIZE or text != SCHEME + base64.b64encode(raw).decode("ascii"):
            raise DocumentError(
                f"'{text[:80]}' is not a public key", next=f"Write {SCHEME} and the base64 of {KEY_SIZE} bytes."
            )
        return cls(raw)

    def verify(self, signature: bytes, data: bytes) -> bool:
        """Whether the owner of this key signed exactly these bytes. Never raises."""
        from cryptography.exceptions import InvalidSignature

        if len(signature) != SIGNATURE_SIZE:
            return False
        try:
            self._native.verify(signature, data)
        except (InvalidSignature, ValueError):
            return False
        return True

    @cached_property
    def _native(self) -> Ed25519PublicKey:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        return Ed25519PublicKey.from_public_bytes(self.raw)


@dataclass(frozen=True, eq=False)
class PrivateKey:
    """A private key. Its text form never shows the secret; make one with `generate`, `from_seed` or `from_pem`."""

    _native: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def generate(cls) -> Self:
        """A new key from the system's random source."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_seed(cls, seed: bytes) -> Self:
        """The key of 32 secret bytes (RFC 8032 calls them the private key)."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        if len(seed) != KEY_SIZE:
            raise DocumentError(f"the seed of an Ed25519 key has {KEY_SIZE} bytes, this one {len(seed)}")
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    @property
    def seed(self) -> bytes:
        """The 32 secret bytes."""
        return self._native.private_bytes_raw()

    @cached_property
    def public(self) -> PublicKey:
        """The public key that belongs to it."""
        return PublicKey(self._native.public_key().public_bytes_raw())

    def sign(self, data: bytes) -> bytes:
        """The signature of these bytes, 64 bytes; always the same for the same bytes."""
        return self._native.sign(data)

    def to_pem(self, passphrase: str | None) -> bytes:
        """The key as a PKCS #8 text, encrypted where a passphrase is given. See `trust.key_files`."""
        from diadem.trust.key_files import write_pem

        return write_pem(self.seed, passphrase)

    @classmethod
    def from_pem(cls, data: bytes, passphrase: str | None) -> Self:
        """The key of what `to_pem` (or OpenSSL) wrote.

        Raises
        ------
        Refused
            The passphrase is wrong or missing.
        DocumentError
            Not the PEM text of an Ed25519 key.
        """
        from diadem.trust.key_files import read_pem

        return cls.from_seed(read_pem(data, passphrase))
