"""Making a lost node again from one of its stores and the recovery file.

Settings, policy and sealed keys come from the store's mirror, the log batch by batch from its mirror, the catalogue
from the packages. The log goes on as a new epoch whose first entry, signed by the root key, says so: an honest recovery
never looks like forgery, and what the mirror does not hold is not invented.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from diadem.catalogue import Catalogue
from diadem.custody.keyring import KeyRing
from diadem.custody.log import Ledger
from diadem.custody.log_mirrors import read_head
from diadem.custody.log_recovery import Recovered
from diadem.custody.log_recovery import recover as recover_log
from diadem.custody.statements import LOG, ONLINE
from diadem.errors import DiademError, DocumentError, IntegrityError, NotFound, Refused
from diadem.model.display import Display
from diadem.node.config import (
    FILE,
    NodeSettings,
    holds_node,
    machine_name,
    parse_settings,
    read_settings,
    write_settings,
)
from diadem.node.context import POLICY_FILE, utc_now
from diadem.node.key_verbs import alone
from diadem.node.keys import KeyCabinet
from diadem.node.make import draft_of, give_name, making, nearest_folder, require_free
from diadem.node.mirrors import SEALED_KEYS, WRITTEN, bring_chains
from diadem.node.open import CATALOGUE_FILE, require_local
from diadem.node.recovery_file import RecoverySecret, open_keys
from diadem.node.stores import read_store_file
from diadem.policy.policy_text import default_policy
from diadem.serialization.toml_text import is_blank, person_text
from diadem.store import open_store
from diadem.store.contract import Store
from diadem.store.own_files import home_of
from diadem.store.stage import remove_tree
from diadem.store.system import move, or_else, translated
from diadem.store.whole import write_whole


@dataclass(frozen=True, slots=True)
class RecoveredNode(Display):
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
    brought : sequence of str
        What was brought back in the node's own folder; nothing for one that was made again as a whole.
    rebuild : bool
        Whether the catalogue has to be built anew.
    """

    epoch: int
    entries: int
    packages: int = 0
    stores: int = 0
    notes: tuple[str, ...] = ()
    store: str = ""
    brought: tuple[str, ...] = ()
    rebuild: bool = False

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
            "brought": list(self.brought),
        }


def recover_node(
    folder: Path,
    store_url: str,
    secret: RecoverySecret,
    *,
    reason: str,
    storage_options: Mapping[str, Any] | None = None,
) -> RecoveredNode:
    """Make the node's directory again, or bring back what it lacks; the caller opens it and builds the catalogue.

    Raises as `diadem.Node.recover`, and `IntegrityError` where what the store holds cannot be trusted.
    """
    if not (there := holds_node(folder)):
        require_free(folder)
    require_local(nearest_folder(folder))
    store = open_store(store_url, storage_options)
    store.check()
    lost = _Lost(folder, store, secret, reason)
    with making(folder) as drafts:
        for left in drafts:
            if (left / _MARK).exists() or not (left / FILE).exists():  # else it is a new node that `init` goes on with
                remove_tree(left)
        if not there:
            return lost.make()
        with alone(folder):
            return lost.mend()


def finish_recovery(folder: Path) -> None:
    """Note that the catalogue of a recovered node is built."""
    (folder / _MARK).unlink(missing_ok=True)


#: In a node that was recovered and whose catalogue is not built yet: the next recovery goes on with it.
_MARK: Final = "recovery.note"
#: Folders below a node in which its log is made anew.
_DRAFT: Final = ".recover-"


