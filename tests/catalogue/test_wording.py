"""Phrases among the texts of packages: each database finds what a look at every text finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from diadem.catalogue import Catalogue, lexemes, tables
from diadem.catalogue.database import IndexedText, of
from diadem.catalogue.package_key import EVERYTHING, Stretch
from diadem.catalogue.tables import among, among_texts
from diadem.catalogue.words import Either, Every, Without, Wording, Words, everywhere, padded, phrases, words
from tests.catalogue.making import dataset, entry

PROPERTY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
#: Letters that every version of SQLite's Unicode knows, and what is none.
_letters = st.characters(codec="utf-8", max_codepoint=0x24F) | st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5)
_text = st.text(_letters, max_size=6) | st.sampled_from(["a b", "b c a", "b", "a b c a b", "ab c", "a" * 300 + " b"])
_texts = st.lists(st.builds(IndexedText, st.integers(1, 3), _text.map(padded), st.booleans()), max_size=6)
_words = st.builds(
    Words,
    st.sampled_from(["a", "b", "a b", "b c", "a b c", "ä", "1", "a" * 300, "a" * 250]).map(
        lambda text: tuple(words(text))
    ),
    st.none() | st.lists(st.integers(1, 4), max_size=2, unique=True).map(tuple),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
_wordings: st.SearchStrategy[Wording] = st.recursive(
    _words,
    lambda part: st.one_of(
        st.lists(part, min_size=1, max_size=3).map(lambda parts: Every(tuple(parts))),
        st.lists(part, min_size=1, max_size=3).map(lambda parts: Either(tuple(parts))),
        st.builds(Without, part, part),
    ),
    max_leaves=4,
)


def holds(wording: Wording, said: Sequence[IndexedText]) -> bool:
    """What the text search should say."""
    if isinstance(wording, Every):
        return all(holds(part, said) for part in wording.parts)
    if isinstance(wording, Either):
        return any(holds(part, said) for part in wording.parts)
    if isinstance(wording, Without):
        return holds(wording.part, said) and not holds(wording.denied, said)
    of_key = [one for one in said if wording.codes is None or one.key in wording.codes]
    chosen = [one.words.split() for one in of_key if one.everywhere or not wording.everywhere]
    whole = wording.whole and wording.codes is not None
    return any(_is_in(wording.words, text, is_open=wording.open, whole=whole) for text in chosen)


def _is_in(phrase: Sequence[str], text: Sequence[str], *, is_open: bool, whole: bool) -> bool:
    begun = " ".join(phrase) + ("" if is_open else " ")
    if whole:
        return (" ".join(text) + " ").startswith(begun) and (is_open or len(text) == len(phrase))
    return any((" ".join(text[start:]) + " ").startswith(begun) for start in range(len(text)))


@pytest.fixture(scope="module")
def three(new_address: Callable[[], str]) -> Iterator[Catalogue]:
    with Catalogue.open(new_address(), create=True) as made:
        for name in ("one", "two", "three"):
            made.add_package(entry(name))
        yield made


@PROPERTY
@given(st.tuples(_texts, _texts, _texts), _wordings)
@example(([IndexedText(1, padded("a b"), False), IndexedText(1, padded("c"), True)], [], []), Words(("b", "c"), (1,)))
@example(([IndexedText(1, padded("a b"), False), IndexedText(1, padded("b c"), False)], [], []), Words(("a", "b", "c")))
@example(([IndexedText(1, padded("a b"), True)], [], []), Without(Words(("a",)), everywhere(Words(("b",)))))
@pytest.mark.parametrize("most", [lexemes.MOST, 60])
def test_a_search_finds_what_a_look_at_every_text_finds(
    three: Catalogue, monkeypatch: pytest.MonkeyPatch, most: int, texts: tuple[list[IndexedText], ...], wording: Wording
) -> None:
    """Of packages with few words, and of those that have more than go into one vector."""
    monkeypatch.setattr(lexemes, "MOST", most)
    with three.writing() as connection:
        index = of(connection)
        keys = sorted(connection.exec_driver_sql("SELECT seq FROM packages").scalars().all())
        for key, said in zip(keys, texts, strict=True):
            index.remove_text(connection, key)
            index.write_texts(connection, [(key, [one for one in said if one.words])])
        found = [index.text_search(wording, one) for one in (EVERYTHING, Stretch(keys[1], keys[2]))]
        hits, between = (connection.scalars(one.source, dict(one.values)).all() for one in found)
    expected = {key for key, said in zip(keys, texts, strict=True) if holds(wording, said)}
    assert len(hits) == len(set(hits))
    assert between == [key for key in hits if key == keys[1]]
    if all(map(index.exact, phrases(wording))):
        assert set(hits) == expected
    elif not any(isinstance(part, Without) for part in _all(wording)):
        assert set(hits) >= expected


def _all(wording: Wording) -> list[Wording]:
    parts = (
        () if isinstance(wording, Words)
        else (wording.part, wording.denied) if isinstance(wording, Without)
        else wording.parts
    )  # fmt: skip
    return [wording, *(found for part in parts for found in _all(part))]


def test_a_session_with_more_words_than_a_vector_holds(catalogue: Catalogue) -> None:
    """Every one of 20,000 long names is found, by its words and by two that follow one another; and no other."""
    names = [f"{number:05d}_{number * 7919 % 100_003:06d}_{'abcdefgh' * 4}{number}.tif" for number in range(20_000)]
    images = [dataset(number, name, {"detector.name": "HAADF"}) for number, name in enumerate(names, 1)]
    catalogue.add_package(entry("large", images))
    catalogue.add_package(entry("small", [dataset(1, names[4711], {"detector.name": "BF"})]))
    for number in (0, 9_999, 19_999):
        first, second, third = words(names[number])[:3]
        for query in (
            first,
            second,
            f'"{first} {second}"',
            f'file:"{second} {third}"',
            f"{third}*",
            f"haadf {first}",
        ):
            assert [row.title for row in catalogue.search(query)] == ["large"], query
        wrong = words(names[number - 1])[1]
        assert catalogue.search(f'"{first} {wrong}"').total == 0
    assert catalogue.search(words(names[4711])[0]).total == 2
    assert [row.title for row in catalogue.search(f"{words(names[4711])[1]} not haadf")] == ["small"]
    catalogue.add_package(entry("large", images[:3]))
    assert catalogue.search(words(names[9_999])[1]).total == 0


def test_many_keys_are_looked_up_and_not_searched_for(three: Catalogue) -> None:
    """A condition that is compared with 1 uses no index, and a catalogue of a million packages is read to its end."""
    condition = among(tables.phrases.c.package, [1, 2]) & among_texts(tables.phrases.c.text, ["a"])
    with three.reading() as connection:
        if connection.dialect.name == "sqlite":
            written = select(tables.phrases.c.text).where(condition).compile(connection)
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {written}", ("[1, 2]", '["a"]')).all()
            assert plan[0].detail == "SEARCH phrases USING PRIMARY KEY (package=?)"
