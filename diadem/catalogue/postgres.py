"""A catalogue in a schema of a PostgreSQL server: connections, transactions, drafts, errors. `lexemes.py` has its index
of words."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain
from typing import Any, ClassVar, Final, Self

import psycopg
from psycopg import sql
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from sqlalchemy import Connection, Engine, Table, create_engine, event
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import QueuePool
from sqlalchemy.schema import CreateIndex

from diadem.catalogue import lexemes
from diadem.catalogue.database import (
    BUSY_SECONDS,
    NEW,
    REBUILD,
    WRITING,
    Database,
    ServerAddress,
)  # fmt: skip
from diadem.catalogue.tables import BESIDE, ONLY, ByteText
from diadem.errors import DiademError, NotFound, Refused, StoreError, Unreachable

#: The service of the machine's keyring that keeps passwords:
#: ``keyring set diadem-catalogue postgresql://diadem@db.example.org/diadem``.
SERVICE: Final = "diadem-catalogue"
#: Seconds that a server may take to answer.
_PATIENCE: Final = 10
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
_DRAFT, _DAMAGED, _GONE = "_draft_", "_damaged", "_gone"
_OWN_TABLES: Final = "FROM pg_class WHERE relkind = 'r' AND relnamespace = %s::regnamespace"

_SAFE: Final = "Packages and log are not affected: what was archived is in the stores."
_AWAY: Final = (
    f"Start the server, or look at the network, then try again. {_SAFE} For a catalogue in a file: "
    "diadem reindex --into file"
)
_PASSWORD: Final = "Keep the password in ~/.pgpass (one line, host:port:database:user:password) or in PGPASSWORD."  # noqa: S105
#: The words of a server that lets nobody in: before a session there is no SQLSTATE.
_NO_ENTRY: Final = ("password", "authentication", "pg_hba", "role ", "permission")


class _Text(Dumper):
    """Texts as PostgreSQL takes them: it knows no NUL, and a hostile file must not stop an archive."""

    def dump(self, obj: str) -> Buffer:
        """UTF-8."""
        return obj.replace("\0", "\ufffd").encode("utf-8", "replace")


class PostgresDatabase(Database):
    """A catalogue in a schema of its own."""

    #: An index of lexemes gives its packages all at once, and in no order.
    LOOKS_UP_WORDS: ClassVar[bool] = False
    FAULTS: ClassVar[tuple[type[Exception], ...]] = (DBAPIError, psycopg.Error)
    INSERT: ClassVar[Any] = staticmethod(insert)

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

    @property
    def address(self) -> str:
        """The address, with the schema."""
        return str(self._address)

    @property
    def engine(self) -> Engine:
        """Its connections."""
        return self._engine

    def _connect(self) -> psycopg.Connection[Any]:
        try:
            made = self._opened("")
        except psycopg.OperationalError as error:
            password = _kept_password(self._address.server) if "password" in str(error) else ""
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
        if options.get(WRITING, False):
            # One writer at a time, who sees all that those before have written: a lock taken first, then a look at
            # what is so now.
            digest = hashlib.blake2b(f"diadem {self._address.schema}".encode(), digest_size=8).digest()
            lock = int.from_bytes(digest, "big", signed=True)
            begin = f"BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock({lock})"
        else:
            begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
            # Before the state is chosen that is seen: whoever puts a new catalogue in the place of this one waits for
            # its readers, and they for him.
            begin += "" if options.get(NEW, False) else "; LOCK TABLE schema_version IN ACCESS SHARE MODE"
        connection.exec_driver_sql(begin)

    def ours(self, error: BaseException) -> DiademError:
        """By its SQLSTATE: PostgreSQL's documentation, appendix A."""
        if isinstance(error, DiademError):
            return error
        where, said = self.address, " ".join(str(error).split())[:300]
        state = getattr(error, "sqlstate", None) or ""
        if state in ("28000", "28P01") or (not state and any(word in said for word in _NO_ENTRY)):
            return Refused(f"the server of the catalogue refuses the login: {said}", where=where, next=_PASSWORD)
        if state == "3D000" or (not state and "does not exist" in said):
            again = "Make the database: createdb --encoding=UTF8 NAME"
            return NotFound(f"the server of the catalogue has no such database: {said}", where=where, next=again)
        if state == "55P03":
            again = "Wait until the other process is done, then try again."
            return Refused("another process has held the catalogue for a minute", where=where, next=again)
        if state == "53100":
            return StoreError(
                "the disk of the catalogue's server is full", where=where, next="Make room, then try again."
            )
        if state in ("42501", "25006"):
            rights = "GRANT CREATE, CONNECT ON DATABASE name TO role"
            again = f"Give the role its rights: {rights}. A standby cannot be written to."
            return StoreError(f"the catalogue cannot be written to: {said}", where=where, next=again)
        if state in ("3F000", "42P01"):
            return NotFound(f"there is no catalogue, or a part of it is gone: {said}", where=where, next=REBUILD)
        # No connection, a server that starts or stops, or one that has too many to do.
        away = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        if state[:2] in ("08", "53", "57", "58") if state else away:
            return Unreachable(f"the server of the catalogue does not answer: {said}", where=where, next=_AWAY)
        return self.damaged(said)

    # Its place

    def exists(self) -> bool:
        """Whether the schema is there."""
        with self.transaction(writing=False, new=True) as connection:
            known = "SELECT 1 FROM pg_namespace WHERE nspname = %s"
            return connection.exec_driver_sql(known, (self._address.schema,)).first() is not None

    def make(self) -> None:
        """Make the schema, unless it is there."""
        with self.transaction(writing=True, new=True) as connection:
            _run(connection, sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(self._address.schema)))

    def close(self) -> None:
        """Close its connections."""
        self._engine.dispose()

    def draft(self) -> Self:
        """A schema beside it."""
        return type(self)(self._beside(f"{_DRAFT}{uuid.uuid4().hex[:8]}"))

    def _beside(self, ending: str) -> ServerAddress:
        return self._address.with_schema(self._address.schema[: _NAME - len(ending)] + ending)

    def forget_drafts(self) -> None:
        """Remove such schemas."""
        begin = self._address.schema[: _NAME - len(_DRAFT) - 8] + _DRAFT
        with self.transaction(writing=True) as connection:
            known = "SELECT nspname FROM pg_namespace WHERE starts_with(nspname::text, %s)"
            _run(connection, *map(_drop, connection.exec_driver_sql(known, (begin,)).scalars().all()))

    def discard(self) -> None:
        """Close it and remove the schema."""
        with self.transaction(writing=True, new=True) as connection:
            _run(connection, _drop(self._address.schema))
        self.close()

    def set_aside(self) -> None:
        """Give the schema another name; an earlier one of that name goes."""
        aside = self._beside(_DAMAGED).schema
        with self.transaction(writing=True, new=True) as connection:
            _run(connection, _drop(aside), _rename(self._address.schema, aside))
        self.close()

    def take_over(self, draft: Self) -> None:
        """Put the draft's schema in the place of this one when no reader is in the midst of it."""
        draft.close()
        own, gone = self._address.schema, self._beside(_GONE).schema
        with self.transaction(writing=True, new=True) as connection:
            lock = sql.SQL("LOCK TABLE {}.schema_version IN ACCESS EXCLUSIVE MODE").format(sql.Identifier(own))
            # Whoever has been told that the catalogue was built does not find another one after a power failure.
            durable = sql.SQL("SET LOCAL synchronous_commit = {}").format("on")
            _run(connection, durable, lock, _rename(own, gone), _rename(draft._address.schema, own), _drop(gone))
        self.analyse()

    def size(self) -> int:
        """Bytes of its tables and indices."""
        own = f"SELECT coalesce(sum(pg_total_relation_size(oid)), 0) {_OWN_TABLES}"
        with self.transaction(writing=False) as connection:
            return int(connection.exec_driver_sql(own, (self._address.schema,)).scalar() or 0)

    def analyse(self) -> None:
        """Let the server see how much there is of what; it would do so itself some minutes later."""
        with self.transaction(writing=True) as connection:
            names = connection.exec_driver_sql(f"SELECT relname {_OWN_TABLES}", (self._address.schema,)).scalars().all()
            _run(connection, *(sql.SQL("ANALYZE {}").format(sql.Identifier(name)) for name in names))

    # In a transaction

    create_texts = staticmethod(lexemes.create_texts)
    write_texts = staticmethod(lexemes.write_texts)
    remove_text = staticmethod(lexemes.remove_text)
    text_search = staticmethod(lexemes.text_search)
    exact = staticmethod(lexemes.exact)

    def insert_rows(self, connection: Connection, table: Table, rows: Iterable[Sequence[Any]]) -> None:
        """By COPY."""
        remaining = iter(rows)
        first = next(remaining, None)
        if first is None:
            return
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        with driver.cursor() as cursor, cursor.copy(_copy(table)) as copy:
            for row in chain([first], remaining):
                copy.write_row(tuple(row))


