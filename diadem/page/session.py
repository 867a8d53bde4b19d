"""One session, one of its datasets, its files, and how the archive stands."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from diadem.archive.overview import dataset_table, file_list
from diadem.archive.reading import VerifiedFile
from diadem.errors import DiademError, IntegrityError, NotFound
from diadem.model.manifest import FileEntry
from diadem.page.state import PageState

#: Datasets, files and steps of custody that one page shows.
_MOST: Final = 500
#: Bytes that are read of a file at once.
_PIECE: Final = 1 << 20
#: Pixels of a picture that fills a page, and those that may be asked for.
_LARGE: Final = 768
_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)\Z")


def package(state: PageState, request: Request) -> Response:
    """A session: the corrected record with what it replaced, its datasets as pictures, files, copies and custody."""
    found = state.node.get(request.path_params["package"])
    about = state.node.show(found.id).to_dict()
    steps, fault = _custody(state, found.id)
    files = file_list(found)
    return state.page(
        "session.html",
        about=about,
        short=found.id.removeprefix("diadem:"),
        datasets=about["datasets"][:_MOST],
        files=files[:_MOST],
        left_out={"datasets": about["dataset_count"] - _MOST, "files": len(files) - _MOST},
        steps=steps[:_MOST],
        custody_fault=fault,
    )


def _custody(state: PageState, id_: str) -> tuple[list[Any], str]:
    """The story of a package, or why it cannot be told."""
    try:
        return list(state.node.custody(id_).story), ""
    except DiademError as error:
        return [], error.message


def dataset(state: PageState, request: Request) -> Response:
    """A dataset: its picture, and every value with unit, raw text, rule and place in the file."""
    found = state.node.get(request.path_params["package"])
    known = found.record.datasets
    one = known[request.path_params["dataset"]]
    place = next(number for number, other in enumerate(known) if other.id == one.id)
    sealed = next((other for other in found.sealed_record.datasets if other.id == one.id), None)
    about = dataset_table(one, sealed)
    signals = about["signals"]
    chosen = request.query_params.get("signal", "")
    return state.page(
        "dataset.html",
        about=about,
        title=state.node.show(found.id).title,
        short=found.id.removeprefix("diadem:"),
        signal=next((signal for signal in signals if signal["id"] == chosen), None),
        before=known[place - 1].id if place else "",
        after=known[place + 1].id if place + 1 < len(known) else "",
        issues=one.issues,
    )


def drawing(state: PageState, request: Request) -> Response:
    """A dataset's signal as a large picture, drawn now from bytes that are proven."""
    found = state.node.get(request.path_params["package"])
    one = found.record.datasets[request.path_params["dataset"]]
    asked = request.query_params
    at = [int(text) for text in (asked.get("row", ""), asked.get("column", "")) if text.isascii() and text.isdigit()]
    picture = one.picture(asked.get("signal") or None, _LARGE, at=at or None)
    return Response(picture.png, media_type="image/png", headers={"cache-control": "private, max-age=3600"})


def file(state: PageState, request: Request) -> Response:
    """A file of the payload, whole or in part, every byte proven before it is sent."""
    found = state.node.get(request.path_params["package"])
    entry = found.find(request.query_params.get("path", ""))
    start, stop, partial = _range(request.headers.get("range", ""), entry.size)
    name = entry.path.rpartition("/")[2]
    headers = {
        "accept-ranges": "bytes",
        "content-length": str(stop - start),
        "content-disposition": f"attachment; filename*=UTF-8''{quote(name, safe='', errors='replace')}",
        "etag": f'"{entry.sha256}"',
    }
    if partial:
        headers["content-range"] = f"bytes {start}-{stop - 1}/{entry.size}"
    source = found.open(entry.path)
    first = _first(source, start, stop, entry)
    return StreamingResponse(
        _pieces(source, first, start + len(first), stop),
        206 if partial else 200,
        headers,
        media_type="application/octet-stream",
    )


def _range(said: str, size: int) -> tuple[int, int, bool]:
    """First byte and end of what is asked for, and whether that is a part; what is not understood is the whole."""
    match = _RANGE.match(said)
    if match is None or not (match[1] or match[2]) or not size:
        return 0, size, False
    if not match[1]:
        return max(0, size - int(match[2])), size, True
    start, stop = int(match[1]), min(size, int(match[2]) + 1 if match[2] else size)
    return (start, stop, True) if start < stop else (0, size, False)


def _first(source: VerifiedFile, start: int, stop: int, entry: FileEntry) -> bytes:
    """The first bytes: damage in them is told as a page, before anything is sent."""
    try:
        source.seek(start)
        return source.read(min(_PIECE, stop - start))
    except IntegrityError:
        source.close()
        raise
    except OSError as error:
        source.close()
        raise NotFound(f"'{entry.path}' cannot be read now: {error.strerror or error}") from error


def _pieces(source: VerifiedFile, first: bytes, at: int, stop: int) -> Iterator[bytes]:
    """What is sent; damage further on ends the line before its time, so that no browser takes the file for whole."""
    with source:
        yield first
        while at < stop and (piece := source.read(min(_PIECE, stop - at))):
            yield piece
            at += len(piece)


def health(state: PageState, request: Request) -> Response:
    """Every rule of the policy and how it stands, and what to do now."""
    del request
    status = state.status()
    return state.page("health.html", status=status, marks=_MARKS, stores=list(islice(status.stores, _MOST)))


#: Colour of a rule's light.
_MARKS: Final[Mapping[str, str]] = {"holds": "green", "broken": "red", "warning": "amber", "info": "grey"}
