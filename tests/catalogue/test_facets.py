"""Counts of a search: each is what a search for it finds, after whatever was done to the packages."""

from __future__ import annotations

import datetime
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.catalogue import Catalogue, Facets, candidates, page
from diadem.catalogue.facets import DEFAULT
from diadem.errors import UsageError
from diadem.model.assessments import VERDICTS, Assessment
from tests.catalogue.making import NOW, dataset, entry, package_id

PROPERTY = settings(max_examples=12, derandomize=True, deadline=None)
NAMES = ("one", "two", "three", "four")
#: Texts that differ in case, in signs, and in what a search would take for something else.
TEXTS = ("HAADF", "haadf", "Titan 80-300", "titan_80 300", 'a "b" c*', "or", "<script>", "Ångström", "emd")
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "detector.name": st.sampled_from(TEXTS),
    "detector.type": st.sampled_from(TEXTS),
    "instrument.model": st.sampled_from(TEXTS),
    "instrument.vendor": st.sampled_from(TEXTS),
    "person.operator": st.sampled_from(TEXTS),
    "signal.technique": st.sampled_from(("STEM", "EELS")),
    "beam.acceleration_voltage": st.sampled_from((2e5, 200000.00000001, 8e4, 1.5, 0.0)),
    "stage.alpha": st.sampled_from((0.1, -0.1, 12.0)),
    "stage.holder": st.sampled_from(TEXTS),
}
DATASETS = st.lists(st.fixed_dictionaries({}, optional=FIELDS), max_size=4)
DATES = st.sampled_from((None, datetime.date(2025, 3, 1), datetime.date(2026, 1, 1)))
JUDGED: st.SearchStrategy[list[dict[str, str]]] = st.lists(
    st.builds(
        dict,
        by=st.sampled_from(["alice@a", "bob@a"]),
        verdict=st.sampled_from(VERDICTS),
        purpose=st.sampled_from(("EELS", "imaging")),
        criterion=st.just(""),
        dataset=st.sampled_from(("", "d1", "d2")),
    ),
    max_size=3,
)
PACKAGES = st.fixed_dictionaries({name: st.tuples(DATASETS, DATES, JUDGED) for name in NAMES})
QUERIES = st.sampled_from(
    (
        "", "haadf", "titan", "voltage=200kV", "haadf or stem", "not haadf", "detector:haadf technique:EELS",
        "not:assessed",
        "date:2026", "quality:accept", "purpose:EELS", "quality:accept or stem", "not quality:reject", "store:nas",
        "tilt=0.1deg haadf", "purpose:EELS (quality:accept or quality:reject)", "instrument:*itan*", "one or two",
    )
)  # fmt: skip
#: Three in one, for what is not kept for counting.
ASKED = (*DEFAULT, "stage.alpha", "stage.holder")


def fill(catalogue: Catalogue, packages: dict[str, Any]) -> None:
    for name, (fields, date, judged) in packages.items():
        made = [dataset(number, f"{number}.emd", stated) for number, stated in enumerate(fields, 1)]
        catalogue.add_package(entry(name, made, date=date))
        for store in ("lab", "nas")[: len(fields)]:
            catalogue.set_replica(package_id(name), store, "p", state="present", written=NOW)
        for order, said in enumerate(judged):
            catalogue.add_assessment(package_id(name), Assessment(f"{name} {order}", order, **said))


def require_true(catalogue: Catalogue, facets: Facets) -> None:
    """Every count is what a search for the value finds."""
    found = catalogue.search(facets.query, limit=None)
    assert (facets.total, facets.exact) == (found.total, True)
    for facet in facets:
        assert facet.more == 0
        for value in facet:
            narrowed = catalogue.search(facets.narrowed(value), limit=None)
            matching = sum(row.matching for row in narrowed)
            assert (value.packages, value.datasets) == (narrowed.total, matching), (facets.query, facet.name, value)
        counts = [value.packages for value in facet]
        assert counts == sorted(counts, reverse=True)


@PROPERTY
@given(PACKAGES, QUERIES)
def test_a_count_is_what_a_search_for_the_value_finds(packages: dict[str, Any], query: str) -> None:
    with tempfile.TemporaryDirectory() as folder, Catalogue.open(Path(folder) / "c.sqlite", create=True) as catalogue:
        fill(catalogue, packages)
        facets = catalogue.facets(query, fields=ASKED, top=100)
        require_true(catalogue, facets)
        rows = catalogue.search(query, limit=None).rows
        for name, expected in (
            ("year", {str(row.date.year) for row in rows if row.date}),
            ("store", {store for row in rows for store in row.stores}),
            ("owner", {row.owner for row in rows}),
        ):
            listed = {value.text for facet in facets if facet.name == name for value in facet}
            assert listed == expected, "none is missing"


