"""Making a node: keys, recovery file, log, settings, policy; the folder gets its name when all is there."""

from __future__ import annotations

import glob
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from diadem.catalogue import Catalogue
from diadem.custody.ledger import Ledger
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
    new_settings,
    read_settings,
    write_settings,
)
from diadem.node.context import POLICY_FILE, Clock, utc_now
from diadem.node.keys import KeyCabinet
from diadem.node.open import catalogue_address, require_local, stated_address
from diadem.node.recovery_file import RecoverySecret, recovery_text
from diadem.node.stores import require_folder, require_unclaimed
from diadem.policy.default import DEFAULT_POLICY
from diadem.store import open_store
from diadem.store.addresses import local_path, refuse_copy_address
from diadem.store.stage import remove_tree
from diadem.store.system import FileLock, move, or_else, translated
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


def create_node(folder: Path, new: NewNode, drafts: Sequence[Path], *, clock: Clock = utc_now) -> bool:
    """Make the node's directory with everything but the store, which is added by the caller once the node is open.

    Parameters
    ----------
    folder : Path
        Where; see `making`, which is to be held.
    new : NewNode
        What is asked for.
    drafts : sequence of Path
        What runs that were killed have left: what is whole is gone on with, the rest is removed.
    clock : callable
        Gives aware times.

    Returns
    -------
    bool
        Whether it was made just now; else it was there already, from a run that asked for the same.

    Raises
    ------
    Refused
        The folder has content, lies on a network file system or in a store, or the recovery file is in the wrong place.
    UsageError
        A name has characters that a name must not have.
    StoreError
        The folder cannot be written to.
    """
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 - links stay as the user wrote them
    name, user = checked_name(new.name, "node"), checked_name(new.user, "user")
    begun = _begun(folder, new, drafts)
    for left in drafts:
        if left != begun:
            remove_tree(left)
    if begun is not None:
        if begun != folder:
            _give_name(begun, folder)
        return False
    _require_place(folder, new)
    draft = folder.parent / draft_name(folder)
    with or_else(lambda: remove_tree(draft)), translated(str(folder), "no node was made"):
        draft.mkdir(mode=0o700)
        _fill(draft, replace(new, name=name, user=user), clock)
        _give_name(draft, folder)
    return True


def _give_name(draft: Path, folder: Path) -> None:
    if folder.exists():
        folder.rmdir()
    move(draft, folder)


def _begun(folder: Path, new: NewNode, drafts: Sequence[Path]) -> Path | None:
    """The node that a run with the same words has made, wholly or but for its name and its store."""
    for place in (folder, *drafts):
        with suppress(NotFound, DocumentError):
            made = read_settings(place)
            store = local_path(new.store)
            url = new.store if store is None else str(store.absolute())
            same = (made.name, made.users[0].name) == (checked_name(new.name, "node"), checked_name(new.user, "user"))
            same = same and Path(made.recovery_file) == Path(os.path.abspath(new.recovery_file))  # noqa: PTH100
            whole = place == folder or _is_of(new.recovery_file, made.id)
            if same and whole and (not made.stores or made.stores[0].url == url):
                return place
    return None


def _is_of(recovery_file: Path, node: str) -> bool:
    """Whether a recovery file is there, and is that of a node: it is written when all else is."""
    try:
        return f"node id: {node}" in recovery_file.read_text("utf-8", "replace")
    except OSError:
        return False


def require_possible(folder: Path, new: NewNode) -> bool:
    """Look at everything that would refuse a node and its first store, before a person thinks of a passphrase.

    Returns
    -------
    bool
        Whether a run with the same words has begun it, its recovery file with it.

    Raises
    ------
    UsageError
        A name has characters that a name must not have; the store is neither a folder nor an address of one.
    Refused
        As `create_node`; or the store is another node's.
    Unreachable
        The store does not answer.
    """
    for given, what in ((new.name, "node"), (new.user, "user")):
        if given:
            checked_name(given, what)
    folder = Path(os.path.abspath(folder))  # noqa: PTH100
    if new.name and new.user and new.store and _begun(folder, new, left_drafts(folder)) is not None:
        return True
    _require_place(folder, new)
    if not new.store:
        return False
    refuse_copy_address(new.store)
    place = local_path(new.store)
    if place is not None:
        require_folder(place)
        if not place.exists():
            return False
    store = open_store(new.store, new.storage_options)
    store.check()
    require_unclaimed(store, "")
    return False


def _require_place(folder: Path, new: NewNode) -> None:
    require_free(folder)
    _require_apart(folder, new)
    require_local(existing(folder))


def existing(folder: Path) -> Path:
    """The folder, or the first above it that is there; the root of a disk, where that is gone."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def draft_name(folder: Path) -> str:
    """A name, beside a node's folder, for what is not a node yet."""
    return f".{folder.name}-{uuid.uuid4().hex[:8]}.part"


@contextmanager
def making(folder: Path) -> Iterator[list[Path]]:
    """Be the only one that makes a node in a folder; gives what runs that were killed have left beside it.

    Raises
    ------
    Refused
        Another command is at it.
    """
    with translated(str(folder), "no node was made"):
        folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.parent / f".{folder.name}.init.lock")
    if not lock.acquire():
        raise Refused(
            "another command is making a node here", where=str(folder), next="Wait for it; then see: diadem status"
        )
    try:
        yield left_drafts(folder)
    finally:
        lock.remove()


def left_drafts(folder: Path) -> list[Path]:
    """What lies beside a node's folder and is not a node yet."""
    return sorted(folder.parent.glob(f".{glob.escape(folder.name)}-*.part"))


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
            "the recovery file must not be in the node's folder: it is for the day when the node is lost",
            where=str(recovery),
            next="Name a file on a USB stick, or beside the node's folder: --recovery-file FILE",
        )
    store = local_path(new.store) if new.store else None
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


def _fill(draft: Path, new: NewNode, clock: Clock) -> None:
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


def origin(settings: NodeSettings) -> str:
    """The origin line of the log's checkpoints: name for people, id for programs."""
    return f"diadem-em.org/log/{settings.name}/{settings.short_id}"


def _identity() -> str:
    import pyrage

    return str(pyrage.x25519.Identity.generate())


def undo(folder: Path, new: NewNode) -> None:
    """Take away a node that was made a moment ago and whose store could not be added."""
    with suppress(DiademError):
        if address := read_settings(folder).catalogue:
            Catalogue.open(address).discard()
    draft = folder.parent / draft_name(folder)
    move(folder, draft)
    new.recovery_file.unlink(missing_ok=True)
    remove_tree(draft)
