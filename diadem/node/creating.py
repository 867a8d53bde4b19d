"""Making a node: keys, recovery file, log, settings, policy; the folder gets its name when all is there."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from diadem.errors import DiademError, NotFound, Refused
from diadem.model.times import time_text
from diadem.node.catalogue import Catalogue
from diadem.node.catalogue_place import catalogue_address, stated_address
from diadem.node.config import (
    NodeSettings,
    StoreSettings,
    UserSettings,
    checked_name,
    new_settings,
    read_settings,
    write_settings,
)
from diadem.node.context import POLICY_FILE, Clock, utc_now
from diadem.node.custody.ledger import Ledger
from diadem.node.custody.statements import node_card, user_card
from diadem.node.keys import KeyCabinet
from diadem.node.place import require_local
from diadem.node.recovery import RecoverySecret, recovery_text
from diadem.node.rules.default import DEFAULT_POLICY
from diadem.node.store_place import require_folder
from diadem.node.stores import require_unclaimed
from diadem.store.base import open_store
from diadem.store.local_errors import or_else, translated
from diadem.store.stage import remove_tree
from diadem.store.urls import local_path, refuse_copy_address
from diadem.store.whole import write_whole


@dataclass(frozen=True, slots=True)
class NewNode:
    """How to make a node.

    Attributes
    ----------
    name : str
        For people: ``hu-berlin``.
    user : str
        Short name of the first user; `full_name` as a person writes it.
    store, kind : str
        Where packages go first, and what kind of store it is.
    recovery_file : Path
        Where the recovery file is written: outside the node, not there yet.
    passphrase : str
        Protects the recovery file; "" leaves it open.
    protection, key_passphrase : str
        How the user's key is protected, see `KeyCabinet.keep`.
    storage_options : mapping
        For fsspec, for the first store.
    catalogue : str or None
        Where the catalogue lies, see `stated_address`.
    """

    name: str
    user: str
    store: str
    recovery_file: Path
    full_name: str = ""
    kind: str = "disk"
    passphrase: str = ""
    protection: str = "file"
    key_passphrase: str | None = None
    storage_options: Mapping[str, Any] | None = None
    catalogue: str | None = None


def create_node(folder: Path, new: NewNode, *, clock: Clock = utc_now) -> NodeSettings:
    """Make the node's directory with everything but the store, which is added by the caller once the node is open.

    Raises
    ------
    Refused
        The folder has content, lies on a network file system or in a store, or the recovery file is in the wrong place.
    UsageError
        A name has characters that a name must not have.
    StoreError
        The folder cannot be written.
    """
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 - links stay as the user wrote them
    name, user = checked_name(new.name, "node"), checked_name(new.user, "user")
    _require_place(folder, new)
    draft = folder.parent / f".{folder.name}-{uuid.uuid4().hex[:8]}.part"
    with or_else(lambda: remove_tree(draft)), translated(str(folder), "no node was made"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft.mkdir(mode=0o700)
        settings = _fill(draft, replace(new, name=name, user=user), clock)
        if folder.exists():
            folder.rmdir()
        draft.rename(folder)
    return settings


def require_possible(folder: Path, new: NewNode) -> None:
    """Look at everything that would refuse a node and its first store, before a person thinks of a passphrase.

    Raises
    ------
    UsageError
        A name has characters that a name must not have; the store is no folder and no address of one.
    Refused
        As `create_node`; or the store is another node's.
    Unreachable
        The store does not answer.
    """
    checked_name(new.name, "node")
    checked_name(new.user, "user")
    _require_place(Path(os.path.abspath(folder)), new)  # noqa: PTH100
    refuse_copy_address(new.store)
    place = local_path(new.store)
    if place is not None:
        require_folder(place)
        if not place.exists():
            return
    store = open_store(new.store, new.storage_options)
    store.check()
    require_unclaimed(store, "")


def _require_place(folder: Path, new: NewNode) -> None:
    require_free(folder)
    _require_apart(folder, new)
    require_local(_existing(folder))


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder


def require_free(folder: Path) -> None:
    """Refuse a folder that has content."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        what = "there is a node here already" if (folder / "node.toml").exists() else "the folder has content"
        raise Refused(what, where=str(folder), next="Name a new or empty folder for the node.")


