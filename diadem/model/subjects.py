"""What statements are about: packages, statements, keys, stores, each by a name and a SHA-256."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any, Final, Self

from diadem.errors import DocumentError

#: Subjects of one statement; a longer list is several statements.
MAX_SUBJECTS: Final = 10_000
#: Names whose digest is the one that they spell out.
_SPELT: Final = ("diadem:", "statement:", "key:")
_HEX: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Subject:
    """What a statement is about.

    Attributes
    ----------
    name : str
        ``diadem:<package id>``, ``statement:<statement id>``, ``key:<key id>``, ``store:<uuid>`` …
    sha256 : str
        64 hex digits: the id that the name spells out, or SHA-256 of the name where it spells out none.
    """

    name: str
    sha256: str

    def __post_init__(self) -> None:
        """Refuse a digest that is none, and a name that says another."""
        if not 1 <= len(self.name) <= 512 or not _HEX.fullmatch(self.sha256):
            raise _fault("a subject has a name and a SHA-256 of 64 lower-case hex digits")
        prefix, colon, rest = self.name.partition(":")
        if prefix + colon in _SPELT and rest != self.sha256:
            raise _fault(f"the subject '{self.name[:100]}' has the digest of another")

    @classmethod
    def package(cls, package_id: str) -> Self:
        """A package, by its id with or without ``diadem:``."""
        digest = package_id.removeprefix("diadem:")
        return cls(f"diadem:{digest}", digest)

    @classmethod
    def statement(cls, statement_id: str) -> Self:
        """Another statement."""
        return cls(f"statement:{statement_id}", statement_id)

    @classmethod
    def key(cls, key_id: str) -> Self:
        """A key; a node is its root key."""
        return cls(f"key:{key_id}", key_id)

    @classmethod
    def named(cls, name: str) -> Self:
        """Anything else, by a name that is its own: ``store:<uuid>``, ``sample:<uuid>``."""
        return cls(name, hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest())  # to_payload refuses those


def read_subject(item: Any) -> Subject:
    """A subject of the JSON form; digests beside SHA-256 are refused, so that what is read is what is written.

    Raises
    ------
    DocumentError
        Another form, or a name that says another digest.
    """
    if not isinstance(item, dict) or item.keys() != {"name", "digest"} or not isinstance(item["name"], str):
        raise _fault("a subject is an object with name and digest")
    digest = item["digest"]
    if not isinstance(digest, dict) or digest.keys() != {"sha256"} or not isinstance(digest["sha256"], str):
        raise _fault("a subject's digest is its sha256")
    return Subject(item["name"], digest["sha256"])


def require_subjects(subjects: tuple[Subject, ...]) -> None:
    """That there are some, not too many, and none twice."""
    if not 1 <= len(subjects) <= MAX_SUBJECTS:
        raise _fault(f"a statement has 1 to {MAX_SUBJECTS:,} subjects, this one {len(subjects):,}")
    if len({item.sha256 for item in subjects}) != len(subjects):
        raise _fault("a subject occurs twice")


def _fault(message: str) -> DocumentError:
    return DocumentError(message, where="statement")
