"""An object store's own files below `.diadem/`."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from diadem.errors import NotFound
from diadem.store.object_client import ObjectClient
from diadem.store.object_mending import put_blocks
from diadem.store.own_keys import RESERVED, checked_folder, is_own, refuse_key, refuse_size, require_room
from diadem.store.system import long_path
from diadem.store.translate import Occupied
from diadem.store.whole import write_whole

_FOLDER = ".diadem"
_BLOCK = 8 << 20


def get(client: ObjectClient, key: str) -> bytes | None:
    """The content of an own file, or None."""
    refuse_key(key)
    stat = client.stat(f"{_FOLDER}/{key}")
    if stat is None:
        return None
    refuse_size(stat.size, f"{_FOLDER}/{key}")
    try:
        return client.get(stat.key, 0, stat.size, stat.version)
    except NotFound:
        return None


def put(client: ObjectClient, key: str, data: bytes, *, conditional: bool, create: bool) -> bool:
    """Write an own file; with `create`, only if it is not there. False: it is there with other content.

    Parameters
    ----------
    conditional : bool
        Whether the store refuses to create what is there. If not, two writers within a moment may both succeed; the
        last one's content stays, and the other is told.
    """
    refuse_key(key)
    name, digest = f"{_FOLDER}/{key}", hashlib.sha256(data).digest()
    if create and not conditional and (found := get(client, key)) is not None:
        return found == data
    try:
        client.put(name, data, sha256=digest, create=conditional)
    except Occupied:  # perhaps by an earlier try of our own, whose answer was lost
        return get(client, key) == data
    return not create or conditional or get(client, key) == data


def put_file(client: ObjectClient, key: str, source: Path) -> None:
    """Write an own file from one of this machine."""
    refuse_key(key)
    with open(long_path(source), "rb") as content:
        size = os.fstat(content.fileno()).st_size
        put_blocks(client, f"{_FOLDER}/{key}", iter(lambda: content.read(_BLOCK), b""), size)


def get_file(client: ObjectClient, key: str, target: Path) -> bool:
    """Write an own file to this machine; whether it was there."""
    refuse_key(key)
    stat = client.stat(f"{_FOLDER}/{key}")
    if stat is None:
        return False
    require_room(target, stat.size)
    ranges = ((start, min(start + _BLOCK, stat.size)) for start in range(0, stat.size, _BLOCK))
    write_whole(target, (client.get(stat.key, *each, stat.version) for each in ranges))
    return True


def keys(client: ObjectClient, prefix: str) -> Iterator[str]:
    """Keys of own files below a folder, sorted."""
    folder = checked_folder(prefix)
    folders = [folder] if folder else _own_folders(client)
    found = [stat.key.removeprefix(f"{_FOLDER}/") for each in folders for stat in client.list(f"{_FOLDER}/{each}")]
    found += [name for name in client.files(_FOLDER) if not prefix]
    yield from sorted(key for key in found if is_own(key))


def _own_folders(client: ObjectClient) -> list[str]:
    return [name for name in client.folders(_FOLDER) if name not in RESERVED]


def delete(client: ObjectClient, key: str) -> None:
    """Remove an own file, and the folders that are empty then where there are folders."""
    refuse_key(key)
    client.delete(f"{_FOLDER}/{key}")
    client.prune(f"{_FOLDER}/{key}".rpartition("/")[0])
