"""Commands that find and tell: status, search; searches with a name, and counts of what was found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from diadem.cli.options import Argument, As, Node, NodeAt, Option
from diadem.cli.output import minute, on_node
from diadem.cli.verb import Answer, Commands, opened
from diadem.errors import DiademError, Refused, UsageError
from diadem.model.plain_text import count_text, query_text, size_text

root = Commands()
#: Datasets that a row of a search names; names of a sample and its parts that a search tells.
_NAMED, _NAMES = 3, 8
#: Columns of a value that is counted; a longer one loses its end.
_WIDE = 32

# -- status ----------------------------------------------------------------------------------------------------------


@root.verb()
def status(node: Node) -> Answer:
    """Show what is at risk and how to mend it. Exit code 1 when a rule of the policy is broken."""
    judged, watched = node.status(), node.watched.report()
    document = {"node": node.to_dict(), **judged.to_dict(), "watch": watched.to_dict() if watched else None}
    faults: list[DiademError] = []
    looks: list[tuple[str, Callable[[Any], Any], Any]] = [
        # of a store that is read from another PC, nothing is known of transfers and ways
        ("transfers", lambda at: at.transfers.look() if at.context.writable else {"text": ""}, {"text": ""}),
        ("peers", lambda at: [one.to_dict() for one in at.peers.routes()] if at.context.writable else [], []),
        ("tell", lambda at: [one.to_dict() for one in at.tell] if at.context.writable else [], []),
        ("hub", lambda at: seen.to_dict() if (seen := at.hub()) is not None else None, None),
    ]
    for name, look, nothing in looks:
        try:
            document[name] = look(node)
        except DiademError as error:  # of the copies it is told all the same
            document[name] = nothing
            faults.append(error)
    document["faults"] = [error.to_dict() for error in {error.where: error for error in faults}.values()]
    return Answer(document, _status_lines(document), bool(faults) or not judged.ok)


def _status_lines(document: Mapping[str, Any]) -> Iterator[str]:
    from diadem.policy.status import shows_marks, status_text

    steps = [{**step, "command": on_node(step["command"])} for step in document["steps"]]  # before they are folded
    yield from status_text({**document, "steps": steps}, ascii_only=not shows_marks()).split("\n")
    if document["watch"]:
        from diadem.cli.watch import watch_lines

        yield from watch_lines(document["watch"])
    if text := document["transfers"]["text"]:
        yield from ("", f"transfers  {text}: diadem inbox, diadem transfer ls")
    if document["peers"]:
        from diadem.cli.peers import ways_lines

        yield from ways_lines(document["peers"])
    if failed := [one for one in document["tell"] if one["words"]]:
        yield from ("", *(f"NOT TOLD   {one['name']}: {one['words']}" for one in failed))
    if document["hub"]:
        yield from ("", *_hub_lines(document["hub"]))
    for fault in document["faults"]:
        yield from ("", f"NOT SHOWN  {fault['message']} ({fault['where']})", f"next       {fault['next']}")


def _hub_lines(seen: Mapping[str, Any]) -> Iterator[str]:
    """A hub's boxes and relays by the names of nodes, and nothing else."""
    what = f"{count_text(seen['objects'], 'sealed window')} and {count_text(seen['messages'], 'sealed message')}"
    yield f"hub        {what} wait ({size_text(seen['bytes'])}); room for {size_text(seen['room'])} more"
    relays = [
        (
            *("relay", row["id"][:8], f"{row['sender']} to {row['recipient']}"),
            f"{count_text(row['objects'], 'window')}, {size_text(row['bytes'])}",
            *_times(row),
        )
        for row in seen["relays"]
    ]
    boxes = [
        ("box of", row["node"], f"{count_text(row['messages'], 'message')}, {size_text(row['bytes'])}", *_times(row))
        for row in seen["boxes"]
    ]
    for rows in (relays, boxes):
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    if seen["owed"]:
        yield f"  {count_text(seen['owed'], 'relay')} ended and not in the log yet: a store does not answer"


def _times(row: Mapping[str, Any]) -> tuple[str, str]:
    since, end = minute(row["since"]), minute(row["expires"])
    return f"since {since}", f"ends {end}, SOON" if row["soon"] else f"ends {end}"


# -- search ----------------------------------------------------------------------------------------------------------


