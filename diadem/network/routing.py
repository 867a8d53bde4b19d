"""Which ways there are to a peer: what policy allows, what is possible now, which is taken, and why, in one sentence.

Nothing goes over two hubs in a row: a hub relays between nodes that both know it, and is called directly itself.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from diadem.errors import Refused, Unreachable
from diadem.model.carriers import via
from diadem.model.peers import Peer, PeerState
from diadem.model.policy import Policy
from diadem.model.routes import DIRECT, DISK, HUB, LOCAL, Health, PeerRoutes, RouteView
from diadem.model.times import read_time
from diadem.model.transfers import Transfer
from diadem.network.desk import Desk
from diadem.network.grants import is_direct_only
from diadem.network.route_book import RouteBook, route_book
from diadem.network.wire import no_answer
from diadem.node.context import Context
from diadem.node.peers.book import peer_book
from diadem.node.peers.notes import own_hubs, relays

#: In which order ways are tried where policy says ``auto``.
AUTO: Final = (DIRECT, HUB)
#: A way that failed is not tried again for so long where there is another.
_REST: Final = timedelta(minutes=1)
#: That a peer without an address calls is noted so often; one that has not for so long does not call any more.
_NOTED: Final = timedelta(minutes=1)
_CALLS: Final = timedelta(minutes=5)
_POLICY: Final = "See [transfer] and [[transfer.allow]] in policy.toml."


@dataclass(frozen=True, slots=True)
class Choice:
    """The way that is taken.

    Attributes
    ----------
    route : str
        ``direct``, ``hub`` …
    why : str
        In one sentence.
    """

    route: str
    why: str


# -- allowed ---------------------------------------------------------------------------------------------------------


def routes_of(policy: Policy, route: str) -> tuple[str, ...]:
    """The routes that an entry of the policy means; ``auto`` is what the node's own line says."""
    named = policy.transfer.route if route == "auto" else route
    return AUTO if named == "auto" else (named,)


def allowed_routes(policy: Policy, name: str) -> tuple[str, ...]:
    """Routes by which anything may go to a peer, by what it is called here."""
    found: list[str] = []
    for rule in policy.transfer.allow:
        if rule.to == "*" or rule.to.rpartition("@")[2] == name:
            found += routes_of(policy, rule.route)
            if rule.to in ("*", f"*@{name}") and rule.who in ("*", "owner"):
                break  # the first that fits decides
    return tuple(route for route in AUTO if route in (found or routes_of(policy, "auto")))


def _allowed(context: Context, peer: Peer) -> tuple[str, ...]:
    return (DIRECT,) if called_directly(context, peer) else allowed_routes(context.policy, peer.name)


def called_directly(context: Context, peer: Peer | None) -> bool:
    """Whether a node is reached without a hub, whatever the policy's own line says: it, or this one, is a hub.

    A hub is always called directly: it is what the others are reached through.
    """
    return relays(context) or (peer is not None and peer.is_hub)


def require_route(desk: Desk, transfer: Transfer, route: str) -> None:
    """That a package may go by a route, by policy and grant as they stand now.

    Raises
    ------
    Refused
        It may not.
    NotFound
        It may not be read any more at all.
    """
    peer = peer_book(desk.context).known(transfer.peer)
    if peer is not None and route in AUTO and route not in _allowed(desk.context, peer):
        raise Refused(f"the policy does not allow the route '{route}' to '{peer.name}'", next=_POLICY)
    who = {"to": transfer.recipient, "recipient": transfer.peer}
    if route != DIRECT and is_direct_only(desk.context, transfer.package, **who):
        raise Refused(f"the grant to {transfer.recipient} allows the direct route only", next="Send it directly.")


# -- possible --------------------------------------------------------------------------------------------------------


def common_hubs(context: Context, peer: Peer) -> Sequence[Peer]:
    """Hubs where both this node and a peer pick up; in an order that both sides find."""
    return [] if peer.is_hub or peer.note is None else hubs_among(context, peer.note.hubs)


