"""What a node knows of its relays: keys, what was asked for, what was put down, what came damaged, what hubs carried.

Of a transfer that is over nothing is kept; the key that opens what was sealed for it goes as soon as it has landed.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from sqlite3 import Connection
from typing import Any, Final

from diadem.custody.statements import relay_digest
from diadem.model.carriers import ObjectName
from diadem.network.book_file import network_book
from diadem.node.context import Context
from diadem.store.rows import Table
from diadem.store.sqlite_file import SqliteFile
from diadem.trust.sealing import OneTime

#: Parts, and windows of part 2, that are asked for together: every one.
EVERYTHING: Final = (-1, 0)
_TABLES: Final = ("wanted", "lying", "spoilt", "silence", "tallies", "relays")

Place = tuple[int, int]
#: Name, SHA-256 and bytes of a sealed object.
Row = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class Relay:
    """Where the sealed objects of a transfer lie, on whatever carrier."""

    transfer: str
    relay: str
    #: What is sealed to, and what opens it; "" at the sender.
    recipient: str
    identity: str = field(default="", repr=False)
    #: The last one that was asked for.
    generation: int = 1
    #: Those by which something was or is put down.
    routes: tuple[str, ...] = ()
    #: Ids of the hubs at which something was or is put down, the present one last.
    hubs: tuple[str, ...] = ()

    @property
    def hub(self) -> str:
        """Id of the hub at which it is put down now; "" for none yet."""
        return self.hubs[-1] if self.hubs else ""


@dataclass(frozen=True, slots=True)
class Spoilt:
    """What came damaged: the last generation that was found so, and how often."""

    generation: int
    times: int


@dataclass(frozen=True, slots=True)
class Silence:
    """How long a carrier has given nothing."""

    #: When something came, or was asked for, last; and bytes that had come then.
    since: datetime
    received: int
    #: How often it was asked for anew since something came.
    asked: int = 0


_RELAYS: Final = Table("relays", Relay)
_SPOILT: Final = Table("spoilt", Spoilt)
_SILENCE: Final = Table("silence", Silence)


class RelayBook:
    """The relays of a node, in the file of `diadem.network.book_file`. Safe for many threads and processes."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

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
                hubs = (*(one for one in known.hubs if one != hub), hub)
                _RELAYS.change(connection, _OF, transfer, hubs=hubs)

    # -- at the receiver -------------------------------------------------------------------------------------------

    def make(self, transfer: str) -> Relay:
        """The relay of a transfer that is being accepted, with a key for it alone; the same one when asked again."""
        pair = OneTime.generate()
        with self._file.writing() as connection:
            new = Relay(transfer, secrets.token_hex(16), pair.recipient, pair.identity)
            _RELAYS.add(connection, new, otherwise="IGNORE")
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
        with self._file.writing() as connection:
            lost = _RELAYS.change(connection, f"{_OF} AND identity <> ''", transfer, identity="")
        if lost:  # what came directly has none
            self._file.erase()

    def spoil(self, transfer: str, place: Place, generation: int) -> Spoilt:
        """Note that something came damaged; how often it has."""
        with self._file.writing() as connection:
            connection.execute(
                "INSERT INTO spoilt VALUES (?, ?, ?, ?, 1) ON CONFLICT DO UPDATE SET "
                "generation = max(generation, excluded.generation), times = times + 1",
                [transfer, *place, generation],
            )
            (now,) = _SPOILT.find(connection, f"{_OF} AND part = ? AND window = ?", transfer, *place)
        return now

    def forgive(self, transfer: str) -> None:
        """Count anew how often something comes damaged, or not at all."""
        with self._file.writing() as connection:
            connection.execute("DELETE FROM silence WHERE transfer = ?", [transfer])
            _SPOILT.change(connection, _OF, transfer, times=0)

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
            return next(iter(_SILENCE.find(connection, _OF, transfer)), None)

    def keep_silence(self, transfer: str, silence: Silence) -> None:
        """Note since when nothing has come."""
        with self._file.writing(durable=False) as connection:
            _SILENCE.add(connection, silence, otherwise="REPLACE", transfer=transfer)

    # -- at the sender ---------------------------------------------------------------------------------------------

    def know(self, transfer: str, relay: str, recipient: str) -> None:
        """Keep what an acceptance says of the relay."""
        with self._file.writing() as connection:
            _RELAYS.add(connection, Relay(transfer, relay, recipient), otherwise="IGNORE")

    def ask(self, transfer: str, route: str, places: Iterable[Place], generation: int) -> bool:
        """Note what the receiver wants: parts and windows, or `EVERYTHING`; False where it said something else later.

        It says nothing later in an earlier generation; of each part and window the highest counts, so that what comes
        twice changes nothing.
        """
        with self._file.writing() as connection:
            if not _goes_on(connection, transfer, generation):
                return False
            _use(connection, transfer, route)
            connection.executemany(
                "INSERT INTO wanted VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                "generation = max(generation, excluded.generation)",
                [(transfer, *place, generation) for place in places],
            )
            return True

    def ask_nothing(self, transfer: str, generation: int) -> bool:
        """Note that nothing more is to be put down; False where the receiver said something else later."""
        with self._file.writing() as connection:
            if not _goes_on(connection, transfer, generation):
                return False
            connection.execute("DELETE FROM wanted WHERE transfer = ?", [transfer])
            return True

    def asked(self, transfer: str) -> Mapping[Place, int]:
        """The generation in which each part and window is wanted; `EVERYTHING` for those that are not named."""
        return self._generations("wanted", transfer)

    def put(self, transfer: str, name: ObjectName) -> None:
        """Note that an object lies at the carrier."""
        with self._file.writing(durable=False) as connection:
            connection.execute("INSERT OR REPLACE INTO lying VALUES (?, ?, ?, ?)", [transfer, *name])

    def what_lies(self, transfer: str) -> Mapping[Place, int]:
        """The last generation of each part and window that was put down."""
        return self._generations("lying", transfer)

    def _generations(self, table: str, transfer: str) -> Mapping[Place, int]:
        sql = f"SELECT part, window, generation FROM {table} WHERE transfer = ?"  # noqa: S608  our own names
        with self._file.reading() as connection:
            rows = connection.execute(sql, [transfer]).fetchall()
        return {(part, window): generation for part, window, generation in rows}

    # -- at hubs -----------------------------------------------------------------------------------------------------

    def tally(self, transfer: str, hub: str) -> Tally:
        """What is counted of a transfer at a hub."""
        return Tally(self._file, transfer, hub)

    def relayed(self, transfer: str) -> list[dict[str, Any]]:
        """What went by hubs, as this side counted it; for receipt or closure.

        Of a hub that has not confirmed all that was put or taken there, nothing is said: a number that is wrong by one
        would look as if the hub lied.
        """
        sql = "SELECT hub, relay, name, sha256, bytes, sure FROM tallies WHERE transfer = ? ORDER BY hub, name"
        found: dict[tuple[str, str], list[Row]] = {}
        unsure = set()
        with self._file.reading() as connection:
            for hub, relay, name, sha256, size, sure in connection.execute(sql, [transfer]):
                found.setdefault((hub, relay), []).append((name, sha256, size))
                unsure |= set() if sure else {(hub, relay)}
        return [
            {
                "hub": hub,
                "relay": relay,
                "objects": len(rows),
                "bytes": sum(size for _, _, size in rows),
                "sha256": relay_digest(rows),
            }
            for (hub, relay), rows in found.items()
            if (hub, relay) not in unsure
        ]


