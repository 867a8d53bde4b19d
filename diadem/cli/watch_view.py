"""What is watched, in lines: events as they come, folders as they stand, the section of `status`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from diadem.cli.archive_commands import suggested_lines
from diadem.cli.output import plain, size_text
from diadem.model.plain_text import count_text

#: Sessions of a folder, mistakes of a plan, and things left out that are named.
_NAMED = 20


def handed_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """What became of one hand-in."""
    name = f"{document['store']}/incoming/{document['name']}"
    if document["error"]:
        yield from _failed(name, document["error"])
    elif document["archived"]:
        yield from _archived(name, document["archived"])
    else:
        yield f"{document['state']:16} {name}: {document['words']}"


def event_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """What became of one session of a watched folder, or of the folder."""
    folder, session = document["folder"], document["session"]
    name = f"{folder}/{session}" if session else folder
    for archived in document["archived"]:
        yield from _archived(name, archived)
    if document["error"]:
        yield from _failed(name, document["error"])
    elif not document["archived"]:
        state = {"there": "watching", "away": "NOT THERE", "refused": "REFUSED"}.get(document["state"])
        yield f"{state or document['state']:16} {name}: {document['words']}".rstrip(": ")
    elif document["words"]:
        yield f"LEFT OUT         {document['words']}"


def _failed(name: str, error: Mapping[str, Any]) -> Iterator[str]:
    yield f"NOT ARCHIVED     {name}: {error['message']}"
    if error.get("next"):
        yield f"                 {error['next']}"


def _archived(name: str, archived: Mapping[str, Any]) -> Iterator[str]:
    copies = ", ".join(dict.fromkeys(copy["store"] for copy in archived["copies"] if copy["proof"] != "unseen"))
    yield f"archived         {name} as {archived['package']['id'][:19]}…, copies in {copies}"
    for debt in archived["debts"]:
        yield f"OWED             {debt['store']}: {debt['reason']}; later: diadem repair"
    for package in archived["lost"]:
        yield f"LOST             no copy of {package[:19]}… is left; the files still here were archived again"
    for item in archived["omitted"][:_NAMED]:
        yield f"LEFT OUT         {item['path']}: {item['reason']}"
    if len(archived["omitted"]) > _NAMED:
        yield f"                 and {len(archived['omitted']) - _NAMED:,} more; all with --json"
    yield from suggested_lines(archived)


def folder_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """A watched folder with its options and what is waited for."""
    yield f"folder           {report['folder']}"
    wishes = [f"first into {report['store']}"] if report["store"] else []
    wishes += list(report["set"])
    wishes += [words for key, words in (("new_only", "new sessions only"), ("poll", "polled")) if report[key]]
    wishes += [f"sessions {report['depth']} folders down"] if report["depth"] > 1 else []
    if wishes:
        yield f"options          {', '.join(wishes)}"
    yield f"{_mark(report['state']):16} {report['words']}"
    yield f"archived         {count_text(report['archived'], 'session')}{_left(report)}"
    yield from _sessions(report, "", 12)


def watch_text(report: Mapping[str, Any]) -> str:
    """The section of `status`; "" where nothing is watched."""
    if not report["folders"] and not report["running"]:
        return ""
    lines = [f"Watching since {_minute(report['since'])} UTC (process {report['process']})"]
    if not report["running"]:
        since = f" since {_minute(report['since'])} UTC" if report["since"] else ""
        lines = [f"NOT watching{since}; to begin: diadem watch"]
    for folder in report["folders"]:
        lines.append(f"  {folder['folder']}: {_summary(folder)}")
        lines += _sessions(folder, "    ", 10)
    lines += _plan_lines(report["plan"])
    return "\n".join(map(plain, lines))


def _summary(folder: Mapping[str, Any]) -> str:
    if folder["state"] != "there":
        return f"{_mark(folder['state'])}, {folder['words']}"
    waiting = sum(session["state"] == "waiting" for session in folder["sessions"])
    waits = f", {waiting:,} waiting" if waiting else ""
    return f"{count_text(folder['archived'], 'session')} archived{waits}{_left(folder)}"


def _left(folder: Mapping[str, Any]) -> str:
    return f", {folder['left']:,} left that were there before" if folder["left"] else ""


def _mark(state: str) -> str:
    return {"there": "watched", "away": "NOT THERE", "refused": "REFUSED", "new": "not seen yet"}[state]


def _sessions(folder: Mapping[str, Any], indent: str, width: int) -> Iterator[str]:
    sessions = folder["sessions"]
    for session in sessions[:_NAMED]:
        size = f" ({count_text(session['files'], 'file')}, {size_text(session['bytes'])})" if session["files"] else ""
        state = session["state"].upper() if session["state"] in ("failed", "held") else session["state"]
        yield f"{indent}{state:{width}} {session['name']}{size}: {session['words']}".rstrip(": ")
    if len(sessions) > _NAMED:
        yield f"{indent}{'':{width}} and {len(sessions) - _NAMED:,} more; all with --json"
    for name, words in list(folder["aside"].items())[:3]:
        yield f"{indent}{'not looked at':{width}} {name}: {words}"


def _plan_lines(plan: Mapping[str, Any]) -> Iterator[str]:
    if plan["broken"]:
        yield f"  the plan cannot be read, so that nothing is archived from these folders: {plan['broken']}"
    for mistake in plan["mistakes"][:_NAMED]:
        yield f"  row {mistake['row']} of the plan is wrong: {mistake['message']}"
    if len(plan["mistakes"]) > _NAMED:
        yield f"  and {len(plan['mistakes']) - _NAMED:,} more wrong rows: diadem watch plan"


def _minute(text: str) -> str:
    return text.replace("T", " ").removesuffix("Z")[:16]
