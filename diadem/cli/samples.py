"""Commands on physical samples: what each is, what others call it, where it went, and every dataset that was made."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import wraps
from itertools import groupby
from typing import Annotated, Any

from diadem.cli.options import Argument, Json, Node, Option, Quiet
from diadem.cli.output import minute
from diadem.cli.sheets import DryRun, FromSheet, Replace, ToSheet, Yes, take_in, written
from diadem.cli.verb import Answer, Commands
from diadem.model.plain_text import count_text
from diadem.model.sample_cells import read_elements, read_everywhere, read_other_name, read_step

root = Commands()
samples = root.add(Commands("sample", "Physical samples: their names, their parts, where they are."))
Which = Annotated[str, Argument("Its identifier, or a name that another lab uses.")]
Comment = Annotated[str, Option("A comment.")]
Date = Annotated[str | None, Option("The day, as 2026-03-14. Default: today.")]
Made = Annotated[str | None, Option("The day on which it was made: 2026-03-01.")]
How = Annotated[str, Option("How: split, lamella, annealed, mixed or other.")]
OtherLab = Annotated[str | None, Option("The lab that uses this name, if it is not a sample of this node.")]


# -- what may be said of a sample ------------------------------------------------------------------------------------


def _sample_words(
    *,
    name: Annotated[str | None, Option("What it is: ZnO nanorods.")] = None,
    called: Annotated[list[str] | None, Option("What another lab calls it: K-2026-007@NMI. May be repeated.")] = None,
    ids: Annotated[list[str] | None, Option("A name that means it everywhere: igsn=10.60510/x1.", "--id")] = None,
    parents: Annotated[list[str] | None, Option("A sample that it was made from. May be repeated.", "--from")] = None,
    how: How = "other",
    maker: Annotated[str | None, Option("Who made it.")] = None,
    lab: Annotated[str | None, Option("Where it was made.")] = None,
    ror: Annotated[str | None, Option("The lab's address in ROR: https://ror.org/01hcx6992")] = None,
    orcid: Annotated[str | None, Option("The maker's ORCID iD.")] = None,
    composition: Annotated[str | None, Option("What it consists of, in words.")] = None,
    elements: Annotated[str | None, Option("Chemical symbols: Zn,O.")] = None,
    steps: Annotated[
        list[str] | None, Option("How it was prepared: '2026-03-01 FIB lift-out'. May be repeated.", "--step")
    ] = None,
    comment: Annotated[str | None, Option("A comment.")] = None,
) -> dict[str, Any]:
    """What is said with options, as `SampleWords` takes it; what is not said is left out."""
    said: dict[str, Any] = {"name": name, "maker": maker, "lab": lab, "ror": ror, "orcid": orcid}
    said |= {"composition": composition, "comment": comment, "how": how if parents else None}
    if called is not None:
        said["names"] = {}
        for other in map(read_other_name, called):  # ``@NMI`` takes a lab's names back
            said["names"].setdefault(other.lab, []).append(other.name)
    if ids is not None:
        said["identifiers"] = dict(map(read_everywhere, ids))
    if parents is not None:
        said["parents"] = [one for one in parents if one]
    if elements is not None:
        said["elements"] = read_elements(elements)
    if steps is not None:
        read = [read_step(one) for one in steps if one]
        said["preparation"] = [{"step": one.step, **({"date": one.date} if one.date else {})} for one in read]
    return {key: value for key, value in said.items() if value is not None}


def _says(function: Callable[..., Answer]) -> Callable[..., Answer]:
    """Add the options that say something of a sample; the function gets what was said as keywords."""
    words = inspect.signature(_sample_words, eval_str=True).parameters
    own = inspect.signature(function, eval_str=True).parameters.values()

    @wraps(function)
    def saying(**given: Any) -> Answer:
        said = {name: given.pop(name) for name in words}
        return function(**given, **_sample_words(**said))

    plain_words = [one.replace(kind=one.KEYWORD_ONLY) for one in own if one.kind != one.VAR_KEYWORD]
    saying.__signature__ = inspect.Signature([*plain_words, *words.values()])  # type: ignore[attr-defined]
    return saying


# -- what it is ------------------------------------------------------------------------------------------------------


def _answer(sample: Any) -> Answer:
    document = sample.to_dict()
    return Answer({"sample": document}, _brief_lines(document))


@samples.verb(user=True)
@_says
def add(
    node: Node,
    identifier: Annotated[str, Argument("What you call it, unique on this node: S-12.")],
    made: Made = None,
    **said: Any,
) -> Answer:
    """Define a sample: what it is, who made it, what others call it."""
    return _answer(node.samples.add(identifier, made=made, **said))


@samples.verb(user=True)
@_says
def change(
    node: Node, sample: Which, identifier: Annotated[str | None, Option("Another identifier.")] = None, **said: Any
) -> Answer:
    """Change what is said of a sample; an empty text removes it. What was said before stays in the log."""
    return _answer(node.samples.change(sample, identifier=identifier, **said))


@samples.verb(user=True)
def split(
    node: Node,
    sample: Which,
    parts: Annotated[list[str], Argument("Identifiers of the parts: S-12-a S-12-b.", metavar="PART")],
    how: How = "split",
    made: Made = None,
    comment: Comment = "",
) -> Answer:
    """Define parts that are made from a sample. A search for the sample finds its parts too."""
    documents = [part.to_dict() for part in node.samples.split(sample, *parts, how=how, made=made, comment=comment)]
    return Answer({"parts": documents}, (line for document in documents for line in _brief_lines(document)))


# -- looking ---------------------------------------------------------------------------------------------------------


@samples.verb()
def ls(node: Node) -> Answer:
    """List the samples: what each is, who made it, where it is."""
    where = node.samples.whereabouts()
    rows = [{**sample.to_dict(), "where": where[sample.id].to_dict()} for sample in node.samples]
    return Answer({"samples": rows}, _listed_lines(rows))


@samples.verb()
def show(
    node: Node,
    sample: Which,
    every: Annotated[bool, Option("Every dataset, however many a package has.", "--all")] = False,
) -> Answer:
    """Show a sample's names, relatives, place and datasets. In time order, from every instrument."""
    documents = [story.to_dict() for story in node.samples.show(sample)]
    doubtful = any(finding["severity"] != "info" for document in documents for finding in document["findings"])
    lines = _stories_lines(sample, documents, every=every)
    return Answer({"name": sample, "samples": documents}, lines, doubtful or len(documents) > 1)


