"""Signed notes and checkpoints: the head of a log as a text that any transparency-log tool reads.

C2SP signed-note (https://c2sp.org/signed-note) and tlog-checkpoint (https://c2sp.org/tlog-checkpoint). A note is a
text, an empty line, and one line a signature: ``— <name> <base64 of 4 bytes of key hash and the signature>``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from diadem.errors import DocumentError, IntegrityError, UsageError
from diadem.trust.base64_text import from_base64, to_base64
from diadem.trust.keys import PrivateKey, PublicKey
from diadem.trust.tree import HASH_SIZE, MAX_SIZE

#: Signature type byte of Ed25519 (C2SP signed-note, "Signature types").
ED25519: Final = b"\x01"
#: Characters of a note that are read; golang.org/x/mod/sumdb/note stops at a million bytes.
MAX_NOTE: Final = 1_000_000
#: Signatures of a note that are read (the same library's limit).
MAX_SIGNATURES: Final = 100
_LEAD: Final = "\u2014 "  # em dash and space
#: What a note must not hold: control characters but the newline, and what UTF-8 cannot hold.
_FORBIDDEN: Final = re.compile("[\x00-\x09\x0b-\x1f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a log.

    Attributes
    ----------
    origin : str
        The log's name, unique in the world; one line.
    size : int
        Entries.
    root : bytes
        Root of the tree over them, 32 bytes.
    extensions : tuple of str
        Further lines, kept as they are. We write none.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what could not be written and read back."""
        lines = (self.origin, *self.extensions)
        if any(not line or "\n" in line or _FORBIDDEN.search(line) for line in lines):
            raise UsageError("each line of a checkpoint is a text without control characters, and not empty")
        if not 0 <= self.size <= MAX_SIZE or len(self.root) != HASH_SIZE:
            raise UsageError(f"a checkpoint has a size from 0 and a root of {HASH_SIZE} bytes")

    def to_text(self) -> str:
        """The lines that are signed."""
        root = to_base64(self.root)
        return "".join(f"{line}\n" for line in (self.origin, str(self.size), root, *self.extensions))

    @classmethod
    def from_text(cls, text: str) -> Checkpoint:
        """The checkpoint of these lines.

        Raises
        ------
        DocumentError
            Not origin, size and root, or not as `to_text` writes them.
        """
        lines = text.split("\n")
        if len(lines) < 4 or not re.fullmatch(r"0|[1-9][0-9]{0,18}", lines[1], re.ASCII):
            raise DocumentError("origin, size and root are expected, a line each", where="checkpoint")
        origin, size, root, *extensions = lines[:-1]
        try:
            checkpoint = cls(origin, int(size), from_base64(root), tuple(extensions))
        except (ValueError, UsageError) as error:
            raise DocumentError(f"not a checkpoint: {error}", where="checkpoint") from None
        if checkpoint.to_text() != text:
            raise DocumentError("not written as a checkpoint is", where="checkpoint")
        return checkpoint


def sign_checkpoint(checkpoint: Checkpoint, key: PrivateKey, name: str | None = None) -> str:
    """The signed note of a checkpoint; the signer's name is the log's origin unless another is given."""
    return sign_note(checkpoint.to_text(), checkpoint.origin if name is None else name, key)


def open_checkpoint(text: str, key: PublicKey, origin: str, name: str | None = None) -> Checkpoint:
    """The checkpoint of a signed note, if this key signed it for this log.

    Parameters
    ----------
    text : str
        The note; signatures of others (witnesses) may stand beside ours.
    key : PublicKey
        The log's key.
    origin : str
        The log that is expected.
    name : str, optional
        Name under which the key signs; the origin where none is given.

    Raises
    ------
    IntegrityError
        Not a note, not signed by the key, of another log, or not a checkpoint.
    """
    body = open_note(text, origin if name is None else name, key)
    try:
        checkpoint = Checkpoint.from_text(body)
    except DocumentError as error:
        raise IntegrityError(f"signed, but not a checkpoint: {error.message}", where=origin) from None
    if checkpoint.origin != origin:
        raise IntegrityError(f"a checkpoint of another log, '{checkpoint.origin[:80]}'", where=origin)
    return checkpoint


