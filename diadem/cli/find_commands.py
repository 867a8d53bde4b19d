"""Commands that find and tell: status, search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from diadem.cli.facet_view import count_by
from diadem.cli.node_options import As, Json, NodeAt, opened
from diadem.cli.output import print_json, size_text, tell
from diadem.cli.saved_searches import saved_searches
from diadem.errors import DiademError, Refused, UsageError
from diadem.model.plain_text import count_text

#: Datasets that a row of a search names.
_NAMED = 3
#: Names of a sample and its parts that a search tells.
_NAMES = 8


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command()(status)
    app.command()(search)


def status(node: NodeAt = None, json: Json = False) -> int:
    """Show what is at risk and how to mend it. Exit code 1 when a rule of the policy is broken."""
    from diadem.cli.hub_view import hub_text
    from diadem.cli.route_view import peers_section
    from diadem.cli.transfer_commands import look_at_routes, look_at_transfers
    from diadem.cli.watch_view import watch_text
    from diadem.node.rules.status_text import shows_marks, status_text

    with opened(node) as found:
        judged = found.status()
        watched = found.watched.report()
        document = {"node": found.to_dict(), **judged.to_dict(), "watch": watched.to_dict() if watched else None}
        faults: list[DiademError] = []
        looks: list[tuple[str, Callable[[Any], Any], Any]] = [
            ("transfers", look_at_transfers, {"text": ""}),
            ("peers", look_at_routes, []),
            ("hub", lambda node: seen.to_dict() if (seen := node.hub()) is not None else None, None),
        ]
        for name, look, nothing in looks:
            try:
                document[name] = look(found)
            except DiademError as error:  # of the copies it is told all the same
                document[name] = nothing
                faults.append(error)
        document["faults"] = [error.to_dict() for error in {error.where: error for error in faults}.values()]
    if json:
        print_json(document)
    else:
        print(status_text(document, ascii_only=not shows_marks()))
        if document["watch"] and (text := watch_text(document["watch"])):
            print("\n" + text)
        if text := document["transfers"]["text"]:
            print(f"\ntransfers  {text}: diadem inbox, diadem transfer ls")
        for line in peers_section(document["peers"]):
            tell(line)
        if document["hub"]:
            print("\n" + hub_text(document["hub"]))
        for fault in document["faults"]:
            tell(f"\nNOT SHOWN  {fault['message']} ({fault['where']})")
            tell(f"next       {fault['next']}")
    return 0 if judged.ok and not faults else 1


def search(
    query: Annotated[
        list[str] | None, typer.Argument(help="Words, and values with units: HAADF voltage>=200kV sample:S-12")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", help="How many rows.")] = 50,
    offset: Annotated[int, typer.Option("--offset", help="Skip this many.")] = 0,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write all rows as a table.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a --csv file or a saved search.")] = False,
    facets: Annotated[bool, typer.Option("--facets", help="Count by instrument, year and others.")] = False,
    by: Annotated[str | None, typer.Option("--by", help="Count by these: instrument,stage.holder")] = None,
    top: Annotated[int, typer.Option("--top", help="With --facets: how many values of each.")] = 10,
    save: Annotated[str | None, typer.Option("--save", help="Save it under a name; later, write @NAME.")] = None,
    saved: Annotated[bool, typer.Option("--saved", help="List saved searches, or show these.")] = False,
    forget: Annotated[str | None, typer.Option("--forget", help="Remove a saved search.")] = None,
    user: As = None,
    node: NodeAt = None,
    json: Json = False,
) -> int:
    """Find packages by words and by values with units. Without a query: the newest."""
    words = query or []
    if saved or save is not None or forget is not None:
        return saved_searches(
            words, joined(words), save=save, saved=saved, forget=forget, overwrite=overwrite, at=(node, user), json=json
        )
    if facets or by is not None:
        if csv is not None:
            raise UsageError("--csv writes packages, not counts", next="Leave it out; for programs: --json.")
        return count_by(joined(words), by=by, top=top, node=node, json=json)
    if csv is not None and csv.exists() and not overwrite:
        raise Refused("the file exists already", where=str(csv), next="Name another, or add --overwrite.")
    with opened(node) as found:
        result = found.search(joined(words), limit=limit if csv is None else 1_000_000_000, offset=offset)
    if csv is not None:
        csv.write_bytes(result.to_csv())
        print(f"written          {csv}, {count_text(len(result.rows), 'row')}")
        return 0
    if json:
        print_json(result.to_dict())
    else:
        _show(result.to_dict())
    return 0


def joined(words: Sequence[str]) -> str:
    """The search that stands on the command line."""
    return words[0] if len(words) == 1 else " ".join(_quoted(word) for word in words)


def _quoted(word: str) -> str:
    """One of several arguments; one with a space in it and no operator was quoted for the shell, and means a phrase."""
    return f'"{word}"' if " " in word and not any(mark in word for mark in '"<>=:()') else word


def _show(document: dict[str, Any]) -> None:
    rows = document["rows"]
    for row in rows:
        facts = [row.get("instrument") or "", row.get("sample") or "", row.get("operator") or ""]
        told = " · ".join(fact for fact in facts if fact)
        tell(
            f"{row['id'][7:19]}  {row.get('date') or '(archived)'}  {row['title'][:40]:40}  "
            f"{count_text(row['files'], 'file'):>12}  {size_text(row['bytes']):>8}  {told}".rstrip()
        )
        if row.get("until"):
            print(f"{'':14}recorded until {row['until']}")
        if row["quality"]:
            print(f"{'':14}assessed: {', '.join(row['quality'])}")
        for text in row["warnings"][:_NAMED]:
            tell(f"{'':14}! {text}")
        if len(row["warnings"]) > _NAMED:
            print(f"{'':14}! and {len(row['warnings']) - _NAMED} more warnings: diadem custody {row['id'][7:19]}")
        if row["matching"] < row["datasets"]:
            tell(f"{'':14}{row['matching']} of {row['datasets']} datasets: {_matched(row)}")
    total = document["total"]
    shown = f"{len(rows)} of {total}" if total != len(rows) else f"{total}"
    print(f"{shown} package{'' if total == 1 else 's'}" + ("" if total else ": nothing matches"))
    if document["names"]:
        more = f", … ({len(document['names'])} names in all)" if len(document["names"]) > _NAMES else ""
        tell(f"also searched for: {', '.join(document['names'][:_NAMES])}{more}")
    for one in document["wider"]:
        least = "" if one["exact"] else "at least "
        print(f"without {one['left_out']}: {least}{count_text(one['total'], 'package')}")
    if document["hint"]:
        print(document["hint"])


def _matched(row: dict[str, Any]) -> str:
    """The first of the datasets that a search has found."""
    named = [dataset["path"] for dataset in row["matched"][:_NAMED]]
    return ", ".join(named) + (", …" if row["matching"] > len(named) else "")
