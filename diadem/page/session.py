"""One session: its record, datasets, notes, copies and custody."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import Response

from diadem.archive.overview import dataset_summaries, file_list
from diadem.errors import DiademError, NotFound, Unreachable, line_of
from diadem.page.html import stated, whole
from diadem.page.state import PageState

if TYPE_CHECKING:
    from diadem.archive.package import Package

#: Files, steps of custody and stores that one page shows; datasets on one page of a session.
_MOST: Final = 500
_STEP: Final = 60
#: Values that a dataset's card states, and instruments of a session that are named.
_FACTS: Final = 4
_MOST_INSTRUMENTS: Final = 6
#: Notes that are shown, and bytes of one.
_MOST_NOTES: Final = 5
_LONGEST_NOTE: Final = 64 << 10
#: What a person writes beside the data: by its ending, or by its name.
_NOTE: Final = re.compile(r"\.(?:txt|md|rst)\Z|(?:\A|/)(?:readme|notes?)[^/]*\Z", re.IGNORECASE)


def package(state: PageState, request: Request) -> Response:
    """A session: the corrected record with what it replaced, its datasets as pictures, files, copies and custody."""
    asked = request.query_params
    try:
        found = state.node.get(request.path_params["package"])
    except (NotFound, Unreachable) as error:
        return _unreachable(state, request.path_params["package"], error)
    about = state.node.show(found).to_dict()
    steps, fault = _custody(state, found.id)
    files = file_list(found)
    state.drawings.expect()
    start, first_file = whole(asked.get("start", "")), whole(asked.get("file", ""))
    return state.page(
        "session.html",
        query=asked.get("q", ""),
        about=about,
        short=found.id.removeprefix("diadem:"),
        datasets=[one | {"facts": _facts(one)} for one in dataset_summaries(found, start, start + _STEP)],
        instruments=list(dict.fromkeys(map(_instrument, about["instruments"])))[:_MOST_INSTRUMENTS],
        start=start,
        step=_STEP,
        files=files[first_file : first_file + _MOST],
        first_file=first_file,
        most=_MOST,
        notes=list(_notes(found)),
        made=_made(state, found.id),
        around=_around(state, found.id, asked.get("q", ""), asked.get("n", "")),
        steps=steps[:_MOST],
        custody_fault=fault,
    )


def _facts(one: Mapping[str, Any]) -> Sequence[str]:
    """What a card says of a dataset: the first values, none twice."""
    texts = dict.fromkeys(stated(value["key"], text) for value in one["values"] for text in value["text"].split(" · "))
    return list(texts)[:_FACTS]


def _instrument(one: Mapping[str, Any]) -> str:
    return " ".join(filter(None, (one.get("vendor"), one.get("model"))))


def _unreachable(state: PageState, package: str, error: DiademError) -> Response:
    """What the catalogue knows of a session of which no copy can be read now; the error where it knows none."""
    rows = state.node.search(f"id:{package}", limit=1).rows
    if not rows:
        raise error
    steps, fault = _custody(state, rows[0].id)
    answer = state.page(
        "unreachable.html", row=rows[0], why=error.message, advice=error.next or "", steps=steps[:_MOST], fault=fault
    )
    answer.headers["cache-control"] = "no-store"
    return answer


def _notes(found: Package) -> Iterator[dict[str, str]]:
    """What people have written beside the data, proven, the first notes; of a long one the beginning."""
    read = {file.path for dataset in found.record.datasets.loose if dataset.signals for file in dataset.files}
    chosen = (entry for entry in found.files if _NOTE.search(entry.path) and entry.name not in read)
    for entry in islice(chosen, _MOST_NOTES):
        try:
            with found.open(entry.path) as source:
                data = source.read(_LONGEST_NOTE)
        except (DiademError, OSError) as error:
            yield {"path": entry.path, "text": "", "fault": line_of(error)}
            continue
        if b"\0" not in data:
            more = f"\n… {entry.size:,} bytes in all" if entry.size > len(data) else ""
            yield {"path": entry.path, "text": data.decode("utf-8", "replace") + more, "fault": ""}


def _made(state: PageState, id_: str) -> dict[str, list[dict[str, str]]]:
    """What a package was made from, and what was made from it, each with who says so."""
    made: dict[str, list[dict[str, str]]] = {"from": [], "into": []}
    for one in state.node.derivations(id_) if state.has("derivations") else ():
        about = {"by": one.by, "comment": one.comment, "day": one.time[:10]}
        if one.result != id_:
            made["into"].append({**about, "package": one.result, "path": ""})
        else:
            made["from"] += [{**about, "package": source.package, "path": source.path or ""} for source in one.sources]
    return made


def _around(state: PageState, id_: str, query: str, place: str) -> dict[str, tuple[str, int]]:
    """The sessions before and after in the list from which one comes: what leads to them, by ``prev`` and ``next``."""
    if not place:
        return {}
    here = whole(place)
    try:
        rows = state.node.search(query, limit=3, offset=max(0, here - 1)).rows
    except DiademError:  # the search has gone, for one that was saved
        return {}
    at = next((number for number, row in enumerate(rows) if row.id == id_), None)
    if at is None:
        return {}
    ways = {"prev": at - 1, "next": at + 1}
    return {way: (rows[n].id[7:], here + n - at) for way, n in ways.items() if 0 <= n < len(rows)}


def _custody(state: PageState, id_: str) -> tuple[list[Any], str]:
    """The story of a package, or why it cannot be told."""
    try:
        return list(state.node.custody(id_).story), ""
    except DiademError as error:
        return [], error.message
