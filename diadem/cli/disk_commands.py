"""Packages on disks for people at other nodes: what `export --to` does, and import."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from diadem.cli.archive_commands import show_archived
from diadem.cli.node_options import As, Json, NodeAt, Quiet, opened
from diadem.cli.output import print_json, progress, size_text, tell
from diadem.cli.transfer_view import landed_lines, transfer_line


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(name="import")(import_)


def export_disk(
    package: str,
    to: str,
    folder: Path,
    *,
    dry_run: bool,
    node: str | None,
    user: str | None,
    json: bool,
    quiet: bool,
) -> int:
    """Write a disk for a person at another node."""
    with opened(node, user) as found, progress(quiet=quiet or json) as listener:
        done = found.export_disk(package, to, folder, dry_run=dry_run, listener=listener).to_dict()
    if json:
        print_json(done)
        return 0
    offered = done["transfer"]
    what = f"{offered['title']}, {size_text(offered['bytes'])}, to {offered['recipient']}"
    if not done["done"]:
        tell(f"would export     {what}, into {done['folder']}; nothing was written or offered")
        return 0
    tell(f"exported         {what}, sealed for their node")
    tell(f"transfer         {offered['id']}, until {offered['expires'][:10]}")
    tell(f"written          {done['objects']} objects into {done['folder']}; run it again to resume")
    tell("on the other side: diadem import FOLDER")
    return 0


def import_(
    folder: Annotated[Path, typer.Argument(help="What export wrote: a ZIP, or a folder on a disk; or a package.")],
    store: Annotated[
        str | None, typer.Option("--store", help="Store that takes it. Default: the first with room.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what is in it; import nothing.")] = False,
    node: NodeAt = None,
    user: As = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Import a package from a disk, a ZIP or a folder. Every byte is proven first."""
    with opened(node, user) as found, progress(quiet=quiet or json) as listener:
        done = found.import_(folder, store=store, dry_run=dry_run, listener=listener).to_dict()
    transfer = done["transfer"]
    if json:
        print_json(done)
    elif transfer is None:
        for one in done["packages"]:
            show_archived(one)
        for one in () if done["done"] else done["found"]:
            tell(f"would import     {one}, proven whole")
        return 0
    elif not done["done"]:
        tell(f"would import     {transfer['title']}, {size_text(transfer['bytes'])}, from {transfer['sender']}")
        tell("next             diadem import FOLDER   (accepts it; it waits in the inbox too)")
    else:
        tell(transfer_line(transfer))
        for line in landed_lines(transfer):
            tell(line)
        if transfer["error"]:
            tell(f"ERROR            {transfer['error']}")
            tell(f"next             {transfer['next']}")
    return 1 if transfer and transfer["error"] else 0
