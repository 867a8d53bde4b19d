"""A catalogue as a folder: a page that searches, and beside it what it searches in.

A page that lies on a disk may load scripts and pictures, and nothing else. So what it searches in are scripts, each a
call with one text (JSON, deflated, base64), and small pictures lie together on sheets: ten thousand files of a kilobyte
would fill a USB disk whose smallest unit is 128. Who has no JavaScript is shown a plain list.

- ``index.html``, ``site.css``, ``site.js``: the page.
- ``list.html``: the list.
- ``data/search-N.js``: of `SEARCHED` packages each, what is searched, counted and shown in a list.
- ``data/packages-N.js``, ``pictures/N.webp``: of `SHEET` packages each, all that the page of one shows.
- ``packages/<id>/``: the packages, where they are wanted.
"""

from __future__ import annotations

import base64
import io
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from diadem.hooks.exporters import ExportedPackage, ExportSource, ExportTarget
from diadem.model.assessments import disputes
from diadem.model.manifest import PAGE_PATH
from diadem.model.markup import templates
from diadem.model.plain_text import count_text, date_text, marked, size_text, value_text
from diadem.model.quantities import quantity_text

#: Packages in one file of each kind, pictures in a row of a sheet, and the side of one in pixels.
SEARCHED: Final = 1000
SHEET: Final = 32
ROW: Final = 8
SIDE: Final = 160
#: Of one package: datasets and values of each that its page shows, letters that are searched.
_DATASETS, _ROWS, _WORDS = 200, 60, 4000
#: Values of a field that are searched: of one that differs from dataset to dataset, as the stage does, none are.
_ALIKE: Final = 4
#: Pixels of a preview that is opened: ours have 160 by 160.
_PIXELS: Final = 4 << 20
#: Bytes of a picture on its sheet, on average, and what is tried for it: how large, and WebP's quality. Those of noise
#: are large, and nobody should wait for a disk full of noise.
_BUDGET: Final = 1600
_TRIED: Final = ((1.0, 60), (1.0, 35), (0.8, 35), (0.8, 15), (0.5, 35), (0.5, 10))
_VERDICTS: Final = {"accept": "accepted", "limited": "usable with limits", "reject": "rejected"}
_HERE: Final = Path(__file__).parent / "templates"


def export(source: ExportSource, target: ExportTarget, packages: bool) -> dict[str, str]:
    """Write the catalogue; with `packages` they lie beside it, whole, and each has a link to its own."""
    folder, total = target.path, len(source.packages)
    for name in ("data", "pictures"):
        (folder / name).mkdir()
    searched, told = Scripts(folder / "data", "search", SEARCHED), Scripts(folder / "data", "packages", SHEET)
    sheets = Sheets(folder / "pictures")

    def each() -> Iterator[Mapping[str, Any]]:
        """A row of the list for each package, of which everything else is written meanwhile, and nothing kept."""
        for number, package in enumerate(source.packages):
            source.progress(number, total, package.facts.name)
            place = f"packages/{package.id[7:23]}" if packages else ""
            if place:
                _write_package(folder / place, package)
            row = entry(package, pictured=sheets.add(_picture(package)))
            searched.add(row)
            told.add(details(package, place))
            yield {"id": package.id, "title": row[1], "day": row[2], "facets": row[3:6], "place": place}

    about = {"source": source, "total": total, "PAGE": PAGE_PATH}
    made = templates("plugins/site", "export")
    _stream(folder / "list.html", made.get_template("list.html").generate(about, rows=each()))
    for part in (searched, told, sheets):
        part.flush()
    files = {"searches": searched.count, "sheet": SHEET, "row": ROW}
    _stream(folder / "index.html", made.get_template("index.html").generate(about, files=files))
    _stream(folder / "site.css", made.get_template("site.css").generate())
    (folder / "site.js").write_bytes((_HERE / "site.js").read_bytes())
    source.progress(total, total, "index.html")
    return {"open": f"{target.name or 'site'}/index.html", "sessions": f"{total:,}"}


def _stream(path: Path, texts: Iterable[str]) -> None:
    with path.open("wb") as file:
        file.writelines(text.encode() for text in texts)


def _write_package(folder: Path, package: ExportedPackage) -> None:
    for path, pieces in package.bag():
        place = folder.joinpath(*path.split("/"))
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("xb") as file:
            file.writelines(pieces)


# -- what is searched, and what is shown of one ------------------------------------------------------------------------


