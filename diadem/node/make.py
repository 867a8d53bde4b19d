"""Making a node: keys, recovery file, log, settings, policy; the folder gets its name when all is there."""

from __future__ import annotations

import glob
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diadem.catalogue import Catalogue
from diadem.custody.log import Ledger
from diadem.custody.statements import node_card, user_card
from diadem.errors import DiademError, DocumentError, NotFound, Refused
from diadem.model.plain_text import quoted
from diadem.model.times import time_text
from diadem.node.config import (
    NodeSettings,
    StoreSettings,
    UserSettings,
    checked_name,
    holds_node,
    machine_name,
    read_settings,
    write_settings,
)
from diadem.node.context import POLICY_FILE, utc_now
from diadem.node.keys import KeyCabinet
from diadem.node.open import catalogue_address, require_local, stated_address
from diadem.node.recovery_file import RecoverySecret, recovery_text
from diadem.node.stores import require_folder, require_unclaimed
from diadem.policy.policy_text import default_policy
from diadem.store import open_store
from diadem.store.addresses import local_path, refuse_copy_address
from diadem.store.stage import remove_tree
from diadem.store.system import FileLock, move, or_else, translated
from diadem.store.whole import write_whole


@dataclass(slots=True)
class NewNode:
    """A node that is to be made in `folder`, and what is asked for; see `diadem.Node.create`."""

    folder: Path
    name: str
    user: str
    store: str
    #: Outside the node, not there yet.
    recovery_file: Path
    full_name: str = ""
    kind: str = "disk"
    passphrase: str = ""
    protection: str = "file"
    key_passphrase: str | None = None
    storage_options: Mapping[str, Any] | None = None
    catalogue: str | None = None

    def __post_init__(self) -> None:
        """Links stay as the user wrote them."""
        self.folder = Path(os.path.abspath(self.folder))  # noqa: PTH100
        self.recovery_file = Path(os.path.abspath(self.recovery_file))  # noqa: PTH100

    def require_possible(self) -> bool:
        """Look at everything that would refuse a node and its first store, before a person thinks of a passphrase.

        What is not known yet, "", is left out. Returns whether a run with the same words has begun it, its recovery
        file with it.
        """
        for given, what in ((self.name, "node"), (self.user, "user")):
            if given:
                checked_name(given, what)
        if self.name and self.user and self.store and self._begun(_left_drafts(self.folder)) is not None:
            return True
        self._require_place()
        if not self.store:
            return False
        refuse_copy_address(self.store)
        place = local_path(self.store)
        if place is not None:
            require_folder(place)
            if not place.exists():
                return False
        store = open_store(self.store, self.storage_options)
        store.check()
        require_unclaimed(store, "")
        return False

    def create(self, drafts: Sequence[Path]) -> bool:
        """Make the node's directory with everything but the store, which is added once the node is open.

        `making` is held, and gives what runs that were killed have left: what is whole is gone on with, the rest is
        removed. Returns whether it was made just now; else it was there already, from a run with the same words.
        """
        self.name, self.user = checked_name(self.name, "node"), checked_name(self.user, "user")
        begun = self._begun(drafts)
        for left in drafts:
            if left != begun:
                remove_tree(left)
        if begun is not None:
            if begun != self.folder:
                give_name(begun, self.folder)
            return False
        self._require_place()
        draft = draft_of(self.folder)
        with or_else(lambda: remove_tree(draft)), translated(str(self.folder), "no node was made"):
            draft.mkdir(mode=0o700)
            self._fill(draft)
            give_name(draft, self.folder)
        return True

    def undo(self) -> None:
        """Take away a node that was made a moment ago and whose store could not be added."""
        with suppress(DiademError):
            if address := read_settings(self.folder).catalogue:
                Catalogue.open(address).discard()
        draft = draft_of(self.folder)
        move(self.folder, draft)
        self.recovery_file.unlink(missing_ok=True)
        remove_tree(draft)

    def _begun(self, drafts: Sequence[Path]) -> Path | None:
        """The node that a run with the same words has made, wholly or but for its name and its store."""
        store = local_path(self.store)
        url = self.store if store is None else str(store.absolute())
        words = checked_name(self.name, "node"), checked_name(self.user, "user"), self.recovery_file
        for place in (self.folder, *drafts):
            with suppress(NotFound, DocumentError):
                made = read_settings(place)
                same = (made.name, made.users[0].name, Path(made.recovery_file)) == words
                whole = place == self.folder or self._has_recovery_file(made.id)
                if same and whole and (not made.stores or made.stores[0].url == url):
                    return place
        return None

    def _has_recovery_file(self, node: str) -> bool:
        """Whether the recovery file is there, and is this node's: it is written when all else is."""
        try:
            return f"node id: {node}" in self.recovery_file.read_text("utf-8", "replace")
        except OSError:
            return False

    def _require_place(self) -> None:
        folder, recovery = self.folder, self.recovery_file
        require_free(folder)
        if recovery.exists():
            raise Refused(
                "the recovery file would overwrite a file",
                where=str(recovery),
                next="Name another file: --recovery-file FILE",
            )
        if folder in recovery.parents:
            raise Refused(
                "the recovery file must not be in the node's folder: it is for the day when the node is lost",
                where=str(recovery),
                next="Name a file on a USB stick, or beside the node's folder: --recovery-file FILE",
            )
        store = local_path(self.store) if self.store else None
        if store is not None:
            place = Path(os.path.abspath(store))  # noqa: PTH100
            if folder == place or folder in place.parents or place in folder.parents:
                raise Refused(
                    "node and store must not be inside each other",
                    where=str(place),
                    next="Give the node a small folder of its own, and the store the large disk.",
                )
        if not recovery.parent.is_dir() and recovery.parent not in folder.parents:
            raise NotFound(
                "there is no such folder for the recovery file", where=str(recovery.parent), next="Make it first."
            )
        require_local(nearest_folder(folder))

    def _fill(self, draft: Path) -> None:
        import pyrage

        from diadem.trust.keys import PrivateKey

        secret, now = RecoverySecret.new(), utc_now()
        online, log, user = PrivateKey.generate(), PrivateKey.generate(), PrivateKey.generate()
        custody = "user-held" if self.protection == "passphrase" else "node-held"
        node = secret.root.public.key_id
        settings = NodeSettings(
            self.name,
            node,
            machine_name(),
            time_text(now),
            users=(UserSettings(self.user, self.full_name, user.public.to_text(), custody, self.protection),),
            recovery_file=str(self.recovery_file),
            recovery_recipient=secret.recipient,
            catalogue=stated_address(self.catalogue, node[:16]),
        )
        cabinet = KeyCabinet(draft, settings.id)
        cabinet.make()
        cabinet.keep("online", online)
        cabinet.keep("log", log)
        cabinet.keep(f"users/{self.user}", user, protection=self.protection, passphrase=self.key_passphrase)
        cabinet.keep_identity(str(pyrage.x25519.Identity.generate()))
        # The origin of the log's checkpoints: the name for people, the id for programs.
        origin = f"diadem-em.org/log/{settings.name}/{settings.short_id}"
        ledger = Ledger.create(draft / "log", origin=origin, log_key=log, node=settings.id, clock=utc_now)
        card = node_card(name=settings.name, root=secret.root.public, online=online.public, log=log.public)
        ledger.append(list(card), [secret.root])
        ledger.append([user_card(name=f"{self.user}@{settings.name}", key=user.public, custody=custody)], [online])
        ledger.close()
        Catalogue.open(catalogue_address(settings, draft), create=True).close()
        write_whole(draft / POLICY_FILE, default_policy().encode())
        write_settings(draft, settings)
        stores = [StoreSettings("main", self.store, self.kind)]
        text = recovery_text(
            secret, name=settings.name, created=time_text(now), stores=stores, passphrase=self.passphrase
        )
        write_whole(self.recovery_file, text.encode(), mode=0o600)


