"""Making a lost node again from one of its stores and the recovery file.

Settings, policy and sealed keys come from the store's mirror, the log batch by batch from its mirror, the catalogue
from the packages. The log goes on as a new epoch whose first entry, signed by the root key, says so: an honest recovery
never looks like forgery, and what the mirror does not hold is not invented.
"""

from __future__ import annotations

import tomllib
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from diadem.errors import DiademError, DocumentError, IntegrityError, NotFound, Refused
from diadem.node.catalogue import Catalogue
from diadem.node.catalogue_place import CATALOGUE_FILE
from diadem.node.config import FILE, NodeSettings, StoreSettings, machine_name, settings_of, write_settings
from diadem.node.context import POLICY_FILE, Clock, utc_now
from diadem.node.creating import require_free
from diadem.node.custody.keyring import KeyRing
from diadem.node.custody.ledger import Ledger
from diadem.node.custody.mirror import read_head
from diadem.node.custody.recovering import recover as recover_log
from diadem.node.custody.statements import LOG, ONLINE
from diadem.node.keys import KeyCabinet
from diadem.node.mirroring import QUERIES_FILE, SEALED_KEYS, home
from diadem.node.place import require_local
from diadem.node.recovery import RecoverySecret, open_keys
from diadem.node.rules.default import DEFAULT_POLICY
from diadem.node.stores import read_store_file
from diadem.store.base import Store, open_store
from diadem.store.local_errors import or_else, translated
from diadem.store.stage import remove_tree
from diadem.store.whole import write_whole


@dataclass(frozen=True, slots=True)
class RecoveredNode:
    """What was recovered.

    Attributes
    ----------
    epoch : int
        The log's new epoch.
    entries : int
        Statements of the epochs before, as far as the store had them.
    packages, stores : int
        Packages in the catalogue that was built anew, and stores that answered.
    notes : sequence of str
        What deserves a look.
    store : str
        Name of the store that it was recovered from.
    """

    epoch: int
    entries: int
    packages: int = 0
    stores: int = 0
    notes: tuple[str, ...] = ()
    store: str = ""

    def options(self, given: Mapping[str, Any] | None) -> dict[str, Mapping[str, Any]]:
        """Options for fsspec under the name of the store that was recovered from."""
        return {self.store: given} if given and self.store else {}

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "epoch": self.epoch,
            "entries": self.entries,
            "packages": self.packages,
            "stores": self.stores,
            "notes": list(self.notes),
        }


