"""Other nodes: invited by a ticket, met, confirmed by six words on the telephone, and how each is reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import Response

from diadem.errors import DiademError, NotFound, Refused, Unreachable, UsageError
from diadem.model.peers import Peer
from diadem.model.ports import Listener
from diadem.page.exchange import PATIENCE, PLACE
from diadem.page.forms import Form
from diadem.page.html import link
from diadem.page.jobs import Outcome
from diadem.page.state import PageState

if TYPE_CHECKING:
    from diadem.model.routes import PeerRoutes, RouteView

PEERS: Final = f"{PLACE}/peers"


@dataclass(frozen=True, slots=True)
class Known:
    """A peer with the ways to it."""

    peer: Peer
    routes: PeerRoutes | None

    @property
    def reached(self) -> str:
        """Where it is found, in words."""
        note = self.peer.note
        if note is not None and note.urls:
            return f"at {', '.join(note.urls)}"
        return "at a hub, where it picks up" if note is not None and note.hubs else "it calls this node"

    @property
    def heard(self) -> str:
        """When a way to it worked last, UTC; "" for never."""
        return max((view.health.worked for view in self.ways), default="")[:16].replace("T", " ")

    @property
    def ways(self) -> Sequence[RouteView]:
        """Each way that there could be."""
        return self.routes.routes if self.routes is not None else ()


def peers(state: PageState, request: Request, **more: Any) -> Response:
    """The other nodes, the tickets that were given out, and how to meet another one."""
    del request
    ways = {one.peer: one for one in state.node.peers.routes()}
    return state.page(
        "peers.html",
        known=[Known(peer, ways.get(peer.name)) for peer in state.node.peers.ls()],
        tickets=[one for one in state.node.peers.tickets() if one.kind == "peer"],
        carriers=list(state.node.peers.carriers),
        **{"ticket": "", "expires": None, **more},
    )


def peer(state: PageState, request: Request, **more: Any) -> Response:
    """One of them: its words, its keys, how it is reached, and what can be said of it."""
    found = _peer(state, request)
    ways = next((one for one in state.node.peers.routes() if one.peer == found.name), None)
    return state.page("peer.html", known=Known(found, ways), peer=found, **{"dropping": False, **more})


def _peer(state: PageState, request: Request) -> Peer:
    """The peer of an address, which has its id: its name may change."""
    id_ = request.path_params["peer"]
    found = next((one for one in state.node.peers.ls() if one.id == id_), None)
    if found is None:
        raise NotFound("there is no such node here", next="See the list of other nodes.")
    return found


def _address(peer: Peer) -> str:
    return f"{PEERS}/{peer.id}"


def invite(state: PageState, request: Request) -> Response:
    """A ticket, shown once: whoever has it can use it."""
    form = Form(request)
    try:
        made = state.node.peers.invite(
            form.text("name") or None,
            for_=form.text("for") or None,
            days=form.days("days", "7"),
            url=form.text("url") or None,
        )
    except DiademError as error:
        return peers(state, request, problem=error, typed=form.typed)
    return peers(state, request, ticket=made.to_text(), expires=made.expires)


def join(state: PageState, request: Request) -> Response:
    """Meet the node that made a ticket."""
    form = Form(request)
    try:
        ticket, name = "".join(form.needed("ticket", "Their ticket").split()), form.text("name") or None

        def work(listener: Listener) -> Outcome:
            del listener
            met = state.node.peers.join(ticket, name)
            told = "it is confirmed on both sides." if met.seen_as == "confirmed" else "read them the six words."
            return Outcome(f"You have met {met.name}: {told}", _address(met))

        return state.begin("Meet another node", work, back=PEERS, patience=PATIENCE)
    except DiademError as error:
        return peers(state, request, problem=error, typed=form.typed)


def confirm(state: PageState, request: Request) -> Response:
    """Say that a node is who it says, after the words were compared."""
    form, found = Form(request), _peer(state, request)
    try:
        words = form.text("words")
        if form.text("was") != found.words:
            raise Refused("the words have changed since this page was loaded", next="Compare them once more.")
        if not words and not form.flag("same"):
            raise UsageError(
                "were the words compared?", next="Write what they read out, or say that you heard the same words."
            )
        done = state.node.peers.confirm(found.name, words or None)
    except DiademError as error:
        return peer(state, request, problem=error, typed=form.typed)
    state.forget()
    return state.done(f"{done.name} is confirmed: packages can go both ways.", _address(done))


def rename(state: PageState, request: Request) -> Response:
    """Give a node another name here."""
    form, found = Form(request), _peer(state, request)
    try:
        done = state.node.peers.rename(found.name, form.needed("new", "Its new name here"))
    except DiademError as error:
        return peer(state, request, problem=error, typed=form.typed)
    return state.done(f"It is called {done.name} here from now on.", _address(done))


def refresh(state: PageState, request: Request) -> Response:
    """Exchange newest keys and addresses with a node."""
    found = _peer(state, request)

    def work(listener: Listener) -> Outcome:
        del listener
        (one,) = state.node.peers.refresh(found.name)
        if one.problem:
            raise Unreachable(one.problem, next="It is asked again when packages go there.")
        return Outcome(f"{found.name} answers; its keys and addresses are up to date.", _address(found))

    return state.begin(f"Ask {found.name}", work, back=_address(found), patience=PATIENCE)


def compromised(state: PageState, request: Request) -> Response:
    """Note that the key of a node was stolen."""
    form, found = Form(request), _peer(state, request)
    try:
        since = form.needed("since", "Stolen on")
        try:
            done = state.node.peers.compromised(found.name, since, form.text("reason"))
        except ValueError:
            raise UsageError(f"'{since}' is not a date", next="Write the year first: 2026-03-14") from None
    except DiademError as error:
        return peer(state, request, problem=error, typed=form.typed)
    state.forget()
    return state.done(f"Nothing that {done.name} signed from {since} on is trusted.", _address(done))


def drop(state: PageState, request: Request) -> Response:
    """What it would mean to accept nothing of a node any more; done by the second button, with a reason."""
    form, found = Form(request), _peer(state, request)
    if not form.flag("sure"):
        moving = [one for one in state.node.transfers.ls(everything=True, over=False) if one.peer == found.id]
        return peer(state, request, dropping=True, moving=moving)
    try:
        done = state.node.peers.drop(found.name, form.needed("reason", "Why"))
    except DiademError as error:
        return peer(state, request, problem=error, typed=form.typed, dropping=True, moving=())
    state.forget()
    return state.done(f"Nothing more from {done.name} is accepted.", link(PEERS))


# -- shared folders --------------------------------------------------------------------------------------------------


def add_carrier(state: PageState, request: Request) -> Response:
    """Add a folder by which sealed packages go to other nodes and come from them."""
    form = Form(request)
    try:
        name, url = form.needed("carrier", "What both nodes call it"), form.needed("address", "Where it is")
        made = state.node.peers.carriers.add(name, url, peers=form.all("shared"))
    except DiademError as error:
        return peers(state, request, problem=error, typed=form.typed)
    return state.done(f"{made.name} is added: the other node has to add it under the same name.", PEERS)


def remove_carrier(state: PageState, request: Request) -> Response:
    """Use such a folder no more; what lies there stays there."""
    gone = state.node.peers.carriers.rm(request.path_params["carrier"])
    return state.done(f"{gone.name} is not used any more; its files stay.", PEERS)
