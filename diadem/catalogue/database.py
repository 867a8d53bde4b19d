"""What the catalogue asks of a database, whichever it is; `sqlite.py` and `postgres.py` answer, each for its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, Self

from sqlalchemy import ColumnElement, Connection, Insert, Select, Table

from diadem.catalogue.order import EVERYTHING, Stretch
from diadem.catalogue.words import Wording, Words


class Said(NamedTuple):
    """A text of a package: the number of its key, its words, and whether all datasets state it."""

    key: int
    words: str
    everywhere: bool


class TextHits(NamedTuple):
    """Packages whose texts fulfil a wording, each once; the column that is their key; and what it is asked with.

    The question is the same for many stretches, so that it is put together, and planned, once.
    """

    source: Select[Any]
    key: ColumnElement[int]
    values: Mapping[str, Any] = MappingProxyType({})


class CataloguePlace(Protocol):
    """Where one catalogue lies: a file, or a schema of a server."""

    @property
    def address(self) -> str:
        """What `Catalogue.open` takes; a password is never in it."""
        ...

    def exists(self) -> bool:
        """Whether there is a catalogue."""
        ...

    def make(self) -> None:
        """Make room for one, unless there is."""
        ...

    def transaction(self, *, writing: bool, new: bool = False) -> AbstractContextManager[Connection]:
        """One transaction: all of it or nothing; of a `new` place nothing is expected to be there yet.

        Readers see the state of one moment, whoever writes. Of writers there is one at a time.
        """
        ...

    def translated(self) -> AbstractContextManager[None]:
        """Errors of the database in our words."""
        ...

    def size(self) -> int:
        """Bytes that it takes on its disk."""
        ...

    def analyse(self) -> None:
        """Let the database count what it has: very much was written."""
        ...

    def close(self) -> None:
        """Close all connections."""
        ...

    def draft(self) -> Self:
        """A place for a new catalogue beside this one."""
        ...

    def forget_drafts(self) -> None:
        """Remove drafts that were left behind. Nobody may be filling one."""
        ...

    def discard(self) -> None:
        """Close, and remove everything."""
        ...

    def set_aside(self) -> None:
        """Give way to a new catalogue; what is damaged is kept under another name."""
        ...

    def take_over(self, draft: Self) -> None:
        """Take over all that a draft holds, in one transaction."""
        ...

    def snapshot(self, path: Path) -> bool:
        """Write a consistent, compact SQLite file while others write; False where it must be copied table by table."""
        ...


class Database(Protocol):
    """Functions on a connection that are different for each database. A module of that name has them."""

    @property
    def LOOKS_UP_WORDS(self) -> bool:  # noqa: N802
        """Whether the words of a few packages that lie together are looked up quickly in the index of words.

        Then this index also gives packages in order without sorting.
        """
        ...

    def create_texts(self, connection: Connection) -> None:
        """Make the index of words."""
        ...

    def write_texts(self, connection: Connection, packages: Iterable[tuple[int, Iterable[Said]]]) -> None:
        """Make the words of packages searchable."""
        ...

    def remove_text(self, connection: Connection, package: int) -> None:
        """Take them out again."""
        ...

    def text_search(self, wording: Wording, stretch: Stretch = EVERYTHING) -> TextHits:
        """Packages of a stretch whose texts fulfil a wording, or where it is not `exact`, a few more."""
        ...

    def exact(self, words: Words) -> bool:
        """Whether the index of words alone decides on a phrase."""
        ...

    def upsert(self, table: Table, *unique: str) -> Insert:
        """Insert a row; where one is there with the same values in `unique`, it gets the new values of the rest."""
        ...

    def insert_rows(self, connection: Connection, table: Table, rows: Iterable[Sequence[Any]]) -> None:
        """Insert many rows, each with a value for every column of the table, as fast as this database can."""
        ...