def _run(connection: Connection, *statements: sql.Composed) -> None:
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    for statement in statements:
        driver.execute(statement)


def _drop(schema: str) -> sql.Composed:
    return sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema))


def _rename(schema: str, name: str) -> sql.Composed:
    return sql.SQL("ALTER SCHEMA {} RENAME TO {}").format(sql.Identifier(schema), sql.Identifier(name))


@cache
def _copy(table: Table) -> sql.Composed:
    columns = sql.SQL(", ").join(sql.Identifier(column.name) for column in table.c)
    return sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table.name), columns)


def _kept_password(server: str) -> str:
    """The password that the keyring keeps for a server, by its address; "" where there is none, or no keyring."""
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        return ""
    try:
        return keyring.get_password(SERVICE, server) or ""
    except (KeyringError, RuntimeError):
        return ""


@compiles(ByteText, "postgresql")
def _byte_text(_: ByteText, compiler: Any, **options: Any) -> str:  # noqa: ARG001
    return 'TEXT COLLATE "C"'


@compiles(CreateIndex, "postgresql")
def _create_index(element: CreateIndex, compiler: Any, **options: Any) -> str:
    if beside := element.element.info.get(BESIDE):
        element.element.dialect_options["postgresql"]["include"] = beside
    element.element.dialect_options["postgresql"]["where"] = element.element.info.get(ONLY)
    return str(compiler.visit_create_index(element, **options))
