"""Commands that look at one package: show, open."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from diadem.cli.node_options import Json, NodeAt, is_id, opened
from diadem.cli.output import print_json, tell
from diadem.errors import UsageError

if TYPE_CHECKING:
    from diadem.archive.package import Package

_WHICH = "The package's id on the node, or the beginning of it; or its folder, ZIP or URL."


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command()(show)
    app.command(name="open")(open_page)


def show(
    package: Annotated[str, typer.Argument(help=_WHICH)],
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="All values of this one, by path, name or id, with their sources.")
    ] = None,
    files: Annotated[bool, typer.Option("--files", help="List all files.")] = False,
    all_: Annotated[bool, typer.Option("--all", help="All datasets, copies, assessments and corrections.")] = False,
    node: NodeAt = None,
    json: Json = False,
) -> int:
    """Show a package on one screen. When, who, what; its datasets, copies, assessments and corrections."""
    if dataset is not None and files:
        raise UsageError("--dataset and --files cannot be used together", next="Leave one of them out.")
    from diadem.archive.overview import dataset_table, file_list
    from diadem.archive.overview_text import dataset_text, files_text, overview_text

    with _found(package, node) as (found, look):
        if dataset is not None:
            one = found[dataset]
            table = {"package": str(found.id), **dataset_table(one, found.sealed_record.datasets[one.id])}
            print_json(table) if json else print(dataset_text(table))
            return 0
        if files:
            listed = file_list(found)
            print_json({"package": str(found.id), "files": listed}) if json else print(files_text(listed))
            return 0
        document = look().to_dict()
        if json:
            document["files"] = file_list(found)
    print_json(document) if json else print(overview_text(document, whole=all_))
    return 0


@contextmanager
def _found(package: str, node: str | None) -> Iterator[tuple[Package, Any]]:
    """A package, and what tells of it."""
    if is_id(package):
        with opened(node) as at:
            found = at.get(package)
            yield found, lambda: at.show(found)
        return
    import diadem

    alone = diadem.open(package)
    yield alone, alone.show


def open_page(
    package: Annotated[str, typer.Argument(help=_WHICH)],
    print_: Annotated[bool, typer.Option("--print", help="Only print where the page is.")] = False,
    node: NodeAt = None,
    json: Json = False,
) -> int:
    """Open the page of a package in the browser. Pictures, values, how to check it without DIADEM."""
    from diadem.archive.facts import page_file

    with _found(package, node) as (found, _):
        page = page_file(found)
    started = False
    if not print_ and not json:
        import webbrowser

        started = webbrowser.open(page.path.as_uri())
    if json:
        print_json({"package": str(found.id), "page": str(page.path), "fetched": page.fetched, "from": page.origin})
        return 0
    tell(f"page             {page.path}")
    if page.fetched:
        tell(f"                 a proven copy, from {page.origin}; the package's own files stay where they are")
    if not print_ and not started:
        print("                 no browser could be started: open this file with one")
    return 0
