"""The commands that let the operating system run a node's services: install, status, remove."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from diadem.cli.options import Argument, Node, Option
from diadem.cli.output import minute
from diadem.cli.verb import Answer, Commands

root = Commands()
service = root.add(Commands("service", "Let the system run watch, serve, scrub and repair."))


@service.verb()
def install(
    node: Node,
    names: Annotated[
        list[str] | None,
        Argument("watch, serve, scrub, repair. Default: all; serve only where the node was served before."),
    ] = None,
    replace: Annotated[bool, Option("Also in the place of a file that was edited, or is somebody else's.")] = False,
    dry_run: Annotated[bool, Option("Show each file and command; write nothing, start nothing.")] = False,
) -> Answer:
    """Write what the system needs to run them, and start them. For this account, without an administrator."""
    document = node.services.install(*(names or ()), replace=replace, dry_run=dry_run).to_dict()
    return Answer(document, _install_lines(document, dry_run=dry_run), not (document["ok"] or dry_run))


def _install_lines(document: Mapping[str, Any], *, dry_run: bool) -> Iterator[str]:
    for one in document["services"]:
        for file in one["files"]:
            yield f"{file['state']:16} {file['path']}"
            if dry_run:
                yield ""
                yield from (f"    {line}" for line in file["text"].splitlines())
                yield ""
        if dry_run:
            yield from (f"would run        {command}" for command in one["commands"])
        elif not one["commands"]:
            yield f"started          {one['name']}: {one['words']}"
    if not dry_run:
        yield from _failed_lines(document, "NOT STARTED")
        yield from _typed_lines(document, "where it can be started, type:")
    yield from (f"note             {note}" for note in document["notes"])


@service.verb()
def status(node: Node) -> Answer:
    """Show what the system runs, how it ended last, what nobody does."""
    document = node.services.status().to_dict()
    return Answer(document, _status_lines(document), not document["ok"])


def _status_lines(document: Mapping[str, Any]) -> Iterator[str]:
    for one in document["services"]:
        works = "runs now" if one["running"] else f"last {minute(one['last'])} UTC" if one["last"] else ""
        ended = f"({one['outcome']})" if one["outcome"] else ""
        yield f"{one['name']:16} {', '.join(filter(None, (_installed(one), works)))} {ended}".rstrip()
        for file in one["files"]:
            if file["state"] not in ("installed", "missing"):
                yield f"{'':16} {file['state']}: {file['path']}"
        if one["words"] and one["started"] is not None:
            yield f"{'':16} {document['system']}: {one['words']}"
    silent = dict.fromkeys(one["words"] for one in document["services"] if one["started"] is None and one["words"])
    yield from (f"NO ANSWER        {document['system']}: {words}" for words in silent)
    yield from _typed_lines(document, "to start what is installed, type:")
    for promise in document["promises"]:
        yield f"{'kept' if promise['kept'] else 'NOT KEPT':16} {promise['words']}"
    commands = dict.fromkeys(promise["command"] for promise in document["promises"] if promise["command"])
    yield from (f"next             {command}" for command in commands)


def _installed(one: Mapping[str, Any]) -> str:
    if not one["installed"]:
        return "not installed"
    return {True: "installed, started", False: "installed, NOT STARTED", None: "installed"}[one["started"]]


@service.verb()
def remove(
    node: Node,
    names: Annotated[list[str] | None, Argument("watch, serve, scrub, repair. Default: all.")] = None,
    edited: Annotated[bool, Option("Also files that were edited.")] = False,
) -> Answer:
    """End them, and remove their files. What DIADEM has not written stays."""
    document = node.services.remove(*(names or ()), edited=edited).to_dict()
    return Answer(document, _remove_lines(document), not document["ok"])


def _remove_lines(document: Mapping[str, Any]) -> Iterator[str]:
    for one in document["services"]:
        yield from (f"{file['state']:16} {file['path']}" for file in one["files"] if file["state"] != "missing")
    yield from _failed_lines(document, "NOT ENDED")
    if not document["services"]:
        yield "nothing          no service of this node is installed"
    yield from _typed_lines(document, "if it still runs, type:")


def _failed_lines(document: Mapping[str, Any], what: str) -> Iterator[str]:
    """What the system did not do, and why; services of which it says the same together."""
    failed = [one for one in document["services"] if one["commands"]]
    for words in dict.fromkeys(one["words"] for one in failed):
        names = ", ".join(one["name"] for one in failed if one["words"] == words)
        yield f"{what:16} {names}: {words}"


def _typed_lines(document: Mapping[str, Any], words: str) -> Iterator[str]:
    """Commands of the system for a person, each once."""
    commands = dict.fromkeys(command for one in document["services"] for command in one["commands"])
    if commands:
        yield f"next             {words}"
        yield from (f"                 {command}" for command in commands)
