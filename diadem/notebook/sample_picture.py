"""A sample as a picture for notebooks: what it was made from, what is the same thing, its parts, and the sessions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from diadem.model.plain_text import count_text, escaped

#: Boxes of one column that are drawn; the others are counted.
_MOST: Final = 12
#: Letters of a line in a box.
_LETTERS: Final = 26
_WIDTH, _HEIGHT, _ACROSS, _DOWN, _EDGE = 176, 40, 64, 14, 24
#: Of boxes: fill and border. Readable on a light and on a dark page.
_COLOURS: Final[Mapping[str, tuple[str, str]]] = {
    "this": ("#dbeafe", "#1d4ed8"),
    "same": ("#eff6ff", "#60a5fa"),
    "relative": ("#f8fafc", "#64748b"),
    "session": ("#fefce8", "#ca8a04"),
    "more": ("#ffffff", "#94a3b8"),
}
_TITLES: Final = ("made from", "sample", "parts", "sessions")


@dataclass(frozen=True, slots=True)
class _Box:
    """One box: two lines of text, and what is shown when the mouse rests on it."""

    kind: str
    title: str
    below: str = ""
    hint: str = ""


@dataclass(slots=True)
class _Picture:
    """Boxes in columns, by keys, and lines between them."""

    columns: list[dict[str, _Box]] = field(default_factory=lambda: [{} for _ in _TITLES])
    lines: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, column: int, key: str, box: _Box) -> None:
        """Add a box once."""
        self.columns[column].setdefault(key, box)

    def join(self, first: str, second: str, style: str = "") -> None:
        """Add a line between two boxes."""
        self.lines.append((first, second, style))


def sample_html(document: Mapping[str, Any]) -> str:
    """HTML of a sample: one SVG, without scripts and anything from elsewhere.

    Parameters
    ----------
    document : mapping
        As `SampleStory.to_dict` gives it. Its texts may be anybody's.

    Returns
    -------
    str
        A ``div`` with a caption and the picture.
    """
    where = document["where"]["words"] if document["where"]["since"] else "location unknown"
    name = f" {escaped(document['name'])}" if document.get("name") else ""
    caption = f"<strong>{escaped(document['identifier'])}</strong>{name} · {escaped(where)}"
    doubts = "".join(
        f'<li style="color:#b45309">{escaped(finding["message"])}</li>'
        for finding in document["findings"]
        if finding["severity"] != "info"
    )
    noted = f"<ul>{doubts}</ul>" if doubts else ""
    return f'<div class="diadem-sample"><p>{caption}</p>{noted}{sample_svg(document)}</div>'


def sample_svg(document: Mapping[str, Any]) -> str:
    """The picture alone, of the same document: it stands in a file or a page of its own, too."""
    return _svg(_picture(document))


def _picture(document: Mapping[str, Any]) -> _Picture:
    picture = _Picture()
    picture.add(1, document["id"], _sample(document, "this"))
    for column, kind, relatives in ((0, "relative", "ancestors"), (1, "same", "same"), (2, "relative", "parts")):
        for relative in document[relatives]:
            picture.add(column, relative["id"], _sample(relative, kind))
    for number, link in enumerate(document["links"]):
        key = link["sample"] or f"name {number}"
        if link["other"]:
            picture.add(1, key, _Box("same", link["other"]["name"], link["other"]["lab"], link["reason"]))
        picture.join(document["id"], key, "link")
    for sample in (document, *document["ancestors"], *document["same"], *document["parts"]):
        for parent in sample.get("parents", ()):
            picture.join(parent["sample"], sample["id"])
    _add_sessions(picture, document["datasets"], document["id"])
    return picture


def _sample(document: Mapping[str, Any], kind: str) -> _Box:
    names = ", ".join(f"{one['name']} ({one['lab']})" for one in document.get("names", ()))
    hows = ", ".join(dict.fromkeys(parent["how"] for parent in document.get("parents", ())))
    return _Box(kind, document["identifier"], document.get("name") or hows or names, names)


def _add_sessions(picture: _Picture, datasets: Sequence[Mapping[str, Any]], otherwise: str) -> None:
    """One box for each package, in time order, joined with the samples that it names."""
    packages: dict[str, list[Mapping[str, Any]]] = {}
    for dataset in datasets:
        packages.setdefault(dataset["package"], []).append(dataset)
    for package, found in packages.items():
        day = (found[0]["time"] or found[0]["date"])[:10]
        where = next((one["instrument"] for one in found if one["instrument"]), "")
        title = f"{day} {where}".strip() or package[7:19]
        hint = f"{found[0]['title']} {package[:19]}…"
        picture.add(3, package, _Box("session", title, count_text(len(found), "dataset"), hint))
        for sample in dict.fromkeys(one["sample"] or otherwise for one in found):
            picture.join(sample, package, "session")


def _svg(picture: _Picture) -> str:
    columns = [(title, _limited(boxes)) for title, boxes in zip(_TITLES, picture.columns, strict=True) if boxes]
    tallest = max(len(boxes) for _, boxes in columns)
    width = 2 * _EDGE + len(columns) * _WIDTH + (len(columns) - 1) * _ACROSS
    height = 2 * _EDGE + 20 + tallest * _HEIGHT + (tallest - 1) * _DOWN
    places: dict[str, tuple[int, int]] = {}
    drawn: list[str] = []
    for number, (title, boxes) in enumerate(columns):
        x = _EDGE + number * (_WIDTH + _ACROSS)
        drawn.append(_text(x, _EDGE, title, "#64748b", size=11))
        top = _EDGE + 20 + (tallest - len(boxes)) * (_HEIGHT + _DOWN) // 2
        for row, (key, box) in enumerate(boxes.items()):
            places[key] = (x, top + row * (_HEIGHT + _DOWN))
            drawn.extend(_drawn(box, *places[key]))
    lines = [_line(places[one], places[other], style) for one, other, style in dict.fromkeys(picture.lines)
             if one in places and other in places and one != other]  # fmt: skip
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif">'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>{"".join(lines)}{"".join(drawn)}</svg>'
    )


def _limited(boxes: Mapping[str, _Box]) -> dict[str, _Box]:
    """The first boxes of a column; the last says how many more there are."""
    if len(boxes) <= _MOST:
        return dict(boxes)
    shown = dict(list(boxes.items())[: _MOST - 1])
    return shown | {"": _Box("more", f"and {len(boxes) - len(shown):,} more")}


def _drawn(box: _Box, x: int, y: int) -> Iterator[str]:
    fill, border = _COLOURS[box.kind]
    hint = f"<title>{escaped(box.hint)}</title>" if box.hint else ""
    yield (
        f'<g>{hint}<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="5" fill="{fill}" stroke="{border}"/>'
    )
    yield _text(x + 8, y + (17 if box.below else 25), box.title, "#0f172a", size=13)
    if box.below:
        yield _text(x + 8, y + 32, box.below, "#475569", size=11)
    yield "</g>"


def _text(x: int, y: int, text: str, colour: str, *, size: int) -> str:
    shown = text if len(text) <= _LETTERS else text[: _LETTERS - 1] + "…"
    return f'<text x="{x}" y="{y}" font-size="{size}" fill="{colour}">{escaped(shown)}</text>'


def _line(first: tuple[int, int], second: tuple[int, int], style: str) -> str:
    """From the right of one box to the left of the other; within a column along its left side."""
    dashes = ' stroke-dasharray="4 3"' if style == "link" else ""
    colour = _COLOURS["session"][1] if style == "session" else "#94a3b8"
    (x1, y1), (x2, y2) = sorted((first, second))
    y1, y2 = y1 + _HEIGHT // 2, y2 + _HEIGHT // 2
    if x1 == x2:
        way = f"M{x1} {y1} C{x1 - 28} {y1} {x1 - 28} {y2} {x2} {y2}"
    else:
        x1, middle = x1 + _WIDTH, (x1 + _WIDTH + x2) // 2
        way = f"M{x1} {y1} C{middle} {y1} {middle} {y2} {x2} {y2}"
    return f'<path d="{way}" fill="none" stroke="{colour}"{dashes}/>'
