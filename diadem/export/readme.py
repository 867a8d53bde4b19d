"""``READ ME FIRST.html``: the page beside what is given to someone who has never heard of DIADEM.

It says what came, from whom, how to check it with what every computer has, and how to say that it arrived. Like the
page of a package it needs nothing but itself and holds no script.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from diadem.export.pages import page_values, render_page
from diadem.model.facts import PackageFacts

#: Name of the page; and of the owners' signed corrections beside it, one sheet a line (`diadem.node.custody`).
README, CORRECTIONS = "READ ME FIRST.html", "corrections.jsonl"
#: What was exported: packages, the instrument's files alone, metadata alone.
WHOLE, RAW, RECORD = "package", "raw", "record"


@dataclass(frozen=True, slots=True)
class EnclosedFolder:
    """One folder of the ZIP, with what is in it.

    `id` is that of the package that it is, or was taken from: ``diadem:<64 hex>``.
    """

    folder: str
    id: str
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class ReadMe:
    """What the page says.

    Attributes
    ----------
    facts : PackageFacts
        The session in plain words.
    enclosed : sequence of EnclosedFolder
        The folders.
    kind : str
        `WHOLE`, `RAW` or `RECORD`.
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
    enclosed: Sequence[EnclosedFolder]
    kind: str
    moment: str
    to: str = ""
    sender: str = ""
    redacted: bool = False
    others: int = 0
    renamed: Sequence[tuple[str, str]] = ()
    corrected: Sequence[tuple[str, str, str, str]] = ()


def readme_html(readme: ReadMe) -> bytes:
    """The page. The same values give the same bytes."""
    values = {field.name: getattr(readme, field.name) for field in fields(readme)}
    name = readme.facts.name.strip() or "Untitled session"
    title = f"{name}: read me first"
    return render_page(
        "readme.html", values | page_values(readme.facts), name=name, title=title, CORRECTIONS=CORRECTIONS
    )
