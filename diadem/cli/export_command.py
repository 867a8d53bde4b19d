"""The command that gives a package to someone without DIADEM: export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from diadem.cli.disk_commands import export_disk
from diadem.cli.node_options import As, Json, NodeAt, Quiet, opened
from diadem.cli.output import duration_text, print_json, progress, size_text
from diadem.errors import UsageError

_SHOWN = 20


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(export)


def export(
    package: Annotated[str, typer.Argument(help="Which package.")],
    path: Annotated[Path, typer.Argument(metavar="OUT", help="A new file OUT.zip; with --to, a folder on a disk.")],
    for_: Annotated[str, typer.Option("--for", help='Who gets it: "Marie Curie <m@x.org>". Kept in the log.')] = "",
    only: Annotated[
        str | None, typer.Option("--only", help="raw: the instrument's files alone. record: the metadata alone.")
    ] = None,
    redact: Annotated[
        bool, typer.Option("--redact", help="Remove people's names; list where that was not possible.")
    ] = False,
    chain: Annotated[bool, typer.Option("--chain", help="All packages of the session, if it has several.")] = False,
    to: Annotated[str, typer.Option("--to", help="For a person at another node, on a disk: marie@nmi")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be exported; write nothing.")] = False,
    node: NodeAt = None,
    user: As = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Make a ZIP for someone without DIADEM. A page in it explains the package; the log records the handover.

    With --to, a disk for a person at another node instead: offered to them, sealed for their node alone.
    """
    if to:
        if for_ or only or redact or chain:
            raise UsageError("a disk holds one whole package", next="Leave out --for, --only, --redact and --chain.")
        return export_disk(package, to, path, dry_run=dry_run, node=node, user=user, json=json, quiet=quiet)
    if only not in (None, "raw", "record"):
        raise UsageError(f"'{only}' is not a part of a package", next="Write raw or record.")
    with opened(node, user) as found, progress(quiet=quiet or json) as listener:
        done = found.export(
            package, path, for_=for_, only=only, redact=redact, chain=chain, dry_run=dry_run, listener=listener
        )
        document = done.to_dict()
    if json:
        print_json(document)
    else:
        _show(document)
    return 0 if document["ok"] else 1


def _show(document: dict[str, Any]) -> None:
    amount = f"{_counted(document['files'], 'file')}, {size_text(document['content_bytes'])}"
    if document["done"]:
        print(f"exported         {amount} in {duration_text(document['seconds'])}, every byte proven")
        print(f"ZIP              {document['path']} ({size_text(document['bytes'])})")
        print(f"SHA-256          {document['sha256']}")
        print(f"given to         {document['to']}: recorded in your log; the recipient has not confirmed it yet")
    else:
        print(f"would export     {amount} to {document['path']}; nothing was written")
    redaction = document["redaction"]
    word = "package" if redaction is None and document["only"] is None else "taken from"
    for package in document["packages"]:
        print(f"{word:16} {package}")
    _show_session(document)
    for item in document["renamed"][:_SHOWN]:
        print(f"other name       {item['original']!r} → {item['name']}")
    for store in document["damaged"]:
        print(f"DAMAGED          the copy in {store}; the bytes came from another: diadem repair")
    if redaction is not None:
        _show_redaction(redaction)
    if document["done"] and word == "package":
        print(
            "next             Give the recipient the package id by phone or a separate mail, and ask them to"
            " confirm receipt."
        )


def _show_session(document: dict[str, Any]) -> None:
    if document["others"]:
        print(f"not in it        {_counted(document['others'], 'more package')} of this session: --chain includes them")
    for one in document["lacking"]:
        print(f"NOT HERE         {one['package']}, a package of this session: {one['reason']}")


def _show_redaction(redaction: dict[str, Any]) -> None:
    for kind, count in redaction["removed"].items():
        print(f"removed          {kind}: {count:,}")
    for text, reason in list(redaction["unsought"].items())[:_SHOWN]:
        print(f"not searched for {text!r}: {reason}")
    remaining = redaction["remaining"]
    for one in remaining[:_SHOWN]:
        text = f"{one['text']!r}, " if one["text"] else ""
        print(f"NOT CLEAN        {one['path']}: {text}{one['place']}")
    if len(remaining) > _SHOWN:
        print(f"NOT CLEAN        and {len(remaining) - _SHOWN:,} more; all with --json")
    unsearched = list(redaction["unsearched"].items())
    for path, reason in unsearched[:_SHOWN]:
        print(f"NOT SEARCHED     {path}: {reason}")
    if len(unsearched) > _SHOWN:
        print(f"NOT SEARCHED     and {len(unsearched) - _SHOWN:,} more; all with --json")
    if remaining or unsearched:
        print("                 the instrument's files are never changed; --only record leaves them out")


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