def hubs_among(context: Context, ids: Collection[str]) -> Sequence[Peer]:
    """The hubs of this node among some, in the same order."""
    shared = [hub for hub in own_hubs(context, peer_book(context)) if hub.id in ids]
    return sorted(shared, key=lambda hub: hub.id)


def hub_for(desk: Desk, peer: str, known: str = "") -> Peer:
    """The hub through which a peer is reached.

    Parameters
    ----------
    desk : Desk
        Of this node.
    peer : str
        Id of the peer.
    known : str
        Id of the hub on which both sides agreed before; "" where they did not.

    Raises
    ------
    Unreachable
        There is none that both use.
    """
    found = peer_book(desk.context).get(peer)
    hubs = common_hubs(desk.context, found)
    chosen = [hub for hub in hubs if hub.id == known] or hubs
    if not chosen:
        raise Unreachable(no_common_hub(desk.context, found), next="Become a peer of its hub, or let it join yours.")
    return chosen[0]


def working_hubs(desk: Desk, peer: str, known: str = "") -> Sequence[Peer]:
    """The hubs through which a peer is reached: those that answer first, of them the one that was agreed on before."""
    found, book = peer_book(desk.context).get(peer), route_book(desk.context)
    hubs = common_hubs(desk.context, found)
    return sorted(hubs, key=lambda hub: (bool(health_of(book, found, hub).failing), hub.id != known))


def no_common_hub(context: Context, peer: Peer) -> str:
    """Why there is no hub on the way to a peer."""
    book = peer_book(context)
    if peer.is_hub:
        return f"'{peer.name}' is a hub itself, and is called directly"
    if relays(context):
        return "this node is a hub itself: nothing passes through two hubs"
    ids = peer.note.hubs if peer.note is not None else ()
    theirs = [known.name if (known := book.known(hub)) else f"{hub[:12]}…" for hub in ids]
    return two_hubs(peer.name, theirs, [hub.name for hub in own_hubs(context, book)])


def two_hubs(name: str, theirs: Sequence[str], ours: Sequence[str]) -> str:
    """That two nodes have no hub in common."""
    there = f"'{name}' picks up at {_named(theirs)}" if theirs else f"'{name}' picks up at no hub"
    here = f"this node at {_named(ours)}" if ours else "this node at none"
    return f"{there}, {here}" + (": nothing passes through two hubs" if theirs and ours else "")


def _named(hubs: Sequence[str]) -> str:
    return " and ".join(f"'{hub}'" for hub in hubs)


def _directly(context: Context, peer: Peer) -> str:
    """How a peer is reached directly; "" where neither side can call the other."""
    if peer.note is not None and peer.note.urls:
        return f"direct: '{peer.name}' is called at {peer.note.urls[0]}"
    return f"direct: '{peer.name}' calls this node" if context.settings.server.urls else ""


# -- who calls -------------------------------------------------------------------------------------------------------


def note_call(context: Context, peer: str) -> None:
    """Note that a peer which has no address called this node: the direct way works."""
    known = peer_book(context).known(peer)
    if known is None or known.has_address:
        return
    book, now = route_book(context), context.clock()
    health = book.health(peer, DIRECT)
    if health.failing or not health.worked or read_time(health.worked) + _NOTED <= now:
        book.worked(peer, DIRECT, now)


def note_silence(context: Context, peer: Peer) -> None:
    """Note that a peer which has no address does not call this node any more: the direct way fails."""
    book = route_book(context)
    health = book.health(peer.id, DIRECT)
    if not peer.has_address and not health.failing and not _calls(context, peer):
        since = f"has not called this node since {health.worked}" if health.worked else "has never called this node"
        book.failed(peer.id, DIRECT, context.clock(), f"it {since}, and has no address")


def _calls(context: Context, peer: Peer) -> bool:
    """Whether a peer without an address has just called: it fetches what waits here."""
    health = route_book(context).health(peer.id, DIRECT)
    fresh = bool(health.worked) and not health.failing and read_time(health.worked) + _CALLS > context.clock()
    return fresh and not peer.has_address and bool(context.settings.server.urls)


# -- how they do -----------------------------------------------------------------------------------------------------


