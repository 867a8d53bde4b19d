"""What a check found: a `Report` of `Finding`s. Raising is a second step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from diadem.errors import IntegrityError, UsageError
from diadem.model.display import Display

#: Code of the finding of a file that has no place in a package.
STRANGER: Final = "file-unexpected"


class Severity(StrEnum):
    """How bad a finding is. Only an error makes a report not ok."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Level(StrEnum):
    """What a verification reads: tag files and sizes; BLAKE3 leaves too; SHA-256 of every file too."""

    QUICK = "quick"
    LEAVES = "leaves"
    FULL = "full"

    @classmethod
    def _missing_(cls, value: object) -> Level:
        """Refuse another word. Raises `UsageError`."""
        raise UsageError(f"'{value}' is not a level of verification", next=f"Use {', '.join(cls)}.")


@dataclass(frozen=True, slots=True)
class Finding(Display):
    """One thing a check found.

    Attributes
    ----------
    severity : Severity
        `error`, `warning` or `info`.
    code : str
        Short stable name: ``leaf-mismatch``, ``file-missing`` …
    message : str
        What was found, in plain words.
    path : str or None
        Path relative to the bag.
    leaf : int or None
        Index of the leaf within the file, from 0.
    range : tuple of int or None
        First byte and end (exclusive) within the file.
    next : str or None
        What to do now.
    """

    severity: Severity
    code: str
    message: str
    path: str | None = None
    leaf: int | None = None
    range: tuple[int, int] | None = None
    next: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute."""
        return {
            "severity": str(self.severity),
            "code": self.code,
            "path": self.path,
            "leaf": self.leaf,
            "range": list(self.range) if self.range else None,
            "message": self.message,
            "next": self.next,
        }


@dataclass(frozen=True, slots=True)
class Report(Display):
    """The outcome of a verification.

    Attributes
    ----------
    subject : str
        Path or URL of what was verified.
    level : Level
        What was read.
    findings : sequence of Finding
        Everything that was found, errors first.
    package_id : str or None
        ``diadem:<hex>`` for a DIADEM package.
    checked : mapping
        Counts of what was proven: files, bytes, leaves, tag files.
    """

    _display_keys = (
        "level",
        "subject",
        "package",
        "checked",
        "findings: severity code path message next",
    )

    def _display_title(self) -> str:
        return "intact" if self.ok else "NOT intact"

    subject: str
    level: Level
    findings: Sequence[Finding] = ()
    package_id: str | None = None
    checked: Mapping[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """True when no finding is an error."""
        return not any(finding.severity is Severity.ERROR for finding in self.findings)

    def raise_for_findings(self) -> None:
        """Raise `IntegrityError` naming the first error, if there is one."""
        errors = [finding for finding in self.findings if finding.severity is Severity.ERROR]
        if errors:
            first = errors[0]
            more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
            raise IntegrityError(first.message + more, where=first.path or self.subject, next=first.next)

    def to_dict(self) -> dict[str, Any]:
        """A JSON object: ok, level, subject, package, checked, findings."""
        return {
            "ok": self.ok,
            "level": str(self.level),
            "subject": self.subject,
            "package": self.package_id,
            "checked": dict(self.checked),
            "findings": [finding.to_dict() for finding in self.findings],
        }
