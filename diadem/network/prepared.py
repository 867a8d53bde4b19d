"""`<node>/network/prepared.sqlite`: statements that wait for the signature of a person whose key is elsewhere.

Only what is needed to know one again: its id, which stands for its bytes, for whose key it is, about which package,
and until when. Each is taken out once. All workers of a node share the file; if it is lost, people have theirs prepared
anew.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from diadem.errors import Refused
from diadem.node.context import Context
from diadem.store.sqlite_file import SqliteFile

FILE: Final = "prepared.sqlite"
#: ``DIDs`` in ASCII.
_APPLICATION: Final = 0x44494473
_VERSION: Final = 1
_SCHEMA: Final = (
    """CREATE TABLE prepared (statement TEXT PRIMARY KEY, key TEXT NOT NULL, package TEXT NOT NULL,
    expires INTEGER NOT NULL) WITHOUT ROWID""",
    "CREATE INDEX prepared_expires ON prepared (expires)",
)
#: Seconds for which a statement waits, and statements of one key that wait at once.
PATIENCE: Final = 300
MOST: Final = 256


class PreparedBook:
    """Statements that wait for a signature.

    Parameters
    ----------
    folder : Path
        ``<node>/network``; made where it is not there.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._file = SqliteFile(
            folder / FILE, what="list of prepared statements", advice="Stop the server and remove the file."
        )
        self._file.prepare(_SCHEMA, application=_APPLICATION, version=_VERSION)

    def keep(self, statement: str, *, key: str, package: str, now: int) -> None:
        """Note that a statement was prepared for a key.

        Raises
        ------
        Refused
            Too many of this key wait already.
        """
        with self._file.writing(durable=False) as connection:
            connection.execute("DELETE FROM prepared WHERE expires <= ?", (now,))
            (waiting,) = connection.execute("SELECT count(*) FROM prepared WHERE key = ?", (key,)).fetchone()
            if waiting >= MOST:
                raise Refused("too many of your statements wait for a signature", next="Wait five minutes.")
            row = (statement, key, package, now + PATIENCE)
            connection.execute("INSERT INTO prepared VALUES (?, ?, ?, ?)", row)

    def take(self, statement: str, *, key: str, now: int) -> str | None:
        """Take a statement out that waits for this key: the package that it is about; None where none does."""
        with self._file.writing(durable=False) as connection:
            row = (statement, key, now)
            found = connection.execute(
                "SELECT package FROM prepared WHERE statement = ? AND key = ? AND expires > ?", row
            ).fetchone()
            if found is not None:
                connection.execute("DELETE FROM prepared WHERE statement = ?", (statement,))
        return None if found is None else str(found[0])

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def prepared_book(context: Context) -> PreparedBook:
    """The prepared statements of an opened node."""
    return context.once("prepared", lambda: PreparedBook(context.folder / "network"))
