"""Sealing: what passes through the hands of others is an age file that only its recipient opens.

A *sealed window* is the age file of a header line and bytes: `docs/spec/sealed-window.md`. The header says what the
bytes are meant to be; whether they are is proven against the package's own digests, and by nothing here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

from diadem.errors import DocumentError, IntegrityError, Refused
from diadem.model import canonical
from diadem.trust import age_file

FORMAT: Final = "diadem-seal/1"
#: Bytes of a header line at most.
MAX_HEADER: Final = 1024
_AGAIN: Final = "It must be sent again."
#: Members of a header and the form of each.
_MEMBERS: Final = {
    "transfer": re.compile(r"[0-9a-f]{32}"),
    "package": re.compile(r"diadem:[0-9a-f]{64}"),
}
#: What a header calls itself, as people read it.
_PARTS: Final = ("the tag manifest", "the tag files", "the payload")


@dataclass(frozen=True, slots=True)
class OneTime:
    """A pair of keys for one use: what is sealed to `recipient` is opened by `identity`.

    Attributes
    ----------
    recipient : str
        ``age1…``, told to who seals.
    identity : str
        ``AGE-SECRET-KEY-1…``, told to nobody.
    """

    recipient: str
    identity: str = field(repr=False)

    @classmethod
    def generate(cls) -> Self:
        """A new pair."""
        import pyrage

        identity = pyrage.x25519.Identity.generate()
        return cls(str(identity.to_public()), str(identity))


@dataclass(frozen=True, slots=True)
class SealHeader:
    """What the bytes of a sealed window are meant to be.

    Attributes
    ----------
    transfer : str
        32 hex digits.
    package : str
        ``diadem:`` and 64 hex digits.
    part : int
        0 the tag manifest, 1 the other tag files, 2 the payload.
    window : int
        Number of the window, or of the piece of a part, from 0.
    length : int
        Bytes that follow the header.
    """

    transfer: str
    package: str
    part: int
    window: int
    length: int

    def to_line(self) -> bytes:
        """Canonical JSON and a line feed."""
        return canonical.encode({"format": FORMAT, **self.to_dict()}, where="seal") + b"\n"

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_line(cls, line: bytes) -> Self:
        """The header of exactly what `to_line` writes, without the line feed.

        Raises
        ------
        DocumentError
            Anything else.
        """
        found = canonical.decode(line, where="seal", limit=MAX_HEADER)
        if not isinstance(found, dict) or found.keys() != {"format", *cls.__slots__} or found["format"] != FORMAT:
            raise DocumentError(f"what was sealed does not begin with a header of the form {FORMAT}", where="seal")
        for name, form in _MEMBERS.items():
            if not isinstance(found[name], str) or not form.fullmatch(found[name]):
                raise DocumentError(f"the header names no {name}", where="seal")
        for name in ("part", "window", "length"):
            if type(found[name]) is not int or not 0 <= found[name] < 1 << 53:
                raise DocumentError(f"the header's {name} is not a count", where="seal")
        del found["format"]
        return cls(**found)


def sealed_size(length: int) -> int:
    """Bytes that a sealed window of so many bytes has at most."""
    inner = MAX_HEADER + length
    return age_file.MAX_HEADER + age_file.NONCE + inner + age_file.TAG * (inner // age_file.CHUNK + 1)


def seal(data: bytes, recipient: str) -> bytes:
    """Seal bytes to one recipient.

    Raises
    ------
    DocumentError
        The recipient is none.
    """
    return bytes(_sealed(b"", data, recipient))


def _sealed(
    first: bytes, data: bytes | bytearray | memoryview, recipient: str, room: bytearray | None = None
) -> bytearray:
    try:
        return age_file.encrypt(first, data, recipient, room)
    except age_file.WrongKey:
        shown = recipient[:80] if recipient.startswith("age1") else "recipient"  # it may be a secret, given by mistake
        raise DocumentError("this is not an age recipient", where=shown) from None


def unseal(sealed: bytes, identities: Sequence[str], *, limit: int) -> bytes:
    """What was sealed to one of some identities.

    Parameters
    ----------
    sealed : bytes
        From anywhere.
    identities : sequence of str
        ``AGE-SECRET-KEY-1…`` each.
    limit : int
        Bytes of what is inside at most; nothing larger is opened.

    Raises
    ------
    Refused
        It is sealed for somebody else.
    IntegrityError
        It is too large, damaged, or nothing that was sealed.
    """
    return bytes(_unsealed(sealed, identities, limit))


def _unsealed(
    sealed: bytes | bytearray, identities: Sequence[str], limit: int, room: bytearray | None = None
) -> bytearray:
    if len(sealed) > sealed_size(limit):
        raise IntegrityError(f"{len(sealed):,} bytes are more than what was sealed can have", where="seal", next=_AGAIN)
    try:
        data = age_file.decrypt(sealed, identities, room)
    except age_file.WrongKey:
        raise Refused("the key to open it is not an age identity", where="seal", next="See: diadem doctor") from None
    except age_file.SomebodyElses:
        raise Refused("it is sealed for somebody else", where="seal", next=_AGAIN) from None
    except age_file.Damaged:
        raise IntegrityError("what was sealed was changed, or is cut short", where="seal", next=_AGAIN) from None
    if len(data) > limit:
        raise IntegrityError(f"more than {limit:,} bytes were sealed", where="seal", next=_AGAIN)
    return data


def seal_window(
    header: SealHeader,
    data: bytes | bytearray | memoryview,
    recipient: str,
    room: bytearray | None = None,
) -> bytearray:
    """Seal a window; in `room`, where that is given, which is the window then.

    Raises
    ------
    IntegrityError
        It has another length than the header says.
    """
    if len(data) != header.length:
        raise IntegrityError(f"the window has {len(data):,} bytes, not {header.length:,}", where="seal")
    return _sealed(header.to_line(), data, recipient, room)


def open_window(
    sealed: bytes | bytearray,
    identities: Sequence[str],
    expected: SealHeader,
    *,
    shorter: bool = False,
    room: bytearray | None = None,
) -> memoryview:
    """The bytes of a sealed window that is the expected one. They are what was sealed, and not yet proven.

    Parameters
    ----------
    sealed : bytes
        From anywhere.
    identities : sequence of str
        Of the recipient.
    expected : SealHeader
        What it must say.
    shorter : bool
        Whether `expected.length` is only the most that it may have.
    room : bytearray, optional
        Where they are, if it is given.

    Raises
    ------
    Refused
        It is sealed for somebody else.
    IntegrityError
        It is damaged, or is another window: of another transfer, package, part, number or length.
    """
    data = _unsealed(sealed, identities, MAX_HEADER + expected.length, room)
    end = data.find(b"\n", 0, MAX_HEADER)
    if end < 0:
        raise IntegrityError("what was sealed does not begin with a header", where="seal", next=_AGAIN)
    try:
        found = SealHeader.from_line(bytes(data[:end]))
    except DocumentError as error:
        raise IntegrityError(error.message, where="seal", next=_AGAIN) from None
    body = memoryview(data)[end + 1 :]
    _require_expected(found, expected, shorter=shorter)
    if len(body) != found.length:
        raise IntegrityError(f"{len(body):,} bytes follow a header of {found.length:,}", where="seal", next=_AGAIN)
    return body


def _require_expected(found: SealHeader, expected: SealHeader, *, shorter: bool) -> None:
    for name in ("transfer", "package", "part", "window"):
        if getattr(found, name) != getattr(expected, name):
            what = _PARTS[found.part] if name == "part" and found.part < len(_PARTS) else getattr(found, name)
            raise IntegrityError(f"it is sealed as another {name}: {what}", where="seal", next=_AGAIN)
    if found.length > expected.length or not (shorter or found.length == expected.length):
        raise IntegrityError(
            f"it is sealed as {found.length:,} bytes, not {expected.length:,}", where="seal", next=_AGAIN
        )
