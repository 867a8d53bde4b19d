"""The commands that watch: run (the word may be left out), add, ls, rm, plan."""

from __future__ import annotations

import json as json_text
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from diadem.cli.grouped_help import Commands
from diadem.cli.node_options import As, Json, NodeAt, Quiet, opened, unattended
from diadem.cli.output import print_json, progress, tell
from diadem.cli.watch_view import event_lines, folder_lines, handed_lines
from diadem.errors import Interrupted
from diadem.model.plain_text import count_text, quoted

_AGAIN = "Start it again: diadem watch"
StoreFirst = Annotated[str, typer.Option("--store", help="Which store is filled first.")]
SetFacts = Annotated[
    list[str] | None, typer.Option("--set", help="One fact for every session: --set instrument.name=Titan.")
]
NewOnly = Annotated[bool, typer.Option("--new-only", help="Skip what is there now, until it changes.")]
Poll = Annotated[bool, typer.Option("--poll", help="Look at intervals; do not rely on the system's events.")]
Depth = Annotated[int, typer.Option("--depth", help="How many folders down the sessions are.", min=1)]


class WatchGroup(TyperGroup):
    """A group whose first word may be left out: `diadem watch FOLDER` is `diadem watch run FOLDER`."""

    #: What is meant where no command is named.
    default = "run"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the word that was left out in its place."""
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = [self.default, *args]
        return list(super().parse_args(ctx, args))


watched = Commands("Archive sessions once they are finished.", cls=WatchGroup, no_args_is_help=False)


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.add_typer(watched, name="watch")


@watched.command()
def run(
    folder: Annotated[
        Path | None, typer.Argument(help="This folder alone. Default: all that were added, and hand-ins.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Look once; report everything, not only what is new.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be archived and what still waits; write nothing.")
    ] = False,
    every: Annotated[
        float, typer.Option("--every", help="Seconds between looks where the system reports no changes.", min=1.0)
    ] = 60.0,
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
    with unattended(quiet=quiet), opened(node, user) as found, progress(quiet=quiet or json) as listener:
        folders = folder is not None or bool(found.context.settings.watched)
        told = found.watch(
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
        print(_nothing(dry_run=dry_run, folders=folders))
    return code


def _is_finding(document: dict[str, Any]) -> bool:
    archived = document["archived"] or []
    every = archived if isinstance(archived, list) else [archived]
    refused = document["state"] in ("refused", "away", "held", "failed")
    return bool(document["error"]) or refused or any(one["omitted"] or one["lost"] for one in every)


def _nothing(*, dry_run: bool, folders: bool) -> str:
    if dry_run:
        return "nothing is there that is not archived"
    if folders:
        return "nothing waits: every session is archived"
    return "nothing to archive: no folder is in incoming/ of any store"


def _tell(document: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json_text.dumps(document, default=str), flush=True)
        return
    for line in handed_lines(document) if "store" in document else event_lines(document):
        tell(line)


@watched.command()
def add(
    folder: Annotated[Path, typer.Argument(help="Where an instrument writes its sessions, each in a folder.")],
    store: StoreFirst = "",
    set_: SetFacts = None,
    new_only: NewOnly = False,
    poll: Poll = False,
    depth: Depth = 1,
    node: NodeAt = None,
    json: Json = False,
) -> int:
    """Watch a folder from now on. Add it again to change its options."""
    with opened(node) as found:
        report = found.watched.add(
            folder, store=store, set=set_ or (), new_only=new_only, poll=poll, depth=depth
        ).to_dict()
        known = found.watched.report()
    if json:
        print_json({"folder": report})
        return 0
    for line in folder_lines(report):
        tell(line)
    print(
        "next             "
        + ("the watcher sees it at its next look" if known and known.running else "diadem watch --dry-run")
    )
    return 0


@watched.command()
def ls(node: NodeAt = None, json: Json = False) -> int:
    """List the watched folders, and what waits in each."""
    with opened(node) as found:
        listed = [one.to_dict() for one in found.watched.ls()]
    if json:
        print_json({"folders": listed})
        return 0
    for report in listed:
        for line in folder_lines(report):
            tell(line)
    if not listed:
        print("no folder is watched: diadem watch add FOLDER")
    return 0


@watched.command()
def rm(
    folder: Annotated[Path, typer.Argument(help="A watched folder.")], node: NodeAt = None, json: Json = False
) -> int:
    """Stop watching a folder. Its files and packages stay."""
    with opened(node) as found:
        settings = found.watched.rm(folder).to_dict()
    print_json({"folder": settings}) if json else tell(f"not watched      {settings['folder']}")
    return 0


@watched.command()
def plan(
    file: Annotated[
        Path | None, typer.Argument(help="A CSV: taken if it is there, else written. Default: the node's own.")
    ] = None,
    node: NodeAt = None,
    json: Json = False,
) -> int:
    """Read or write a sheet of exceptions, a session a line. Archive it or not, title, sample, one or split, wait."""
    with opened(node) as found:
        report = found.watched.plan(file).to_dict()
    if json:
        print_json(report)
    else:
        lines = count_text(report["lines"], "line")
        tell(f"{'taken' if report['taken'] else 'plan':16} {report['path']}, {lines}")
        for mistake in report["mistakes"]:
            tell(f"WRONG            row {mistake['row']}: {mistake['message']}")
        if not report["taken"]:
            own = file is None or report["mistakes"]
            then = "a running watcher reads it at its next look." if own else f"then: diadem watch plan {quoted(file)}"
            tell(f"next             Edit it; {then}")
    return 1 if report["mistakes"] else 0
