"""The outcome of judging an archive: each rule, what breaks it, and what to do, as frozen values and on one screen."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from diadem.advice import in_python
from diadem.model.display import Display
from diadem.model.plain_text import count_text, size_text
from diadem.model.report import Severity
from diadem.model.times import time_text

#: Packages that a finding names; it counts them all.
NAMED: Final = 20
#: Actions in `Status.to_dict`, which counts them all.
LISTED_ACTIONS: Final = 1000


class _Plain(Display):
    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute."""
        return {name: _plain(getattr(self, name)) for name in self.__dataclass_fields__}  # type: ignore[attr-defined]


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return time_text(value)
    return list(value) if isinstance(value, tuple) else str(value) if isinstance(value, Severity) else value


@dataclass(frozen=True, slots=True)
class RuleFinding(_Plain):
    """One way in which a rule does not hold.

    Attributes
    ----------
    rule : str
        Stable name of the rule: ``copies.minimum``.
    severity : Severity
        `error`: the rule is broken. `warning`: it will be, or something stands in its way. `info`: worth knowing.
    message : str
        What was found, in plain words.
    packages, titles : tuple of str
        Ids and titles of the first packages concerned, at most `NAMED`.
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


@dataclass(frozen=True, slots=True)
class Action(Display):
    """One thing that can be done now.

    Attributes
    ----------
    kind : str
        ``replicate``, ``repair``, ``parity`` (of one package in one store), ``write-off`` (of one package), ``scrub``
        (of one store), ``connect-store``, ``unlock-store``, ``add-store``, ``rescan``, ``ingest``, ``push-log``,
        ``confirm-recovery``, ``set-clock``, ``recover``, ``restore-key``, ``restore-policy``, ``watch``,
        ``look-at-watched``, ``finish-archive``.
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
class Step(_Plain):
    """One command for a person to run, as it is typed, and what it will do, in plain words."""

    command: str
    reason: str


@dataclass(frozen=True, slots=True)
class RuleLine(Display):
    """One rule and how it stands.

    Attributes
    ----------
    rule, title : str
        Stable name, and one or two words for a table.
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
class StoreTotals(_Plain):
    """One store, as the node knows it, and what lies in it.

    Attributes
    ----------
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


@dataclass(frozen=True, slots=True)
class Totals(_Plain):
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


# -- on one screen: what there is, how each rule stands, what to do now ----------------------------------------------

_MARKS: Final = {"holds": "✓", "broken": "✗", "warning": "!", "info": "·"}
_ASCII_MARKS: Final = {"holds": "ok", "broken": "NO", "warning": "! ", "info": "- "}
#: Findings shown of one rule, and packages named of one finding, before the rest is counted.
_FINDINGS, _PACKAGES = 3, 2
#: Characters of a title, and of a package id: a prefix of 8 is enough for every command.
_TITLE, _ID = 40, 12
#: Narrowest text column that is still filled; below it lines are as long as they are.
_NARROWEST = 24


def status_text(document: Mapping[str, Any], *, ascii_only: bool = False, width: int = 100) -> str:
    """The text of what `Status.to_dict` gives; its ``node`` may also be an object with a ``name``."""
    marks = _ASCII_MARKS if ascii_only else _MARKS
    parts = [
        _header(document),
        _stores(document["stores"], width),
        _rules(document, marks, width),
        _steps(document, width),
    ]
    text = "\n\n".join(part for part in parts if part)
    return text.encode("ascii", "replace").decode() if ascii_only else text


def shows_marks() -> bool:
    """Whether what is printed may have marks and letters beyond ASCII: a console of Windows may have neither."""
    return (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "").startswith("utf")


def _header(document: Mapping[str, Any]) -> str:
    node = document["node"]
    name = _shown(str(node["name"] if isinstance(node, Mapping) else node))
    totals = document["totals"]
    what = "nothing is archived yet"
    if totals["packages"]:
        what = f"{count_text(totals['packages'], 'package')}, {count_text(totals['files'], 'file')}"
        what += f", {size_text(totals['bytes'])}"
        what += f"; {count_text(totals['copies'], 'copy', 'copies')}, {totals['proven']:,} proven"
    if totals["unseen"]:
        what += f", {totals['unseen']:,} of them cannot be seen now"
    if totals["tombstoned"]:
        what += f"; {totals['tombstoned']:,} deleted or written off"
    marks = [line["mark"] for line in document["rules"]]
    broken, warnings = marks.count("broken"), marks.count("warning")
    warned = count_text(warnings, "warning") if warnings else ""
    if broken:
        verdict = count_text(broken, "rule is", "rules are") + " broken" + (f", {warned}" if warned else "")
    else:
        hidden = totals["unseen"]
        verdict = ("No rule is broken" if hidden else "Every rule holds") + (f"; {warned}" if warned else "")
        verdict += f"; {count_text(hidden, 'copy', 'copies')} cannot be seen now" if hidden else ""
    moment = str(document["time"]).replace("T", " ").removesuffix("Z")[:16]
    return f"{name}: {what}\n{verdict} ({moment} UTC)"


