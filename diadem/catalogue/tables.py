"""Tables of the catalogue, their types, and conditions on their columns that each database writes in its own way.

A package's key, `seq`, is made of its date and the first digits of its id (see `package_key.py`): packages lie in the
order in which search lists them, whatever the order in which they came, and the first page of a search is found without
sorting.

A fact of a record, a number or a phrase, is one row for each *distinct* value in a package, with the datasets that
state it: a session of 20,000 images at 200 kV has one row that says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Self

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    bindparam,
    func,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import SchemaItem
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.operators import OperatorType
from sqlalchemy.types import TypeDecorator, TypeEngine

#: What an index says of the columns that stand beside its own, so that a search need not look into the table.
BESIDE: Final = "beside"
#: Which rows it is of, for that database too: `postgresql_where` would import its dialect in every command.
ONLY: Final = "only"


class ByteText(Text):
    """A text that is compared and ordered byte by byte, whatever language the server of a database speaks."""


class ListOf(TypeDecorator[Sequence[Any]]):
    """Many values as one: an array where the database has such, else JSON.

    Keys are written as text, which PostgreSQL takes apart: a driver would go through a list one key at a time.
    """

    impl = Text
    cache_ok = True

    def __init__(self, item: TypeEngine[Any]) -> None:
        self.item = item
        self.keys = isinstance(item, BigInteger)
        super().__init__()

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """An array, or a text."""
        if dialect.name != "postgresql" or self.keys:
            return dialect.type_descriptor(Text())
        from sqlalchemy.dialects.postgresql import ARRAY

        return dialect.type_descriptor(ARRAY(self.item))

    def process_bind_param(self, value: Sequence[Any] | None, dialect: Dialect) -> Any:
        """The values as the driver takes them."""
        given = list(value or ())
        if dialect.name != "postgresql":
            return json.dumps(given)
        return f"{{{','.join(map(str, given))}}}" if self.keys else given


metadata = MetaData()
#: The one version of the tables, raised by one with every change of them, or of what stands in them. A catalogue is a
#: cache: one of another version is built anew, unless no more than `ADDED` is missing in it.
VERSION: Final = 7
#: What makes tables of the version before those of this one.
ADDED: Final = ("ALTER TABLE packages ADD COLUMN owed BOOLEAN DEFAULT FALSE NOT NULL",)


def _compact(name: str, *parts: SchemaItem) -> Table:
    """A table whose rows lie in its primary key: SQLite needs no number for each beside it."""
    return Table(name, metadata, *parts, sqlite_with_rowid=False)


def package_column() -> Column[int]:
    """The package of a row; rows follow when its date, and so its key, changes, and go with it."""
    rule = ForeignKey("packages.seq", ondelete="CASCADE", onupdate="CASCADE")
    return Column("package", BigInteger, rule, nullable=False)


def _stated_by() -> tuple[Column[bool], Column[str]]:
    """Whether all datasets of the package state it, and which ones do, see `dataset_sets.py`."""
    return Column("everywhere", Boolean, nullable=False), Column("datasets", ByteText, nullable=False)


packages = Table(
    "packages",
    metadata,
    # INTEGER, not BIGINT: in SQLite only INTEGER PRIMARY KEY is the row's own number.
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("id", ByteText, nullable=False, unique=True),  # 64 hex digits
    Column("payload_id", ByteText, nullable=False, index=True),
    Column("path", ByteText, nullable=False),
    Column("title", ByteText, nullable=False),
    Column("date", ByteText),  # YYYY-MM-DD
    Column("bytes", BigInteger, nullable=False),
    Column("files", BigInteger, nullable=False),
    Column("owner", ByteText, nullable=False),
    Column("ingested_at", ByteText),  # YYYY-MM-DDThh:mm:ssZ
    Column("predecessor", ByteText, index=True),
    Column("omitted", Integer, nullable=False),
    Column("issues", ByteText, nullable=False),  # JSON: code to count
    Column("datasets", Integer, nullable=False),
    Column("instrument", ByteText, nullable=False),
    Column("sample", ByteText, nullable=False),
    Column("operator", ByteText, nullable=False),
    Column("formats", ByteText, nullable=False),  # JSON list
    Column("tombstone", ByteText),  # JSON: reason, statement, at
    Column("owed", Boolean, nullable=False),  # its datasets are still to be entered; the last, see `ADDED`
    Index("packages_alive", "tombstone"),  # those without one are counted by it
)
# Of the few that are owed, so that each opening of a node learns of them without going through all packages.
_owed = packages.c.owed.is_(True)
packages_owed = Index("packages_owed", packages.c.seq, sqlite_where=_owed, info={ONLY: _owed})

keys = Table(
    "keys",
    metadata,
    Column("code", Integer, primary_key=True),
    Column("name", ByteText, nullable=False, unique=True),
)

numbers = _compact(
    "numbers",
    package_column(),
    Column("key", Integer, ForeignKey("keys.code"), nullable=False),
    Column("number", Double, nullable=False),  # in the unit of the field
    *_stated_by(),
    PrimaryKeyConstraint("package", "key", "number"),
    Index("numbers_by_key", "key", "number", "package"),
)

phrases = _compact(
    "phrases",
    package_column(),
    Column("key", Integer, ForeignKey("keys.code"), nullable=False),
    Column("rank", Integer, nullable=False),
    Column("text", ByteText, nullable=False),
    Column("words", ByteText, nullable=False),  # the text's words, see `words.py`
    *_stated_by(),
    PrimaryKeyConstraint("package", "key", "rank"),
)

datasets = _compact(
    "datasets",
    package_column(),
    Column("number", Integer, nullable=False),  # from 1, in the order of the record
    Column("id", ByteText, nullable=False),
    Column("path", ByteText, nullable=False),
    PrimaryKeyConstraint("package", "number"),
)

tag_files = Table(
    "tag_files",
    metadata,
    package_column(),
    Column("path", ByteText, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),  # zlib
    PrimaryKeyConstraint("package", "path"),
)

replicas = _compact(
    "replicas",
    package_column(),
    Column("store", ByteText, nullable=False),
    Column("path", ByteText, nullable=False),
    Column("state", ByteText, nullable=False),
    Column("adopted", Boolean, nullable=False),
    Column("written_at", ByteText),
    Column("proven_at", ByteText),
    Column("proven_level", ByteText, nullable=False),
    Column("parity", Boolean, nullable=False),
    Column("place", ByteText),
    PrimaryKeyConstraint("package", "store"),
    Index("replicas_by_store", "store", "package"),
)

proofs = _compact(
    "proofs",
    package_column(),
    Column("store", ByteText, nullable=False),
    Column("level", ByteText, nullable=False),
    Column("ok", Boolean, nullable=False),
    Column("at", ByteText, nullable=False),
    Column("statement_id", ByteText),
    PrimaryKeyConstraint("package", "store", "level", "ok"),
)

statements = Table(
    "statements",
    metadata,
    Column("statement_id", ByteText, primary_key=True),
    Column("epoch", Integer, nullable=False),
    Column("index", BigInteger, nullable=False),
    Column("kind", ByteText, nullable=False),
    Column("time", ByteText, nullable=False),
    Column("line", LargeBinary, nullable=False),
    Index("statements_by_index", "epoch", "index", unique=True),
)

subjects = _compact(
    "subjects",
    Column("sha256", ByteText, nullable=False),
    Column("statement_id", ByteText, ForeignKey("statements.statement_id", ondelete="CASCADE"), nullable=False),
    Column("kind", ByteText, nullable=False),
    PrimaryKeyConstraint("sha256", "kind", "statement_id"),
)

schema_version = Table(
    "schema_version",
    metadata,
    Column("version", Integer, primary_key=True),
    Column("applied_at", ByteText, nullable=False),
)

#: What a folder that was archived is recognised by when it comes again, see `facts.traces_of`.
traces = _compact(
    "traces",
    Column("trace", BigInteger, nullable=False),
    package_column(),
    PrimaryKeyConstraint("trace", "package"),
    Index("traces_by_package", "package"),
)

#: Samples as the log tells them, see `known_samples.py`.
samples = Table(
    "samples",
    metadata,
    Column("id", ByteText, primary_key=True),  # sample:<uuid>
    Column("identifier", ByteText, nullable=False, index=True),
    Column("document", ByteText, nullable=False),  # JSON: all that is known of it
)

#: Every name of every sample, as words.
sample_names = _compact(
    "sample_names",
    Column("words", ByteText, nullable=False),
    Column("sample", ByteText, nullable=False, index=True),
    Column("kind", ByteText, nullable=False),  # identifier, other, or title: what it is
    Column("text", ByteText, nullable=False),
    Column("lab", ByteText, nullable=False),
    PrimaryKeyConstraint("words", "sample", "kind", "text", "lab"),
)

#: Links and parents of samples.
sample_ties = _compact(
    "sample_ties",
    Column("sample", ByteText, nullable=False),
    Column("kind", ByteText, nullable=False),  # link, parent
    Column("other", ByteText, nullable=False),
    PrimaryKeyConstraint("sample", "kind", "other"),
    Index("sample_ties_by_other", "other", "kind", "sample"),
)

#: Judgements that count now, see `diadem.model.assessments`; each holds for the datasets that it names.
assessments = _compact(
    "assessments",
    package_column(),
    Column("dataset", ByteText, nullable=False),  # id in the record; "" for the whole package
    Column("signal", ByteText, nullable=False),
    Column("purpose", ByteText, nullable=False),  # purpose and criterion as they are compared
    Column("criterion", ByteText, nullable=False),
    Column("by", ByteText, nullable=False),
    Column("plugin", ByteText, nullable=False),
    Column("assessor", ByteText, nullable=False),  # `by` without its node
    Column("verdict", ByteText, nullable=False),
    Column("disputed", Boolean, nullable=False),
    Column("statement_id", ByteText, nullable=False),
    Column("place", BigInteger, nullable=False),  # grows with the log
    Column("said", ByteText, nullable=False),  # JSON: the predicate
    *_stated_by(),
    PrimaryKeyConstraint("package", "dataset", "signal", "purpose", "criterion", "by", "plugin"),
    # The package stands behind what is asked for, so that packages come in order. What else may be asked of the same
    # judgement is in the index too: on SQLite the primary key stands behind it, on PostgreSQL what lies beside.
    Index("assessments_by_verdict", "verdict", "package", info={BESIDE: ["criterion", "assessor"]}),
    Index("assessments_by_purpose", "purpose", "package", info={BESIDE: ["criterion", "assessor"]}),
    Index("assessments_by_both", "purpose", "verdict", "package", info={BESIDE: ["criterion", "assessor"]}),
    Index("assessments_by_criterion", "criterion", "package", info={BESIDE: ["verdict", "purpose", "assessor"]}),
    Index("assessments_by_assessor", "assessor", "package", info={BESIDE: ["verdict", "purpose", "criterion"]}),
    Index("assessments_disputed", "disputed", "package"),
)

#: Packages with datasets that nobody has judged, and which those are.
unassessed = _compact(
    "unassessed",
    package_column(),
    *_stated_by(),
    PrimaryKeyConstraint("package"),
)

#: What the sealed record states of fields that were amended, whose facts are those of the effective record.
sealed_facts = _compact(
    "sealed_facts",
    package_column(),
    Column("key", Integer, ForeignKey("keys.code"), nullable=False),
    Column("facts", ByteText, nullable=False),  # JSON: lists of value and datasets
    PrimaryKeyConstraint("package", "key"),
)

#: What was made from what, by the ids of packages, known or not.
derivations = _compact(
    "derivations",
    Column("result", ByteText, nullable=False),
    Column("source", ByteText, nullable=False),
    Column("path", ByteText, nullable=False),  # of a dataset; "" for the whole package
    Column("statement_id", ByteText, nullable=False),
    PrimaryKeyConstraint("result", "source", "path", "statement_id"),
    Index("derivations_by_source", "source", "result"),
)

#: Users who retired, and who followed, see `diadem.model.ownership`.
successors = Table(
    "successors",
    metadata,
    Column("name", ByteText, primary_key=True),  # alice@hu-berlin
    Column("successor", ByteText, nullable=False),
    Column("place", BigInteger, nullable=False),  # grows with the log
    Column("statement_id", ByteText, nullable=False),
)

#: Values by which results are counted, see `facets.py`, with the packages that have each.
facet_values = Table(
    "facet_values",
    metadata,
    # A running number times 32, and the number of the field.
    Column("code", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("facet", Integer, nullable=False),
    Column("name", ByteText, nullable=False),  # what is compared: words with blanks around, or digits
    Column("text", ByteText, nullable=False),  # as it was first written
    Column("packages", BigInteger, nullable=False),
    Column("datasets", BigInteger, nullable=False),
    Column("listed", BigInteger, nullable=False),  # packages that have it in a field that is listed
    Index("facet_values_by_name", "facet", "name", unique=True),
    Index("facet_values_by_count", "facet", "packages", "listed"),
)

#: The values of each package, in a form that is summed up quickly, see `facet_counts`.
facet_rows = Table(
    "facet_rows",
    metadata,
    package_column(),
    Column("codes", LargeBinary, nullable=False),  # pairs of 32 bits: code; datasets × 2, and whether it is listed
    Column("parts", ByteText, nullable=False),  # JSON: the datasets of values that not all have, by code
    PrimaryKeyConstraint("package"),
)


# Conditions


def alive() -> ColumnElement[bool]:
    """Whether a package was not deleted, of packages that are chosen otherwise.

    Hidden from the index of those that were, by which all packages would be gone through.
    """
    return func.coalesce(packages.c.tombstone, "") == ""


class Condition(FunctionElement[bool]):
    """A condition on a column and what is given, by the name of the database as it is written there.

    As it is: SQLAlchemy would add ``= 1`` for SQLite, and then no index would be used.
    """

    type = Boolean()
    inherit_cache = True
    written: ClassVar[Mapping[str, str]]

    def self_group(self, against: OperatorType | None = None) -> Self:  # noqa: ARG002
        """Itself."""
        return self


@compiles(Condition)
def _written(element: Condition, compiler: SQLCompiler, **options: Any) -> str:
    column, given = (compiler.process(clause, **options) for clause in element.clauses)
    return element.written[compiler.dialect.name].format(column=column, given=given)


class AmongKeys(Condition):
    """Whether a column is one of many keys."""

    inherit_cache = True
    written: ClassVar[Mapping[str, str]] = {
        "sqlite": "{column} IN (SELECT value FROM json_each({given}))",
        "postgresql": "{column} = ANY (CAST({given} AS BIGINT[]))",
    }


class AmongTexts(Condition):
    """Whether a column is one of many texts."""

    inherit_cache = True
    written: ClassVar[Mapping[str, str]] = {
        "sqlite": AmongKeys.written["sqlite"],
        "postgresql": "{column} = ANY ({given})",
    }


class Contains(Condition):
    """Whether a text is in a column's."""

    inherit_cache = True
    written: ClassVar[Mapping[str, str]] = {
        "sqlite": "instr({column}, {given}) > 0",
        "postgresql": "strpos({column}, {given}) > 0",
    }


