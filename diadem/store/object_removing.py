"""Removing a package from an object store: hints, then the tag manifest, then the rest."""

from __future__ import annotations

import contextlib

from diadem.errors import DiademError, NotFound, Refused
from diadem.model.manifest import TAGMANIFEST
from diadem.package.examine import TagFiles, open_tag_files
from diadem.store import object_hints
from diadem.store.object_clearing import clear
from diadem.store.object_client import ObjectClient
from diadem.store.object_store import ObjectStore
from diadem.store.taking import refuse_path, tree_of


def remove(store: ObjectStore, path: str) -> None:
    """Remove a package.

    Hints go first: a folder that a hint names is never swept, as it was a package once and may have lost its tag
    manifest. Errors are those of `Store.remove`.
    """
    refuse_path(path)
    client = store.client
    if client.stat(f"{path}/{TAGMANIFEST}") is None:
        if next(iter(client.list(path)), None) is None:
            raise NotFound("there is no package", where=f"{store.url}/{path}", next="Nothing to do.")
        advice = "Remove it by hand, or sweep."
        raise Refused("it has no tag manifest, so it is not a package", where=f"{store.url}/{path}", next=advice)
    _drop_hints(client, _opened(store, path), path)
    client.delete(f"{path}/{TAGMANIFEST}")
    clear(client, path)


def _opened(store: ObjectStore, path: str) -> TagFiles | None:
    with contextlib.suppress(DiademError, OSError):
        return open_tag_files(store.bundle(path))
    return None


def _drop_hints(client: ObjectClient, opened: TagFiles | None, path: str) -> None:
    """Hints to this place. Where the package is too damaged to say its payload, all that fit its name are read."""
    payloads = {opened.payload_id} if opened else set(object_hints.payloads_like(client, path))
    for payload in payloads:
        left = 0
        for key, content in object_hints.of_payload(client, payload):
            if content == path:
                client.delete(key)
                client.prune(key.rpartition("/")[0])
            else:
                left += 1
        if opened is not None and not left:
            object_hints.drop_tree(client, tree_of(opened), payload)
