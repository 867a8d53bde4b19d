"""From the place where a package arrived to its place in a store: by one rename, or copied where there is none."""

from __future__ import annotations

from diadem.errors import IntegrityError
from diadem.model.ports import Listener
from diadem.package.opening import OpenedPackage
from diadem.store import package_copy
from diadem.store.bags import LocalBundle
from diadem.store.base import Added, Store
from diadem.store.folder import FolderStore
from diadem.store.store import Copies
from diadem.transfer.arrival import Arrival


def land(store: Store, arrival: Arrival, opened: OpenedPackage, path: str, *, listener: Listener) -> Added:
    """Publish a finished arrival in a store.

    Parameters
    ----------
    store : Store
        Where it goes; a folder has the arrival on its own file system.
    arrival : Arrival
        Finished: every leaf and every whole file proven, sealed, on the disk.
    opened : OpenedPackage
        What its tag files say.
    path : str
        ``<yyyy>/<date>-<slug>-<12 hex>``, as in the sender's store.

    Raises
    ------
    IntegrityError, StoreError, Unreachable
        The disk gives back something else; or the store cannot be written. Nothing was published.
    """
    package_copy.refuse_path(path)
    if not isinstance(store, FolderStore):
        return store.add(LocalBundle(arrival.bag), opened, path, listener=listener)
    if arrival.published:
        return Added(published_path(store, opened.id, opened.payload_id), True, "written")
    cargo = package_copy.load(LocalBundle(arrival.bag), opened)
    copies = Copies(store, opened, path)
    path, created = store.publish(arrival, path, opened.id, opened.payload_id, cargo.tree, copies.is_sound)
    return Added(path, created, "written" if created else "read-back", copies.damaged)


def published_path(store: Store, package: str, payload: str) -> str:
    """Where a package lies that an earlier run gave its name, and ended before it could say so.

    Raises
    ------
    IntegrityError
        It was removed since.
    """
    if isinstance(store, FolderStore):
        for found, path in store.find(payload):
            if found == package:
                return path
    raise IntegrityError(
        "the package arrived, but was removed before it could be recorded",
        where=store.url,
        next="Fetch it again: diadem transfer resume",
    )
