"""From the text of a search to what it asks: names become keys of facts, values numbers in their unit.

- Words are looked for whole in titles, names of files, samples, people and all texts that datasets state; case and
  accents do not count. ``nano*`` finds what begins so, ``"silver nanowires"`` words in a row.
- ``key operator value``: ``kV=200``, ``pixel<5nm``, ``mag:10k..50k``, ``sample:S-12``, ``date:2026-03``. Keys are all
  fields of a record, what they end in (``dwell_time``), and short names (`vocabulary.names`). A number without a unit
  is in the field's own (of ``kV`` in kV). Numbers are equal up to a millionth. Of texts ``:`` means that the words are
  in it, ``=`` that they are all of it; ``!=`` is ``not … =``.
- ``sample:S-12`` finds what names that sample, or what was made from it, by any of their names.
- ``and`` (or nothing between), ``or``, ``not``, parentheses. What is said of datasets must hold for one and the same.
- ``quality:accept purpose:EELS assessed-by:bob`` is one judgement that says all of this; ``not:assessed`` what nobody
  has judged; ``derived-from:`` and ``source-of:`` follow links between packages.

::

    search  = [ either ]
    either  = both { "or" both }
    both    = single { [ "and" ] single }
    single  = "not" single | "(" either ")" | term
    term    = word | key operator value
    operator = ":" | "=" | "!=" | "<" | "<=" | ">" | ">="

A word is what stands between blanks, parentheses and operators; a value ends only at a blank or a parenthesis, so that
it may hold a colon. Both may be put in double quotes. A number may be parted from its unit: ``pixel < 5 nm``.
"""

from __future__ import annotations

import datetime
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from diadem.catalogue import facts, vocabulary
from diadem.catalogue.conditions import (
    NOTHING,
    AllOf,
    AnyOf,
    Begins,
    Between,
    Condition,
    Count,
    Ingested,
    InStore,
    Judged,
    Linked,
    Phrase,
    Unjudged,
    denied,
    one_judgement,
)
from diadem.catalogue.package_key import ID_BITS, Stretch, days_between
from diadem.catalogue.quantities import (
    Unreadable,
    around,
    in_bytes,
    in_unit,
    is_number,
    is_unit,
    limits,
    moments,
    split,
)
from diadem.catalogue.vocabulary import Key
from diadem.catalogue.words import is_short, needed, words
from diadem.errors import UsageError
from diadem.model.assessments import VERDICTS, label

