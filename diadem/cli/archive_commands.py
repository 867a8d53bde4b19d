"""Commands that take data in: archive."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from diadem.cli.node_options import As, Dask, Jobs, Json, NodeAt, Quiet, opened
from diadem.cli.output import duration_text, print_json, progress, size_text, tell
from diadem.errors import NotFound, UsageError
from diadem.model.plain_text import count_text, quoted
from diadem.model.scan import PlannedSession

#: Things left out that are named, of each of many sessions.
_NAMED = 5


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command()(archive)


def archive(
    source: Annotated[Path | None, typer.Argument(help="A session's folder, or one file. It is never changed.")] = None,
    plan: Annotated[
        Path | None, typer.Option("--plan", help="Archive the sessions of a sheet that `scan --plan` wrote.")
    ] = None,
    split: Annotated[bool, typer.Option("--split", help="One package for each session in the folder.")] = False,
    as_one: Annotated[bool, typer.Option("--as-one", help="One package, whatever the folder looks like.")] = False,
    in_place: Annotated[bool, typer.Option("--in-place", help="Adopt the folder where it is; copy nothing.")] = False,
    meta: Annotated[
        Path | None, typer.Option("--meta", help="Session, sample, people, instrument: a JSON or TOML file.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="One fact: --set sample.name=S-12. May be repeated.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse if any file cannot be archived.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the session is finished.")] = False,
    now: Annotated[bool, typer.Option("--now", help="Archive even if it has just changed.")] = False,
    store: Annotated[str | None, typer.Option("--store", help="Which store is filled first.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be archived; write nothing.")] = False,
    jobs: Jobs = None,
    dask: Dask = None,
    node: NodeAt = None,
    user: As = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Archive a session in as many stores as the policy wants. One session makes one verified package."""
    metadata = _metadata(meta, set_)
    if (source is None) == (plan is None):
        raise UsageError("name a folder or a plan", next="Example: diadem archive 2026-03-14_ZnO")
    if as_one and (split or plan is not None):
        other = "--split" if split else "--plan"
        raise UsageError(f"{other} and --as-one cannot be used together", next="Leave one of them out.")
    if split and source is not None and not source.is_dir():
        what = "this is a file, and one session" if source.exists() else "there is no such folder"
        raise (UsageError if source.exists() else NotFound)(
            what, where=str(source), next="Name the folder that holds the sessions, or leave --split out."
        )
    many = plan is not None or split
    if not many and (jobs is not None or dask is not None):
        raise UsageError(
            "one session is archived by one process; --jobs and --dask are for many sessions",
            next="Name a plan (--plan), or a folder that holds several sessions (--split).",
        )
    from diadem.api.packages import scan as read_folders
    from diadem.workers.executors import executor_of

    with (
        opened(node, user) as found,
        executor_of(jobs=jobs, dask=dask) as executor,
        progress(quiet=quiet or json) as listener,
    ):
        options: dict[str, Any] = {"strict": strict, "now": now, "wait": wait, "listener": listener}
        if many:
            archive_all = found.archive_all  # a node elsewhere says so before a drive is read
            scan = None if source is None else read_folders(source, listener=listener)
            chosen = str(plan) if scan is None else scan
            results = archive_all(chosen, metadata=metadata, dry_run=dry_run, executor=executor, **options)
            with closing(results):  # whoever stops here stops the workers before the node is closed
                code = _show_all(results, as_json=json)
            if scan is not None and not json:
                _show_left(source, [session for session in scan.sessions if not session.archive])
            return code
        if dry_run:
            planned = found.plan(str(source), metadata=metadata, as_one=as_one, wait=wait, now=now, listener=listener)
            print_json({"plan": planned}) if json else _show_plan(planned)
            return 1 if planned["refused"] else 0
        archived = found.archive(
            str(source), metadata=metadata, as_one=as_one, in_place=in_place, store=store, **options
        )
        document = archived.to_dict()
    if json:
        print_json(document)
    else:
        show_archived(document)
    return 1 if document["omitted"] or document["lost"] else 0


def _metadata(meta: Path | None, pairs: list[str] | None) -> dict[str, Any] | None:
    from diadem.api import metadata_from_pairs
    from diadem.cli.package_commands import read_metadata

    given = read_metadata(meta) if meta else {}
    return metadata_from_pairs(pairs or [], given) or None


def show_archived(document: dict[str, Any]) -> None:
    """Tell a person what archiving one session did."""
    what = {"new": "archived", "continuation": "continued", "already": "already archived", "taken": "imported"}[
        document["what"]
    ]
    package = document["package"]
    print(f"{what:16} {package['path']}")
    print(f"package          {package['id']}")
    if document["predecessor"]:
        print(f"continues        {document['predecessor'][:19]}…  (only the new and changed files were archived)")
    datasets, files = count_text(document["datasets"], "dataset"), count_text(document["files"], "file")
    print(f"content          {datasets}, {files}, {size_text(document['bytes'])}")
    for copy in document["copies"]:
        print(f"copy             {copy['store']:12} {_proof(copy)}")
    _show_remarks(document)
    for path in document["swept"]:
        print(f"cleaned up       {path}, left by a run that was killed")
    show_suggested(document)
    print(f"time             {duration_text(document['seconds'])}")
    if document.get("next"):
        print(f"next             {document['next']}")


