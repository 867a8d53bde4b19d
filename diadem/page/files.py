"""The files of a session: one, or some as one ZIP that is made on the way, or given back into a folder."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from starlette.requests import Request
from starlette.responses import Response

from diadem.archive.verified_file import VerifiedFile
from diadem.errors import DiademError, IntegrityError, NotFound, UsageError
from diadem.export.zip import ZipStream
from diadem.model.plain_text import count_text, size_text, slug
from diadem.model.ports import Listener
from diadem.page.forms import Form
from diadem.page.html import download, whole
from diadem.page.jobs import Outcome
from diadem.page.state import PageState

if TYPE_CHECKING:
    from diadem.archive.package import Package
    from diadem.model.manifest import FileEntry

#: Files that one page lists.
_STEP: Final = 500
#: Bytes that are read of a file at once.
_PIECE: Final = 1 << 20
_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})\Z", re.ASCII)


def files(state: PageState, request: Request, problem: DiademError | None = None, **typed: str) -> Response:
    """All files of a session, to choose from."""
    found = state.node.get(request.path_params["package"])
    words = request.query_params.get("q", "").casefold()
    first = whole(request.query_params.get("start", ""))
    fitting = [(number, one) for number, one in enumerate(found.files) if words in one.name.casefold()]
    return state.page(
        "files.html",
        short=request.path_params["package"],
        title=state.title(found.id),
        files=fitting[first : first + _STEP],
        total=len(fitting),
        bytes=sum(one.size for _, one in fitting),
        words=request.query_params.get("q", ""),
        broken=state.broken.get(found.id),
        problem=problem,
        typed=typed,
        start=first,
        step=_STEP,
    )


def file(state: PageState, request: Request) -> Response:
    """A file of the payload, whole or in part, every byte proven before it is sent."""
    found = state.node.get(request.path_params["package"])
    entry = found.find(request.query_params.get("path", ""))
    start, stop, partial = _range(request.headers.get("range", ""), entry.size)
    headers = {"accept_ranges": "bytes", "etag": f'"{entry.sha256}"'}
    if partial:
        headers["content_range"] = f"bytes {start}-{stop - 1}/{entry.size}"

    def sent() -> Iterator[bytes]:
        source = found.open(entry.name)
        first = _first(source, start, stop, entry)
        return _pieces(source, first, start + len(first), stop)

    name = entry.path.rpartition("/")[2]
    return download(request, name, stop - start, sent, status=206 if partial else 200, **headers)


def _range(said: str, size: int) -> tuple[int, int, bool]:
    """First byte and end of what is asked for, and whether that is a part; what is not understood is the whole."""
    match = _RANGE.match(said)
    if match is None or not (match[1] or match[2]) or not size:
        return 0, size, False
    first, last = match[1], match[2]
    start = int(first) if first else max(0, size - int(last))
    stop = min(size, int(last) + 1) if first and last else size
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


def zipped(state: PageState, request: Request) -> Response:
    """Some files, by their places in the list, those of a dataset, or all, as a ZIP; every byte proven as it is sent.

    Damage ends the line before the length that was announced: no browser takes the file for whole.
    """
    found = state.node.get(request.path_params["package"])
    chosen = _chosen(found, request)
    name = f"{slug(state.title(found.id))[:60] or 'session'}-{found.id[7:15]}"
    stream = ZipStream(found.open, chosen, name)

    def sent() -> Iterator[bytes]:
        state.broken.pop(found.id, None)
        try:
            yield from stream
        except DiademError as error:
            state.broken[found.id] = error
            raise

    return download(request, f"{name}.zip", stream.size, sent, media_type="application/zip")


def _chosen(found: Package, request: Request) -> Sequence[FileEntry]:
    asked = request.query_params
    if named := asked.get("dataset"):
        return [found.find(one.path) for one in found.record.datasets[named].files]
    places = [int(text) for text in asked.getlist("file") if text.isascii() and text.isdigit() and len(text) < 10]
    if asked.get("all"):
        return found.files
    if not places:
        raise UsageError("no file was chosen", next="Go back, and tick those that you want.")
    if max(places) >= len(found.files):
        raise NotFound("The session has no such file.")
    return [found.files[place] for place in dict.fromkeys(places)]


def restore(state: PageState, request: Request) -> Response:
    """Give files back into a new folder of this machine, with their original names and times."""
    package, form = request.path_params["package"], Form(request)
    only = [line.strip() for line in form.text("only").splitlines() if line.strip()]
    chain = form.flag("chain")
    try:
        folder = form.path("folder", "Into which folder")
    except DiademError as error:
        return files(state, request, error, **form.typed)

    def work(listener: Listener) -> Outcome:
        done = state.node.restore(package, folder, chain=chain, only=only, listener=listener)
        lines = [
            f"restored under its stored name, as this system cannot hold the original: {name}"
            for name in done.renamed[:_STEP]
        ]
        lines += [f"a package of this session is gone: {one.reason}" for one in getattr(done, "lacking", ())]
        lines += [f"the copy in {store} is damaged; the bytes came from another" for store in done.damaged]
        text = f"{done.folder}: {count_text(done.files, 'file')}, {size_text(done.bytes)}, every byte proven."
        return Outcome(text, f"/session/{package}", lines, label="Back to the session")

    return state.begin(f"Files of {state.title(package)} into a folder", work, back=f"/session/{package}/files")
