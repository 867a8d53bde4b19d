"""A small group with a node: keys, a log that can be written fast, and mirrors that can fail."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from diadem.custody.chain import export_chain
from diadem.custody.log import Entry, Ledger
from diadem.custody.log_mirrors import Mirror
from diadem.custody.statements import node_card, user_card
from diadem.errors import Unreachable
from diadem.model.statements import Draft, Subject
from diadem.trust.keys import PrivateKey

NAME = "hu-berlin"
ORIGIN = "diadem-em.org/log/hu-berlin"


class MemoryMirror:
    """A store's own files in memory; `down` makes it unreachable, as a server that was switched off."""

    def __init__(self, url: str = "memory://mirror", files: dict[str, bytes] | None = None) -> None:
        self.url = url
        self.files = files if files is not None else {}
        self.down = False
        self.calls = 0

    def get(self, key: str) -> bytes | None:
        self._answer()
        return self.files.get(key)

    def put(self, key: str, data: bytes, *, create: bool = False) -> bool:
        self._answer()
        if create and key in self.files:
            return self.files[key] == data
        self.files[key] = data
        return True

    def keys(self, prefix: str) -> Iterator[str]:
        self._answer()
        return iter(sorted(key for key in self.files if key.startswith(prefix + "/")))

    def copy(self, url: str) -> MemoryMirror:
        return MemoryMirror(url, dict(self.files))

    def _answer(self) -> None:
        self.calls += 1
        if self.down:
            raise Unreachable("the server does not answer", where=self.url)


def key(seed: int) -> PrivateKey:
    return PrivateKey.from_seed(hashlib.sha256(b"test key %d" % seed).digest())


@dataclass
class Clock:
    """A clock that goes on a minute each time it is asked."""

    now: datetime.datetime = field(
        default_factory=lambda: datetime.datetime(2026, 3, 14, 9, 26, 53, tzinfo=datetime.UTC)
    )

    def __call__(self) -> datetime.datetime:
        self.now += datetime.timedelta(minutes=1)
        return self.now


@dataclass
class Group:
    """A node's keys and its log."""

    folder: Path
    root: PrivateKey = field(default_factory=lambda: key(1))
    online: PrivateKey = field(default_factory=lambda: key(2))
    log: PrivateKey = field(default_factory=lambda: key(3))
    alice: PrivateKey = field(default_factory=lambda: key(4))
    clock: Callable[[], datetime.datetime] = field(default_factory=Clock)
    ledger: Ledger = field(init=False)

    @property
    def node(self) -> str:
        return self.root.public.key_id

    def create(self, *mirrors: Mirror) -> Group:
        self.ledger = Ledger.create(self.folder, origin=ORIGIN, log_key=self.log, node=self.node, clock=self.clock)
        self.ledger.mirrors.stores = mirrors
        card = node_card(name=NAME, root=self.root.public, online=self.online.public, log=self.log.public)
        self.ledger.append(card, [self.root])
        self.ledger.append([user_card(name=f"alice@{NAME}", key=self.alice.public)], [self.online])
        return self

    def open(self, *mirrors: Mirror) -> Group:
        self.ledger = Ledger.open(self.folder, self.log, clock=self.clock)
        self.ledger.mirrors.stores = mirrors
        return self

    def say(self, *drafts: Draft) -> list[Entry]:
        return self.ledger.append(drafts, [self.online])

    def export(self, package: str, since: Sequence[str] = ()) -> bytes:
        return export_chain(self.ledger, package, [self.online], clock=self.clock, since=since)


def package(number: int) -> str:
    return hashlib.sha256(b"package %d" % number).hexdigest()


def ingest(number: int, owner: str = f"alice@{NAME}") -> Draft:
    return Draft(
        "ingest",
        (Subject.package(package(number)),),
        {
            "payload_id": hashlib.sha256(b"payload %d" % number).hexdigest(),
            "bytes": 3_200_000_000,
            "files": 120,
            "software": "diadem-em 0.1.0",
            "source": "D:/TEM/2026-03-14",
            "owner": owner,
            "store": "main",
            "omitted": 0,
        },
    )


def fixity(*numbers: int, store: str = "main") -> Draft:
    return Draft(
        "fixity",
        tuple(Subject.package(package(number)) for number in numbers),
        {
            "store": store,
            "level": "leaves",
            "slice": "3/28",
            "proven": [f"diadem:{package(number)}" for number in numbers],
            "checked": {"bytes": 3_200_000_000},
            "findings": [],
        },
    )
