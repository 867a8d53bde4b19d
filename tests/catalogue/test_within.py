"""Searches among packages that somebody may find, and owners who were followed, on each database."""

from __future__ import annotations

from diadem.catalogue import Catalogue
from diadem.model.access import Reach, Visible
from diadem.model.ownership import Ownership, Succession
from tests.catalogue.making import entry, package_id

ALICE, BOB = "alice@hu-berlin", "bob@hu-berlin"


def found(catalogue: Catalogue, *reaches: Reach, query: str = "") -> set[str]:
    visible = Visible(reaches=reaches)
    result = catalogue.search(query, within=visible, limit=None)
    assert query or len(catalogue.ids_reached(visible)) == result.total
    return {row.title for row in result.rows}


def test_by_owner_id_project_and_sample(catalogue: Catalogue) -> None:
    zno = {"project": "ZnO-26"}
    catalogue.add_packages(
        [
            entry("one", session=zno, sample={"identifier": "S-12"}),
            entry("two", owner=BOB, session=zno),
            entry("three", session={"project": "ZnO-26 b"}, sample={"identifier": "S-1"}),
        ]
    )
    alices, names = frozenset({ALICE}), frozenset({("zno", "26")})
    one = package_id("one").removeprefix("diadem:")
    assert found(catalogue) == set()
    assert found(catalogue, Reach(alices)) == {"one", "three"}
    assert found(catalogue, Reach(alices, frozenset({one}))) == {"one"}
    assert found(catalogue, Reach(frozenset({BOB}), frozenset({one}))) == set()
    assert found(catalogue, Reach(alices, None, "project", names)) == {"one"}
    assert found(catalogue, Reach(alices | {BOB}, None, "project", names)) == {"one", "two"}
    assert found(catalogue, Reach(alices, None, "sample", frozenset({("s", "1")}))) == {"three"}
    assert found(catalogue, Reach(alices), Reach(frozenset({BOB})), query="not title:one") == {"two", "three"}
    assert found(catalogue, Reach(alices, frozenset({one})), query="three") == set()
    assert catalogue.search("", within=Visible(everything=True)).total == 3
    assert catalogue.search("").total == 3


def test_what_a_package_belongs_to_costs_the_same_for_one_that_is_not_there(catalogue: Catalogue) -> None:
    catalogue.add_package(entry("one", session={"project": "P"}))
    stood = catalogue.access_facts(package_id("one").removeprefix("diadem:"))
    assert (stood.known, stood.deleted) == (True, False)
    assert stood.belongs("project", [], Ownership.of(ALICE)) == (frozenset([("p",)]), frozenset())
    assert not catalogue.access_facts("0" * 64).known


def test_who_was_followed(catalogue: Catalogue) -> None:
    catalogue.add_packages([entry("one"), entry("two", owner=BOB), entry("three", owner="carol@hu-berlin")])
    catalogue.succeed(ALICE, Succession(BOB, 7, "a" * 64))
    catalogue.succeed(ALICE, Succession("carol@hu-berlin", 9, "b" * 64))  # a name has one successor
    assert {row.title: row.owner for row in catalogue.search("owner:bob").rows} == {"one": BOB, "two": BOB}
    assert catalogue.search("owner=bob@hu-berlin").total == 2
    assert catalogue.search("owner!=bob@hu-berlin").total == 1
    assert catalogue.search("owner:alice").total == 1
    assert catalogue.corrections(package_id("one")).owner == BOB
