"""Commands on physical samples: what each is, what others call it, where it went, and every dataset that was made."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from diadem.cli import sample_view
from diadem.cli.node_options import As, Json, NodeAt, opened
from diadem.cli.output import print_json
from diadem.cli.sample_options import sample_words

samples = typer.Typer(
    help="Physical samples: add, show, link, split, send, receive and others.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_SAMPLE = "Its identifier, or a name that another lab uses."
_DAY = "The day, as 2026-03-14. Default: today."

Which = Annotated[str, typer.Argument(help=_SAMPLE)]
Name = Annotated[str | None, typer.Option("--name", help="What it is: ZnO nanorods.")]
Called = Annotated[
    list[str] | None, typer.Option("--called", help="What another lab calls it: K-2026-007@NMI. May be repeated.")
]
Ids = Annotated[list[str] | None, typer.Option("--id", help="A name that means it everywhere: igsn=10.60510/x1.")]
Parents = Annotated[list[str] | None, typer.Option("--from", help="A sample that it was made from. May be repeated.")]
How = Annotated[str, typer.Option("--how", help="In which way: split, lamella, annealed, mixed or other.")]
MakerName = Annotated[str | None, typer.Option("--maker", help="Who made it.")]
LabName = Annotated[str | None, typer.Option("--lab", help="Where it was made.")]
Ror = Annotated[str | None, typer.Option("--ror", help="The lab's address in ROR: https://ror.org/01hcx6992")]
Orcid = Annotated[str | None, typer.Option("--orcid", help="The maker's ORCID iD.")]
Composition = Annotated[str | None, typer.Option("--composition", help="What it consists of, in words.")]
Elements = Annotated[str | None, typer.Option("--elements", help="Chemical symbols: Zn,O.")]
Steps = Annotated[
    list[str] | None, typer.Option("--step", help="How it was prepared: '2026-03-01 FIB lift-out'. May be repeated.")
]
Comment = Annotated[str | None, typer.Option("--comment", help="In words.")]
Date = Annotated[str | None, typer.Option("--date", help=_DAY)]
Reason = Annotated[str, typer.Option("--reason", help="Why you are sure; it stands in the log.")]
OtherLab = Annotated[
    str | None, typer.Option("--lab", help="Which lab calls it so, where the other is no sample of this node.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.add_typer(samples, name="sample")


@samples.command()
def add(
    identifier: Annotated[str, typer.Argument(help="What you call it, unique on this node: S-12.")],
    name: Name = None,
    called: Called = None,
    ids: Ids = None,
    parents: Parents = None,
    how: How = "other",
    maker: MakerName = None,
    lab: LabName = None,
    ror: Ror = None,
    orcid: Orcid = None,
    composition: Composition = None,
    elements: Elements = None,
    steps: Steps = None,
    made: Annotated[str | None, typer.Option("--made", help="The day on which it was made: 2026-03-01.")] = None,
    comment: Comment = None,
    node: NodeAt = None,
    user: As = None,
    json: Json = False,
) -> int:
    """Define a sample: what it is, who made it, what others call it."""
    said = sample_words(name, called, ids, parents, how, maker, lab, ror, orcid, composition, elements, steps, comment)
    with opened(node, user) as found:
        document = found.samples.add(identifier, made=made, **said).to_dict()
    return _tell(document, as_json=json)


@samples.command()
def change(
    sample: Which,
    identifier: Annotated[str | None, typer.Option("--identifier", help="Another identifier.")] = None,
    name: Name = None,
    called: Called = None,
    ids: Ids = None,
    parents: Parents = None,
    how: How = "other",
    maker: MakerName = None,
    lab: LabName = None,
    ror: Ror = None,
    orcid: Orcid = None,
    composition: Composition = None,
    elements: Elements = None,
    steps: Steps = None,
    comment: Comment = None,
    node: NodeAt = None,
    user: As = None,
    json: Json = False,
) -> int:
    """Say something of a sample anew; an empty text takes it back. What was said before stays in the log."""
    said = sample_words(name, called, ids, parents, how, maker, lab, ror, orcid, composition, elements, steps, comment)
    with opened(node, user) as found:
        document = found.samples.change(sample, identifier=identifier, **said).to_dict()
    return _tell(document, as_json=json)


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
    """Show a sample: names, maker, relatives, where it is, and every dataset of every instrument. In time order."""
    with opened(node) as found:
        documents = [story.to_dict() for story in found.samples.show(sample)]
    if json:
        print_json({"name": sample, "samples": documents})
    else:
        sample_view.stories(sample, documents, every=every)
    doubtful = any(finding["severity"] != "info" for document in documents for finding in document["findings"])
    return 1 if doubtful or len(documents) > 1 else 0


@samples.command()
def link(
    sample: Which,
    other: Annotated[str, typer.Argument(help="Another sample of this node; with --lab what that lab calls it.")],
    reason: Reason,
    lab: OtherLab = None,
    node: NodeAt = None,
    user: As = None,
    json: Json = False,
) -> int:
    """State that two names mean one physical thing."""
    with opened(node, user) as found:
        document = found.samples.link(sample, other, lab=lab, reason=reason).to_dict()
    return _tell(document, as_json=json)


@samples.command()
def unlink(
    sample: Which,
    other: Annotated[str, typer.Argument(help="The sample, or with --lab the name, that it was linked with.")],
    reason: Annotated[str, typer.Option("--reason", help="What was wrong; it stands in the log.")],
    lab: OtherLab = None,
    node: NodeAt = None,
    user: As = None,
    json: Json = False,
) -> int:
    """Undo a link. Both statements stay in the log."""
    with opened(node, user) as found:
        document = found.samples.unlink(sample, other, lab=lab, reason=reason).to_dict()
    return _tell(document, as_json=json)


@samples.command()
def split(
    sample: Which,
    parts: Annotated[list[str], typer.Argument(help="Identifiers of the parts: S-12-a S-12-b.")],
    how: Annotated[
        str, typer.Option("--how", help="In which way: split, lamella, annealed, mixed or other.")
    ] = "split",
    made: Annotated[str | None, typer.Option("--made", help="The day on which they were made: 2026-03-01.")] = None,
    comment: Comment = None,
    node: NodeAt = None,
    user: As = None,
    json: Json = False,
) -> int:
    """Define parts that are made from a sample. What is found of a part is found of the whole."""
    with opened(node, user) as found:
        new = found.samples.split(sample, *parts, how=how, made=made, comment=comment or "")
    documents = [part.to_dict() for part in new]
    if json:
        print_json({"parts": documents})
    else:
        for document in documents:
            sample_view.brief(document)
    return 0


@samples.command()
def send(
    sample: Which,
    to: Annotated[str, typer.Option("--to", help="Where it goes: a lab, a person.")],
    from_: Annotated[
        str | None, typer.Option("--from", help="Where it was. Default: where it is known to be, else this node.")
    ] = None,
    date: Date = None,
    comment: Comment = None,
    node: NodeAt = None,
    user: As = None,
    json: Json = False,
) -> int:
    """State that the thing was sent away."""
    with opened(node, user) as found:
        document = found.samples.send(sample, to, from_=from_, date=date, comment=comment or "").to_dict()
    return _tell(document, as_json=json)


@samples.command()
def receive(
    sample: Which,
    from_: Annotated[str | None, typer.Option("--from", help="Who had sent it.")] = None,
    at: Annotated[str | None, typer.Option("--at", help="Where it is now. Default: this node.")] = None,
    date: Date = None,
    comment: Comment = None,
    node: NodeAt = None,
    user: As = None,
    json: Json = False,
) -> int:
    """State that the thing has arrived."""
    with opened(node, user) as found:
        document = found.samples.receive(sample, from_=from_, at=at, date=date, comment=comment or "").to_dict()
    return _tell(document, as_json=json)


@samples.command()
def consume(
    sample: Which,
    date: Date = None,
    comment: Comment = None,
    node: NodeAt = None,
    user: As = None,
    json: Json = False,
) -> int:
    """State that nothing of the thing is left."""
    with opened(node, user) as found:
        document = found.samples.consume(sample, date=date, comment=comment or "").to_dict()
    return _tell(document, as_json=json)


@samples.command()
def lose(
    sample: Which,
    date: Date = None,
    comment: Comment = None,
    node: NodeAt = None,
    user: As = None,
    json: Json = False,
) -> int:
    """State that nobody knows where the thing is."""
    with opened(node, user) as found:
        document = found.samples.lose(sample, date=date, comment=comment or "").to_dict()
    return _tell(document, as_json=json)


def _tell(document: dict[str, Any], *, as_json: bool) -> int:
    if as_json:
        print_json({"sample": document})
    else:
        sample_view.brief(document)
    return 0
