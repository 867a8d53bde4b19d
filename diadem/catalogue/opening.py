"""The place of a catalogue: opening, transactions, copies."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from sqlalchemy import Connection

from diadem.catalogue import copying, faceting, schema, tables
from diadem.catalogue.database import CataloguePlace
from diadem.catalogue.dialects import place_of
from diadem.errors import NotFound, Refused
from diadem.store.system import move

#: Indexes whose entries come in no order while a catalogue is filled: made at the end, they cost a tenth.
BY_VALUE: Final = tuple(index for index in tables.numbers.indexes if index.name == "numbers_by_key")


class CatalogueFile:
    """A database that is opened, copied and replaced as a whole."""

    def __init__(self, place: CataloguePlace, *, read_only: bool) -> None:
        self._place = place
        self.read_only = read_only
        self._own = threading.local()
        self._filling = False

    @classmethod
    def open(cls, url_or_path: str | Path, *, create: bool = False, read_only: bool = False) -> Self:
        """Open a catalogue.

        Parameters
        ----------
        url_or_path : str or path
            The file, ``sqlite:///`` and the file, or ``postgresql://user@host/database?schema=name``.
        create : bool
            Make it if it is not there.
        read_only : bool
            Never write. A snapshot is read without locks, also on a share.

        Raises
        ------
        NotFound, IntegrityError, Refused, Unreachable
            It is not there, it is damaged or of an earlier version and to be built anew, a later version of DIADEM made
            it, or its server does not answer.
        """
        return cls._opened(place_of(url_or_path, read_only=read_only), create=create, read_only=read_only)

    @classmethod
    def _opened(cls, place: CataloguePlace, *, create: bool, read_only: bool = False) -> Self:
        made = cls(place, read_only=read_only)
        try:
            made._require(create=create and not read_only)
            schema.require(place, read_only=read_only)
        except BaseException:
            made.close()
            raise
        return made

    def _require(self, *, create: bool) -> None:
        if not self._place.exists():
            if not create:
                raise NotFound("there is no catalogue", where=self.address, next="Run: diadem reindex")
            self._place.make()

    @property
    def address(self) -> str:
        """What `open` takes: the path of its file, or the URL of its server without any password."""
        return self._place.address

    def close(self) -> None:
        """Close its connections."""
        self._place.close()

    def __enter__(self) -> Self:
        """The catalogue itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Let all calls of this thread be one transaction: all of them count, or where one raises, none.

        Other writers wait so long. A call that raises and is caught inside leaves nothing of its own.
        """
        with self._writing() as connection:
            outer, self._own.connection = getattr(self._own, "connection", None), connection
            try:
                yield
            finally:
                self._own.connection = outer

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        connection: Connection | None = getattr(self._own, "connection", None)
        if connection is not None:
            yield connection
            return
        with self._place.transaction(writing=False) as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        if self.read_only:
            raise Refused(
                "this catalogue is open for reading only", where=self.address, next="Work on the node's own machine."
            )
        connection: Connection | None = getattr(self._own, "connection", None)
        if connection is not None:
            with self._place.translated(), connection.begin_nested():
                yield connection
            return
        with self._place.transaction(writing=True) as connection:
            try:
                yield connection
                if not self._filling:
                    faceting.settle(connection)
            finally:
                faceting.abandon(connection)

    def draft(self) -> Self:
        """A new, empty catalogue beside this one, to be filled and put in its place.

        It cannot be searched: the indexes by value, in which rows come in no order, are made when it is full.
        """
        made = self._opened(self._place.draft(), create=True)
        made.prepare_to_fill()
        return made

    def prepare_to_fill(self) -> None:
        """Do for a while without the indexes by value, and without counts of values."""
        self._filling = True
        with self._writing() as connection:
            for index in BY_VALUE:
                index.drop(connection, checkfirst=True)

    def complete(self) -> None:
        """Make them."""
        self._filling = False
        with self._writing() as connection:
            faceting.fill(connection)
            for index in BY_VALUE:
                index.create(connection, checkfirst=True)

    def size(self) -> int:
        """Bytes that it takes on its disk."""
        return self._place.size()

    def analyse(self) -> None:
        """Let the database count what it has, after very much was written; a server does so by itself in minutes."""
        self._place.analyse()

    @staticmethod
    def set_aside(url_or_path: str | Path) -> None:
        """Give what is damaged another name, so that a new catalogue can be made in its place."""
        place_of(url_or_path, read_only=False).set_aside()

    def forget_drafts(self) -> None:
        """Remove drafts that a process which was killed has left. Nobody may be filling one."""
        self._place.forget_drafts()

    def discard(self) -> None:
        """Close it and remove all that it holds: a draft that is not wanted."""
        self._place.discard()

    def take_over(self, draft: Self) -> None:
        """Take over everything that a draft holds, in one transaction; the draft is gone afterwards."""
        if draft._filling:
            draft.complete()
        self._place.take_over(draft._place)

    def snapshot(self, path: Path) -> None:
        """Write a consistent, compact SQLite file while others write; it appears under its name when it is whole."""
        partial = path.with_name(f".{path.name}.partial")
        draft = path.with_name(f".{path.name}.draft")
        partial.unlink(missing_ok=True)
        try:
            if not self._place.snapshot(partial):
                self._copy(draft, partial)
            move(partial, path)
        finally:
            partial.unlink(missing_ok=True)

    def _copy(self, draft: Path, path: Path) -> None:
        """Table by table, where the database is not a file."""
        place = place_of(draft, read_only=False)
        place.discard()
        with self._opened(place, create=True):
            try:
                with self._reading() as source, place.transaction(writing=True) as sink:
                    copying.copy_tables(source, sink)
                place.snapshot(path)
            finally:
                place.discard()
