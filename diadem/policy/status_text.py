"""The status of a node on one screen: what there is, how each rule stands, what to do now."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from diadem.model.plain_text import size_text

_MARKS: Final = {"holds": "✓", "broken": "✗", "warning": "!", "info": "·"}
_ASCII_MARKS: Final = {"holds": "ok", "broken": "NO", "warning": "! ", "info": "- "}
#: Findings shown of one rule, and packages named of one finding, before the rest is counted.
_FINDINGS, _PACKAGES = 3, 2
#: Characters of a title, and of a package id: a prefix of 8 is enough for every command.
_TITLE, _ID = 40, 12
#: Narrowest text column that is still filled; below it lines are as long as they are.
_NARROWEST = 24


def status_text(document: Mapping[str, Any], *, ascii_only: bool = False, width: int = 100) -> str:
    """The text of a status.

    Parameters
    ----------
    document : mapping
        What `Status.to_dict` gives; its ``node`` may also be an object with a ``name``.
    ascii_only : bool
        Whether the console shows no marks and letters beyond ASCII.
    width : int
        Columns.
    """
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
        what = (
            f"{_count(totals['packages'], 'package')}, {_count(totals['files'], 'file')}, {size_text(totals['bytes'])}"
        )
        what += f"; {_count(totals['copies'], 'copy', 'copies')}, {totals['proven']:,} proven"
    if totals["unseen"]:
        what += f", {totals['unseen']:,} of them cannot be seen now"
    if totals["tombstoned"]:
        what += f"; {totals['tombstoned']:,} deleted or written off"
    moment = str(document["time"]).replace("T", " ").removesuffix("Z")[:16]
    return f"{name}: {what}\n{_verdict(document)} ({moment} UTC)"


def _verdict(document: Mapping[str, Any]) -> str:
    """The outcome in one sentence."""
    marks = [line["mark"] for line in document["rules"]]
    hidden = document["totals"]["unseen"]
    broken, warnings = marks.count("broken"), marks.count("warning")
    if broken:
        return f"{_count(broken, 'rule is', 'rules are')} broken" + (
            f", {_count(warnings, 'warning')}" if warnings else ""
        )
    warned = f"; {_count(warnings, 'warning')}" if warnings else ""
    if hidden:
        return f"No rule is broken{warned}; {_count(hidden, 'copy', 'copies')} cannot be seen now"
    return f"Every rule holds{warned}"


def _count(number: int, singular: str, plural: str = "") -> str:
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def _shown(text: str) -> str:
    """A text without what would move the cursor or change colours."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


# -- stores --------------------------------------------------------------------------------------------------------


def _stores(stores: Sequence[Mapping[str, Any]], width: int) -> str:
    if not stores:
        return ""
    rows = [("store", "kind", "copies", "size", "free", "proven since", "place"), *map(_store, stores)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    lines = [_row(rows[0], widths)]
    for row, store in zip(rows[1:], stores, strict=True):
        line, notes = _row(row, widths), ", ".join(_notes(store))
        noted = f"{line}  ({notes})" if notes else line
        lines += [noted] if len(noted) <= width or not notes else [line, f"{'':{2 + widths[0]}}  ({notes})"]
    return "\n".join(lines)


def _row(row: Sequence[str], widths: Sequence[int]) -> str:
    """Names to the left, figures to the right; the place, which may be long, last."""
    cells = [
        text.rjust(width) if column in (2, 3, 4) else text.ljust(width)
        for column, (text, width) in enumerate(zip(row, widths, strict=False))
    ]
    return ("  " + "  ".join([*cells, row[-1]])).rstrip()


def _store(store: Mapping[str, Any]) -> tuple[str, ...]:
    since = (store["proven_since"] or "")[:10] or ("never" if store["packages"] else "-")
    free = "-" if store["free"] is None else size_text(store["free"])
    amount = f"{store['packages']:,}", size_text(store["bytes"])
    return store["name"], store["kind"], *amount, free, since, _shown(store["url"])


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
        named = [_package(package, title) for package, title in _named(finding)]
        more = finding["count"] - len(named)
        if named and more:
            named.append(f"and {more:,} more")
        yield _shown(finding["message"]) + (f": {', '.join(named)}" if named else "")
    if len(findings) > _FINDINGS:
        yield f"and {len(findings) - _FINDINGS} more findings; --json has all"


def _named(finding: Mapping[str, Any]) -> list[tuple[str, str]]:
    return list(zip(finding["packages"], finding["titles"], strict=True))[:_PACKAGES]


def _package(package: str, title: str) -> str:
    short = package.removeprefix("diadem:")[:_ID]
    title = _shown(title.strip())
    title = title if len(title) <= _TITLE else title[: _TITLE - 1] + "…"
    return f"{title} ({short})" if title else short


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
        lines += _hanging(f"  {number}. {step['command']:{command_width}}  ", [_shown(step["reason"])], width)
    return "\n".join(lines)
