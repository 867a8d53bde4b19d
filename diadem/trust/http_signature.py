"""Signed HTTP requests (RFC 9421): one profile, in one order, and nothing else is read.

::

    Content-Digest: sha-256=:<base64>:
    Diadem-To: <id of the node that the request is for>
    Signature-Input: diadem=("@method" "@path" "@query" "content-digest" "diadem-to");created=…;expires=…;nonce="…";
                     keyid="<64 hex>";alg="ed25519";tag="diadem-v1"          (one line)
    Signature: diadem=:<base64>:

`@path` and `@query` are signed and not the whole address, so that a forwarded port or a proxy breaks nothing; that the
request cannot be taken to another node is said by `Diadem-To`. The digest is that of the body, also of an empty one.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from diadem.errors import DocumentError, Refused
from diadem.trust.base64_text import from_base64, to_base64

if TYPE_CHECKING:
    from diadem.trust.keys import PrivateKey, PublicKey

#: Seconds for which a signature holds, at most and as we sign.
LIFETIME: Final = 120
#: Seconds that a signer's clock may be ahead.
AHEAD: Final = 30
#: Bytes of a nonce.
NONCE_SIZE: Final = 16
#: Characters of each header that are read; ours have fewer than 400.
MAX_HEADER: Final = 1024
#: The names of the headers that carry a signature, in lower case.
HEADERS: Final = ("content-digest", "diadem-to", "signature-input", "signature")
EMPTY_DIGEST: Final = hashlib.sha256(b"").digest()

_COVERED: Final = ("@method", "@path", "@query", "content-digest", "diadem-to")
_LIST: Final = "(" + " ".join(f'"{name}"' for name in _COVERED) + ")"
_TAIL: Final = ';alg="ed25519";tag="diadem-v1"'
_INPUT: Final = re.compile(
    "diadem=("
    + re.escape(_LIST)
    + r';created=([1-9][0-9]{0,14});expires=([1-9][0-9]{0,14});nonce="([A-Za-z0-9_-]{22})";keyid="([0-9a-f]{64})"'
    + re.escape(_TAIL)
    + ")",
    re.ASCII,
)
_SIGNATURE: Final = re.compile("diadem=:([A-Za-z0-9+/=]{88}):", re.ASCII)
_DIGEST: Final = re.compile("sha-256=:([A-Za-z0-9+/=]{44}):", re.ASCII)
_TO: Final = re.compile("[0-9a-f]{64}", re.ASCII)
_METHOD: Final = re.compile("[A-Z]{3,7}", re.ASCII)
_VISIBLE: Final = re.compile("[!-~]*", re.ASCII)


class ClockWrong(Refused):
    """A signature of another time: a clock is wrong, or the request is an old one."""

    code = "clock"


@dataclass(frozen=True, slots=True)
class SignedHead:
    """What the headers of a request say of its signature; nothing of it is checked yet.

    Attributes
    ----------
    key_id : str
        Whose key signed, as it says.
    to : str
        Id of the node that the request is for.
    digest : bytes
        SHA-256 of the body, as it says.
    created, expires : int
        Seconds since 1970.
    nonce : str
        Random, once.
    params : str
        What is signed of this itself, as it stands in the header.
    signature : bytes
        64 bytes.
    """

    key_id: str
    to: str
    digest: bytes
    created: int
    expires: int
    nonce: str
    params: str
    signature: bytes


def signature_base(components: Sequence[tuple[str, str]], params: str) -> bytes:
    """What is signed (RFC 9421 section 2.5): a line for each component, and one for the parameters.

    Parameters
    ----------
    components : sequence of (str, str)
        Names and values, none with a line break.
    params : str
        The covered components and the parameters, as in the header.
    """
    lines = [f'"{name}": {value}' for name, value in (*components, ("@signature-params", params))]
    return "\n".join(lines).encode("ascii")


def body_digest(body: bytes | bytearray | memoryview) -> bytes:
    """SHA-256 of a body."""
    return hashlib.sha256(body).digest()


def length_and_digest(pieces: Iterable[bytes]) -> tuple[int, bytes]:
    """Bytes and SHA-256 of a body that comes in pieces."""
    length, digest = 0, hashlib.sha256()
    for piece in pieces:
        length += len(piece)
        digest.update(piece)
    return length, digest.digest()


def new_nonce() -> str:
    """A nonce that was never used."""
    return base64.urlsafe_b64encode(secrets.token_bytes(NONCE_SIZE)).rstrip(b"=").decode("ascii")


def sign(
    method: str, path: str, query: str, *, digest: bytes, to: str, key: PrivateKey, now: int, nonce: str = ""
) -> dict[str, str]:
    """The headers of a signed request.

    Parameters
    ----------
    method : str
        ``GET``.
    path, query : str
        As they are sent; the query without its question mark.
    digest : bytes
        SHA-256 of the body.
    to : str
        Id of the node that the request is for.
    key : PrivateKey
        Of who asks.
    now : int
        Seconds since 1970, by the clock of the node that is asked.
    nonce : str
        22 characters; by default a new one.
    """
    params = (
        f'{_LIST};created={now:d};expires={now + LIFETIME:d};nonce="{nonce or new_nonce()}";'
        f'keyid="{key.public.key_id}"{_TAIL}'
    )
    signature = key.sign(_base(method, path, query, digest, to, params))
    return {
        "Content-Digest": _digest_text(digest),
        "Diadem-To": to,
        "Signature-Input": f"diadem={params}",
        "Signature": f"diadem=:{to_base64(signature)}:",
    }


def read(headers: Mapping[str, str]) -> SignedHead:
    """What the headers of a request say of its signature.

    Parameters
    ----------
    headers : mapping of str to str
        Names in lower case.

    Raises
    ------
    DocumentError
        One is missing, or is not written exactly as `sign` writes it.
    """
    found = {name: headers.get(name, "") for name in HEADERS}
    if any(len(value) > MAX_HEADER for value in found.values()):
        raise _unreadable()
    matches = {
        name: pattern.fullmatch(found[name])
        for name, pattern in zip(HEADERS, (_DIGEST, _TO, _INPUT, _SIGNATURE), strict=True)
    }
    digest, to, given, signature = (matches[name] for name in HEADERS)
    if not (digest and to and given and signature):
        raise _unreadable()
    try:
        return SignedHead(
            key_id=given[5],
            to=to[0],
            digest=from_base64(digest[1]),
            created=int(given[2]),
            expires=int(given[3]),
            nonce=given[4],
            params=given[1],
            signature=from_base64(signature[1]),
        )
    except ValueError:
        raise _unreadable() from None


def digest_of(headers: Mapping[str, str]) -> bytes:
    """The digest that a request says its body has, where its signature was read before; names are in lower case."""
    found = _DIGEST.fullmatch(headers.get("content-digest", ""))
    if found is None:
        raise _unreadable()
    return from_base64(found[1])


def check_time(head: SignedHead, *, now: int) -> None:
    """That the signature is of now, by this machine's clock.

    Raises
    ------
    ClockWrong
        It is not valid yet, or no longer.
    DocumentError
        It would hold for longer than `LIFETIME`.
    """
    if not head.created < head.expires <= head.created + LIFETIME:
        raise DocumentError(f"a signature of a request holds for {LIFETIME} seconds at most", where="Signature-Input")
    if not head.created - AHEAD <= now <= head.expires:
        raise ClockWrong(
            "the clocks disagree: the request was not signed just now", next="Set the clock (time server)."
        )


def holds(head: SignedHead, method: str, path: str, query: str, *, key: PublicKey) -> bool:
    """Whether the owner of this key signed exactly this request. The digest is compared by whoever reads the body."""
    if key.key_id != head.key_id or not (
        _METHOD.fullmatch(method) and _VISIBLE.fullmatch(path) and _VISIBLE.fullmatch(query)
    ):
        return False
    return key.verify(head.signature, _base(method, path, query, head.digest, head.to, head.params))


def _base(method: str, path: str, query: str, digest: bytes, to: str, params: str) -> bytes:
    values = (method, path, f"?{query}", _digest_text(digest), to)
    return signature_base(list(zip(_COVERED, values, strict=True)), params)


def _digest_text(digest: bytes) -> str:
    return f"sha-256=:{to_base64(digest)}:"


def _unreadable() -> DocumentError:
    return DocumentError(
        "the request is not signed as DIADEM signs", where="Signature-Input", next="Ask with DIADEM itself."
    )
