"""Nonces that were used: a request is answered once. All workers of a node share the file."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Self

from diadem.store.sqlite_file import SqliteFile

FILE: Final = "nonces.sqlite"
#: ``DIDn`` in ASCII.
_APPLICATION: Final = 0x4449446E
_VERSION: Final = 1
_SCHEMA: Final = (
    """CREATE TABLE used (key BLOB NOT NULL, nonce TEXT NOT NULL, expires INTEGER NOT NULL, PRIMARY KEY (key, nonce))
    WITHOUT ROWID""",
    "CREATE INDEX used_expires ON used (expires)",
)
#: Seconds for which a nonce is kept beyond its time: clocks are set back.
_LONGER: Final = 300


class Nonces:
    """The nonces of signatures that hold still.

    A power cut may lose those of the last moments; whoever wants to use that must be faster than the machine's start.

    Parameters
    ----------
    file : SqliteFile
        Where they are.
    """

    def __init__(self, file: SqliteFile) -> None:
        self._file = file
        file.prepare(_SCHEMA, application=_APPLICATION, version=_VERSION)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The nonces in ``<node>/network``; made where there is no such file."""
        folder.mkdir(mode=0o700, exist_ok=True)
        return cls(SqliteFile(folder / FILE, what="list of nonces", advice="Stop the server and remove the file."))

    def use(self, key_id: str, nonce: str, *, expires: int) -> bool:
        """Use a nonce; False where it was used before."""
        row = (bytes.fromhex(key_id), nonce, expires)
        with self._file.writing(durable=False) as connection:
            return connection.execute("INSERT OR IGNORE INTO used VALUES (?, ?, ?)", row).rowcount == 1

    def sweep(self, *, now: int) -> int:
        """Forget those whose signatures hold no longer; how many."""
        with self._file.writing(durable=False) as connection:
            return connection.execute("DELETE FROM used WHERE expires < ?", (now - _LONGER,)).rowcount

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