def through(hub: Peer) -> str:
    """How the way over a hub is called in the book of routes."""
    return f"{HUB}:{hub.id}"


def health_of(book: RouteBook, peer: Peer, hub: Peer | None) -> Health:
    """How a way did; one over a hub that does not answer fails with it."""
    if hub is None:
        return book.health(peer.id, DIRECT)
    away = book.health(hub.id, DIRECT)
    if away.failing:
        return Health(away.tried, away.worked, away.failing, no_answer(f"the hub '{hub.name}'", away.error))
    return book.health(peer.id, through(hub))


def is_resting(context: Context, peer: str) -> bool:
    """Whether the direct way to a peer has just failed: it is asked again after as long a while as it fails, or less.

    Who is gone for a moment is asked again at once, and nobody more rarely than each minute.
    """
    health = route_book(context).health(peer, DIRECT)
    if not health.failing:
        return False
    tried = read_time(health.tried)
    return context.clock() < tried + min(_REST, tried - read_time(health.failing))


def ways(context: Context, peer: Peer, routes: Sequence[str] = AUTO) -> list[Peer | None]:
    """The ways by which a message is handed to a peer, the first first: None for the direct one, else the hub.

    A direct way that has just failed is left for a moment where there is another. What is about a transfer that goes
    over a hub only goes there first too: somebody asked for that.
    """
    allowed, book = _allowed(context, peer), route_book(context)
    hubs = [hub for hub in common_hubs(context, peer) if HUB in allowed]
    hubs.sort(key=lambda hub: bool(health_of(book, peer, hub).failing))
    health = book.health(peer.id, DIRECT)
    resting = bool(health.failing) and read_time(health.tried) + _REST > context.clock()
    if hubs and tuple(routes) == (HUB,):
        return [*hubs, *([None] if DIRECT in allowed and peer.has_address else [])]
    if DIRECT in allowed and _calls(context, peer):
        return [None]  # it fetches what waits here: no sealed copy of it is needed
    direct = DIRECT in allowed and not (hubs and (resting or not peer.has_address))
    return [*([None] if direct else []), *hubs]


def no_way(context: Context, peer: Peer) -> str:
    """Why no message goes to a peer."""
    return f"the policy sends to '{peer.name}' through a hub only; {no_common_hub(context, peer)}"


# -- chosen ----------------------------------------------------------------------------------------------------------


def choose(desk: Desk, transfer: Transfer) -> Choice:
    """The way by which the bytes of a transfer come, of those that were offered.

    Raises
    ------
    Refused
        The policy here allows none of them.
    """
    context, peer = desk.context, peer_book(desk.context).known(transfer.peer)
    if peer is None:
        return Choice(transfer.routes[0], "")
    here = (DIRECT,) if called_directly(context, peer) else routes_of(context.policy, "auto")
    allowed = [route for route in transfer.routes if route in here or route not in AUTO]
    if not allowed:
        raise Refused(
            f"'{peer.name}' offers it by the route {' or '.join(transfer.routes)}, but the policy here allows"
            f" {' or '.join(here)}",
            next=_POLICY,
        )
    views = [view for view in views_of(context, peer) if view.route in allowed and view.possible]
    carried = next((route for route in allowed if route == DISK or _is_shared(context, peer, route)), "")
    if not views and carried:
        reason = f": {_impossible(context, peer)}" if set(AUTO) & set(transfer.routes) else ", as offered"
        return Choice(carried, f"{_carrier(carried)}{reason}")
    if not views:
        return Choice(allowed[0], f"{allowed[0]}, but there is no such route now: {_impossible(context, peer)}")
    best = _best(views)
    return Choice(best.route, _sentence(context, peer, best, allowed))