def entry(package: ExportedPackage, *, pictured: bool) -> list[Any]:
    """What is searched: id, title, day, each facet's values (instruments, samples, people, kinds, verdicts), other
    words, a line of figures, and whether there is a picture.
    """
    facts = package.facts
    head = [str(facts.instrument.get(key, "")) for key in ("name", "model")]
    models = [name for name in head if name][:1] or [str(one["model"]) for one in facts.instruments if "model" in one]
    people = [str(one.get("name", "")) for one in facts.people if "operator" in str(one.get("role", ""))]
    named = str(facts.sample.get("name") or facts.sample.get("identifier") or "")
    samples = [named] if named else list(_stated(package, "sample.name")) or list(_stated(package, "sample.identifier"))
    kinds = [str(signal.get("kind") or "") for one in package.datasets for signal in one.document.get("signals", ())]
    facets = (models, samples, people or facts.operators, [kind.replace("_", " ") for kind in kinds], _said(package))
    figures = f"{count_text(facts.dataset_count, 'dataset')}, {size_text(facts.total_bytes)}"
    title, day = marked(facts.name.strip() or "Untitled session", 200), _day(package)
    return [
        package.id[7:], title, day, *(_texts(values) for values in facets), _words(package), figures, int(pictured),
    ]  # fmt: skip


def _day(package: ExportedPackage) -> str:
    """The first day of the session, as `search` and `show` have it; "" where none is known."""
    return (package.facts.days or ("",))[0]


def _stated(package: ExportedPackage, key: str) -> Iterator[str]:
    """What the datasets state of a field."""
    for dataset in package.datasets:
        yield from (str(one["value"]) for one in dataset.document.get("fields", {}).get(key, ()))


def _texts(values: Iterable[str]) -> list[str]:
    return [marked(value, 120) for value in dict.fromkeys(values) if value.strip()][:12]


def _said(package: ExportedPackage) -> Iterator[str]:
    """What people say of the data, in the words of the facet."""
    yield from (_VERDICTS.get(one.verdict, one.verdict) for one in package.assessments)
    if disputes(package.assessments):
        yield "disputed"
    if any(one.way for one in package.cautions):
        yield "made from doubted data"
    if not package.assessments and not package.cautions:
        yield "not judged"


def _words(package: ExportedPackage) -> str:
    """All that can be searched for and is no facet, each text once."""
    facts = package.facts
    parts = [facts.description, str(facts.session.get("description", ""))]
    parts += [value_text(value) for one in (facts.session, facts.sample, facts.instrument) for value in one.values()]
    parts += [str(one.get("name", "")) for one in facts.people]
    values: dict[str, set[str]] = {}
    for one in facts.datasets:
        parts += [one.primary, one.format, *one.signals, *one.issues]
        for label, text in one.rows:
            values.setdefault(label, set()).add(text)
    for texts in values.values():
        parts += sorted(texts) if len(texts) <= _ALIKE else []
    parts += [f"{one.purpose} {one.criterion} {one.comment}" for one in package.assessments]
    return marked(" ".join(" ".join(dict.fromkeys(parts)).split()), _WORDS)


def details(package: ExportedPackage, place: str) -> dict[str, Any]:
    """What the page of a package shows: sections, each a table, and its datasets."""
    facts = package.facts
    session = {
        "archived": date_text(facts.archived),
        "licence": facts.license,
        "files": f"{facts.file_count:,}",
        **facts.session,
    }
    people = [[one.get("name", ""), one.get("role", ""), one.get("affiliation", "")] for one in facts.people]
    days = [date_text(day) for day in dict.fromkeys(facts.days or ())]
    found = [str(one.get("model") or one.get("vendor") or "") for one in facts.instruments]
    stated = {"days": " to ".join(days), "instruments": ", ".join(found), "operators": ", ".join(facts.operators)}
    sources = [[{"id": one.package[7:]}, one.path] for made in package.derivations for one in made.sources]
    sections = [
        ("Open doubts", [], [[one.sentence] for one in package.cautions]),
        ("Judgements", ["Who", "Says", "For", "Of", "Why", "When"], list(_judgements(package))),
        ("Corrected since it was archived", ["What", "Was", "Is", "By", "Why"], list(_corrections(package))),
        ("Session", [], _pairs({**session, **stated})),
        ("Sample", [], _pairs(facts.sample)),
        ("Instrument", [], _pairs(facts.instrument)),
        ("People", [], people),
        ("Made from", [], sources),
    ]  # fmt: skip
    return {
        "title": marked(facts.name.strip() or "Untitled session", 200),
        "id": package.id,
        "place": place,
        "page": f"{place}/{PAGE_PATH}" if place else "",
        "description": marked(facts.description or facts.session.get("description", ""), 5000),
        "picture": marked(next((one.primary for one in facts.datasets if one.preview), ""), 100),
        "sections": [
            [title, head, [[_cell(cell) for cell in row] for row in rows[:500]]]
            for title, head, rows in sections if rows
        ],
        "datasets": [
            [
                marked(one.primary),
                marked(" · ".join(filter(None, [one.format, size_text(one.size), *one.signals])), 1000),
                [[marked(label, 80), marked(text, 500)] for label, text in one.rows[:_ROWS]],
                [marked(issue, 500) for issue in one.issues[:20]],
            ]
            for one in facts.datasets[:_DATASETS]
        ],
        "more": max(0, facts.dataset_count - len(facts.datasets[:_DATASETS])),
    }  # fmt: skip