def vkey(name: str, public: PublicKey) -> str:
    """The verifier key as text, ``<name>+<hash>+<base64>``, as tools of transparency logs take it."""
    _require_name(name)
    encoded = to_base64(ED25519 + public.raw)
    return f"{name}+{_key_hash(name, public).hex()}+{encoded}"


def parse_vkey(text: str) -> tuple[str, PublicKey]:
    """Name and key of a verifier key.

    Raises
    ------
    DocumentError
        Not one of Ed25519, or its hash does not fit.
    """
    name, _, rest = text.partition("+")
    try:
        raw = from_base64(rest.partition("+")[2])
        key = PublicKey(raw[1:])
        if vkey(name, key) == text:
            return name, key
    except (ValueError, UsageError):
        pass
    raise DocumentError(f"'{text[:120]}' is not a verifier key of Ed25519", next="Write <name>+<8 hex>+<base64>.")


def sign_note(text: str, name: str, key: PrivateKey) -> str:
    """A note of a text, which ends with a newline, signed under a name."""
    _require_name(name)
    if not text.endswith("\n") or _FORBIDDEN.search(text):
        raise UsageError("the text of a note ends with a newline and has no control characters")
    value = _key_hash(name, key.public) + key.sign(text.encode("utf-8"))
    return f"{text}\n{_LEAD}{name} {to_base64(value)}\n"


def open_note(note: str, name: str, key: PublicKey) -> str:
    """The text of a note that this key signed under this name; other signatures are passed over.

    Raises
    ------
    IntegrityError
        Not a note, not signed by the key, or a signature that does not hold.
    """
    text, signatures = _parts(note)
    expected = _key_hash(name, key) if _is_name(name) else None
    ours = [value for signer, value in signatures if signer == name and value[:4] == expected]
    if not ours:
        raise IntegrityError("not signed by the key that is expected", where=name)
    if not all(key.verify(value[4:], text.encode("utf-8")) for value in ours):
        raise IntegrityError("its signature is not valid: the text is not what was signed", where=name)
    return text


def _parts(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    """Text and signatures of a note."""
    text, gap, block = note.rpartition("\n\n")
    lines = block.split("\n")
    if len(note) > MAX_NOTE or not gap or lines.pop() or _FORBIDDEN.search(note):
        raise _malformed()
    if not 1 <= len(lines) <= MAX_SIGNATURES:
        raise _malformed()
    return text + "\n", list(_signatures(lines))


def _signatures(lines: list[str]) -> Iterator[tuple[str, bytes]]:
    for line in lines:
        name, _, encoded = line.removeprefix(_LEAD).partition(" ")
        try:
            value = from_base64(encoded)
        except ValueError:
            raise _malformed() from None
        if not line.startswith(_LEAD) or not _is_name(name) or len(value) < 5:
            raise _malformed()
        yield name, value


def _key_hash(name: str, key: PublicKey) -> bytes:
    """First 4 bytes of SHA-256 of name, newline, type and key (C2SP signed-note, "Verifier keys")."""
    return hashlib.sha256(name.encode("utf-8") + b"\n" + ED25519 + key.raw).digest()[:4]


def _is_name(name: str) -> bool:
    usable = bool(name) and "+" not in name and not _FORBIDDEN.search(name)
    return usable and not any(character.isspace() for character in name)


def _require_name(name: str) -> None:
    if not _is_name(name):
        raise UsageError(f"'{name[:80]}' cannot sign a note: a name has no spaces and no plus sign")


def _malformed() -> IntegrityError:
    return IntegrityError("not a signed note", next="Ask its sender for it again.")
