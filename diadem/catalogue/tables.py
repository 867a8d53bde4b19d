"""Tables of the catalogue.

A package's key, `seq`, is made of its date and the first digits of its id (see `package_key.py`): packages lie in the
order in which search lists them, whatever the order in which they came, and the first page of a search is found without
sorting.

A fact of a record, a number or a phrase, is one row for each *distinct* value in a package, with the datasets that
state it: a session of 20,000 images at 200 kV has one row that says so.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    func,
)

from diadem.catalogue.expressions import BESIDE
from diadem.catalogue.expressions import ByteText as Text

metadata = MetaData()
#: The one version of the tables, raised by one with every change of them, or of what stands in them. A catalogue is a
#: cache: one of another version is built anew.
VERSION: Final = 6


def _package() -> Column[int]:
    """The package of a row; rows follow when its date, and so its key, changes, and go with it."""
    rule = ForeignKey("packages.seq", ondelete="CASCADE", onupdate="CASCADE")
    return Column("package", BigInteger, rule, nullable=False)


packages = Table(
    "packages",
    metadata,
    # INTEGER, not BIGINT: in SQLite only INTEGER PRIMARY KEY is the row's own number.
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False, unique=True),  # 64 hex digits
    Column("payload_id", Text, nullable=False, index=True),
    Column("path", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("date", Text),  # YYYY-MM-DD
    Column("bytes", BigInteger, nullable=False),
    Column("files", BigInteger, nullable=False),
    Column("owner", Text, nullable=False),
    Column("ingested_at", Text),  # YYYY-MM-DDThh:mm:ssZ
    Column("predecessor", Text, index=True),
    Column("omitted", Integer, nullable=False),
    Column("issues", Text, nullable=False),  # JSON: code to count
    Column("datasets", Integer, nullable=False),
    Column("instrument", Text, nullable=False),
    Column("sample", Text, nullable=False),
    Column("operator", Text, nullable=False),
    Column("formats", Text, nullable=False),  # JSON list
    Column("tombstone", Text),  # JSON: reason, statement, at
    Index("packages_alive", "tombstone"),  # those without one are counted by it
)

keys = Table(
    "keys",
    metadata,
    Column("code", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
)

numbers = Table(
    "numbers",
    metadata,
    _package(),
    Column("key", Integer, ForeignKey("keys.code"), nullable=False),
    Column("number", Double, nullable=False),  # in the unit of the field
    Column("everywhere", Boolean, nullable=False),  # all datasets of the package state it
    Column("datasets", Text, nullable=False),  # which ones, see `dataset_sets.py`
    PrimaryKeyConstraint("package", "key", "number"),
    Index("numbers_by_key", "key", "number", "package"),
    sqlite_with_rowid=False,
)

phrases = Table(
    "phrases",
    metadata,
    _package(),
    Column("key", Integer, ForeignKey("keys.code"), nullable=False),
    Column("rank", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("words", Text, nullable=False),  # the text's words, see `words.py`
    Column("everywhere", Boolean, nullable=False),
    Column("datasets", Text, nullable=False),
    PrimaryKeyConstraint("package", "key", "rank"),
    sqlite_with_rowid=False,
)

datasets = Table(
    "datasets",
    metadata,
    _package(),
    Column("number", Integer, nullable=False),  # from 1, in the order of the record
    Column("id", Text, nullable=False),
    Column("path", Text, nullable=False),
    PrimaryKeyConstraint("package", "number"),
    sqlite_with_rowid=False,
)

tag_files = Table(
    "tag_files",
    metadata,
    _package(),
    Column("path", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),  # zlib
    PrimaryKeyConstraint("package", "path"),
)

replicas = Table(
    "replicas",
    metadata,
    _package(),
    Column("store", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("adopted", Boolean, nullable=False),
    Column("written_at", Text),
    Column("proven_at", Text),
    Column("proven_level", Text, nullable=False),
    Column("parity", Boolean, nullable=False),
    Column("place", Text),
    PrimaryKeyConstraint("package", "store"),
    Index("replicas_by_store", "store", "package"),
    sqlite_with_rowid=False,
)

proofs = Table(
    "proofs",
    metadata,
    _package(),
    Column("store", Text, nullable=False),
    Column("level", Text, nullable=False),
    Column("ok", Boolean, nullable=False),
    Column("at", Text, nullable=False),
    Column("statement_id", Text),
    PrimaryKeyConstraint("package", "store", "level", "ok"),
    sqlite_with_rowid=False,
)

statements = Table(
    "statements",
    metadata,
    Column("statement_id", Text, primary_key=True),
    Column("epoch", Integer, nullable=False),
    Column("index", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("time", Text, nullable=False),
    Column("line", LargeBinary, nullable=False),
    Index("statements_by_index", "epoch", "index", unique=True),
)

subjects = Table(
    "subjects",
    metadata,
    Column("sha256", Text, nullable=False),
    Column("statement_id", Text, ForeignKey("statements.statement_id", ondelete="CASCADE"), nullable=False),
    Column("kind", Text, nullable=False),
    PrimaryKeyConstraint("sha256", "kind", "statement_id"),
    sqlite_with_rowid=False,
)

schema_version = Table(
    "schema_version",
    metadata,
    Column("version", Integer, primary_key=True),
    Column("applied_at", Text, nullable=False),
)

#: What a folder that was archived is recognised by when it comes again, see `facts.traces_of`.
traces = Table(
    "traces",
    metadata,
    Column("trace", BigInteger, nullable=False),
    _package(),
    PrimaryKeyConstraint("trace", "package"),
    Index("traces_by_package", "package"),
    sqlite_with_rowid=False,
)

#: Samples as the log tells them, see `samples.py`.
samples = Table(
    "samples",
    metadata,
    Column("id", Text, primary_key=True),  # sample:<uuid>
    Column("identifier", Text, nullable=False, index=True),
    Column("document", Text, nullable=False),  # JSON: all that is known of it
)

#: Every name of every sample, as words.
sample_names = Table(
    "sample_names",
    metadata,
    Column("words", Text, nullable=False),
    Column("sample", Text, nullable=False, index=True),
    Column("kind", Text, nullable=False),  # identifier, other, or title: what it is
    Column("text", Text, nullable=False),
    Column("lab", Text, nullable=False),
    PrimaryKeyConstraint("words", "sample", "kind", "text", "lab"),
    sqlite_with_rowid=False,
)

#: Links and parents of samples.
sample_ties = Table(
    "sample_ties",
    metadata,
    Column("sample", Text, nullable=False),
    Column("kind", Text, nullable=False),  # link, parent
    Column("other", Text, nullable=False),
    PrimaryKeyConstraint("sample", "kind", "other"),
    Index("sample_ties_by_other", "other", "kind", "sample"),
    sqlite_with_rowid=False,
)

#: Judgements that count now, see `diadem.model.assessments`; each holds for the datasets that it names.
assessments = Table(
    "assessments",
    metadata,
    _package(),
    Column("dataset", Text, nullable=False),  # id in the record; "" for the whole package
    Column("signal", Text, nullable=False),
    Column("purpose", Text, nullable=False),  # purpose and criterion as they are compared
    Column("criterion", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("plugin", Text, nullable=False),
    Column("assessor", Text, nullable=False),  # `by` without its node
    Column("verdict", Text, nullable=False),
    Column("disputed", Boolean, nullable=False),
    Column("statement_id", Text, nullable=False),
    Column("place", BigInteger, nullable=False),  # grows with the log
    Column("said", Text, nullable=False),  # JSON: the predicate
    Column("everywhere", Boolean, nullable=False),
    Column("datasets", Text, nullable=False),
    PrimaryKeyConstraint("package", "dataset", "signal", "purpose", "criterion", "by", "plugin"),
    # The package stands behind what is asked for, so that packages come in order. What else may be asked of the same
    # judgement is in the index too: on SQLite the primary key stands behind it, on PostgreSQL what lies beside.
    Index("assessments_by_verdict", "verdict", "package", info={BESIDE: ["criterion", "assessor"]}),
    Index("assessments_by_purpose", "purpose", "package", info={BESIDE: ["criterion", "assessor"]}),
    Index("assessments_by_both", "purpose", "verdict", "package", info={BESIDE: ["criterion", "assessor"]}),
    Index("assessments_by_criterion", "criterion", "package", info={BESIDE: ["verdict", "purpose", "assessor"]}),
    Index("assessments_by_assessor", "assessor", "package", info={BESIDE: ["verdict", "purpose", "criterion"]}),
    Index("assessments_disputed", "disputed", "package"),
    sqlite_with_rowid=False,
)

#: Packages with datasets that nobody has judged, and which those are.
unassessed = Table(
    "unassessed",
    metadata,
    _package(),
    Column("everywhere", Boolean, nullable=False),
    Column("datasets", Text, nullable=False),
    PrimaryKeyConstraint("package"),
    sqlite_with_rowid=False,
)

#: What the sealed record states of fields that were amended, whose facts are those of the effective record.
sealed_facts = Table(
    "sealed_facts",
    metadata,
    _package(),
    Column("key", Integer, ForeignKey("keys.code"), nullable=False),
    Column("facts", Text, nullable=False),  # JSON: lists of value and datasets
    PrimaryKeyConstraint("package", "key"),
    sqlite_with_rowid=False,
)

#: What was made from what, by the ids of packages, known or not.
derivations = Table(
    "derivations",
    metadata,
    Column("result", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("path", Text, nullable=False),  # of a dataset; "" for the whole package
    Column("statement_id", Text, nullable=False),
    PrimaryKeyConstraint("result", "source", "path", "statement_id"),
    Index("derivations_by_source", "source", "result"),
    sqlite_with_rowid=False,
)

#: Users who retired, and who followed, see `diadem.model.ownership`.
successors = Table(
    "successors",
    metadata,
    Column("name", Text, primary_key=True),  # alice@hu-berlin
    Column("successor", Text, nullable=False),
    Column("place", BigInteger, nullable=False),  # grows with the log
    Column("statement_id", Text, nullable=False),
)

#: Values by which results are counted, see `facet_fields`, with the packages that have each.
facet_values = Table(
    "facet_values",
    metadata,
    # A running number times 32, and the number of the field.
    Column("code", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("facet", Integer, nullable=False),
    Column("name", Text, nullable=False),  # what is compared: words with blanks around, or digits
    Column("text", Text, nullable=False),  # as it was first written
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
    _package(),
    Column("codes", LargeBinary, nullable=False),  # pairs of 32 bits: code; datasets × 2, and whether it is listed
    Column("parts", Text, nullable=False),  # JSON: the datasets of values that not all have, by code
    PrimaryKeyConstraint("package"),
)


def alive() -> ColumnElement[bool]:
    """Whether a package was not deleted, of packages that are chosen otherwise.

    Hidden from the index of those that were, by which all packages would be gone through.
    """
    return func.coalesce(packages.c.tombstone, "") == ""
