"""A catalogue in a schema of a PostgreSQL server: connections, transactions, drafts."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

import psycopg
from psycopg import sql
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from diadem.catalogue.addresses import ServerAddress
from diadem.catalogue.passwords import kept_password
from diadem.catalogue.server_errors import translate
from diadem.errors import Refused

#: Seconds that a writer waits for another one, and that a server may take to answer.
BUSY_SECONDS: Final = 60
_PATIENCE: Final = 10
_WRITING, _NEW = "catalogue_writing", "catalogue_new"
#: Connections that a process keeps, and opens for a while beside them: each thread that works has one.
_KEPT, _MORE = 5, 25
#: Of a session. Every question has an index that was made for it. The planner does not know what it costs to unpack
#: a vector, so it must not go through whole tables; and questions are too quick for a compiler.
_SETTINGS: Final = {
    "enable_seqscan": "off",
    "jit": "off",
    "work_mem": "64MB",
    "synchronous_commit": "off",  # a catalogue can be made anew, and is never half a one
    "lock_timeout": f"{BUSY_SECONDS}s",
    "client_min_messages": "warning",
    # A machine that has lost its power, or its line, holds no lock for long.
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
#: Names of PostgreSQL have so many bytes.
_NAME: Final = 63


class _Text(Dumper):
    """Texts as PostgreSQL takes them: it knows no NUL, and a hostile file must not stop an archive."""

    def dump(self, obj: str) -> Buffer:
        """UTF-8."""
        return obj.replace("\0", "\ufffd").encode("utf-8", "replace")


class PostgresPlace:
    """A catalogue in a schema of its own.

    Parameters
    ----------
    address : ServerAddress
        Server, database and schema.
    read_only : bool
        Whether it is never written.
    """

    def __init__(self, address: ServerAddress, *, read_only: bool = False) -> None:
        self._address, self._read_only = address, read_only
        self._engine: Engine = create_engine(
            "postgresql+psycopg://",
            creator=self._connect,
            poolclass=QueuePool,
            pool_size=_KEPT,
            max_overflow=_MORE,
            pool_pre_ping=True,
            use_native_hstore=False,
        )
        event.listen(self._engine, "begin", self._begin)

    @classmethod
    def of(cls, address: str, *, read_only: bool) -> Self:
        """The place of an address. Raises `UsageError`."""
        return cls(ServerAddress.parse(address), read_only=read_only)

    @property
    def address(self) -> str:
        """The address, with the schema."""
        return str(self._address)

    def _connect(self) -> psycopg.Connection[Any]:
        try:
            made = self._opened("")
        except psycopg.OperationalError as error:
            password = kept_password(self._address.server) if "password" in str(error) else ""
            if not password:
                raise
            made = self._opened(password)
        try:
            self._prepare(made)
        except BaseException:
            made.close()
            raise
        return made

    def _opened(self, password: str) -> psycopg.Connection[Any]:
        given: dict[str, Any] = {"password": password} if password else {}
        return psycopg.connect(
            self._address.server,
            autocommit=True,
            prepare_threshold=None,
            connect_timeout=_PATIENCE,
            application_name="diadem",
            client_encoding="utf8",
            **given,
        )

    def _prepare(self, made: psycopg.Connection[Any]) -> None:
        if made.info.parameter_status("server_encoding") != "UTF8":
            raise Refused(
                "the database has another encoding than UTF-8",
                where=self.address,
                next="Make one for the catalogue: createdb --encoding=UTF8 --template=template0 NAME",
            )
        made.adapters.register_dumper(str, _Text)
        settings = [sql.SQL("SET {} = {}").format(sql.Identifier(name), value) for name, value in _SETTINGS.items()]
        settings.append(sql.SQL("SET search_path = {}").format(sql.Identifier(self._address.schema)))
        made.execute(sql.SQL("; ").join(settings))

    def _begin(self, connection: Connection) -> None:
        options = connection.get_execution_options()
        if options.get(_WRITING, False):
            # One writer at a time, who sees all that those before have written: a lock taken first, then a look at
            # what is so now.
            begin = f"BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock({self._lock})"
        else:
            begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
            # Before the state is chosen that is seen: whoever puts a new catalogue in the place of this one waits for
            # its readers, and they for him.
            begin += "" if options.get(_NEW, False) else "; LOCK TABLE schema_version IN ACCESS SHARE MODE"
        connection.exec_driver_sql(begin)

    @property
    def _lock(self) -> int:
        digest = hashlib.blake2b(f"diadem {self._address.schema}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big", signed=True)

    @contextmanager
    def transaction(self, *, writing: bool, new: bool = False) -> Iterator[Connection]:
        """See `database.CataloguePlace`.

        Raises
        ------
        Unreachable, Refused, StoreError, NotFound, IntegrityError
            The server does not answer or lets nobody in, another process writes, its disk is full, or there is no
            catalogue.
        """
        options = {_WRITING: writing, _NEW: new}
        with self.translated(), self._engine.connect().execution_options(**options) as made, made.begin():
            yield made

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Errors of the database in our words."""
        try:
            yield
        except DBAPIError as error:
            raise translate(error.orig if error.orig is not None else error, self.address) from error
        except psycopg.Error as error:
            raise translate(error, self.address) from error

    def _execute(self, *statements: sql.Composed, where: Connection) -> None:
        driver = where.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        for statement in statements:
            driver.execute(statement)

    def exists(self) -> bool:
        """Whether the schema is there."""
        with self.transaction(writing=False, new=True) as connection:
            found = connection.exec_driver_sql(
                "SELECT 1 FROM pg_namespace WHERE nspname = %s", (self._address.schema,)
            ).first()
        return found is not None

    def make(self) -> None:
        """Make the schema, unless it is there."""
        create = sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(self._named(self._address.schema))
        with self.transaction(writing=True, new=True) as connection:
            self._execute(create, where=connection)

    @staticmethod
    def _named(schema: str) -> sql.Identifier:
        return sql.Identifier(schema)

    def close(self) -> None:
        """Close its connections."""
        self._engine.dispose()

    def draft(self) -> Self:
        """A schema beside it, of a name that says what it is."""
        ending = f"{_DRAFT}{uuid.uuid4().hex[:8]}"
        return type(self)(self._address.with_schema(self._address.schema[: _NAME - len(ending)] + ending))

    def forget_drafts(self) -> None:
        """Remove such schemas."""
        begin = self._address.schema[: _NAME - len(_DRAFT) - 8] + _DRAFT
        with self.transaction(writing=True) as connection:
            found = connection.exec_driver_sql(
                "SELECT nspname FROM pg_namespace WHERE starts_with(nspname::text, %s)", (begin,)
            ).scalars()
            self._execute(*(_drop(name) for name in found.all()), where=connection)

    def discard(self) -> None:
        """Close it and remove the schema."""
        with self.transaction(writing=True, new=True) as connection:
            self._execute(_drop(self._address.schema), where=connection)
        self.close()

    def set_aside(self) -> None:
        """Give the schema another name; an earlier one of that name goes."""
        own = self._address.schema
        aside = own[: _NAME - len(_DAMAGED)] + _DAMAGED
        with self.transaction(writing=True, new=True) as connection:
            self._execute(_drop(aside), _rename(own, aside), where=connection)
        self.close()

    def take_over(self, draft: Self) -> None:
        """Put the draft's schema in the place of this one when no reader is in the midst of it."""
        draft.close()
        own = self._address.schema
        gone = own[: _NAME - len(_GONE)] + _GONE
        with self.transaction(writing=True, new=True) as connection:
            lock = sql.SQL("LOCK TABLE {}.schema_version IN ACCESS EXCLUSIVE MODE").format(sql.Identifier(own))
            # Whoever has been told that the catalogue was built does not find another one after a power failure.
            durable = sql.SQL("SET LOCAL synchronous_commit = {}").format("on")
            self._execute(
                durable, lock, _rename(own, gone), _rename(draft._address.schema, own), _drop(gone), where=connection
            )
        self.analyse()

    def size(self) -> int:
        """Bytes of its tables and indices."""
        of_tables = "SELECT coalesce(sum(pg_total_relation_size(oid)), 0) FROM pg_class"
        own = f"{of_tables} WHERE relkind = 'r' AND relnamespace = %s::regnamespace"
        with self.transaction(writing=False) as connection:
            return int(connection.exec_driver_sql(own, (self._address.schema,)).scalar() or 0)

    def analyse(self) -> None:
        """Let the server see how much there is of what; it would do so itself some minutes later."""
        with self.transaction(writing=True) as connection:
            names = connection.exec_driver_sql(
                "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = %s::regnamespace",
                (self._address.schema,),
            ).scalars()
            self._execute(
                *(sql.SQL("ANALYZE {}").format(sql.Identifier(name)) for name in names.all()), where=connection
            )

    def snapshot(self, path: Path) -> bool:  # noqa: ARG002
        """There is no file to copy."""
        return False


_DRAFT, _DAMAGED, _GONE = "_draft_", "_damaged", "_gone"


def _drop(schema: str) -> sql.Composed:
    return sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema))


def _rename(schema: str, name: str) -> sql.Composed:
    return sql.SQL("ALTER SCHEMA {} RENAME TO {}").format(sql.Identifier(schema), sql.Identifier(name))
