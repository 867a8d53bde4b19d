"""Collecting findings from many threads, a bounded number of each kind."""

from __future__ import annotations

import threading
from collections import Counter

from diadem.model.plain_text import printable
from diadem.model.report import Finding, Severity

#: Findings of one code that a report lists one by one; the rest are counted.
MAX_LISTED = 1000
_RANK = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2}


class Findings:
    """What a verification has found so far. Safe to use from several threads."""

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
            more = [_summary(severity, code, count) for (severity, code), count in self._counts.items()]
        return tuple(sorted([*listed, *(finding for finding in more if finding)], key=lambda one: _RANK[one.severity]))


def _order(finding: Finding) -> tuple[int, bool, str, int, str]:
    path = finding.path or ""
    leaf = -1 if finding.leaf is None else finding.leaf
    return _RANK[finding.severity], path.startswith("data/"), path, leaf, finding.code


def _summary(severity: Severity, code: str, count: int) -> Finding | None:
    if count <= MAX_LISTED:
        return None
    message = f"{count} findings '{code}' in all; {MAX_LISTED} are listed"
    return Finding(severity, "findings-omitted", message, next="Replace the whole package from another copy.")
