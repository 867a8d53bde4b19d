"""Hints in a store: which package holds a payload. Never trusted, always checked on use; `reindex` makes them anew."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterator

from diadem.errors import NotFound
from diadem.model.ids import PackageId
from diadem.model.manifest import TAGMANIFEST
from diadem.store.object_client import ObjectClient
from diadem.store.translate import Occupied

_BY_PAYLOAD = ".diadem/by-payload"
_BY_TREE = ".diadem/by-tree"
#: A hint holds one path.
_HINT_LIMIT = 4096
#: Bytes; a tag manifest has one line for each of less than a dozen tag files.
_TAGMANIFEST_LIMIT = 1 << 20
#: The digits of the payload id at the end of a package's name, perhaps with a number after them.
_DIGITS = re.compile(r"([0-9a-f]{12})(?:-[0-9]{1,3})?\Z")


def find(client: ObjectClient, payload: str) -> Iterator[tuple[PackageId, str]]:
    """Packages that hold a payload, with their path; only those that are there with the id they are said to have."""
    for key, path in of_payload(client, payload):
        name = key.rpartition("/")[2]
        if path and package_at(client, path) == name:
            yield PackageId(name), path


def of_payload(client: ObjectClient, payload: str) -> Iterator[tuple[str, str]]:
    """Hints for a payload, true or not: key, and the path that they name."""
    for stat in sorted(client.list(f"{_BY_PAYLOAD}/{payload}"), key=lambda stat: stat.key):
        if stat.size <= _HINT_LIMIT:
            yield stat.key, client.get(stat.key, 0, stat.size).decode("utf-8", "replace").strip()


def payloads_like(client: ObjectClient, path: str) -> Iterator[str]:
    """Payloads with hints whose id begins as the name of a package says."""
    match = _DIGITS.search(path)
    for payload in client.folders(_BY_PAYLOAD):
        if match and payload.startswith(match.group(1)):
            yield payload


def is_named(client: ObjectClient, path: str) -> bool:
    """Whether a hint names this path: there was a package once."""
    return any(named == path for like in payloads_like(client, path) for _, named in of_payload(client, like))


def package_at(client: ObjectClient, path: str) -> str | None:
    """SHA-256 of the tag manifest at a path, 64 hex digits; None where there is none, and so no package."""
    data = tagmanifest_at(client, path)
    return None if data is None else hashlib.sha256(data).hexdigest()


def tagmanifest_at(client: ObjectClient, path: str) -> bytes | None:
    """The tag manifest at a path."""
    key = f"{path}/{TAGMANIFEST}"
    stat = client.stat(key)
    if stat is None or stat.size > _TAGMANIFEST_LIMIT:
        return None
    try:
        return client.get(key, 0, stat.size)
    except NotFound:
        return None


def write(client: ObjectClient, payload: str, package: PackageId, path: str, tree: str = "") -> None:
    """Leave the hints for a package that is complete; one that is there already stays."""
    _create(client, f"{_BY_PAYLOAD}/{payload}/{package.hex}", path.encode())
    if tree:
        _create(client, f"{_BY_TREE}/{tree}/{payload}", b"")


def renew(client: ObjectClient, payload: str, package: PackageId, path: str, tree: str) -> None:
    """Leave the same hints where they are not there, or wrong: mostly they are right, and reading is cheap."""
    for key, content in (
        (f"{_BY_PAYLOAD}/{payload}/{package.hex}", path.encode()),
        (f"{_BY_TREE}/{tree}/{payload}", b""),
    ):
        if not _is_right(client, key, content):
            client.put(key, content, sha256=hashlib.sha256(content).digest())


def knows_tree(client: ObjectClient, tree: str) -> bool:
    """Whether some package has these paths and sizes (see `diadem.store.local_store.tree_digest`)."""
    return any(True for _ in client.list(f"{_BY_TREE}/{tree}"))


def drop_tree(client: ObjectClient, tree: str, payload: str) -> None:
    """Remove the hint that some package has these paths and sizes."""
    client.delete(f"{_BY_TREE}/{tree}/{payload}")


def _create(client: ObjectClient, key: str, content: bytes) -> None:
    with contextlib.suppress(Occupied):
        client.put(key, content, sha256=hashlib.sha256(content).digest(), create=True)
        return
    if not _is_right(client, key, content):  # the hint of a package that was moved or removed
        client.put(key, content, sha256=hashlib.sha256(content).digest())


def _is_right(client: ObjectClient, key: str, content: bytes) -> bool:
    stat = client.stat(key)
    return stat is not None and stat.size == len(content) and client.get(key, 0, stat.size) == content