#: Characters, terms and parentheses inside one another that a query may have: more is no question of a person, and the
#: text search of SQLite has a stack of its own for the last.
MAX_LENGTH, MAX_TERMS, MAX_DEPTH = 10_000, 100, 20
#: Names of samples that one term may stand for.
MAX_NAMES: Final = 1_000
_SURROGATE = re.compile("[\ud800-\udfff]")
_SPACE = re.compile(r"\s*")
_OPERATOR = re.compile(r"!=|<=|>=|==|[:=<>≠≤≥]")
_WORD = re.compile(r"(?:[^\s()\"“”„:=<>≠≤≥!]|!(?!=))+")
_VALUE = re.compile(r"[^\s()\"“”„]+")
_QUOTED = re.compile(r"[\"“”„]([^\"“”„]*)[\"“”„]")
_QUOTES = '"“”„'
_SAME: Final = {"==": "=", "≠": "!=", "≤": "<=", "≥": ">="}
_HEX: Final = re.compile(r"[0-9a-f]{8,64}\Z")
#: Kinds of keys whose conditions are of one judgement, where they stand together; and all whose values have no order.
_JUDGEMENTS: Final = ("quality", "not", "purpose", "criterion", "assessor")
_TEXTUAL: Final = frozenset({"text", "id", "store", "made-from", "used-for", *_JUDGEMENTS})
#: What people write before a DOI.
_DOI: Final = re.compile(r"(?:https?://(?:dx\.)?doi\.org/|doi:)", re.IGNORECASE)
_ORDERED: Final = ("<", "<=", ">", ">=")
#: Characters of a query that an error shows around the place that it points at, and those that it says: a word of the
#: query may be very long.
_SHOWN, _SAID = 70, 200
_EXAMPLE = "Example: diadem search 'HAADF voltage>=200kV sample:S-12'"


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of the query: its text (quotes taken off), and where it stands."""

    text: str
    start: int
    end: int
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Term:
    """``key operator value``, or a word alone: then `key` is None and `operator` is ``:``."""

    key: Piece | None
    operator: str
    value: Piece

    @property
    def start(self) -> int:
        """Where it begins in the query."""
        return (self.key or self.value).start

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.value.end


@dataclass(frozen=True, slots=True)
class Query:
    """What a text asks for."""

    condition: Condition
    #: Its terms but for those that are denied.
    asked: Sequence[Term]
    #: All of them, where it is no more than one after the other.
    row: tuple[Term, ...]


class Names:
    """Names that are looked up while a query is understood. This one knows none; a catalogue has its own."""

    def of_sample(self, asked: tuple[str, ...]) -> Iterable[tuple[str, ...]]:  # noqa: ARG002
        """Other names of a sample, those of its parts among them: ``sample:S-12`` asks for each of them."""
        return ()

    def of_owner(self, asked: tuple[str, ...]) -> Iterable[tuple[str, ...]]:  # noqa: ARG002
        """Users who retired and were followed: what was theirs is found by ``owner:`` and their successor."""
        return ()

    def texts(self, keys: tuple[str, ...], part: str, *, ends: bool) -> Sequence[tuple[str, ...]] | None:  # noqa: ARG002
        """Texts of these keys that have a part, or end with it: ``instrument:*Titan*``; None where none are listed."""
        return None

    def older(self, key: int, moment: float) -> int | None:  # noqa: ARG002
        """The key of the oldest session before one that lasted until a moment: ``date:2026-03-14`` finds it, too."""
        return None


def parse(query: str, names: Names | None = None) -> Query:
    """What a query asks for. Raises `UsageError` with carets under what is malformed, not known, or does not fit."""
    if len(query) > MAX_LENGTH:
        raise UsageError(f"a search of {len(query)} characters is too long", next=f"At most {MAX_LENGTH}.")
    if (broken := _SURROGATE.search(query)) is not None:
        raise pointing(query, broken.start(), broken.end(), "this is half a character")
    return _Parser(query, list(_tokens(query)), names or Names()).search()


def _tokens(query: str) -> Iterator[Piece | Term]:
    """Terms; of parentheses and joining words, and at the end, a piece that says which."""
    at = _blank(query, 0)
    while at < len(query):
        token = Piece(query[at], at, at + 1) if query[at] in "()" else _token(query, at)
        yield token
        at = _blank(query, token.end)
    yield Piece("", len(query), len(query) + 1)


def _blank(query: str, at: int) -> int:
    found = _SPACE.match(query, at)
    return found.end() if found else at


def _token(query: str, at: int) -> Piece | Term:
    """A term or a joining word at a place that is neither blank nor a parenthesis."""
    if found := _OPERATOR.match(query, at):
        raise pointing(
            query, at, found.end(), f"there is no name before '{found[0]}'", next="Write for example kV>=200."
        )
    word = _piece(query, at, _WORD)
    operator = _OPERATOR.match(query, _blank(query, word.end))
    if operator is None:
        joining = not word.quoted and word.text.lower() in ("and", "or", "not")
        return replace(word, text=word.text.lower()) if joining else Term(None, ":", word)
    start = _blank(query, operator.end())
    if start == len(query) or query[start] in "()":
        raise pointing(query, start, start + 1, f"there is no value after '{operator[0]}'")
    value = _with_unit(query, _piece(query, start, _VALUE))
    return Term(word, _SAME.get(operator[0], operator[0]), value)


def _piece(query: str, at: int, pattern: re.Pattern[str]) -> Piece:
    if query[at] in _QUOTES:
        quoted = _QUOTED.match(query, at)
        if quoted is None:
            raise pointing(query, at, at + 1, "the quotation mark is never closed")
        return Piece(quoted[1], at, quoted.end(), quoted=True)
    found = pattern.match(query, at)
    if found is None:  # a lone '!' before '='
        raise pointing(query, at, at + 1, f"'{query[at]}' is not understood here", next="Put it in double quotes.")
    return Piece(found[0], at, found.end())


def _with_unit(query: str, value: Piece) -> Piece:
    """The value, joined with the word after it where that is the unit of a bare number."""
    if value.quoted or not is_number(value.text.rpartition("..")[2]):
        return value
    start = _blank(query, value.end)
    found = _VALUE.match(query, start)
    if found is None or not is_unit(found[0]):
        return value
    return Piece(f"{value.text} {found[0]}", value.start, found.end())


class _Parser:
    """Recursive descent over the tokens. A malformed query is told of before a name or value that is wrong."""

    def __init__(self, query: str, tokens: list[Piece | Term], names: Names) -> None:
        self._query, self._tokens, self._names = query, tokens, names
        self._at = self._depth = 0
        self._asked: list[Term] = []
        self._row: tuple[Term, ...] = ()  # the terms of what was parsed last, where that is one or a row of them
        self._wrong: UsageError | None = None
        terms = [token for token in tokens if isinstance(token, Term)]
        if len(terms) > MAX_TERMS:
            last = terms[MAX_TERMS]
            raise pointing(query, last.start, last.end, f"there are more than {MAX_TERMS} terms")

    def search(self) -> Query:
        if len(self._tokens) == 1:
            return Query(AllOf(()), (), ())
        condition = self._either()
        if self._at < len(self._tokens) - 1:  # nothing but a closing parenthesis ends `_either` before the end
            raise self._malformed("there is no opening parenthesis for this one")
        if self._wrong is not None:
            raise self._wrong
        return Query(condition, self._asked, self._row)

    def _kind(self) -> str:
        """Of what comes next: "" for the end, a parenthesis, a joining word, or "term"."""
        token = self._tokens[self._at]
        return token.text if isinstance(token, Piece) else "term"

    def _malformed(self, what: str, next: str | None = None) -> UsageError:  # noqa: A002
        token = self._tokens[self._at]
        return pointing(self._query, token.start, token.end, what, next=next)

    def _meant(self, build: Callable[[], Condition]) -> Condition:
        """What something means, or a stand-in until the whole is parsed."""
        try:
            return build() if self._wrong is None else NOTHING
        except UsageError as error:
            self._wrong = error
            return NOTHING

    def _either(self) -> Condition:
        parts = [self._both()]
        while self._kind() == "or":
            self._at += 1
            parts.append(self._both())
            self._row = ()
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def _both(self) -> Condition:
        parts, rows = [self._single()], [self._row]
        while self._kind() not in ("", ")", "or"):
            if self._kind() == "and":
                self._at += 1
            parts.append(self._single())
            rows.append(self._row)
        if len(parts) == 1:
            return parts[0]
        self._row = tuple(term for row in rows for term in row) if all(len(row) == 1 for row in rows) else ()
        return self._meant(partial(one_judgement, parts))

    def _single(self) -> Condition:
        is_denied, asked = False, len(self._asked)
        while self._kind() == "not":
            is_denied = not is_denied
            self._at += 1
        condition = self._primary()
        if not is_denied:
            return condition
        del self._asked[asked:]
        self._row = ()
        return denied(condition)

    def _primary(self) -> Condition:
        token, kind = self._tokens[self._at], self._kind()
        if isinstance(token, Term):
            self._at += 1
            self._asked.append(token)
            self._row = (token,)
            condition = self._meant(partial(_condition_of, self._query, token, self._names))
            return denied(condition) if token.operator == "!=" else condition
        if kind != "(":
            what = (
                f"a word or a field is missing before '{kind}'" if kind else "the search ends where a word is missing"
            )
            raise self._malformed(
                what, 'To look for the words "and", "or", "not" themselves, quote them.' if kind else None
            )
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._malformed(f"more than {MAX_DEPTH} parentheses are nested")
        self._at += 1
        condition = self._either()
        if self._kind() != ")":
            raise pointing(self._query, token.start, token.end, "this parenthesis is never closed")
        self._at += 1
        self._depth -= 1
        return condition


def _condition_of(query: str, term: Term, names: Names) -> Condition:
    """What a term asks for; of one with ``!=`` what it denies."""
    value = term.value
    try:
        if term.key is None:  # somewhere in the texts, or the beginning of an id
            phrase, digits = _phrase((), value.text, whole=False), value.text.lower()
            return AnyOf((phrase, Begins(digits))) if _HEX.match(digits) else phrase
        return _field(_key(query, term.key), "=" if term.operator == "!=" else term.operator, value.text, names)
    except Unreadable as error:
        raise pointing(query, value.start, value.end, error.why, next=error.instead) from None


def _field(key: Key, operator: str, text: str, names: Names) -> Condition:
    """A value of a field."""
    if key.kind in _TEXTUAL:
        if operator in _ORDERED:
            raise Unreadable(
                f"'{key.name}' is a text, and has no order", f"Write {key.name}:{text} or {key.name}={text}."
            )
        return _text(key, operator, text, names) if key.kind == "text" else _textual(key, text)
    if key.kind in ("day", "ingested", "time"):
        return _dated(key, operator, text, names)
    low, high = _interval(key, operator, text)
    return Between(key.of, low, high) if key.kind == "number" else Count(key.of[0], low, high)


def _text(key: Key, operator: str, text: str, names: Names) -> Condition:
    """Words of a text, and what may stand for them."""
    if _is_inside(text):
        return _inside(key, operator, text, names)
    if key.of == (facts.IDENTIFIER,):
        text = _DOI.sub("", text.strip(), count=1)
    phrase = _phrase(key.of, text, whole=operator == "=")
    if key.name == facts.OWNER:
        return replace(phrase, others=tuple(Phrase(key.of, name, whole=True) for name in names.of_owner(phrase.words)))
    if key.name != vocabulary.SAMPLE or operator != ":" or phrase.open:  # a beginning of a name is not a name
        return phrase
    others = [_name(key.of, name) for name in needed(phrase.words, names.of_sample(phrase.words))]
    if len(others) > MAX_NAMES:
        raise Unreadable(
            f"the sample and its parts have {len(others):,} names, and one search asks for {MAX_NAMES:,} at most",
            "Ask for some of its parts.",
        )
    return replace(phrase, others=tuple(others))


def _phrase(keys: tuple[str, ...], text: str, *, whole: bool) -> Phrase:
    is_open = text.endswith("*")
    inner = text.removeprefix("*").removesuffix("*")
    found = tuple(words(inner))
    if not found:
        raise Unreadable(f"there is no letter or digit in '{text}'")
    if _is_inside(text) and "*" not in inner:
        raise Unreadable(
            "a * at the beginning of a word needs a field", f"Write for example instrument:{text} or sample:{text}."
        )
    if "*" in inner or (is_open and not inner[-1].isalnum()):
        raise Unreadable("a * is allowed only at the beginning or the end of a word, for anything that may be there")
    return Phrase(keys, found, open=is_open, whole=whole)


def _is_inside(text: str) -> bool:
    """Whether a text may begin in the middle of a word: ``*Titan``; the point of ``*.dm4`` begins one anyhow."""
    return text.startswith("*") and text[1:2].isalnum()


def _inside(key: Key, operator: str, text: str, names: Names) -> Condition:
    """A part of a text, wherever it begins: one of all texts that have it."""
    plain = _phrase(key.of, text[1:], whole=False)
    part = " ".join(plain.words) + ("" if plain.open else " ")
    texts = names.texts(key.of, part, ends=operator == "=" and not plain.open)
    if texts is None:
        raise Unreadable(
            f"a * at the beginning of a word is not possible in '{key.name}', of which no list of all texts is kept",
            f"Write {key.name}:{text[1:]}, or ask for instrument, sample, person, detector, technique, format.",
        )
    if len(texts) > MAX_NAMES:
        raise Unreadable(f"more than {MAX_NAMES:,} different texts have '{text}' in them", "Write more letters.")
    phrases = [Phrase(key.of, found, whole=True) for found in texts]
    return replace(phrases[0], others=tuple(phrases[1:])) if phrases else NOTHING


def any_name(keys: tuple[str, ...], names: Iterable[tuple[str, ...]]) -> Phrase | None:
    """One of several names of samples; None for none."""
    parts = [_name(keys, name) for name in needed((), names)]
    return replace(parts[0], others=tuple(parts[1:])) if parts else None


def _name(keys: tuple[str, ...], name: tuple[str, ...]) -> Phrase:
    """One name: its words stand in the text; one that is too short to tell anything is all of it."""
    return Phrase(keys, name, whole=is_short(name))


def _textual(key: Key, text: str) -> Condition:
    """A store, the beginning of an id, or what a judgement says."""
    if key.kind == "store":
        return InStore(text)
    if key.kind in _JUDGEMENTS:
        return judgement(key.kind, text)
    digits = text.strip().lower().removeprefix("diadem:")
    if not re.fullmatch(r"[0-9a-f]{1,64}", digits):
        raise Unreadable(f"'{text}' is not the beginning of an id", "An id is made of the digits 0-9 and a-f.")
    return Begins(digits) if key.kind == "id" else Linked(digits, above=key.kind == "used-for")


def judgement(kind: str, text: str) -> Judged | Unjudged:
    """What one term asks for. Raises `Unreadable`."""
    said = label(text)
    if not said:
        raise Unreadable("there is nothing to look for")
    if kind == "purpose":
        return Judged(purpose=said)
    if kind == "criterion":
        return Judged(criterion=said)
    if kind == "assessor":
        return Judged(assessor=said)
    if kind == "not":
        if said != "assessed":
            raise Unreadable(f"'not:{text}' is not understood", "Write not:assessed, or: not word, with a blank.")
        return Unjudged()
    if said == "none":
        return Unjudged()
    if said not in (*VERDICTS, "disputed"):
        raise Unreadable(f"'{text}' is not a quality", "Write quality:accept, limited, reject, disputed or none.")
    return Judged(disputed=True) if said == "disputed" else Judged(verdict=said)


def _interval(key: Key, operator: str, text: str) -> tuple[float, float]:
    """Limits of a number, both included."""
    lower, upper = limits(operator, text)
    upper_unit = split(upper)[1] if upper is not None else ""
    low = _number(key, lower, upper_unit) if lower is not None else -math.inf
    high = _number(key, upper, "") if upper is not None else math.inf
    if low > high:
        raise Unreadable("the range ends before it begins")
    margin = around if key.kind == "number" else lambda number: (number, number)  # files are counted
    if operator == "<":
        return -math.inf, math.nextafter(margin(high)[0], -math.inf)
    if operator == ">":
        return math.nextafter(margin(low)[1], math.inf), math.inf
    return margin(low)[0] if lower is not None else low, margin(high)[1] if upper is not None else high


def _number(key: Key, text: str, otherwise: str) -> float:
    """A number in the unit of its key; without a unit it has the other limit's, else the key's own."""
    number, written = split(text)
    written = written or otherwise
    if key.kind == "size":
        return in_bytes(number, written)
    if key.kind == "count":
        return in_unit(number, written, "")
    return in_unit(number, written or key.bare, key.unit)


def _dated(key: Key, operator: str, text: str, names: Names) -> Condition:
    """Sessions that began on some days, or before and lasted into them; moments of archiving; times of instruments."""
    low, high = moments(operator, text, in_utc=key.kind == "ingested")
    if key.kind == "day":
        if any(limit is not None and limit.time() != datetime.time() for limit in (low, high)):
            raise Unreadable("a session has a day, and no time of day", "Ask for acquired>=2026-03-14T09:30.")
        days = days_between(low.date() if low else None, high.date() if high else None)
        since = facts.seconds_of(datetime.datetime.fromordinal(days.low >> ID_BITS))
        # From the oldest session that lasted into them on all are looked at: mostly there is none, and the days alone
        # are counted by their keys.
        if (oldest := names.older(days.low, since)) is None:
            return days
        return AllOf((Stretch(oldest, days.high), AnyOf((days, Between((facts.SESSION_END,), since, math.inf)))))
    if key.kind == "ingested":
        return Ingested(low.isoformat() + "Z" if low else None, high.isoformat() + "Z" if high else None)
    first = facts.seconds_of(low) if low else -math.inf
    end = facts.seconds_of(high) if high else math.inf
    return Between(key.of, first, math.nextafter(end, -math.inf))


def _key(query: str, piece: Piece) -> Key:
    key = vocabulary.find(piece.text)
    if key is None:
        what, advice = f"there is no field '{piece.text}'", "If it is part of a text, put the whole in double quotes."
        if ends := vocabulary.several(piece.text):
            what, advice = f"'{piece.text}' may be several fields", f"Write one of {', '.join(ends)}."
        elif close := vocabulary.near(piece.text):
            advice = f"Did you mean {' or '.join(close)}?"
        raise pointing(query, piece.start, piece.end, what, next=advice)
    return key


def pointing(query: str, start: int, end: int, what: str, *, next: str | None = None) -> UsageError:  # noqa: A002
    """The error that shows a query with carets under one piece of it; at its end the caret stands behind it."""
    first = max(0, min(start - _SHOWN // 2, len(query) - _SHOWN))
    shown = _printable(query[first : first + _SHOWN])
    dots, more = "…" if first else "", "…" if first + _SHOWN < len(query) else ""
    before = " " * (len(dots) + _columns(shown[: start - first]))
    carets = "^" * max(1, _columns(shown[start - first : end - first]))
    said = _printable(what if len(what) <= _SAID else what[:_SAID] + "…")
    return UsageError(f"{said}\n  {dots}{shown}{more}\n  {before}{carets}", next=next or _EXAMPLE)


def _printable(text: str) -> str:
    return "".join(" " if unicodedata.category(one) in {"Cc", "Cf", "Cs", "Zl", "Zp"} else one for one in text)


def _columns(text: str) -> int:
    """Columns that a text takes on a terminal (Unicode Standard Annex 11)."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(unicodedata.combining(character) != 0 for character in text)