def recover_node(
    folder: Path,
    store_url: str,
    secret: RecoverySecret,
    *,
    reason: str,
    storage_options: Mapping[str, Any] | None = None,
    clock: Clock = utc_now,
) -> RecoveredNode:
    """Make the node's directory again; the caller opens it and builds the catalogue.

    Raises
    ------
    NotFound
        The store holds nothing of this node.
    Refused
        The folder has content, or the recovery file is another node's.
    IntegrityError
        What the store holds cannot be trusted.
    """
    require_free(folder)
    existing = folder
    while not existing.exists():
        existing = existing.parent
    require_local(existing)
    store = open_store(store_url, storage_options)
    store.check()
    node = secret.root.public.key_id
    settings = replace(_settings(store, node, store_url), recovery_recipient=secret.recipient)
    _require_newest(store, settings)
    files = _keys(store, node, secret)
    draft = folder.parent / f".{folder.name}-{uuid.uuid4().hex[:8]}.part"
    with or_else(lambda: remove_tree(draft)), translated(str(folder), "no node was made"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft.mkdir(mode=0o700)
        cabinet = KeyCabinet(draft / "keys", node)
        cabinet.make()
        for name, data in files.items():
            cabinet.put_back(name, data)
        recovered = recover_log(
            draft / "log",
            store,
            node=node,
            root=secret.root,
            log_key=cabinet.open("log"),
            reason=reason,
            clock=clock,
        )
        with recovered.ledger as ledger:
            _require_own_keys(ledger, node, cabinet, store)
        Catalogue.open(draft / CATALOGUE_FILE, create=True).close()
        policy = store.get(f"{home(node[:16])}/{POLICY_FILE}")
        write_whole(draft / POLICY_FILE, policy or DEFAULT_POLICY.encode())
        if (queries := store.get(f"{home(node[:16])}/{QUERIES_FILE}")) is not None:
            write_whole(draft / QUERIES_FILE, queries)
        write_settings(draft, settings)
        if folder.exists():
            folder.rmdir()
        draft.rename(folder)
    return RecoveredNode(recovered.epoch, recovered.entries, notes=tuple(recovered.findings), store=_name(store))


def _settings(store: Store, node: str, url: str) -> NodeSettings:
    """`node.toml` as the store has it, written by this machine from now on."""
    data = store.get(f"{home(node[:16])}/{FILE}")
    if data is None:
        raise NotFound(
            "this store holds nothing of the node that the recovery file belongs to",
            where=url,
            next="Name another store of the list in the recovery file.",
        )
    try:
        settings = settings_of(tomllib.loads(data.decode()))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise DocumentError("the settings in the store are damaged", where=url, next="Name another store.") from error
    if settings.id != node:
        raise Refused("the settings in the store are another node's", where=url, next="Name another store.")
    return replace(settings, machine=machine_name(), catalogue="", stores=_moved(store, settings, url))


def _require_newest(store: Store, settings: NodeSettings) -> None:
    """Refuse where another store of the node answers and knows more of the log: what it alone knows would be left out.

    Raises
    ------
    Refused
        Names it.
    """
    here, found = read_head(store, settings.id), read_store_file(store)
    reached = (here.epoch, here.size) if here else (0, 0)
    for other in settings.stores:
        if found is not None and other.id == found["store"]:
            continue
        with suppress(DiademError, OSError):
            place = open_store(other.url)
            place.check()
            about = read_store_file(place)
            head = read_head(place, settings.id) if about and about["store"] == other.id else None
            if head is not None and (head.epoch, head.size) > reached:
                break
    else:
        return
    raise Refused(
        f"the store '{other.name}' knows more of this node than the one that was named: "
        f"{head.size} statements of epoch {head.epoch}, not {reached[1]} of epoch {reached[0]}",
        where=store.url,
        next=f"Recover from it: --recover {other.url}   (if it is damaged, disconnect it and try again)",
    )


def _moved(store: Store, settings: NodeSettings, url: str) -> tuple[StoreSettings, ...]:
    """The stores, the one at hand at the place where it is now."""
    found = read_store_file(store)
    here = found["store"] if found else None
    return tuple(
        replace(one, url=store.url if store.is_folder else url) if one.id == here else one for one in settings.stores
    )


def _name(store: Store) -> str:
    """What the node calls the store."""
    found = read_store_file(store)
    return str(found.get("name", "")) if found else ""


def _require_own_keys(ledger: Ledger, node: str, cabinet: KeyCabinet, store: Store) -> None:
    """Refuse keys that are not those of the node's cards: whoever can write in the store can seal his own for it."""
    ring = KeyRing(node)
    ring.learn(ledger.keys())
    for name, role in (("online", ONLINE), ("log", LOG)):
        card = ring.owner_of(cabinet.open(name).public.key_id)
        if card is None or card.role != role:
            raise IntegrityError(
                f"the {name} key in the store is not the one that the node's root key has signed",
                where=store.url,
                next="Do not trust this store: somebody may have exchanged the keys. Name another store of this node.",
            )
        if card != ring.newest(role):
            raise Refused(
                f"the {name} key in the store was replaced by a later one, which this store does not have",
                where=store.url,
                next="Name another store of this node.",
            )


def _keys(store: Store, node: str, secret: RecoverySecret) -> dict[str, bytes]:
    sealed = store.get(f"{home(node[:16])}/{SEALED_KEYS}")
    if sealed is None:
        raise NotFound(
            "the store does not hold the node's sealed keys", where=store.url, next="Name another store of this node."
        )
    try:
        return open_keys(sealed, secret.identity)
    except DiademError:
        raise
    except ValueError as error:
        raise DocumentError("the sealed keys are damaged", where=store.url, next="Name another store.") from error
