"""A second reader of age files, from its specification (age-encryption.org/v1), for X25519 alone."""

from __future__ import annotations

import base64
import hashlib
import hmac

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def opened(data: bytes, identity: str) -> bytes:
    """What an age file holds."""
    scalar = X25519PrivateKey.from_private_bytes(_bech32(identity))
    own = scalar.public_key().public_bytes_raw()
    head, _, rest = data.partition(b"\n--- ")
    mac, _, body = rest.partition(b"\n")
    lines = head.decode("ascii").split("\n")
    assert lines[0] == "age-encryption.org/v1"
    at = next(number for number, line in enumerate(lines) if line.startswith("-> X25519 "))
    share = _base64(lines[at].split(" ")[2])
    secret = scalar.exchange(X25519PublicKey.from_public_bytes(share))
    wrap = _hkdf(secret, share + own, b"age-encryption.org/v1/X25519")
    file_key = ChaCha20Poly1305(wrap).decrypt(bytes(12), _base64(lines[at + 1]), None)
    proof = hmac.new(_hkdf(file_key, b"", b"header"), head + b"\n---", hashlib.sha256).digest()
    assert hmac.compare_digest(proof, _base64(mac.decode("ascii")))
    payload = ChaCha20Poly1305(_hkdf(file_key, body[:16], b"payload"))
    pieces = [body[start : start + 65_552] for start in range(16, len(body), 65_552)]
    return b"".join(
        payload.decrypt(number.to_bytes(11, "big") + bytes([number == len(pieces) - 1]), piece, None)
        for number, piece in enumerate(pieces)
    )


def _hkdf(key: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt, info).derive(key)


def _base64(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def _bech32(text: str) -> bytes:
    digits = [CHARSET.index(letter) for letter in text.lower().rpartition("1")[2]][:-6]
    bits = 0
    for digit in digits:
        bits = bits << 5 | digit
    return (bits >> len(digits) * 5 % 8).to_bytes(len(digits) * 5 // 8, "big")