class _Lost:
    """A node of which something was lost, and the store that it comes back from."""

    def __init__(self, folder: Path, store: Store, secret: RecoverySecret, reason: str) -> None:
        """Read what the store has of the node; what cannot be recovered from is refused before anything is made."""
        self._folder, self._store, self._secret, self._reason = folder, store, secret, reason
        self._node = secret.root.public.key_id
        self._home = home_of(self._node)
        self._lacking: list[str] = []
        self._text, settings = _settings(store, self._home, self._node)
        found = read_store_file(store) or {}
        self._store_id, self._store_name = str(found.get("store", "")), str(found.get("name", ""))
        stores = (replace(one, url=store.url) if one.id == self._store_id else one for one in settings.stores)
        self._settings = replace(
            settings,
            machine=machine_name(),
            catalogue="",
            stores=tuple(stores),
            recovery_recipient=secret.recipient,
        )
        self._keys = _keys(store, self._home, secret)

    def make(self) -> RecoveredNode:
        """The whole node, under another name until all is there."""
        self._require_newest()
        draft = draft_of(self._folder)
        with or_else(lambda: remove_tree(draft)), translated(str(self._folder), "no node was made"):
            recovered = self._log(draft)
            Catalogue.open(draft / CATALOGUE_FILE, create=True).close()
            self._plain_files(draft)
            (draft / _MARK).touch()
            write_settings(draft, self._settings, before=self._text)
            give_name(draft, self._folder)
        return RecoveredNode(
            recovered.epoch,
            recovered.entries,
            notes=(*recovered.findings, *self._lacking),
            store=self._store_name,
            rebuild=True,
        )

    def mend(self) -> RecoveredNode:
        """What the node's own folder lacks; what is whole stays as it is, and a damaged log is kept beside the new."""
        folder = self._folder
        settings: NodeSettings | None = None
        with suppress(NotFound, DocumentError):
            settings = read_settings(folder)
        self._require_this_node(settings)
        for left in folder.glob(_DRAFT + "*"):
            remove_tree(left)
        brought: list[str] = []
        entries, findings = 0, tuple[str, ...]()
        if (fault := self._log_fault(settings)) is not None:
            self._require_newest()
            draft = folder / f"{_DRAFT}{uuid.uuid4().hex[:8]}"
            with or_else(lambda: remove_tree(draft)), translated(str(folder), "the log was not brought back"):
                recovered = self._log(draft)
                (folder / _MARK).touch()
                if (folder / "log").exists():
                    aside = (folder / f"log-{number}-damaged" for number in range(1, 10_000))
                    move(folder / "log", next(path for path in aside if not path.exists()))
                move(draft / "log", folder / "log")
            remove_tree(draft)
            entries, findings = recovered.entries, recovered.findings
            brought.append(f"log ({fault})")
        with closing(Ledger.open(folder / "log", clock=utc_now)) as ledger:
            epoch = ledger.epoch
            brought += self._own_keys(ledger)
        brought += self._plain_files(folder)
        if settings is None or settings.machine != machine_name():
            mine = settings and replace(settings, machine=machine_name())
            write_settings(folder, mine or self._settings, before=None if mine else self._text)
            brought.append(FILE)
        has_catalogue = (settings is not None and settings.catalogue) or (folder / CATALOGUE_FILE).exists()
        rebuild = (folder / _MARK).exists() or not has_catalogue
        return RecoveredNode(
            epoch,
            entries,
            notes=(*findings, *self._lacking),
            store=self._store_name,
            brought=tuple(brought),
            rebuild=rebuild,
        )

    def _require_this_node(self, settings: NodeSettings | None) -> None:
        """Refuse the folder of another node, or of nobody knows which."""
        with suppress(DiademError), closing(Ledger.open(self._folder / "log", clock=utc_now)) as ledger:
            if ledger.node != self._node:
                settings = replace(self._settings, id=ledger.node)
            settings = settings or self._settings
        cabinet = KeyCabinet(self._folder, self._node)
        same = any(self._keys.get(name) == data for name, data in cabinet.files())
        if settings.id != self._node if settings is not None else not same:
            raise Refused(
                "this is the folder of another node than the recovery file's",
                where=str(self._folder),
                next="Name the recovery file of this node; or a new folder, for the node of this recovery file.",
            )

    def _log_fault(self, settings: NodeSettings | None) -> str | None:
        """Why the log cannot go on as it is; None where it can."""
        try:
            with closing(Ledger.open(self._folder / "log", clock=utc_now)) as ledger:
                ledger.mirrors.stores = [self._store]
                if other := ledger.mirrors.superseded():
                    return other.message
                if settings is not None and settings.machine != machine_name():
                    return f"it was written on the machine '{settings.machine}'"
                return next(iter(ledger.check()), None)
        except (NotFound, IntegrityError) as error:
            return error.message

    def _require_newest(self) -> None:
        """Refuse where another store that answers knows more of the log: what it alone knows would be left out."""
        here = read_head(self._store, self._node)
        reached = (here.epoch, here.size) if here else (0, 0)
        for other in self._settings.stores:
            if self._store_id and other.id == self._store_id:
                continue
            with suppress(DiademError, OSError):
                place = open_store(other.url)
                place.check()
                about = read_store_file(place)
                head = read_head(place, self._node) if about and about["store"] == other.id else None
                if head is not None and (head.epoch, head.size) > reached:
                    break
        else:
            return
        raise Refused(
            f"the store '{other.name}' knows more of this node than the one that was named: "
            f"{head.size} statements of epoch {head.epoch}, not {reached[1]} of epoch {reached[0]}",
            where=self._store.url,
            next=f"Recover from it: --recover {other.url}   (if it is damaged, disconnect it and try again)",
        )

    def _log(self, draft: Path) -> Recovered:
        """The log made anew in a draft, and the node's keys beside it."""
        draft.mkdir(mode=0o700)
        cabinet = KeyCabinet(draft, self._node)
        cabinet.make()
        for name, data in self._keys.items():
            cabinet.put_back(name, data)
        recovered = recover_log(
            draft / "log",
            self._store,
            node=self._node,
            root=self._secret.root,
            log_key=cabinet.open(LOG),
            reason=self._reason,
            clock=utc_now,
        )
        with recovered.ledger as ledger:
            _require_own_keys(ledger, self._node, cabinet, self._store)
        return recovered

    def _own_keys(self, ledger: Ledger) -> list[str]:
        """Put back the keys that are gone, damaged, or not those of the log; returns their names."""
        ring = KeyRing(self._node, ledger.keys())
        cards = [*(ring.newest(role) for role in (ONLINE, LOG)), *ring.users()]
        known = {card.public.to_text() for card in cards if card is not None}
        cabinet, brought = KeyCabinet(self._folder, self._node), []
        cabinet.make()
        for name, data in self._keys.items():
            if not cabinet.is_whole(name, known):
                cabinet.put_back(name, data)
                brought.append(f"keys/{name}")
        return brought

    def _plain_files(self, folder: Path) -> list[str]:
        """Policy, what people wrote and others signed, where the node has none; returns which were put there."""
        brought = []
        for name, default in ((POLICY_FILE, default_policy().encode()), *((name, None) for name in WRITTEN)):
            path = folder / name
            if not path.exists() or (name == POLICY_FILE and is_blank(path.read_bytes())):
                data = self._store.get(f"{self._home}/{name}") or default
                if data is not None:
                    path.parent.mkdir(exist_ok=True)
                    write_whole(path, data)
                    brought.append(name)
        chains, self._lacking = bring_chains(self._store, self._home, folder)
        return brought + chains


def _settings(store: Store, place: str, node: str) -> tuple[str, NodeSettings]:
    """`node.toml` as the store has it; its text too."""
    data = store.get(f"{place}/{FILE}")
    if data is None:
        raise NotFound(
            "this store has nothing from the node of this recovery file",
            where=store.url,
            next="Name another store of the list in the recovery file.",
        )
    try:
        text = person_text(data, FILE)
        settings = parse_settings(text, where=FILE)
    except DocumentError as error:
        raise DocumentError(
            f"the settings in the store are damaged: {error.message}", where=store.url, next="Name another store."
        ) from error
    if settings.id != node:
        raise Refused("the settings in the store are another node's", where=store.url, next="Name another store.")
    return text, settings


def _require_own_keys(ledger: Ledger, node: str, cabinet: KeyCabinet, store: Store) -> None:
    """Refuse keys that are not those of the node's cards: whoever can write in the store can seal his own for it."""
    ring = KeyRing(node, ledger.keys())
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


def _keys(store: Store, place: str, secret: RecoverySecret) -> dict[str, bytes]:
    sealed = store.get(f"{place}/{SEALED_KEYS}")
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
