"""A scan as one page that any browser shows: no script, nothing from elsewhere, the look of a package's page."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from diadem.model.plain_text import count_text, escaped, size_text
from diadem.model.scan import PlannedSession, ScannedDataset
from diadem.package.page_style import STYLE
from diadem.scan.words import (
    Attention,
    attention,
    content_text,
    figures,
    folder_text,
    session_day,
    step_text,
    voltage_text,
    when_text,
)

if TYPE_CHECKING:
    from diadem.scan.scan import Scan

#: Rows of each table, and examples of each kind of issue: a page of 100,000 rows is none that a browser shows.
_MAX_SESSIONS, _MAX_DATASETS, _MAX_EXAMPLES, _OPEN_EXAMPLES = 2_000, 2_000, 200, 5
_OWN_STYLE = """
.list td.no { color: var(--soft); } .list .why { color: var(--soft); font-size: .82rem; }
.sessions td:nth-child(2) { min-width: 14rem; } .list td.date { white-space: nowrap; }
.sessions td:last-child { min-width: 8rem; } .list td.number { min-width: 4.5rem; }
.attention h3 { margin: 1.1rem 0 .3rem; } .attention ul { margin: .2rem 0;
  padding-left: 1.1rem; font-size: .9rem; } .scroll table { min-width: 52rem; }
