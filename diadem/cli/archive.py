"""Commands by which packages come in and go out: scan, archive, export, site, import."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from diadem.cli.options import (
    Argument,
    As,
    Dask,
    Jobs,
    Json,
    Listener,
    Meta,
    Node,
    NodeAt,
    Option,
    Quiet,
    StoreOf,
    Strict,
)
from diadem.cli.output import aside, duration_text, print_json, progress, tell_all
from diadem.cli.packages import plan_lines, read_object
from diadem.cli.verb import Answer, Commands, is_id, opened
from diadem.errors import NotFound, UsageError
from diadem.model.plain_text import count_text, query_text, quoted, size_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from diadem.model.scan import PlannedSession

root = Commands()
#: Things left out that are named, of each of many sessions; and things of an export that are.
_NAMED, _SHOWN = 5, 20

# -- scan ------------------------------------------------------------------------------------------------------------


@root.verb()
def scan(
    folders: Annotated[list[Path], Argument("One folder or several; they are only read.", metavar="FOLDER")],
    csv: Annotated[Path | None, Option("Write the datasets as a table.")] = None,
    xlsx: Annotated[Path | None, Option("Write all tables as sheets, the plan too.")] = None,
    html: Annotated[Path | None, Option("Write one page to look at.")] = None,
    plan: Annotated[Path | None, Option("Write the sessions as a sheet to edit: .xlsx or .csv.")] = None,
    everything: Annotated[bool, Option("Show every session and dataset here.", "--all")] = False,
    no_cache: Annotated[bool, Option("Read everything again, and keep nothing for the next scan.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Look at the folders you have; nothing is written. What is there, which sessions it makes, what is odd."""
    import diadem

    outputs = _outputs(folders, csv=csv, xlsx=xlsx, html=html)
    plans = _outputs(folders, plan=plan)
    with progress(quiet=quiet or json) as listener:
        found = diadem.scan(*folders, cache=not no_cache, listener=listener)
    written = [found.save(path) for path in outputs] + [found.save_plan(path) for path in plans]
    if json:
        print_json({**found.to_dict(), "written": [str(path) for path in written]})
    else:
        from diadem.cli.scan_view import show

        show(found, everything=everything, written=written)
    return 0 if found.complete else 1


_ENDINGS = {"csv": (".csv",), "xlsx": (".xlsx",), "html": (".html", ".htm"), "plan": (".xlsx", ".csv")}


def _outputs(folders: list[Path], **named: Path | None) -> list[Path]:
    """The outputs that were asked for; one that cannot be is refused now, not after an hour."""
    from diadem.scan.scan import keep_out

    chosen = []
    for option, path in named.items():
        if path is None:
            continue
        if path.suffix.lower() not in _ENDINGS[option]:
            wanted = " or ".join(_ENDINGS[option])
            raise UsageError(f"--{option} writes {wanted}", where=str(path), next=f"Let its name end in {wanted}.")
        keep_out(path, [str(folder) for folder in folders])
        if not path.absolute().parent.is_dir():
            raise UsageError("there is no such folder to write in", where=str(path.parent), next="Make it first.")
        chosen.append(path)
    return chosen


# -- archive ---------------------------------------------------------------------------------------------------------


