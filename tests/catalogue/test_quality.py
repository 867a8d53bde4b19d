"""Judgements and links in the catalogue: what a search finds is what a plain look at everything finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.catalogue import Catalogue
from diadem.model.assessments import VERDICTS, Assessment, current, disputes, label
from diadem.model.lineage import Derivation, Source
from tests.catalogue.making import dataset, entry, package_id

PROPERTY = settings(max_examples=15, derandomize=True, deadline=None)
NAMES = ("one", "two", "three")
SIZES = {"one": 1, "two": 3, "three": 0}
#: Any dataset, of a package of which none is known.
ANY = "*"
PURPOSES, CRITERIA = ("EELS", "imaging"), ("", "drift", "too thick")


def assessments(name: str) -> st.SearchStrategy[list[Assessment]]:
    """Judgements of one package in the order of the log."""
    ids = ["", "", *(f"d{number}" for number in range(1, SIZES[name] + 1)), "d9"]
    one: st.SearchStrategy[dict[str, Any]] = st.builds(
        dict,
        by=st.sampled_from(["alice@a", "bob@a", "Bob@b"]),
        verdict=st.sampled_from(VERDICTS),
        purpose=st.sampled_from(PURPOSES),
        criterion=st.sampled_from(CRITERIA),
        dataset=st.sampled_from(ids),
    )
    return st.lists(one, max_size=6).map(
        lambda made: [Assessment(f"{name} {order}", order, **said) for order, said in enumerate(made)]
    )


@dataclass(frozen=True)
class Asked:
    """A search, and whether a dataset (its id) of a package with these judgements is to be found."""

    text: str
    holds: Callable[[str, list[Assessment]], bool]


def _judgement(terms: dict[str, str]) -> Asked:
    def holds(dataset: str, counting: list[Assessment]) -> bool:
        disputed = {one.question for one in disputes(counting)}
        return any(
            (dataset == ANY or one.dataset in ("", dataset))
            and ("quality" not in terms or _quality(terms["quality"], one, one.question in disputed))
            and ("purpose" not in terms or label(one.purpose) == label(terms["purpose"]))
            and ("criterion" not in terms or label(one.criterion) == label(terms["criterion"]))
            and ("assessed-by" not in terms or terms["assessed-by"].lower() in (one.by.lower(), one.by.lower()[:-2]))
            for one in counting
        )

    return Asked(" ".join(f'{key}:"{value}"' for key, value in terms.items()), holds)


def _quality(wanted: str, one: Assessment, disputed: bool) -> bool:
    return disputed if wanted == "disputed" else one.verdict == wanted


JUDGEMENT = (
    st.fixed_dictionaries(
        {},
        optional={
            "quality": st.sampled_from([*VERDICTS, "disputed"]),
            "purpose": st.sampled_from(["eels", "imaging"]),
            "criterion": st.sampled_from(["drift", "Too  thick"]),
            "assessed-by": st.sampled_from(["bob", "alice@a", "bob@b", "eve"]),
        },
    )
    .filter(bool)
    .map(_judgement)
)
NOBODY = st.sampled_from(["quality:none", "not:assessed", "not not not:assessed"]).map(
    lambda text: Asked(text, lambda d, said: not any(d == ANY or one.dataset in ("", d) for one in said))
)
SIMPLE = JUDGEMENT | NOBODY
ASKED = (
    SIMPLE
    | st.builds(
        lambda a, b: Asked(f"({a.text}) or ({b.text})", lambda d, s: a.holds(d, s) or b.holds(d, s)), SIMPLE, SIMPLE
    )
    | st.builds(lambda a: Asked(f"not ({a.text})", lambda d, s: not a.holds(d, s)), SIMPLE)
    | st.builds(
        lambda a, b: Asked(f"{a.text} not ({b.text})", lambda d, s: a.holds(d, s) and not b.holds(d, s)), SIMPLE, SIMPLE
    )
)


@PROPERTY
@given(st.fixed_dictionaries({name: assessments(name) for name in NAMES}), st.lists(ASKED, min_size=1, max_size=6))
def test_a_search_finds_what_a_plain_look_finds(
    new_address: Callable[[], str], said: dict[str, list[Assessment]], asked: list[Asked]
) -> None:
    with Catalogue.open(new_address(), create=True) as catalogue:
        for name in NAMES:
            catalogue.add_package(entry(name, [dataset(n, f"{n}.tif", {}) for n in range(1, SIZES[name] + 1)]))
        with catalogue.together():
            for name, judged in said.items():
                for one in (*judged[1:], *judged):  # out of order, and twice
                    catalogue.add_assessment(package_id(name), one)
        for question in asked:
            expected = {}
            for name in NAMES:
                counting = current(said[name])
                ids = [f"d{n}" for n in range(1, SIZES[name] + 1)]
                found = [one for one in ids or [ANY] if question.holds(one, counting)]
                if found:
                    expected[package_id(name)] = [one for one in found if one != ANY]
            result = catalogue.search(question.text)
            assert {row.id: [one.id for one in row.matched] for row in result} == expected, question.text


LINKS = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from([*NAMES, "away"])), max_size=6)


@PROPERTY
@given(LINKS)
def test_links_are_followed_both_ways(new_address: Callable[[], str], links: list[tuple[str, str]]) -> None:
    links = [(result, source) for result, source in links if result != source]
    with Catalogue.open(new_address(), create=True) as catalogue:
        for name in NAMES:
            catalogue.add_package(entry(name))
        for number, (result, source) in enumerate(links):
            made = Derivation(f"{number:064x}", number, package_id(result), (Source(package_id(source)),), "a@n")
            catalogue.add_derivation(made)
            catalogue.add_derivation(made)
        for start in (*NAMES, "away"):
            for key, near, far in (("derived-from", 1, 0), ("source-of", 0, 1)):
                reached: set[str] = set()
                while more := {one[far] for one in links if one[near] in {start, *reached}} - reached:
                    reached |= more
                found = {row.title for row in catalogue.search(f"{key}:{package_id(start)}")}
                assert found == reached - {"away"}
                everything = {row.title for row in catalogue.search(f"not {key}:{package_id(start)}")}
                assert everything == set(NAMES) - found


def test_what_is_entered_anew_keeps_no_judgement_that_nobody_stated(catalogue: Catalogue) -> None:
    catalogue.add_package(entry("one"))
    catalogue.add_assessment(package_id("one"), Assessment("x", 1, "a@n", "accept", "EELS"))
    assert catalogue.search("quality:accept").total == 1
    catalogue.add_package(entry("one"))  # the statements decide, and there is none
    assert catalogue.search("quality:accept").total == 0
    assert catalogue.search("not:assessed").total == 1


@pytest.mark.parametrize(
    "query", ["quality:accept", "purpose:EELS", "assessed-by:a", "criterion:drift", "not:assessed"]
)
def test_a_judgement_is_looked_up_and_not_searched_for(in_a_file: Catalogue, query: str) -> None:
    from diadem.catalogue.candidates import candidates_of
    from diadem.catalogue.conditions import FactReader
    from diadem.catalogue.query import parse

    condition = parse(query).condition
    with in_a_file.reading() as connection:
        source: Any = candidates_of(FactReader(connection), condition)
        text = str(source.chunk(None, 50, rising=False).compile(connection, compile_kwargs={"literal_binds": True}))
        plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")]
    assert any("INDEX" in step or "PRIMARY KEY" in step for step in plan) or "unassessed" in text, plan