.summary { max-width: 60rem; } .summary th { width: 8rem; white-space: nowrap; }
"""


def scan_page(scan: Scan) -> bytes:
    """The page: summary, sessions, what deserves attention, datasets; HTML5 in UTF-8."""
    names = ", ".join(root.replace(os.sep, "/").rstrip("/").rpartition("/")[2] or root for root in scan.roots)
    title = f"Scan of {names}"
    body = "".join((_head(scan, title), "<main>\n", _sessions(scan), _attention(scan), _datasets(scan), "</main>\n"))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{escaped(title, 200)}</title>\n<style>{STYLE}{_OWN_STYLE}</style>\n</head>\n"
        f"<body>\n{body}{_foot(scan)}</body>\n</html>\n"
    ).encode()


def _head(scan: Scan, title: str) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escaped(name)}</th><td>{escaped(text, 2000).replace(chr(10), "<br>")}</td></tr>'
        for name, text in figures(scan)
    )
    return (
        f'<header>\n<p class="kind">What is in existing folders</p>\n<h1><bdi>{escaped(title)}</bdi></h1>\n'
        f'<div class="panel summary"><table><tbody>{rows}</tbody></table></div>\n</header>\n'
    )


def _table(head: Sequence[tuple[str, bool]], rows: Iterable[str], more: int, what: str) -> str:
    """A table; `head` says of each column whether it holds numbers, `more` how many rows were left out."""
    titles = "".join(f'<th scope="col"{" class=number" * number}>{name}</th>' for name, number in head)
    rest = f"<p>And {count_text(more, what)} more, in the sheets that --xlsx writes.</p>\n" if more > 0 else ""
    body = "\n".join(rows)
    return (
        f'<div class="scroll"><table class="list">\n<thead><tr>{titles}</tr></thead>\n<tbody>\n{body}\n</tbody>'
        f"</table></div>\n{rest}"
    )


_SESSION_HEAD = (
    *(("Archive", False), ("Session", False), ("Date", False), ("Datasets", True), ("Size", True), ("Content", False)),
    *(("Microscope, sample", False), ("Folder", False)),
)


def _sessions(scan: Scan) -> str:
    if not scan.sessions:
        return "<section>\n<h2>No sessions</h2>\n<p>There is nothing to archive.</p>\n</section>\n"
    rows = (_session(scan, session) for session in scan.sessions[:_MAX_SESSIONS])
    table = _table(_SESSION_HEAD, rows, len(scan.sessions) - _MAX_SESSIONS, "session")
    chosen = sum(session.archive for session in scan.sessions)
    rest = len(scan.sessions) - chosen
    more = f", {rest:,} not proposed" if rest else ""
    return (
        f"<section>\n<h2>{count_text(chosen, 'session').capitalize()} that could be archived{more}</h2>\n"
        "<p>A proposal: <code>diadem scan … --plan plan.xlsx</code> writes it as a sheet to edit.</p>\n"
        f'<div class="sessions">{table}</div></section>\n'
    )


def _session(scan: Scan, session: PlannedSession) -> str:
    kind = "" if session.archive else ' class="no"'
    about = " · ".join(text for text in (session.instrument, session.sample) if text)
    cells = (
        f"<td{kind}>{'yes' if session.archive else 'no'}</td>",
        f'<td><bdi>{escaped(session.title)}</bdi><br><span class="why">{escaped(session.why, 600)}</span></td>',
        f'<td class="date">{escaped(session_day(session)) or "–"}</td>',
        f'<td class="number">{session.datasets:,}</td>',
        f'<td class="number">{size_text(session.bytes)}</td>',
        f"<td>{escaped(session.formats)}</td>",
        f"<td>{escaped(about)}</td>",
        f"<td><bdi>{escaped(folder_text(scan, session), 600)}</bdi></td>",
    )
    return f"<tr>{''.join(cells)}</tr>"


def _attention(scan: Scan) -> str:
    found = attention(scan)
    if not found:
        return "<section>\n<h2>Worth a look</h2>\n<p>Nothing.</p>\n</section>\n"
    parts, heading = [], ""
    for item in found:
        if item.heading != heading:
            heading = item.heading
            parts.append(f"<h3>{escaped(heading)}</h3>\n")
        parts.append(_item(item))
    return f'<section class="attention">\n<h2>Worth a look</h2>\n{"".join(parts)}</section>\n'


def _item(item: Attention) -> str:
    lines = [
        f"<li><bdi>{escaped(path, 500)}</bdi>{f': {escaped(said, 300)}' if said else ''}</li>"
        for path, said in item.lines[:_MAX_EXAMPLES]
    ]
    if len(item.lines) > _MAX_EXAMPLES:
        lines.append(f"<li>and {len(item.lines) - _MAX_EXAMPLES:,} more</li>")
    folded = lines[_OPEN_EXAMPLES:]
    rest = f"<details><summary>{len(folded):,} more</summary><ul>{''.join(folded)}</ul></details>" if folded else ""
    then = f"<p>{escaped(item.next)}</p>" if item.next else ""
    return (
        f'<div class="note"><p><strong>{escaped(item.title)}</strong></p><ul>{"".join(lines[:_OPEN_EXAMPLES])}</ul>'
        f"{rest}{then}</div>\n<p></p>\n"
    )


_DATASET_HEAD = (
    *(("File", False), ("Recorded", False), ("Instrument", False), ("Voltage", True), ("Content", False)),
    *(("Pixel, step", True), ("Format", False), ("Size", True)),
)


def _datasets(scan: Scan) -> str:
    known = [dataset for dataset in scan.datasets if dataset.known]
    if not known:
        return ""
    table = _table(_DATASET_HEAD, map(_dataset, known[:_MAX_DATASETS]), len(known) - _MAX_DATASETS, "dataset")
    return f"<section>\n<h2>{count_text(len(known), 'dataset').capitalize()} of known formats</h2>\n{table}</section>\n"


def _dataset(dataset: ScannedDataset) -> str:
    folder = dataset.path.rpartition("/")[0]
    place = f'<br><span class="why"><bdi>{escaped(folder, 300)}</bdi></span>' if folder else ""
    cells = (
        f"<td><bdi>{escaped(dataset.name)}</bdi>{place}</td>",
        f'<td class="date">{escaped(when_text(dataset))}</td>',
        f"<td>{escaped(dataset.facts.instrument, 80)}</td>",
        f'<td class="number">{escaped(voltage_text(dataset))}</td>',
        f"<td>{escaped(content_text(dataset))}</td>",
        f'<td class="number">{escaped(step_text(dataset))}</td>',
        f"<td>{escaped(dataset.facts.format)}</td>",
        f'<td class="number">{size_text(dataset.bytes)}</td>',
    )
    return f"<tr>{''.join(cells)}</tr>"


def _foot(scan: Scan) -> str:
    made = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
    said = "".join(f"<p>{escaped(notice, 600)}</p>" for notice in scan.notices)
    return f"<footer>\n{said}<p>Scanned on {made}. Nothing was written in these folders.</p>\n</footer>\n"
