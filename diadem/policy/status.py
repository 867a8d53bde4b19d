"""The outcome of judging an archive: each rule, what breaks it, and what to do. Frozen values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from diadem.advice import in_python
from diadem.model.display import Display
from diadem.model.report import Severity
from diadem.model.times import time_text

#: Packages that a finding names; it counts them all.
NAMED: Final = 20
#: Actions in `Status.to_dict`, which counts them all.
LISTED_ACTIONS: Final = 1000


@dataclass(frozen=True, slots=True)
class RuleFinding(Display):
    """One way in which a rule does not hold.

    Attributes
    ----------
    rule : str
        Stable name of the rule: ``copies.minimum``.
    severity : Severity
        `error`: the rule is broken. `warning`: it will be, or something stands in its way. `info`: worth knowing.
    message : str
        What was found, in plain words.
    packages : tuple of str
        Ids of the first packages concerned, at most `NAMED`.
    titles : tuple of str
        Their titles, in the same order.
    count : int
        Packages concerned, all of them.
    command : str
        What mends it; "" where no command does.
    store : str
        The store concerned, or "".
    """

    rule: str
    severity: Severity
    message: str
    packages: tuple[str, ...] = ()
    titles: tuple[str, ...] = ()
    count: int = 0
    command: str = ""
    store: str = ""

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute."""
        return {
            "rule": self.rule,
            "severity": str(self.severity),
            "message": self.message,
            "packages": list(self.packages),
            "titles": list(self.titles),
            "count": self.count,
            "command": self.command,
            "store": self.store,
        }


