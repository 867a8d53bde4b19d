"""From the text of a search to its tree.

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

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from diadem.catalogue.quantities import is_number, is_unit
from diadem.catalogue.query import And, Everything, Not, Or, Piece, Term, Tree, pointing
from diadem.errors import UsageError

#: Characters, terms and parentheses inside one another that a query may have: more is no question of a person, and the
#: text search of SQLite has a stack of its own for the last.
MAX_LENGTH, MAX_TERMS, MAX_DEPTH = 10_000, 100, 20
_SURROGATE = re.compile("[\ud800-\udfff]")
_SPACE = re.compile(r"\s*")
_OPERATOR = re.compile(r"!=|<=|>=|==|[:=<>≠≤≥]")
_WORD = re.compile(r"(?:[^\s()\"“”„:=<>≠≤≥!]|!(?!=))+")
_VALUE = re.compile(r"[^\s()\"“”„]+")
_QUOTED = re.compile(r"[\"“”„]([^\"“”„]*)[\"“”„]")
_QUOTES = '"“”„'
_SAME: Final = {"==": "=", "≠": "!=", "≤": "<=", "≥": ">="}


def parse(query: str) -> Tree:
    """The tree of a query.

    Raises
    ------
    UsageError
        It is malformed; the message shows it with carets under the word that is wrong.
    """
    if len(query) > MAX_LENGTH:
        raise UsageError(f"a search of {len(query)} characters is too long", next=f"At most {MAX_LENGTH}.")
    if (broken := _SURROGATE.search(query)) is not None:
        raise pointing(query, broken.start(), broken.end(), "this is half a character")
    return _Parser(query, list(_pieces(query))).search()


@dataclass(frozen=True, slots=True)
class _Token:
    """A parenthesis, a joining word, or a term."""

    kind: str  # "(" ")" "and" "or" "not" "term"
    start: int
    end: int
    term: Term | None = None


def _pieces(query: str) -> Iterator[_Token]:
    at = _blank(query, 0)
    while at < len(query):
        token = _Token(query[at], at, at + 1) if query[at] in "()" else _term(query, at)
        yield token
        at = _blank(query, token.end)


def _blank(query: str, at: int) -> int:
    found = _SPACE.match(query, at)
    return found.end() if found else at


def _term(query: str, at: int) -> _Token:
    """A term or a joining word at a place that is neither blank nor a parenthesis."""
    if found := _OPERATOR.match(query, at):
        raise pointing(
            query, at, found.end(), f"there is no name before '{found[0]}'", next="Write for example kV>=200."
        )
    word = _piece(query, at, _WORD)
    operator = _OPERATOR.match(query, _blank(query, word.end))
    if operator is None:
        kind = word.text.lower() if not word.quoted and word.text.lower() in ("and", "or", "not") else "term"
        return _Token(kind, word.start, word.end, Term(None, ":", word))
    start = _blank(query, operator.end())
    if start == len(query) or query[start] in "()":
        raise pointing(query, start, start + 1, f"there is no value after '{operator[0]}'")
    value = _with_unit(query, _piece(query, start, _VALUE))
    return _Token("term", word.start, value.end, Term(word, _SAME.get(operator[0], operator[0]), value))


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
    """Recursive descent over the tokens."""

    def __init__(self, query: str, tokens: list[_Token]) -> None:
        self._query = query
        self._tokens = tokens
        self._at = 0
        self._depth = 0
        terms = [token for token in tokens if token.kind == "term"]
        if len(terms) > MAX_TERMS:
            last = terms[MAX_TERMS]
            raise pointing(query, last.start, last.end, f"there are more than {MAX_TERMS} terms")

    def search(self) -> Tree:
        if not self._tokens:
            return Everything()
        tree = self._either()
        if self._at < len(self._tokens):  # nothing but a closing parenthesis ends `_either` before the end
            raise self._wrong("there is no opening parenthesis for this one")
        return tree

    def _kind(self) -> str:
        return self._tokens[self._at].kind if self._at < len(self._tokens) else ""

    def _wrong(self, what: str, next: str | None = None) -> UsageError:  # noqa: A002
        if self._at < len(self._tokens):
            token = self._tokens[self._at]
            return pointing(self._query, token.start, token.end, what, next=next)
        return pointing(self._query, len(self._query), len(self._query) + 1, what, next=next)

    def _either(self) -> Tree:
        parts = [self._both()]
        while self._kind() == "or":
            self._at += 1
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _both(self) -> Tree:
        parts = [self._single()]
        while self._kind() not in ("", ")", "or"):
            if self._kind() == "and":
                self._at += 1
            parts.append(self._single())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _single(self) -> Tree:
        denied = False
        while self._kind() == "not":
            denied = not denied
            self._at += 1
        tree = self._primary()
        return Not(tree) if denied else tree

    def _primary(self) -> Tree:
        kind = self._kind()
        if kind == "(":
            return self._parenthesis()
        if kind != "term":
            what = (
                f"a word or a field is missing before '{kind}'" if kind else "the search ends where a word is missing"
            )
            raise self._wrong(
                what, 'To look for the words "and", "or", "not" themselves, quote them.' if kind else None
            )
        term = self._tokens[self._at].term
        assert term is not None
        self._at += 1
        return term

    def _parenthesis(self) -> Tree:
        opened = self._tokens[self._at]
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._wrong(f"more than {MAX_DEPTH} parentheses are nested")
        self._at += 1
        tree = self._either()
        if self._kind() != ")":
            raise pointing(self._query, opened.start, opened.end, "this parenthesis is never closed")
        self._at += 1
        self._depth -= 1
        return tree
