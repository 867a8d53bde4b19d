"""A new online key for a node, vouched for by the root key; and what is left where that was interrupted."""

from __future__ import annotations

from pathlib import Path

from diadem.custody.keyring import KeyRing
from diadem.custody.log import Ledger
from diadem.custody.statements import LOG, ONLINE, ROOT, node_card
from diadem.node.keys import KeyCabinet
from diadem.node.place import node_lock
from diadem.store.system import FileLock
from diadem.trust.keys import PrivateKey

#: The new key, from before the log knows it until it has taken the old one's place.
_NEXT = "online-next"


def rotate(keys: KeyCabinet, ledger: Ledger, root: PrivateKey, name: str) -> tuple[int, str]:
    """Make a new online key, let the root key sign a card of the next version, and put the key in its place.

    Nobody else may write in the log meanwhile.

    Returns
    -------
    int, str
        Version of the new card, and the public key that was replaced, ``ed25519:…``.
    """
    ring = KeyRing(ledger.node)
    ring.learn(ledger.keys())
    cards = [card for role in (ROOT, ONLINE, LOG) if (card := ring.newest(role)) is not None]
    version = max(card.version for card in cards) + 1
    before, new = keys.open(ONLINE).public.to_text(), PrivateKey.generate()
    keys.keep(_NEXT, new)
    drafts = node_card(name=name, root=root.public, online=new.public, log=ledger.log_key(), version=version)
    ledger.append(drafts, [root])
    keys.replace(ONLINE, _NEXT)
    return version, before


def rotation_lock(folder: Path) -> FileLock:
    """The lock of a node's folder that is held while its key changes."""
    return node_lock(folder, "rotation")


def finish_rotation(folder: Path, keys: KeyCabinet, ledger: Ledger) -> None:
    """End a rotation that was interrupted after the log had learned the new key; of another, nobody uses the key."""
    if not keys.has(_NEXT):
        return
    lock = rotation_lock(folder)
    if not lock.acquire():  # it is under way
        return
    try:
        if keys.has(_NEXT) and ledger.of_subject(keys.open(_NEXT).public.key_id):
            keys.replace(ONLINE, _NEXT)
    finally:
        lock.release()
