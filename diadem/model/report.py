"""What a check found: a `Report` of `Finding`s. Raising is a second step."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from diadem.errors import IntegrityError, UsageError
from diadem.model.display import Display
from diadem.model.plain_text import printable

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

    def advised(self, advice: Callable[[Finding], str]) -> Report:
        """The same report, with another next step for each error."""
        return replace(
            self,
            findings=[
                replace(one, next=advice(one)) if one.severity is Severity.ERROR else one for one in self.findings
            ],
        )

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


#: Findings of one code that a report lists one by one; the rest are counted.
MAX_LISTED = 1000
_RANK = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2}


class Findings:
    """What a verification has found so far, a bounded number of each kind. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: list[Finding] = []
        self._counts: Counter[tuple[Severity, str]] = Counter()

    def add(self, finding: Finding) -> None:
        """Keep a finding, or only count it where its kind has filled its share."""
        with self._lock:
            kind = (finding.severity, finding.code)
            self._counts[kind] += 1
            if self._counts[kind] <= MAX_LISTED:
                self._found.append(finding)

    def error(
        self,
        code: str,
        message: str,
        path: str | None = None,
        *,
        leaf: int | None = None,
        range: tuple[int, int] | None = None,  # noqa: A002
        next: str | None = None,  # noqa: A002
    ) -> None:
        """Add an error."""
        self.add(Finding(Severity.ERROR, code, printable(message), path and printable(path), leaf, range, next))

    def warning(self, code: str, message: str, path: str | None = None, *, next: str | None = None) -> None:  # noqa: A002
        """Add a warning."""
        self.add(Finding(Severity.WARNING, code, printable(message), path and printable(path), next=next))

    def sorted(self) -> tuple[Finding, ...]:
        """All findings: errors first, tag files before payload, then by place; then how many are left out."""
        with self._lock:
            listed = sorted(self._found, key=_order)
            counts = list(self._counts.items())
        for (severity, code), count in counts:
            if count > MAX_LISTED:
                message = f"{count} findings '{code}' in all; {MAX_LISTED} are listed"
                advice = "Replace the whole package from another copy."
                listed.append(Finding(severity, "findings-omitted", message, next=advice))
        return tuple(sorted(listed, key=lambda one: _RANK[one.severity]))


def _order(finding: Finding) -> tuple[int, bool, str, int, str]:
    path = finding.path or ""
    leaf = -1 if finding.leaf is None else finding.leaf
    return _RANK[finding.severity], path.startswith("data/"), path, leaf, finding.code