def way_of(desk: Desk, transfer: Transfer) -> str:
    """The way that the bytes of a transfer take, or will take where it is not accepted yet, in one sentence."""
    peer = peer_book(desk.context).known(transfer.peer)
    if transfer.route == LOCAL or LOCAL in transfer.routes:
        return "within this node"
    if peer is None:
        return ""
    offered = (transfer.route,) if transfer.route else transfer.routes
    views = [view for view in views_of(desk.context, peer) if view.route in offered]
    possible = [view for view in views if view.possible]
    if not views:
        return _carrier(offered[0])
    if not possible:
        return f"{offered[0]}, but there is no such route now: {_impossible(desk.context, peer)}"
    return _sentence(desk.context, peer, _best(possible), offered)


def _best(views: Sequence[RouteView]) -> RouteView:
    """The first that is not known to fail, else the first."""
    return min(views, key=lambda view: view.works is False)


def _is_shared(context: Context, peer: Peer, route: str) -> bool:
    """Whether a route is that of a carrier which this node shares with a peer."""
    return any(one.is_shared_with(peer.id) for one in context.settings.carriers if one.name == via(route))


def _carrier(route: str) -> str:
    return f"by the carrier '{via(route)}'" if via(route) else f"by {route}"


def _sentence(context: Context, peer: Peer, view: RouteView, allowed: Sequence[str]) -> str:
    if view.route != HUB:
        return view.why
    health = route_book(context).health(peer.id, DIRECT)
    if not _directly(context, peer):
        reason = f"neither '{peer.name}' nor this node can call the other"
    elif DIRECT not in allowed:
        reason = "chosen by the policy"
    else:
        reason = f"the direct route has failed since {health.failing}: {health.error}"
    return f"{view.why}: {reason}"


def _impossible(context: Context, peer: Peer) -> str:
    hub = no_common_hub(context, peer)
    return hub if _directly(context, peer) else f"neither node can call the other, and {hub}"


def require_way(desk: Desk, peer: str, routes: Sequence[str]) -> None:
    """That there is a way to a peer among some routes, as far as is known now.

    Raises
    ------
    Refused
        Only a hub is allowed, and there is none in common.
    """
    known = peer_book(desk.context).known(peer)
    if known is not None and tuple(routes) == (HUB,) and not common_hubs(desk.context, known):
        raise Refused(no_common_hub(desk.context, known), next="Become a peer of its hub, or let it join yours.")


# -- shown -----------------------------------------------------------------------------------------------------------


def views_of(context: Context, peer: Peer) -> list[RouteView]:
    """Each way that there could be to a peer."""
    book, allowed = route_book(context), _allowed(context, peer)
    direct = _directly(context, peer)
    why = direct or f"neither '{peer.name}' nor this node has an address that the other could call"
    found = [RouteView(DIRECT, "", DIRECT in allowed, bool(direct), why, health_of(book, peer, None))]
    for hub in common_hubs(context, peer):
        why, health = f"through the hub '{hub.name}'", health_of(book, peer, hub)
        found.append(RouteView(HUB, hub.name, HUB in allowed, True, why, health))
    if len(found) == 1 and (HUB in allowed or own_hubs(context, peer_book(context))) and not peer.is_hub:
        found.append(RouteView(HUB, "", HUB in allowed, False, no_common_hub(context, peer)))
    return found


def peer_routes(context: Context, peer: Peer) -> PeerRoutes:
    """The ways to a peer, as they are shown."""
    views = views_of(context, peer)
    usable = [view for view in views if view.allowed and view.possible]
    if not usable:
        chosen = f"no route: {_impossible(context, peer)}" if not _directly(context, peer) else no_way(context, peer)
    else:
        chosen = _sentence(context, peer, _best(usable), [view.route for view in usable])
    return PeerRoutes(peer.name, chosen, tuple(views))


def all_routes(context: Context) -> list[PeerRoutes]:
    """The ways to every confirmed peer."""
    return [peer_routes(context, peer) for peer in peer_book(context).ls() if peer.state is PeerState.CONFIRMED]


def failing_since(context: Context, peer: Peer, route: str) -> datetime | None:
    """Since when every way of a route to a peer fails; None where one works, was not tried, or there is none."""
    views = [view for view in views_of(context, peer) if view.route == route and view.possible]
    if not views or any(view.works is not False for view in views):
        return None
    return max(read_time(view.health.failing) for view in views)
