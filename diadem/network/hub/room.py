"""Taking in sealed bytes: room is promised first, then they are written whole, then they have their name.

Two processes may do this at once: whoever has promised room for a name in the book is the only one who writes it.
"""

from __future__ import annotations

import contextlib
import errno
import secrets
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from sqlite3 import Connection
from typing import Final, TypeVar

from diadem.errors import Unreachable
from diadem.model.carriers import CarrierFull
from diadem.model.policy import Hub as Rules
from diadem.model.times import time_text
from diadem.network.hub.book import hold, rows
from diadem.store.sqlite_file import SqliteFile
from diadem.store.system import flush_folder, long_path, patiently, translated
from diadem.store.whole import write_draft

T = TypeVar("T")

#: After this a promise is one of a process that ended: the body was here before it was given.
_STALE: Final = timedelta(minutes=10)
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
#: Files that are removed while nobody else may write to the book.
_AT_ONCE: Final = 100
_AGAIN: Final = "It will be tried again later."


@dataclass(frozen=True, slots=True)
class Parcel:
    """Something that is to be taken in.

    Attributes
    ----------
    place : str
        Where it will lie, below the hub's folder.
    spoke : str
        Id of the node for which it waits.
    size : int
        Bytes.
    relay : str
        Of which relay it is an object; "" for a message.
    """

    place: str
    spoke: str
    size: int
    relay: str = ""


class Room:
    """The disk of a hub.

    Parameters
    ----------
    file : SqliteFile
        The hub's book.
    folder : Path
        ``<node>/hub``.
    rules : callable
        ``[hub]`` of the policy, as it is now.
    clock : callable
        The node's.
    """

    def __init__(
        self, file: SqliteFile, folder: Path, rules: Callable[[], Rules], clock: Callable[[], datetime]
    ) -> None:
        self._file, self._folder, self._rules, self._clock = file, folder, rules, clock

    def path(self, place: str) -> Path:
        """A place as a path of this machine."""
        return self._folder.joinpath(*place.split("/"))

    def take_in(
        self,
        parcel: Parcel,
        data: bytes,
        *,
        decide: Callable[[Connection], T | None],
        enter: Callable[[Connection], T],
    ) -> T:
        """Take something in.

        Parameters
        ----------
        parcel : Parcel
            What.
        data : bytes
            All of it.
        decide : callable
            Looks into the book whether it may come, before anything is touched, and calls `require_alone`; what it
            returns is the answer where it is here already. It raises where it may not.
        enter : callable
            Notes in the book that it is here; raises where it may not be here any more.

        Raises
        ------
        CarrierFull
            There is no room.
        Unreachable
            Another process is writing the same.
        StoreError
            The disk cannot be written to.
        """
        token = secrets.token_hex(16)
        with self._file.writing(durable=False) as connection:
            if (known := decide(connection)) is not None:
                return known
            self._promise(connection, token, parcel)
        draft = self.path(f"coming/{token}")
        try:
            _write(draft, data)
            with self._file.writing() as connection:
                _keep_promise(connection, token)
                entered = enter(connection)
                connection.execute("DELETE FROM doomed WHERE place = ?", (parcel.place,))
                self._place(draft, self.path(parcel.place))
        except BaseException:
            self._give_up(token)
            raise
        return entered

    def _promise(self, connection: Connection, token: str, parcel: Parcel) -> None:
        self._require_room(connection, parcel)
        row = (token, parcel.place, parcel.spoke, parcel.relay, parcel.size, time_text(self._clock()))
        connection.execute("INSERT INTO coming VALUES (?, ?, ?, ?, ?, ?)", row)
        _count(connection, parcel, 1)

    def _require_room(self, connection: Connection, parcel: Parcel) -> None:
        rules, size = self._rules(), parcel.size
        coming = connection.execute("SELECT COALESCE(SUM(bytes), 0) FROM coming").fetchone()[0]
        if shutil.disk_usage(self._folder).free - coming - size < rules.free:
            raise CarrierFull("the hub's disk has no room now", next=_AGAIN)
        total = connection.execute("SELECT COALESCE(SUM(bytes), 0) FROM held").fetchone()[0]
        if total + size > rules.max_size:
            raise CarrierFull("the hub has reached its limit", next=_AGAIN)
        found = connection.execute("SELECT bytes, objects, messages FROM held WHERE spoke = ?", (parcel.spoke,))
        held, objects, messages = found.fetchone() or (0, 0, 0)
        many = objects >= rules.max_objects if parcel.relay else messages >= rules.max_messages
        if held + size > rules.max_per_spoke or many:
            raise CarrierFull("the limit for what waits at the hub for that node is reached", next=_AGAIN)

    def _place(self, draft: Path, path: Path) -> None:
        with translated(str(path), "nothing was kept"):
            if not path.parent.exists():
                path.parent.mkdir(mode=0o700, exist_ok=True)
                flush_folder(long_path(path.parent.parent))
            patiently(lambda: Path(long_path(draft)).replace(long_path(path)))
            flush_folder(long_path(path.parent))

    # -- giving up, and removing -------------------------------------------------------------------------------------

    def _give_up(self, token: str) -> None:
        with contextlib.suppress(OSError):
            self.path(f"coming/{token}").unlink(missing_ok=True)
        with self._file.writing(durable=False) as connection:
            for row in rows(connection, "DELETE FROM coming WHERE token = ? RETURNING *", token):
                _count(connection, _parcel(row), -1)

    def give_up_stale(self, *, all_of_them: bool = False) -> int:
        """Give up what was being written by processes that ended; how many there were.

        Parameters
        ----------
        all_of_them : bool
            No process is writing now: the server has not begun.
        """
        before = "9" if all_of_them else time_text(self._clock() - _STALE)
        with self._file.reading() as connection:
            found = rows(connection, "SELECT token FROM coming WHERE at < ?", before)
        for row in found:
            self._give_up(row["token"])
        return len(found)

    def remove_doomed(self) -> None:
        """Remove the files of what is here no more. One that another program holds open is removed the next time.

        Within transactions, so that no file is removed that comes at the same moment under a name that was free again.
        """
        done = _AT_ONCE
        while done == _AT_ONCE:
            with self._file.writing(durable=False) as connection:
                sql = "SELECT place FROM doomed ORDER BY length(place) DESC, place LIMIT ?"  # a folder after its files
                places = [row["place"] for row in rows(connection, sql, _AT_ONCE)]
                gone = [(place,) for place in places if _is_removed(self.path(place))]
                connection.executemany("DELETE FROM doomed WHERE place = ?", gone)
                done = len(gone)


