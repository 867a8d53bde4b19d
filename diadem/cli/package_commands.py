"""Commands on packages: pack, verify, get, extract."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from diadem.cli.node_options import NodeAt, is_id, opened
from diadem.cli.output import print_json, progress, tell
from diadem.errors import NotFound, UsageError
from diadem.model.plain_text import count_text, quoted

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
#: Files that are named of those that were given back.
_NAMED = 10


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    for command in (pack, verify, get, extract):
        app.command()(command)


def pack(
    paths: Annotated[
        list[str], typer.Argument(metavar="SOURCE... STORE", help="Folder or files; then a folder or URL.")
    ],
    meta: Annotated[
        Path | None, typer.Option("--meta", help="Session, sample, people, instrument: a JSON or TOML file.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be archived; write nothing.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse if any file cannot be archived.")] = False,
    license: Annotated[str, typer.Option("--license", help="What may be done with the data.")] = "",  # noqa: A002
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Archive a folder as one verified package. The source is never changed."""
    import diadem
    from diadem.cli import render

    if len(paths) < 2:
        raise UsageError("SOURCE and STORE are needed", next="Example: diadem pack session/ /archive")
    sources, store = paths[:-1], paths[-1]
    metadata = read_metadata(meta) if meta else None
    if meta:
        _check_metadata(meta, metadata)
    if dry_run:
        plan = diadem.plan(sources, store=store, metadata=metadata)
        (print_json if json else render.plan)({"plan": plan.to_dict()} if json else plan.to_dict())
        return 1 if plan.tree.omissions else 0
    _refuse_a_session(store)
    with progress(quiet=quiet or json) as listener:
        package = diadem.pack(sources, store, metadata=metadata, strict=strict, license=license, listener=listener)
    document = render.packed_document(package)
    if json:
        print_json(document)
    else:
        render.packed(document)
        if metadata and not document["created"]:
            print(
                "not applied      the metadata given now: a package never changes; it keeps what it was archived with"
            )
    return 1 if document["omitted"] else 0


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


