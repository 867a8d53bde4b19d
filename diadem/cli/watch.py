"""The commands that watch: run (the word may be left out), add, ls, rm, plan; and what is watched, in lines."""

from __future__ import annotations

import json as json_text
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from diadem.cli.archive import suggested_lines
from diadem.cli.options import Argument, As, Json, Listener, Node, NodeAt, Option, Quiet
from diadem.cli.output import minute, print_json, tell_all
from diadem.cli.verb import Answer, Commands, opened, unattended
from diadem.errors import Interrupted
from diadem.model.plain_text import count_text, quoted, size_text

root = Commands()
watched = root.add(Commands("watch", "Archive sessions once they are finished.", default="run", needs_word=False))

_AGAIN = "Start it again: diadem watch"
StoreFirst = Annotated[str, Option("Which store is filled first.")]
SetFacts = Annotated[list[str] | None, Option("One fact for every session: --set instrument.name=Titan.")]
NewOnly = Annotated[bool, Option("Skip what is there now, until it changes.")]
Poll = Annotated[bool, Option("Look at intervals; do not rely on the system's events.")]
Depth = Annotated[int, Option("How many folders down the sessions are.", min=1)]
#: Sessions of a folder, mistakes of a plan, and things left out that are named.
_NAMED = 20

# -- run -------------------------------------------------------------------------------------------------------------