# -- the place of a node, which a recovery needs too -------------------------------------------------------------------


@contextmanager
def making(folder: Path) -> Iterator[list[Path]]:
    """Be the only one that makes a node in a folder; gives what runs that were killed have left beside it."""
    with translated(str(folder), "no node was made"):
        folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.parent / f".{folder.name}.init.lock")
    if not lock.acquire():
        raise Refused(
            "another command is making a node here", where=str(folder), next="Wait for it; then see: diadem status"
        )
    try:
        yield _left_drafts(folder)
    finally:
        lock.remove()


def draft_of(folder: Path) -> Path:
    """A new name, beside a node's folder, for what is not a node yet."""
    return folder.parent / f".{folder.name}-{uuid.uuid4().hex[:8]}.part"


def _left_drafts(folder: Path) -> list[Path]:
    return sorted(folder.parent.glob(f".{glob.escape(folder.name)}-*.part"))


def give_name(draft: Path, folder: Path) -> None:
    """Let a draft that is whole be the node, whose folder may be there if it is empty."""
    if folder.exists():
        folder.rmdir()
    move(draft, folder)


def nearest_folder(folder: Path) -> Path:
    """The folder, or the first above it that is there; the root of a disk, where that is gone."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def require_free(folder: Path) -> None:
    """Refuse a folder that has content."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        if holds_node(folder):
            raise Refused(
                "there is a node here already",
                where=str(folder),
                next=f"See: diadem status --node {quoted(folder)}   (another node needs a new or empty folder)",
            )
        raise Refused("the folder has content", where=str(folder), next="Name a new or empty folder for the node.")
