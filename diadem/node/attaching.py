"""Reading a store from another PC: search, get, load and verify from the snapshot of the catalogue; no writing."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diadem.errors import DocumentError, NotFound
from diadem.node.catalogue import Catalogue
from diadem.node.config import NodeSettings, StoreSettings
from diadem.node.context import Attached, NodeTools, utc_now
from diadem.node.keys import KeyCabinet
from diadem.node.mirroring import SNAPSHOT, home
from diadem.node.stores import StoreSet, read_store_file
from diadem.store.base import Store, open_store
from diadem.store.whole import write_whole


def attach(
    url: str,
    *,
    user: str | None,
    tools: NodeTools,
    storage_options: Mapping[str, Mapping[str, Any]] | None = None,
) -> Attached:
    """Open a store of a node, for reading.

    Parameters
    ----------
    url : str
        The store's folder or address, as this PC sees it.
    user : str, optional
        Ignored: nothing is signed here.
    tools : NodeTools
        Readers, workers, scan.
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
        raise NotFound("there is neither a node nor a store of one", where=url, next="Make a node: diadem init")
    try:
        node, name = str(about["node"]), str(about["name"])
    except KeyError as error:
        raise DocumentError(
            "the store's own file is damaged", where=url, next="Run diadem doctor on the node."
        ) from error
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
        tools=tools,
        clock=utc_now,
    )


def _snapshot(store: Store, settings: NodeSettings, url: str) -> Path:
    """The store's snapshot of the catalogue, in this account's cache: on a share a database is read slowly."""
    data = store.get(f"{home(settings.short_id)}/{SNAPSHOT}")
    if data is None:
        raise NotFound(
            "the store has no catalogue to read yet",
            where=url,
            next=f"It is written when work on the node ends, on '{settings.machine}'.",
        )
    folder = _cache() / settings.short_id
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"catalogue-{hashlib.sha256(data).hexdigest()[:16]}.sqlite"
    if not path.exists():
        for old in folder.glob("catalogue-*.sqlite"):
            _forget(old)
        write_whole(path, data)
    return path


def _cache() -> Path:
    from platformdirs import user_cache_path

    return Path(os.environ.get("DIADEM_CACHE") or user_cache_path("diadem")) / "stores"


def _forget(path: Path) -> None:
    try:
        path.unlink()
    except OSError:  # another program has it open
        return