@watched.verb()
def run(
    listener: Listener,
    folder: Annotated[Path | None, Argument("This folder alone. Default: all that were added, and hand-ins.")] = None,
    once: Annotated[bool, Option("Look once; report everything, not only what is new.")] = False,
    dry_run: Annotated[bool, Option("Show what would be archived and what still waits; write nothing.")] = False,
    every: Annotated[float, Option("Seconds between looks where the system reports no changes.", min=1.0)] = 60.0,
    store: StoreFirst = "",
    set_: SetFacts = None,
    new_only: NewOnly = False,
    poll: Poll = False,
    depth: Depth = 1,
    node: NodeAt = None,
    user: As = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Watch. A session is archived once nothing in it changes; nothing is moved, changed or deleted."""
    code, documents = 0, []
    lines = json and not (once or dry_run)
    with unattended(quiet=quiet), opened(node, user) as at, at.tell.beside(unless=dry_run):
        folders = folder is not None or bool(at.context.settings.watched)
        told = at.watch(
            folder,
            once=once,
            every=every,
            store=store,
            set=set_ or (),
            new_only=new_only,
            poll=poll,
            depth=depth,
            dry_run=dry_run,
            listener=listener,
        )
        try:
            for one in told:
                document = one.to_dict()
                code = 1 if _is_finding(document) else code
                if json and not lines:
                    documents.append(document)
                else:
                    _tell(document, as_json=lines)
                    documents = [document]
        except (Interrupted, KeyboardInterrupt) as stopped:
            if not lines:
                raise
            said = stopped if isinstance(stopped, Interrupted) else Interrupted("watching was stopped", next=_AGAIN)
            _tell({"error": said.to_dict()}, as_json=True)
            return said.exit_code
    if json and not lines:
        parts = {"incoming": "store", "watched": "folder"}
        print_json({key: [one for one in documents if mark in one] for key, mark in parts.items()})
    elif (once or dry_run) and not documents:
        waits = "waits: every session is archived" if folders else "to archive: no folder is in incoming/ of any store"
        print("nothing is there that is not archived" if dry_run else f"nothing {waits}")
    return code


def _every_archived(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The packages of a session; a hand-in makes one."""
    archived = document["archived"] or []
    return archived if isinstance(archived, list) else [archived]


def _is_finding(document: Mapping[str, Any]) -> bool:
    refused = document["state"] in ("refused", "away", "held", "failed")
    lacks = any(one["omitted"] or one["lost"] for one in _every_archived(document))
    return bool(document["error"]) or refused or lacks


def _tell(document: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json_text.dumps(document, default=str), flush=True)
        return
    tell_all(_event_lines(document))


def _event_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """What became of a hand-in, of one session of a watched folder, or of the folder."""
    marks = {"there": "watching", "away": "NOT THERE", "refused": "REFUSED"}
    name = "/".join(filter(None, (document.get("folder"), document.get("session"))))
    if handed := "store" in document:
        marks, name = {}, f"{document['store']}/incoming/{document['name']}"
    every = _every_archived(document)
    for archived in every:
        yield from _archived(name, archived)
    if error := document["error"]:
        yield f"NOT ARCHIVED     {name}: {error['message']}"
        if error.get("next"):
            yield f"                 {error['next']}"
    elif not every:
        yield f"{marks.get(document['state'], document['state']):16} {name}: {document['words']}".rstrip(": ")
    elif document["words"] and not handed:
        yield f"LEFT OUT         {document['words']}"


def _archived(name: str, archived: Mapping[str, Any]) -> Iterator[str]:
    copies = ", ".join(dict.fromkeys(copy["store"] for copy in archived["copies"] if copy["proof"] != "unseen"))
    yield f"archived         {name} as {archived['package']['id'][:19]}…, copies in {copies}"
    owed = (f"OWED             {debt['store']}: {debt['reason']}; later: diadem repair" for debt in archived["debts"])
    yield from dict.fromkeys(owed)
    for package in archived["lost"]:
        yield f"LOST             no copy of {package[:19]}… is left; the files still here were archived again"
    yield from (f"LEFT OUT         {item['path']}: {item['reason']}" for item in archived["omitted"][:_NAMED])
    if len(archived["omitted"]) > _NAMED:
        yield f"                 and {len(archived['omitted']) - _NAMED:,} more; all with --json"
    yield from suggested_lines(archived)


# -- what is watched -------------------------------------------------------------------------------------------------


@watched.verb()
def add(
    node: Node,
    folder: Annotated[Path, Argument("Where an instrument writes its sessions, each in a folder.")],
    store: StoreFirst = "",
    set_: SetFacts = None,
    new_only: NewOnly = False,
    poll: Poll = False,
    depth: Depth = 1,
) -> Answer:
    """Watch a folder from now on. Add it again to change its options."""
    report = node.watched.add(folder, store=store, set=set_ or (), new_only=new_only, poll=poll, depth=depth).to_dict()
    known = node.watched.report()
    then = "the watcher sees it at its next look" if known and known.running else "diadem watch --dry-run"
    return Answer({"folder": report}, [*_folder_lines(report), f"next             {then}"])


@watched.verb()
def ls(node: Node) -> Answer:
    """List the watched folders, and what waits in each."""
    listed = [one.to_dict() for one in node.watched.ls()]
    lines = [line for report in listed for line in _folder_lines(report)]
    return Answer({"folders": listed}, lines or ["no folder is watched: diadem watch add FOLDER"])


@watched.verb()
def rm(node: Node, folder: Annotated[Path, Argument("A watched folder.")]) -> Answer:
    """Stop watching a folder. Its files and packages stay."""
    settings = node.watched.rm(folder).to_dict()
    return Answer({"folder": settings}, [f"not watched      {settings['folder']}"])


@watched.verb()
def plan(
    node: Node,
    file: Annotated[
        Path | None, Argument("A CSV: taken if it is there, else written. Default: the node's own.")
    ] = None,
) -> Answer:
    """Read or write a sheet of exceptions, a session a line. Archive it or not, title, sample, one or split, wait."""
    report = node.watched.plan(file).to_dict()
    lines = [
        f"{'taken' if report['taken'] else 'plan':16} {report['path']}, {count_text(report['lines'], 'line')}",
        *(f"WRONG            row {mistake['row']}: {mistake['message']}" for mistake in report["mistakes"]),
    ]
    if not report["taken"]:
        own = file is None or report["mistakes"]
        then = "a running watcher reads it at its next look." if own else f"then: diadem watch plan {quoted(file)}"
        lines.append(f"next             Edit it; {then}")
    return Answer(report, lines, bool(report["mistakes"]))


def _folder_lines(report: Mapping[str, Any]) -> Iterator[str]:
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


def watch_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """The section of `status`; none where nothing is watched."""
    if not report["folders"] and not report["running"]:
        return
    since = f" since {minute(report['since'])} UTC" if report["since"] else ""
    yield ""
    yield (
        f"Watching{since} (process {report['process']})"
        if report["running"]
        else f"NOT watching{since}; to begin: diadem watch"
    )
    for folder in report["folders"]:
        yield f"  {folder['folder']}: {_summary(folder)}"
        yield from _sessions(folder, "    ", 10)
    yield from _plan_lines(report["plan"])


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
