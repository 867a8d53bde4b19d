"""A session given away: its files as a ZIP, a ZIP with a page for someone without DIADEM, an offer, a permission."""

from __future__ import annotations

import datetime
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from diadem.archive.zip_stream import ZipStream
from diadem.errors import DiademError, NotFound, UsageError
from diadem.model.plain_text import count_text, size_text, slug
from diadem.model.ports import Listener
from diadem.model.transfers import IN
from diadem.page.dry_runs import DryRun
from diadem.page.forms import Form
from diadem.page.jobs import Outcome
from diadem.page.state import PageState

if TYPE_CHECKING:
    from diadem.archive.package import Package
    from diadem.model.manifest import FileEntry
    from diadem.node.exporting_outcome import Exported

#: Files that one page lists, and bytes that are read of one at once.
_STEP: Final = 500
_PIECE: Final = 1 << 20
#: Seconds for which one waits for another node to hear of an offer; then it is a job.
_PATIENCE: Final = 4.0
#: Texts of a redaction that are told.
_MOST: Final = 20
#: What of a session is given.
_PARTS: Final = (
    ("", "all: files, record and page, to be proven by anybody"),
    ("raw", "the instrument's files alone"),
    ("record", "the metadata alone"),
)


# -- files as a ZIP that is made while it is sent --------------------------------------------------------------------


def files(state: PageState, request: Request) -> Response:
    """All files of a session, to choose from."""
    found = state.node.get(request.path_params["package"])
    words = request.query_params.get("q", "").casefold()
    start = request.query_params.get("start", "")
    first = int(start) if start.isascii() and start.isdigit() and len(start) < 10 else 0
    fitting = [(number, one) for number, one in enumerate(found.files) if words in one.name.casefold()]
    return state.page(
        "files.html",
        short=request.path_params["package"],
        title=state.node.show(found.id).title,
        files=fitting[first : first + _STEP],
        total=len(fitting),
        bytes=sum(one.size for _, one in fitting),
        words=request.query_params.get("q", ""),
        broken=state.broken.get(found.id),
        start=first,
        step=_STEP,
    )


def zipped(state: PageState, request: Request) -> Response:
    """Some files, by their places in the list, those of a dataset, or all, as a ZIP; every byte proven as it is sent.

    Damage ends the line before the length that was announced: no browser takes the file for whole.
    """
    found = state.node.get(request.path_params["package"])
    chosen = _chosen(found, request)
    name = f"{slug(state.node.show(found.id).title)[:60] or 'session'}-{found.id[7:15]}"
    stream = ZipStream(found, chosen, name)
    headers = {"content-disposition": f'attachment; filename="{name}.zip"', "content-length": str(stream.size)}

    def sent() -> Iterator[bytes]:
        if request.method == "HEAD":
            return
        state.broken.pop(found.id, None)
        try:
            yield from stream
        except DiademError as error:
            state.broken[found.id] = error
            raise

    return StreamingResponse(sent(), headers=headers, media_type="application/zip")


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


# -- a ZIP for someone without DIADEM --------------------------------------------------------------------------------


def give_form(state: PageState, request: Request) -> Response:
    """For whom, what of it, and where it is written."""
    return _give_page(state, request.path_params["package"])


def _give_page(state: PageState, package: str, problem: DiademError | None = None, **typed: str) -> Response:
    about = state.node.show(package).to_dict()
    return state.page("give.html", short=package, about=about, parts=_PARTS, problem=problem, typed=typed)