@root.verb()
def archive(
    listener: Listener,
    source: Annotated[Path | None, Argument("A session's folder, or one file. It is never changed.")] = None,
    plan: Annotated[Path | None, Option("Archive the sessions of a sheet that `scan --plan` wrote.")] = None,
    split: Annotated[bool, Option("One package for each session in the folder.")] = False,
    as_one: Annotated[bool, Option("One package, whatever the folder looks like.")] = False,
    in_place: Annotated[bool, Option("Adopt the folder where it is; copy nothing.")] = False,
    meta: Meta = None,
    set_: Annotated[list[str] | None, Option("One fact: --set sample.name=S-12. May be repeated.")] = None,
    strict: Strict = False,
    wait: Annotated[bool, Option("Wait until the session is finished.")] = False,
    now: Annotated[bool, Option("Archive even if it has just changed.")] = False,
    store: Annotated[str | None, Option("Which store is filled first.")] = None,
    dry_run: Annotated[bool, Option("Show what would be archived; write nothing.")] = False,
    jobs: Jobs = None,
    dask: Dask = None,
    node: NodeAt = None,
    user: As = None,
    json: Json = False,
) -> Answer | int:
    """Archive a session in as many stores as the policy wants. One session makes one verified package."""
    from diadem.api import metadata_from_pairs

    metadata = (
        metadata_from_pairs(set_ or [], read_object(meta, "--meta", example={"sample": {}}) if meta else {}) or None
    )
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
    from diadem.workers.executors import executor_of

    options: dict[str, Any] = {"metadata": metadata, "wait": wait, "now": now, "listener": listener}
    with opened(node, user) as at, executor_of(jobs=jobs, dask=dask) as executor:
        if many:
            options |= {"strict": strict, "dry_run": dry_run, "executor": executor}
            return _archive_many(at, source, plan, options, json=json)
        if dry_run:
            planned = at.plan(str(source), as_one=as_one, **options)
            return Answer({"plan": planned}, _planned_lines(planned), bool(planned["refused"]))
        document = at.archive(
            str(source), as_one=as_one, in_place=in_place, store=store, strict=strict, **options
        ).to_dict()
    return Answer(document, archived_lines(document), bool(document["omitted"] or document["lost"]))


def archived_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """What archiving one session did."""
    what = {"new": "archived", "continuation": "continued", "already": "already archived", "taken": "imported"}[
        document["what"]
    ]
    package = document["package"]
    yield f"{what:16} {package['path']}"
    yield f"package          {package['id']}"
    if document["what"] == "taken":
        yield "                 it was a package already, and keeps its id"
    if document["predecessor"]:
        yield f"continues        {document['predecessor'][:19]}…  (only the new and changed files were archived)"
    datasets, files = count_text(document["datasets"], "dataset"), count_text(document["files"], "file")
    yield f"content          {datasets}, {files}, {size_text(document['bytes'])}"
    for copy in document["copies"]:
        yield f"copy             {copy['store']:12} {_PROOFS.get(copy['proof'], copy['proof'])}   {copy['path']}"
    yield from _remarks(document)
    yield from (f"cleaned up       {path}, left by a run that was killed" for path in document["swept"])
    yield from suggested_lines(document)
    yield f"time             {duration_text(document['seconds'])}"
    if document.get("next"):
        yield f"next             {document['next']}"


_PROOFS = {
    "written": "proven while it was written",
    "server": "proven by the server as it arrived",
    "read-back": "every leaf was read back",
    "earlier": "was there",
    "unseen": "cannot be seen now: its store does not answer",
    "none": "written, not yet proven",
}


def _remarks(document: Mapping[str, Any], shown: int | None = None) -> Iterator[str]:
    """What a person should know of a session that was archived; of things left out, the first few."""
    owed = (f"OWED             {debt['store']:12} {debt['reason']}; later: diadem repair" for debt in document["debts"])
    yield from dict.fromkeys(owed)  # of a session in several packages, each line once
    for package in document["lost"]:
        yield f"LOST             no copy of {package[:19]}… is left; the files still in the source were archived again"
    yield from (f"LEFT OUT         {item['path']}: {item['reason']}" for item in document["omitted"][:shown])
    if shown is not None and len(document["omitted"]) > shown:
        yield f"                 and {len(document['omitted']) - shown:,} more; all with --json"
    yield from (f"look at          {item['path']}: {item['code']}" for item in document["flagged"][:5])
    if sum(document["issues"].values()) > len(document["flagged"][:5]):
        total = sum(document["issues"].values())
        yield f"                 {total} issues in all: see the page data/ro-crate-preview.html"


