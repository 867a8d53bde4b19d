"""What every verb of a node works with: settings, keys, log, catalogue, stores, policy, and who is at work."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from diadem.catalogue import Catalogue
from diadem.custody.log import Ledger
from diadem.custody.log_entry import Entry
from diadem.custody.statements import ONLINE
from diadem.errors import DiademError, IntegrityError, Refused
from diadem.node.config import NodeSettings, read_settings, write_settings
from diadem.node.follow.follow import Follower
from diadem.node.keys import KeyCabinet
from diadem.node.locks import held
from diadem.node.stores import StoreSet
from diadem.serialization.toml_text import is_blank, person_text
from diadem.store.system import store_error

if TYPE_CHECKING:
    from diadem.archive.package import Package
    from diadem.custody.grant_book import GrantBook
    from diadem.extract.pool import Extractor
    from diadem.hooks.offers import CarrierOffer, CheckOffer, ExporterOffer, ReaderOffer
    from diadem.model.policy import Policy
    from diadem.model.statements import Draft
    from diadem.node.tasks import Answer, Task
    from diadem.node.workers import Workers


POLICY_FILE = "policy.toml"

Clock = Callable[[], datetime.datetime]


class _Closes(Protocol):
    def close(self) -> None: ...


_Opened = TypeVar("_Opened", bound=_Closes)


def utc_now() -> datetime.datetime:
    """This machine's clock."""
    return datetime.datetime.now(datetime.UTC)


@dataclass(frozen=True, slots=True)
class NodeTools:
    """What the composition root hands down."""

    readers: Sequence[ReaderOffer]
    #: Makes the workers that read instrument files.
    extractor: Callable[[], Extractor]
    #: Name and version of this program, for statements.
    software: str
    #: `diadem.scan`.
    scan: Callable[..., Any]
    #: Makes the workers that read files to have them judged, by `checks`.
    judge: Callable[[], Extractor] | None = None
    checks: Sequence[CheckOffer] = ()
    #: Does a task in another process, where it is found by its name.
    work: Callable[[Task], Answer] | None = None
    #: What extraction depends on, with versions: workers must have the same.
    identity: str = ""
    #: Who can connect to carriers.
    transports: Sequence[CarrierOffer] = ()
    #: In what forms, and to what services, packages leave.
    exporters: Sequence[ExporterOffer] = ()
    #: Lets other processes find a package again.
    addressed: Callable[..., Package] | None = None


Gather = Callable[[], NodeTools]


