"""What the conformance kit found of a plugin, and where two readings of one file differ."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from diadem.model.display import Display


@dataclass(frozen=True, slots=True)
class PluginFinding(Display):
    """One thing that a plugin's author should know.

    Attributes
    ----------
    severity : {"error", "hint"}
        Whether a promise is broken, or something could be better.
    code : str
        Short and stable: ``table-field``, ``crash`` …
    where : str
        The offer or the example concerned.
    message : str
        What was found, in plain words.
    next : str
        What to do, or "".
    """

    severity: Literal["error", "hint"]
    code: str
    where: str
    message: str
    next: str = ""

    def __str__(self) -> str:
        """One line."""
        return f"{self.severity}: {self.code}: {self.where}: {self.message}" + (f" → {self.next}" if self.next else "")

    def to_dict(self) -> dict[str, str]:
        """A JSON object with every attribute."""
        return {key: str(getattr(self, key)) for key in ("severity", "code", "where", "message", "next")}


@dataclass(frozen=True, slots=True)
class PluginReport(Display):
    """All findings about a plugin.

    Attributes
    ----------
    plugin : str
        As it was named.
    findings : sequence of PluginFinding
        Errors first.
    checked : mapping
        How many offers, rules, examples, spoiled copies … were looked at.
    """

    plugin: str
    findings: Sequence[PluginFinding]
    checked: Mapping[str, int]

    @property
    def ok(self) -> bool:
        """True where no finding is an error."""
        return not any(finding.severity == "error" for finding in self.findings)

    def raise_for_findings(self) -> None:
        """Raise `PluginFault` where there are errors."""
        if not self.ok:
            raise PluginFault(self)

    def __str__(self) -> str:
        """The findings, a line each, and what was looked at."""
        counts = ", ".join(_counted(count, name) for name, count in self.checked.items() if count)
        verdict = "keeps its promises" if self.ok else "has faults"
        return "\n".join([f"{self.plugin} {verdict}; looked at {counts}", *map(str, self.findings)])

    def to_dict(self) -> dict[str, Any]:
        """A JSON object: ok, plugin, checked, findings."""
        findings = [finding.to_dict() for finding in self.findings]
        return {"ok": self.ok, "plugin": self.plugin, "checked": dict(self.checked), "findings": findings}


def _counted(count: int, name: str) -> str:
    """A number of things: ``1 renamed copy``, ``2 processes``."""
    if count != 1:
        return f"{count} {name}"
    singular = {"processes": "process", "renamed copies": "renamed copy", "spoiled copies": "spoiled copy"}
    return f"1 {singular.get(name, name.removesuffix('s'))}"


class PluginFault(AssertionError):
    """A plugin that breaks a promise; `report` has all findings.

    Parameters
    ----------
    report : PluginReport
        With at least one error.
    """

    def __init__(self, report: PluginReport) -> None:
        super().__init__(str(report))
        self.report = report


@dataclass(slots=True)
class Notes:
    """Findings as they come, each once; what was looked at, how often, and the kinds of blocks that examples have.

    `only` are the codes that are looked for, all where there are none. `outcomes` is what became of each rule in each
    block: see `diadem.extract.tables.Cut.told`.
    """

    only: frozenset[str] = frozenset()
    findings: list[PluginFinding] = field(default_factory=list)
    checked: Counter[str] = field(default_factory=Counter)
    kinds: set[str] = field(default_factory=set)
    outcomes: list[Mapping[str, str]] = field(default_factory=list)

    def wants(self, codes: frozenset[str]) -> bool:
        """Whether one of them is looked for."""
        return not self.only or bool(self.only & codes)

    def error(self, code: str, where: str, message: str, next: str = "") -> None:  # noqa: A002
        """A promise is broken."""
        self._note(PluginFinding("error", code, where, message, next))

    def hint(self, code: str, where: str, message: str, next: str = "") -> None:  # noqa: A002
        """Something is worth a thought."""
        self._note(PluginFinding("hint", code, where, message, next))

    def _note(self, finding: PluginFinding) -> None:
        if finding not in self.findings:
            self.findings.append(finding)

    def sound(self, where: str) -> bool:
        """Whether nothing is wrong with an example, or a copy of it, so far."""
        return not any(item.severity == "error" and item.where.startswith(where) for item in self.findings)

    def report(self, plugin: str) -> PluginReport:
        """All of them, errors first."""
        ordered = sorted(self.findings, key=lambda finding: finding.severity != "error")
        return PluginReport(plugin, tuple(ordered), dict(self.checked))


def difference(one: Any, other: Any, path: str = "") -> str:
    """Where two JSON values first differ, and how; "" where they do not."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in (*one, *(key for key in other if key not in one)):
            if key not in one or key not in other:
                return f"{path}/{key} is there only {'at first' if key in one else 'then'}"
            if found := difference(one[key], other[key], f"{path}/{key}"):
                return found
        return ""
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return next(filter(None, (difference(a, b, f"{path}/{place}") for place, (a, b) in pairs)), "")
    return "" if one == other else f"{path or 'it'} is {_brief(one)}, then {_brief(other)}"


def _brief(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else f"{text[:77]}…"
