"""Statements: signed facts about packages, keys and logs, as in-toto Statement v1.

A `Draft` is what someone wants to say; the log adds node, time, salt and the previous statement on each subject, and
makes a `Statement` of it. Neither is signed: that is the envelope's work (`diadem.trust.envelope`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, Self

from diadem.errors import DocumentError
from diadem.model.canonical import decode, encode
from diadem.model.display import Display
from diadem.model.statement_kinds import KINDS, Kind
from diadem.model.subjects import MAX_SUBJECTS, Subject, read_subject, require_subjects
from diadem.model.times import read_time, time_text

__all__ = [
    "ADDED",
    "KINDS",
    "MAX_STATEMENT_BYTES",
    "MAX_SUBJECTS",
    "PREDICATE",
    "STATEMENT_TYPE",
    "Draft",
    "Kind",
    "Statement",
    "Subject",
    "parse_time",
]

#: `_type` of an in-toto Statement (in-toto attestation framework, spec/v1/statement.md).
STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
#: `predicateType` of our statements.
PREDICATE: Final = "https://diadem-em.org/statement/{kind}/v1"
#: Bytes of a statement that are read. A scrub that proves 10,000 packages in one statement needs about 3 MB.
MAX_STATEMENT_BYTES: Final = 8 << 20
#: Hex digits of a salt: 128 bits, so that a published leaf hash tells nothing about a guessable statement.
SALT_DIGITS: Final = 32
#: What the log adds to a draft's predicate.
ADDED: Final = frozenset({"node", "time", "salt", "prev"})

_HEX: Final = re.compile(r"[0-9a-f]{64}")
_SALT: Final = re.compile(rf"[0-9a-f]{{{SALT_DIGITS}}}")
_PREDICATE: Final = re.compile(r"https://diadem-em\.org/statement/([a-z][a-z-]{0,39})/v1")
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


@dataclass(frozen=True, slots=True)
class Draft:
    """What someone wants to say, before the log adds `ADDED`.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    subjects : tuple of Subject
        What it is about; none twice.
    predicate : mapping
        The kind's own members, plain JSON types.
    """

    kind: str
    subjects: tuple[Subject, ...]
    predicate: Mapping[str, Any]

    def __post_init__(self) -> None:
        """Refuse what no log takes."""
        require_subjects(self.subjects)
        if self.kind not in KINDS:
            raise _fault(f"'{self.kind}' is not a kind of statement", f"Known: {', '.join(KINDS)}.")
        if taken := ADDED & self.predicate.keys():
            raise _fault(f"{', '.join(sorted(taken))} of a statement are the log's to add")

    def entered(self, *, node: str, time: datetime, salt: str, prev: Mapping[str, str | None]) -> Statement:
        """The statement as it goes into a log.

        Parameters
        ----------
        node : str
            Node id, 64 hex digits.
        time : datetime
            Aware; written in UTC to the second.
        salt : str
            32 hex digits, random.
        prev : mapping of str to str or None
            For each subject's SHA-256 the id of the previous statement on it in this log.
        """
        added = {"node": node, "time": time_text(time), "salt": salt, "prev": dict(prev)}
        return Statement(self.kind, self.subjects, {**self.predicate, **added})


@dataclass(frozen=True, slots=True)
class Statement(Display):
    """A fact as it was signed and logged.

    Attributes
    ----------
    kind : str
        What kind of fact; perhaps one that this version does not know (`known`).
    subjects : tuple of Subject
        What it is about.
    predicate : mapping
        Everything that is said, with ``node``, ``time``, ``salt`` and ``prev``; members of later versions are kept.
    """

    kind: str
    subjects: tuple[Subject, ...]
    predicate: Mapping[str, Any]

    def __post_init__(self) -> None:
        """Refuse what could not be read back."""
        require_subjects(self.subjects)
        if not _PREDICATE.fullmatch(PREDICATE.format(kind=self.kind)):
            raise _fault(f"'{self.kind[:60]}' cannot be a kind: small letters and hyphens")
        _require_added(self.predicate, {subject.sha256 for subject in self.subjects})
        object.__setattr__(self, "predicate", MappingProxyType(dict(self.predicate)))

    @property
    def known(self) -> Kind | None:
        """What the kind means, or None where this version does not understand it."""
        return KINDS.get(self.kind)

    @property
    def node(self) -> str:
        """Id of the node whose log this is in, 64 hex digits."""
        return str(self.predicate["node"])

    @property
    def time(self) -> datetime:
        """When it was logged by the node's clock (a claim), in UTC."""
        return parse_time(self.predicate["time"])

    @property
    def salt(self) -> str:
        """32 random hex digits."""
        return str(self.predicate["salt"])

    @property
    def prev(self) -> Mapping[str, str | None]:
        """For each subject's SHA-256 the id of the previous statement on it in this log, or None for the first."""
        return MappingProxyType(self.predicate["prev"])

    def to_dict(self) -> dict[str, Any]:
        """The in-toto Statement as plain JSON types."""
        return {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": item.name, "digest": {"sha256": item.sha256}} for item in self.subjects],
            "predicateType": PREDICATE.format(kind=self.kind),
            "predicate": dict(self.predicate),
        }

    def to_payload(self) -> bytes:
        """The bytes that are signed: canonical JSON."""
        data = encode(self.to_dict(), where=f"{self.kind} statement")
        if len(data) > MAX_STATEMENT_BYTES:
            raise _fault(f"{len(data):,} bytes are more than the {MAX_STATEMENT_BYTES:,} that are read")
        return data

    @classmethod
    def from_payload(cls, data: bytes) -> Self:
        """The statement of exactly what `to_payload` writes.

        Raises
        ------
        DocumentError
            Anything else; a kind or a member that is not known is none of that.
        """
        return cls.from_dict(decode(data, where="statement", limit=MAX_STATEMENT_BYTES))

    @classmethod
    def from_dict(cls, document: Any) -> Self:
        """The statement of what `to_dict` gives."""
        members = {"_type", "subject", "predicateType", "predicate"}
        if not isinstance(document, dict) or document.keys() != members or document["_type"] != STATEMENT_TYPE:
            raise _fault(f"an in-toto Statement is expected: _type {STATEMENT_TYPE}, subject, predicateType, predicate")
        subjects, kind, predicate = document["subject"], document["predicateType"], document["predicate"]
        match = _PREDICATE.fullmatch(kind) if isinstance(kind, str) else None
        if match is None:
            raise _fault(f"its predicateType is not {PREDICATE.format(kind='<kind>')}")
        if not isinstance(subjects, list) or len(subjects) > MAX_SUBJECTS or not isinstance(predicate, dict):
            raise _fault(f"a list of at most {MAX_SUBJECTS:,} subjects and an object as predicate are expected")
        return cls(match.group(1), tuple(read_subject(item) for item in subjects), predicate)