@dataclass(frozen=True, slots=True)
class Action(Display):
    """One thing that can be done now.

    Attributes
    ----------
    kind : str
        ``replicate``, ``repair``, ``parity`` (of one package in one store), ``write-off`` (of one package), ``scrub``
        (of one store),
        ``connect-store``, ``unlock-store``, ``add-store``, ``rescan``, ``ingest``, ``push-log``, ``confirm-recovery``,
        ``set-clock``, ``recover``, ``restore-key``, ``restore-policy``, ``watch``, ``look-at-watched``,
        ``finish-archive``.
    reason : str
        Why, in plain words.
    command : str
        The command that does it.
    package : str
        Id, or "" where it is not about one package.
    store : str
        Where something is to be done: the store that gets the copy, is mended or scrubbed; or "".
    source : str
        The store from which good bytes can be taken; "" where none is known.
    bytes : int
        How much is to be written or read.
    """

    kind: str
    reason: str
    command: str
    package: str = ""
    store: str = ""
    source: str = ""
    bytes: int = 0

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute; the source is called ``from``."""
        return {
            "kind": self.kind,
            "package": self.package or None,
            "store": self.store or None,
            "from": self.source or None,
            "bytes": self.bytes,
            "reason": self.reason,
            "command": self.command,
        }


@dataclass(frozen=True, slots=True)
class Step(Display):
    """One command for a person to run, and what it will do.

    Attributes
    ----------
    command : str
        As it is typed.
    reason : str
        What it does, in plain words.
    """

    command: str
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute."""
        return {"command": self.command, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class RuleLine(Display):
    """One rule and how it stands.

    Attributes
    ----------
    rule : str
        Stable name.
    title : str
        One or two words for a table.
    mark : str
        ``holds``, ``broken``, ``warning``, ``info``, or ``idle`` where the policy does not ask for it.
    text : str
        How it stands, in one line.
    shown : bool
        Whether it is worth a line where there is little room.
    why : str
        Why the rule matters, in a sentence.
    """

    rule: str
    title: str
    mark: str
    text: str
    shown: bool = True
    why: str = ""

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute, and whether the rule holds."""
        return {
            "rule": self.rule,
            "holds": self.mark != "broken",
            "mark": self.mark,
            "title": self.title,
            "text": self.text,
            "shown": self.shown,
            "why": self.why,
        }


@dataclass(frozen=True, slots=True)
class StoreTotals(Display):
    """One store and what lies in it.

    Attributes
    ----------
    name, kind, url : str
        As the node knows it.
    place : str or None
        Identity of its disk, share or bucket.
    reachable, read_only : bool
        Whether it answers; whether it cannot be written to.
    free, total : int or None
        Bytes.
    packages, bytes : int
        Copies that are present, and their size.
    proven_since : datetime or None
        Every proven copy here was last proven at this moment or later.
    unproven, damaged, missing : int
        Copies that were never read; with known damage; not there.
    due : int
        Copies whose last proof is older than the policy allows.
    due_at : datetime or None
        When the copy that was proven longest ago is to be read again.
    proven_in : mapping of str to int
        Month (``2026-03``) to the copies that were last proven in it.
    """

    name: str
    kind: str
    url: str
    place: str | None
    reachable: bool
    read_only: bool
    free: int | None
    total: int | None
    packages: int
    bytes: int
    proven_since: datetime | None
    unproven: int
    damaged: int
    missing: int
    due: int
    due_at: datetime | None = None
    proven_in: Mapping[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        moments = {name: time_text(plain[name]) if plain[name] else None for name in ("proven_since", "due_at")}
        return plain | moments


@dataclass(frozen=True, slots=True)
class Totals(Display):
    """The archive in figures.

    Attributes
    ----------
    packages, files, bytes : int
        What is kept, each package once; what was deleted on purpose apart.
    copies, proven : int
        Replicas that are present, and those of them whose bytes were hashed and found right.
    unseen : int
        Replicas that count as present and cannot be seen now: their store does not answer.
    tombstoned : int
        Packages deleted on purpose.
    """

    packages: int = 0
    files: int = 0
    bytes: int = 0
    copies: int = 0
    proven: int = 0
    tombstoned: int = 0
    unseen: int = 0

    def to_dict(self) -> dict[str, int]:
        """A JSON object with every attribute."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, slots=True)
class Status(Display):
    """How an archive stands to its policy.

    Attributes
    ----------
    node : str
        Name of the node.
    time : datetime
        When it was judged, UTC.
    totals : Totals
        The archive in figures.
    stores : sequence of StoreTotals
        Each store.
    rules : sequence of RuleLine
        Each rule, in a fixed order.
    findings : sequence of RuleFinding
        What breaks a rule, or will; in the order of the rules.
    actions : sequence of Action
        All that can be done now, in the order in which it should be.
    steps : sequence of Step
        The same for a person: few commands, in their order.
    """

    _display_keys = (
        "time",
        "totals",
        "rules: mark title text",
        "steps: command reason",
        "stores: name kind place reachable free packages proven_since damaged missing",
    )

    def _display_title(self) -> str:
        marks = [line.mark for line in self.rules]
        told = [(marks.count("broken"), "broken"), (marks.count("warning"), "warning")]
        return f"{self.node}: " + (", ".join(f"{n:,} {word}" for n, word in told if n) or "every rule holds")

    def _display_document(self) -> dict[str, Any]:
        document = self.to_dict()
        totals = {name: count for name, count in document["totals"].items() if count or name == "packages"}
        return document | {"totals": totals, "rules": [line for line in document["rules"] if line["shown"]]}

    node: str
    time: datetime
    totals: Totals
    stores: Sequence[StoreTotals] = ()
    rules: Sequence[RuleLine] = ()
    findings: Sequence[RuleFinding] = ()
    actions: Sequence[Action] = field(default=(), repr=False)
    steps: Sequence[Step] = ()

    def __str__(self) -> str:
        """The screen of ``diadem status``, its commands as calls."""
        from diadem.policy.status_text import shows_marks, status_text

        document = self.to_dict()
        steps = [step | {"command": in_python(step["command"])} for step in document["steps"]]
        return status_text(document | {"steps": steps}, ascii_only=not shows_marks())

    @property
    def ok(self) -> bool:
        """True when no rule is broken."""
        return not any(finding.severity is Severity.ERROR for finding in self.findings)

    @property
    def holds(self) -> Mapping[str, bool]:
        """Rule to whether it holds."""
        return {line.rule: line.mark != "broken" for line in self.rules}

    def to_dict(self) -> dict[str, Any]:
        """A JSON object: ok, node, time, totals, stores, rules, findings, steps, actions (the first), action_count."""
        return {
            "ok": self.ok,
            "node": self.node,
            "time": time_text(self.time),
            "totals": self.totals.to_dict(),
            "stores": [store.to_dict() for store in self.stores],
            "rules": [line.to_dict() for line in self.rules],
            "findings": [finding.to_dict() for finding in self.findings],
            "steps": [step.to_dict() for step in self.steps],
            "actions": [action.to_dict() for action in self.actions[:LISTED_ACTIONS]],
            "action_count": len(self.actions),
        }
