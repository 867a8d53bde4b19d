"""Commands on physical samples: what each is, what others call it, where it went, and every dataset that was made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Unpack

import typer

from diadem.cli import sample_view
from diadem.cli.grouped_help import Commands
from diadem.cli.node_options import As, Json, NodeAt, Quiet, opened
from diadem.cli.output import print_json
from diadem.cli.sample_options import verb
from diadem.cli.sheets import Agreement, DryRun, FromSheet, Replace, ToSheet, Yes, take_in, tell_written

if TYPE_CHECKING:
    from diadem.node.sample_saying import SampleWords
    from diadem.node.sample_verbs import SampleVerbs as Samples
else:  # what a command is called with is asked of its signature, and no option needs the room of the node
    Samples = SampleWords = Any

samples = Commands("Physical samples: their names, their parts, where they are.")
Which = Annotated[str, typer.Argument(help="Its identifier, or a name that another lab uses.")]
Comment = Annotated[str, typer.Option("--comment", help="A comment.")]
Date = Annotated[str | None, typer.Option("--date", help="The day, as 2026-03-14. Default: today.")]
Made = Annotated[str | None, typer.Option("--made", help="The day on which it was made: 2026-03-01.")]
How = Annotated[str, typer.Option("--how", help="How: split, lamella, annealed, mixed or other.")]
OtherLab = Annotated[
    str | None, typer.Option("--lab", help="The lab that uses this name, if it is not a sample of this node.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.add_typer(samples, name="sample")


def _tell(done: Any, as_json: bool) -> int:
    document = done.to_dict()
    if as_json:
        print_json({"sample": document})
    else:
        sample_view.brief(document)
    return 0


def _tell_parts(parts: Any, as_json: bool) -> int:
    documents = [part.to_dict() for part in parts]
    if as_json:
        print_json({"parts": documents})
    else:
        for document in documents:
            sample_view.brief(document)
    return 0


# -- what it is ----------------------------------------------------------------------------------------------------


@samples.command()
@verb(_tell, words=True)
def add(
    found: Samples,
    identifier: Annotated[str, typer.Argument(help="What you call it, unique on this node: S-12.")],
    made: Made = None,
    **said: Unpack[SampleWords],
) -> Any:
    """Define a sample: what it is, who made it, what others call it."""
    return found.add(identifier, made=made, **said)


@samples.command()
@verb(_tell, words=True)
def change(
    found: Samples,
    sample: Which,
    identifier: Annotated[str | None, typer.Option("--identifier", help="Another identifier.")] = None,
    **said: Unpack[SampleWords],
) -> Any:
    """Change what is said of a sample; an empty text removes it. What was said before stays in the log."""
    return found.change(sample, identifier=identifier, **said)


@samples.command()
@verb(_tell_parts)
def split(
    found: Samples,
    sample: Which,
    parts: Annotated[list[str], typer.Argument(metavar="PART", help="Identifiers of the parts: S-12-a S-12-b.")],
    how: How = "split",
    made: Made = None,
    comment: Comment = "",
) -> Any:
    """Define parts that are made from a sample. A search for the sample finds its parts too."""
    return found.split(sample, *parts, how=how, made=made, comment=comment)


# -- looking -------------------------------------------------------------------------------------------------------


@samples.command()
def ls(node: NodeAt = None, json: Json = False) -> int:
    """List the samples: what each is, who made it, where it is."""
    with opened(node) as found:
        where = found.samples.whereabouts()
        rows = [{**sample.to_dict(), "where": where[sample.id].to_dict()} for sample in found.samples]
    if json:
        print_json({"samples": rows})
    else:
        sample_view.listing(rows)
    return 0


@samples.command()
def show(
    sample: Which,
    every: Annotated[bool, typer.Option("--all", help="Every dataset, however many a package has.")] = False,
    node: NodeAt = None,
    json: Json = False,
) -> int:
    """Show a sample's names, relatives, place and datasets. In time order, from every instrument."""
    with opened(node) as found:
        documents = [story.to_dict() for story in found.samples.show(sample)]
    if json:
        print_json({"name": sample, "samples": documents})
    else:
        sample_view.stories(sample, documents, every=every)
    doubtful = any(finding["severity"] != "info" for document in documents for finding in document["findings"])
    return 1 if doubtful or len(documents) > 1 else 0


