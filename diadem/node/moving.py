"""What a store holds at its new place: copies that are not there are missing; what was copied there is to be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from diadem.model.replicas import DROPPED, MISSING, PackageState, ReplicaState
from diadem.model.statements import Draft
from diadem.node.context import Context
from diadem.node.follow.replay import COPY_MISSING
from diadem.node.keep.copies import subject

#: Packages that one statement names, or statements in one batch.
_BATCH: Final = 500


def note_move(context: Context, name: str, came_from: str, *, copied: bool) -> None:
    """State what is known of the copies in a store that is elsewhere now.

    Parameters
    ----------
    context : Context
        The node; its settings name the new place.
    name : str
        The store.
    came_from : str
        Where it was.
    copied : bool
        Whether it lies on another disk or share now: then somebody copied it, and no byte of it was read there yet.
    """
    there = {(stored.id, stored.path) for stored in context.stores.open(name).packages()}
    held = [
        (package, replica)
        for package in context.catalogue.package_states()
        for replica in package.replicas
        if replica.store == name and not replica.adopted and replica.state not in (DROPPED, MISSING)
    ]
    gone = [package for package, replica in held if (package.id, replica.path) not in there]
    for first in range(0, len(gone), _BATCH):
        context.say([_missing(context, name, gone[first : first + _BATCH])])
    if copied:
        moved = [one for one in held if (one[0].id, one[1].path) in there and one[1].proven]
        for first in range(0, len(moved), _BATCH):
            context.say([_unproven(context, name, came_from, *one) for one in moved[first : first + _BATCH]])


def _missing(context: Context, name: str, packages: Sequence[PackageState]) -> Draft:
    message = "it is not at the place where the store is now"
    finding = {"code": COPY_MISSING, "path": None, "leaf": None, "message": message}
    said = {
        "store": name,
        "store_id": context.settings.store(name).id,
        "level": "quick",
        "proven": [],
        "checked": {},
        "findings": [{"package": package.id, **finding} for package in packages],
    }
    return Draft("fixity", tuple(subject(package.id) for package in packages), said)


def _unproven(context: Context, name: str, came_from: str, package: PackageState, replica: ReplicaState) -> Draft:
    said = {
        "payload_id": package.payload_id,
        "store": name,
        "store_id": context.settings.store(name).id,
        "from": came_from,
        "proof": "none",
        "path": replica.path,
        "by": context.address,
    }
    return Draft("replicate", (subject(package.id),), said)
