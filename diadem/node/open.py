"""Opening a node: in its folder, on the machine that writes it; or one of its stores from another PC, for reading."""

from __future__ import annotations

import hashlib
import os
import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, cast

from diadem.catalogue import Catalogue
from diadem.catalogue.database import OfLaterVersion, complete, is_on_server
from diadem.custody.log import Ledger
from diadem.custody.remedies import recover_command
from diadem.custody.statements import LOG
from diadem.errors import (
    DiademError,
    DocumentError,
    IntegrityError,
    NotFound,
    Refused,
    StoreError,
    Unreachable,
    UsageError,
)
from diadem.model.plain_text import quoted
from diadem.node.config import (
    NodeSettings,
    StoreSettings,
    machine_name,
    read_settings,
)
from diadem.node.context import Attached, Clock, Context, Gather, Unavailable, retired, utc_now
from diadem.node.key_verbs import finish_rotation
from diadem.node.keys import AskPassphrase, KeyCabinet
from diadem.node.mirrors import SNAPSHOT, SNAPSHOT_DIGEST, mirror_settings
from diadem.node.stores import StoreSet, read_store_file
from diadem.store import open_store
from diadem.store.addresses import local_path
from diadem.store.contract import Store
from diadem.store.disks import is_network_folder
from diadem.store.own_files import home_of
from diadem.store.system import move, user_cache, user_config
from diadem.store.whole import write_whole


def open_context(
    folder: Path,
    *,
    user: str | None,
    gather: Gather,
    storage_options: Mapping[str, Mapping[str, Any]] | None = None,
    ask: AskPassphrase | None = None,
    clock: Clock = utc_now,
    rebuild: bool = False,
    sick: bool = False,
) -> Context:
    """Open the node in a folder of this machine, as `diadem.open_node`, which may be on no network file system.

    To `rebuild` its catalogue, that need not be there, and one that cannot be used is moved aside. A `sick` node is
    opened to be looked at, and what is gone or damaged answers with its fault.
    """
    settings = read_settings(folder)
    require_local(folder)
    if settings.machine != machine_name():
        raise Refused(
            f"this node is written by the machine '{settings.machine}', and this is '{machine_name()}'",
            where=str(folder),
            next=f"Work there, or open one of its stores. If the machine was renamed, set machine = '{machine_name()}'"
            " in node.toml.",
        )
    if user:
        found = settings.user(user)
        chosen = found.name
        if found.successor:
            raise retired(f"{found.name}@{settings.name}", found.successor)
    else:  # the first who has not left; "" where there is none
        chosen = next((one.name for one in settings.users if not one.successor), "")
    keys = KeyCabinet(folder, settings.id, ask)
    stores = StoreSet(settings, storage_options)
    with _read_from_stores(settings, folder), ExitStack() as opened:
        try:
            ledger = _ledger(folder / "log", keys, clock)
        except StoreError as error:
            if not sick:
                raise
            lost: Any = Unavailable(error)
            return Context(folder, settings, keys, lost, lost, stores, chosen, gather, clock)
        opened.callback(ledger.close)
        if ledger.fault is None:
            finish_rotation(folder, keys, ledger)
        ledger.mirrors.stores = Mirrors(stores)
        catalogue = _catalogue(settings, folder, rebuild=rebuild, sick=sick)
        opened.callback(catalogue.close)
        context = Context(
            folder, settings, keys, ledger, catalogue, stores, chosen, gather, clock, ledger.size, ledger.size
        )
        ledger.listen(lambda entries: context.follower.follow(entries))  # noqa: PLW0108  a catalogue may be replaced
        if not rebuild:
            try:
                context.follower.catch_up()
            except (IntegrityError, NotFound, Unreachable) as error:
                if not sick:
                    raise
                context.catalogue = cast("Catalogue", Unavailable(error))
        opened.pop_all()
    return context


@contextmanager
def _read_from_stores(settings: NodeSettings, folder: Path) -> Iterator[None]:
    """Where the disk of a node fails it, name a store too: what lies there is read without the node."""
    try:
        yield
    except StoreError as error:
        if settings.stores:
            store = quoted(settings.stores[0].url)
            first = "Check the node's disk." if not os.access(folder, os.W_OK) else error.next or ""
            error.next = f"{first} Meanwhile what a store has can be searched and read: --node {store}"
        raise