def give(state: PageState, request: Request) -> Response:
    """Show what would be in the ZIP; nothing is written yet."""
    package, form = request.path_params["package"], Form(request)
    part: Any = form.text("only") or None
    redact, chain = form.flag("redact"), form.flag("chain")
    try:
        for_, folder = form.needed("for", "For whom"), form.text("folder")
        if form.text("where") == "folder" and not folder:
            raise UsageError("in which folder?", next="Write its whole path; or choose the download.")
        title = slug(state.node.show(package).title)[:60]
        name = f"{title or 'session'}-{package[:8]}{'-redacted' if redact else ''}.zip"
        if form.text("where") != "folder":
            target = None
        elif (said := Path(folder).expanduser()).suffix.lower() == ".zip":
            target = said
        else:
            target = said / name
        rehearse = partial(
            state.node.export, package, target or Path(tempfile.gettempdir(), f"{secrets.token_hex(4)}-{name}")
        )
        rehearse = partial(rehearse, for_=for_, only=part, redact=redact, chain=chain, dry_run=True)
        would = None if redact else rehearse()
    except DiademError as error:
        return _give_page(state, package, error, **form.typed)

    def really(size: int, listener: Listener) -> Outcome:
        path = target or state.parcels.place(size) / name
        done = state.node.export(package, path, for_=for_, only=part, redact=redact, chain=chain, listener=listener)
        said = f"{count_text(done.files, 'file')}, {size_text(done.bytes)}, every byte proven. The log notes it."
        lines = [f"SHA-256 {done.sha256}", *_account(done)]
        if part is None and not redact:
            lines.append(f"Tell the recipient the id by phone or in a separate mail: {', '.join(done.packages)}")
        if target is not None:
            return Outcome(f"{path}: {said}", f"/session/{package}", lines, label="Back to the session")
        return Outcome(f"{name}: {said}", state.parcels.ready(path), lines, label="Download it, once")

    def shown(would: Exported) -> DryRun:
        words = dict(_PARTS)[part or ""]
        facts = [
            ("for", for_),
            ("in it", f"{count_text(would.files, 'file')}, {size_text(would.content_bytes)}: {words}"),
            ("written to", str(target) if target is not None else "a download that vanishes when it was fetched"),
        ]
        return DryRun(
            "Give a ZIP",
            "A ZIP would be made, with a page that explains it. The log notes for whom it is.",
            "Make the ZIP",
            partial(really, would.content_bytes),
            back=f"/session/{package}",
            leave=f"/session/{package}/give",
            facts=facts,
            lines=[*_account(would), *(f"{old} is called {new} there" for new, old in would.renamed[:_MOST])],
            doubts=list(_doubts(would)),
        )

    if would is not None:
        return RedirectResponse(state.dry_runs.keep(shown(would)), 303)

    def search(listener: Listener) -> Outcome:
        run = shown(rehearse(listener=listener))
        return Outcome("Nothing was written yet.", state.dry_runs.keep(run), run.lines, label="Look at it, and make it")

    return state.begin("What a ZIP without people would hold", search, back=f"/session/{package}/give")


def _account(made: Exported) -> Iterator[str]:
    """What was taken out, and what could not be."""
    if made.redaction is None:
        return
    yield from (f"taken out: {kind}, {count:,}" for kind, count in made.redaction.removed.items())
    yield from (f"not looked for: {text!r}: {why}" for text, why in list(made.redaction.unsought.items())[:_MOST])
    for one in made.redaction.remaining[:_MOST]:
        yield f"still there: {one.path}: {one.text!r}, {one.place}" if one.text else f"{one.path}: {one.place}"
    if (more := len(made.redaction.remaining) - _MOST) > 0:
        yield f"and {more:,} more places"
    yield from (f"not searched: {path}: {why}" for path, why in list(made.redaction.unsearched.items())[:_MOST])


def _doubts(would: Exported) -> Iterator[str]:
    if would.redaction is not None and not would.redaction.clean:
        yield (
            "Names still stand in the instrument's files, which are never changed: "
            "'the metadata alone' leaves these files out."
        )
    if would.others:
        yield f"{count_text(would.others, 'more package')} of this session would not be in it: tick 'All packages'."
    yield from (f"A package of this session is not here: {one.reason}" for one in would.lacking)
    yield from (f"The copy in {store} is damaged; the bytes came from another." for store in would.damaged)