@PROPERTY
@given(PACKAGES, PACKAGES, st.lists(st.sampled_from(NAMES), max_size=2), st.sampled_from(NAMES))
def test_counts_follow_what_is_done_to_packages(
    before: dict[str, Any], after: dict[str, Any], deleted: list[str], dropped: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        with Catalogue.open(Path(folder) / "c.sqlite", create=True) as catalogue:
            fill(catalogue, before)
            fill(catalogue, after)
            for name in deleted:
                catalogue.tombstone(package_id(name), reason="test", at=NOW)
            catalogue.set_replica(package_id(dropped), "lab", "p", state="dropped")
            catalogue.forget_replica(package_id(dropped), "nas")
            kept = catalogue.facets(top=100)
            require_true(catalogue, kept)
            counted = catalogue.facets("id:0 or not id:0", top=100)
        assert kept.facets == counted.facets, "the counts that are kept are those of a look at all packages"


def test_only_the_first_values_are_named_and_the_others_counted(catalogue: Catalogue) -> None:
    for number in range(5):
        catalogue.add_package(entry(f"p{number}", [dataset(1, "a.tif", {"detector.name": f"D{number // 2}"})]))
    for query in ("", "tiff"):
        facet = catalogue.facets(query, fields=["detector"], top=2)["detector"]
        assert [(value.text, value.packages, value.term) for value in facet] == [
            ("D0", 2, "detector=D0"),
            ("D1", 2, "detector=D1"),
        ]
        assert facet.more == 1
    with pytest.raises(KeyError):
        catalogue.facets(fields=["sample"])["sample"]


def test_the_maker_is_asked_for_and_not_listed(catalogue: Catalogue) -> None:
    catalogue.add_package(entry("a", [dataset(1, "a.tif", {"instrument.model": "Titan", "instrument.vendor": "FEI"})]))
    catalogue.add_package(entry("b", [dataset(1, "a.tif", {"instrument.model": "FEI"})]))
    assert [(value.text, value.packages) for value in catalogue.facets()["instrument"]] == [("FEI", 2), ("Titan", 1)]


def test_values_are_written_as_people_read_them(catalogue: Catalogue) -> None:
    stated = {
        "beam.acceleration_voltage": 2e5,
        "image.pixel_size_x": 5e-10,
        "camera.exposure": 2e-6,
        "stage.alpha": -1.0,
    }
    catalogue.add_package(entry("a", [dataset(1, "a.tif", stated)]))
    fields = ["voltage", "image.pixel_size_x", "exposure", "stage.alpha"]
    found = {facet.name: facet.values[0] for facet in catalogue.facets(fields=fields)}
    assert [value.text for value in found.values()][:3] == ["200 kV", "500 pm", "2 µs"]
    for value in found.values():
        assert catalogue.search(value.term).total == 1, value


def test_where_very_many_match_the_newest_are_counted_and_it_is_said(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        date = datetime.date(2020 + number, 1, 1)
        catalogue.add_package(entry(f"p{number}", [dataset(1, "a.tif", {"detector.name": "HAADF"})], date=date))
    for name in ("MOST", "MOST_LOOKED_AT", "MOST_UNKEPT"):
        monkeypatch.setattr(page, name, 2)
    monkeypatch.setattr(candidates, "_FIRST_WINDOW", 1)
    for query in ("haadf", "title:p*", "haadf not eels"):
        facets = catalogue.facets(query, fields=["year"])
        assert (facets.total, facets.exact) == (2, False)
        assert [value.text for value in facets["year"]] == ["2022", "2023"], query
        assert facets.said == "counted in the newest 2 packages that match; there are more"
    assert catalogue.facets(fields=["year"]).exact, "of all packages the counts are kept"
    assert not catalogue.facets(fields=["camera.exposure"]).exact


def test_fields_that_nothing_can_be_counted_by(catalogue: Catalogue) -> None:
    with pytest.raises(UsageError, match="no field 'instrumnt'") as caught:
        catalogue.facets(fields=["instrumnt"])
    assert "instrument" in str(caught.value.next)
    with pytest.raises(UsageError, match="cannot be counted by 'size'"):
        catalogue.facets(fields=["size"])
    with pytest.raises(UsageError, match="at least one"):
        catalogue.facets(top=0)


def test_a_star_at_both_ends_finds_what_has_the_part(catalogue: Catalogue) -> None:
    for title, model in (("a", "FEI Titan3 80-300"), ("b", "ProTitan"), ("c", "Talos"), ("d", "FEI Titan")):
        catalogue.add_package(entry(title, [dataset(1, "a.tif", {"instrument.model": model})]))

    def found(query: str) -> str:
        return "".join(sorted(row.title for row in catalogue.search(query)))

    assert found("instrument:*Titan*") == "abd"
    assert found("instrument:*itan") == found("instrument=*itan") == "bd"
    assert found("instrument:titan*") == "ad"
    assert found('instrument:"*tan3 80*"') == "a"
    assert found("not instrument:*titan*") == "c"
    assert found("instrument:*xyz*") == ""
    catalogue.tombstone(package_id("b"), reason="test", at=NOW)
    assert found("instrument:*itan") == "d"


def test_frames(catalogue: Catalogue) -> None:
    pytest.importorskip("pandas")
    catalogue.add_package(entry("a", [dataset(1, "a.tif", {"detector.name": "HAADF"})]))
    frame = catalogue.facets("haadf", fields=["detector", "year"]).to_dataframe()
    assert frame.to_dict("records") == [
        {"field": "detector", "value": "HAADF", "packages": 1, "datasets": 1, "term": "detector=HAADF"},
        {"field": "year", "value": "2026", "packages": 1, "datasets": 1, "term": "year:2026"},
    ]
    assert frame.attrs == {"query": "haadf", "total": 1, "exact": True}
    assert str(frame["packages"].dtype) == "int64"
    assert catalogue.facets("nothing").to_dataframe().empty
