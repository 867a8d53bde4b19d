"""Commands that look after copies: scrub, repair, drop, delete, reindex, rescan."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from diadem.cli.options import (
    Argument,
    ClockIsRight,
    Dask,
    DryRun,
    Jobs,
    Listener,
    MaxRate,
    Node,
    NodeAt,
    Option,
    Package,
    Reason,
)
from diadem.cli.output import duration_text
from diadem.cli.verb import Answer, Commands
from diadem.errors import NotFound
from diadem.model.plain_text import count_text, size_text
from diadem.model.report import STRANGER

root = Commands()
#: What `--set-aside` does.
_ASIDE = "(moves files that do not belong there into the store's .diadem/quarantine)"

# -- scrub -----------------------------------------------------------------------------------------------------------


@root.verb()
def scrub(
    node: Node,
    listener: Listener,
    store: Annotated[str | None, Argument("One store. Default: all.")] = None,
    part: Annotated[str, Option("A slice of the packages: 3/28 for the third of 28.")] = "1/1",
    level: Annotated[str | None, Option("leaves (BLAKE3) or full (SHA-256 as well).")] = None,
    due: Annotated[bool, Option("Only copies that are due: nine tenths of the policy's interval are over.")] = False,
    package: Annotated[str | None, Option("One package only.")] = None,
    max_rate: MaxRate = None,
    jobs: Jobs = None,
    dask: Dask = None,
) -> Answer:
    """Read every byte of every copy and compare it. Can be interrupted and resumed."""
    from diadem.workers.executors import executor_of

    with executor_of(jobs=jobs, dask=dask) as executor, node.tell.beside():
        document = node.scrub(
            store,
            part=part,
            level=level,
            due=due,
            package=package,
            max_rate=max_rate,
            executor=executor,
            listener=listener,
        ).to_dict()
    return Answer(document, _scrub_lines(document, _titles(node, document), due=due), not document["ok"])


def _titles(node: Node, document: Mapping[str, Any]) -> dict[str, str]:
    """The packages that a document names: id, and a few words that people know it by."""
    named = {
        item["package"]
        for value in document.values()
        if isinstance(value, list)
        for item in value
        if isinstance(item, dict) and "package" in item
    }
    titles = {}
    for package in named:
        title = ""
        with contextlib.suppress(NotFound):
            title = f" {node.context.catalogue.get(package).title[:40]}"
        titles[package] = f"{package[:19]}…{title}"
    return titles


def _leaf(of: Mapping[str, Any]) -> str:
    return f", leaf {of['leaf']}" if of["leaf"] is not None else ""


def _scrub_lines(document: Mapping[str, Any], titles: Mapping[str, str], *, due: bool) -> Iterator[str]:
    if due and not any(document[key] for key in ("proven", "skipped", "damaged", "unread")):
        yield "nothing is due   every copy was read within the interval of the policy"
        return
    proven = count_text(document["proven"], "copy", "copies") if document["proven"] else "no copy"
    levels = f" ({' and '.join(document['levels'])})" if document["levels"] else ""
    right = f"{size_text(document['bytes'])} found right{levels} in {duration_text(document['seconds'])}"
    yield f"proven           {proven}, {right}"
    if document["part"] != "1/1":
        yield f"part             {document['part']}"
    if document["skipped"]:
        skipped = count_text(document["skipped"], "copy was", "copies were")
        yield f"resumed          {skipped} proven before the last run was stopped"
    for damage in document["damaged"]:
        word = "MISSING" if damage["state"] == "missing" else "DAMAGED"
        yield f"{word:16} {titles[damage['package']]} in {damage['store']}: {damage['path']}"
        errors = [finding for finding in damage["findings"] if finding["severity"] == "error"]
        for finding in errors[:5]:
            place = f"{finding['path']}{_leaf(finding)}: " if finding["path"] else ""
            yield f"                 {place}{finding['message']}"
        if len(errors) > 5:
            yield f"                 and {len(errors) - 5} more; all with --json"
    yield from (f"note             {note}" for note in document["notes"])
    yield from (f"NOT READ         {away['store']}: {away['reason']}" for away in document["unread"])
    if any(finding["code"] == STRANGER for damage in document["damaged"] for finding in damage["findings"]):
        yield f"next             diadem repair --set-aside   {_ASIDE}"
    elif document["damaged"]:
        yield "next             diadem repair"


# -- repair ----------------------------------------------------------------------------------------------------------


@root.verb()
def repair(
    node: Node,
    listener: Listener,
    package: Annotated[str | None, Argument("One package. Default: everything that needs it.")] = None,
    store: Annotated[str | None, Option("Only the copies in this store.")] = None,
    dry_run: DryRun = False,
    set_aside: Annotated[bool, Option("Move files that do not belong to a package out of it.")] = False,
    max_rate: MaxRate = None,
) -> Answer:
    """Mend damaged copies and write missing ones. Parity too, if the policy wants it."""
    document = node.repair(
        package, store=store, dry_run=dry_run, set_aside=set_aside, max_rate=max_rate, listener=listener
    ).to_dict()
    return Answer(document, _repair_lines(document, _titles(node, document), dry_run=dry_run), not document["ok"])


def _repair_lines(document: Mapping[str, Any], titles: Mapping[str, str], *, dry_run: bool) -> Iterator[str]:
    for action in document["planned"]:
        target = f" in {action['store']}" if action.get("store") else ""
        yield f"would {action['kind']:10} {titles[action['package']]}{target}: {action['reason']}"
    for made in document["mended"]:
        source = made["from"].removeprefix("replica:")
        place = f"{titles[made['package']]} in {made['store']}: {made['path']}{_leaf(made)}"
        yield f"mended           {place}, from {source}"
    for copy in document["copies"]:
        yield f"copied           {titles[copy['package']]} to {copy['store']}: {copy['path']}"
    yield from (f"parity           {titles[made['package']]} in {made['store']}" for made in document["parity"])
    for aside in document["set_aside"]:
        yield f"set aside        {titles[aside['package']]} in {aside['store']}: {aside['path']}, to {aside['place']}"
    yield from (f"tidied           {note}" for note in document["notes"])
    yield from (f"NOT DONE         {problem}" for problem in document["problems"])
    for left in document["left"]:
        place = f"{titles[left['package']]} in {left['store']}: {left['path']}{_leaf(left)}"
        yield f"NOT MENDED       {place}: {left['reason']}"
    for debt in document["debts"]:
        yield f"OWED             {titles[debt['package']]} to {debt['store']}: {debt['reason']}"
    for command in dict.fromkeys(left["command"] for left in document["left"] if left["command"]):
        yield f"next             {command}   {_ASIDE}"
    yield from _outlook_lines(document, dry_run=dry_run)


def _outlook_lines(document: Mapping[str, Any], *, dry_run: bool) -> Iterator[str]:
    """What is left to be done, and why it was not."""
    done = any(document[key] for key in ("planned", "mended", "copies", "parity", "set_aside", "left", "debts"))
    for number, wanting in enumerate(document["wanting"]):
        head = "STILL WANTED" if done else "nothing can be done now:" if number == 0 else ""
        yield f"{head:16} {wanting}"
    for name in document["away"] if not document["wanting"] else ():
        yield f"away             {name} does not answer; its copies count as they were last proven"
    if not done and document["ok"]:
        yield "nothing to do    every copy that the policy wants is there, as last proven: see diadem status"
    elif not dry_run and document["ok"]:
        yield "next             diadem status"


# -- drop, delete ----------------------------------------------------------------------------------------------------


@root.verb(user=True)
def drop(
    node: Node,
    listener: Listener,
    package: Package,
    store: Annotated[str, Option("The store whose copy is dropped.")],
    reason: Reason = "",
    below_minimum: Annotated[bool, Option("After the retention: leave fewer copies than the policy wants.")] = False,
    clock_is_right: ClockIsRight = False,
    dry_run: DryRun = False,
) -> Answer:
    """Drop one copy, after reading the others whole."""
    document = node.drop(
        package,
        store,
        reason=reason,
        below_minimum=below_minimum,
        clock_is_right=clock_is_right,
        dry_run=dry_run,
        listener=listener,
    ).to_dict()
    return Answer(document, _gone_lines(document, "dropped"))


@root.verb(user=True)
def delete(
    node: Node,
    listener: Listener,
    package: Package,
    reason: Reason = "",
    lost: Annotated[bool, Option("No copy is left anywhere: write it off, whatever its retention.")] = False,
    clock_is_right: ClockIsRight = False,
    dry_run: DryRun = False,
) -> Answer:
    """Delete a package everywhere once its retention is over. A signed tombstone remains."""
    document = node.delete(
        package, reason=reason, lost=lost, clock_is_right=clock_is_right, dry_run=dry_run, listener=listener
    ).to_dict()
    return Answer(document, _written_off_lines(document) if lost else _gone_lines(document, "deleted"))


def _written_off_lines(document: Mapping[str, Any]) -> Iterator[str]:
    said = "written off" if document["done"] else "would be written off"
    places = f", once in {', '.join(document['stores'])}" if document["stores"] else ""
    yield f"{said:16} {document['package'][:19]}… {document['title']}: no copy is left{places}"
    yield from (f"note             {note}" for note in document["notes"])


def _gone_lines(document: Mapping[str, Any], word: str) -> Iterator[str]:
    said = word if document["done"] else f"would be {word}"
    what = f"{said:16} {document['package'][:19]}… {document['title']}"
    if document["done"] and not document["stores"] and document["notes"]:
        yield f"{what}: {'; '.join(document['notes'])}"
        return
    yield f"{what}, from {', '.join(document['stores']) or 'no store'}, {size_text(document['bytes'])} each"
    yield from (f"proven just now  {proof['store']} ({proof['level']}, {proof['at']})" for proof in document["proofs"])


# -- reindex, rescan -------------------------------------------------------------------------------------------------


@root.verb()
def reindex(
    listener: Listener,
    into: Annotated[str | None, Option("Build it somewhere else: file, or postgresql://user@host/database")] = None,
    jobs: Jobs = None,
    dask: Dask = None,
    node: NodeAt = None,
) -> Answer:
    """Rebuild the catalogue from the stores and the log. Nothing else is changed."""
    from diadem.api.nodes import open_node
    from diadem.workers.executors import executor_of

    with (
        open_node(node, rebuild=True, sick=into is not None) as opened_node,
        executor_of(jobs=jobs, dask=dask) as executor,
    ):
        document = opened_node.reindex(executor=executor, into=into, listener=listener).to_dict()
    packages, copies = count_text(document["packages"], "package"), count_text(document["copies"], "copy", "copies")
    lines = [
        f"catalogue        {packages}, {copies}, {count_text(document['statements'], 'statement')}",
        *(f"note             {note}" for note in document["notes"]),
    ]
    return Answer(document, lines, bool(document["notes"]))


@root.verb()
def rescan(
    node: Node,
    listener: Listener,
    full: Annotated[bool, Option("Read and compare every file.")] = False,
    look_in: Annotated[list[Path] | None, Option("Where to look for a folder that was moved.")] = None,
) -> Answer:
    """Check adopted folders for renamed, edited or deleted files. Renames are followed; nothing is written there."""
    results = list(node.rescan(full=full, look_in=look_in or (), listener=listener))

    def lines() -> Iterator[str]:
        for result in results:
            package = str(result.package)[7:19]
            yield f"{package}     {result}"
            for change in result.changes[:10]:
                moved = f" → {change.now}" if change.now and change.now != change.before else ""
                yield f"  {change.state:14} {change.before}{moved}"
            if result.folder == "gone":
                yield f'  if it is gone for good: diadem drop {package} --store in-place --reason "..."'
        if not results:
            yield "no folder is adopted: diadem archive FOLDER --in-place"

    complete = all(result.complete for result in results)
    return Answer({"folders": [result.to_dict() for result in results]}, lines(), not complete)