def _ledger(folder: Path, keys: KeyCabinet, clock: Clock) -> Ledger:
    """The log; where its key is gone or damaged, one that can be read and says why nothing can be appended."""
    try:
        key = keys.open(LOG)
    except (NotFound, DocumentError, IntegrityError) as fault:
        ledger = Ledger.open(folder, clock=clock)
        ledger.fault = fault
        return ledger
    try:
        return Ledger.open(folder, key, clock=clock)
    except Refused:
        ledger = Ledger.open(folder, clock=clock)
        try:
            keys.check(LOG, ledger.log_key().to_text())
        except IntegrityError as fault:
            ledger.fault = fault
            return ledger
        ledger.close()
        raise


class Mirrors:
    """The stores that answer, as mirrors of the log; looked up each time they are gone through, and then once."""

    def __init__(self, stores: StoreSet) -> None:
        self._stores = stores

    def __iter__(self) -> Iterator[Any]:
        """Each store that answers now."""
        return iter([store for _, store in self._stores.opened()])


def _catalogue(settings: NodeSettings, folder: Path, *, rebuild: bool, sick: bool) -> Catalogue:
    address = catalogue_address(settings, folder)
    try:
        return Catalogue.open(address, create=rebuild)
    except (IntegrityError, OfLaterVersion, NotFound, Unreachable) as error:
        if sick:
            return cast("Catalogue", Unavailable(error))
        if not rebuild or not isinstance(error, IntegrityError | OfLaterVersion):
            raise
        Catalogue.set_aside(address)
        return Catalogue.open(address, create=True)


def require_local(folder: Path) -> None:
    """Refuse a folder on a network file system: log and catalogue rely on locks that hold."""
    if kind := is_network_folder(folder):
        raise Refused(
            f"a node cannot be on a network file system ({kind}): locks and forced writes do not hold there, and the "
            "log could fork",
            where=str(folder),
            next="Put the node on a disk of this machine; its stores may be anywhere.",
        )


# -- from another PC ---------------------------------------------------------------------------------------------------


def attach(
    url: str,
    *,
    user: str | None,
    gather: Gather,
    storage_options: Mapping[str, Mapping[str, Any]] | None = None,
) -> Attached:
    """Open a store of a node for reading: search, get, load and verify from the snapshot of the catalogue.

    Nothing is signed here, whoever the `user` is. Of the `storage_options` the first are the store's, whose name is not
    known yet.
    """
    options = dict(storage_options or {})
    given = next(iter(options.values()), None)
    store = open_store(url, given)
    try:
        store.check()
        about = read_store_file(store)
    except NotFound:
        about = None
    if about is None:
        raise _nothing_at(url)
    try:
        node, name = str(about["node"]), str(about["name"])
    except KeyError as error:
        raise DocumentError(
            "the store's own file is damaged", where=url, next="On the machine of the node: diadem doctor"
        ) from error
    if not _HEX.match(node):  # a store is anyone's: the id becomes the name of a folder here
        raise DocumentError("the store names no node", where=url, next="On the machine of the node: diadem doctor")
    settings = NodeSettings(
        str(about.get("node_name", "")),
        node,
        str(about.get("machine", "")),
        "",
        stores=(StoreSettings(name, url, str(about.get("kind", "disk")), str(about["store"])),),
    )
    snapshot = _snapshot(store, settings, url)
    stores = StoreSet(settings, options)
    stores.put(name, store)
    return Attached(
        folder=snapshot.parent,
        settings=settings,
        keys=KeyCabinet(snapshot.parent, node),
        catalogue=Catalogue.open(snapshot, read_only=True),
        stores=stores,
        user=user or "",
        gather=gather,
        clock=utc_now,
    )


_HEX = re.compile(r"[0-9a-f]{64}\Z")


def _nothing_at(url: str) -> NotFound:
    folder = local_path(url)
    if folder is not None and not folder.exists():
        return NotFound(
            "the node that was here is gone, or its disk is not there",
            where=url,
            next=f"If it is gone: {recover_command()}   (from any of its stores, with its recovery file)",
        )
    return NotFound(
        "there is neither a node nor a store here",
        where=url,
        next=f"Make a node: diadem init   (or restore a lost one: {recover_command()})",
    )


