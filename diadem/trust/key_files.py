"""Private keys as PKCS #8 text in PEM (RFC 7468), which OpenSSL reads too.

An encrypted key is a PBES2 (RFC 8018) with scrypt (RFC 7914 section 7) and AES-256-CBC. `cryptography` itself would
write PBKDF2 with 2,048 rounds, which a passphrase that a person remembers does not survive. Before the PEM stands one
line with the public key: it tells whose key this is without the passphrase, and a damaged file is noticed.
"""

from __future__ import annotations

import base64
import os
import re
import unicodedata
from typing import Final

from diadem.errors import DocumentError, IntegrityError, Refused, UsageError

#: Bytes of a key file that are read. One of ours has less than 500.
MAX_PEM_BYTES: Final = 16_384
#: scrypt's cost, block size and parallelisation: 16 MiB five times, one of the equal settings of the OWASP Password
#: Storage Cheat Sheet, and the largest of them that OpenSSL's reader (at most 32 MiB) still opens.
SCRYPT: Final = (1 << 14, 8, 5)
#: What a file may ask of us: 256 MiB, sixteen times; rounds of PBKDF2 for some seconds.
MAX_SCRYPT: Final = (1 << 18, 8, 16)
MAX_PBKDF2_ROUNDS: Final = 10_000_000

# Object identifiers in DER (RFC 8018 appendix C, RFC 7914 section 7, RFC 3565 section 4.1).
_PBES2: Final = bytes.fromhex("06092a864886f70d01050d")
_PBKDF2: Final = bytes.fromhex("06092a864886f70d01050c")
_SCRYPT: Final = bytes.fromhex("06092b06010401da47040b")
_AES_256_CBC: Final = bytes.fromhex("060960864801650304012a")
_INTEGER, _OCTETS, _SEQUENCE = 0x02, 0x04, 0x30

_PEM: Final = re.compile(
    rb"-----BEGIN (ENCRYPTED )?PRIVATE KEY-----\r?\n([A-Za-z0-9+/=\s]+)-----END (?:ENCRYPTED )?PRIVATE KEY-----"
)
_PUBLIC: Final = re.compile(rb"^Public-Key: (.+?)\r?$", re.MULTILINE)


