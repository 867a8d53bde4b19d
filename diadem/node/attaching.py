"""Reading a store from another PC: search, get, load and verify from the snapshot of the catalogue; no writing."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diadem.catalogue import Catalogue
from diadem.custody.remedies import recover_command
from diadem.errors import DocumentError, NotFound
from diadem.node.config import NodeSettings, StoreSettings
from diadem.node.context import Attached, Gather, utc_now
from diadem.node.keys import KeyCabinet
from diadem.node.mirroring import SNAPSHOT, SNAPSHOT_DIGEST, home
from diadem.node.stores import StoreSet, read_store_file
from diadem.store import open_store
from diadem.store.addresses import local_path
from diadem.store.contract import Store
from diadem.store.system import move, user_cache

_HEX = re.compile(r"[0-9a-f]{64}\Z")


def attach(
    url: str,
    *,
    user: str | None,
    gather: Gather,
    storage_options: Mapping[str, Mapping[str, Any]] | None = None,
) -> Attached:
    """Open a store of a node, for reading.

    Parameters
    ----------
    url : str
        The store's folder or address, as this PC sees it.
    user : str, optional
        Ignored: nothing is signed here.
    gather : callable
        Finds readers, workers, scan.
    storage_options : mapping of str to mapping, optional
        For fsspec; under the store's name, or "" where that is not known.

    Raises
    ------
    NotFound
        It is neither a node nor a store of one, or the store has no snapshot yet.
    Unreachable
        It does not answer.
    """
    options = dict(storage_options or {})
    given = next(iter(options.values()), None)
    store = open_store(url, given)
    try:
        store.check()
        about = read_store_file(store)
    except NotFound:
        about = None
    if about is None:
        raise _nothing_at(url)
    try:
        node, name = str(about["node"]), str(about["name"])
    except KeyError as error:
        raise DocumentError(
            "the store's own file is damaged", where=url, next="On the machine of the node: diadem doctor"
        ) from error
    if not _HEX.match(node):  # a store is anyone's: the id becomes the name of a folder here
        raise DocumentError("the store names no node", where=url, next="On the machine of the node: diadem doctor")
    settings = NodeSettings(
        str(about.get("node_name", "")),
        node,
        str(about.get("machine", "")),
        "",
        stores=(StoreSettings(name, url, str(about.get("kind", "disk")), str(about["store"])),),
    )
    snapshot = _snapshot(store, settings, url)
    stores = StoreSet(settings, options)
    stores.put(name, store)
    return Attached(
        folder=snapshot.parent,
        settings=settings,
        keys=KeyCabinet(snapshot.parent / "keys", node),
        catalogue=Catalogue.open(snapshot, read_only=True),
        stores=stores,
        user=user or "",
        gather=gather,
        clock=utc_now,
    )


def _nothing_at(url: str) -> NotFound:
    folder = local_path(url)
    if folder is not None and not folder.exists():
        return NotFound(
            "the node that was here is gone, or its disk is not there",
            where=url,
            next=f"If it is gone: {recover_command()}   (from any of its stores, with its recovery file)",
        )
    return NotFound(
        "there is neither a node nor a store here",
        where=url,
        next=f"Make a node: diadem init   (or restore a lost one: {recover_command()})",
    )


def _snapshot(store: Store, settings: NodeSettings, url: str) -> Path:
    """The store's snapshot of the catalogue, in this account's cache: on a share a database is read slowly."""
    folder = user_cache("stores") / settings.short_id
    folder.mkdir(parents=True, exist_ok=True)
    place = home(settings.short_id)
    digest = _digest(store.get(f"{place}/{SNAPSHOT_DIGEST}"))
    if digest and (kept := folder / f"catalogue-{digest}.sqlite").exists():
        return kept
    draft = folder / f".{uuid.uuid4().hex}.sqlite"
    try:
        if not store.get_file(f"{place}/{SNAPSHOT}", draft):
            raise NotFound(
                "the store has no catalogue to read yet",
                where=url,
                next=f"It is written when work on the node ends, on '{settings.machine}'.",
            )
        with draft.open("rb") as file:
            path = folder / f"catalogue-{hashlib.file_digest(file, 'sha256').hexdigest()}.sqlite"
        for old in folder.glob("catalogue-*.sqlite"):
            if old != path:
                _forget(old)
        move(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def _digest(data: bytes | None) -> str:
    """The SHA-256 that the store says its snapshot has; "" where it says nothing of use."""
    text = (data or b"").decode("ascii", "replace").strip()
    return text if _HEX.match(text) else ""


def _forget(path: Path) -> None:
    try:
        path.unlink()
    except OSError:  # another program has it open
        return
