"""``READ ME FIRST.html``: the page beside what is given to someone who has never heard of DIADEM.

It says what came, from whom, how to check it with what every computer has, and how to say that it arrived. Like the
page of a package it needs nothing but itself and holds no script.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from diadem.model.facts import PackageFacts
from diadem.model.plain_text import count_text, date_text, escaped, size_text
from diadem.package.page import document_html, licence_html, panels_html, sentence_html
from diadem.package.page_datasets import datasets_html, noted_html
from diadem.package.page_guide import PACKAGE, Check, check_html, files_html, python_html

#: Name of the page, and of the list of digests where there is no package to hold one.
LETTER = "READ ME FIRST.html"
WHOLE, RAW, RECORD = "package", "raw", "record"
#: Names that are listed one by one.
_MAX_NAMES = 200
#: Bytes of previews: as many as the page of a package shows.
_BUDGET = 2 << 20


@dataclass(frozen=True, slots=True)
class Enclosed:
    """One folder of the ZIP.

    Attributes
    ----------
    folder : str
        Its name.
    id : str
        The package that it is, or was taken from: ``diadem:<64 hex>``.
    files, bytes : int
        What is in it.
    """

    folder: str
    id: str
    files: int
    bytes: int


#: Beside the page: the owners' signed corrections, one sheet a line (`diadem.node.custody.corrections`).
CORRECTIONS = "corrections.jsonl"


@dataclass(frozen=True, slots=True)
class Letter:
    """What the page says.

    Attributes
    ----------
    facts : PackageFacts
        The session in plain words.
    enclosed : sequence of Enclosed
        The folders.
    kind : str
        `WHOLE`: packages; `RAW`: the instrument's files alone; `RECORD`: metadata alone.
    moment : str
        When it was made, ISO 8601.
    to, sender : str
        For whom, and from whom; "" where neither is to be said.
    redacted : bool
        Whether people's names were taken out.
    others : int
        Packages of the same session that are not enclosed.
    renamed : sequence of (str, str)
        Files that have another name here than they had: both names, the one here first.
    corrected : sequence of (what, before, now, by)
        What the owner corrected since, in words; "" where nothing was stated before, or is now.
    """

    facts: PackageFacts
    enclosed: Sequence[Enclosed]
    kind: str
    moment: str
    to: str = ""
    sender: str = ""
    redacted: bool = False
    others: int = 0
    renamed: Sequence[tuple[str, str]] = field(default_factory=tuple)
    corrected: Sequence[tuple[str, str, str, str]] = ()


def letter_html(letter: Letter) -> bytes:
    """The page. The same letter gives the same bytes."""
    facts = letter.facts
    title = facts.name.strip() or "Untitled session"
    whole = letter.kind == WHOLE and not letter.redacted
    body = (
        _head(title, letter),
        "<main>\n",
        _contents(facts),
        _part("zip", _enclosed(letter)),
        _part("check", check_html(_check(letter))),
        _part("arrived", _arrived(letter)),
        _redacted(letter),
        _renamed(letter.renamed),
        panels_html(facts),
        _corrected(letter),
        noted_html(facts),
        _part("datasets", datasets_html(facts, _BUDGET)) if facts.dataset_count else "",
        python_html(facts) if whole else "",
        files_html() if whole else "",
        "</main>\n",
        _foot(letter),
    )
    return document_html(f"{title}: read me first", "".join(body))


def _contents(facts: PackageFacts) -> str:
    """Where to find what, for the datasets make a long page."""
    places = [
        ("zip", "What is in the ZIP"),
        ("check", "How to check it"),
        ("arrived", "Say that it arrived"),
        *([("datasets", "The data")] if facts.dataset_count else []),
    ]
    links = " · ".join(f'<a href="#{name}">{text}</a>' for name, text in places)
    return f"<p>On this page: {links}</p>\n"


def _part(name: str, section: str) -> str:
    return section.replace("<section>", f'<section id="{name}">', 1)


def _head(title: str, letter: Letter) -> str:
    facts = letter.facts
    figures = (
        count_text(facts.dataset_count, "dataset"),
        count_text(facts.file_count, "file"),
        size_text(facts.total_bytes),
        f"archived on {date_text(facts.archived)}" if facts.archived else "",
    )
    items = "".join(f"<li>{escaped(figure)}</li>" for figure in figures if figure)
    described = facts.description.strip()
    return (
        f'<header>\n<p class="kind">Read me first</p>\n<h1><bdi>{escaped(title)}</bdi></h1>\n'
        f'<p class="lead">{_sent(letter)}</p>\n<p>{sentence_html(facts)}</p>\n'
        f"{f'<p class=said>{escaped(described, 5000)}</p>' if described else ''}\n"
        f'<ul class="figures">{items}</ul>\n</header>\n'
    )


def _sent(letter: Letter) -> str:
    what = {WHOLE: "This data", RAW: "These files", RECORD: "This description of data"}[letter.kind]
    verb = "were" if letter.kind == RAW else "was"
    to = f" for <strong>{escaped(letter.to, 320)}</strong>" if letter.to else ""
    sender = f" by <strong>{escaped(letter.sender, 320)}</strong>" if letter.sender else ""
    return f"{what} {verb} prepared{to}{sender} on {escaped(date_text(letter.moment))}."


def _enclosed(letter: Letter) -> str:
    rows = "".join(_row(one) for one in letter.enclosed)
    said = {
        WHOLE: "Beside this page is a folder with everything: the files as the instrument wrote them, their extended"
        " metadata, and lists of digests with which every byte can be checked.",
        RAW: "Beside this page is a folder with the files as the instrument wrote them, under their own names, and"
        " <code>manifest-sha256.txt</code>, the list of their digests. The extended metadata are not enclosed.",
        RECORD: "Beside this page is a folder with the extended metadata alone: <code>diadem-record.json</code> holds"
        " every value with its unit and its source, <code>ro-crate-preview.html</code> shows it. The instrument’s files"
        " are not enclosed; ask for them by the package id.",
    }[letter.kind]
    if len(letter.enclosed) > 1:
        said = said.replace("is a folder", "are folders", 1)
    from_ = letter.redacted or letter.kind != WHOLE
    heading = "Taken from the package" if from_ else "Package id"
    worth = (
        ""
        if from_
        else "<p>The package id is the digest of the digests. Here it proves no more than this page does: ask"
        " for it by another channel, by telephone or in a separate mail, and compare.</p>\n"
    )
    return (
        f"<section>\n<h2>What is in the ZIP</h2>\n<p>First unpack the ZIP into a folder; opened inside the"
        f" ZIP, this page cannot show the rest. {said}</p>\n"
        f'<div class="scroll"><table class="list"><thead><tr><th scope="col">Folder</th><th scope="col">Files</th>'
        f'<th scope="col" class="number">Size</th><th scope="col">{heading}</th></tr></thead><tbody>{rows}</tbody>'
        f"</table></div>\n{worth}{_others(letter)}</section>\n"
    )


def _row(one: Enclosed) -> str:
    return (
        f"<tr><td><bdi>{escaped(one.folder)}</bdi></td><td>{one.files:,}</td>"
        f'<td class="number">{size_text(one.bytes)}</td><td><code>{escaped(one.id)}</code></td></tr>'
    )


def _others(letter: Letter) -> str:
    if not letter.others:
        return ""
    verb = "holds" if letter.others == 1 else "hold"
    return (
        f'<div class="note"><p>The session was archived in several steps. {count_text(letter.others, "package")} more'
        f" {verb} files of it and {'is' if letter.others == 1 else 'are'} not enclosed.</p></div>\n"
    )


def _check(letter: Letter) -> Check:
    """What is checked: the folder, or each of several; or the list beside this page."""
    if letter.kind != WHOLE:
        return Check(
            "the folder that holds this page",
            lists=("manifest-sha256.txt",),
            closed=False,
            identified=False,
            name="the files",
        )
    one = len(letter.enclosed) == 1
    folder = f"<code><bdi>{escaped(letter.enclosed[0].folder)}</bdi></code>"
    place = f"the folder {folder}, the one that holds <code>bagit.txt</code>" if one else PACKAGE.place
    name, meant = ("it" if one else "them"), ("what was sent" if letter.redacted else "what was archived")
    hint = "It is beside this page." if one else "Check each folder beside this page in the same way."
    return Check(place, hint, identified=not letter.redacted, name=name, meant=meant)


def _arrived(letter: Letter) -> str:
    whole = letter.kind == WHOLE and not letter.redacted
    what = "the package id that the check printed" if whole else "which package it was taken from"
    return (
        "<section>\n<h2>Say that it arrived</h2>\n<p>So far only the sender’s log says that this was handed over. If"
        " the check succeeds, write a plain mail to the sender: say that you have it, since which day, how you checked"
        f" it, and {what}. That mail is the receipt; nothing is sent automatically.</p>\n</section>\n"
    )


def _redacted(letter: Letter) -> str:
    if not letter.redacted:
        return ""
    kept = (
        ""
        if letter.kind == RECORD
        else " The instrument’s own files were not changed: they may still name or show people."
    )
    also = (
        ""
        if letter.kind == RAW
        else " DIADEM’s own metadata was written again without them: this is no longer the archived package, and it"
        " has no package id."
    )
    return (
        "<section>\n<h2>What was taken out</h2>\n<p>Names of people, accounts and computers, e-mail addresses and"
        f" places on disks, as far as they could be found.{also}{kept}</p>\n</section>\n"
    )


def _corrected(letter: Letter) -> str:
    if not letter.corrected:
        return ""
    rows = "".join(
        f"<tr><td>{escaped(what)}</td><td>{f'<del>{escaped(before)}</del> ' if before else ''}"
        f"{f'<ins>{escaped(now)}</ins>' if now else 'withdrawn'}</td><td>{escaped(by, 1000)}</td></tr>"
        for what, before, now, by in letter.corrected[:_MAX_NAMES]
    )
    more = len(letter.corrected) - _MAX_NAMES
    also = f"<p>And {more:,} more, in <code>{CORRECTIONS}</code>.</p>\n" if more > 0 else ""
    return (
        "<section>\n<h2>Corrected since it was archived</h2>\n<p>A package never changes: its own page and record show"
        " what was archived. This page shows the corrected values. The signed corrections are enclosed in"
        f" <code>{CORRECTIONS}</code>.</p>\n"
        '<div class="scroll"><table class="list"><thead><tr><th scope="col">What</th><th scope="col">Value</th>'
        f'<th scope="col">Who says so</th></tr></thead><tbody>{rows}</tbody></table></div>\n{also}</section>\n'
    )


def _renamed(renamed: Sequence[tuple[str, str]]) -> str:
    if not renamed:
        return ""
    rows = "".join(
        f"<tr><td><bdi>{escaped(here)}</bdi></td><td><bdi>{escaped(there)}</bdi></td></tr>"
        for here, there in renamed[:_MAX_NAMES]
    )
    more = f"<p>And {len(renamed) - _MAX_NAMES:,} more.</p>\n" if len(renamed) > _MAX_NAMES else ""
    return (
        "<section>\n<h2>Other names</h2>\n<p>These files had names that not every system can store.</p>\n"
        '<div class="scroll"><table class="list"><thead><tr><th scope="col">Here</th><th scope="col">Originally</th>'
        f"</tr></thead><tbody>{rows}</tbody></table></div>\n{more}</section>\n"
    )


def _foot(letter: Letter) -> str:
    made = f"<p>Made by {escaped(letter.facts.software, 120)}.</p>\n" if letter.facts.software else ""
    return f"<footer>\n<p>Licence of the data: {licence_html(letter.facts)}</p>\n{made}</footer>\n"