def suggested_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """Ask whether a session is of a known sample, with what says so: it is never said for a person."""
    for sample in document.get("samples", ()):
        found = f"'{sample['name']}' is in {sample['where']}"
        yield f"sample           {sample['identifier']}?  {found}; if so: {sample['command']}"


def _planned_lines(planned: Mapping[str, Any]) -> Iterator[str]:
    yield from plan_lines(planned)
    if refused := planned["refused"]:
        yield f"WOULD REFUSE     {refused['message']}"
        yield f"                 {refused['next']}"
    yield from suggested_lines(planned)


def _archive_many(at: Any, source: Path | None, plan: Path | None, options: dict[str, Any], *, json: bool) -> int:
    """Archive many sessions, and tell of each when it is there; 1 where one failed or something was left out."""
    from diadem.api.packages import scan as read_folders

    archive_all = at.archive_all  # a node elsewhere says so before a drive is read
    scan = None if source is None else read_folders(source, listener=options["listener"])
    documents: list[dict[str, Any]] = []
    with closing(archive_all(str(plan) if scan is None else scan, **options)) as results:
        for result in results:  # whoever stops here stops the workers before the node is closed
            documents.append(result.to_dict())
            tell_all(() if json else _session_lines(documents[-1]))
    if json:
        print_json({"sessions": documents})
    else:
        tell_all(
            [
                f"in all           {_summed_up(documents)}"
                if documents
                else "nothing to do    no session is to be archived"
            ]
        )
        if scan is not None:
            tell_all(_left_lines(source, [session for session in scan.sessions if not session.archive]))
    failed = any(one.get("error") or one.get("omitted") or one.get("lost") for one in documents)
    return 1 if failed else 0


def _session_lines(document: Mapping[str, Any]) -> Iterator[str]:
    if error := document.get("error"):
        yield f"NOT ARCHIVED     {document['title']}: {error['message']}"
        if error.get("next"):
            yield f"                 {error['next']}"
    elif document["state"] == "planned":
        files = count_text(document["files"], "file")
        word = {"same": "archived already", "extends": "would continue"}.get(document["known"]["relation"])
        yield f"{word or 'would archive':16} {document['title']}  {files}, {size_text(document['bytes'])}"
        yield from (f"would leave out  {item['path']}: {item['reason']}" for item in document["omitted"][:_NAMED])
    else:
        yield f"{document['state']:16} {document['title']}  {document['package']['id'][:19]}…"
        seen = [copy for copy in document["copies"] if copy["proof"] != "unseen"]
        paths = dict.fromkeys(copy["path"] for copy in seen)
        yield f"                 {', '.join(paths)}, in {', '.join(copy['store'] for copy in seen)}"
        yield from _remarks(document, _NAMED)
        yield from suggested_lines(document)


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


def _left_lines(source: Path | None, sessions: Sequence[PlannedSession]) -> Iterator[str]:
    """Name what the scan would not archive by itself: nobody should think that it was."""
    yield from (f"left             {session.folder}: {session.why}" for session in sessions[:_NAMED])
    if len(sessions) > _NAMED:
        yield f"                 and {len(sessions) - _NAMED:,} more"
    if sessions:
        sheet = f"diadem scan {quoted(source)} --plan plan.xlsx"
        yield f"next             {sheet}   (say yes there, then: diadem archive --plan plan.xlsx)"


# -- export ----------------------------------------------------------------------------------------------------------