# -- as a sheet ------------------------------------------------------------------------------------------------------


@samples.verb(user=True)
def export(node: Node, file: ToSheet, replace: Replace = False) -> Answer:
    """Write all samples to a sheet to edit and import. For Excel or LibreOffice."""
    return written(node.samples.export(file, replace=replace))


@samples.verb("import", user=True)
def import_(
    node: Node, file: FromSheet, yes: Yes = False, dry_run: DryRun = False, json: Json = False, quiet: Quiet = False
) -> int:
    """Import an edited sheet. It shows what would change, and writes that if you agree.

    Unedited cells and removed rows are ignored. An emptied cell removes the value.
    """
    return take_in(node.samples.import_, file, "sample", yes=yes, dry_run=dry_run, as_json=json, quiet=quiet)


# -- which names mean one thing --------------------------------------------------------------------------------------


@samples.verb(user=True)
def link(
    node: Node,
    sample: Which,
    other: Annotated[str, Argument("Another sample of this node; with --lab what that lab calls it.")],
    reason: Annotated[str, Option("Why you are sure; kept in the log.")],
    lab: OtherLab = None,
) -> Answer:
    """State that two names mean the same sample."""
    return _answer(node.samples.link(sample, other, lab=lab, reason=reason))


@samples.verb(user=True)
def unlink(
    node: Node,
    sample: Which,
    other: Annotated[str, Argument("The sample, or with --lab the name, that it was linked with.")],
    reason: Annotated[str, Option("What was wrong; kept in the log.")],
    lab: OtherLab = None,
) -> Answer:
    """Undo a link. Both statements stay in the log."""
    return _answer(node.samples.unlink(sample, other, lab=lab, reason=reason))


# -- what happens to it ----------------------------------------------------------------------------------------------


