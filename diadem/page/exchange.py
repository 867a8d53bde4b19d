"""What goes from person to person: offers with their pictures, what travels in both directions, and receipts."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from diadem.errors import DiademError, NotFound, Refused
from diadem.model.measures import read_size
from diadem.model.plain_text import count_text, size_text
from diadem.model.ports import Listener
from diadem.model.transfers import IN, MOVING, OUT, OVER, Offer, State, Transfer
from diadem.page.forms import Form
from diadem.page.html import link, whole
from diadem.page.jobs import Outcome
from diadem.page.state import PageState

if TYPE_CHECKING:
    from diadem.custody.report import CustodyStep

PLACE: Final = "/exchange"
DISK: Final = f"{PLACE}/disk"
#: Transfers that are over and shown, and those under way of which is asked what was not delivered.
_MOST: Final = 200
_MOST_ASKED: Final = 50
#: Offers that are shown with their pictures.
_MOST_OFFERS: Final = 30
#: Seconds in which a deed that tells another node may end before its job is shown.
PATIENCE: Final = 2.0
#: How a transfer stands, for people. An offer that waits is told by who has to answer it.
_WORDS: Final[dict[State, str]] = {
    State.DRAFTED: "being offered",
    State.OFFERED: "waiting for an answer",
    State.ACCEPTED: "travelling",
    State.TRANSFERRING: "travelling",
    State.VERIFYING: "arrived, being proven",
    State.RECEIVED: "received",
    State.CLOSED: "received, confirmed by both sides",
    State.DECLINED: "declined",
    State.EXPIRED: "not answered in time",
    State.REVOKED: "withdrawn by its sender",
    State.FAILED: "failed",
    State.CANCELLED: "cancelled",
}
#: What each step of it was, for people.
_STEPS: Final = _WORDS | {
    State.DRAFTED: "the offer was written",
    State.OFFERED: "offered",
    State.ACCEPTED: "accepted",
    State.TRANSFERRING: "started",
    State.RECEIVED: "received: every byte is proven",
    State.CLOSED: "confirmed by both sides",
}
#: What is told of an offer's record.
_FACTS: Final = ("date", "sample", "instrument", "operator", "project")
#: Statements of a transfer, in their order.
_STATEMENTS: Final = ("offer", "grant", "acceptance", "receipt", "closure")


@dataclass(frozen=True, slots=True)
class Line:
    """A transfer on one line: how it stands in words, whom it is with, and what the other side does not know yet."""

    transfer: Transfer
    words: str
    unsent: Sequence[str] = ()

    @property
    def incoming(self) -> bool:
        """Whether it comes to this user."""
        return self.transfer.direction == IN

    @property
    def who(self) -> str:
        """The other person."""
        return self.transfer.sender if self.incoming else self.transfer.recipient

    @property
    def share(self) -> int | None:
        """Percent that are proven; None where no bytes move."""
        moving = self.transfer.state in MOVING and self.transfer.bytes
        return 100 * self.transfer.done // self.transfer.bytes if moving else None


def _line(state: PageState, one: Transfer, *, asked: bool = False) -> Line:
    words = _WORDS[one.state]
    if one.waits and one.recipient == state.node.user:
        words = "waiting for your answer"
    unsent = state.node.transfers.show(one.id).unsent if asked and one.direction == OUT else ()
    return Line(one, "paused" if one.paused and one.state in MOVING else words, unsent)


@dataclass(frozen=True, slots=True)
class Offered:
    """An offer as a page tells it. What its sender says of the record may be anything: what is no text is left out."""

    offer: Offer

    @property
    def id(self) -> str:
        """The transfer's id."""
        return self.offer.id

    @property
    def facts(self) -> Sequence[tuple[str, str]]:
        """Name and text of what is said in short."""
        said = [(name, self.offer.record.get(name)) for name in _FACTS]
        return [(name, text) for name, text in said if isinstance(text, str) and text]

    @property
    def paths(self) -> Sequence[str]:
        """The datasets, by their files."""
        listed = self.offer.record.get("datasets")
        named = [one.get("path") for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
        return [path for path in named if isinstance(path, str)]


def exchange(state: PageState, request: Request) -> Response:
    """Offers to answer, what is under way in both directions, and what came to its end."""
    del request
    node = state.node
    listed = node.transfers.ls()
    offers = node.transfers.inbox()
    waiting = {offer.id for offer in offers}
    going = [one for one in listed if one.state not in OVER and one.id not in waiting]
    ended = [one for one in listed if one.state in OVER]
    if not state.read_only:
        state.post.ask()
    routes = [one for one in node.peers.routes() if one.trouble]
    return state.page(
        "exchange.html",
        offers=[Offered(one) for one in offers[:_MOST_OFFERS]],
        waiting=len(offers),
        going=[_line(state, one, asked=number < _MOST_ASKED) for number, one in enumerate(going)],
        ended=[_line(state, one) for one in ended[:_MOST]],
        left_out=len(ended) - _MOST,
        troubled=routes,
        pending=[peer for peer in node.peers.ls() if str(peer.state) == "pending"],
        rules=len(node.rules.ls()),
        hub=node.hub(),
        post=state.post,
        seen=_seen(listed),
    )


def seen(state: PageState, request: Request) -> Response:
    """Whether something has changed since a page was made, as its script asks."""
    del request
    if not state.read_only:
        state.post.ask()
    return JSONResponse({"seen": _seen(state.node.transfers.ls()), "asking": state.post.asking})


def _seen(listed: Sequence[Transfer]) -> str:
    """A word for how all transfers stand: another one after anything has changed."""
    told = [(one.id, str(one.state), one.paused, one.error, one.done) for one in listed]
    return hashlib.sha256(repr(told).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def exchange_now(state: PageState, request: Request) -> Response:
    """Everything that is due, with all nodes that answer: what a node that is served does by itself."""
    del request
    node = state.node

    def work(listener: Listener) -> Outcome:
        done = node.transfers.sync(listener=listener)
        state.forget()
        lines = [f"{one.title}: {_WORDS[one.state]}" for one in done.moved]
        lines += [f"{name} waits to be confirmed." for name in done.pending]
        text = (
            "Some nodes did not answer; they will be asked again."
            if done.trouble
            else "Everything is exchanged for now."
        )
        return Outcome(text, PLACE, (*lines, *done.trouble))

    return state.begin("Exchange with other nodes", work, back=PLACE)


# -- one transfer ----------------------------------------------------------------------------------------------------


def transfer(state: PageState, request: Request) -> Response:
    """An offer with what its sender says of it, or a transfer with its steps and receipt."""
    if not state.read_only:
        state.post.ask()
    return _shown(state, request.path_params["transfer"])


def _shown(state: PageState, id_: str, **more: Any) -> Response:
    details = state.node.transfers.show(id_)
    one = details.transfer
    offer = next((offer for offer in state.node.transfers.inbox() if offer.id == one.id), None)
    here = one.direction != IN or one.state in (State.RECEIVED, State.CLOSED)
    stores = [(store.name, store.name) for store in state.node.stores.ls() if not store.read_only] if offer else []
    proofs, fault = _proofs(state, one) if here else ({}, "")
    return state.page(
        "transfer.html",
        details=details,
        one=one,
        line=_line(state, one),
        steps=[(event, _STEPS[event.state]) for event in details.events],
        offer=Offered(offer) if offer else None,
        here=here,
        stores=[("", "the first with room"), *stores],
        mine=state.node.user in (one.sender, one.recipient),
        over=one.state in OVER or one.state is State.RECEIVED,
        moving=one.state in MOVING,
        failed=one.state is State.FAILED,
        statements=[(name, getattr(one, name)) for name in _STATEMENTS if getattr(one, name)],
        proofs=proofs,
        proof_fault=fault,
        post=state.post,
        seen=_seen(state.node.transfers.ls()),
        **more,
    )


def _proofs(state: PageState, one: Transfer) -> tuple[Mapping[str, CustodyStep], str]:
    """What each statement of a transfer proves, checked now: by its id; or why that cannot be told."""
    try:
        steps = state.node.custody(one.package).steps
    except DiademError as error:
        return {}, error.message
    return {step.statement_id: step for step in steps if step.statement_id}, ""


def offered_picture(state: PageState, request: Request) -> Response:
    """A picture that came with an offer: the sender's word, a PNG and nothing else."""
    id_, number = request.path_params["transfer"], whole(request.path_params["number"])
    offer = next((one for one in state.node.transfers.inbox() if one.id == id_), None)
    if offer is None or number >= len(offer.previews):
        raise NotFound("there is no such picture")
    data = base64.b64decode(offer.previews[number].png)
    return Response(data, media_type="image/png", headers={"cache-control": "private, max-age=3600"})


def _as_it_was(state: PageState, request: Request) -> Transfer | Response:
    """The transfer of a form; or its page, where it is not any more what the form was made from."""
    form, one = Form(request), state.node.transfers.show(request.path_params["transfer"]).transfer
    if form.text("was") == str(one.state):
        return one
    last = state.node.transfers.show(one.id).events[-1:]
    why = "".join(f": {event.words}" for event in last if event.words)
    problem = Refused(
        f"this has changed since the page was loaded: it is {_WORDS[one.state]}{why}",
        next="Nothing was done. How it stands now is below.",
    )
    return _shown(state, one.id, problem=problem)


def _address(one: Transfer) -> str:
    return f"{PLACE}/transfers/{one.id}"


def accept(state: PageState, request: Request) -> Response:
    """Accept an offer, and fetch what is offered."""
    one = _as_it_was(state, request)
    if isinstance(one, Response):
        return one
    store = Form(request).text("store")

    def work(listener: Listener) -> Outcome:
        done = state.node.accept(one.id, store=store or None, listener=listener)
        state.forget()
        if done.state in (State.RECEIVED, State.CLOSED):
            return Outcome(f"{one.title} is here, and every byte was proven.", f"/session/{_short(one)}")
        return Outcome(
            f"You have accepted. {one.sender} is told, and brings it as soon as that node calls this one.",
            _address(one),
            (done.error,) if done.error else (),
        )

    return state.begin(f"Fetch {one.title}", work, back=_address(one))


def decline(state: PageState, request: Request) -> Response:
    """Decline an offer; its sender is told why."""
    return _told(state, request, "Decline", "It is declined; its sender is told.", state.node.decline)


def cancel(state: PageState, request: Request) -> Response:
    """Withdraw an offer, or call a transfer off before it is received."""
    return _told(state, request, "Cancel", "It is cancelled; the other side is told.", state.node.transfers.cancel)


def _told(state: PageState, request: Request, title: str, text: str, verb: Any) -> Response:
    """A deed of which the other node is told at once if it answers, else later."""
    one = _as_it_was(state, request)
    if isinstance(one, Response):
        return one
    reason = Form(request).text("reason")

    def work(listener: Listener) -> Outcome:
        del listener
        verb(one.id, reason=reason)
        state.forget()
        return Outcome(text, PLACE)

    return state.begin(f"{title}: {one.title}", work, back=_address(one), patience=PATIENCE)


def pause(state: PageState, request: Request) -> Response:
    """Let a transfer wait."""
    one = _as_it_was(state, request)
    if isinstance(one, Response):
        return one
    state.node.transfers.pause(one.id)
    return state.done("It is paused; what has arrived stays here.", _address(one))


def resume(state: PageState, request: Request) -> Response:
    """Go on with a transfer: only what is missing moves."""
    one = _as_it_was(state, request)
    if isinstance(one, Response):
        return one
    anew = Form(request).flag("anew")

    def work(listener: Listener) -> Outcome:
        done = state.node.transfers.resume(one.id, anew=anew, listener=listener)
        state.forget()
        return Outcome(f"{one.title}: {', '.join(_WORDS[each.state] for each in done)}", _address(one))

    return state.begin(f"Resume {one.title}", work, back=_address(one))


def _short(one: Transfer) -> str:
    return one.package.removeprefix("diadem:")


# -- rules -----------------------------------------------------------------------------------------------------------


def rules(state: PageState, request: Request, **more: Any) -> Response:
    """Offers that are accepted automatically."""
    del request
    known = [f"*@{peer.name}" for peer in state.node.peers.ls() if str(peer.state) == "confirmed"]
    return state.page("rules.html", rules=list(state.node.rules), known=known, **more)


def add_rule(state: PageState, request: Request) -> Response:
    """Accept offers of a sort from now on."""
    form = Form(request)
    try:
        days = form.days("days")
        until = datetime.now(UTC) + timedelta(days) if days else None
        sender, size = form.needed("sender", "From"), read_size(form.needed("size", "Largest package"))
        made = state.node.rules.add(sender, max_bytes=size, project=form.text("project"), expires=until)
    except DiademError as error:
        return rules(state, request, problem=error, typed=form.typed)
    return state.done(f"What {made.sender} offers you is accepted automatically from now on.", f"{PLACE}/rules")


def remove_rule(state: PageState, request: Request) -> Response:
    """Take a rule back."""
    gone = state.node.rules.rm(request.path_params["rule"])
    return state.done(f"What {gone.sender} offers waits for your answer again.", f"{PLACE}/rules")


# -- by post ---------------------------------------------------------------------------------------------------------


def disk(state: PageState, request: Request, **more: Any) -> Response:
    """The form for what came by post: where it is."""
    typed = {"folder": request.query_params.get("folder", "")}
    stores = [(store.name, store.name) for store in state.node.stores.ls() if not store.read_only]
    return state.page("disk.html", stores=[("", "the first with room"), *stores], **{"typed": typed, **more})


def take_from_disk(state: PageState, request: Request) -> Response:
    """See what is on it, or archive it: either proves every byte."""
    form = Form(request)
    try:
        folder = form.path("folder", "Folder or ZIP")
        take = partial(_take_disk, state, folder, form.text("store"))
        work = take if form.flag("take") else partial(_look_at_disk, state, folder)
        return state.begin("Read what came by post", work, back=link(DISK, folder=folder), patience=PATIENCE)
    except DiademError as error:
        return disk(state, request, problem=error, typed=form.typed)


def _look_at_disk(state: PageState, folder: Path, listener: Listener) -> Outcome:
    found, again = state.node.import_(folder, dry_run=True, listener=listener), link(DISK, folder=folder)
    if found.offered is None:
        told = ", ".join(f"{id_[:19]}…{' (here already)' if id_ in found.here else ''}" for id_ in found.found)
        return Outcome(f"{count_text(len(found.found), 'package')}, proven whole: {told}", again)
    one = found.offered
    what = f"{one.title}, {size_text(one.bytes)}, from {one.sender}"
    if one.state is not State.OFFERED:
        return Outcome(f"{what}: it is {one.state.word} already.", again)
    return Outcome(f"{what}: the offer was checked, and waits for your answer.", again)


def _take_disk(state: PageState, folder: Path, store: str, listener: Listener) -> Outcome:
    done = state.node.import_(folder, store=store or None, listener=listener)
    state.forget()
    if (one := done.offered) is None:
        text = f"{count_text(len(done.found), 'package')} archived, every byte proven."
        return Outcome(text, f"/session/{done.found[0].removeprefix('diadem:')}")
    return Outcome(f"{one.title} is {one.state}. {one.error} {one.next}".strip(), f"{PLACE}/transfers/{one.id}")
