"""age files for X25519 recipients, as https://age-encryption.org/v1 has them, sealed and opened in one piece of memory.

The bytes are written once, into a buffer of their final size, while other threads may run. Everything that is not in
the one form is refused; of stanzas only those of the kind X25519 are tried, others are passed over.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import re
from collections.abc import Iterator, Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from diadem.model.buffers import fitted

#: Bytes of a chunk, and of its tag.
CHUNK: Final = 64 << 10
TAG: Final = 16
#: Bytes of a header at most: more stanzas are not looked at.
MAX_HEADER: Final = 4096
#: Bytes of what stands before the first chunk.
NONCE: Final = 16
_VERSION: Final = b"age-encryption.org/v1\n"
_X25519: Final = b"age-encryption.org/v1/X25519"
#: A stanza: its arguments, and lines of 64 digits, of which the last is shorter.
_STANZA: Final = re.compile(rb"-> ([!-~]+(?: [!-~]+)*)\n((?:[A-Za-z0-9+/]{64}\n)*[A-Za-z0-9+/]{0,63}\n)")
_MAC: Final = re.compile(rb"--- ([A-Za-z0-9+/]{43})\n")
_ALPHABET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATORS: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


class WrongKey(Exception):
    """A text is no key of its kind."""


class Damaged(Exception):
    """An age file was changed, is cut short, or is none."""


class SomebodyElses(Exception):
    """An age file is for other recipients."""


def encrypt(
    first: bytes, data: bytes | bytearray | memoryview, recipient: str, room: bytearray | None = None
) -> bytearray:
    """The age file of some bytes, and others that follow them; in `room`, where that is given (`fitted`).

    Raises
    ------
    WrongKey
        The recipient is none.
    """
    public = key_of(recipient, "age")
    file_key, nonce = os.urandom(16), os.urandom(NONCE)
    try:
        head = _header(file_key, public) + nonce
    except ValueError as error:  # a point of small order
        raise WrongKey("this is not an age recipient") from error
    size = len(first) + len(data)
    count = max(1, -(-size // CHUNK))
    sealed = fitted(room, len(head) + size + TAG * count)
    sealed[: len(head)] = head
    cipher, target = ChaCha20Poly1305(_derived(file_key, nonce, b"payload")), memoryview(sealed)
    at = len(head)
    for number, chunk in enumerate(_chunks(first, memoryview(data))):
        stop = at + len(chunk) + TAG
        cipher.encrypt_into(_chunk_nonce(number, last=number == count - 1), chunk, None, target[at:stop])
        at = stop
    return sealed


def decrypt(
    sealed: bytes | bytearray | memoryview, identities: Sequence[str], room: bytearray | None = None
) -> bytearray:
    """What is in an age file; in `room`, where that is given (`fitted`).

    Raises
    ------
    WrongKey
        An identity is none.
    Damaged, SomebodyElses
        It does not open.
    """
    keys = [X25519PrivateKey.from_private_bytes(key_of(one, "age-secret-key-")) for one in identities]
    source = memoryview(sealed)
    file_key, at = _opened(bytes(source[:MAX_HEADER]), keys)
    nonce, at = bytes(source[at : at + NONCE]), at + NONCE
    body = len(source) - at
    count = max(1, -(-body // (CHUNK + TAG)))
    last = body - (count - 1) * (CHUNK + TAG)
    if last < TAG or (last == TAG and count > 1):
        raise Damaged("it is cut short")
    cipher = ChaCha20Poly1305(_derived(file_key, nonce, b"payload"))
    data = fitted(room, body - TAG * count)
    target = memoryview(data)
    try:
        for number in range(count):
            chunk = source[at + number * (CHUNK + TAG) :][: CHUNK + TAG]
            place = target[number * CHUNK :][:CHUNK]
            cipher.decrypt_into(_chunk_nonce(number, last=number == count - 1), chunk, None, place)
    except InvalidTag:
        raise Damaged("it was changed, or is cut short") from None
    return data


def key_of(text: str, kind: str) -> bytes:
    """The 32 bytes of a recipient (``age``) or an identity (``age-secret-key-``), in Bech32.

    Raises
    ------
    WrongKey
        It is none.
    """
    plain = text.lower() if text.isascii() else ""
    head, _, tail = plain.rpartition("1")
    values = [_ALPHABET.find(letter) for letter in tail]
    if text not in (plain, text.upper()) or head != kind or len(values) != 58 or -1 in values:
        raise WrongKey("this is not an age key")
    codes = [ord(letter) for letter in head]
    if _polymod([*(code >> 5 for code in codes), 0, *(code & 31 for code in codes), *values]) != 1:
        raise WrongKey("this is not an age key: it is mistyped")
    number = 0
    for value in values[:-6]:
        number = number << 5 | value
    if number & 0b1111:  # 52 digits are 260 bits
        raise WrongKey("this is not an age key")
    return (number >> 4).to_bytes(32, "big")


def _polymod(values: Sequence[int]) -> int:
    """The checksum of Bech32 (BIP 173)."""
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATORS):
            check ^= generator if top >> bit & 1 else 0
    return check


def _chunks(first: bytes, data: memoryview) -> Iterator[bytes | memoryview]:
    """All bytes in chunks; one of none where there are none. Only the chunks with bytes of both are copied."""
    both = -len(first) % CHUNK
    joined = first + bytes(data[:both])
    if joined or not data:
        for start in range(0, max(1, len(joined)), CHUNK):
            yield joined[start : start + CHUNK]
    for start in range(both, len(data), CHUNK):
        yield data[start : start + CHUNK]


def _chunk_nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + (b"\1" if last else b"\0")


def _derived(secret: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt, info).derive(secret)


def _header(file_key: bytes, public: bytes) -> bytes:
    """A header with one stanza."""
    private = X25519PrivateKey.generate()
    share = private.public_key().public_bytes_raw()
    wrapping = _derived(private.exchange(X25519PublicKey.from_public_bytes(public)), share + public, _X25519)
    wrapped = ChaCha20Poly1305(wrapping).encrypt(bytes(12), file_key, None)
    head = b"%s-> X25519 %s\n%s\n---" % (_VERSION, _plain(share), _plain(wrapped))
    return head + b" " + _plain(_mac(file_key, head)) + b"\n"


def _mac(file_key: bytes, head: bytes) -> bytes:
    return hmac.digest(_derived(file_key, b"", b"header"), head, "sha256")


def _opened(head: bytes, keys: Sequence[X25519PrivateKey]) -> tuple[bytes, int]:
    """The file key in a header, and where it ends."""
    if not head.startswith(_VERSION):
        raise Damaged("it is not an age file")
    at, stanzas = len(_VERSION), []
    while (found := _STANZA.match(head, at)) is not None:
        stanzas.append((found[1].split(b" "), found[2].replace(b"\n", b"")))
        at = found.end()
    end = _MAC.match(head, at)
    if end is None or not stanzas:
        raise Damaged("its header has another form")
    if len(stanzas) > 1 and any(arguments[0] == b"scrypt" for arguments, _ in stanzas):
        raise Damaged("a stanza that must be alone has others beside it")
    for arguments, body in [(arguments, _digits(body)) for arguments, body in stanzas]:
        if arguments[0] == b"X25519":
            for key in keys:
                if (file_key := _unwrapped(key, arguments, body)) is not None:
                    if not hmac.compare_digest(_mac(file_key, head[: at + 3]), _digits(end[1])):
                        raise Damaged("its header was changed")
                    return file_key, end.end()
    raise SomebodyElses("it is sealed for somebody else")


def _unwrapped(key: X25519PrivateKey, arguments: Sequence[bytes], wrapped: bytes) -> bytes | None:
    """The file key in a stanza; None where it is for another key."""
    if len(arguments) != 2 or len(arguments[1]) != 43 or len(wrapped) != 32:
        raise Damaged("a stanza has another form")
    share = _digits(arguments[1])
    try:
        shared = key.exchange(X25519PublicKey.from_public_bytes(share))
    except ValueError as error:
        raise Damaged("a stanza has no share") from error
    wrapping = _derived(shared, share + key.public_key().public_bytes_raw(), _X25519)
    try:
        return ChaCha20Poly1305(wrapping).decrypt(bytes(12), wrapped, None)
    except InvalidTag:
        return None


def _plain(data: bytes) -> bytes:
    return base64.b64encode(data).rstrip(b"=")


def _digits(text: bytes) -> bytes:
    """Bytes in base64 without padding; of one form alone."""
    try:
        data = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        raise Damaged("it has invalid digits") from None
    if _plain(data) != text:
        raise Damaged("it has invalid digits")
    return data
