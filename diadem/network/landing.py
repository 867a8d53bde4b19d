"""A package that arrived goes into its store: published, entered in the catalogue, and stated as received."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from diadem.archive.package import Package
from diadem.custody import statements
from diadem.errors import IntegrityError, Refused
from diadem.model.ports import Bundle, Listener, Progress
from diadem.model.replicas import PRESENT
from diadem.model.statements import Draft
from diadem.model.transfers import MOVING, OVER, State, Transfer
from diadem.network.arrival import ARRIVING, Arrival, land, published_path
from diadem.network.closing import brought_with, say_received
from diadem.network.desk import Desk
from diadem.node.follow.catalogue_rows import package_entry
from diadem.node.keep.copies import PackageCopies
from diadem.package.examine import TagFiles, open_tag_files
from diadem.store.addresses import local_path
from diadem.store.bags import LocalBundle
from diadem.store.contract import Added
from diadem.store.package_copy import place_for

#: Datasets of a package that are entered before its receipt is stated, which takes a twentieth of a second. Those of a
#: larger one follow when its sender knows that it is here.
_AT_ONCE: Final = 500


def place_of(desk: Desk, transfer: Transfer) -> Path:
    """Where what arrives is put together: on the file system of the store that it goes to, else at the node."""
    folder = local_path(desk.context.settings.store(transfer.store).url)
    return folder / ".diadem" / ARRIVING if folder is not None else desk.context.folder / ARRIVING


def forget_arrival(desk: Desk, transfer: Transfer) -> None:
    """Remove what arrived of a transfer that is over. Raises `Refused` while another process is at it."""
    arrival = Arrival.open(place_of(desk, transfer), transfer.id)
    if arrival.published:  # its process ended before it could say so, or take it out again
        with suppress(IntegrityError):  # it was taken out
            store = desk.context.stores.open(transfer.store)
            _take_out(desk, transfer, published_path(store, transfer.package, transfer.payload_id))
    copies = PackageCopies(desk.context, transfer.package)
    with copies.locked():
        if not copies.log().is_of_node():  # its process ended after it was entered, and before that was stated
            desk.context.catalogue.forget(transfer.package)
    arrival.remove()


def _take_out(desk: Desk, transfer: Transfer, path: str) -> None:
    """Remove a package from its store that landed when its transfer was over; not one that was entered there."""
    context = desk.context
    copies = PackageCopies(context, transfer.package)
    with copies.locked():
        if not any((one.store, one.path) == (transfer.store, path) for one in copies.known()):
            context.stores.open(transfer.store).remove(path)


def require_not_over(transfer: Transfer) -> None:
    """Raise `Refused` where it was ended."""
    if transfer.state not in MOVING and transfer.state is not State.FAILED:
        raise Refused(f"the transfer is {transfer.state.word}", next="See: diadem transfer ls")


def published_package(desk: Desk, transfer: Transfer) -> TagFiles:
    """The package that an earlier run gave its place, and could not say so any more."""
    store = desk.context.stores.open(transfer.store)
    path = published_path(store, transfer.package, transfer.payload_id)
    return open_tag_files(store.bundle(path), expected_id=transfer.package)


def land_package(desk: Desk, transfer: Transfer, arrival: Arrival, opened: TagFiles, *, listener: Listener) -> Transfer:
    """Give what was verified its place, enter it, and say so; it is taken out again where the transfer is over.

    Datasets of a large package may still be owed to the catalogue then: see `diadem.node.follow.follow`. Raises
    `DocumentError` where its record is malformed: no search would find what it holds.
    """
    context = desk.context
    store = context.stores.open(transfer.store)
    came: Bundle
    if arrival.published:
        came = store.bundle(published_path(store, transfer.package, transfer.payload_id))
    else:
        came = LocalBundle(arrival.bag)
    for _ in Package(came, opened=opened).sealed_record.datasets.loose:
        pass  # each is validated when it is asked for, and kept by nobody
    added = land(store, arrival, opened, _path(desk, transfer, opened), listener=listener)
    listener(Progress("land", 1, 1, added.path, unit="packages"))
    with desk.turn(transfer.id):
        transfer = desk.book.get(transfer.id)
        if transfer.state in OVER and added.created:
            _take_out(desk, transfer, added.path)
        require_not_over(transfer)
        with PackageCopies(context, opened.id).locked():
            more = [
                *_entered(desk, transfer, opened, added),
                *brought_with(desk, transfer, desk.book.about(transfer.id)),
            ]
            return say_received(
                desk, transfer, transfer.counts, more=more, stores=[transfer.store], started=_started(desk, transfer)
            )


def _started(desk: Desk, transfer: Transfer) -> datetime:
    """When the first byte came, of this run or an earlier one."""
    for event in desk.book.events(transfer.id):
        if event.state is State.TRANSFERRING:
            return datetime.fromisoformat(event.at)
    return desk.now


def _entered(desk: Desk, transfer: Transfer, opened: TagFiles, added: Added) -> list[Draft]:
    """Enter the package in the catalogue; the statement of its copy, where the log has none of it there."""
    context = desk.context
    name, package_id = transfer.store, str(opened.id)
    if not context.catalogue.has(package_id):
        package = Package(context.stores.open(name).bundle(added.path), opened=opened)
        taken = {"owner": transfer.recipient, "source": f"received from the node {transfer.peer}"}
        context.catalogue.add_package(package_entry(package, added.path, taken, owed=len(package) > _AT_ONCE))
        context.follower.derive(package_id)
    known = context.catalogue.replicas(package_id)
    if any((one.store, one.path, one.state) == (name, added.path, PRESENT) for one in known):
        return []
    draft = statements.replicate(
        package_id,
        payload_id=opened.payload_id,
        source=f"node {desk.peer_name(transfer.peer)}",
        store=context.settings.stated_store(name),
        path=added.path,
        proof=added.proof,
        by=transfer.recipient,
    )
    return [draft]


def _path(desk: Desk, transfer: Transfer, opened: TagFiles) -> str:
    """Its name as in the sender's store, where that is a name as packages have."""
    told = str(desk.book.about(transfer.id).get("path", ""))
    return place_for(told, opened.payload_id, desk.now)
