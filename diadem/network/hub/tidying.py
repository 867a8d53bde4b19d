"""What a start of the hub puts in order: files without a row, and rows without a file. Nothing half-written stays."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Connection

from diadem.network.hub.book import hold, message_place, object_place, rows
from diadem.network.hub.boxes import let_go
from diadem.network.hub.relays import LOST
from diadem.network.hub.room import Room, file_size
from diadem.store.sqlite_file import SqliteFile


@dataclass(frozen=True, slots=True)
class Tidied:
    """What was not as it should be.

    Attributes
    ----------
    unfinished : int
        Half-written files, which are removed.
    strays : int
        Files of which the book knows nothing, which are removed.
    lost : int
        Objects and messages whose files are gone or cut short: they are not offered any more, and may be put again.
    """

    unfinished: int
    strays: int
    lost: int

    def __bool__(self) -> bool:
        """Whether there was anything."""
        return bool(self.unfinished or self.strays or self.lost)

    def __str__(self) -> str:
        """For the log."""
        return (
            f"{self.unfinished} half-written and {self.strays} unknown files removed, {self.lost} whose files are lost"
        )


def tidy(file: SqliteFile, room: Room, *, now: str) -> Tidied:
    """Put the hub in order; only while no process serves it.

    Parameters
    ----------
    file : SqliteFile
        Its book.
    room : Room
        Its disk.
    now : str
        The time, UTC.
    """
    unfinished = room.give_up_stale(all_of_them=True)
    for path in _files(room.path("coming")):
        path.unlink(missing_ok=True)
        unfinished += 1
    room.remove_doomed()
    with file.reading() as connection:
        known = _known(connection)
    found: dict[str, int] = {}
    for folder in ("relays", "boxes"):
        for inner in _folders(room.path(folder)):
            found |= {f"{folder}/{inner.name}/{path.name}": file_size(path) for path in _files(inner)}
    strays = [place for place in found if place not in known]
    lost = [place for place, size in known.items() if found.get(place) != size]
    if lost:
        with file.writing() as connection:
            for place in lost:
                _lose(connection, place, now)
    for place in [*strays, *lost]:
        room.path(place).unlink(missing_ok=True)
    for folder in ("relays", "boxes"):
        for inner in _folders(room.path(folder)):
            with contextlib.suppress(OSError):  # something is in it
                inner.rmdir()
    return Tidied(unfinished, len(strays), len(lost))


def _known(connection: Connection) -> dict[str, int]:
    objects = rows(connection, "SELECT relay, name, bytes FROM objects WHERE how = ''")
    messages = rows(connection, "SELECT box, id, bytes FROM messages")
    return {object_place(row["relay"], row["name"]): row["bytes"] for row in objects} | {
        message_place(row["box"], row["id"]): row["bytes"] for row in messages
    }


def _lose(connection: Connection, place: str, now: str) -> None:
    kind, owner, name = place.split("/")
    if kind == "boxes":
        let_go(connection, rows(connection, "DELETE FROM messages WHERE box = ? AND id = ? RETURNING *", owner, name))
        return
    for row in rows(
        connection,
        "UPDATE objects SET how = ?, gone = ? WHERE relay = ? AND name = ? RETURNING bytes",
        *(LOST, now, owner, name),
    ):
        (relay,) = rows(connection, "SELECT recipient FROM relays WHERE id = ?", owner)
        hold(connection, relay["recipient"], -row["bytes"], objects=-1)


def _folders(path: Path) -> Iterator[Path]:
    with os.scandir(path) as entries:
        yield from (Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))


def _files(path: Path) -> Iterator[Path]:
    with os.scandir(path) as entries:
        yield from (Path(entry.path) for entry in entries if not entry.is_dir(follow_symlinks=False))