def _shown(text: str) -> str:
    """A text without what would move the cursor or change colours."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


# -- stores --------------------------------------------------------------------------------------------------------


def _stores(stores: Sequence[Mapping[str, Any]], width: int) -> str:
    if not stores:
        return ""
    rows: list[tuple[str, ...]] = [("store", "kind", "copies", "size", "free", "proven since", "place")]
    for store in stores:
        since = (store["proven_since"] or "")[:10] or ("never" if store["packages"] else "-")
        free = "-" if store["free"] is None else size_text(store["free"])
        amount = f"{store['packages']:,}", size_text(store["bytes"])
        rows.append((store["name"], store["kind"], *amount, free, since, _shown(store["url"])))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    lines = []
    for row, notes in zip(rows, ["", *(", ".join(_notes(store)) for store in stores)], strict=True):
        cells = [  # names to the left, figures to the right; the place, which may be long, last
            text.rjust(width) if column in (2, 3, 4) else text.ljust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=False))
        ]
        line = ("  " + "  ".join([*cells, row[-1]])).rstrip()
        noted = f"{line}  ({notes})" if notes else line
        lines += [noted] if len(noted) <= width or not notes else [line, f"{'':{2 + widths[0]}}  ({notes})"]
    return "\n".join(lines)


def _notes(store: Mapping[str, Any]) -> Iterator[str]:
    """What is not as it should be with a store."""
    if not store["reachable"]:
        yield "does not answer"
    if store["read_only"]:
        yield "takes nothing new"
    words = (("damaged", "damaged"), ("missing", "missing"), ("unproven", "never read"), ("due", "to be read again"))
    for key, word in words:
        if store[key]:
            yield f"{store[key]:,} {word}"


# -- rules ---------------------------------------------------------------------------------------------------------


def _rules(document: Mapping[str, Any], marks: Mapping[str, str], width: int) -> str:
    lines = [line for line in document["rules"] if line["shown"]]
    title_width = max((len(line["title"]) for line in lines), default=0)
    mark_width = max(map(len, marks.values()))
    texts: list[str] = []
    for line in lines:
        findings = [finding for finding in document["findings"] if finding["rule"] == line["rule"]]
        head = f"  {marks[line['mark']]:{mark_width}} {line['title']:{title_width}}  "
        bodies = list(_told(findings)) or [line["text"]]
        texts += _hanging(head, bodies, width)
    return "\n".join(texts)


def _told(findings: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Each finding in a sentence, with the first packages that it is about."""
    for finding in findings[:_FINDINGS]:
        named = []
        for package, title in list(zip(finding["packages"], finding["titles"], strict=True))[:_PACKAGES]:
            short, shown = package.removeprefix("diadem:")[:_ID], _shown(title.strip())
            shown = shown if len(shown) <= _TITLE else shown[: _TITLE - 1] + "…"
            named.append(f"{shown} ({short})" if shown else short)
        more = finding["count"] - len(named)
        if named and more:
            named.append(f"and {more:,} more")
        yield _shown(finding["message"]) + (f": {', '.join(named)}" if named else "")
    if len(findings) > _FINDINGS:
        yield f"and {len(findings) - _FINDINGS} more findings; --json has all"


def _hanging(head: str, bodies: Sequence[str], width: int) -> Iterator[str]:
    """Texts beside a head, each begun on a line of its own and folded below itself."""
    room = max(width - len(head), _NARROWEST)
    indent = " " * len(head)
    lines = [
        line
        for body in bodies
        for line in textwrap.wrap(body, room, break_on_hyphens=False, break_long_words=False) or [""]
    ]
    for number, line in enumerate(lines):
        yield ((indent if number else head) + line).rstrip()


# -- steps ---------------------------------------------------------------------------------------------------------


def _steps(document: Mapping[str, Any], width: int) -> str:
    steps = document["steps"]
    if not steps:
        return "" if document["totals"]["packages"] == 0 else "Nothing to do."
    command_width = max(len(step["command"]) for step in steps)
    lines = ["What to do now"]
    for number, step in enumerate(steps, 1):
        head = f"  {number}. {step['command']:{command_width}}  "
        if len(head) > width - _NARROWEST:  # a long place in it: the reason stands below
            lines.append(head.rstrip())
            head = " " * 5
        lines += _hanging(head, [_shown(step["reason"])], width)
    return "\n".join(lines)
