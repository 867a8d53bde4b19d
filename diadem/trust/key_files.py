"""Private keys as PKCS #8 text in PEM (RFC 7468), which OpenSSL reads too."""

from __future__ import annotations

import unicodedata
from typing import Final

from diadem.errors import DocumentError, Refused, UsageError

#: Bytes of a key file that are read. One of ours has less than 400.
MAX_PEM_BYTES: Final = 16_384
_ENCRYPTED: Final = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"


def write_pem(seed: bytes, passphrase: str | None) -> bytes:
    """The key of a seed as PEM; encrypted where a passphrase is given."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    secret = _secret(passphrase)
    algorithm = serialization.NoEncryption() if secret is None else serialization.BestAvailableEncryption(secret)
    return Ed25519PrivateKey.from_private_bytes(seed).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, algorithm
    )


def read_pem(data: bytes, passphrase: str | None) -> bytes:
    """The seed in a PEM text."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if len(data) > MAX_PEM_BYTES:
        raise DocumentError(f"a key file of {len(data):,} bytes is not read")
    encrypted = _ENCRYPTED in data
    secret = _secret(passphrase)
    if encrypted and secret is None:
        raise Refused("this key is protected by a passphrase", next="Give its passphrase.")
    try:
        key = load_pem_private_key(data, secret if encrypted else None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        if encrypted:
            raise Refused(
                "the passphrase does not open this key", next="Try again; if it is right, the file is damaged."
            ) from None
        raise DocumentError(f"not a private key in PEM: {str(error)[:200]}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise DocumentError("a private key of another kind than Ed25519")
    return key.private_bytes_raw()


def _secret(passphrase: str | None) -> bytes | None:
    """The passphrase as bytes, composed (NFC): an umlaut typed on another system must open the same key."""
    if passphrase is None:
        return None
    if not passphrase:
        raise UsageError(
            "an empty passphrase protects nothing", next="Give one, or None to leave the key in the clear."
        )
    return unicodedata.normalize("NFC", passphrase).encode("utf-8")
