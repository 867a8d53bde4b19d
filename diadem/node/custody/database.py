"""The log's file: one SQLite database that many threads and processes write, one transaction at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from diadem.errors import NotFound
from diadem.node.sqlite_file import PATIENCE, SqliteFile
from diadem.node.store_place import recover_command

__all__ = ["ADVICE", "APPLICATION", "FILE", "PATIENCE", "VERSION", "Database"]

#: Name of the log's file in its folder.
FILE: Final = "log.sqlite"
#: `PRAGMA application_id` of the log ("Dlog") and `user_version`: another file is never taken for one.
APPLICATION: Final = 0x446C6F67
VERSION: Final = 1
#: What to do about a log that is damaged.
ADVICE: Final = (
    f"Keep the file for inspection, and make the node anew, in a new folder, from a store: {recover_command()}"
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
            raise NotFound(
                "there is no log", where=str(path), next="Name the folder of a node, or make one: diadem init."
            )
        super().__init__(path, what="log", advice=ADVICE, read_only=read_only)