def _require_apart(folder: Path, new: NewNode) -> None:
    recovery = Path(os.path.abspath(new.recovery_file))  # noqa: PTH100
    if recovery.exists():
        raise Refused(
            "the recovery file would overwrite a file",
            where=str(recovery),
            next="Name another file: --recovery-file FILE",
        )
    if folder in recovery.parents:
        raise Refused(
            "the recovery file must not lie in the node: it is for the day when the node is lost",
            where=str(recovery),
            next="Name a file on a USB stick, or beside the node's folder: --recovery-file FILE",
        )
    store = local_path(new.store)
    if store is not None:
        place = Path(os.path.abspath(store))  # noqa: PTH100
        if folder == place or folder in place.parents or place in folder.parents:
            raise Refused(
                "node and store must not lie in each other",
                where=str(place),
                next="Give the node a small folder of its own, and the store the large disk.",
            )
    if not recovery.parent.is_dir() and recovery.parent not in folder.parents:
        raise NotFound(
            "there is no such folder for the recovery file", where=str(recovery.parent), next="Make it first."
        )


def _fill(draft: Path, new: NewNode, clock: Clock) -> NodeSettings:
    from diadem.trust.keys import PrivateKey

    secret = RecoverySecret.new()
    online, log, user = PrivateKey.generate(), PrivateKey.generate(), PrivateKey.generate()
    now = clock()
    settings = replace(
        new_settings(name=new.name, id=secret.root.public.key_id, now=now),
        users=(
            UserSettings(
                new.user,
                new.full_name,
                user.public.to_text(),
                "user-held" if new.protection == "passphrase" else "node-held",
                new.protection,
            ),
        ),
        recovery_file=str(Path(os.path.abspath(new.recovery_file))),  # noqa: PTH100
        recovery_recipient=secret.recipient,
        catalogue=stated_address(new.catalogue, secret.root.public.key_id[:16]),
    )
    cabinet = KeyCabinet(draft / "keys", settings.id)
    cabinet.make()
    cabinet.keep("online", online)
    cabinet.keep("log", log)
    cabinet.keep(f"users/{new.user}", user, protection=new.protection, passphrase=new.key_passphrase)
    cabinet.keep_identity(_identity())
    ledger = Ledger.create(draft / "log", origin=origin(settings), log_key=log, node=settings.id, clock=clock)
    card = node_card(name=settings.name, root=secret.root.public, online=online.public, log=log.public)
    ledger.append(list(card), [secret.root])
    custody = settings.users[0].custody
    ledger.append([user_card(name=f"{new.user}@{settings.name}", key=user.public, custody=custody)], [online])
    ledger.close()
    Catalogue.open(catalogue_address(settings, draft), create=True).close()
    write_whole(draft / POLICY_FILE, DEFAULT_POLICY.encode())
    write_settings(draft, settings)
    stores = [StoreSettings("main", new.store, new.kind)]
    text = recovery_text(secret, name=settings.name, created=time_text(now), stores=stores, passphrase=new.passphrase)
    write_whole(new.recovery_file, text.encode(), mode=0o600)
    return settings


def origin(settings: NodeSettings) -> str:
    """The origin line of the log's checkpoints: name for people, id for programs."""
    return f"diadem-em.org/log/{settings.name}/{settings.short_id}"


def _identity() -> str:
    import pyrage

    return str(pyrage.x25519.Identity.generate())


def undo(folder: Path, new: NewNode) -> None:
    """Take away a node that was made a moment ago and whose store could not be added."""
    with suppress(DiademError):
        if (address := read_settings(folder).catalogue) is not None:
            Catalogue.open(address).discard()
    remove_tree(folder)
    new.recovery_file.unlink(missing_ok=True)
