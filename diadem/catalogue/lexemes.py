"""The words of a package as lexemes of PostgreSQL's text search, and what a search asks for in its language. Pure.

PostgreSQL keeps at most 256 positions of a lexeme, none beyond 16383, and no vector of more than 1 MiB: a session of
20,000 files has more. So no positions are used. What a search can ask for is a lexeme of its own:

- a word, and two words that follow one another;
- both again for each key that states them: ``operator:curie``;
- the whole text for each key: ``operator:="Marie Curie"``;
- all of it again for texts that hold for all datasets.

A wording that is one lexeme is decided by the index alone. A longer one asks for all of its pairs; what is found then
is looked at (`exact` says which). A word has letters and digits only, so the signs before the lexemes are in none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Final

from diadem.catalogue.database import Said
from diadem.catalogue.words import Every, Without, Wording, Words

#: Bytes of the longest lexeme that is written as it is (PostgreSQL takes 2046); the rest of a longer one is digested.
LONGEST: Final = 200
#: Bytes of lexemes in one vector: PostgreSQL counts them in 20 bits.
MOST: Final = 250_000
#: Signs: of all datasets; of one key; two words; a whole text.
_EVERYWHERE, _KEYED, _PAIR, _WHOLE = "!", ":", "+", "="
_NOTHING: Final = "'-'"


def lexemes(said: Iterable[Said]) -> Iterator[str]:
    """All lexemes of texts, some of them several times."""
    for text in said:
        for one in _of_text(text):
            yield one
            if text.everywhere:
                yield _EVERYWHERE + one


def _of_text(text: Said) -> Iterator[str]:
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


def parts(found: Iterable[str]) -> list[list[str]]:
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


def exact(words: Words) -> bool:
    """Whether all packages with the lexemes of a phrase have the phrase."""
    return _asked(words)[1]


def query(wording: Wording) -> str:
    """A wording in the language of ``tsquery``; where a phrase is not `exact`, with less than it asks for."""
    if isinstance(wording, Words):
        return _phrase(wording)
    if isinstance(wording, Without):
        return f"({query(wording.part)} & !{query(wording.denied)})"
    return "(" + (" & " if isinstance(wording, Every) else " | ").join(map(query, wording.parts)) + ")"


def _phrase(words: Words) -> str:
    found = ["(" + " & ".join(lexemes_of_key) + ")" for lexemes_of_key in apart(words)]
    return "(" + " | ".join(found) + ")" if found else _NOTHING


def apart(words: Words) -> list[list[str]]:
    """For each key that a phrase may have, all lexemes that it asks for, each in the language of ``tsquery``."""
    keys = [""] if words.codes is None else [f"{_KEYED}{code}" for code in words.codes]
    return [_of_key(words, key) for key in keys]


def _of_key(words: Words, key: str) -> list[str]:
    found = [_quoted(_everywhere(words) + _with_key(key, one)) for one in _asked(words)[0]]
    if words.open:
        found[-1] += ":*"
    return found


def _everywhere(words: Words) -> str:
    return _EVERYWHERE if words.everywhere else ""


def _with_key(key: str, lexeme: str) -> str:
    if not key:
        return lexeme
    return key + lexeme if lexeme.startswith((_PAIR, _WHOLE)) else f"{key} {lexeme}"


def _quoted(lexeme: str) -> str:
    return "'" + lexeme.replace("\\", "\\\\").replace("'", "''") + "'"
