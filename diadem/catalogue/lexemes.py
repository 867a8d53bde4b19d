"""The index of words on PostgreSQL: the words of a package as lexemes of its text search, and what a search asks for.

PostgreSQL keeps at most 256 positions of a lexeme, none beyond 16383, and no vector of more than 1 MiB: a session of
20,000 files has more. So no positions are used. What a search can ask for is a lexeme of its own:

- a word, and two words that follow one another;
- both again for each key that states them: ``operator:curie``;
- the whole text for each key: ``operator:="Marie Curie"``;
- all of it again for texts that hold for all datasets.

A wording that is one lexeme is decided by the index alone. A longer one asks for all of its pairs; what is found then
is looked at (`exact` says which). A word has letters and digits only, so the signs before the lexemes are in none.

There is one vector of lexemes for each package. A package with very many of them has its vectors in a table of their
own: there each phrase is looked up by itself, for no single vector has them all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
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
)  # fmt: skip
from sqlalchemy.dialects.postgresql import ARRAY, TSQUERY, TSVECTOR

from diadem.catalogue.database import IndexedText, TextHits
from diadem.catalogue.package_key import EVERYTHING, Stretch
from diadem.catalogue.tables import ByteText, package_column
from diadem.catalogue.words import Every, Without, Wording, Words

#: Bytes of the longest lexeme that is written as it is (PostgreSQL takes 2046); the rest of a longer one is digested.
LONGEST: Final = 200
#: Bytes of lexemes in one vector: PostgreSQL counts them in 20 bits.
MOST: Final = 250_000
#: Signs: of all datasets; of one key; two words; a whole text.
_EVERYWHERE, _KEYED, _PAIR, _WHOLE = "!", ":", "+", "="
_NOTHING: Final = "'-'"

# Tables, and how they are written

_metadata = MetaData()
#: A stub, so that foreign keys find their table.
_packages = Table("packages", _metadata, Column("seq", BigInteger, primary_key=True))

texts = Table(
    "texts",
    _metadata,
    package_column(),
    Column("large", Boolean, nullable=False),  # its vectors are in `large_texts`
    Column("words", TSVECTOR, nullable=False),
    PrimaryKeyConstraint("package"),
)
large_texts = Table(
    "large_texts",
    _metadata,
    package_column(),
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
_places: ColumnElement[Any] = literal_column(_PLACES)
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
_WRITE_TEXT: Final = text(
    "INSERT INTO texts (package, large, words) VALUES (:package, :large, array_to_tsvector(CAST(:lexemes AS text[])))"
)
_WRITE_LARGE: Final = text(
    "INSERT INTO large_texts (package, part, words) "
    "VALUES (:package, :part, array_to_tsvector(CAST(:lexemes AS text[])))"
)


def create_texts(connection: Connection) -> None:
    """Make the index of words."""
    _metadata.create_all(connection, tables=[texts, large_texts])
    for statement in _INDICES:
        connection.execute(text(statement))


def write_texts(connection: Connection, packages: Iterable[tuple[int, Iterable[IndexedText]]]) -> None:
    """Make the words of packages searchable."""
    rows: list[dict[str, Any]] = []
    large: list[dict[str, Any]] = []
    for package, said in packages:
        first, *more = vectors = _parts(_lexemes(said))
        rows.append({"package": package, "large": bool(more), "lexemes": [] if more else first})
        if more:
            large += ({"package": package, "part": number, "lexemes": part} for number, part in enumerate(vectors))
    for statement, values in ((_WRITE_TEXT, rows), (_WRITE_LARGE, large)):
        if values:
            connection.execute(statement, values)


def remove_text(connection: Connection, package: int) -> None:
    """Take them out again."""
    for table in (texts, large_texts):
        connection.execute(delete(table).where(table.c.package == package))


def _lexemes(said: Iterable[IndexedText]) -> Iterator[str]:
    """All lexemes of texts, some of them several times."""
    for own in said:
        for one in _of_text(own):
            yield one
            if own.everywhere:
                yield _EVERYWHERE + one


def _of_text(text: IndexedText) -> Iterator[str]:
    words = text.words.split()
    keyed = f"{_KEYED}{text.key}"
    for word in words:
        yield _cut(word)
        yield f"{keyed} {_cut(word)}"
    for pair in pairwise(words):
        joined = _PAIR + _cut(" ".join(pair))
        yield joined
        yield keyed + joined
    yield keyed + _WHOLE + _cut(" ".join(words))


def _parts(found: Iterable[str]) -> list[list[str]]:
    """Lexemes, each once, in as many lists as vectors are needed for them."""
    made: list[list[str]] = [[]]
    size = 0
    for one in dict.fromkeys(found):
        size += len(one.encode())
        if size > MOST:
            made.append([])
            size = len(one.encode())
        made[-1].append(one)
    return made


def _cut(text: str) -> str:
    """A text that fits; of a longer one its beginning and a digest of it all."""
    data = text.encode()
    if len(data) <= LONGEST:
        return text
    return f"{_beginning(text)}#{hashlib.sha256(data).hexdigest()}"


def _beginning(text: str) -> str:
    return text.encode()[:LONGEST].decode("utf-8", "ignore")


# How they are asked


def text_search(wording: Wording, stretch: Stretch = EVERYTHING) -> TextHits:
    """Packages of a stretch whose texts fulfil a wording, in no order; where it is not `exact`, perhaps a few more.

    The hits are gathered before anything else is looked at: else the server may go through all packages in order and
    unpack the vector of each, for it does not know what that costs.
    """
    values: dict[str, Any] = {"low": stretch.low, "high": stretch.high}
    if places := _places_of(stretch):
        values["places"] = places
    return TextHits(*_question(wording, near=bool(places)), values)


@lru_cache(maxsize=_ASKED)
def _question(wording: Wording, *, near: bool) -> tuple[Select[Any], ColumnElement[int]]:
    """The question for hits of a wording in a stretch, one that lies within few places or any, and its key."""
    small = select(texts.c.package).where(_matches(texts.c.words, _query(wording)), not_(texts.c.large))
    if near:
        small = small.where(_places.op("&&", is_comparison=True)(cast(bindparam("places"), ARRAY(BigInteger))))
    large = select(texts.c.package).where(texts.c.large, _large(wording))
    hits = union_all(small, large).cte("hits").prefix_with("MATERIALIZED")
    low, high = bindparam("low", type_=BigInteger), bindparam("high", type_=BigInteger)
    return select(hits.c.package).where(hits.c.package >= low, hits.c.package < high), hits.c.package


def _places_of(stretch: Stretch) -> list[int]:
    """The parts of all keys that a stretch lies in; none where it is too long."""
    for at, size in enumerate(_SIZES):
        first, last = stretch.low >> size, (stretch.high - 1) >> size
        if last - first < _PARTS:
            return [part << 3 | at for part in range(first, last + 1)]
    return []


def _matches(column: ColumnElement[Any], asked: str) -> ColumnElement[bool]:
    return column.op("@@", is_comparison=True)(cast(bindparam(None, asked, type_=ByteText()), TSQUERY))


def _large(wording: Wording) -> ColumnElement[bool]:
    """Whether a package with many vectors fulfils a wording: each lexeme of a phrase may be in another one."""
    if isinstance(wording, Words):
        return or_(false(), *(and_(*map(_in_a_part, lexemes_of_key)) for lexemes_of_key in _apart(wording)))
    if isinstance(wording, Without):
        return and_(_large(wording.part), not_(_large(wording.denied)))
    found = map(_large, wording.parts)
    return and_(*found) if isinstance(wording, Every) else or_(*found)


def _in_a_part(asked: str) -> ColumnElement[bool]:
    return texts.c.package.in_(select(large_texts.c.package).where(_matches(large_texts.c.words, asked)))


def _query(wording: Wording) -> str:
    """A wording in the language of ``tsquery``; where a phrase is not `exact`, with less than it asks for."""
    if isinstance(wording, Words):
        found = ["(" + " & ".join(lexemes_of_key) + ")" for lexemes_of_key in _apart(wording)]
        return "(" + " | ".join(found) + ")" if found else _NOTHING
    if isinstance(wording, Without):
        return f"({_query(wording.part)} & !{_query(wording.denied)})"
    return "(" + (" & " if isinstance(wording, Every) else " | ").join(map(_query, wording.parts)) + ")"


def _apart(words: Words) -> list[list[str]]:
    """For each key that a phrase may have, all lexemes that it asks for, each in the language of ``tsquery``."""
    keys = [""] if words.codes is None else [f"{_KEYED}{code}" for code in words.codes]
    found = []
    for key in keys:
        named = [
            key + one if not key or one.startswith((_PAIR, _WHOLE)) else f"{key} {one}" for one in _asked(words)[0]
        ]
        quoted = [_quoted((_EVERYWHERE if words.everywhere else "") + one) for one in named]
        found.append([*quoted[:-1], quoted[-1] + ":*"] if words.open else quoted)
    return found


def _quoted(lexeme: str) -> str:
    return "'" + lexeme.replace("\\", "\\\\").replace("'", "''") + "'"


def exact(words: Words) -> bool:
    """Whether all packages with the lexemes of a phrase have the phrase."""
    return _asked(words)[1]


def _asked(words: Words) -> tuple[list[str], bool]:
    """Lexemes that a phrase asks for, without their key; and whether a text with all of them has the phrase."""
    every = words.words
    joined = " ".join(every)
    if words.whole and words.codes is not None:
        return [_WHOLE + _last(joined, words)], not _too_long(joined, words)
    if len(every) == 1:
        return [_last(joined, words)], not _too_long(joined, words)
    pairs = [" ".join(pair) for pair in pairwise(every)]
    asked = [_PAIR + _cut(pair) for pair in pairs[:-1]] + [_PAIR + _last(pairs[-1], words)]
    return asked, len(pairs) == 1 and not _too_long(joined, words)


def _last(text: str, words: Words) -> str:
    return _beginning(text) if words.open else _cut(text)


def _too_long(text: str, words: Words) -> bool:
    """Whether it goes on behind the beginning that is kept."""
    return words.open and len(text.encode()) > LONGEST
