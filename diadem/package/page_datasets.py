"""The datasets on the page: cards with previews first, then rows, then a count."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from diadem.model.facts import MAX_DESCRIBED, MAX_PICTURED, DatasetFacts, PackageFacts
from diadem.model.plain_text import count_text, escaped, size_text

#: Rows of a card's table before the rest folds away, and rows in all.
_OPEN_ROWS, _MAX_ROWS = 12, 40
_MAX_LINES = 8
_MAX_NOTED = 40
#: How `_card` and `_stage` write a picture.
_PICTURE = re.compile(
    rb'<article class="card" id="dataset-([0-9]{1,6})">\n'
    rb'<div class="stage"><img src="data:image/(?:png|jpeg);base64,([A-Za-z0-9+/=]+)"'
)
_KINDS = ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"))


@dataclass(frozen=True, slots=True)
class Previews:
    """Data addresses of the previews that fit, by index of the dataset, and how many were left out."""

    shown: dict[int, str]
    left_out: int


def choose_previews(datasets: Sequence[DatasetFacts], budget: int) -> Previews:
    """Take previews in order while their data addresses fit in `budget` bytes together.

    A preview that is neither PNG nor JPEG is never shown: the page must not carry other content.
    """
    shown: dict[int, str] = {}
    left_out = 0
    for index, dataset in enumerate(datasets):
        address = _address(dataset.preview) if dataset.preview else ""
        if address and index < MAX_PICTURED and len(address) <= budget:
            shown[index] = address
            budget -= len(address)
        elif dataset.preview:
            left_out += 1
    return Previews(shown, left_out)


def previews_on(page: bytes) -> dict[int, bytes]:
    """The previews that a page of ours shows, by index of the dataset. Anything else on it is passed over."""
    found = {}
    for match in _PICTURE.finditer(page):
        try:
            picture = base64.b64decode(match[2], validate=True)
        except ValueError:
            continue
        if _address(picture):
            found[int(match[1]) - 1] = picture
    return found


def _address(preview: bytes) -> str:
    for magic, kind in _KINDS:
        if preview.startswith(magic):
            return f"data:{kind};base64,{base64.b64encode(preview).decode()}"
    return ""


def datasets_html(facts: PackageFacts, budget: int) -> str:
    """The section of datasets."""
    datasets = facts.datasets[:MAX_DESCRIBED]
    previews = choose_previews(datasets, budget)
    cards = "\n".join(
        _card(index, dataset, previews.shown.get(index, "")) for index, dataset in enumerate(datasets[:MAX_PICTURED])
    )
    return (
        f"<section>\n<h2>{count_text(facts.dataset_count, 'dataset').capitalize()}</h2>\n"
        f'{_missing_previews(previews.left_out)}<div class="grid">\n{cards}\n</div>\n'
        f"{_rows(datasets[MAX_PICTURED:])}{_not_listed(facts.dataset_count - len(datasets), len(datasets))}</section>\n"
    )


def _missing_previews(count: int) -> str:
    if not count:
        return ""
    return f'<p class="soft">{count_text(count, "preview")} not shown here, to keep this page small.</p>\n'


def _not_listed(count: int, listed: int) -> str:
    if count <= 0:
        return ""
    first = f"The first {listed:,} are listed here; " if listed else ""
    return (
        f"<p>{first}{count_text(count, 'dataset')} more {'is' if count == 1 else 'are'} described in "
        f"<code>diadem-record.json</code>, beside this page.</p>\n"
    )


def _card(index: int, dataset: DatasetFacts, address: str) -> str:
    path = PurePosixPath(dataset.primary)
    folder = "" if str(path.parent) == "." else f'<p class="soft">in <bdi>{escaped(path.parent)}</bdi></p>\n'
    lines = [escaped(signal) for signal in dataset.signals]
    return (
        f'<article class="card" id="dataset-{index + 1}">\n{_stage(path, address)}<div class="body">\n'
        f"<h3><bdi>{escaped(path.name or dataset.primary)}</bdi></h3>\n{folder}"
        f'<p class="soft">{_summary(dataset)}</p>\n{_list(lines)}{issues_html(dataset)}{_fields(dataset)}'
        f"</div>\n</article>"
    )


def _stage(path: PurePosixPath, address: str) -> str:
    if address:
        return f'<div class="stage"><img src="{address}" alt="Preview of {escaped(path.name, 100)}"></div>\n'
    suffix = path.suffix[1:].upper()
    label = suffix if suffix.isalnum() and len(suffix) <= 6 else "–"
    return f'<div class="stage blank" aria-hidden="true">{escaped(label)}</div>\n'


def _summary(dataset: DatasetFacts) -> str:
    name = "unknown format" if dataset.format in ("", "unknown") else dataset.format
    files = f" in {dataset.file_count:,} files" if dataset.file_count > 1 else ""
    return f"{escaped(name, 80)} · {size_text(dataset.size)}{files}"


def _list(lines: Sequence[str]) -> str:
    """Lines that are HTML already, as a list or as one paragraph."""
    shown = [*lines[:_MAX_LINES]]
    if len(lines) > _MAX_LINES:
        shown.append(f"and {len(lines) - _MAX_LINES:,} more")
    if len(shown) < 2:
        return f"<p>{shown[0]}</p>\n" if shown else ""
    return "<ul>" + "".join(f"<li>{line}</li>" for line in shown) + "</ul>\n"


def issues_html(dataset: DatasetFacts) -> str:
    """What a careful colleague would point out, or ""."""
    if not dataset.issues:
        return ""
    return f'<div class="note">{_list([escaped(issue, 500) for issue in dataset.issues])}</div>\n'


def _fields(dataset: DatasetFacts) -> str:
    rows = [
        f'<tr><th scope="row">{escaped(label, 80)}</th><td>{escaped(value)}</td></tr>' for label, value in dataset.rows
    ]
    if not rows:
        return ""
    folded = rows[_OPEN_ROWS:_MAX_ROWS]
    beyond = f"<p>{count_text(len(rows) - _MAX_ROWS, 'more value')} in the record.</p>" if len(rows) > _MAX_ROWS else ""
    rest = (
        f"<details><summary>{count_text(len(folded), 'more value')}</summary>\n{_table(folded)}{beyond}</details>\n"
        if folded
        else ""
    )
    return _table(rows[:_OPEN_ROWS]) + rest


def _table(rows: Sequence[str]) -> str:
    return f'<table class="fields"><tbody>{"".join(rows)}</tbody></table>\n'


def _rows(datasets: Sequence[DatasetFacts]) -> str:
    if not datasets:
        return ""
    body = "\n".join(_row(number, dataset) for number, dataset in enumerate(datasets, MAX_PICTURED + 1))
    return (
        '<h3 style="margin:1.5rem 0 .6rem">More datasets</h3>\n<div class="scroll"><table class="list">\n<thead><tr>'
        '<th scope="col">File</th><th scope="col">Format</th><th scope="col">Content</th>'
        '<th scope="col" class="number">Size</th><th scope="col">Notes</th></tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>\n"
    )


def _row(number: int, dataset: DatasetFacts) -> str:
    content = "; ".join(dataset.signals)
    return (
        f'<tr id="dataset-{number}"><td><bdi>{escaped(dataset.primary, 200)}</bdi></td>'
        f"<td>{escaped(dataset.format, 60)}</td><td>{escaped(content, 160)}</td>"
        f'<td class="number">{size_text(dataset.size)}</td><td>{escaped("; ".join(dataset.issues), 240)}</td></tr>'
    )


def noted_html(facts: PackageFacts) -> str:
    """A short list of the datasets that have issues, each with a link to its place; "" if none has."""
    noted = [(number, item) for number, item in enumerate(facts.datasets[:MAX_DESCRIBED], 1) if item.issues]
    if not noted:
        return ""
    lines = [
        f'<li><a href="#dataset-{number}"><bdi>{escaped(item.primary, 120)}</bdi></a>: {escaped(item.issues[0], 200)}'
        f"{f' (and {len(item.issues) - 1:,} more)' if len(item.issues) > 1 else ''}</li>"
        for number, item in noted[:_MAX_NOTED]
    ]
    more = f"<p>And {count_text(len(noted) - _MAX_NOTED, 'more dataset')}.</p>" if len(noted) > _MAX_NOTED else ""
    verb = "needs" if len(noted) == 1 else "need"
    return (
        f'<section>\n<h2>Worth a look</h2>\n<div class="note"><p>{count_text(len(noted), "dataset")} {verb} a second'
        f" look. The files are archived as they are.</p>\n<ul>{''.join(lines)}</ul>{more}</div>\n</section>\n"
    )
