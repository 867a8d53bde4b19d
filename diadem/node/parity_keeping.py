"""Parity beside a package in a folder store: made from proven bytes, found again for a repair."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from diadem.errors import DiademError, Refused
from diadem.model.ids import PackageId
from diadem.model.ports import Listener, silent
from diadem.model.replicas import PRESENT
from diadem.node.context import Context
from diadem.package.opening import read_manifest
from diadem.package.parity import Parity, build
from diadem.store.base import Store
from diadem.store.bundle import LocalFile
from diadem.store.parity_file import open_parity, write_parity


def make_parity(context: Context, package_id: str, store_name: str, *, listener: Listener = silent) -> int:
    """Write the parity of a package beside its copy in a folder store; every leaf is proven on the way.

    Returns
    -------
    int
        Bytes of the parity file.

    Raises
    ------
    DigestMismatch
        The copy is damaged; nothing was written.
    Refused
        The store is no folder, or has no sound copy.
    """
    store = context.stores.open(store_name)
    if not store.is_folder:
        raise Refused("parity is kept in folders only", where=store.url, next="Keep another copy instead.")
    replica = next(
        (one for one in context.catalogue.replicas(package_id) if one.store == store_name and one.state == PRESENT),
        None,
    )
    if replica is None:
        raise Refused("there is no sound copy to make parity of", where=store.url, next="Run: diadem repair")
    bundle = store.bundle(replica.path)
    opened = read_manifest(bundle, expected_id=package_id)
    size = write_parity(Path(store.url), PackageId(package_id), build(bundle, opened, listener=listener))
    context.catalogue.set_replica(package_id, store_name, replica.path, state=PRESENT, parity=True)
    return size


@dataclass(frozen=True, slots=True)
class OpenedParity:
    """The parity of a package, if there is one, and the file that it is read from."""

    parity: Parity | None
    file: LocalFile | None

    def close(self) -> None:
        """Release the file."""
        if self.file is not None:
            self.file.close()


def opened_parity(store: Store, package_id: str) -> OpenedParity:
    """The parity beside a copy; a damaged parity file is none."""
    if not store.is_folder:
        return OpenedParity(None, None)
    try:
        file = open_parity(Path(store.url), PackageId(package_id))
    except (DiademError, OSError):
        return OpenedParity(None, None)
    if file is None:
        return OpenedParity(None, None)
    try:
        return OpenedParity(Parity(file), file)
    except DiademError:
        file.close()
        return OpenedParity(None, None)
