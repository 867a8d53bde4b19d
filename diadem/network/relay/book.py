"""What a node knows of its relays: keys, what was asked for, what was put down, what came damaged.

::

    <node>/network/relays.sqlite

Of a transfer that is over nothing is kept; the key that opens what was sealed for it goes as soon as it has landed.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from sqlite3 import Connection
from typing import Final

from diadem.custody.remedies import aside_command
from diadem.model.carriers import ObjectName
from diadem.model.times import read_time, time_text
from diadem.network.desk import NETWORK, Desk
from diadem.store.sqlite_file import SqliteFile
from diadem.trust.sealing import OneTime

FILE: Final = "relays.sqlite"
APPLICATION: Final = 0x44_52_4C_59
VERSION: Final = 1
#: Parts, and windows of part 2, that are asked for together: every one.
EVERYTHING: Final = (-1, 0)
_SCHEMA: Final = (
    """CREATE TABLE relays (transfer TEXT PRIMARY KEY, relay TEXT NOT NULL, recipient TEXT NOT NULL,
        identity TEXT NOT NULL DEFAULT '', generation INTEGER NOT NULL DEFAULT 1,
        routes TEXT NOT NULL DEFAULT '', hubs TEXT NOT NULL DEFAULT '') WITHOUT ROWID""",
    """CREATE TABLE asked (transfer TEXT NOT NULL, part INTEGER NOT NULL, window INTEGER NOT NULL,
        generation INTEGER NOT NULL, PRIMARY KEY (transfer, part, window)) WITHOUT ROWID""",
    """CREATE TABLE put (transfer TEXT NOT NULL, part INTEGER NOT NULL, window INTEGER NOT NULL,
        generation INTEGER NOT NULL, PRIMARY KEY (transfer, part, window)) WITHOUT ROWID""",
    """CREATE TABLE silence (transfer TEXT PRIMARY KEY, since TEXT NOT NULL, received INTEGER NOT NULL,
        asked INTEGER NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE spoilt (transfer TEXT NOT NULL, part INTEGER NOT NULL, window INTEGER NOT NULL,
        generation INTEGER NOT NULL, times INTEGER NOT NULL, PRIMARY KEY (transfer, part, window)) WITHOUT ROWID""",
)
_TABLES: Final = ("asked", "put", "spoilt", "silence", "relays")
_ADVICE: Final = "What is on its way by carriers must be offered again after this: "

Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Relay:
    """Where the sealed objects of a transfer lie, on whatever carrier.

    Attributes
    ----------
    transfer, relay : str
        Ids.
    recipient : str
        What is sealed to.
    identity : str
        What opens it; "" at the sender.
    generation : int
        The last one that was asked for.
    routes : tuple of str
        Those by which something was or is put down.
    hubs : tuple of str
        Ids of the hubs at which something was or is put down, the present one last.
    """

    transfer: str
    relay: str
    recipient: str
    identity: str = field(default="", repr=False)
    generation: int = 1
    routes: tuple[str, ...] = ()
    hubs: tuple[str, ...] = ()

    @property
    def hub(self) -> str:
        """Id of the hub at which it is put down now; "" for none yet."""
        return self.hubs[-1] if self.hubs else ""


@dataclass(frozen=True, slots=True)
class Spoilt:
    """What came damaged.

    Attributes
    ----------
    generation : int
        The last one that was found so.
    times : int
        How often.
    """

    generation: int
    times: int


@dataclass(frozen=True, slots=True)
class Silence:
    """How long a carrier has given nothing.

    Attributes
    ----------
    since : datetime
        When something came, or was asked for, last.
    received : int
        Bytes that had come then.
    asked : int
        How often it was asked for anew since something came.
    """

    since: datetime
    received: int
    asked: int = 0


class RelayBook:
    """The relays of a node. Safe for many threads and processes.

    Parameters
    ----------
    folder : Path
        ``<node>/network``.
    """

    def __init__(self, folder: Path) -> None:
        self._file = SqliteFile(folder / FILE, what="book of relays", advice=_ADVICE + aside_command(folder / FILE))
        self._file.prepare(_SCHEMA, application=APPLICATION, version=VERSION)
        self._file.erase()  # a process that ended in between may have left what was forgotten

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def get(self, transfer: str) -> Relay | None:
        """The relay of a transfer."""
        with self._file.reading() as connection:
            return _relay(connection, transfer)

    def all(self) -> list[str]:
        """Every transfer that has one."""
        with self._file.reading() as connection:
            return [row[0] for row in connection.execute("SELECT transfer FROM relays ORDER BY transfer")]

    def forget(self, transfer: str) -> None:
        """Remove everything that is known of a relay."""
        with self._file.erasing() as connection:
            for table in _TABLES:
                connection.execute(f"DELETE FROM {table} WHERE transfer = ?", [transfer])  # noqa: S608  our own names

    # -- at both -----------------------------------------------------------------------------------------------------

    def use_hub(self, transfer: str, hub: str) -> None:
        """Note the hub at which it is put down from now on."""
        with self._file.writing() as connection:
            known = _relay(connection, transfer)
            if known is not None and known.hub != hub:
                hubs = " ".join([*(one for one in known.hubs if one != hub), hub])
                connection.execute("UPDATE relays SET hubs = ? WHERE transfer = ?", [hubs, transfer])

    # -- at the receiver -------------------------------------------------------------------------------------------

    def make(self, transfer: str) -> Relay:
        """The relay of a transfer that is being accepted, with a key for it alone; the same one when asked again."""
        pair = OneTime.generate()
        with self._file.writing() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO relays (transfer, relay, recipient, identity) VALUES (?, ?, ?, ?)",
                [transfer, secrets.token_hex(16), pair.recipient, pair.identity],
            )
            found = _relay(connection, transfer)
        assert found is not None
        return found

    def use(self, transfer: str, route: str, *, generation: int = 0) -> None:
        """Note a route, and the generation that is asked for by it."""
        with self._file.writing() as connection:
            _use(connection, transfer, route)
            connection.execute(
                "UPDATE relays SET generation = max(generation, ?) WHERE transfer = ?", [generation, transfer]
            )

    def lose_key(self, transfer: str) -> None:
        """Forget what opens the objects of a transfer: it has landed."""
        with self._file.erasing() as connection:
            connection.execute("UPDATE relays SET identity = '' WHERE transfer = ?", [transfer])

    def spoil(self, transfer: str, place: Place, generation: int) -> Spoilt:
        """Note that something came damaged; how often it has."""
        with self._file.writing() as connection:
            connection.execute(
                "INSERT INTO spoilt VALUES (?, ?, ?, ?, 1) ON CONFLICT DO UPDATE SET "
                "generation = max(generation, excluded.generation), times = times + 1",
                [transfer, *place, generation],
            )
            row = connection.execute(
                "SELECT generation, times FROM spoilt WHERE transfer = ? AND part = ? AND window = ?",
                [transfer, *place],
            ).fetchone()
        return Spoilt(*row)

    def forgive(self, transfer: str) -> None:
        """Count anew how often something comes damaged, or not at all."""
        with self._file.writing() as connection:
            connection.execute("DELETE FROM silence WHERE transfer = ?", [transfer])
            connection.execute("UPDATE spoilt SET times = 0 WHERE transfer = ?", [transfer])

    def spoilt(self, transfer: str) -> Mapping[Place, Spoilt]:
        """What came damaged of a transfer."""
        with self._file.reading() as connection:
            rows = connection.execute(
                "SELECT part, window, generation, times FROM spoilt WHERE transfer = ?", [transfer]
            ).fetchall()
        return {(part, window): Spoilt(generation, times) for part, window, generation, times in rows}

    def silence(self, transfer: str) -> Silence | None:
        """How long nothing has come of a transfer."""
        with self._file.reading() as connection:
            sql = "SELECT since, received, asked FROM silence WHERE transfer = ?"
            row = connection.execute(sql, [transfer]).fetchone()
        return Silence(read_time(row[0]), row[1], row[2]) if row else None

    def keep_silence(self, transfer: str, silence: Silence) -> None:
        """Note since when nothing has come."""
        with self._file.writing(durable=False) as connection:
            row = [transfer, time_text(silence.since), silence.received, silence.asked]
            connection.execute("INSERT OR REPLACE INTO silence VALUES (?, ?, ?, ?)", row)

    # -- at the sender ---------------------------------------------------------------------------------------------

    def know(self, transfer: str, relay: str, recipient: str) -> None:
        """Keep what an acceptance says of the relay."""
        with self._file.writing() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO relays (transfer, relay, recipient) VALUES (?, ?, ?)",
                [transfer, relay, recipient],
            )

    def ask(self, transfer: str, route: str, places: Iterable[Place], generation: int) -> bool:
        """Note what the receiver wants; False where it said something else later.

        Of each part and window the highest generation counts, so that what comes twice changes nothing.

        Parameters
        ----------
        transfer : str
            Which.
        route : str
            By which.
        places : iterable of (int, int)
            Parts and windows, or `EVERYTHING`.
        generation : int
            Which; the receiver says nothing later in an earlier one.
        """
        with self._file.writing() as connection:
            if not _goes_on(connection, transfer, generation):
                return False
            _use(connection, transfer, route)
            connection.executemany(
                "INSERT INTO asked VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                "generation = max(generation, excluded.generation)",
                [(transfer, *place, generation) for place in places],
            )
            return True

    def ask_nothing(self, transfer: str, generation: int) -> bool:
        """Note that nothing more is to be put down; False where the receiver said something else later."""
        with self._file.writing() as connection:
            if not _goes_on(connection, transfer, generation):
                return False
            connection.execute("DELETE FROM asked WHERE transfer = ?", [transfer])
            return True

    def asked(self, transfer: str) -> Mapping[Place, int]:
        """The generation in which each part and window is wanted; `EVERYTHING` for those that are not named."""
        return self._generations("asked", transfer)

    def put(self, transfer: str, name: ObjectName) -> None:
        """Note that an object lies at the carrier."""
        with self._file.writing(durable=False) as connection:
            connection.execute("INSERT OR REPLACE INTO put VALUES (?, ?, ?, ?)", [transfer, *name])

    def what_lies(self, transfer: str) -> Mapping[Place, int]:
        """The last generation of each part and window that was put down."""
        return self._generations("put", transfer)

    def _generations(self, table: str, transfer: str) -> Mapping[Place, int]:
        sql = f"SELECT part, window, generation FROM {table} WHERE transfer = ?"  # noqa: S608  our own names
        with self._file.reading() as connection:
            rows = connection.execute(sql, [transfer]).fetchall()
        return {(part, window): generation for part, window, generation in rows}


def _relay(connection: Connection, transfer: str) -> Relay | None:
    row = connection.execute(
        "SELECT transfer, relay, recipient, identity, generation, routes, hubs FROM relays WHERE transfer = ?",
        [transfer],
    ).fetchone()
    if row is None:
        return None
    named, relay, recipient, identity, generation, routes, hubs = row
    return Relay(named, relay, recipient, identity, generation, tuple(routes.split()), tuple(hubs.split()))


def _goes_on(connection: Connection, transfer: str, generation: int) -> bool:
    """Note the generation of what a receiver says; False where it said something else in a later one."""
    sql = "UPDATE relays SET generation = ?1 WHERE transfer = ?2 AND generation <= ?1"
    return bool(connection.execute(sql, [generation, transfer]).rowcount)


def _use(connection: Connection, transfer: str, route: str) -> None:
    connection.execute(
        "UPDATE relays SET routes = trim(routes || ' ' || ?1) "
        "WHERE transfer = ?2 AND instr(' ' || routes || ' ', ' ' || ?1 || ' ') = 0",
        [route, transfer],
    )


def relays_of(desk: Desk) -> RelayBook:
    """The relays of a node; one book for all its threads."""
    return desk.context.once("relays", lambda: RelayBook(desk.context.folder / NETWORK))