@root.verb()
def search(
    query: Annotated[
        list[str] | None, Argument("Words, and values with units: HAADF voltage>=200kV sample:S-12")
    ] = None,
    limit: Annotated[int, Option("How many rows.")] = 50,
    offset: Annotated[int, Option("Skip this many.")] = 0,
    csv: Annotated[Path | None, Option("Write all rows as a table.")] = None,
    overwrite: Annotated[bool, Option("Replace a --csv file or a saved search.")] = False,
    facets: Annotated[bool, Option("Count by instrument, year and others.")] = False,
    by: Annotated[str | None, Option("Count by these: instrument,stage.holder")] = None,
    top: Annotated[int, Option("With --facets: how many values of each.")] = 10,
    save: Annotated[str | None, Option("Save it under a name; later, write @NAME.")] = None,
    saved: Annotated[bool, Option("List saved searches, or show these.")] = False,
    forget: Annotated[str | None, Option("Remove a saved search.")] = None,
    user: As = None,
    node: NodeAt = None,
) -> Answer | int:
    """Find packages by words and by values with units. Without a query: the newest."""
    words = query or []
    text = query_text(words)
    if sum((save is not None, saved, forget is not None)) > 1:
        raise UsageError("one of --save, --saved and --forget at a time")
    if forget is not None and words:
        raise UsageError("--forget takes the name alone", next=f"diadem search --forget {forget}")
    if save is not None or saved or forget is not None:
        with opened(node, user) as at:
            if save is not None:
                verb, queries = "saved", [at.queries.save(save, text, overwrite=overwrite)]
            elif forget is not None:
                verb, queries = "forgotten", [at.queries.delete(forget)]
            else:
                verb, queries = "", [at.queries.get(name) for name in words] if words else at.queries.ls()
        listed = [one.to_dict() for one in queries]
        return Answer({"queries": listed} | ({"done": verb} if verb else {}), _saved_lines(listed, verb))
    if facets or by is not None:
        if csv is not None:
            raise UsageError("--csv writes packages, not counts", next="Leave it out; for programs: --json.")
        fields = [name.strip() for name in by.split(",") if name.strip()] if by is not None else None
        with opened(node) as at:
            counted = at.facets(text, fields, top=top).to_dict()
        return Answer(counted, _facet_lines(counted))
    if csv is not None and csv.exists() and not overwrite:
        raise Refused("the file exists already", where=str(csv), next="Name another, or add --overwrite.")
    with opened(node) as at:
        result = at.search(text, limit=limit if csv is None else 1_000_000_000, offset=offset)
    if csv is not None:
        csv.write_bytes(result.to_csv())
        print(f"written          {csv}, {count_text(len(result.rows), 'row')}")
        return 0
    document = result.to_dict()
    return Answer(document, _found_lines(document))


def _found_lines(document: Mapping[str, Any]) -> Iterator[str]:
    rows = document["rows"]
    for row in rows:
        facts = [row.get("instrument") or "", row.get("sample") or "", row.get("operator") or ""]
        told = " · ".join(fact for fact in facts if fact)
        yield (
            f"{row['id'][7:19]}  {row.get('date') or '(archived)'}  {row['title'][:40]:40}  "
            f"{count_text(row['files'], 'file'):>12}  {size_text(row['bytes']):>9}  {told}"
        ).rstrip()
        if row.get("until"):
            yield f"{'':14}recorded until {row['until']}"
        if row["quality"]:
            yield f"{'':14}assessed: {', '.join(row['quality'])}"
        yield from (f"{'':14}! {text}" for text in row["warnings"][:_NAMED])
        if len(row["warnings"]) > _NAMED:
            yield f"{'':14}! and {len(row['warnings']) - _NAMED} more warnings: diadem custody {row['id'][7:19]}"
        if row["matching"] < row["datasets"]:
            named = [dataset["path"] for dataset in row["matched"][:_NAMED]]
            more = ", …" if row["matching"] > len(named) else ""
            yield f"{'':14}{row['matching']} of {row['datasets']} datasets: {', '.join(named)}{more}"
    total = document["total"]
    shown = f"{len(rows)} of {total}" if total != len(rows) else f"{total}"
    yield f"{shown} package{'' if total == 1 else 's'}" + ("" if total else ": nothing matches")
    if document["names"]:
        more = f", … ({len(document['names'])} names in all)" if len(document["names"]) > _NAMES else ""
        yield f"also searched for: {', '.join(document['names'][:_NAMES])}{more}"
    for one in document["wider"]:
        least = "" if one["exact"] else "at least "
        yield f"without {one['left_out']}: {least}{count_text(one['total'], 'package')}"
    if document["hint"]:
        yield document["hint"]


def _saved_lines(documents: Sequence[Mapping[str, Any]], verb: str) -> Iterator[str]:
    yield from (f"{'@' + one['name']:16} {one['query']}   ({one['by']}, {one['saved'][:10]})" for one in documents)
    if verb:
        yield f"{verb:16} {count_text(len(documents), 'search', 'searches')}"
    elif not documents:
        yield "no saved searches   (save one: diadem search --save NAME 'QUERY')"


def _facet_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """Each value with its packages and datasets, and what narrows a search to it."""
    for facet in document["facets"]:
        yield facet["name"]
        for value in facet["values"]:
            text = value["text"] if len(value["text"]) <= _WIDE else value["text"][: _WIDE - 1] + "…"
            packages = count_text(value["packages"], "package")
            datasets = count_text(value["datasets"], "dataset") if facet["of_datasets"] else ""
            yield f"  {text:{_WIDE}} {packages:>14} {datasets:>16}   {value['term']}"
        if facet["more"]:
            yield f"  and {facet['more']:,} more"
    yield document["said"] + ("" if document["total"] else ": nothing matches")
