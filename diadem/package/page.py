"""The page of a package: `data/ro-crate-preview.html`, one file that any browser shows, now and in fifty years.

No script, nothing from elsewhere. Everything that comes from a file or a person goes through `escaped`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from diadem.model.facts import PackageFacts
from diadem.model.plain_text import count_text, date_text, escaped, size_text, value_text
from diadem.package.crate import NO_LICENCE, is_address, licence_address, orcid_address
from diadem.package.page_datasets import datasets_html, noted_html
from diadem.package.page_guide import PACKAGE, Check, check_html, custody_html, files_html, python_html
from diadem.package.page_style import STYLE

_SESSION = {
    "identifier": "Session",
    "date": "Date",
    "end_date": "Until",
    "project": "Project",
    "proposal": "Proposal",
    "purpose": "Purpose",
    "keywords": "Keywords",
}
_SAMPLE = {
    "name": "Name",
    "identifier": "Identifier",
    "description": "Description",
    "elements": "Elements",
    "thickness": "Thickness",
    "preparation": "Preparation",
    "preparation_date": "Prepared on",
    "provider": "Provided by",
    "provider_identifier": "Provider’s name for it",
    "other_names": "Other names",
    "parent": "Made from",
    "provider_ror": "Provider’s ROR",
}
_INSTRUMENT = {
    "name": "Name",
    "vendor": "Maker",
    "model": "Model",
    "serial": "Serial number",
    "kind": "Kind",
    "site": "Place",
    "software": "Software",
    "pid": "Identifier",
    "owner_ror": "Owner’s ROR",
}
_KINDS = {"tem": "TEM", "sem": "SEM", "fib": "FIB", "him": "helium-ion microscope"}
_DATES = frozenset({"date", "end_date", "preparation_date"})
_MAX_PEOPLE = 50
_MAX_OMITTED = 500


#: A copy from which names were taken is an ordinary bag, and has no package id.
CLEANED = Check(PACKAGE.place, PACKAGE.hint, identified=False, name="this copy", meant="what was sent")


def page_html(facts: PackageFacts, *, budget: int = 2 << 20, cleaned: bool = False) -> bytes:
    """The page of a package.

    Parameters
    ----------
    facts : PackageFacts
        The package in plain words.
    budget : int
        Bytes that the previews' data addresses may take together; those beyond are left out, and their number told.
    cleaned : bool
        Of a copy from which people's names were taken: no package, and nothing on the page says so.

    Returns
    -------
    bytes
        HTML5 in UTF-8, self-contained. The first 200 datasets are cards, those up to `MAX_DESCRIBED` rows of a table,
        the rest is counted. The same facts give the same bytes.
    """
    title = facts.name.strip() or "Untitled session"
    about = (check_html(CLEANED),) if cleaned else (check_html(), python_html(facts), files_html(), custody_html())
    body = (
        _head(title, facts),
        "<main>\n",
        panels_html(facts),
        noted_html(facts),
        datasets_html(facts, budget),
        _omitted(facts.omitted),
        *about,
        "</main>\n",
        _foot(facts),
    )
    return document_html(title, "".join(body))


def document_html(title: str, body: str) -> bytes:
    """A page that needs nothing but itself, and loads nothing.

    Parameters
    ----------
    title : str
        Text.
    body : str
        HTML.
    """
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
        f"<title>{escaped(title, 200)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n{body}</body>\n</html>\n"
    ).encode()


def _head(title: str, facts: PackageFacts) -> str:
    figures = (
        count_text(facts.dataset_count, "dataset"),
        count_text(facts.file_count, "file"),
        size_text(facts.total_bytes),
        f"archived on {date_text(facts.archived)}",
    )
    description = facts.description or str(facts.session.get("description", ""))
    said = f'<p class="said">{escaped(description, 5000)}</p>\n' if description.strip() else ""
    if facts.continues:
        said += (
            "<p>This package continues an earlier one and holds only what is new or changed since:"
            f" <code>{escaped(facts.continues)}</code></p>\n"
        )
    items = "".join(f"<li>{escaped(figure)}</li>" for figure in figures)
    return (
        f'<header>\n<p class="kind">Electron-microscopy session</p>\n<h1><bdi>{escaped(title)}</bdi></h1>\n'
        f'<p class="lead">{sentence_html(facts)}</p>\n{said}<ul class="figures">{items}</ul>\n</header>\n'
    )


def sentence_html(facts: PackageFacts) -> str:
    """The session in one sentence, of what is known."""
    start, end = (str(facts.session.get(key, "")) for key in ("date", "end_date"))
    when = f" from {date_text(start)} to {date_text(end)}" if end and end != start else f" on {date_text(start)}"
    operators = [str(person.get("name", "")) for person in facts.people if "operator" in str(person.get("role", ""))]
    instrument = str(facts.instrument.get("name") or facts.instrument.get("model") or "")
    sample = str(facts.sample.get("name") or facts.sample.get("identifier") or "")
    parts = (
        when if start else "",
        f" by {_joined(operators)}" if operators else "",
        f" with the {instrument}" if instrument else "",
        f", sample {sample}" if sample else "",
    )
    said = "".join(parts)
    told = _from_files(facts, when=not start, who=not operators, what=not instrument)
    if not said:
        nobody = "The date, people, instrument and sample of this session are not stated."
        return escaped(f"No description yet. {told}", 600) if told else nobody
    sentence = f"Sample {sample}." if not any(parts[:3]) else f"Recorded{said}."
    return escaped(f"{sentence} {told}".rstrip(), 600)


def _from_files(facts: PackageFacts, *, when: bool, who: bool, what: bool) -> str:
    """What the files themselves say of a session, of that which nobody has said; "" where they say nothing."""
    days = "" if facts.days is None else " to ".join(date_text(day) for day in dict.fromkeys(facts.days))
    models = list(dict.fromkeys(str(one["model"]) for one in facts.instruments if "model" in one))
    said = [
        days if when else "",
        _joined(models) if models and what else "",
        f"by {_joined(facts.operators)}" if facts.operators and who else "",
    ]
    told = ", ".join(part for part in said if part)
    return f"From the files: {told}." if told else ""


def _joined(names: Sequence[str]) -> str:
    shown = [*names[:4], *(["others"] if len(names) > 4 else [])]
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else shown[0]


def panels_html(facts: PackageFacts) -> str:
    """Session, sample, people and instrument, as far as they are known."""
    session = {key: value for key, value in facts.session.items() if key not in {"title", "description", "license"}}
    panels = (
        _panel("Session", _known(session, _SESSION)),
        _panel("Sample", _known(facts.sample, _SAMPLE)),
        _people(facts.people),
        _panel("Instrument", _known(facts.instrument, _INSTRUMENT)),
    )
    return f'<div class="panels">\n{"".join(panels)}</div>\n' if any(panels) else ""


def _known(source: Mapping[str, Any], labels: Mapping[str, str]) -> list[tuple[str, str]]:
    """Rows (label, HTML) for every key that says something, known keys first, in the order of their labels."""
    keys = [*(key for key in labels if key in source), *sorted(key for key in source if key not in labels)]
    rows = [(labels.get(key, key.replace("_", " ")), _value(key, source[key])) for key in keys]
    return [(label, text) for label, text in rows if text]


def _value(key: str, value: Any) -> str:
    if key == "thickness" and isinstance(value, (int, float)):
        return escaped(f"{value * 1e9:.4g} nm")
    text = value_text(value)
    if key in _DATES:
        text = date_text(text)
    return _link(text) if is_address(text) else escaped(_KINDS.get(text, text) if key == "kind" else text, 1000)


def _link(address: str, text: str = "") -> str:
    return f'<a href="{escaped(address, 2000)}" rel="noreferrer">{escaped(text or address)}</a>'


def _panel(title: str, rows: Sequence[tuple[str, str]]) -> str:
    if not rows:
        return ""
    body = "".join(f'<tr><th scope="row">{escaped(label, 80)}</th><td>{text}</td></tr>' for label, text in rows)
    return f'<section class="panel"><h2>{title}</h2>\n<table><tbody>{body}</tbody></table></section>\n'


def _people(people: Sequence[Mapping[str, Any]]) -> str:
    if not people:
        return ""
    items = "".join(f"<li>{_person(person)}</li>" for person in people[:_MAX_PEOPLE])
    more = f"<p>And {len(people) - _MAX_PEOPLE:,} more.</p>" if len(people) > _MAX_PEOPLE else ""
    return f'<section class="panel"><h2>People</h2>\n<ul>{items}</ul>{more}</section>\n'


def _person(person: Mapping[str, Any]) -> str:
    address = orcid_address(str(person.get("orcid", "")))
    name = str(person.get("name", "")) or "Unnamed person"
    rest = (str(person.get(key, "")) for key in ("role", "affiliation", "email"))
    words = [
        _link(address, name) if address else f"<bdi>{escaped(name)}</bdi>",
        *(escaped(word) for word in rest if word),
    ]
    return ", ".join(words)


def _omitted(omitted: Sequence[tuple[str, str, str]]) -> str:
    if not omitted:
        return ""
    rows = "\n".join(
        f"<tr><td><bdi>{escaped(path)}</bdi></td><td>{escaped(kind, 60)}</td><td>{escaped(reason)}</td></tr>"
        for path, kind, reason in omitted[:_MAX_OMITTED]
    )
    more = f"<p>And {len(omitted) - _MAX_OMITTED:,} more, in the record.</p>\n" if len(omitted) > _MAX_OMITTED else ""
    return (
        "<section>\n<h2>Left out</h2>\n"
        f"<p>In the folder, but not in this package: {count_text(len(omitted), 'item')}.</p>\n"
        '<div class="scroll"><table class="list">\n<thead><tr><th scope="col">Path</th><th scope="col">Kind</th>'
        f'<th scope="col">Why</th></tr></thead>\n<tbody>\n{rows}\n</tbody></table></div>\n{more}</section>\n'
    )


def licence_html(facts: PackageFacts) -> str:
    """The licence of the data, linked where it has an address."""
    stated = facts.license.strip() or NO_LICENCE
    address = licence_address(stated)
    return _link(address, stated) if address else escaped(stated)


def _foot(facts: PackageFacts) -> str:
    made = f" Made by {escaped(facts.software, 120)}." if facts.software else ""
    return (
        f"<footer>\n<p>Licence of the data: {licence_html(facts)}</p>\n"
        f"<p>Payload id: <code>{escaped(facts.payload_id)}</code>.{made}</p>\n</footer>\n"
    )
