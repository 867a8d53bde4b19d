"""Offering a package: what the policy allows, what is granted, what is stated and told to the other side."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from diadem.archive.facts import previews_of
from diadem.archive.package import Package
from diadem.catalogue import PackageRow
from diadem.custody import statements
from diadem.errors import DiademError, NotFound, Refused, UsageError
from diadem.model import canonical
from diadem.model.carriers import via
from diadem.model.manifest import PackageId
from diadem.model.plain_text import one_line
from diadem.model.policy import Policy
from diadem.model.routes import DIRECT, DISK, HUB
from diadem.model.statements import Draft
from diadem.model.times import read_time, time_text
from diadem.model.transfers import LOCAL, MOVING, OUT, State, Transfer, TransferEvent, new_id
from diadem.network.accepting import cancel
from diadem.network.closing import corrections_of
from diadem.network.desk import Desk, outgoing
from diadem.network.grants import ensure_read, is_direct_only, is_stopped
from diadem.network.messages import MAX_PREVIEW_BYTES, MAX_PREVIEWS, MAX_RECORD_BYTES, OFFER, PNG
from diadem.network.relay.carriers import routes_to
from diadem.network.routing import called_directly, require_way
from diadem.node.access.askers import whole_address
from diadem.node.keep.copies import PackageCopies
from diadem.package.examine import open_tag_files
from diadem.store.package_copy import contents_of
from diadem.trust.base64_text import to_base64

#: How long an offer can be accepted where nobody says.
WEEKS: Final = timedelta(days=14)
#: How long it may be read beyond that: a large package over a thin line takes its time.
FETCHING: Final = timedelta(days=60)
_ROUTES: Final = {"auto": (DIRECT, HUB), DIRECT: (DIRECT,), HUB: (HUB,), DISK: (DISK,)}
_LONGEST: Final = timedelta(days=366)
#: What is told of a package: datasets, fields of each, and letters of a text at most.
_DATASETS: Final = 8
_FIELDS: Final = (
    "beam.acceleration_voltage",
    "optics.magnification",
    "optics.camera_length",
    "detector.name",
    "image.pixel_size_x",
    "time.acquired_start",
)
_TEXT: Final = 300


def send(
    desk: Desk, package: str, to: str, *, expires: timedelta = WEEKS, comment: str = "", route: str = "auto"
) -> Transfer:
    """Offer a package to a person; see `diadem.network.transfer_verbs`."""
    desk.context.require_writable()
    wanted = wanted_offer(desk, package, to, expires=expires, comment=comment, route=route)
    with desk.context.locked(f"offer-{PackageId(wanted.package).hex[:32]}"):
        _tell_drafts(desk, wanted.package)
        if (waiting := offered_already(desk, wanted)) is not None:
            return waiting
        found, about = measured(desk, wanted)
        corrections_of(desk, wanted.package)  # what cannot be told with it is said now, not when it is delivered
        before = [one for one in _open_offers(desk, wanted, failed=True) if is_stopped(desk.context, one)]
        until = found.expires + FETCHING
        grant = ensure_read(desk.context, found.package, to=found.recipient, recipient=found.peer, expires=until)
        transfer = confined(desk, replace(found, grant=grant))
        for dead in before:  # the new grant would let their bytes go on
            with contextlib.suppress(Refused):  # another user's, or its receipt has just come
                cancel(desk, dead.id, "its grant holds no longer")
        desk.book.add(transfer, TransferEvent(State.DRAFTED, time_text(desk.now)), about=about)
        return _offer(desk, transfer, about)


def wanted_offer(
    desk: Desk, package: str, to: str, *, expires: timedelta = WEEKS, comment: str = "", route: str = "auto"
) -> Transfer:
    """An offer of who is at work that the policy allows, before its grant and its bytes are known; nothing is kept.

    Raises
    ------
    NotFound, UsageError
        There is no such package, node or user.
    Refused
        The policy forbids it.
    """
    if not timedelta(0) < expires <= _LONGEST:
        raise UsageError("an offer lasts a year at most", next="Example: --expires 14days")
    context = desk.context
    row = context.catalogue.get(package)
    address, peer = _recipient(desk, to)
    local = peer == desk.node
    routes = ("local",) if local else _routes(desk, peer, row.owner, address, route)
    return Transfer(
        id=new_id(),
        direction=LOCAL if local else OUT,
        state=State.DRAFTED,
        package=row.id,
        payload_id=row.payload_id,
        title=row.title,
        bytes=0,
        files=row.files,
        peer=peer,
        sender=context.address,
        recipient=address,
        routes=routes,
        expires=(desk.now + expires).replace(microsecond=0),
        created=desk.now,
        comment=comment,
    )


def _routes(desk: Desk, peer: str, owner: str, address: str, wished: str) -> tuple[str, ...]:
    """The routes by which policy lets a package go, of which one at least is possible as far as is known.

    Raises
    ------
    NotFound
        A carrier is meant that is not shared with the peer.
    Refused
        The policy allows none, or only a hub and there is none in common.
    """
    context, shared = desk.context, routes_to(desk.context, peer)
    way = allowed_route(context.policy, context.address, owner, address, wished)
    if way not in _ROUTES and way not in shared:
        raise NotFound(f"no carrier '{via(way)}' is shared with this node", next="See: diadem peer carrier ls")
    if way not in _ROUTES:
        return (way,)
    allowed = (DIRECT,) if wished == "auto" and called_directly(context, desk.known(peer)) else _ROUTES[way]
    require_way(desk, peer, (*allowed, *(shared if way == "auto" else ())))
    return (*allowed, *shared) if way == "auto" else allowed


def confined(desk: Desk, transfer: Transfer) -> Transfer:
    """An offer with those of its routes that its grant allows.

    Raises
    ------
    Refused
        There is none: the grant wants no hub on the way, and the policy wants one.
    """
    if transfer.direction == LOCAL or transfer.routes == (DIRECT,):
        return transfer
    if not is_direct_only(desk.context, transfer.package, to=transfer.recipient, recipient=transfer.peer):
        return transfer
    if DIRECT not in transfer.routes:
        routes = " or ".join(transfer.routes)
        raise Refused(
            f"the grant to {transfer.recipient} allows the direct route only, but the route is {routes}",
            next="Use --route direct if the policy allows it, or grant it without direct-only.",
        )
    return replace(transfer, routes=(DIRECT,))


def measured(desk: Desk, wanted: Transfer) -> tuple[Transfer, dict[str, object]]:
    """An offer with its bytes, and what is told with it so that a person can decide; from a copy that can be read."""
    found, _ = PackageCopies(desk.context, wanted.package).best()
    desk.context.follower.try_owed()  # else little is told of one that has just come
    about = describe(found, desk.context.catalogue.get(wanted.package))
    return replace(wanted, bytes=package_bytes(found), files=len(found.files)), about


def _offer(desk: Desk, transfer: Transfer, about: dict[str, object]) -> Transfer:
    """State the offer; where that cannot be, nothing was offered."""
    try:
        (entry,) = desk.context.say([offer_draft(transfer)], as_user=True)
    except DiademError as error:
        desk.book.step(transfer.id, State.FAILED, desk.now, words=error.message, error=error.message)
        raise
    return stated(desk, transfer, entry.statement_id, about)


def _tell_drafts(desk: Desk, package: str) -> None:
    """Go on with offers that stand in the log, and whose process ended before the book knew; the caller holds the lock.

    What no statement offers stays a draft.
    """
    for draft in desk.book.all(states={State.DRAFTED}):
        if draft.package == package and (statement := desk.said(draft.id, "offer")):
            stated(desk, draft, statement, desk.book.about(draft.id))


def offer_draft(transfer: Transfer) -> Draft:
    """The statement of an offer."""
    return statements.offer(transfer, to=transfer.recipient, grant=transfer.grant, by=transfer.sender)


def stated(desk: Desk, transfer: Transfer, statement: str, about: Mapping[str, object]) -> Transfer:
    """The transfer once its offer stands in the log: what is to be told to the other side is in the outbox."""
    told = outgoing(transfer, OFFER, about) if transfer.direction == OUT else None
    return desk.book.step(transfer.id, State.OFFERED, desk.now, statement=statement, offer=statement, post=told)


def transfer_of(entry_id: str, said: Mapping[str, Any], *, title: str, created: datetime, node: str) -> Transfer:
    """The transfer that an offer of this node is of, by what the offer says."""
    return Transfer(
        id=str(said["transfer"]),
        direction=LOCAL if said["recipient"] == node else OUT,
        state=State.OFFERED,
        package=str(said["package"]),
        payload_id=str(said["payload_id"]),
        title=title,
        bytes=int(said["bytes"]),
        files=int(said["files"]),
        peer=str(said["recipient"]),
        sender=str(said["by"]),
        recipient=str(said["to"]),
        routes=tuple(map(str, said["routes"])),
        expires=read_time(str(said["expires"])),
        created=created,
        comment=str(said.get("comment", "")),
        offer=entry_id,
        grant=str(said["grant"]),
    )


def offered_already(desk: Desk, wanted: Transfer) -> Transfer | None:
    """The same offer, where it still waits or is under way and its recipient may read it: it is not made twice."""
    return next((known for known in _open_offers(desk, wanted) if not is_stopped(desk.context, known)), None)


def _open_offers(desk: Desk, wanted: Transfer, *, failed: bool = False) -> list[Transfer]:
    """The same offers that wait or are under way, whether anything lets their recipient read. A disk is another one."""
    states = {State.OFFERED, *MOVING, *([State.FAILED] if failed else [])}
    refreshed = [desk.refreshed(one) for one in desk.book.all(states=states)]
    return [
        one
        for one in refreshed
        if one.state in states
        and one.direction in (OUT, LOCAL)
        and (one.package, one.recipient) == (wanted.package, wanted.recipient)
        and (one.routes == (DISK,)) == (wanted.routes == (DISK,))
    ]


def _recipient(desk: Desk, to: str) -> tuple[str, str]:
    """Address and node id of a person.

    Raises
    ------
    UsageError, NotFound, Refused
        It is no address; nobody is called so; the node is not confirmed.
    """
    settings, to = desk.context.settings, whole_address(desk.context, to)
    user, _, name = to.rpartition("@")
    if name != settings.name:
        return to, desk.peer_named(name).id
    if settings.user(user).name == desk.context.user:
        raise UsageError("you have this package already", next="Name another person.")
    return to, desk.node


def allowed_route(policy: Policy, sender: str, owner: str, to: str, wished: str) -> str:
    """The route that the policy allows: the first entry that fits decides.

    Parameters
    ----------
    policy : Policy
        Of this node.
    sender, owner, to : str
        Addresses: who sends, whose package it is, who gets it.
    wished : str
        ``auto``, ``direct``, ``hub``, ``disk`` or ``via:NAME``.

    Raises
    ------
    Refused
        None fits, or it does not allow the route.
    """
    if wished not in _ROUTES and not via(wished):
        raise UsageError(f"'{wished}' is not a route", next="Use auto, direct, hub, or via: and a carrier's name.")
    rule = policy.transfer.permission(sender, owner, to)
    advice = "See [transfer] and [[transfer.allow]] in policy.toml."
    if rule is None:
        raise Refused(f"the policy does not let {sender} send this package to {to}", next=advice)
    named = policy.transfer.route if rule.route == "auto" else rule.route
    if named not in ("auto", wished) and wished != "auto":
        raise Refused(f"the policy allows only the route '{named}' to {to}", next=advice)
    return named if wished == "auto" else wished


def package_bytes(package: Package) -> int:
    """Bytes of all files of a package, tag files too."""
    return contents_of(package.bundle, open_tag_files(package.bundle, expected_id=package.id)).size


# -- what is told of a package -----------------------------------------------------------------------------------------


def describe(package: Package, row: PackageRow) -> dict[str, Any]:
    """The `about` of an offer: a summary of the record, a few pictures, and the package's name in a store.

    By it a person can decide. It is not signed: what decides is what lands, and that is proven.
    """
    record: dict[str, Any] = {
        "title": _short(row.title),
        "date": row.date.isoformat() if row.date else "",
        "instrument": _short(row.instrument),
        "sample": _short(row.sample),
        "operator": _short(row.operator),
        "project": _short(package.record.session.get("project", "")),
        "people": [_short(person.get("name", "")) for person in package.record.people[:20]],
        "formats": [_short(name) for name in row.formats[:20]],
        "counts": {"datasets": len(package), "files": row.files, "bytes": row.bytes},
        "datasets": [_dataset(package, number) for number in range(min(_DATASETS, len(package.record.datasets)))],
    }
    if len(canonical.encode(record, where="record")) > MAX_RECORD_BYTES:
        record["datasets"] = []
    return {"record": record, "previews": list(_previews(package)), "path": row.path}


def _dataset(package: Package, number: int) -> Mapping[str, Any]:
    dataset = package.record.datasets[number]
    fields = {}
    for key in _FIELDS:
        try:
            value = dataset.value(key)
        except DiademError:  # its files disagree, or nobody says
            continue
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            fields[key] = _short(value) if isinstance(value, str) else value
    return {"id": dataset.id, "path": _short(dataset.path), "fields": fields}


def _previews(package: Package) -> Iterator[dict[str, str]]:
    found = previews_of(package)
    told = 0
    for number in sorted(found):
        if told < MAX_PREVIEWS and found[number].startswith(PNG) and len(found[number]) <= MAX_PREVIEW_BYTES:
            told += 1
            yield {"name": f"dataset {number + 1}", "png": to_base64(found[number])}


def _short(text: object) -> str:
    return one_line(str(text or ""), _TEXT)
