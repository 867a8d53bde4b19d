"""Draws docs/architecture.md from the code: the rooms and their arrows, and the way of one session through them.

`python tasks.py map` writes page and picture; a test holds them against the code.
"""

import ast
import os
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/architecture.md"
PICTURE = ROOT / "docs/pictures/architecture.svg"
#: Widths and heights of the picture, in pixels.
WIDTH, ROW, BOX, GAP = 860, 48, 28, 14

_PAGE = """# Architecture

Made from the code by `python tasks.py map`. A room is a folder of `diadem/`; it may use the rooms below it, and none
above: the linter checks it. An arrow stands where a room imports another and no third one lies between them.

![The rooms, faces at the top, errors at the bottom, with arrows to what each uses](pictures/architecture.svg)

## The rooms

| room | what it is |
|---|---|
{rooms}

## The way of one session

`node.archive(folder)` of a node with two stores, in the order in which it first enters each room:

| | room | its files on the way |
|---|---|---|
{way}
"""


_PICTURE = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">
<title>The rooms of DIADEM</title>
<style>
rect {{ fill: #fff; stroke: #345 }}
path {{ fill: none; stroke: #89a; stroke-width: 1.2 }}
text {{ font: 15px sans-serif; text-anchor: middle; fill: #123 }}
</style>
<defs>
<marker id="end" markerWidth="7" markerHeight="7" refX="5" refY="3" orient="auto"><path d="M0 0 6 3 0 6"/></marker>
</defs>
<rect width="{width}" height="{height}" style="stroke: none"/>
{parts}
</svg>
"""


def layers() -> list[list[str]]:
    """The rooms of each layer, the highest first, as the linter's contract has them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    (flow,) = [contract for contract in contracts if contract["name"] == "One direction of flow"]
    return [[room.strip(" ()") for room in layer.split("|")] for layer in flow["layers"]]


def uses(rooms: list[str]) -> dict[str, set[str]]:
    """Which rooms each imports, without those that it reaches through another."""
    import grimp

    graph = grimp.build_graph("diadem")
    direct: dict[str, set[str]] = {room: set() for room in rooms}
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            one, other = _room(module), _room(imported)
            if one in direct and other in direct and one != other:
                direct[one].add(other)
    reached: dict[str, set[str]] = {}
    for room in reversed(rooms):  # the lowest first
        reached[room] = direct[room].union(*(reached.get(other, set()) for other in direct[room]))
    return {
        room: {one for one in others if not any(one in reached[other] for other in others if other != one)}
        for room, others in direct.items()
    }


def _room(module: str) -> str:
    return [*module.split("."), ""][1]


def picture() -> str:
    """The rooms and arrows as SVG."""
    rows = layers()
    boxes: dict[str, tuple[float, float, float]] = {}
    for level, row in enumerate(rows):
        widths = [26 + 8.2 * len(room) for room in row]
        x = (WIDTH - sum(widths) - GAP * (len(row) - 1)) / 2
        for room, width in zip(row, widths, strict=True):
            boxes[room] = (x, 10 + level * ROW, width)
            x += width + GAP
    parts = []
    for room, others in uses([room for row in rows for room in row]).items():
        for other in sorted(others):
            (x1, y1, w1), (x2, y2, w2) = boxes[room], boxes[other]
            start, end = (x1 + w1 / 2, y1 + BOX), (x2 + w2 / 2, y2 - 3)
            bend = 0 if y2 - y1 <= ROW else (70 + (y2 - y1) / 4) * (1 if start[0] >= WIDTH / 2 else -1)
            middle = ((start[0] + end[0]) / 2 + bend, (start[1] + end[1]) / 2)
            curve = f"M{start[0]:.0f} {start[1]:.0f} Q{middle[0]:.0f} {middle[1]:.0f} {end[0]:.0f} {end[1]:.0f}"
            parts.append(f'<path d="{curve}" marker-end="url(#end)"/>')
    for room, (x, y, width) in boxes.items():
        parts.append(f'<rect x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{BOX}" rx="6"/>')
        parts.append(f'<text x="{x + width / 2:.0f}" y="{y + 19:.0f}">{room}</text>')
    return _PICTURE.format(width=WIDTH, height=10 + len(rows) * ROW, parts="\n".join(parts))


def rooms() -> str:
    """A row of the table for each room, and for each folder of the node."""
    heads = {room: ROOT / "diadem" / room for layer in layers() for room in layer}
    rows = []
    for room, folder in heads.items():
        rows.append(f"| `{room}` | {_summary(folder)} |")
        if room == "node":
            inside = sorted(head.parent for head in folder.glob("*/__init__.py"))
            rows += [f"| `node/{one.name}` | {_summary(one)} |" for one in inside]
    return "\n".join(rows)


def _summary(place: Path) -> str:
    """The first paragraph of what a room says of itself."""
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    said = ast.get_docstring(ast.parse(file.read_text("utf-8"))) or ""
    return said.partition("\n\n")[0].replace("\n", " ").replace("|", "\\|")


def way() -> str:
    """A row for each room through which one session goes."""
    entered = walk()
    rows = []
    for number, room in enumerate(dict.fromkeys(file.parts[0].removesuffix(".py") for file in entered), start=1):
        inside = [file for file in entered if file.parts[0].removesuffix(".py") == room]
        names = ", ".join(f"`{file.relative_to(room) if len(file.parts) > 1 else file}`" for file in inside)
        rows.append(f"| {number} | `{room}` | {names.replace('.py', '')} |")
    return "\n".join(rows)


def walk() -> list[Path]:
    """The files whose functions a second `archive` calls in its own thread, in the order in which it enters them."""
    with tempfile.TemporaryDirectory(prefix="diadem-map-") as folder:
        os.environ["DIADEM_CONFIG"] = os.environ["DIADEM_CACHE"] = folder
        import diadem

        home, entered = str(Path(diadem.__file__).parent) + os.sep, {}

        def note(frame, event, _):
            name = frame.f_code.co_filename
            if event == "call" and name.startswith(home) and not frame.f_code.co_name.startswith("<"):
                entered.setdefault(name)

        for name in ("first", "second"):
            (Path(folder) / name).mkdir()
            (Path(folder) / name / "scan.bin").write_bytes(name.encode() * 1000)
        with diadem.Node.create(f"{folder}/node", name="lab", user="alice", store=f"{folder}/store") as node:
            node.stores.add(f"{folder}/other", name="other")
            node.archive(f"{folder}/first", now=True)  # what is made once a program
            sys.setprofile(note)
            try:
                node.archive(f"{folder}/second", now=True)
            finally:
                sys.setprofile(None)
    return [Path(name.removeprefix(home)) for name in entered]


def page() -> str:
    """The page."""
    return _PAGE.format(rooms=rooms(), way=way())


if __name__ == "__main__":
    PICTURE.write_text(picture(), "utf-8")
    PAGE.write_text(page(), "utf-8")