def file_size(path: Path) -> int:
    """Bytes of a file; -1 where there is none that can be read, or something else in its place."""
    try:
        found = path.lstat()
    except OSError:
        return -1
    return found.st_size if stat.S_ISREG(found.st_mode) else -1


def require_alone(connection: Connection, place: str) -> None:
    """That nobody is writing there at this moment: it counts already. Raises `Unreachable`."""
    if connection.execute("SELECT 1 FROM coming WHERE place = ?", (place,)).fetchone():
        raise Unreachable("the same is being written just now", next=_AGAIN)


def _keep_promise(connection: Connection, token: str) -> None:
    if not connection.execute("DELETE FROM coming WHERE token = ?", (token,)).rowcount:
        raise Unreachable("it took too long to write this", next=_AGAIN)


def _parcel(row: dict[str, object]) -> Parcel:
    size = row["bytes"]
    assert isinstance(size, int)
    return Parcel(str(row["place"]), str(row["spoke"]), size, str(row["relay"]))


def _count(connection: Connection, parcel: Parcel, sign: int) -> None:
    """Count something that comes, or does not come after all."""
    size = sign * parcel.size
    if parcel.relay:
        hold(connection, parcel.spoke, size, objects=sign)
        connection.execute("UPDATE relays SET put = put + ? WHERE id = ?", (size, parcel.relay))
    else:
        hold(connection, parcel.spoke, size, messages=sign)


def _write(path: Path, data: bytes) -> None:
    """Write a new file and force it to the disk."""
    with translated(str(path), "nothing was kept"):
        try:
            write_draft(path, (data,), mode=0o600)
        except OSError as error:
            if error.errno in _FULL:
                raise CarrierFull("the hub's disk is full", next=_AGAIN) from error
            raise


def _is_removed(path: Path) -> bool:
    """Remove a file, or a folder that is empty; whether it is gone."""
    try:
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)
    except OSError:
        return False
    return True
