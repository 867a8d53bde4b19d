"""Commands that look after copies: scrub, repair, drop, delete, reindex."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated, Any

import typer

from diadem.cli.node_options import As, Dask, Jobs, Json, MaxRate, NodeAt, Quiet, opened, read_rate
from diadem.cli.output import duration_text, print_json, progress, size_text
from diadem.errors import NotFound
from diadem.model.plain_text import count_text
from diadem.model.report import STRANGER

if TYPE_CHECKING:
    from diadem.api.nodes import Node

DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done; change nothing.")]


#: What `--set-aside` does.
_ASIDE = "(moves files that do not belong there into the store's .diadem/quarantine)"


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    for command in (scrub, repair, drop, delete, reindex):
        app.command()(command)


def scrub(
    store: Annotated[str | None, typer.Argument(help="One store. Default: all.")] = None,
    part: Annotated[str, typer.Option("--part", help="A slice of the packages: 3/28 for the third of 28.")] = "1/1",
    level: Annotated[str | None, typer.Option("--level", help="leaves (BLAKE3) or full (SHA-256 as well).")] = None,
    due: Annotated[
        bool, typer.Option("--due", help="Only copies whose proof is older than the policy allows.")
    ] = False,
    package: Annotated[str | None, typer.Option("--package", help="One package only.")] = None,
    max_rate: MaxRate = None,
    jobs: Jobs = None,
    dask: Dask = None,
    node: NodeAt = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Read every byte of every copy and compare it. Can be interrupted and resumed."""
    from diadem.workers.executors import executor_of

    with (
        opened(node) as found,
        executor_of(jobs=jobs, dask=dask) as executor,
        progress(quiet=quiet or json) as listener,
    ):
        done = found.scrub(
            store,
            part=part,
            level=level,
            due=due,
            package=package,
            max_rate=read_rate(max_rate),
            executor=executor,
            listener=listener,
        )
        document = done.to_dict()
        titles = _titles(found, document)
    if json:
        print_json(document)
    else:
        _show_scrub(document, titles, due=due)
    return 0 if document["ok"] else 1


def _titles(found: Node, document: dict[str, Any]) -> dict[str, str]:
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
            title = f" {found.context.catalogue.get(package).title[:40]}"
        titles[package] = f"{package[:19]}…{title}"
    return titles


def _show_scrub(document: dict[str, Any], titles: dict[str, str], *, due: bool) -> None:
    if due and not any(document[key] for key in ("proven", "skipped", "damaged", "unread")):
        print("nothing is due   every copy was read within the interval of the policy")
        return
    proven = count_text(document["proven"], "copy", "copies") if document["proven"] else "no copy"
    levels = f" ({' and '.join(document['levels'])})" if document["levels"] else ""
    read = f"{size_text(document['bytes'])} read{levels} in {duration_text(document['seconds'])}"
    print(f"proven           {proven}, {read}")
    if document["part"] != "1/1":
        print(f"part             {document['part']}")
    if document["skipped"]:
        skipped = count_text(document["skipped"], "copy was", "copies were")
        print(f"resumed          {skipped} proven before the last run was stopped")
    for damage in document["damaged"]:
        word = "MISSING" if damage["state"] == "missing" else "DAMAGED"
        print(f"{word:16} {titles[damage['package']]} in {damage['store']}: {damage['path']}")
        errors = [finding for finding in damage["findings"] if finding["severity"] == "error"]
        for finding in errors[:5]:
            leaf = f", leaf {finding['leaf']}" if finding["leaf"] is not None else ""
            place = f"{finding['path']}{leaf}: " if finding["path"] else ""
            print(f"                 {place}{finding['message']}")
        if len(errors) > 5:
            print(f"                 and {len(errors) - 5} more; all with --json")
    for note in document["notes"]:
        print(f"note             {note}")
    for away in document["unread"]:
        print(f"NOT READ         {away['store']}: {away['reason']}")
    if any(finding["code"] == STRANGER for damage in document["damaged"] for finding in damage["findings"]):
        print(f"next             diadem repair --set-aside   {_ASIDE}")
    elif document["damaged"]:
        print("next             diadem repair")


