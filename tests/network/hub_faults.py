"""What a hub may do that it should not: lose, double, cut, change, mix up, say what is not so, or have no room.

All of it is done to the hub's disk while it is served, as somebody with the hub's rights would do it.
"""

from __future__ import annotations

import contextlib
import random
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from diadem.model.carriers import ObjectName

LOSE_FILE, LOSE_ALL, DOUBLE = "lose a file", "lose an object without a word", "give a window under two names"
CUT_SHORT, ALTER, SWAP = "cut an object short", "change a byte", "swap two objects"
AGAIN, LIE = "give again what was taken", "list what is not there"
FULL = "have no room"
KINDS: Final = (LOSE_FILE, LOSE_ALL, DOUBLE, CUT_SHORT, ALTER, SWAP, AGAIN, LIE)
_RULES: Final = re.compile(r"\n\[hub\]\nfree = .*\n")


@dataclass(frozen=True, slots=True)
class Lying:
    """An object at the hub."""

    relay: str
    name: ObjectName
    path: Path


@dataclass
class BadHub:
    """The disk of a hub, and what is done to it.

    Attributes
    ----------
    node : Path
        Folder of the hub's node.
    random : random.Random
        Says to what.
    """

    node: Path
    random: random.Random
    _past: Path = field(init=False)

    def __post_init__(self) -> None:
        """Make a place for what lay there once."""
        self._past = self.node.parent / "past"
        self._past.mkdir(exist_ok=True)

    def lying(self) -> list[Lying]:
        """The payload windows that wait now."""
        found = []
        for path in sorted((self.node / "hub" / "mailboxes").glob("*/2-*")):
            name = ObjectName.of(path.name)
            if name is not None:
                found.append(Lying(path.parent.name, name, path))
        return found

    def remember(self) -> None:
        """Keep what lies there, to give it once more when it is over."""
        for one in self.lying():
            place = self._past / f"{one.relay} {one.name}"
            with contextlib.suppress(OSError):  # taken just now, or known
                if not place.exists():
                    place.hardlink_to(one.path)

    def full(self, *, now: bool) -> None:
        """Leave no room for anything, or leave it again."""
        path = self.node / "policy.toml"
        text = _RULES.sub("", path.read_text("utf-8")) if path.exists() else ""
        path.write_text(text + ('\n[hub]\nfree = "9000 TB"\n' if now else ""), "utf-8")

    def misbehave(self, kind: str) -> bool:
        """Do something of a kind; False where nothing lies there to which it could be done."""
        lying = self.lying()
        if not lying or (kind == SWAP and len(lying) < 2):
            return False
        one = self.random.choice(lying)
        done: dict[str, Callable[[], bool]] = {
            LOSE_FILE: lambda: self._lose(one, silently=False),
            LOSE_ALL: lambda: self._lose(one, silently=True),
            DOUBLE: lambda: self._enter(one.relay, ObjectName(2, one.name.window, one.name.generation + 1), one.path),
            CUT_SHORT: lambda: self._cut(one),
            ALTER: lambda: self._alter(one),
            SWAP: lambda: self._swap(one, self.random.choice([other for other in lying if other != one])),
            AGAIN: lambda: self._again(one),
            LIE: lambda: self._enter(one.relay, ObjectName(2, one.name.window, one.name.generation + 1), None),
        }
        try:
            return done[kind]()
        except FileNotFoundError:  # taken at this moment
            return False

    @contextlib.contextmanager
    def _book(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.node / "hub" / "hub.sqlite", timeout=30)
        try:
            with connection:
                yield connection
        finally:
            connection.close()

    def _lose(self, one: Lying, *, silently: bool) -> bool:
        one.path.unlink()
        if silently:
            with self._book() as book:
                book.execute("DELETE FROM objects WHERE mailbox = ? AND name = ?", (one.relay, str(one.name)))
        return True

    def _enter(self, relay: str, name: ObjectName, source: Path | None) -> bool:
        """List an object: with the bytes of another one, or without any."""
        size = 1000
        if source is not None:
            path = self.node / "hub" / "mailboxes" / relay / str(name)
            fresh = shutil.copyfile(source, self._past / "fresh")
            size = fresh.stat().st_size
            fresh.replace(path)
        with self._book() as book:
            row = (str(name), size, "ab" * 32, "2026-01-01T00:00:00Z", relay)
            book.execute(
                """INSERT OR REPLACE INTO objects (mailbox, name, owner, sender, bytes, sha256, at)
                SELECT id, ?, owner, sender, ?, ?, ? FROM mailboxes WHERE id = ?""",
                row,
            )
        return True

    def _cut(self, one: Lying) -> bool:
        data = one.path.read_bytes()
        self._write(one, data[: self.random.randrange(1, len(data))])
        return True

    def _alter(self, one: Lying) -> bool:
        data = bytearray(one.path.read_bytes())
        data[self.random.randrange(len(data))] ^= 1 << self.random.randrange(8)
        self._write(one, bytes(data))
        return True

    def _swap(self, one: Lying, two: Lying) -> bool:
        first, second = one.path.read_bytes(), two.path.read_bytes()
        self._write(one, second)
        self._write(two, first)
        return True

    def _again(self, one: Lying) -> bool:
        """An object that lay in the same relay once, under its own name."""
        here = {path.name for path in one.path.parent.iterdir()}
        old = [path for path in sorted(self._past.glob(f"{one.relay} *")) if path.name.partition(" ")[2] not in here]
        if not old:
            return False
        path = self.random.choice(old)
        name = ObjectName.of(path.name.partition(" ")[2])
        assert name is not None
        return self._enter(one.relay, name, path)

    def _write(self, one: Lying, data: bytes) -> None:
        """Other bytes for an object, of which the book knows the size. What lay there once stays what it was."""
        one.path.stat()
        fresh = self._past / "fresh"
        fresh.write_bytes(data)
        fresh.replace(one.path)
        with self._book() as book:
            book.execute(
                "UPDATE objects SET bytes = ? WHERE mailbox = ? AND name = ?", (len(data), one.relay, str(one.name))
            )
