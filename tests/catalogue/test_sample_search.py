"""A search for a sample finds what was recorded under any of its names, and what was made from it."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from diadem.catalogue import Catalogue
from diadem.catalogue.conditions import Phrase
from diadem.catalogue.query import MAX_NAMES, Names, parse
from diadem.catalogue.words import words
from diadem.errors import UsageError
from diadem.model.samples import Event, Link, Maker, OtherName, Parent, Sample, Step, new_id
from tests.catalogue.making import dataset, entry


def found(catalogue: Catalogue, query: str) -> list[str]:
    return sorted(row.title for row in catalogue.search(query))


def add(catalogue: Catalogue, title: str, /, **sample: str) -> None:
    """A package whose head says which sample it is of."""
    catalogue.add_package(entry(title, [dataset(1, "a.tif", {})], sample=sample))


@pytest.fixture
def lab(catalogue: Catalogue) -> Catalogue:
    """S-12, which NMI calls K-7 and FZ calls 3; S-12 is B-7 too; a lamella of B-7; another thing that FZ calls K-7."""
    s12, b7, other = (new_id() for _ in range(3))
    catalogue.add_sample(
        Sample(
            s12,
            "S-12",
            name="ZnO nanorods",
            names=(OtherName("K-7", "NMI"), OtherName("3", "FZ")),
            identifiers={"igsn": "10.60510/ABC"},
            links=(Link(sample=b7),),
        )
    )
    catalogue.add_sample(Sample(b7, "B-7"))
    catalogue.add_sample(Sample(new_id(), "FIB lamella", parents=(Parent(b7, "lamella"),)))
    catalogue.add_sample(Sample(other, "X-1", names=(OtherName("k 7", "FZ"),)))
    add(catalogue, "tem", identifier="S-12")
    add(catalogue, "sem", identifier="K-7", name="annealed")
    add(catalogue, "afm", name="B-7, cleaved")
    add(catalogue, "fib", identifier="FIB lamella")
    add(catalogue, "igsn", identifier="10.60510/abc")
    add(catalogue, "three", identifier="3")
    add(catalogue, "a three", identifier="S 3")
    add(catalogue, "x", identifier="X-1")
    add(catalogue, "unknown", identifier="U-9")
    add(catalogue, "nanorods", name="ZnO nanorods")
    catalogue.add_package(entry("file", [dataset(1, "a.dm3", {"sample.name": "b7"}), dataset(2, "b.dm3", {})]))
    catalogue.add_package(entry("part", [dataset(1, "a.dm3", {}), dataset(2, "b.dm3", {"sample.name": "B_7"})]))
    return catalogue


MINE = ["afm", "fib", "igsn", "part", "sem", "tem", "three"]


def test_any_name_finds_all(lab: Catalogue) -> None:
    for name in ("S-12", "s_12", '"B 7"', "10.60510/abc"):
        assert found(lab, f"sample:{name}") == MINE, name
    result = lab.search("sample:S-12")
    assert result.names == ("10.60510/ABC", "3", "B-7", "FIB lamella", "K-7")
    assert {row.title: (row.matching, [one.path for one in row.matched]) for row in result}["part"] == (1, ["b.dm3"])


def test_a_name_that_two_samples_have_finds_both(lab: Catalogue) -> None:
    assert found(lab, "sample:K-7") == sorted([*MINE, "x"])
    assert found(lab, "sample:X-1") == ["sem", "x"]


def test_of_a_part_only_the_part_is_found(lab: Catalogue) -> None:
    assert found(lab, 'sample:"FIB lamella"') == ["fib"]


def test_a_name_of_no_sample_and_what_a_sample_is_work_as_they_did(lab: Catalogue) -> None:
    assert found(lab, "sample:U-9") == ["unknown"]
    assert found(lab, "sample:nanorods") == found(lab, 'sample:"ZnO nanorods"') == ["nanorods"]
    assert found(lab, "sample:B*") == ["afm", "file", "part"]
    assert found(lab, "sample.identifier:S-12") == ["tem"]
    assert found(lab, "S-12") == ["tem"]
    assert lab.search("sample:U-9").names == ()


def test_with_an_equals_sign_only_that_text(lab: Catalogue) -> None:
    assert found(lab, "sample=S-12") == ["tem"]
    assert found(lab, "sample=B-7") == ["part"]
    assert "tem" not in found(lab, "sample!=S-12")
    assert "sem" in found(lab, "sample!=S-12")


def test_it_is_one_condition_among_others(lab: Catalogue) -> None:
    every = sorted(row.title for row in lab.search(limit=None))
    assert found(lab, "not sample:S-12") == sorted({*every} - {*MINE} | {"part"})  # its first dataset says nothing
    assert found(lab, "sample:S-12 format:tiff annealed") == ["sem"]
    assert found(lab, "sample:S-12 sample:X-1") == ["sem"]
    assert found(lab, "sample:X-1 or sample:U-9") == ["sem", "unknown", "x"]
    assert found(lab, "sample:S-12 file:a.dm3") == []
    assert found(lab, "sample:S-12 file:b.dm3") == ["part"]


def test_datasets_of_names(lab: Catalogue) -> None:
    rows = lab.datasets_naming([("b", "7"), ("3",), ("x", "1")])
    assert {(row.title, row.path, row.named) for row in rows} == {
        ("afm", "a.tif", ("B-7, cleaved",)),
        ("part", "b.dm3", ("B_7",)),
        ("three", "a.tif", ("3",)),
        ("x", "a.tif", ("X-1",)),
    }
    assert lab.datasets_naming([]) == []


def test_datasets_come_in_the_order_of_their_recording(catalogue: Catalogue) -> None:
    times = ["2018-11-13T12:00:00", "2026-03-14T09:30:00+01:00", "2026-03-14T09:26:53"]
    fields = [{"sample.name": "S-12", "time.acquired_start": time, "instrument.model": "Titan"} for time in times]
    many = [dataset(number, f"{number}.tif", one) for number, one in enumerate(fields, 1)]
    catalogue.add_package(entry("session", many, instrument={"name": "TEM 2", "site": "Berlin"}))
    add(catalogue, "undated", identifier="S-12")
    catalogue.add_package(entry("none", sample={"identifier": "S-12"}, date=None))
    rows = catalogue.datasets_naming([("s", "12")])
    assert [(row.time, row.path) for row in rows] == [
        ("2018-11-13T12:00:00", "1.tif"),
        ("2026-03-14T09:26:53", "3.tif"),
        ("2026-03-14T09:30:00", "2.tif"),
        ("", "a.tif"),
        ("", ""),
    ]
    assert {(row.instrument, row.site) for row in rows[:3]} == {("TEM 2", "Berlin")}
    assert [row.day for row in rows] == ["2018-11-13", "2026-03-14", "2026-03-14", "2026-03-14", ""]


def test_a_deleted_package_is_not_listed(lab: Catalogue) -> None:
    row = next(iter(lab.search("sample=S-12")))
    assert row.ingested_at is not None
    lab.tombstone(row.id, reason="no use", at=row.ingested_at)
    assert found(lab, "sample:S-12") == [title for title in MINE if title != "tem"]
    assert lab.datasets_naming([("s", "12")]) == []


def test_what_is_known_of_a_sample_is_kept_whole(catalogue: Catalogue) -> None:
    sample = Sample(
        new_id(),
        "S-12",
        "ZnO",
        {"igsn": "x"},
        (OtherName("K", "NMI"),),
        (Parent(new_id(), "mixed"),),
        Maker("Ada", "NMI", "https://ror.org/01hcx6992", ""),
        "ZnO on Si",
        ("Zn", "O"),
        (Step("cut", "2026-03-01", "wire saw"),),
        "brittle",
        (Event("sent", "2026-03-02", "a", "b", "c", "d", 7, "e"),),
        (Link(other=OtherName("x", "y"), reason="r", by="b"), Link(sample=new_id())),
        "alice@hu-berlin",
    )
    for _ in range(2):
        catalogue.add_sample(sample)
        assert catalogue.samples() == catalogue.samples([sample.id, new_id()]) == [sample]
    assert {row.text for row in catalogue.names_of_samples([sample.id])} == {"S-12", "ZnO", "x", "K"}
    catalogue.add_sample(Sample(sample.id, "S-13"))
    assert [row.text for row in catalogue.names_of_samples([sample.id])] == ["S-13"]
    assert catalogue.family(sample.id).all() == (sample.id,)


def test_samples_are_listed_by_identifier(catalogue: Catalogue) -> None:
    for name in ("b", "A", "c-1", "C"):
        catalogue.add_sample(Sample(new_id(), name))
    assert [one.identifier for one in catalogue.samples()] == ["A", "b", "C", "c-1"]
    assert catalogue.count_samples() == 4


def test_more_names_than_a_search_can_ask_for_are_told(catalogue: Catalogue) -> None:
    whole = new_id()
    with catalogue.together():
        catalogue.add_sample(Sample(whole, "Wafer"))
        names = tuple(OtherName(f"x{number}", "NMI") for number in range(MAX_NAMES + 1))
        catalogue.add_sample(Sample(new_id(), "Wafer-1", names=names[:-1], parents=(Parent(whole, "split"),)))
    add(catalogue, "far", identifier=f"X{MAX_NAMES - 1}")
    assert found(catalogue, "sample:Wafer") == ["far"]
    catalogue.add_sample(Sample(new_id(), "Wafer-2", names=names[-1:], parents=(Parent(whole, "split"),)))
    with pytest.raises(UsageError, match=r"1,001 names[\s\S]*\^\^\^\^\^"):
        catalogue.search("sample:Wafer")


_NAMES = st.lists(
    st.lists(st.sampled_from(["s", "12", "a", "zno", "7"]), min_size=1, max_size=3).map(tuple), max_size=6
)


@settings(
    max_examples=200, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(_NAMES)
def test_names_that_are_found_anyhow_are_left_out_and_nothing_else(names: list[tuple[str, ...]]) -> None:
    class Known(Names):
        def of_sample(self, asked: tuple[str, ...]) -> list[tuple[str, ...]]:
            assert asked == ("s", "12")
            return names

    condition = parse("sample:S-12", Known()).condition
    assert isinstance(condition, Phrase)

    def holds(text: tuple[str, ...], one: Phrase) -> bool:
        runs = [text[first:last] for first, last in itertools.combinations(range(len(text) + 1), 2)]
        return text == one.words if one.whole else one.words in runs

    kept = [condition, *condition.others]
    for name in [*names, tuple(words("S-12"))]:
        assert any(holds(name, one) for one in kept)
    for one, other in itertools.permutations(kept, 2):
        assert not holds(one.words, other), (one, other)
