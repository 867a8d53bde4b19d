"""The stores of a node: opened when they are needed, each with a file of its own that says which store it is."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diadem.custody.log_mirrors import read_head
from diadem.custody.remedies import recover_command
from diadem.errors import DiademError, NotFound, Refused, StoreError, Unreachable, UsageError
from diadem.model.plain_text import quoted
from diadem.model.replicas import StoreState
from diadem.model.times import read_time, time_text
from diadem.node.config import NodeSettings, StoreSettings
from diadem.store.addresses import local_path
from diadem.store.system import long_path
from diadem.store.whole import write_whole

if TYPE_CHECKING:
    from diadem.store.contract import Store


#: In every store: which store it is, and whose.
STORE_FILE = "store.json"
STORE_FORMAT = "diadem-store/1"
#: In the node's folder: when each store, by its id, last answered. It is not written at each answer.
ANSWERED_FILE = "answered.json"
_ANSWERED = "diadem-answered/1"
_OFTEN = timedelta(minutes=10)
#: Seconds for which a folder, and a server, that answered is believed to be there; before writing it is looked at each
#: time.
_TRUST_FOLDER, _TRUST = 0.5, 30.0
#: A store for whose silence one waited longer than these seconds, a server's time-out, is left alone for twenty times
#: as long as that took, `_TRUST` at most: a look at a hundred packages waits once. Any other is asked each time.
_TIMED_OUT, _REST = 0.5, 20
#: What a folder's file shows of itself without being read.
_Mark = tuple[int, ...]


@dataclass(slots=True)
class _Known:
    """What this process knows of a store; moments are those of `time.monotonic`."""

    #: None until it has answered once.
    store: Store | None = None
    #: When it answered last.
    seen: float | None = None
    #: What its own file showed when that was read; None where it is to be read, always of a server.
    mark: _Mark | None = None
    #: Whether it is asked before it is believed again.
    doubted: bool = False
    #: What a server said that took its time to be silent, and until when it is not asked again.
    silence: Unreachable | None = None
    silent_until: float = 0.0


class StoreSet:
    """The stores of one node; `storage_options` are for fsspec, by the store's name."""

    def __init__(self, settings: NodeSettings, storage_options: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self._settings = settings
        self._options = dict(storage_options or {})
        self._known: dict[str, _Known] = {}

    def __iter__(self) -> Iterator[StoreSettings]:
        """The settings of every store, in order."""
        return iter(self._settings.stores)

    @property
    def names(self) -> Sequence[str]:
        """The names of every store, in order."""
        return [store.name for store in self._settings.stores]

    def refresh(self, settings: NodeSettings) -> None:
        """Take over changed settings; a store whose settings are others now is opened anew."""
        same = {store.name for store in settings.stores if store in self._settings.stores}
        self._settings = settings
        for name in [name for name in self._known if name not in same]:
            del self._known[name]

    def put(self, name: str, store: Store) -> None:
        """Use this object for a store: tests put one that fails, programs one with options of their own."""
        self._known[name] = _Known(store, time.monotonic())

    def options(self, name: str) -> Mapping[str, Any] | None:
        """What fsspec is told for a store, in this process."""
        return self._options.get(name)

    def keep_options(self, name: str, options: Mapping[str, Any] | None) -> None:
        """What fsspec is told for a store from now on, in this process."""
        if options:
            self._options[name] = options

    def open(self, name: str) -> Store:
        """A store, known to answer and to be the one that was added under this name.

        A disk may be unplugged while a process works, and what is written below its empty mount point is in no store:
        that it is there is looked at again and again. Its own file is read again where it is another one than before.

        Raises `NotFound` for a name that no store has, `Unreachable` where it does not answer, or where what lies there
        is not this store (a disk that is not plugged in).
        """
        settings = self._settings.store(name)  # an unknown name is a mistake, not a store that is away
        known, started = self._known.setdefault(name, _Known()), time.monotonic()
        if known.silence is not None and started < known.silent_until:
            raise known.silence
        trust = _TRUST_FOLDER if known.store is None or known.store.is_folder else _TRUST
        if known.store is not None and known.seen is not None and not known.doubted and started - known.seen < trust:
            return known.store
        read, known.mark = known.mark, None
        try:
            mark = _mark(settings)  # before it is read: what changes meanwhile is seen the next time
            store = open_own(settings, self._options.get(name), known.store, is_known=mark is not None and mark == read)
        except Unreachable as error:
            now = time.monotonic()
            if now - started > _TIMED_OUT:
                known.silence, known.silent_until = error, now + min(_TRUST, _REST * (now - started))
            raise
        known.store, known.seen, known.mark, known.doubted, known.silence = store, time.monotonic(), mark, False, None
        return store

    def require_there(self, name: str) -> Store:
        """As `open`, a store that answers now: before something is written there, and where it cannot be read."""
        known = self._known.setdefault(name, _Known())
        known.doubted, known.silence = True, None
        return self.open(name)

    def at_hand(self, name: str) -> Store | None:
        """A store that this process has opened; nothing is asked of it."""
        known = self._known.get(name)
        return known.store if known is not None else None

    def why_away(self, name: str) -> str:
        """Why a store does not answer; "" if it does."""
        try:
            self.open(name)
        except Unreachable as error:
            return error.message
        return ""

    def reachable(self, name: str) -> bool:
        """Whether it is a store of the node, and answers."""
        return name in self.names and self._answering(name) is not None

    def _answering(self, name: str) -> Store | None:
        try:
            return self.open(name)
        except Unreachable:
            return None

    def opened(self) -> Iterator[tuple[StoreSettings, Store]]:
        """Every store that answers now; of a folder seen half a second ago, whether its own file is the same still."""
        for settings in self._settings.stores:
            known = self._known.get(settings.name)
            if known is not None and known.store is not None and known.store.is_folder:
                known.doubted |= known.mark != _mark(settings)
            if settings.name in self.names and (store := self._answering(settings.name)) is not None:
                yield settings, store  # one that another thread took out in the meantime is passed over

    def states(self) -> list[StoreState]:
        """What the policy asks of each store."""
        return [self._state(one) for one in self._settings.stores]

    def state(self, name: str) -> StoreState:
        """What the policy asks of one."""
        return self._state(self._settings.store(name))

    def _state(self, one: StoreSettings) -> StoreState:
        store = self._answering(one.name) if one.name in self.names else None
        return StoreState(
            name=one.name,
            kind=one.kind,
            place=one.place or (store.place() if store is not None else one.seen or None),
            url=one.url,
            reachable=store is not None,
            free=store.free() if store is not None else None,
            total=store.total() if store is not None else None,
            read_only=one.retired,
            is_folder=local_path(one.url) is not None,
            retired=one.retired,
        )

    def note_answers(self, folder: Path, now: datetime) -> dict[str, datetime]:
        """When each store last answered, by its name; kept in the node, since a store that is away cannot say so.

        A store of which nothing is known, because the file was lost or a clock was ahead, counts from now on: an alarm
        comes later by once the time that the policy allows, and it comes.
        """
        path = folder / ANSWERED_FILE
        try:
            kept = {str(key): read_time(at) for key, at in json.loads(path.read_bytes())["stores"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, DiademError):
            kept = {}  # it cannot be understood
        noted: dict[str, datetime] = {}
        for store in self._settings.stores:
            known = [at for at in (kept.get(store.id),) if at is not None and at <= now]
            here = self._known.get(store.name)
            if here is not None and here.seen is not None:
                known.append(now - timedelta(seconds=time.monotonic() - here.seen))
            noted[store.id] = max(known, default=now)
        if kept.keys() != noted.keys() or any(noted[key] - at > _OFTEN or at > now for key, at in kept.items()):
            document = {"format": _ANSWERED, "stores": {key: time_text(at) for key, at in noted.items()}}
            with contextlib.suppress(OSError, DiademError):  # the node's disk is full or read-only: others say that
                write_whole(path, (json.dumps(document, indent=2) + "\n").encode())
        return {store.name: noted[store.id] for store in self._settings.stores}


def _mark(settings: StoreSettings) -> _Mark | None:
    """By what is seen whether a folder's own file is the one that was read; None where it is not there.

    A disk that takes the place of another has another file there. A server has no mark: only by reading its file is
    known that the disk behind it is mounted, and which one it is.
    """
    if (folder := local_path(settings.url)) is None:
        return None
    try:
        found = Path(long_path(folder / ".diadem" / STORE_FILE)).stat(follow_symlinks=False)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def open_own(
    settings: StoreSettings,
    options: Mapping[str, Any] | None = None,
    store: Store | None = None,
    *,
    is_known: bool = False,
) -> Store:
    """The store of these settings, known to answer and to be the one that was added; `store` where it is open already.

    With `is_known` its own file is not read. Raises `Unreachable` where nothing is there, or another store, or where it
    fails, may not be read, or cannot be opened on this machine.
    """
    from diadem.store import open_store

    try:
        store = store or open_store(settings.url, options)
        store.check()
        found = {"store": settings.id} if is_known else read_store_file(store)
    except NotFound as error:
        raise Unreachable(
            f"the store '{settings.name}' is not there", where=settings.url, next="Connect it, or mount it."
        ) from error
    except StoreError as error:
        again = f"If it is this store: diadem store move {settings.name} {quoted(settings.url)}"
        raise Unreachable(error.message, where=settings.url, next=again) from error
    except (Refused, UsageError) as error:  # no access, or its extra is not installed
        raise Unreachable(error.message, where=error.where or settings.url, next=error.next) from error
    if settings.id and (found is None or found["store"] != settings.id):
        what = "there is no store" if found is None else f"there is another store, '{found.get('name', '?')}'"
        raise Unreachable(
            f"{what} where '{settings.name}' should be",
            where=settings.url,
            next=f"Connect the right disk, or say where it is now: diadem store move {settings.name} PATH",
        )
    return store


def read_store_file(store: Store) -> dict[str, Any] | None:
    """What a store says of itself; None where it is no store of a node yet. Raises `StoreError` for a damaged file."""
    data = store.get(STORE_FILE)
    if data is None:
        return None
    try:
        document = json.loads(data)
        if not isinstance(document, dict) or not isinstance(document["store"], str):
            raise ValueError("no store id")  # noqa: TRY004, TRY301
    except (ValueError, KeyError, RecursionError) as error:
        raise StoreError(
            f"the store's own file {STORE_FILE} is damaged",
            where=store.url,
            next="If it is a store of your node, this writes the file again: diadem store move NAME PATH",
        ) from error
    return document


def claim(store: Store, settings: StoreSettings, node: NodeSettings) -> str:
    """Make a place a store of this node, unless it is another's: its own file and its README. Returns its id."""
    found = require_unclaimed(store, node.id)
    identity = str(found["store"]) if found else str(uuid.uuid4())
    _write_store_file(store, settings, node, identity)
    return identity


def require_unclaimed(store: Store, node: str) -> dict[str, Any] | None:
    """What a store says of itself, as `read_store_file`. Raises `Refused` where it is another node's than this."""
    found = read_store_file(store)
    if found is not None and found.get("node") != node:
        raise Refused(
            f"this is a store of the node '{found.get('node_name', '?')}'",
            where=store.url,
            next=f"To read it: diadem search --node {quoted(store.url)}   (to take it over after a loss: "
            f"{recover_command(store=store.url)})",
        )
    return found


def reclaim(store: Store, settings: StoreSettings, node: NodeSettings) -> bool:
    """Write the own file of a store anew that has lost it, or whose own is damaged; whether it was such a store.

    Which of the node's stores it is, only a person can say; that it is one, the node's log in it shows.
    """
    with contextlib.suppress(StoreError):
        if read_store_file(store) is not None:
            return False
    if read_head(store, node.id) is None:
        return False
    _write_store_file(store, settings, node, settings.id)
    return True


def _write_store_file(store: Store, settings: StoreSettings, node: NodeSettings, identity: str) -> None:
    document = {
        "format": STORE_FORMAT,
        "store": identity,
        "name": settings.name,
        "kind": settings.kind,
        "node": node.id,
        "node_name": node.name,
        "machine": node.machine,
    }
    store.put(STORE_FILE, (json.dumps(document, indent=2) + "\n").encode())
    text = resources.files(__package__).joinpath("store_readme.txt").read_text("ascii")
    store.put_readme(text.format(node=node.name))


def require_folder(folder: Path) -> None:
    """Refuse a file where a store's folder, or one above it, should be: `UsageError` names it."""
    for place in (folder, *folder.parents):
        if place.exists() and not place.is_dir():
            raise UsageError("a store is a folder, and this is a file", where=str(place), next="Name a folder.")


def make_folder(folder: Path) -> None:
    """Make the folder of a store, with those above it; no account but the node's own and its group may look into it."""
    try:
        require_folder(folder)
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"the folder of the store cannot be made: {error.strerror or error}",
            where=str(folder),
            next="Name a folder on a disk where you may write.",
        ) from error
