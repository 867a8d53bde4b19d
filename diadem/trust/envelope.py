"""DSSE v1 envelopes (https://github.com/secure-systems-lab/dsse, protocol.md): a payload and who signed it.

What is signed is not the payload but its pre-authentication encoding, which carries the type: a signature over a
statement can never be taken for one over a note.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Self

from diadem.errors import DocumentError, UsageError
from diadem.model.canonical import decode, encode
from diadem.trust.base64_text import from_base64, to_base64
from diadem.trust.keys import SIGNATURE_SIZE, PrivateKey, PublicKey

#: The payload type of in-toto statements (in-toto attestation framework, spec/v1/envelope.md).
PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
#: Bytes of a payload. A scrub that proves 10,000 packages in one statement needs about 3 MB.
MAX_PAYLOAD_BYTES: Final = 8 << 20
#: Bytes of a line: the payload in base64, and the signatures.
MAX_LINE_BYTES: Final = MAX_PAYLOAD_BYTES // 3 * 4 + 65_536
#: Signatures on one envelope: node, owner, root; the rest is room for countersignatures.
MAX_SIGNATURES: Final = 32
_KEY_ID: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Envelope:
    """A payload with its signatures.

    Attributes
    ----------
    payload : bytes
        What was signed.
    signatures : tuple of (str, bytes)
        Key id (64 hex digits) and signature (64 bytes), in the order of the key ids; one a key.
    payload_type : str
        What the payload is.
    """

    payload: bytes
    signatures: tuple[tuple[str, bytes], ...]
    payload_type: str = PAYLOAD_TYPE

    def __post_init__(self) -> None:
        """Order the signatures; refuse what `from_line` would refuse."""
        object.__setattr__(self, "signatures", tuple(sorted(self.signatures)))
        names = [name for name, _ in self.signatures]
        if not 1 <= len(names) <= MAX_SIGNATURES:
            raise _fault(f"{len(names)} signatures; one to {MAX_SIGNATURES} are read")
        if len(set(names)) != len(names):
            raise _fault("a key signed twice")
        if any(not _KEY_ID.fullmatch(name) or len(value) != SIGNATURE_SIZE for name, value in self.signatures):
            raise _fault(f"a signature is a key id of 64 hex digits and {SIGNATURE_SIZE} bytes")
        if len(self.payload) > MAX_PAYLOAD_BYTES:
            raise _fault(f"a payload of {len(self.payload):,} bytes; {MAX_PAYLOAD_BYTES:,} are read")

    def to_line(self) -> bytes:
        """The envelope as one line of canonical JSON, without the newline."""
        signatures = [{"keyid": name, "sig": to_base64(value)} for name, value in self.signatures]
        document = {"payload": to_base64(self.payload), "payloadType": self.payload_type, "signatures": signatures}
        return encode(document, where="envelope")

    @classmethod
    def from_line(cls, data: bytes) -> Self:
        """The envelope of exactly what `to_line` writes.

        Raises
        ------
        DocumentError
            Anything else: another form of the same JSON, unknown members, too many or odd signatures, too large.
        """
        document = decode(data, where="envelope", limit=MAX_LINE_BYTES)
        if not isinstance(document, dict) or document.keys() != {"payload", "payloadType", "signatures"}:
            raise _fault("an object with payload, payloadType and signatures is expected")
        signatures, payload_type = document["signatures"], document["payloadType"]
        if not isinstance(signatures, list) or len(signatures) > MAX_SIGNATURES or not isinstance(payload_type, str):
            raise _fault(f"a type and a list of at most {MAX_SIGNATURES} signatures are expected")
        pairs = tuple(_signature(item) for item in signatures)
        envelope = cls(_bytes(document["payload"]), pairs, payload_type)
        if envelope.signatures != pairs:
            raise _fault("its signatures are not in the order of their key ids")
        return envelope

    def pae(self) -> bytes:
        """The pre-authentication encoding: what is signed."""
        return pre_authentication(self.payload, self.payload_type)

    @cached_property
    def statement_id(self) -> str:
        """SHA-256 of the pre-authentication encoding, 64 hex digits: the name of the statement, whoever signed it."""
        return statement_id_of(self.payload, self.payload_type)

    def signers(self, keys: Iterable[PublicKey]) -> frozenset[str]:
        """Ids of those of the keys given whose signature on this envelope holds."""
        signatures = dict(self.signatures)
        pae = self.pae()
        return frozenset(
            key.key_id for key in keys if key.key_id in signatures and key.verify(signatures[key.key_id], pae)
        )


def sign(payload: bytes, keys: Sequence[PrivateKey], payload_type: str = PAYLOAD_TYPE) -> Envelope:
    """An envelope of a payload of some type, signed with every key.

    Raises
    ------
    UsageError
        No key is given.
    """
    if not keys:
        raise UsageError("nothing is signed without a key")
    pae = pre_authentication(payload, payload_type)
    by_id = {key.public.key_id: key for key in keys}
    return Envelope(payload, tuple((name, key.sign(pae)) for name, key in by_id.items()), payload_type)


def statement_id_of(payload: bytes, payload_type: str = PAYLOAD_TYPE) -> str:
    """The id that an envelope of this payload has, whoever signs it: see `Envelope.statement_id`."""
    return hashlib.sha256(pre_authentication(payload, payload_type)).hexdigest()


def pre_authentication(payload: bytes, payload_type: str) -> bytes:
    """PAE of the DSSE protocol: the version, and type and payload each after its length in bytes."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def _signature(item: Any) -> tuple[str, bytes]:
    if not isinstance(item, dict) or item.keys() != {"keyid", "sig"} or not isinstance(item["keyid"], str):
        raise _fault("a signature is an object with keyid and sig")
    return item["keyid"], _bytes(item["sig"])


def _bytes(text: Any) -> bytes:
    try:
        return from_base64(text)
    except (AttributeError, ValueError):
        raise _fault("base64 is expected") from None


def _fault(message: str) -> DocumentError:
    return DocumentError(message, where="envelope", next="Ask its sender for it again.")