def repair(
    package: Annotated[str | None, typer.Argument(help="One package. Default: everything that needs it.")] = None,
    store: Annotated[str | None, typer.Option("--store", help="Only the copies in this store.")] = None,
    dry_run: DryRun = False,
    set_aside: Annotated[
        bool, typer.Option("--set-aside", help="Move files that do not belong to a package out of it.")
    ] = False,
    max_rate: MaxRate = None,
    node: NodeAt = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Mend damaged copies and write missing ones. Parity too, if the policy wants it."""
    with opened(node) as found, progress(quiet=quiet or json) as listener:
        done = found.repair(
            package, store=store, dry_run=dry_run, set_aside=set_aside, max_rate=read_rate(max_rate), listener=listener
        )
        document = done.to_dict()
        titles = _titles(found, document)
    if json:
        print_json(document)
    else:
        _show_repair(document, titles, dry_run=dry_run)
    return 0 if document["ok"] else 1


def _show_repair(document: dict[str, Any], titles: dict[str, str], *, dry_run: bool) -> None:
    for action in document["planned"]:
        target = f" in {action['store']}" if action.get("store") else ""
        print(f"would {action['kind']:10} {titles[action['package']]}{target}: {action['reason']}")
    for made in document["mended"]:
        leaf = f", leaf {made['leaf']}" if made["leaf"] is not None else ""
        source = made["from"].removeprefix("replica:")
        print(f"mended           {titles[made['package']]} in {made['store']}: {made['path']}{leaf}, from {source}")
    for copy in document["copies"]:
        print(f"copied           {titles[copy['package']]} to {copy['store']}: {copy['path']}")
    for made in document["parity"]:
        print(f"parity           {titles[made['package']]} in {made['store']}")
    for aside in document["set_aside"]:
        print(f"set aside        {titles[aside['package']]} in {aside['store']}: {aside['path']}, to {aside['place']}")
    for note in document["notes"]:
        print(f"tidied           {note}")
    for problem in document["problems"]:
        print(f"NOT DONE         {problem}")
    for left in document["left"]:
        leaf = f", leaf {left['leaf']}" if left["leaf"] is not None else ""
        print(f"NOT MENDED       {titles[left['package']]} in {left['store']}: {left['path']}{leaf}: {left['reason']}")
    for debt in document["debts"]:
        print(f"OWED             {titles[debt['package']]} to {debt['store']}: {debt['reason']}")
    for command in dict.fromkeys(left["command"] for left in document["left"] if left["command"]):
        print(f"next             {command}   {_ASIDE}")
    _show_outlook(document, dry_run=dry_run)


def _show_outlook(document: dict[str, Any], *, dry_run: bool) -> None:
    """What is left to be done, and why it was not."""
    done = any(document[key] for key in ("planned", "mended", "copies", "parity", "set_aside", "left", "debts"))
    for number, wanting in enumerate(document["wanting"]):
        head = "STILL WANTED" if done else "nothing can be done now:" if number == 0 else ""
        print(f"{head:16} {wanting}")
    for name in document["away"] if not document["wanting"] else ():
        print(f"away             {name} does not answer; its copies count as they were last proven")
    if not done and document["ok"]:
        print("nothing to do    every copy that the policy wants is there, as last proven: see diadem status")
    elif not dry_run and document["ok"]:
        print("next             diadem status")


ClockIsRight = Annotated[
    bool, typer.Option("--clock-is-right", help="The clock is right: years did pass without a log entry.")
]


def drop(
    package: Annotated[str, typer.Argument(help="Which package.")],
    store: Annotated[str, typer.Option("--store", help="The store whose copy is dropped.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the log.")] = "",
    below_minimum: Annotated[
        bool,
        typer.Option("--below-minimum", help="After the retention: leave fewer copies than the policy wants."),
    ] = False,
    clock_is_right: ClockIsRight = False,
    dry_run: DryRun = False,
    node: NodeAt = None,
    user: As = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Drop one copy, after reading the others whole."""
    with opened(node, user) as found, progress(quiet=quiet or json) as listener:
        document = found.drop(
            package,
            store,
            reason=reason,
            below_minimum=below_minimum,
            clock_is_right=clock_is_right,
            dry_run=dry_run,
            listener=listener,
        ).to_dict()
    _show_gone(document, as_json=json, word="dropped")
    return 0


def delete(
    package: Annotated[str, typer.Argument(help="Which package.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the log.")] = "",
    lost: Annotated[
        bool, typer.Option("--lost", help="No copy is left anywhere: write it off, whatever its retention.")
    ] = False,
    clock_is_right: ClockIsRight = False,
    dry_run: DryRun = False,
    node: NodeAt = None,
    user: As = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Delete a package everywhere once its retention is over. A signed tombstone remains."""
    with opened(node, user) as found, progress(quiet=quiet or json) as listener:
        document = found.delete(
            package, reason=reason, lost=lost, clock_is_right=clock_is_right, dry_run=dry_run, listener=listener
        ).to_dict()
    if lost and not json:
        _show_written_off(document)
    else:
        _show_gone(document, as_json=json, word="deleted")
    return 0


def _show_written_off(document: dict[str, Any]) -> None:
    said = "written off" if document["done"] else "would be written off"
    places = f", once in {', '.join(document['stores'])}" if document["stores"] else ""
    print(f"{said:16} {document['package'][:19]}… {document['title']}: no copy is left{places}")
    for note in document["notes"]:
        print(f"note             {note}")


def _show_gone(document: dict[str, Any], *, as_json: bool, word: str) -> None:
    if as_json:
        print_json(document)
        return
    said = word if document["done"] else f"would be {word}"
    if document["done"] and not document["stores"] and document["notes"]:
        print(f"{said:16} {document['package'][:19]}… {document['title']}: {'; '.join(document['notes'])}")
        return
    places = ", ".join(document["stores"]) or "no store"
    print(
        f"{said:16} {document['package'][:19]}… {document['title']}, from {places}, {size_text(document['bytes'])} each"
    )
    for proof in document["proofs"]:
        print(f"proven just now  {proof['store']} ({proof['level']}, {proof['at']})")


def reindex(
    into: Annotated[
        str | None,
        typer.Option("--into", help="Build it somewhere else: file, or postgresql://user@host/database"),
    ] = None,
    jobs: Jobs = None,
    dask: Dask = None,
    node: NodeAt = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Rebuild the catalogue from the stores and the log. Nothing else is changed."""
    from diadem.api.nodes import open_node
    from diadem.workers.executors import executor_of

    opened_node = open_node(node, rebuild=True, sick=into is not None)
    with (
        opened_node as found,
        executor_of(jobs=jobs, dask=dask) as executor,
        progress(quiet=quiet or json) as listener,
    ):
        document = found.reindex(executor=executor, into=into, listener=listener).to_dict()
    if json:
        print_json(document)
    else:
        print(
            f"catalogue        {count_text(document['packages'], 'package')}, "
            f"{count_text(document['copies'], 'copy', 'copies')}, {count_text(document['statements'], 'statement')}"
        )
        for note in document["notes"]:
            print(f"note             {note}")
    return 1 if document["notes"] else 0