@root.verb()
def export(
    listener: Listener,
    package: Annotated[str, Argument("Which package; with --as, also a folder or ZIP of it that no node has.")],
    path: Annotated[
        str, Argument("A new file OUT.zip; with --to, a folder on a disk; with --as, as that wants it.", metavar="OUT")
    ],
    for_: Annotated[str, Option('Who gets it: "Marie Curie <m@x.org>". Required for a ZIP; kept in the log.')] = "",
    only: Annotated[str | None, Option("raw: the instrument's files alone. record: the metadata alone.")] = None,
    redact: Annotated[bool, Option("Remove people's names; list where that was not possible.")] = False,
    chain: Annotated[bool, Option("All packages of the session, if it has several.")] = False,
    custody: Annotated[
        bool, Option("Say in the ZIP who had the package until now; it names people.", "--custody/--no-custody")
    ] = True,
    to: Annotated[str, Option("For a person at another node, on a disk: marie@nmi")] = "",
    as_: Annotated[
        str, Option("In another form, or to a service, by the name of an exporter (see: diadem plugins).")
    ] = "",
    dataset: Annotated[str, Option("With --as: only this dataset, by its path or id.")] = "",
    search: Annotated[bool, Option("With --as: the first argument is a search; all that it finds.")] = False,
    option: Annotated[
        list[str] | None, Option("With --as: an option of the form, NAME=VALUE; may be repeated.")
    ] = None,
    publish: Annotated[bool, Option("With --as: publish it there; else it stays a draft.")] = False,
    dry_run: Annotated[bool, Option("Show what would be exported; write nothing.")] = False,
    node: NodeAt = None,
    user: As = None,
) -> Answer:
    """Make a ZIP for someone without DIADEM. A page in it explains the package; the log records the handover.

    With --as, in another form (nxem, eln, datacite, site), or to a service (zenodo). With --to, a disk for a person at
    another node: offered to them, sealed for their node alone.
    """
    if as_ not in ("", "zip"):
        options = [*(option or ()), *(["publish=true"] if publish else ())]
        if to or only or redact or chain or not custody:
            raise UsageError(
                "a form is made of the whole package",
                next="Leave out --to, --only, --redact, --chain and --no-custody.",
            )
        if not (search or is_id(package)):
            return _alone(package, path, as_, dataset, options, listener, named=bool(for_ or dry_run))
        with opened(node, user) as at, aside():
            made = at.export(
                package, path, form=as_, for_=for_, dataset=dataset, search=search, options=options, dry_run=dry_run,
                listener=listener,
            ).to_dict()  # fmt: skip
            by = at.user
        return Answer(made, _form_lines(made, by), bool(made["unopened"]))
    if dataset or search or option or publish:
        raise UsageError("--dataset, --search, --option and --publish are for a form", next="Name one: --as FORM")
    if to and (for_ or only or redact or chain or not custody):
        raise UsageError(
            "a disk holds one whole package", next="Leave out --for, --only, --redact, --chain and --no-custody."
        )
    if only not in (None, "raw", "record"):
        raise UsageError(f"'{only}' is not a part of a package", next="Write raw or record.")
    with opened(node, user) as at:
        if to:
            disk = at.export_disk(package, to, path, dry_run=dry_run, listener=listener).to_dict()
            offered = disk["transfer"]
            what = f"{offered['title']}, {size_text(offered['bytes'])}, to {offered['recipient']}"
            if not disk["done"]:
                would = f"would export     {what}, into {disk['folder']}; nothing was written or offered"
                return Answer(disk, [would])
            new, folder = disk["objects"], disk["folder"]
            written = f"{count_text(new, 'object')} into {folder}" if new else f"before: every object is in {folder}"
            lines = [
                f"exported         {what}, sealed for their node",
                f"transfer         {offered['id']}, until {offered['expires'][:10]}",
                f"written          {written}",
                "on the other side: diadem import FOLDER",
            ]
            return Answer(disk, lines)
        by = at.user
        document = at.export(
            package, path, for_=for_, only=only, redact=redact, chain=chain, custody=custody, dry_run=dry_run,
            listener=listener,
        ).to_dict()  # fmt: skip
    return Answer(document, _exported_lines(document, by, custody=custody), not document["ok"])


def _alone(
    package: str, path: str, form: str, dataset: str, options: Sequence[str], listener: Listener, *, named: bool
) -> Answer:
    """Export what no node has."""
    import diadem

    if named:
        raise UsageError("no node has it, so no log says who gets it", next="Leave out --for and --dry-run.")
    with aside():
        made = diadem.open(package).export(form, path, dataset=dataset, options=options, listener=listener).to_dict()
    return Answer(made, _form_lines(made, ""))


