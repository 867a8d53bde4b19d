"""The catalogue's file: opening, transactions, copies."""

from __future__ import annotations

import datetime
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import Connection, Engine

from diadem.errors import NotFound, Refused, UsageError
from diadem.node.catalogue import faceting, migrations, sqlite

Clock = Callable[[], datetime.datetime]


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class CatalogueFile:
    """A database that is opened, migrated, copied and replaced as a whole."""

    def __init__(self, engine: Engine, path: Path, *, read_only: bool) -> None:
        self._engine = engine
        self.path = path
        self.read_only = read_only
        self._own = threading.local()

    @classmethod
    def open(
        cls, url_or_path: str | Path, *, create: bool = False, read_only: bool = False, clock: Clock = _now
    ) -> Self:
        """Open a catalogue; one of an earlier version is brought up to date, a copy of it kept beside it.

        Parameters
        ----------
        url_or_path : str or path
            The file, or ``sqlite:///`` and the file.
        create : bool
            Make it if it is not there.
        read_only : bool
            Never write. A snapshot is read without locks, also on a share.
        clock : callable
            Now, for the name of the copy.

        Raises
        ------
        NotFound, IntegrityError, Refused
            It is not there, it is damaged, or a later version of DIADEM made it.
        """
        path = _path(url_or_path)
        if not path.exists() and (read_only or not create):
            raise NotFound("there is no catalogue", where=str(path), next="Run: diadem reindex")
        made = cls(sqlite.engine(path, read_only=read_only), path, read_only=read_only)
        try:
            made._prepare(clock)
        except BaseException:
            made.close()
            raise
        return made

    def _prepare(self, clock: Clock) -> None:
        if not self.read_only:
            migrations.migrate(self._engine, self.path, clock=clock)
            return
        found = migrations.version(self._engine, self.path)
        migrations.require_known(found, self.path)
        if found < migrations.MIGRATIONS[-1].version:
            raise Refused(
                f"the catalogue has version {found}, an earlier one",
                where=str(self.path),
                next="Let the node's own machine archive or scrub something with this version of DIADEM.",
            )

    def close(self) -> None:
        """Close its connections."""
        self._engine.dispose()

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
        with sqlite.transaction(self._engine, self.path, writing=False) as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        if self.read_only:
            raise Refused(
                "this catalogue is open for reading only", where=str(self.path), next="Work on the node's own machine."
            )
        connection: Connection | None = getattr(self._own, "connection", None)
        if connection is not None:
            with sqlite.translated(self.path), connection.begin_nested():
                yield connection
            return
        with sqlite.transaction(self._engine, self.path, writing=True) as connection:
            try:
                yield connection
                faceting.settle(connection)
            finally:
                faceting.abandon(connection)

    def draft(self) -> Self:
        """A new, empty catalogue beside this one, to be filled and put in its place."""
        path = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex[:8]}.draft")
        return self.open(path, create=True)

    def forget_drafts(self) -> None:
        """Remove drafts that a process which was killed has left. Nobody may be filling one."""
        for path in self.path.parent.glob(f".{self.path.name}.*.draft*"):
            path.unlink(missing_ok=True)

    def discard(self) -> None:
        """Close it and remove its files: a draft that is not wanted."""
        self.close()
        for suffix in sqlite.SUFFIXES:
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    def take_over(self, draft: Self) -> None:
        """Take over everything that a draft holds, in one transaction; the draft is gone afterwards."""
        draft.close()
        self._engine.dispose()
        sqlite.replace_content(self.path, draft.path)
        draft.discard()

    def snapshot(self, path: Path) -> None:
        """Write a consistent, compact copy while others write; it appears under its name when it is whole."""
        partial = path.with_name(f".{path.name}.partial")
        partial.unlink(missing_ok=True)
        try:
            sqlite.copy(self.path, partial)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def _path(url_or_path: str | Path) -> Path:
    text = str(url_or_path)
    scheme, separator, rest = text.partition("://")
    if separator and scheme != "sqlite":
        raise UsageError(
            f"a catalogue in '{scheme}' is not known to this version", where=text, next="Name a file on a local disk."
        )
    return Path(rest.removeprefix("/") if separator else text)