def _snapshot(store: Store, settings: NodeSettings, url: str) -> Path:
    """The store's snapshot of the catalogue, in this account's cache: on a share a database is read slowly."""
    folder = user_cache("stores") / settings.short_id
    folder.mkdir(parents=True, exist_ok=True)
    place = home_of(settings.id)
    digest = (store.get(f"{place}/{SNAPSHOT_DIGEST}") or b"").decode("ascii", "replace").strip()
    if _HEX.match(digest) and (kept := folder / f"catalogue-{digest}.sqlite").exists():
        return kept
    draft = folder / f".{uuid.uuid4().hex}.sqlite"
    try:
        if not store.get_file(f"{place}/{SNAPSHOT}", draft):
            raise NotFound(
                "the store has no catalogue to read yet",
                where=url,
                next=f"It is written when work on the node ends, on '{settings.machine}'.",
            )
        with draft.open("rb") as file:
            path = folder / f"catalogue-{hashlib.file_digest(file, 'sha256').hexdigest()}.sqlite"
        for old in folder.glob("catalogue-*.sqlite"):
            if old != path:
                with suppress(OSError):  # another program has it open
                    old.unlink()
        move(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return path


# -- where the catalogue is --------------------------------------------------------------------------------------------


CATALOGUE_FILE: Final = "catalogue.sqlite"


#: What a person calls the file in the node's folder.
IN_A_FILE: Final = "file"


#: Where new nodes of this machine have their catalogue, if that is not said.
VARIABLE: Final = "DIADEM_CATALOGUE"


def catalogue_address(settings: NodeSettings, folder: Path) -> str:
    """What `Catalogue.open` takes, for the node in a folder."""
    if not settings.catalogue:
        return str(folder / CATALOGUE_FILE)
    return stated_address(settings.catalogue, settings.short_id)


def stated_address(asked: str | None, short_id: str) -> str:
    """What the settings of a node say of the place that a person asks for; "" for the file in its folder.

    That is ``postgresql://user@host/database`` without a password, or ``file``; None is what DIADEM_CATALOGUE says. In
    a database each node has a schema of its own, ``diadem_<short id>``, unless the address names one.
    """
    address = os.environ.get(VARIABLE, "") if asked is None else asked
    if address in ("", IN_A_FILE):
        return ""
    if is_on_server(address):
        return complete(address, schema=f"diadem_{short_id}")
    if asked is not None and Path(address).is_absolute():
        return address
    raise UsageError(
        f"'{address}' is not a place for a catalogue",
        next="Write postgresql://user@host/database, or: file",
    )


@contextmanager
def catalogue_at(context: Context, into: str | None) -> Iterator[Catalogue]:
    """The catalogue whose place a new one will take: that of the node, or an empty one in another place.

    An empty one that was made for nothing is removed. One that this node has had there before, and that could not be
    removed because its server was away, is replaced; another node's is refused.
    """
    if into is None:
        yield context.catalogue
        return
    stated = stated_address(into, context.settings.short_id)
    address = catalogue_address(replace(context.settings, catalogue=stated), context.folder)
    if address == catalogue_address(context.settings, context.folder):
        raise Refused("the catalogue is there already", where=address, next="To rebuild it: diadem reindex")
    target = Catalogue.open(address, create=True)
    former = target.count_statements() > 0
    # A former one of this node knows the first entry of its log.
    first = context.ledger.entry(0, epoch=context.ledger.epochs[0]) if former else None
    if first is not None and not any(
        first.line in target.statements(subject.sha256) for subject in first.statement.subjects
    ):
        target.close()
        raise Refused(
            "there is a catalogue already, perhaps another node's",
            where=address,
            next="Name another schema: postgresql://user@host/database?schema=name, or remove what is there.",
        )
    try:
        yield target
    except BaseException:
        if context.catalogue is not target and not former:
            target.discard()
        raise


def change_over(context: Context, target: Catalogue, into: str) -> None:
    """Let the node have its catalogue there from now on; the former one is removed where that can be done."""
    stated = stated_address(into, context.settings.short_id)
    context.change_settings(lambda settings: replace(settings, catalogue=stated))
    former, context.catalogue = context.catalogue, target
    mirror_settings(context)
    with suppress(DiademError):
        former.discard()


# -- which node this account uses where none is named: the one that it made or recovered last --------------------------


def _default_file() -> Path:
    return user_config("node.txt")


def default_node() -> str:
    """The folder of the node, or ""."""
    try:
        return _default_file().read_text("utf-8").strip()
    except (OSError, NotFound):
        return ""


def remember_node(folder: Path) -> str:
    """Use this node where none is named; the one before, or "". An account without a home simply has none."""
    before = default_node()
    with suppress(OSError, DiademError):
        _default_file().parent.mkdir(parents=True, exist_ok=True)
        write_whole(_default_file(), f"{folder}\n".encode())
    return before