@root.verb(user=True)
def site(
    node: Node,
    listener: Listener,
    path: Annotated[Path, Argument("A new or empty folder.", metavar="OUT")],
    query: Annotated[list[str] | None, Argument("As for search; without it, everything.")] = None,
    packages: Annotated[bool, Option("Put the packages beside it, whole.")] = False,
    for_: Annotated[str, Option('Who gets it: "Marie Curie <m@x.org>". Kept in the log.')] = "",
    dry_run: Annotated[bool, Option("Show what would be written; write nothing.")] = False,
) -> Answer:
    """Write a searchable catalogue as a folder. Any browser shows it, from a disk, without a server or a network."""
    with aside():
        made = node.site(
            path, query_text(query or []), packages=packages, for_=for_, dry_run=dry_run, listener=listener
        ).to_dict()
    return Answer(made, _form_lines(made, node.user), bool(made["unopened"]))


def _form_lines(document: Mapping[str, Any], by: str) -> Iterator[str]:
    packages = document["packages"]
    what = f"{document['dataset']} of {packages[0]}" if document["dataset"] else packages[0]
    what = what if len(packages) == 1 else count_text(len(packages), "package")
    if not document["done"]:
        yield f"would export     {what} as {document['form']} to {document['path']}; nothing was written"
        have = "it has" if len(packages) == 1 else "they have"
        yield f"{'':16} whether {have} all that {document['form']} needs is seen when it is made"
        for one in document["unopened"][:_SHOWN]:
            yield f"CANNOT BE READ   {one['package']}: {one['reason']}"
        if len(document["unopened"]) > _SHOWN:
            yield f"CANNOT BE READ   and {len(document['unopened']) - _SHOWN:,} more; all with --json"
        if document["unopened"]:
            yield "next             diadem status; nothing of the search leaves while one of them cannot be read"
        return
    took = duration_text(document["seconds"])
    yield f"exported         {what} as {document['form']} in {took}; what was read was proven"
    if document["sha256"]:
        files = f"{count_text(document['files'], 'file')}, " if document["files"] > 1 else ""
        yield f"written          {document['path']} ({files}{size_text(document['bytes'])})"
        yield f"SHA-256          {document['sha256']}{', of its list of digests' if document['files'] > 1 else ''}"
    else:
        yield f"there            {document['path']}"
    yield from (f"{'called there':16} {one}" for one in document["identifiers"])
    yield from (f"{label:16} {text}" for label, text in document["told"].items())
    for store in document["damaged"]:
        yield f"DAMAGED          the copy in {store}; the bytes came from another: diadem repair"
    if document["to"]:
        yield _given_line(document, by)


def _given_line(document: Mapping[str, Any], by: str) -> str:
    from diadem.custody.statements import takes_out

    whom = f"taken out by     {by}" if takes_out(document["to"], by) else f"given to         {document['to']}"
    return f"{whom}: recorded in your log, see: diadem custody {document['packages'][0][7:19]}"


def _exported_lines(document: Mapping[str, Any], by: str, *, custody: bool) -> Iterator[str]:
    amount = f"{count_text(document['files'], 'file')}, {size_text(document['content_bytes'])}"
    if document["done"]:
        yield f"exported         {amount} in {duration_text(document['seconds'])}, every byte proven"
        yield f"ZIP              {document['path']} ({size_text(document['bytes'])})"
        yield f"SHA-256          {document['sha256']}"
        yield _given_line(document, by)
    else:
        yield f"would export     {amount} to {document['path']}; nothing was written"
    redaction = document["redaction"]
    word = "package" if redaction is None and document["only"] is None else "taken from"
    yield from (f"{word:16} {package}" for package in document["packages"])
    if document["custody"]:
        yield "custody          enclosed: it names those to whom it was given before, and --no-custody leaves it out"
    elif word == "package" and custody:
        yield "custody          NOT enclosed: the chain is larger than anybody reads"
    if document["others"]:
        more = count_text(document["others"], "more package")
        yield f"not in it        {more} of this session: --chain includes them"
    for one in document["lacking"]:
        yield f"NOT HERE         {one['package']}, a package of this session: {one['reason']}"
    yield from (f"other name       {item['original']!r} → {item['name']}" for item in document["renamed"][:_SHOWN])
    for store in document["damaged"]:
        yield f"DAMAGED          the copy in {store}; the bytes came from another: diadem repair"
    if redaction is not None:
        yield from _redaction_lines(redaction)
    if document["done"] and word == "package":
        yield "next             Give the recipient the package id by phone or a separate mail."
        yield "                 A ZIP brings no receipt: keep what they answer. What is exported with --to brings one."


