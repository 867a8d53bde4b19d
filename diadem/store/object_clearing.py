"""Removing everything below a path of an object store, with the folders that are empty then."""

from __future__ import annotations

from functools import partial

from diadem.store.object_client import ObjectClient
from diadem.store.object_lanes import Lanes
from diadem.store.object_payload import BUDGET, THREADS


def clear(client: ObjectClient, path: str) -> int:
    """Remove all objects below a path, several at once. Returns how many."""
    keys = [stat.key for stat in client.list(path)]
    with Lanes(threads=THREADS, budget=BUDGET) as lanes:
        for key in keys:
            lanes.submit(0, partial(client.delete, key))
        lanes.finish()
    folders = {path, *(key.rpartition("/")[0] for key in keys)}
    for folder in sorted(folders, key=lambda folder: -folder.count("/")):
        client.prune(folder)
    return len(keys)