@dataclass(frozen=True, slots=True)
class Tally:
    """What a node itself counts of its sealed objects of a transfer at a hub, as they go."""

    file: SqliteFile
    transfer: str
    hub: str

    def add(self, relay: str, rows: Iterable[Row], *, sure: bool) -> None:
        """Count these; not `sure` until the hub has signed that."""
        with self.file.writing(durable=not sure) as connection:  # that something is sure can be asked again
            connection.executemany(
                "INSERT INTO tallies VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                "sure = max(sure, excluded.sure)",
                [(self.transfer, self.hub, relay, *row, sure) for row in rows],
            )

    def rows(self, *, sure: bool) -> list[Row]:
        """What was counted, and was confirmed by the hub or was not."""
        sql = "SELECT name, sha256, bytes FROM tallies WHERE transfer = ? AND hub = ? AND sure = ? ORDER BY name"
        with self.file.reading() as connection:
            return list(connection.execute(sql, [self.transfer, self.hub, sure]))

    def forget(self, names: Iterable[str]) -> None:
        """Do not count these, of which the hub says that nothing has happened, unless it has confirmed them."""
        with self.file.writing(durable=False) as connection:
            connection.executemany(
                "DELETE FROM tallies WHERE transfer = ? AND hub = ? AND name = ? AND NOT sure",
                [(self.transfer, self.hub, name) for name in names],
            )


_OF: Final = "WHERE transfer = ?"


def _relay(connection: Connection, transfer: str) -> Relay | None:
    return next(iter(_RELAYS.find(connection, _OF, transfer)), None)


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


def relay_book(context: Context) -> RelayBook:
    """The relays of an opened node."""
    return RelayBook(network_book(context))
