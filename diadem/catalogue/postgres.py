"""All that is PostgreSQL's own on a connection: the index of words, bulk insertion, conditions.

`sqlite.py` has the same for SQLite, and `server.py` the place of a catalogue on a server. The index of words is one
vector of lexemes for each package (see `lexemes.py`). A package with very many of them has its vectors in a table of
their own: there each phrase is looked up by itself, for no single vector has them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from itertools import chain
from typing import Any, Final

from psycopg import Connection as Driver
from psycopg import sql
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    ForeignKey,
    Insert,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Select,
    Table,
    and_,
    bindparam,
    cast,
    delete,
    false,
    literal_column,
    not_,
    or_,
    select,
    text,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY, TSQUERY, TSVECTOR
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateIndex
from sqlalchemy.sql.compiler import SQLCompiler

from diadem.catalogue.database import Said, TextHits
from diadem.catalogue.expressions import BESIDE, Among, ByteText, Contains, ContainsOne, Keys
from diadem.catalogue.lexemes import apart, exact, lexemes, parts, query
from diadem.catalogue.order import EVERYTHING, Stretch
from diadem.catalogue.server import PostgresPlace
from diadem.catalogue.words import Every, Without, Wording, Words

__all__ = [
    "LOOKS_UP_WORDS", "PostgresPlace", "create_texts", "exact", "insert_rows", "remove_text", "text_search", "upsert",
    "write_texts",
]  # fmt: skip

#: See `database.Database`: an index of lexemes gives its packages all at once, and in no order.
LOOKS_UP_WORDS: Final = False
_metadata = MetaData()
#: Stubs, so that foreign keys find their table.
_packages = Table("packages", _metadata, Column("seq", BigInteger, primary_key=True))


def _package() -> Column[int]:
    rule = ForeignKey("packages.seq", ondelete="CASCADE", onupdate="CASCADE")
    return Column("package", BigInteger, rule, nullable=False)


texts = Table(
    "texts",
    _metadata,
    _package(),
    Column("large", Boolean, nullable=False),  # its vectors are in `large_texts`
    Column("words", TSVECTOR, nullable=False),
    PrimaryKeyConstraint("package"),
)
large_texts = Table(
    "large_texts",
    _metadata,
    _package(),
    Column("part", Integer, nullable=False),
    Column("words", TSVECTOR, nullable=False),
    PrimaryKeyConstraint("package", "part"),
)
#: Where a package lies: the part of all keys, of each of these sizes, that its key is in. They are powers of two: the
#: smallest is an eighth of a day, the largest eleven years.
_SIZES: Final = (38, 41, 44, 47, 50, 53)
#: Parts that are asked for at once. There is a size of which a stretch has no more, and not fewer than an eighth.
_PARTS: Final = 24
#: Questions that are kept.
_ASKED: Final = 64
_PLACES: Final = "ARRAY[" + ", ".join(f"(package >> {size} << 3 | {at})" for at, size in enumerate(_SIZES)) + "]"
#: Vectors lie apart from their rows, so that those of thousands of packages are gone through quickly; they are never
#: read. A pending list would be gone through by every search.
#: An index of words gives all hits of a word, in no order. This one has the places of the packages as well: what has a
#: common word within a month, or is among the newest, is found by going through both lists side by side.
_INDICES: Final = (
    "ALTER TABLE texts ALTER words SET STORAGE EXTERNAL",
    f"CREATE INDEX texts_words ON texts USING gin (words, ({_PLACES})) WITH (fastupdate = off)",
    "CREATE INDEX texts_large ON texts (package) WHERE large",
    "CREATE INDEX large_texts_words ON large_texts USING gin (words) WITH (fastupdate = off)",
)


def create_texts(connection: Connection) -> None:
    """Make the index of words."""
    _metadata.create_all(connection, tables=[texts, large_texts])
    for statement in _INDICES:
        connection.execute(text(statement))


def write_texts(connection: Connection, packages: Iterable[tuple[int, Iterable[Said]]]) -> None:
    """Make the words of packages searchable."""
    rows: list[dict[str, Any]] = []
    large: list[dict[str, Any]] = []
    for package, said in packages:
        first, *more = vectors = parts(lexemes(said))
        rows.append({"package": package, "large": bool(more), "lexemes": [] if more else first})
        if more:
            large += ({"package": package, "part": number, "lexemes": part} for number, part in enumerate(vectors))
    for statement, values in ((_WRITE_TEXT, rows), (_WRITE_LARGE, large)):
        if values:
            connection.execute(statement, values)


_WRITE_TEXT: Final = text(
    "INSERT INTO texts (package, large, words) VALUES (:package, :large, array_to_tsvector(CAST(:lexemes AS text[])))"
)
_WRITE_LARGE: Final = text(
    "INSERT INTO large_texts (package, part, words) "
    "VALUES (:package, :part, array_to_tsvector(CAST(:lexemes AS text[])))"
)


def remove_text(connection: Connection, package: int) -> None:
    """Take them out again."""
    for table in (texts, large_texts):
        connection.execute(delete(table).where(table.c.package == package))


def text_search(wording: Wording, stretch: Stretch = EVERYTHING) -> TextHits:
    """Packages of a stretch whose texts fulfil a wording, in no order; where it is not `exact`, perhaps a few more.

    The hits are gathered before anything else is looked at: else the server may go through all packages in order and
    unpack the vector of each, for it does not know what that costs.
    """
    values: dict[str, Any] = {"low": stretch.low, "high": stretch.high}
    if places := _places_of(stretch):
        values["places"] = places
    return TextHits(*_asked(wording, near=bool(places)), values)


@lru_cache(maxsize=_ASKED)
def _asked(wording: Wording, *, near: bool) -> tuple[Select[Any], ColumnElement[int]]:
    """The question for hits of a wording in a stretch, one that lies within few places or any, and its key."""
    small = select(texts.c.package).where(_matches(texts.c.words, query(wording)), not_(texts.c.large))
    if near:
        small = small.where(_places.op("&&", is_comparison=True)(cast(bindparam("places"), ARRAY(BigInteger))))
    large = select(texts.c.package).where(texts.c.large, _large(wording))
    hits = union_all(small, large).cte("hits").prefix_with("MATERIALIZED")
    low, high = bindparam("low", type_=BigInteger), bindparam("high", type_=BigInteger)
    return select(hits.c.package).where(hits.c.package >= low, hits.c.package < high), hits.c.package


_places: ColumnElement[Any] = literal_column(_PLACES)


def _places_of(stretch: Stretch) -> list[int]:
    """The parts of all keys that a stretch lies in; none where it is too long."""
    for at, size in enumerate(_SIZES):
        first, last = stretch.low >> size, (stretch.high - 1) >> size
        if last - first < _PARTS:
            return [part << 3 | at for part in range(first, last + 1)]
    return []


def _matches(column: ColumnElement[Any], asked: str) -> ColumnElement[bool]:
    return column.op("@@", is_comparison=True)(cast(bindparam(None, asked, type_=ByteText()), TSQUERY))


def _in_a_part(asked: str) -> ColumnElement[bool]:
    return texts.c.package.in_(select(large_texts.c.package).where(_matches(large_texts.c.words, asked)))


def _large(wording: Wording) -> ColumnElement[bool]:
    """Whether a package with many vectors fulfils a wording: each lexeme of a phrase may be in another one."""
    if isinstance(wording, Words):
        return or_(false(), *(and_(*map(_in_a_part, lexemes_of_key)) for lexemes_of_key in apart(wording)))
    if isinstance(wording, Without):
        return and_(_large(wording.part), not_(_large(wording.denied)))
    found = map(_large, wording.parts)
    return and_(*found) if isinstance(wording, Every) else or_(*found)


@compiles(ByteText, "postgresql")
def _byte_text(_: ByteText, compiler: Any, **options: Any) -> str:  # noqa: ARG001
    return 'TEXT COLLATE "C"'


@compiles(CreateIndex, "postgresql")
def _create_index(element: CreateIndex, compiler: Any, **options: Any) -> str:
    if beside := element.element.info.get(BESIDE):
        element.element.dialect_options["postgresql"]["include"] = beside
    return str(compiler.visit_create_index(element, **options))


@compiles(Among, "postgresql")
def _among(element: Among, compiler: SQLCompiler, **options: Any) -> str:
    column, given = (compiler.process(clause, **options) for clause in element.clauses)
    keys = isinstance(list(element.clauses)[1].type, Keys)
    return f"{column} = ANY ({f'CAST({given} AS BIGINT[])' if keys else given})"


@compiles(Contains, "postgresql")
def _contains(element: Contains, compiler: SQLCompiler, **options: Any) -> str:
    column, given = (compiler.process(clause, **options) for clause in element.clauses)
    return f"strpos({column}, {given}) > 0"


@compiles(ContainsOne, "postgresql")
def _contains_one(element: ContainsOne, compiler: SQLCompiler, **options: Any) -> str:
    column, given = (compiler.process(clause, **options) for clause in element.clauses)
    return f"EXISTS (SELECT 1 FROM unnest({given}) AS given (value) WHERE strpos({column}, given.value) > 0)"  # noqa: S608


@cache
def upsert(table: Table, *unique: str) -> Insert:
    """Insert a row; where one is there with the same values in `unique`, it gets the new values of the rest."""
    statement = postgres_insert(table)
    changed = {column.name: statement.excluded[column.name] for column in table.c if column.name not in unique}
    return statement.on_conflict_do_update(index_elements=list(unique), set_=changed)


def insert_rows(connection: Connection, table: Table, rows: Iterable[Sequence[Any]]) -> None:
    """Insert many rows, each with a value for every column of the table, by COPY."""
    remaining = iter(rows)
    for first in remaining:  # none, and there is nothing to tell the server
        driver = connection.connection.driver_connection
        assert isinstance(driver, Driver)
        with driver.cursor() as cursor, cursor.copy(_copy(table)) as copy:
            for row in chain([first], remaining):
                copy.write_row(tuple(row))


@cache
def _copy(table: Table) -> sql.Composed:
    columns = sql.SQL(", ").join(sql.Identifier(column.name) for column in table.c)
    return sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table.name), columns)