def _cell(cell: Any) -> Any:
    return cell if isinstance(cell, dict) else marked(cell, 2000)


def _pairs(stated: Mapping[str, Any]) -> list[list[str]]:
    named = ((key, value_text(value)) for key, value in stated.items() if key not in ("title", "description"))
    return [[key.replace("_", " ").capitalize(), text] for key, text in named if text]


def _judgements(package: ExportedPackage) -> Iterator[list[str]]:
    paths = {one.id: one.path for one in package.datasets}
    for one in package.assessments:
        measured = "" if one.value is None else quantity_text(one.value, one.unit)
        why = "; ".join(filter(None, [one.criterion, measured, one.comment]))
        about = paths.get(one.dataset, one.dataset) or "all of it"
        yield [one.who, _VERDICTS.get(one.verdict, one.verdict), one.purpose, about, why, one.time[:10]]


def _corrections(package: ExportedPackage) -> Iterator[list[str]]:
    for one in package.corrections:
        said = one.amendment
        yield [one.what, one.was, one.now or "withdrawn", f"{said.by}, {said.time[:10]}", said.reason]


# -- the files of the page ---------------------------------------------------------------------------------------------


class Scripts:
    """Values, so many to a script: a call of the page's one function with its own name and one text."""

    def __init__(self, folder: Path, name: str, size: int) -> None:
        self._folder, self._name, self._size = folder, name, size
        self._waiting: list[Any] = []
        self.count = 0

    def add(self, value: Any) -> None:
        """Keep a value until its script is full."""
        self._waiting.append(value)
        if len(self._waiting) == self._size:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if not self._waiting:
            return
        self.count += 1
        name = f"{self._name}-{self.count}"
        data = zlib.compress(json.dumps(self._waiting, ensure_ascii=False, separators=(",", ":")).encode(), 9)
        text = f'diadem("{name}", "{base64.b64encode(data).decode()}");\n'
        (self._folder / f"{name}.js").write_bytes(text.encode())
        self._waiting.clear()


class Sheets:
    """Small pictures, `SHEET` to a file; a package without one has its place there too."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0
        self._waiting: list[Any] = []

    def add(self, picture: Any) -> bool:
        """Keep a picture, or the place of none; whether there is one."""
        self._waiting.append(picture)
        if len(self._waiting) == SHEET:
            self.flush()
        return picture is not None

    def flush(self) -> None:
        """Write the sheet, where it shows anything."""
        from PIL import Image

        self._count += 1
        if any(self._waiting):
            sheet = Image.new("RGB", (ROW * SIDE, -(-len(self._waiting) // ROW) * SIDE))
            for place, picture in enumerate(self._waiting):
                if picture is not None:
                    left, top = (SIDE - picture.width) // 2, (SIDE - picture.height) // 2
                    sheet.paste(picture, (place % ROW * SIDE + left, place // ROW * SIDE + top))
            (self._folder / f"{self._count}.webp").write_bytes(_within(sheet, _BUDGET * len(self._waiting)))
        self._waiting.clear()


def _within(sheet: Any, budget: int) -> bytes:
    """A sheet in no more bytes than that, if it can be; the page shows it in the same size."""
    data = b""
    for scale, quality in _TRIED:
        made = sheet if scale == 1 else sheet.resize((round(sheet.width * scale), round(sheet.height * scale)))
        buffer = io.BytesIO()
        made.save(buffer, "WEBP", quality=quality, method=4)
        data = buffer.getvalue()
        if len(data) <= budget:
            break
    return data


def _picture(package: ExportedPackage) -> Any:
    """The first preview that can be drawn, no larger than its place; None where there is none. It may be anybody's."""
    from PIL import Image

    for preview in (one.preview for one in package.facts.datasets if one.preview):
        try:
            with Image.open(io.BytesIO(preview), formats=("PNG", "JPEG")) as opened:
                if opened.width * opened.height <= _PIXELS:
                    picture = opened.convert("RGB")
                    picture.thumbnail((SIDE, SIDE))
                    return picture
        except Exception:  # noqa: S112 - whatever a decoder makes of damaged pixels
            continue
    return None
