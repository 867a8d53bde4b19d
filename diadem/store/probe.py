"""Finding out what a store can do, by trying: claims of server manuals are not proof.

The answers are not recorded in the store: a store that is copied to another server would carry a false promise with
it. A probe is ten small requests, once for each `ObjectStore` that writes something new.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable

from diadem.errors import DiademError, StoreError
from diadem.store.client import ObjectClient
from diadem.store.contract import Capabilities

#: Objects of probes lie here; each is removed at once, and swept later if its writer died.
FOLDER = ".diadem/probe"
_SENT = b"diadem probe: these bytes"
_OTHER = b"diadem probe: other bytes"


def probe(client: ObjectClient) -> Capabilities:
    """Try each capability on an object of a random name."""
    key = f"{FOLDER}/{uuid.uuid4().hex}"
    once = client.once()
    client.put(key, _SENT, sha256=_digest(_SENT))
    try:
        creates = _is_refused(lambda: once.put(key, _OTHER, create=True))
        replaces = _replaces(once, key)
        checks = _is_refused(lambda: once.put(key, _SENT, sha256=_digest(_OTHER)))
    finally:
        client.delete(key)
    return Capabilities(creates, replaces, checks, once.checks_parts(key))


def _replaces(client: ObjectClient, key: str) -> bool:
    """Whether a wrong version is refused and the right one accepted."""
    stat = client.stat(key)
    if stat is None or not stat.version:
        return False
    wrong = '"' + "0" * 32 + '"'
    return _is_refused(lambda: client.put(key, _OTHER, replaces=wrong)) and not _is_refused(
        lambda: client.put(key, _OTHER, replaces=stat.version)
    )


def _is_refused(write: Callable[[], object]) -> bool:
    """Whether the server answered with a refusal; a server that does not answer is an error."""
    try:
        write()
    except StoreError:
        return True
    except DiademError:
        raise
    return False


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