@dataclass
class Context:
    """One opened node."""

    folder: Path
    settings: NodeSettings
    keys: KeyCabinet
    ledger: Ledger
    #: What is where; a cache.
    catalogue: Catalogue
    stores: StoreSet
    #: Who is at work: the short name of a user of this node.
    user: str
    #: Finds readers, workers, scan, always the same ones: see `tools`.
    gather: Gather
    clock: Clock = utc_now
    #: Entries in the log when the node was opened, and when the mirrors were brought up to date last.
    opened_at: int = 0
    mirrored_at: int = 0
    #: Who does what needs no log and no catalogue: reading, hashing, packing, copying. None: this process.
    workers: Workers | None = None
    #: From the name of a peer to its node id, or None; whoever opens the node gives it.
    peer_id: Callable[[str], str | None] = lambda _: None
    _guard: threading.RLock = field(default_factory=threading.RLock, repr=False)
    _kept: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def tools(self) -> NodeTools:
        """Readers, workers, scan: gathered when the first verb wants them, for to ask every plugin takes its time."""
        return self.gather()

    @property
    def writable(self) -> bool:
        """Whether this is the node itself, not a store that is read from another PC."""
        return True

    @property
    def address(self) -> str:
        """Who is at work, with the node: ``alice@hu-berlin``."""
        return f"{self.user}@{self.settings.name}"

    @cached_property
    def policy(self) -> Policy:
        """The rules of this node, as they were when it was opened."""
        return self._read_policy()

    @cached_property
    def grants(self) -> GrantBook:
        """Who may what, by the log."""
        from diadem.custody.grant_book import GrantBook

        return GrantBook(self.ledger)

    @property
    def follower(self) -> Follower:
        """What lets the catalogue follow the log."""
        return Follower(self.folder, self.ledger, self.catalogue, self.stores)

    def _read_policy(self) -> Policy:
        from diadem.policy.policy_text import read_policy

        where, data = str(self.folder / POLICY_FILE), self.policy_bytes()
        return read_policy(person_text(data, where) if data else "", where=where, stores=self.stores.names)

    def policy_bytes(self) -> bytes | None:
        """What `policy.toml` holds; nothing where it is empty, None where it is gone: every node is made with one."""
        try:
            data = (self.folder / POLICY_FILE).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise store_error(error, str(self.folder / POLICY_FILE), "the policy cannot be read") from error
        return b"" if is_blank(data) else data

    def policy_lost(self) -> str:
        """What became of `policy.toml`, ``is gone`` or ``is empty``; "" where it is there."""
        data = self.policy_bytes()
        return "is gone" if data is None else "" if data else "is empty"

    def require_writable(self) -> None:
        """Raise `Refused` where this is a store that is read from another PC."""

    def key_faults(self) -> Iterator[DiademError]:
        """What is wrong with the keys on this machine, as far as that is seen without a passphrase."""
        if self.ledger.fault is not None:
            yield self.ledger.fault
        held = [user for user in self.settings.users if user.protection != "none" and not user.successor]
        looks: list[Callable[[], object]] = [self._check_online, self.keys.age_identity]
        looks += [partial(self.keys.check, f"users/{user.name}", user.key) for user in held]
        for look in looks:
            try:
                look()
            except DiademError as error:
                yield error

    def _check_online(self) -> None:
        card = None
        with suppress(IntegrityError):  # what is wrong with the log is told elsewhere
            card = self.grants.now().ring.newest(ONLINE)
        self.keys.check(ONLINE, card.public.to_text() if card else None)

    def require_keys(self) -> None:
        """Look at the keys that will sign before the first byte is copied, not after the last.

        The error names the file that is gone or damaged, and the command that brings it back.
        """
        self.require_writable()
        if self.ledger.fault is not None:
            raise self.ledger.fault
        self._check_online()
        if self.user and (user := self.settings.user(self.user)).protection != "none":
            self.keys.check(f"users/{user.name}", user.key)

    def change_settings(self, change: Callable[[NodeSettings], NodeSettings]) -> NodeSettings:
        """Change `node.toml`: read anew, changed and written under a lock, so that two changes never lose one."""
        self.require_writable()
        with self._guard, self.locked("settings"):
            self.settings = change(read_settings(self.folder))
            write_settings(self.folder, self.settings)
            self.stores.refresh(self.settings)
        return self.settings

    def reread_settings(self) -> None:
        """See the settings as they are now: another process may have added a store or a user."""
        with self._guard:
            self.settings = read_settings(self.folder)
            self.stores.refresh(self.settings)

    def refresh(self) -> None:
        """See settings and policy as they are now: for what works on the node for months.

        Where somebody is in the middle of changing one of them, `DocumentError`: what was known stays known.
        """
        policy = self._read_policy()
        self.reread_settings()
        self.__dict__["policy"] = policy

    def once(self, name: str, opens: Callable[[], _Opened]) -> _Opened:
        """What is opened when it is first needed, shared by all threads, and closed with the node."""
        with self._guard:
            if name not in self._kept:
                self._kept[name] = opens()
            return cast("_Opened", self._kept[name])

    def close_kept(self) -> None:
        """Close what `once` opened."""
        with self._guard:
            while self._kept:
                self._kept.popitem()[1].close()

    def as_user(self, user: str) -> Context:
        """The same node, with another of its users at work."""
        found = copy(self)
        found.user = user
        return found

    def with_workers(self, workers: Workers) -> Context:
        """The same node, for one run whose heavy part is done elsewhere."""
        found = copy(self)
        found.workers = workers
        return found

    def locked(self, name: str) -> AbstractContextManager[None]:
        """Wait for, and hold, a lock of the node: see `diadem.node.locks.held`."""
        self.require_writable()
        return held(self.folder, name)

    # -- saying ----------------------------------------------------------------------------------------------------

    def say(self, drafts: Sequence[Draft], *, as_user: bool = False, with_user: bool = False) -> list[Entry]:
        """Sign statements and append them to the log, whose mirrors and catalogue follow; all of them or none.

        The node signs; `as_user` the user alone; `with_user` both, where the user's key can be opened without asking.
        Raises `Refused` where the log is behind its mirror, or a key cannot be opened.
        """
        self.require_writable()
        node_keys = [] if as_user else [self.keys.open("online")]
        user_keys = []
        if as_user or with_user:
            user = self.settings.user(self.user)
            if (end := self.grants.now().successions.get(self.address)) is not None:
                raise retired(self.address, end.successor)
            if as_user or self.keys.at_hand(user.protection):
                user_keys.append(self.keys.open(f"users/{user.name}", protection=user.protection))
        return self.ledger.append(drafts, node_keys, user_keys=user_keys)


def retired(name: str, successor: str) -> Refused:
    """What is answered to who has left the node."""
    return Refused(f"{name} has retired", next=f"{successor} has taken over: work as that user (--user).")


def read_only(machine: str) -> Refused:
    """What is answered to everyone who wants to write from another PC."""
    return Refused(
        f"this is a store, open for reading only; its node is on the machine '{machine}'",
        next="Work there. To hand files in, put their folder into the store's incoming/ folder.",
    )


class Unavailable:
    """In the place of a log or a catalogue that is not here or cannot be opened: answers everything with the reason."""

    size = total = 0
    fault = None

    def __init__(self, reason: DiademError) -> None:
        self._reason = reason

    def __getattr__(self, name: str) -> Any:
        raise self._reason

    def close(self) -> None:
        """Nothing is open."""


class Attached(Context):
    """A store that is read from another PC."""

    def __init__(
        self,
        folder: Path,
        settings: NodeSettings,
        keys: KeyCabinet,
        catalogue: Catalogue,
        stores: StoreSet,
        user: str,
        gather: Gather,
        clock: Clock,
    ) -> None:
        ledger = cast("Ledger", Unavailable(read_only(settings.machine)))
        super().__init__(folder, settings, keys, ledger, catalogue, stores, user, gather, clock)

    @property
    def writable(self) -> bool:
        """Never."""
        return False

    def require_writable(self) -> None:
        """Raise `Refused`, with the name of the machine that writes the node."""
        raise read_only(self.settings.machine)