@samples.verb(user=True)
def send(
    node: Node,
    sample: Which,
    to: Annotated[str, Option("Where it goes: a lab, a person.")],
    from_: Annotated[str | None, Option("Where it was. Default: where it is known to be, else this node.")] = None,
    date: Date = None,
    comment: Comment = "",
) -> Answer:
    """State that the sample was sent away."""
    return _answer(node.samples.send(sample, to, from_=from_, date=date, comment=comment))


@samples.verb(user=True)
def receive(
    node: Node,
    sample: Which,
    from_: Annotated[str | None, Option("Who had sent it.")] = None,
    at: Annotated[str | None, Option("Where it is now. Default: this node.")] = None,
    date: Date = None,
    comment: Comment = "",
) -> Answer:
    """State that the sample has arrived."""
    return _answer(node.samples.receive(sample, from_=from_, at=at, date=date, comment=comment))


@samples.verb(user=True)
def consume(node: Node, sample: Which, date: Date = None, comment: Comment = "") -> Answer:
    """Mark the sample as used up."""
    return _answer(node.samples.consume(sample, date=date, comment=comment))


@samples.verb(user=True)
def lose(node: Node, sample: Which, date: Date = None, comment: Comment = "") -> Answer:
    """Mark the sample as lost."""
    return _answer(node.samples.lose(sample, date=date, comment=comment))


@samples.verb(user=True)
def retract(
    node: Node,
    sample: Which,
    event: Annotated[str, Argument("made, sent, received, consumed or lost; or the beginning of the statement's id.")],
    reason: Annotated[str, Option("What was wrong; kept in the log.")],
    date: Annotated[str | None, Option("The day of the event, where there are several.")] = None,
) -> Answer:
    """Retract an event that was stated by mistake. Both statements stay in the log."""
    return _answer(node.samples.retract(sample, event, reason=reason, date=date))


# -- in lines -------------------------------------------------------------------------------------------------------

#: Datasets of one package in a row that are named, the others are counted; the widest path that others are aligned
#: with; names in one line.
_SHOWN, _PATH, _NAMED = 20, 40, 12
_TO = {"made": "at", "sent": "to", "received": "at", "consumed": "at", "lost": "at"}