def write_pem(seed: bytes, public: str, passphrase: str | None) -> bytes:
    """The file of a key.

    Parameters
    ----------
    seed : bytes
        The 32 secret bytes.
    public : str
        The public key as text, for the line before.
    passphrase : str or None
        Encrypt with it; None leaves the key in the clear.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    secret = _secret(passphrase)
    der = Ed25519PrivateKey.from_private_bytes(seed).private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    label = "PRIVATE KEY" if secret is None else "ENCRYPTED PRIVATE KEY"
    text = base64.b64encode(der if secret is None else _encrypted(der, secret)).decode("ascii")
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return "\n".join(
        [f"Public-Key: {public}", f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""]
    ).encode()


def read_pem(data: bytes, passphrase: str | None) -> tuple[bytes, str | None]:
    """The seed in a key file, and the public key that its first line states, if it has one.

    Raises
    ------
    Refused
        The passphrase is wrong or missing.
    DocumentError
        Not a PKCS #8 text of an Ed25519 key, or one that would cost too much to open.
    """
    found = _PEM.findall(data) if len(data) <= MAX_PEM_BYTES else []
    if len(found) != 1:
        raise DocumentError("one private key in PKCS #8 and PEM is expected", where="key file")
    encrypted, body = found[0]
    try:
        der = base64.b64decode(b"".join(body.split()), validate=True)
    except ValueError:
        raise DocumentError("its base64 is damaged", where="key file") from None
    stated = _PUBLIC.search(data)
    seed = _seed(der, _secret(passphrase), encrypted=bool(encrypted))
    return seed, stated.group(1).decode("ascii", "replace") if stated else None


def require_same(public: str, stated: str | None) -> None:
    """That the key opened is the one that the file says it holds.

    Raises
    ------
    IntegrityError
        It is another: bits of the file are damaged.
    """
    if stated not in {None, public}:
        raise IntegrityError(
            "the key file is damaged: it holds another key than it says", where="key file", next="Use a copy of it."
        )


def _seed(der: bytes, secret: bytes | None, *, encrypted: bool) -> bytes:
    from cryptography.exceptions import InternalError, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_der_private_key

    if encrypted:
        _require_affordable(der)
        if secret is None:
            raise Refused("this key is protected by a passphrase", next="Give its passphrase.")
    try:
        key = load_der_private_key(der, secret if encrypted else None)
    except (ValueError, TypeError, UnsupportedAlgorithm, InternalError):  # the last: X448 with 32 bytes
        if encrypted:
            raise Refused(
                "the passphrase does not open this key", next="Try again; if it is right, the file is damaged."
            ) from None
        raise DocumentError("not a private key", where="key file") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise DocumentError("a private key of another kind than Ed25519", where="key file")
    return key.private_bytes_raw()


def _encrypted(der: bytes, secret: bytes) -> bytes:
    """EncryptedPrivateKeyInfo of RFC 5958 section 3."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
    from cryptography.hazmat.primitives.padding import PKCS7

    salt, start = os.urandom(16), os.urandom(16)
    cost, block, lanes = SCRYPT
    key = Scrypt(salt=salt, length=32, n=cost, r=block, p=lanes).derive(secret)
    padder, encryptor = PKCS7(128).padder(), Cipher(algorithms.AES(key), modes.CBC(start)).encryptor()
    sealed = encryptor.update(padder.update(der) + padder.finalize()) + encryptor.finalize()
    numbers = b"".join(_der(_INTEGER, number.to_bytes(number.bit_length() // 8 + 1, "big")) for number in SCRYPT)
    derivation = _der(_SEQUENCE, _SCRYPT + _der(_SEQUENCE, _der(_OCTETS, salt) + numbers))
    scheme = _der(_SEQUENCE, _AES_256_CBC + _der(_OCTETS, start))
    algorithm = _der(_SEQUENCE, _PBES2 + _der(_SEQUENCE, derivation + scheme))
    return _der(_SEQUENCE, algorithm + _der(_OCTETS, sealed))


def _der(tag: int, body: bytes) -> bytes:
    """One DER element of fewer than 256 bytes."""
    length = bytes([len(body)]) if len(body) < 128 else bytes([0x81, len(body)])
    return bytes([tag]) + length + body


def _require_affordable(der: bytes) -> None:
    """That opening costs seconds, not hours: the file's own numbers say how often its passphrase is hashed."""
    rounds, costs = _numbers_after(der, _PBKDF2), _numbers_after(der, _SCRYPT)
    fine = bool(rounds) and rounds[0] <= MAX_PBKDF2_ROUNDS
    fine = fine or (len(costs) >= 3 and all(cost <= most for cost, most in zip(costs, MAX_SCRYPT, strict=False)))
    if not fine:
        raise DocumentError(
            "its passphrase is hashed by a method, or a number of times, that is not accepted", where="key file"
        )


def _numbers_after(der: bytes, identifier: bytes) -> list[int]:
    """The integers of the short sequence that follows an object identifier; none where there is no such thing."""
    _, _, rest = der.partition(identifier)
    if len(rest) < 2 or rest[0] != _SEQUENCE:
        return []
    body, numbers = rest[2 : 2 + rest[1]], []
    while len(body) >= 2:
        if body[0] == _INTEGER:
            numbers.append(int.from_bytes(body[2 : 2 + body[1]], "big"))
        body = body[2 + body[1] :]
    return numbers


def _secret(passphrase: str | None) -> bytes | None:
    """The passphrase as bytes, composed (NFC): an umlaut typed on another system must open the same key."""
    if passphrase is None:
        return None
    if not passphrase:
        raise UsageError(
            "an empty passphrase protects nothing", next="Give one, or None to leave the key in the clear."
        )
    return unicodedata.normalize("NFC", passphrase).encode("utf-8", "surrogateescape")