# -- as a sheet ----------------------------------------------------------------------------------------------------


@samples.command()
@verb(tell_written)
def export(found: Samples, file: ToSheet, replace: Replace = False) -> Any:
    """Write all samples to a sheet to edit and import. For Excel or LibreOffice."""
    return found.export(file, replace=replace)


@samples.command(name="import")
def import_(
    file: FromSheet,
    yes: Yes = False,
    dry_run: DryRun = False,
    node: NodeAt = None,
    user: As = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Import an edited sheet. It shows what would change, and writes that if you agree.

    Unedited cells and removed rows are ignored. An emptied cell removes the value.
    """
    with opened(node, user) as found:
        return take_in(found.samples.import_, file, Agreement("sample", yes, dry_run), as_json=json, quiet=quiet)


# -- which names mean one thing ------------------------------------------------------------------------------------


@samples.command()
@verb(_tell)
def link(
    found: Samples,
    sample: Which,
    other: Annotated[str, typer.Argument(help="Another sample of this node; with --lab what that lab calls it.")],
    reason: Annotated[str, typer.Option("--reason", help="Why you are sure; kept in the log.")],
    lab: OtherLab = None,
) -> Any:
    """State that two names mean the same sample."""
    return found.link(sample, other, lab=lab, reason=reason)


@samples.command()
@verb(_tell)
def unlink(
    found: Samples,
    sample: Which,
    other: Annotated[str, typer.Argument(help="The sample, or with --lab the name, that it was linked with.")],
    reason: Annotated[str, typer.Option("--reason", help="What was wrong; kept in the log.")],
    lab: OtherLab = None,
) -> Any:
    """Undo a link. Both statements stay in the log."""
    return found.unlink(sample, other, lab=lab, reason=reason)


# -- what happens to it --------------------------------------------------------------------------------------------


@samples.command()
@verb(_tell)
def send(
    found: Samples,
    sample: Which,
    to: Annotated[str, typer.Option("--to", help="Where it goes: a lab, a person.")],
    from_: Annotated[
        str | None, typer.Option("--from", help="Where it was. Default: where it is known to be, else this node.")
    ] = None,
    date: Date = None,
    comment: Comment = "",
) -> Any:
    """State that the sample was sent away."""
    return found.send(sample, to, from_=from_, date=date, comment=comment)


@samples.command()
@verb(_tell)
def receive(
    found: Samples,
    sample: Which,
    from_: Annotated[str | None, typer.Option("--from", help="Who had sent it.")] = None,
    at: Annotated[str | None, typer.Option("--at", help="Where it is now. Default: this node.")] = None,
    date: Date = None,
    comment: Comment = "",
) -> Any:
    """State that the sample has arrived."""
    return found.receive(sample, from_=from_, at=at, date=date, comment=comment)


@samples.command()
@verb(_tell)
def consume(found: Samples, sample: Which, date: Date = None, comment: Comment = "") -> Any:
    """Mark the sample as used up."""
    return found.consume(sample, date=date, comment=comment)


@samples.command()
@verb(_tell)
def lose(found: Samples, sample: Which, date: Date = None, comment: Comment = "") -> Any:
    """Mark the sample as lost."""
    return found.lose(sample, date=date, comment=comment)


@samples.command()
@verb(_tell)
def retract(
    found: Samples,
    sample: Which,
    event: Annotated[
        str, typer.Argument(help="made, sent, received, consumed or lost; or the beginning of the statement's id.")
    ],
    reason: Annotated[str, typer.Option("--reason", help="What was wrong; kept in the log.")],
    date: Annotated[str | None, typer.Option("--date", help="The day of the event, where there are several.")] = None,
) -> Any:
    """Retract an event that was stated by mistake. Both statements stay in the log."""
    return found.retract(sample, event, reason=reason, date=date)