class ContainsOne(Condition):
    """Whether one of many texts is in a column's."""

    inherit_cache = True
    written: ClassVar[Mapping[str, str]] = {
        "sqlite": "EXISTS (SELECT 1 FROM json_each({given}) AS given WHERE instr({column}, given.value) > 0)",
        "postgresql": (
            "EXISTS (SELECT 1 FROM unnest({given}) AS given (value) WHERE strpos({column}, given.value) > 0)"
        ),
    }


def among(column: ColumnElement[int], keys: Sequence[int]) -> ColumnElement[bool]:
    """Whether a column is one of many keys: one value for the database, however many they are."""
    return AmongKeys(column, bindparam(None, list(keys), type_=ListOf(BigInteger())))


def among_texts(column: ColumnElement[str], texts: Sequence[str]) -> ColumnElement[bool]:
    """The same of texts."""
    return AmongTexts(column, bindparam(None, list(texts), type_=ListOf(Text())))


def contains(column: ColumnElement[str], text: str) -> ColumnElement[bool]:
    """Whether a text is in a column's, letter for letter."""
    return Contains(column, bindparam(None, text, type_=Text()))


def contains_one(column: ColumnElement[str], texts: Sequence[str]) -> ColumnElement[bool]:
    """Whether one of many texts is in a column's: one value for the database, however many they are."""
    return ContainsOne(column, bindparam(None, list(texts), type_=ListOf(Text())))