def _redaction_lines(redaction: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"removed          {kind}: {count:,}" for kind, count in redaction["removed"].items())
    yield from (f"not searched for {text!r}: {reason}" for text, reason in list(redaction["unsought"].items())[:_SHOWN])
    remaining = redaction["remaining"]
    for one in remaining[:_SHOWN]:
        text = f"{one['text']!r}, " if one["text"] else ""
        yield f"NOT CLEAN        {one['path']}: {text}{one['place']}"
    if len(remaining) > _SHOWN:
        yield f"NOT CLEAN        and {len(remaining) - _SHOWN:,} more; all with --json"
    unsearched = list(redaction["unsearched"].items())
    yield from (f"NOT SEARCHED     {path}: {reason}" for path, reason in unsearched[:_SHOWN])
    if len(unsearched) > _SHOWN:
        yield f"NOT SEARCHED     and {len(unsearched) - _SHOWN:,} more; all with --json"
    if remaining or unsearched:
        yield "                 the instrument's files are never changed; --only record leaves them out"


# -- import ----------------------------------------------------------------------------------------------------------


@root.verb("import", user=True)
def import_(
    node: Node,
    listener: Listener,
    folder: Annotated[Path, Argument("What export wrote: a ZIP, or a folder on a disk; or a package.")],
    store: StoreOf = None,
    dry_run: Annotated[bool, Option("Show what is in it; import nothing.")] = False,
) -> Answer:
    """Import a package from a disk, a ZIP or a folder. Every byte is proven first."""
    document = node.import_(folder, store=store, dry_run=dry_run, listener=listener).to_dict()
    transfer = document["transfer"]
    return Answer(document, _imported_lines(document, folder), bool(transfer and transfer["error"]))


def _imported_lines(document: Mapping[str, Any], folder: Path) -> Iterator[str]:
    from diadem.cli.transfers import behind_lines, landed_lines, transfer_line

    transfer = document["transfer"]
    if transfer is None:
        for one in document["packages"]:
            yield from archived_lines(one)
            came = f"diadem custody {one['package']['id'][7:19]}"
            yield f"next             {came}   (who had it before, as far as that came with it)"
        for one in () if document["done"] else document["found"]:
            yield f"{'here already' if one in document['here'] else 'would import':16} {one}, proven whole"
    elif not document["done"] and transfer["state"] in ("received", "closed"):
        yield f"here already     {transfer['title']}, {size_text(transfer['bytes'])}, from {transfer['sender']}"
    elif not document["done"]:
        yield f"would import     {transfer['title']}, {size_text(transfer['bytes'])}, from {transfer['sender']}"
        yield f"next             diadem import {quoted(folder)}   (accepts it; it waits in the inbox too)"
    else:
        yield transfer_line(transfer)
        yield from landed_lines(transfer)
        if transfer["error"]:
            yield f"ERROR            {transfer['error']}"
            yield f"next             {transfer['next']}"
    words = {"corrections": "correction", "judgements": "judgement", "doubts": "doubt"}
    if brought := [count_text(count, words[what]) for what, count in document["brought"].items() if count]:
        yield f"brought          {' and '.join(brought)}"
    yield from behind_lines(document["behind"])