def _listed_lines(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A line for each sample."""
    widest = min(30, max((len(row["identifier"]) for row in rows), default=0))
    for row in rows:
        facts = [row.get("name", ""), _called(row), _maker(row), row["where"]["words"] if row["where"]["since"] else ""]
        yield f"{row['identifier']:{widest}}  {' · '.join(filter(None, facts))}".rstrip()
    if not rows:
        yield "no sample is defined: diadem sample add S-12 --name 'ZnO nanorods'"


def _brief_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """What a sample is, in short, after something was said of it."""
    where = document.get("where")
    yield from _line("sample", _title(document))
    yield from _line("id", document["id"])
    yield from _line("called", _called(document))
    yield from _line("where", where["words"] if where and where["since"] else "")
    yield from _finding_lines(document.get("findings", ()))


def _stories_lines(asked: str, documents: Sequence[Mapping[str, Any]], *, every: bool) -> Iterator[str]:
    """Everything about the samples that a name means."""
    if len(documents) > 1:
        called = ", ".join(document["identifier"] for document in documents)
        yield f"{len(documents)} samples are called '{asked}': {called}"
    for document in documents:
        if len(documents) > 1:
            yield ""
        yield from _story_lines(document)
        yield from _dataset_lines(document, every=every)


def _story_lines(document: Mapping[str, Any]) -> Iterator[str]:
    yield from _line("sample", _title(document))
    yield from _line("id", document["id"])
    yield from _line("called", _called(document))
    for name in document["shared_names"]:
        lab = f" of {name['lab']}" if name["lab"] else ""
        yield from _line("note", f"another sample has the name {name['name']}{lab} too: a search for it finds both")
    composition = [document.get("composition", ""), ", ".join(document.get("elements", ()))]
    yield from _line("made by", _maker(document))
    yield from _line("consists of", ": ".join(filter(None, composition)))
    yield from _line("prepared", *map(_step, document.get("preparation", ())))
    yield from _line("comment", document.get("comment", ""))
    yield from _line("same thing", *(_link(link, document) for link in document["links"]))
    yield from _line("made from", _relatives(document["ancestors"]))
    yield from _line("parts", _relatives(document["parts"]))
    yield from _line("where", document["where"]["words"])
    yield from _line("history", *(line for event in document["events"] for line in _event(event)))
    yield from _finding_lines(document["findings"])


def _line(word: str, *texts: str) -> Iterator[str]:
    """Texts under one word; none where there is nothing to say."""
    yield from (f"{'' if number else word:16} {text}" for number, text in enumerate(filter(None, texts)))


def _title(document: Mapping[str, Any]) -> str:
    return f"{document['identifier']}  {document.get('name', '')}".rstrip()


def _called(document: Mapping[str, Any]) -> str:
    names = [f"{one['name']} ({one['lab']})" for one in document.get("names", ())]
    links = (link["other"] for link in document.get("links", ()) if link["other"])
    names += [f"{one['name']} ({one['lab']})" for one in links]
    others = sorted(document.get("identifiers", {}).items())
    return ", ".join(dict.fromkeys([*names, *(f"{text} ({kind})" for kind, text in others)]))


def _maker(document: Mapping[str, Any]) -> str:
    maker = document.get("maker", {})
    return ", ".join(maker[key] for key in ("name", "lab", "orcid", "ror") if key in maker)


def _step(step: Mapping[str, str]) -> str:
    comment = f" ({step['comment']})" if step.get("comment") else ""
    return f"{step.get('date', '')} {step['step']}{comment}".strip()


def _link(link: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    other = link["other"]
    known = {one["id"]: one["identifier"] for one in document["same"]}
    name = f"{other['name']} ({other['lab']})" if other else known.get(link["sample"], link["sample"])
    return f"{name}, because: {link['reason']} [{link['by']}]"


def _relatives(relatives: Sequence[Mapping[str, Any]]) -> str:
    named = [_title(one) for one in relatives[:_NAMED]]
    more = [f"{len(relatives) - _NAMED:,} more"] if len(relatives) > _NAMED else []
    return ", ".join(" ".join(text.split()) for text in [*named, *more])


def _event(event: Mapping[str, Any]) -> Iterator[str]:
    """What happened, in parentheses where it was taken back, and then by whom and why."""
    taken = event["retracted"]
    yield f"({_happened(event)})" if taken else _happened(event)
    if taken:
        yield f"            retracted by {taken['by']}, because: {taken['reason']}"


def _happened(event: Mapping[str, Any]) -> str:
    pairs = (("from", event["from"]), (_TO[event["event"]], event["to"]))
    places = "".join(f" {word} {place}" for word, place in pairs if place)
    comment = f": {event['comment']}" if event["comment"] else ""
    return f"{event['date']}  {event['event']}{places}{comment} [{event['by']}]"


def _finding_lines(findings: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for finding in findings:
        yield from _line("note" if finding["severity"] == "info" else "LOOK AT", finding["message"])


def _dataset_lines(document: Mapping[str, Any], *, every: bool) -> Iterator[str]:
    datasets = document["datasets"]
    packages = {dataset["package"] for dataset in datasets}
    if not datasets:
        how = f"diadem archive FOLDER --set sample.identifier={document['identifier']}"
        yield from _line("datasets", f"none yet: {how}")
        return
    yield from _line("datasets", f"{len(datasets):,} in {count_text(len(packages), 'package')}")
    names = {one["id"]: one["identifier"] for one in (document, *document["same"], *document["parts"])}
    widest = min(_PATH, max(len(_file(dataset)) for dataset in datasets))
    for _, group in groupby(datasets, key=lambda dataset: dataset["package"]):
        found = list(group)
        shown = found if every else found[:_SHOWN]
        yield from (f"  {_dataset(dataset, names, widest)}".rstrip() for dataset in shown)
        if len(found) > len(shown):
            yield f"  and {len(found) - len(shown):,} more of this package: --all"


def _file(dataset: Mapping[str, Any]) -> str:
    return str(dataset["path"] or dataset["title"])


def _dataset(dataset: Mapping[str, Any], names: Mapping[str, str], widest: int) -> str:
    moment = minute(dataset["time"]) or dataset["date"] or "undated"
    where = ", ".join(filter(None, [dataset["instrument"], dataset["site"]])) or "-"
    named = names.get(dataset["sample"], "")
    return f"{moment:16}  {dataset['package'][7:19]}  {where[:28]:28}  {_file(dataset):{widest}}  {named}"
