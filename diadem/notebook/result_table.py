"""What a search has found as a table for notebooks: one HTML element, without scripts and anything from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from diadem.model.display import STYLE, picture_html
from diadem.model.plain_text import count_text, escaped, size_text

_BADGES: Final[Mapping[str, str]] = {
    "accept": "#15803d", "limited": "#a16207", "reject": "#b91c1c", "disputed": "#7e22ce",
}  # fmt: skip
_MARKS: Final[Mapping[str, str]] = {
    "datasets": ' class="number"', "size": ' class="number"', "date": ' class="whole"', "package": ' class="whole"',
}  # fmt: skip
_MOST_DOUBTS: Final = 3
#: Columns whose cells are texts; of all others `_row` makes the cell.
_TEXTS: Final = ("instrument", "sample", "operator")


def result_html(document: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """HTML of a page of a search.

    Parameters
    ----------
    document : mapping
        As `SearchResult.to_dict` gives it, and ``found``: how many rows the page has. Its texts may be anybody's.
    pictures : mapping of str to str
        Data addresses of small pictures, by id of the package; others are passed over.

    Returns
    -------
    str
        A ``div`` with a caption and the table.
    """
    rows = document["rows"]
    cells = [_cells(row, pictures.get(row["id"], "")) for row in rows]
    said = [name for name in (cells[0] if cells else ()) if any(row[name][1] for row in cells)]
    head = "".join(f"<th{_MARKS.get(name, '')}>{name}</th>" for name in said)
    body = "".join(f"<tr>{''.join(f'<td{row[name][0]}>{row[name][1]}</td>' for name in said)}</tr>" for row in cells)
    table = f"<table><tr>{head}</tr>{body}</table>" if rows else ""
    return f'<div class="diadem">{STYLE}<p>{_caption(document)}</p>{table}{_below(document)}</div>'


def _caption(document: Mapping[str, Any]) -> str:
    total = f"{'' if document['exact'] else 'at least '}{count_text(document['total'], 'package')}"
    first, shown = document["offset"], len(document["rows"])
    part = f", {first + 1:,} to {first + shown:,}" if shown and shown < document["total"] else ""
    query = f" for <code>{escaped(document['query'])}</code>" if document["query"].strip() else ""
    return f"<strong>{total}</strong>{query}{part}"


def _below(document: Mapping[str, Any]) -> str:
    lines = []
    if hidden := document["found"] - len(document["rows"]):
        lines.append(f"{hidden:,} more on this page are not shown; <code>to_dataframe()</code> has them all.")
    if document["names"]:
        lines.append(f"Also searched for: {escaped(', '.join(document['names'][:8]))}")
    lines += [
        f"Without <code>{escaped(one['left_out'])}</code>: {count_text(one['total'], 'package')}"
        for one in document["wider"]
    ]
    if document["hint"]:
        lines.append(escaped(document["hint"]))
    return "".join(f'<p class="soft">{line}</p>' for line in lines)


def _cells(row: Mapping[str, Any], picture: str) -> dict[str, tuple[str, str]]:
    """What stands in each column, and how it is set."""
    texts = {name: escaped(row[name]) for name in _TEXTS}
    cells = {
        "": picture_html(picture),
        "package": f'<code title="{escaped(row["id"])}">{escaped(row["id"][7:19])}</code>',
        "date": _day(row),
        "session": _session(row),
        **texts,
        "judged": _badges(row["quality"]),
        "datasets": _datasets(row),
        "size": size_text(row["bytes"]),
        "copies": f'{row["copies"]}<br><span class="soft">{escaped(", ".join(row["stores"]))}</span>',
    }
    return {name: (_MARKS.get(name, ""), cell) for name, cell in cells.items()}


def _day(row: Mapping[str, Any]) -> str:
    """The session's days; where they are not known, when it was archived, and that it is that."""
    if not row["date"]:
        archived = str(row["ingested_at"] or "")[:10]
        return f'<span class="soft">archived {escaped(archived)}</span>' if archived else "–"
    until = row.get("until")
    return escaped(f"{row['date']} – {until}" if until else row["date"])


def _session(row: Mapping[str, Any]) -> str:
    """Title, which datasets match where not all do, and doubts."""
    lines = [f"<bdi>{escaped(row['title'])}</bdi>"]
    if row["matching"] < row["datasets"]:
        named = ", ".join(one["path"].rpartition("/")[2] for one in row["matched"][:3])
        more = ", …" if row["matching"] > 3 else ""
        lines.append(f'<span class="soft"><bdi>{escaped(named)}</bdi>{more}</span>')
    doubts: Sequence[str] = row["warnings"]
    lines += [f'<span class="doubt">⚠ {escaped(text)}</span>' for text in doubts[:_MOST_DOUBTS]]
    if len(doubts) > _MOST_DOUBTS:
        lines.append(f'<span class="doubt">⚠ and {len(doubts) - _MOST_DOUBTS:,} more</span>')
    return "<br>".join(lines)


def _badges(quality: Sequence[str]) -> str:
    return "".join(
        f'<span class="badge" style="background:{_BADGES.get(word, "#475569")}">{escaped(word)}</span>'
        for word in quality
    )


def _datasets(row: Mapping[str, Any]) -> str:
    if row["matching"] < row["datasets"]:
        return f"{row['matching']:,} of {row['datasets']:,}"
    return f"{row['datasets']:,}"
