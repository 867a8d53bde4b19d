"""Commands on one package: pack, verify, get, extract, show, open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from diadem.cli.options import Argument, Json, Listener, Meta, NodeAt, Option, Strict
from diadem.cli.output import duration_text
from diadem.cli.verb import Answer, Commands, is_id, opened
from diadem.errors import DocumentError, NotFound, UsageError
from diadem.model.plain_text import count_text, quoted, size_text

if TYPE_CHECKING:
    from diadem.archive.package import Package
    from diadem.model.assertions import Assertion
    from diadem.model.record import Record
    from diadem.model.report import Report

root = Commands()
#: Files that are named of those that were restored; and other things that are shown before the rest is counted.
_NAMED, _SHOWN = 10, 20
_WHICH = "The package's id on the node, or the beginning of it; or its folder, ZIP or URL."

# -- pack ------------------------------------------------------------------------------------------------------------


@root.verb()
def pack(
    listener: Listener,
    paths: Annotated[list[str], Argument("Folder or files; then a folder or URL.", metavar="SOURCE... STORE")],
    meta: Meta = None,
    dry_run: Annotated[bool, Option("List what would be archived; write nothing.")] = False,
    strict: Strict = False,
    license: Annotated[str, Option("What may be done with the data.")] = "",  # noqa: A002
) -> Answer:
    """Archive a folder as one verified package. The source is never changed."""
    import diadem

    if len(paths) < 2:
        raise UsageError("SOURCE and STORE are needed", next="Example: diadem pack session/ /archive")
    sources, store = paths[:-1], paths[-1]
    metadata = None
    if meta:
        from diadem.api import check_metadata

        metadata = read_object(meta, "--meta", example={"sample": {}})
        try:
            check_metadata(metadata)
        except DocumentError as error:
            error.where = f"{meta}: {error.where}" if error.where else str(meta)
            raise
    if dry_run:
        plan = diadem.plan(sources, store=store, metadata=metadata)
        planned = plan.to_dict()
        return Answer({"plan": planned}, plan_lines(planned), bool(plan.tree.omissions))
    _refuse_a_session(store)
    package = diadem.pack(sources, store, metadata=metadata, strict=strict, license=license, listener=listener)
    document = _packed(package)
    return Answer(document, _packed_lines(document, with_metadata=bool(metadata)), bool(document["omitted"]))


def read_object(path: Path, option: str, *, example: Mapping[str, object]) -> dict[str, Any]:
    """Read the file that an option names: one object, as JSON, or as TOML by its suffix."""
    import json
    import tomllib

    kind = "TOML" if path.suffix.lower() == ".toml" else "JSON"
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors of Windows begin it with a mark
    except OSError as error:
        message = f"the file of {option} cannot be read: {error.strerror}"
        raise NotFound(message, where=str(path), next=f"Check the path after {option}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"the file of {option} is not UTF-8", where=str(path), next="Save it as UTF-8.") from error
    try:
        loaded = tomllib.loads(text) if kind == "TOML" else json.loads(text)
    except (ValueError, RecursionError) as error:
        message = f"the file of {option} is not {kind}: {error}"
        raise UsageError(message, where=str(path), next=f"Write it as {kind}; the suffix .toml means TOML.") from error
    if not isinstance(loaded, dict):
        shown = f"Example: {json.dumps(example)}"
        raise UsageError(f"the file of {option} must hold one object", where=str(path), next=shown)
    return loaded


def _refuse_a_session(store: str) -> None:
    """`diadem pack A B`: where B holds instrument files and is not a store yet, the store was forgotten."""
    folder = Path(store)
    if folder.is_dir() and not (folder / ".diadem").exists():
        from diadem.api import readable_files

        if found := readable_files(folder):
            raise UsageError(
                f"the last argument is the store, and this folder holds instrument files: {', '.join(found[:3])}",
                where=store,
                next="Name the store last; to make this folder one, make an empty folder .diadem in it.",
            )


def _packed(package: Package) -> dict[str, Any]:
    outcome = package.outcome
    assert outcome is not None
    return {
        "package": {"id": str(package.id), "payload_id": package.payload_id, "path": package.url},
        "created": outcome.created,
        "status": "archived" if outcome.created else "already archived",
        "files": len(package.files),
        "bytes": sum(entry.size for entry in package.files),
        "omitted": [dict(omission) for omission in outcome.omissions],
        "issues": dict(outcome.issues),
        "flagged": [{"path": path, "code": code} for path, code in outcome.flagged],
        "proof": outcome.proof,
        "swept": [swept.path for swept in outcome.swept],
        "seconds": round(outcome.seconds, 3),
    }


def _packed_lines(document: Mapping[str, Any], *, with_metadata: bool) -> Iterator[str]:
    seconds = max(document["seconds"], 1e-3)
    amount = f"{count_text(document['files'], 'file')}, {size_text(document['bytes'])}"
    if document["created"]:
        rate = size_text(int(document["bytes"] / seconds))
        yield f"archived         {amount} in {duration_text(seconds)} ({rate}/s)"
    else:
        yield f"already archived {amount}; nothing was written"
    yield f"package          {document['package']['id']}"
    yield f"payload          {document['package']['payload_id']}"
    yield f"path             {document['package']['path']}"
    yield from (f"cleaned up       {path}: left by a run that was stopped" for path in document["swept"])
    for code, count in sorted(document["issues"].items()):
        named = [item["path"] for item in document["flagged"] if item["code"] == code][:3]
        yield f"flagged          {count} × {code}: {', '.join(named)}{', …' if count > len(named) else ''}"
    yield from _omission_lines(document["omitted"], "left out")
    if with_metadata and not document["created"]:
        yield "not applied      the metadata given now: a package never changes; it keeps what it was archived with"


def plan_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """What would be packed."""
    amount = f"{count_text(document['files'], 'file')}, {size_text(document['bytes'])}"
    yield f"would archive    {amount}; nothing was written"
    formats: dict[str, int] = {}
    for dataset in document["datasets"]:
        name = " or ".join(sorted(dataset["readers"])[:3]) or "unknown format, kept as it is"
        formats[name] = formats.get(name, 0) + 1
    yield from (f"  {count:6,} × {name}" for name, count in sorted(formats.items(), key=lambda item: -item[1]))
    yield from (f"would map        {item['original']!r} → {item['stored']}" for item in document["mapped"][:_SHOWN])
    if len(document["mapped"]) > _SHOWN:
        yield f"would map        and {len(document['mapped']) - _SHOWN:,} more"
    yield from _omission_lines(document["omitted"], "would leave out")


def _omission_lines(omitted: Sequence[Mapping[str, str]], word: str) -> Iterator[str]:
    yield from (f"{word:16} {item['path']}: {item['kind']}: {item['reason']}" for item in omitted[:_SHOWN])
    if len(omitted) > _SHOWN:
        yield f"{word:16} and {len(omitted) - _SHOWN:,} more; the record lists all"


# -- verify ----------------------------------------------------------------------------------------------------------


@root.verb()
def verify(
    listener: Listener,
    package: Annotated[str, Argument("The package's folder, URL, or id on the node; any BagIt bag.")],
    level: Annotated[str | None, Option("quick (tag files, sizes), leaves (1 MiB) or full. Default: full.")] = None,
    node: NodeAt = None,
) -> Answer:
    """Prove a package intact, or name the leaf (1 MiB) that is not."""
    import diadem

    if is_id(package):
        with opened(node) as found:
            report = found.get(package).verify(level=level, listener=listener)
    else:
        report = diadem.verify(package, level=level, listener=listener)
    return Answer(report.to_dict(), report_lines(report), not report.ok)


def report_lines(report: Report) -> Iterator[str]:
    """What was proven of a package, and what was not."""
    from diadem.model.report import Level

    counts = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in report.checked.items())
    verdict = "NOT intact" if not report.ok else "intact" if report.level != Level.QUICK else "complete"
    yield f"{verdict:16} {report.subject}"
    if report.package_id:
        yield f"package          {report.package_id}"
    if report.level == Level.QUICK:
        yield f"checked          names, sizes and tag files; no content was read: {counts}"
    else:
        yield f"proven           {counts} (level {report.level})"
    for finding in report.findings[:_SHOWN]:
        place = finding.path or ""
        if finding.leaf is not None:
            place += f", leaf {finding.leaf}"
        if finding.range is not None:
            place += f", bytes {finding.range[0]:,} to {finding.range[1]:,}"
        yield f"{finding.severity:16} {finding.code}: {place}"
        yield f"                 {finding.message}"
        if finding.next:
            yield f"                 → {finding.next}"
    if len(report.findings) > _SHOWN:
        yield f"                 and {len(report.findings) - _SHOWN:,} more findings; see --json"


# -- get -------------------------------------------------------------------------------------------------------------


@root.verb()
def get(
    listener: Listener,
    package: Annotated[str, Argument("The package's folder, URL, or id on the node.")],
    folder: Annotated[Path, Argument("A new or empty folder.")],
    only: Annotated[
        list[str] | None, Option('Only these files, with what belongs to them: "HAADF*". May be repeated.')
    ] = None,
    only_this: Annotated[bool, Option("This package alone, not its whole session.")] = False,
    node: NodeAt = None,
) -> Answer:
    """Restore files with original names and dates. Every byte is proven."""
    wanted = only or []
    if is_id(package):
        with opened(node) as at:
            document = at.restore(package, folder, chain=not only_this, only=wanted, listener=listener).to_dict()
            doubts = [one.sentence for given in document["packages"] for one in at.warnings(given)]
        document = {**document, "warnings": list(dict.fromkeys(doubts))}
    else:
        import diadem

        found = diadem.open(package)
        restored = found.restore(folder, only=wanted, listener=listener)
        chosen = restored.selection
        document = {
            "path": str(restored.folder),
            "files": restored.files,
            "bytes": restored.bytes,
            "packages": [str(found.id)],
            "renamed": list(restored.renamed),
            "lacking": [],
            "continues": next((value for label, value in found.bag_info if label == "Diadem-Continues"), None),
            **({} if chosen is None else {"matched": list(chosen.matched), "companions": list(chosen.companions)}),
        }
    return Answer(document, _restored_lines(document), bool(document["lacking"]))


def _restored_lines(document: Mapping[str, Any]) -> Iterator[str]:
    files, size = count_text(document["files"], "file"), count_text(document["bytes"], "byte")
    yield f"{files}, {size}, each proven, in {document['path']}"
    for key, what in (("matched", "as named"), ("companions", "belongs to it")):
        names = document.get(key, ())
        yield from (f"  {what:14} {name}" for name in names[:_NAMED])
        if len(names) > _NAMED:
            yield f"  {what:14} and {len(names) - _NAMED:,} more"
    if len(document["packages"]) > 1:
        yield f"  of {len(document['packages'])} packages of one session, each file in its newest version"
    yield from (f"  WARNING: {text}" for text in document.get("warnings", ()))
    for name in document["renamed"]:
        yield f"  restored under its stored name, as this system cannot hold the original: {name}"
    for store in document.get("damaged", ()):
        yield f"  the copy in {store} is damaged; the bytes came from another: diadem repair"
    for one in document["lacking"]:
        yield f"  NOT HERE: {one['package']}, a package of this session: {one['reason']}"
    if document.get("others"):
        yield f"  {document['others']} more of this session: leave --only-this out"
    if document.get("continues"):
        yield f"  it continues {document['continues']} and has only what was new then; a node restores all of it"


# -- extract ---------------------------------------------------------------------------------------------------------


@root.verb()
def extract(
    listener: Listener,
    path: Annotated[str, Argument("An instrument file or folder; with --again a package.", metavar="FILE")],
    again: Annotated[bool, Option("Read a package's files with today's readers; show what changes.")] = False,
) -> Answer:
    """Show the metadata that files state; write nothing."""
    import diadem
    from diadem.api.packages import sealed_at

    if again:
        found = diadem.open(path).reextract(listener=listener)
        return Answer(found.to_dict(), str(found).split("\n"))
    sealed = sealed_at(path)
    if sealed is None:
        record = diadem.extract(path, listener=listener)
        return Answer(record.to_dict(), _record_lines(record))
    head = f"package          {sealed.id}"
    note = f"                 as it was sealed; with today's readers: diadem extract {quoted(path)} --again"
    return Answer(sealed.record.to_dict(), [head, note, *_record_lines(sealed.record)])


def _record_lines(found: Record) -> Iterator[str]:
    from diadem.model.quantities import signal_text

    for dataset, document in zip(found.datasets, found.to_dict()["datasets"], strict=True):
        yield f"{dataset.path}  [{dataset.files[0].format}]"
        yield from (f"  signal         {signal_text(signal)}" for signal in document["signals"])
        for key, assertions in dataset.fields.items():
            yield from (f"  {'' if number else key:30} {text}" for number, text in enumerate(_stated(assertions)))
        for namespace, extension in dataset.extensions.items():
            verdict = "valid" if extension.get("validated") else "not validated"
            yield f"  extension      {namespace} {extension.get('version', '')} ({verdict})"
        yield from (f"  ! {issue['code']}: {issue['message']}" for issue in dataset.issues)


def _stated(assertions: Sequence[Assertion]) -> list[str]:
    """What is stated of a field: one text a value, with the signals it is about where there are several."""
    from diadem.model.quantities import quantity_text

    if len(assertions) == 1 or assertions[0].preferred:
        return [quantity_text(assertions[0].value, assertions[0].unit)]
    about: dict[str, list[str]] = {}
    for assertion in assertions:
        about.setdefault(quantity_text(assertion.value, assertion.unit), []).extend(assertion.applies_to)
    return [f"{text}  ({', '.join(signals)})" if signals else text for text, signals in about.items()]


# -- show, open ------------------------------------------------------------------------------------------------------


@root.verb()
def show(
    package: Annotated[str, Argument(_WHICH)],
    dataset: Annotated[str | None, Option("All values of this one, by path, name or id, with their sources.")] = None,
    files: Annotated[bool, Option("List all files.")] = False,
    all_: Annotated[bool, Option("All datasets, copies, assessments and corrections.")] = False,
    node: NodeAt = None,
    json: Json = False,
) -> Answer:
    """Show a package on one screen. When, who, what; its datasets, copies, assessments and corrections."""
    if dataset is not None and files:
        raise UsageError("--dataset and --files cannot be used together", next="Leave one of them out.")
    from diadem.archive.overview import dataset_table, file_list
    from diadem.archive.overview_text import dataset_text, files_text, overview_text

    with _found(package, node) as (found, look):
        if dataset is not None:
            one = found[dataset]
            table = {"package": str(found.id), **dataset_table(one, found.sealed_record.datasets[one.id])}
            return Answer(table, dataset_text(table).split("\n"))
        if files:
            listed = file_list(found)
            return Answer({"package": str(found.id), "files": listed}, files_text(listed).split("\n"))
        document = look().to_dict()
        if json:
            return Answer({**document, "files": file_list(found)})
    return Answer(document, overview_text(document, whole=all_).split("\n"))


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


@root.verb("open")
def open_page(
    package: Annotated[str, Argument(_WHICH)],
    print_: Annotated[bool, Option("Only print where the page is.")] = False,
    node: NodeAt = None,
    json: Json = False,
) -> Answer:
    """Open the page of a package in the browser. Pictures, values, how to check it without DIADEM."""
    from diadem.archive.facts import page_file

    with _found(package, node) as (found, _):
        page = page_file(found)
    started = False
    if not print_ and not json:
        import webbrowser

        started = webbrowser.open(page.path.as_uri())
    lines = [f"page             {page.path}"]
    if page.fetched:
        lines.append(f"                 a proven copy, from {page.origin}; the package's own files stay where they are")
    if not print_ and not started:
        lines.append("                 no browser could be started: open this file with one")
    document = {"package": str(found.id), "page": str(page.path), "fetched": page.fetched, "from": page.origin}
    return Answer(document, lines)
