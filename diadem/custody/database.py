"""The log's file: one SQLite database that many threads and processes write, one transaction at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from diadem.custody.remedies import recover_here
from diadem.errors import DiademError, IntegrityError, NotFound
from diadem.store.sqlite_file import PATIENCE, SqliteFile

__all__ = ["APPLICATION", "FILE", "PATIENCE", "VERSION", "Database", "advice"]

#: Name of the log's file in its folder.
FILE: Final = "log.sqlite"
#: `PRAGMA application_id` of the log ("Dlog") and `user_version`: another file is never taken for one.
APPLICATION: Final = 0x446C6F67
VERSION: Final = 1


def advice(path: Path) -> str:
    """What to do about a log that is damaged or gone."""
    return (
        "This restores the log from a store, as a new epoch, and keeps the folder of the damaged log beside it: "
        + recover_here(path.parent.parent)
    )


class Database(SqliteFile):
    """One connection to the log's file, shared by the threads of this process.

    Parameters
    ----------
    path : Path
        The file.
    create : bool
        Make it where there is none.
    read_only : bool
        Refuse every write.
    """

    def __init__(self, path: Path, *, create: bool = False, read_only: bool = False) -> None:
        if not create and not path.is_file():
            raise NotFound("the log of the node is gone", where=str(path), next=advice(path))
        super().__init__(path, what="log", advice="", read_only=read_only)

    def _ours(self, error: Exception) -> DiademError:
        found = super()._ours(error)
        if isinstance(found, IntegrityError):
            found.next = advice(self.path)
        return found