def parse_time(text: object) -> datetime:
    """The moment of what `time_text` writes, and of nothing else; aware, in UTC.

    Raises
    ------
    DocumentError
        Another form, or no day of the calendar.
    """
    moment = read_time(text) if isinstance(text, str) and _TIME.fullmatch(text) else None
    if moment is None or time_text(moment) != text:  # 24:00:00 is another spelling of the next day
        raise _fault(f"'{str(text)[:60]}' is not a time", "Example: 2026-03-14T09:26:53Z")
    return moment


def _require_added(predicate: Mapping[str, Any], subjects: set[str]) -> None:
    """That node, time, salt and prev are there and of their form: every kind has them, known or not."""
    missing = sorted(ADDED - predicate.keys())
    if missing:
        raise _fault(f"its predicate lacks {', '.join(missing)}")
    if not _matches(_HEX, predicate["node"]) or not _matches(_SALT, predicate["salt"]):
        raise _fault(f"node is 64 hex digits and salt {SALT_DIGITS}")
    parse_time(predicate["time"])
    prev = predicate["prev"]
    if not isinstance(prev, dict) or prev.keys() != subjects:
        raise _fault("prev names exactly its subjects")
    if not all(value is None or _matches(_HEX, value) for value in prev.values()):
        raise _fault("prev holds statement ids or null")


def _matches(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _fault(message: str, advice: str | None = None) -> DocumentError:
    return DocumentError(message, where="statement", next=advice)
