"""Ed25519 keys (RFC 8032): who signed, told by the SHA-256 of the public key. `cryptography` does the arithmetic."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final, Self

from diadem.errors import DocumentError
from diadem.trust.base64_text import from_base64, to_base64

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

#: Bytes of a public key and of a private key's seed (RFC 8032 section 5.1.5).
KEY_SIZE: Final = 32
#: Bytes of a signature (RFC 8032 section 5.1.6).
SIGNATURE_SIZE: Final = 64
#: What stands before the base64 of a public key.
SCHEME: Final = "ed25519:"
#: The prime of the curve's field (RFC 8032 section 5.1).
PRIME: Final = (1 << 255) - 19
_ORDER_8: Final = int.from_bytes(
    bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little"
)
#: y of the eight points of small order: 0 (order 4), 1 and -1 (orders 1 and 2), and two of order 8; one of the latter
#: as published in "Taming the many EdDSAs" (https://eprint.iacr.org/2020/1244, table 6).
WEAK: Final = frozenset({0, 1, PRIME - 1, _ORDER_8, PRIME - _ORDER_8})


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
        Not 32 bytes, a number that has a second spelling, or a point of small order, for which one signature holds for
        many messages.
    """

    raw: bytes

    def __post_init__(self) -> None:
        """Check the length, and that a signature by this key binds its owner."""
        if len(self.raw) != KEY_SIZE:
            raise DocumentError(f"an Ed25519 public key has {KEY_SIZE} bytes, this one {len(self.raw)}")
        y = int.from_bytes(self.raw, "little") & ((1 << 255) - 1)
        if y >= PRIME or y in WEAK:
            raise DocumentError("this Ed25519 key is weak by construction: a signature by it proves nothing")

    @cached_property
    def key_id(self) -> str:
        """SHA-256 of the raw key, 64 hex digits. Of a node's root key it is the node's identity."""
        return hashlib.sha256(self.raw).hexdigest()

    def to_text(self) -> str:
        """``ed25519:`` and the base64 of the raw key."""
        return SCHEME + to_base64(self.raw)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The key of what `to_text` wrote; nothing else is accepted.

        Raises
        ------
        DocumentError
            Another scheme, not base64, or another length.
        """
        advice = f"Write {SCHEME} and the base64 of {KEY_SIZE} bytes."
        try:
            raw = from_base64(text.removeprefix(SCHEME))
        except ValueError:
            raise DocumentError(f"'{text[:80]}' is not a public key", next=advice) from None
        if not text.startswith(SCHEME):
            raise DocumentError(f"'{text[:80]}' does not say that it is a public key", next=advice)
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

        return write_pem(self.seed, self.public.to_text(), passphrase)

    @classmethod
    def from_pem(cls, data: bytes, passphrase: str | None) -> Self:
        """The key of what `to_pem` (or OpenSSL) wrote.

        Raises
        ------
        Refused
            The passphrase is wrong or missing.
        DocumentError
            Not the PEM text of an Ed25519 key.
        IntegrityError
            The file says that it holds another key.
        """
        from diadem.trust.key_files import read_pem, require_same

        seed, stated = read_pem(data, passphrase)
        key = cls.from_seed(seed)
        require_same(key.public.to_text(), stated)
        return key
