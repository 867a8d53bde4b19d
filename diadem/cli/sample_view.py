"""Samples in words for a person at a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from diadem.cli.output import plain
from diadem.model.plain_text import count_text

#: Datasets of one package in a row that are named; the others are counted.
_SHOWN = 20
#: The widest path that others are aligned with.
_PATH = 40
#: Names in one line.
_NAMED = 12
_TO = {"made": "at", "sent": "to", "received": "at", "consumed": "at", "lost": "at"}


def listing(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print one line for each sample."""
    if not rows:
        print("no sample is defined: diadem sample add S-12 --name 'ZnO nanorods'")
        return
    widest = min(30, max(len(plain(row["identifier"])) for row in rows))
    for row in rows:
        facts = [row.get("name", ""), _called(row), _maker(row), row["where"]["words"] if row["where"]["since"] else ""]
        told = " · ".join(plain(fact) for fact in facts if fact)
        print(f"{plain(row['identifier']):{widest}}  {told}".rstrip())


def brief(document: Mapping[str, Any]) -> None:
    """Print what a sample is, in short, after something was said of it."""
    _line("sample", _title(document))
    _line("id", document["id"])
    _line("called", _called(document))
    where = document.get("where")
    _line("where", where["words"] if where and where["since"] else "")
    for finding in document.get("findings", ()):
        _finding(finding)


def stories(asked: str, documents: Sequence[Mapping[str, Any]], *, every: bool) -> None:
    """Print everything about the samples that a name means."""
    if len(documents) > 1:
        called = ", ".join(plain(document["identifier"]) for document in documents)
        print(f"{len(documents)} samples are called '{plain(asked)}': {called}")
    for document in documents:
        if len(documents) > 1:
            print()
        _story(document, every=every)


def _story(document: Mapping[str, Any], *, every: bool) -> None:
    _line("sample", _title(document))
    _line("id", document["id"])
    _line("called", _called(document))
    for name in document["shared_names"]:
        lab = f" of {name['lab']}" if name["lab"] else ""
        _line("note", f"another sample has the name {name['name']}{lab} too: a search for it finds both")
    _line("made by", _maker(document))
    _line("consists of", ": ".join(filter(None, [document.get("composition", ""), ", ".join(_listed(document))])))
    _many("prepared", (_step(step) for step in document.get("preparation", ())))
    _line("comment", document.get("comment", ""))
    _many("same thing", (_link(link, document) for link in document["links"]))
    _line("made from", _relatives(document["ancestors"]))
    _line("parts", _relatives(document["parts"]))
    _line("where", document["where"]["words"])
    _many("history", (line for event in document["events"] for line in _event(event)))
    for finding in document["findings"]:
        _finding(finding)
    _datasets(document, every=every)


def _title(document: Mapping[str, Any]) -> str:
    return f"{document['identifier']}  {document.get('name', '')}".rstrip()


def _listed(document: Mapping[str, Any]) -> Sequence[str]:
    elements: Sequence[str] = document.get("elements", ())
    return elements


def _called(document: Mapping[str, Any]) -> str:
    names = [f"{one['name']} ({one['lab']})" for one in document.get("names", ())]
    links = (link["other"] for link in document.get("links", ()) if link["other"])
    names += [f"{one['name']} ({one['lab']})" for one in links]
    return ", ".join(dict.fromkeys([*names, *(f"{text} ({kind})" for kind, text in _ids(document))]))


def _ids(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield from sorted(document.get("identifiers", {}).items())


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


def _finding(finding: Mapping[str, Any]) -> None:
    _line("note" if finding["severity"] == "info" else "LOOK AT", finding["message"])


def _datasets(document: Mapping[str, Any], *, every: bool) -> None:
    datasets = document["datasets"]
    packages = {dataset["package"] for dataset in datasets}
    if not datasets:
        _line("datasets", f"none yet: diadem archive FOLDER --set sample.identifier={document['identifier']}")
        return
    _line("datasets", f"{len(datasets):,} in {count_text(len(packages), 'package')}")
    names = {one["id"]: one["identifier"] for one in (document, *document["same"], *document["parts"])}
    widest = min(_PATH, max(len(_file(dataset)) for dataset in datasets))
    for _, group in groupby(datasets, key=lambda dataset: dataset["package"]):
        found = list(group)
        shown = found if every else found[:_SHOWN]
        for dataset in shown:
            print(plain("  " + _dataset(dataset, names, widest)).rstrip())
        if len(found) > len(shown):
            print(f"  and {len(found) - len(shown):,} more of this package: --all")


def _file(dataset: Mapping[str, Any]) -> str:
    return str(dataset["path"] or dataset["title"])


def _dataset(dataset: Mapping[str, Any], names: Mapping[str, str], widest: int) -> str:
    moment = dataset["time"][:16].replace("T", " ") or dataset["date"] or "undated"
    where = ", ".join(filter(None, [dataset["instrument"], dataset["site"]])) or "-"
    named = names.get(dataset["sample"], "")
    return f"{moment:16}  {dataset['package'][7:19]}  {where[:28]:28}  {_file(dataset):{widest}}  {named}"


def _many(word: str, texts: Iterator[str]) -> None:
    """Several lines under one word."""
    for number, text in enumerate(texts):
        print(f"{word if number == 0 else '':16} {plain(text)}")


def _line(word: str, text: str) -> None:
    if text:
        print(f"{word:16} {plain(text)}")
