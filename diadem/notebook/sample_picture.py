"""A sample as a picture for notebooks: what it was made from, what is the same thing, its parts, and the sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from diadem.model.markup import templates
from diadem.model.plain_text import count_text

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
    """A ``div`` with a caption and the picture, of what `SampleStory.to_dict` gives; its texts may be anybody's."""
    where = document["where"]["words"] if document["where"]["since"] else "location unknown"
    doubts = [finding["message"] for finding in document["findings"] if finding["severity"] != "info"]
    return _drawn(document, caption=True, sample=document, where=where, doubts=doubts)


def sample_svg(document: Mapping[str, Any]) -> str:
    """The picture alone, of the same document: it stands in a file or a page of its own, too."""
    return _drawn(document, caption=False)


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


def _drawn(document: Mapping[str, Any], **said: Any) -> str:
    """Boxes in columns, each column in the middle of the height, and lines from box to box."""
    picture = _picture(document)
    columns = [(title, _limited(boxes)) for title, boxes in zip(_TITLES, picture.columns, strict=True) if boxes]
    tallest = max(len(boxes) for _, boxes in columns)
    places: dict[str, tuple[int, int]] = {}
    heads, boxes = [], []
    for number, (title, column) in enumerate(columns):
        x = _EDGE + number * (_WIDTH + _ACROSS)
        heads.append((x, title))
        top = _EDGE + 20 + (tallest - len(column)) * (_HEIGHT + _DOWN) // 2
        for row, (key, box) in enumerate(column.items()):
            places[key] = (x, top + row * (_HEIGHT + _DOWN))
            boxes.append((*places[key], box, *_COLOURS[box.kind]))
    lines = [
        (*_line(places[one], places[other], style), style == "link")
        for one, other, style in dict.fromkeys(picture.lines)
        if one in places and other in places and one != other
    ]
    svg = {
        "width": 2 * _EDGE + len(columns) * _WIDTH + (len(columns) - 1) * _ACROSS,
        "height": 2 * _EDGE + 20 + tallest * _HEIGHT + (tallest - 1) * _DOWN,
        "box_width": _WIDTH, "box_height": _HEIGHT, "head": _EDGE, "letters": _LETTERS,
        "heads": heads, "boxes": boxes, "lines": lines,
    }  # fmt: skip
    return templates("notebook").get_template("sample.html").render(svg=svg, **said)


def _limited(boxes: Mapping[str, _Box]) -> dict[str, _Box]:
    """The first boxes of a column; the last says how many more there are."""
    if len(boxes) <= _MOST:
        return dict(boxes)
    shown = dict(list(boxes.items())[: _MOST - 1])
    return shown | {"": _Box("more", f"and {len(boxes) - len(shown):,} more")}


def _line(first: tuple[int, int], second: tuple[int, int], style: str) -> tuple[str, str]:
    """The way from the right of one box to the left of the other, within a column along its left side; its colour."""
    colour = _COLOURS["session"][1] if style == "session" else "#94a3b8"
    (x1, y1), (x2, y2) = sorted((first, second))
    y1, y2 = y1 + _HEIGHT // 2, y2 + _HEIGHT // 2
    if x1 == x2:
        way = f"M{x1} {y1} C{x1 - 28} {y1} {x1 - 28} {y2} {x2} {y2}"
    else:
        x1, middle = x1 + _WIDTH, (x1 + _WIDTH + x2) // 2
        way = f"M{x1} {y1} C{middle} {y1} {middle} {y2} {x2} {y2}"
    return way, colour