def verify(
    package: Annotated[str, typer.Argument(help="The package's folder, URL, or id on the node; any BagIt bag.")],
    level: Annotated[
        str | None,
        typer.Option("--level", help="quick (tag files, sizes), leaves (1 MiB) or full. Default: full."),
    ] = None,
    node: NodeAt = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Prove a package intact, or name the leaf (1 MiB) that is not."""
    import diadem
    from diadem.cli import render

    with progress(quiet=quiet or json) as listener:
        if is_id(package):
            with opened(node) as found:
                report = found.get(package).verify(level=level, listener=listener)
        else:
            report = diadem.verify(package, level=level, listener=listener)
    if json:
        print_json(report.to_dict())
    else:
        render.report(report)
    return 0 if report.ok else 1


def get(
    package: Annotated[str, typer.Argument(help="The package's folder, URL, or id on the node.")],
    folder: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help='Only these files, with what belongs to them: "HAADF*". May be repeated.'),
    ] = None,
    only_this: Annotated[bool, typer.Option("--only-this", help="This package alone, not its whole session.")] = False,
    node: NodeAt = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Restore files with original names and dates. Every byte is proven."""
    wanted = only or []
    if is_id(package):
        document = _from_node(package, folder, node, wanted, only_this, quiet or json)
    else:
        document = _from_package(package, folder, wanted, quiet or json)
    if json:
        print_json(document)
    else:
        _show_restored(document)
    return 1 if document["lacking"] else 0


def _from_node(
    package: str, folder: Path, node: str | None, only: list[str], only_this: bool, quiet: bool
) -> dict[str, Any]:
    with opened(node) as found, progress(quiet=quiet) as listener:
        document = found.restore(package, folder, chain=not only_this, only=only, listener=listener).to_dict()
        doubts = [one.sentence for given in document["packages"] for one in found.warnings(given)]
    return {**document, "warnings": list(dict.fromkeys(doubts))}


def _from_package(package: str, folder: Path, only: list[str], quiet: bool) -> dict[str, Any]:
    import diadem

    with progress(quiet=quiet) as listener:
        found = diadem.open(package)
        restored = found.restore(folder, only=only, listener=listener)
    chosen = restored.selection
    return {
        "path": str(restored.folder),
        "files": restored.files,
        "bytes": restored.bytes,
        "packages": [str(found.id)],
        "renamed": list(restored.renamed),
        "lacking": [],
        "continues": next((value for label, value in found.bag_info if label == "Diadem-Continues"), None),
        **({} if chosen is None else {"matched": list(chosen.matched), "companions": list(chosen.companions)}),
    }


def _show_restored(document: dict[str, Any]) -> None:
    files, size = count_text(document["files"], "file"), count_text(document["bytes"], "byte")
    print(f"{files}, {size}, each proven, in {document['path']}")
    for key, what in (("matched", "as named"), ("companions", "belongs to it")):
        names = document.get(key, ())
        for name in names[:_NAMED]:
            tell(f"  {what:14} {name}")
        if len(names) > _NAMED:
            print(f"  {what:14} and {len(names) - _NAMED:,} more")
    if len(document["packages"]) > 1:
        print(f"  of {len(document['packages'])} packages of one session, each file in its newest version")
    for text in document.get("warnings", ()):
        tell(f"  WARNING: {text}")
    for name in document["renamed"]:
        print(f"  restored under its stored name, as this system cannot hold the original: {name}")
    for store in document.get("damaged", ()):
        print(f"  the copy in {store} is damaged; the bytes came from another: diadem repair")
    for one in document["lacking"]:
        print(f"  NOT HERE: {one['package']}, a package of this session: {one['reason']}")
    if document.get("others"):
        print(f"  {document['others']} more of this session: leave --only-this out")
    if document.get("continues"):
        print(f"  it continues {document['continues']} and has only what was new then; a node restores all of it")


def extract(
    path: Annotated[str, typer.Argument(metavar="FILE", help="An instrument file or folder; with --again a package.")],
    again: Annotated[
        bool, typer.Option("--again", help="Read a package's files with today's readers; show what changes.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Show the metadata that files state; write nothing."""
    import diadem
    from diadem.api.packages import sealed_at
    from diadem.cli import render

    with progress(quiet=quiet or json) as listener:
        sealed = None if again else sealed_at(path)
        if again:
            found = diadem.open(path).reextract(listener=listener)
        elif sealed is not None:
            record = sealed.record
        else:
            record = diadem.extract(path, listener=listener)
    if json:
        print_json(found.to_dict() if again else record.to_dict())
    elif again:
        print(found)
    else:
        if sealed is not None:
            tell(f"package          {sealed.id}")
            tell(f"                 as it was sealed; with today's readers: diadem extract {quoted(path)} --again")
        render.record(record)
    return 0


def _check_metadata(path: Path, metadata: dict[str, Any] | None) -> None:
    """Validate before anything else, so that the error names the metadata file."""
    from diadem.api import check_metadata
    from diadem.errors import DocumentError

    try:
        check_metadata(metadata)
    except DocumentError as error:
        error.where = f"{path}: {error.where}" if error.where else str(path)
        raise


def read_metadata(path: Path) -> dict[str, Any]:
    """Read a metadata file.

    Raises
    ------
    NotFound
        If it is not there.
    UsageError
        If it is neither JSON nor TOML.
    """
    import json
    import tomllib

    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        message = f"the metadata file cannot be read: {error.strerror}"
        raise NotFound(message, where=str(path), next="Check the path after --meta.") from error
    except UnicodeDecodeError as error:
        raise UsageError("the metadata file is not UTF-8", where=str(path), next="Save it as UTF-8.") from error
    try:
        loaded = tomllib.loads(text) if path.suffix.lower() == ".toml" else json.loads(text)
    except (ValueError, RecursionError) as error:
        kind = "TOML" if path.suffix.lower() == ".toml" else "JSON"
        message = f"the metadata file is not {kind}: {error}"
        raise UsageError(message, where=str(path), next=f"Write it as {kind}; the suffix .toml means TOML.") from error
    if not isinstance(loaded, dict):
        raise UsageError("the metadata file must hold one object", where=str(path), next='Example: {"sample": {}}')
    return loaded
