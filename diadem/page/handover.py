"""A session given away: as a ZIP for someone without DIADEM, offered to a person, on a disk, or by a permission."""

from __future__ import annotations

import datetime
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from diadem.errors import DiademError, NotFound
from diadem.model.plain_text import count_text, size_text, slug
from diadem.model.ports import Listener
from diadem.model.transfers import IN
from diadem.page.dry_runs import DryRun
from diadem.page.forms import Form
from diadem.page.html import attachment, download
from diadem.page.jobs import Outcome
from diadem.page.people import grant_to_state
from diadem.page.state import PageState

if TYPE_CHECKING:
    from diadem.node.give.export import Exported

#: Bytes that are read of a file at once.
_PIECE: Final = 1 << 20
#: Seconds for which one waits for another node to hear of an offer; then it is a job.
_PATIENCE: Final = 4.0
#: Texts of a redaction that are told.
_MOST: Final = 20
#: What of a session is given.
_PARTS: Final = (
    ("", "everything: files, record and page, which anybody can verify"),
    ("raw", "the instrument's files alone"),
    ("record", "the metadata alone"),
)


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
    redact, chain, custody = form.flag("redact"), form.flag("chain"), not form.flag("no_custody")
    try:
        for_ = form.needed("for", "For whom")
        title, ending = slug(state.title(package))[:60] or "session", "-redacted.zip" if redact else ".zip"
        name = f"{title}-{package.removeprefix('diadem:')[:8]}{ending}"
        target = form.path("folder", "The folder") if form.text("where") == "folder" else None
        if target is not None and target.suffix.lower() != ".zip":
            target /= name
        rehearse = partial(
            state.node.export,
            package,
            target or Path(tempfile.gettempdir(), f"{secrets.token_hex(4)}-{name}"),
            for_=for_,
            only=part,
            redact=redact,
            chain=chain,
            custody=custody,
            dry_run=True,
        )
        would = None if redact else rehearse()
    except DiademError as error:
        return _give_page(state, package, error, **form.typed)

    def really(size: int, listener: Listener) -> Outcome:
        with nullcontext(target) if target is not None else state.parcels.making(name, size) as path:
            done = state.node.export(
                package, path, for_=for_, only=part, redact=redact, chain=chain, custody=custody, listener=listener
            )
        said = f"{count_text(done.files, 'file')}, {size_text(done.bytes)}, every byte proven. The log records it."
        lines = [f"SHA-256 {done.sha256}", *_account(done)]
        if part is None and not redact:
            lines.append(f"Tell the recipient the id by phone or in a separate mail: {', '.join(done.packages)}")
        if target is not None:
            return Outcome(f"{path}: {said}", f"/session/{package}", lines, label="Back to the session")
        return Outcome(f"{name}: {said}", f"/parcel/{state.parcels.ready(path)}", lines, label="Download it, once")

    def shown(would: Exported) -> DryRun:
        words = dict(_PARTS)[part or ""]
        facts = [
            ("for", for_),
            ("in it", f"{count_text(would.files, 'file')}, {size_text(would.content_bytes)}: {words}"),
            ("written to", str(target) if target is not None else "a download, which is removed once it was fetched"),
        ]
        if would.custody:
            who = "enclosed: it names those to whom it was given before, and where it was archived from"
            facts.insert(2, ("custody", who))
        return DryRun(
            "Give a ZIP",
            "A ZIP would be made, with a page that explains it. The log records who it is for.",
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
    yield from (f"removed: {kind}, {count:,}" for kind, count in made.redaction.removed.items())
    yield from (f"not searched for: {text!r}: {why}" for text, why in list(made.redaction.unsought.items())[:_MOST])
    for one in made.redaction.remaining[:_MOST]:
        yield f"still there: {one.path}: {one.text!r}, {one.place}" if one.text else f"{one.path}: {one.place}"
    if (more := len(made.redaction.remaining) - _MOST) > 0:
        yield f"and {more:,} more places"
    yield from (f"not searched: {path}: {why}" for path, why in list(made.redaction.unsearched.items())[:_MOST])


def _doubts(would: Exported) -> Iterator[str]:
    if would.redaction is not None and not would.redaction.clean:
        yield (
            "Names are still in the instrument's files, which are never changed: "
            "'the metadata alone' leaves these files out."
        )
    if would.others:
        yield f"{count_text(would.others, 'more package')} of this session would not be in it: tick 'All packages'."
    yield from (f"A package of this session is not here: {one.reason}" for one in would.lacking)
    yield from (f"The copy in {store} is damaged; the bytes came from another." for store in would.damaged)


# -- in another form, or to a service --------------------------------------------------------------------------------


def forms(state: PageState, request: Request) -> Response:
    """Every form that a plugin offers, each with its options."""
    return _forms_page(state, request.path_params["package"])


def _forms_page(state: PageState, package: str, problem: DiademError | None = None, **typed: str) -> Response:
    about = state.node.show(package).to_dict()
    offers = [one for one in state.node.forms if "package" in one.takes]
    return state.page("forms_out.html", short=package, about=about, offers=offers, problem=problem, typed=typed)


def leave(state: PageState, request: Request) -> Response:
    """Export it in the form, for a download, into a folder, or to the service."""
    package, form = request.path_params["package"], Form(request)
    offer = next((one for one in state.node.forms if one.name == request.path_params["form"]), None)
    if offer is None:
        raise NotFound("There is no such form.")
    try:
        options = list(_typed_options(offer, form))
        name = f"{slug(state.title(package))[:60] or 'session'}-{package.removeprefix('diadem:')[:8]}{offer.suffix}"
        fetched = offer.writes == "file" and form.text("where") != "folder"
        goal: Any = None
        if offer.writes == "service":
            goal = form.needed("url", "Address of the service")
        elif not fetched:
            goal = form.path("folder", "The folder")
            goal = goal / name if offer.writes == "file" else goal
    except DiademError as error:
        return _forms_page(state, package, error, **form.typed)

    def work(listener: Listener) -> Outcome:
        with (
            nullcontext(goal)
            if goal is not None
            else state.parcels.making(name, state.node.show(package).bytes) as path
        ):
            done = state.node.export(
                package, path, form=offer.name, for_=form.text("for"), options=options, listener=listener
            )
        lines = [f"{label}: {text}" for label, text in done.told]
        lines += [f"called there: {one}" for one in done.identifiers]
        lines += [f"SHA-256 {done.sha256}"] if done.sha256 else []
        lines += [f"The copy in {store} is damaged; the bytes came from another." for store in done.damaged]
        if fetched:
            text = f"{name}: {size_text(done.bytes)}; what was read was proven. The log records it."
            return Outcome(text, f"/parcel/{state.parcels.ready(path)}", lines, label="Download it, once")
        text = f"{done.place}: what was read was proven. The log records it."
        return Outcome(text, f"/session/{package}", lines, label="Back to the session")

    return state.begin(f"{offer.title} of {state.title(package)}", work, back=f"/session/{package}/forms")


def _typed_options(offer: Any, form: Form) -> Iterator[str]:
    """What was typed, as the command line has it; nothing for a field that was left empty."""
    for name, schema in offer.options.items():
        if schema.get("type") == "boolean" and "default" in schema:  # a box, which is ticked or not
            yield f"{name}={'true' if form.flag(f'option-{name}') else 'false'}"
        elif said := form.text(f"option-{name}"):
            yield f"{name}={said}"


def parcel(state: PageState, request: Request) -> Response:
    """What was made for somebody. When it was sent whole it is removed here."""
    word = request.path_params["word"]
    source = state.parcels.open(word)

    def sent() -> Iterator[bytes]:
        with source:
            piece = source.read(_PIECE)
            while following := source.read(_PIECE):
                yield piece
                piece = following
        state.parcels.remove(word)  # before the last piece: whoever has all of it may ask again at once
        yield piece

    size = source.seek(0, os.SEEK_END)
    source.seek(0)
    if request.method == "HEAD":
        source.close()
    name = Path(source.name).name
    kind = "application/zip" if name.endswith(".zip") else "application/octet-stream"
    return download(request, name, size, sent, media_type=kind)


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
        to, expires = form.needed("to", "To whom"), datetime.timedelta(form.days("days", "14"))
        return state.begin(f"Send to {to}", work, back=place, patience=_PATIENCE)
    except DiademError as error:
        return _send_page(state, package, error, **form.typed)


def disk(state: PageState, request: Request) -> Response:
    """Show what would be put on a disk for a person at another node: offered as by `send`, sealed for their node."""
    package, form = request.path_params["package"], Form(request)
    place = f"/session/{package}/send"
    try:
        to, folder = form.needed("to", "To whom"), form.path("folder", "Folder on the disk")
        expires, comment = datetime.timedelta(form.days("days", "60")), form.text("comment")
        write = partial(state.node.export_disk, package, to, folder, expires=expires, comment=comment)
        would = write(dry_run=True)
    except DiademError as error:
        return _send_page(state, package, error, **form.typed)

    def work(listener: Listener) -> Outcome:
        done = write(listener=listener)
        state.forget()
        to = done.transfer.recipient
        text = f"{done.folder} is ready for {to}. The log records it; a receipt may come by any route."
        return Outcome(text, place, label="Back")

    run = DryRun(
        "Put it on a disk",
        f"It would be offered to {would.transfer.recipient}, and sealed so that their node alone can read it.",
        "Write it",
        work,
        back=place,
        facts=[("to", to), ("folder", str(folder)), ("size", size_text(would.transfer.bytes))],
    )
    return RedirectResponse(state.dry_runs.keep(run), 303)


def proof(state: PageState, request: Request) -> Response:
    """The chain of custody as a file that anybody can check without this node."""
    package = request.path_params["package"]
    with tempfile.TemporaryDirectory(prefix="diadem-page-") as folder:
        data = state.node.export_custody(package, Path(folder, "custody.json")).read_bytes()
    return Response(data, media_type="application/json", headers=attachment(f"custody-{package[:12]}.json"))


def grant(state: PageState, request: Request) -> Response:
    """What it would open to a colleague of this node; the second button lets them see it."""
    package, form = request.path_params["package"], Form(request)
    try:
        stated = partial(
            state.node.grant,
            package,
            form.needed("colleague", "Who"),
            [form.text("right", "read")],
            expires=form.text("until") or None,
            purpose=form.text("purpose"),
        )
        run = grant_to_state(state, stated, f"/session/{package}/send")
    except DiademError as error:
        return _send_page(state, package, error, **form.typed)
    return RedirectResponse(state.dry_runs.keep(run), 303)