def parcel(state: PageState, request: Request) -> Response:
    """A ZIP that was made for somebody. When it was sent whole it is removed here."""
    word = request.path_params["word"]
    path = state.parcels[word]

    def sent() -> Iterator[bytes]:
        if request.method == "HEAD":
            return
        with path.open("rb") as source:
            while piece := source.read(_PIECE):
                yield piece
        state.parcels.remove(word)

    headers = {
        "content-disposition": f"attachment; filename*=UTF-8''{quote(path.name, safe='')}",
        "content-length": str(path.stat().st_size),
    }
    return StreamingResponse(sent(), headers=headers, media_type="application/zip")


# -- an offer to a person, a permission for a colleague --------------------------------------------------------------


def send_form(state: PageState, request: Request) -> Response:
    """To whom, and what goes along; what was sent before, and how it stands."""
    return _send_page(state, request.path_params["package"])


def _send_page(state: PageState, package: str, problem: DiademError | None = None, **typed: str) -> Response:
    node = state.node
    about = node.show(package).to_dict()
    transfers, peers, here = (getattr(node, name, None) for name in ("transfers", "peers", "users"))
    mine, _, home = node.user.partition("@")
    colleagues = [f"{one.name}@{home}" for one in here or () if not one.successor and one.name != mine]
    nodes = [one for one in peers or () if one.state != "dropped"]
    confirmed = {one.id for one in nodes if one.state == "confirmed"}
    met = {(one.sender if one.direction == IN else one.recipient) for one in transfers or () if one.peer in confirmed}
    sent = [one for one in transfers or () if one.package == about["id"] and one.direction != IN]
    return state.page(
        "send.html",
        short=package,
        about=about,
        colleagues=colleagues,
        nodes=nodes,
        people=sorted({*met, *colleagues}),
        sent=[transfers.show(one.id) for one in sent[:_MOST]] if transfers is not None else [],
        grants=node.grants(about["id"]) if hasattr(node, "grants") else [],
        problem=problem,
        typed=typed,
    )


def send(state: PageState, request: Request) -> Response:
    """Offer a session to a person; no byte of it moves before they accept."""
    package, form = request.path_params["package"], Form(request)
    place, node = f"/session/{package}/send", state.node

    def work(listener: Listener) -> Outcome:
        del listener
        before = {one.id for one in getattr(node, "transfers", None) or ()}
        offered = node.send(package, to, expires=expires, comment=form.text("comment"))
        state.forget()
        if offered.id in before:
            text = f"It was offered to {offered.recipient} before, and is {offered.state}: it is not offered twice."
            return Outcome(text, place)
        until = f"until {offered.expires:%Y-%m-%d}"
        return Outcome(f"Offered to {offered.recipient}, {until}. Nothing moves before they accept.", place)

    try:
        to = form.needed("to", "To whom")
        days = form.text("days", "14")
        if not (days.isascii() and days.isdigit() and len(days) < 5):
            raise UsageError(f"'{days}' is no number of days", next="Write a whole number: 14")
        expires = datetime.timedelta(days=int(days))
        return state.begin(f"Send to {to}", work, back=place, patience=_PATIENCE)
    except DiademError as error:
        return _send_page(state, package, error, **form.typed)


def grant(state: PageState, request: Request) -> Response:
    """Let a colleague of this node see a session, or everybody of a node; it can be taken back."""
    package, form = request.path_params["package"], Form(request)
    try:
        to, right = form.needed("colleague", "Who"), form.text("right", "read")
        given = state.node.grant(package, to, [right], expires=form.text("until") or None, purpose=form.text("purpose"))
    except DiademError as error:
        return _send_page(state, package, error, **form.typed)
    until = f" until {given.grant.expires:%Y-%m-%d}" if given.grant.expires else ""
    return state.done(f"{given.grant.to} may {right} it{until}.", f"/session/{package}/send")