def _show_remarks(document: dict[str, Any], shown: int | None = None) -> None:
    """What a person should know of a session that was archived; of things left out, the first few."""
    for debt in document["debts"]:
        print(f"OWED             {debt['store']:12} {debt['reason']}; later: diadem repair")
    for package in document["lost"]:
        print(f"LOST             no copy of {package[:19]}… is left; the files still in the source were archived again")
    for item in document["omitted"][:shown]:
        print(f"LEFT OUT         {item['path']}: {item['reason']}")
    if shown is not None and len(document["omitted"]) > shown:
        print(f"                 and {len(document['omitted']) - shown:,} more; all with --json")
    for item in document["flagged"][:5]:
        print(f"look at          {item['path']}: {item['code']}")
    if sum(document["issues"].values()) > len(document["flagged"][:5]):
        total = sum(document["issues"].values())
        print(f"                 {total} issues in all: see the page data/ro-crate-preview.html")


def show_suggested(document: dict[str, Any]) -> None:
    """Ask whether a session is of a known sample, with what says so: it is never said for a person."""
    for line in suggested_lines(document):
        print(line)


def suggested_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """The same in lines."""
    for sample in document.get("samples", ()):
        found = f"'{sample['name']}' is in {sample['where']}"
        yield f"sample           {sample['identifier']}?  {found}; if so: {sample['command']}"


def _proof(copy: dict[str, Any]) -> str:
    words = {
        "written": "proven while it was written",
        "server": "proven by the server as it arrived",
        "read-back": "every leaf was read back",
        "earlier": "was there",
        "unseen": "cannot be seen now: its store does not answer",
        "none": "written, not yet proven",
    }
    return f"{words.get(copy['proof'], copy['proof'])}   {copy['path']}"


def _show_plan(planned: dict[str, Any]) -> None:
    from diadem.cli import render

    render.plan(planned)
    if refused := planned["refused"]:
        print(f"WOULD REFUSE     {refused['message']}")
        print(f"                 {refused['next']}")
    show_suggested(planned)


def _show_all(results: Any, *, as_json: bool) -> int:
    """Print each session's result when it is there; 1 where one failed or something was left out."""
    documents: list[dict[str, Any]] = []
    code = 0
    for result in results:
        document = result.to_dict()
        documents.append(document)
        if document.get("error") or document.get("omitted") or document.get("lost"):
            code = 1
        if not as_json:
            _show_one(document)
    if as_json:
        print_json({"sessions": documents})
    elif documents:
        print(f"in all           {_summed_up(documents)}")
    else:
        print("nothing to do    no session is to be archived")
    return code


def _show_left(source: Path | None, sessions: Sequence[PlannedSession]) -> None:
    """Name what the scan would not archive by itself: nobody should think that it was."""
    for session in sessions[:_NAMED]:
        tell(f"left             {session.folder}: {session.why}")
    if len(sessions) > _NAMED:
        print(f"                 and {len(sessions) - _NAMED:,} more")
    if sessions:
        tell(
            f"next             diadem scan {quoted(source)} --plan plan.xlsx   "
            "(say yes there, then: diadem archive --plan plan.xlsx)"
        )


def _summed_up(documents: list[dict[str, Any]]) -> str:
    """``3 sessions: 2 new, 1 not archived; 1 file left out, 1 copy owed``."""
    words = {
        "new": "new",
        "continuation": "continued",
        "already": "archived already",
        "planned": "would be archived",
        "failed": "not archived",
    }
    counts = {state: sum(document["state"] == state for document in documents) for state in words}
    states = ", ".join(f"{counts[state]:,} {word}" for state, word in words.items() if counts[state])
    more = [
        f"{count_text(sum(len(document.get(key, ())) for document in documents), one, several)} {word}"
        for key, one, several, word in (
            ("omitted", "thing", "things", "left out"),
            ("flagged", "thing", "things", "to look at"),
            ("debts", "copy", "copies", "owed"),
        )
        if any(document.get(key) for document in documents)
    ]
    return f"{count_text(len(documents), 'session')}: {states}" + (f"; {', '.join(more)}" if more else "")


def _show_one(document: dict[str, Any]) -> None:
    if error := document.get("error"):
        print(f"NOT ARCHIVED     {document['title']}: {error['message']}")
        if error.get("next"):
            print(f"                 {error['next']}")
    elif document["state"] == "planned":
        files = count_text(document["files"], "file")
        word = {"same": "archived already", "extends": "would continue"}.get(document["known"]["relation"])
        print(f"{word or 'would archive':16} {document['title']}  {files}, {size_text(document['bytes'])}")
        for item in document["omitted"][:_NAMED]:
            print(f"would leave out  {item['path']}: {item['reason']}")
    else:
        print(f"{document['state']:16} {document['title']}  {document['package']['id'][:19]}…")
        seen = [copy for copy in document["copies"] if copy["proof"] != "unseen"]
        paths = dict.fromkeys(copy["path"] for copy in seen)
        print(f"                 {', '.join(paths)}, in {', '.join(copy['store'] for copy in seen)}")
        _show_remarks(document, _NAMED)
        show_suggested(document)
