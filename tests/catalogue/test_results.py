"""Results as JSON, CSV and pandas."""

from __future__ import annotations

import csv
import io
import json

import pytest

from diadem.catalogue import Catalogue
from diadem.catalogue.results import COLUMNS
from tests.catalogue.making import NOW, dataset, entry, package_id


@pytest.fixture
def filled(catalogue: Catalogue) -> Catalogue:
    datasets = [dataset(1, "ä.tif", {"detector.name": "HAADF"}), dataset(2, "b.tif", {})]
    catalogue.add_package(entry("=cmd|'/c calc'!A1", datasets, sample={"name": "ZnO, „S-12“"}))
    catalogue.add_package(entry("late", date=None, ingested_at=None, predecessor=package_id("early")))
    for store in ("nas", "lab"):
        catalogue.set_replica(package_id("=cmd|'/c calc'!A1"), store, "p", state="present", written=NOW)
    return catalogue


def test_json(filled: Catalogue) -> None:
    result = filled.search("haadf or late", limit=1)
    document = json.loads(json.dumps(result.to_dict()))
    assert {key: document[key] for key in ("query", "total", "exact", "hint")} == {
        "query": "haadf or late",
        "total": 2,
        "exact": True,
        "hint": "",
    }
    (row,) = document["rows"]
    assert row["date"] == "2026-03-14"
    assert row["ingested_at"] == "2026-03-15T12:00:00Z"
    assert (row["stores"], row["copies"]) == (["lab", "nas"], 2)
    assert (row["datasets"], row["matching"], row["matched"]) == (2, 1, [{"id": "d1", "path": "ä.tif"}])
    assert row["session"] == row["id"]


def test_what_empties_a_search_is_named(filled: Catalogue) -> None:
    found = filled.search("haadf title:late")
    assert found.total == 0
    assert [(one.query, one.left_out, one.total, one.exact) for one in found.wider] == [
        ("title:late", "haadf", 1, True),
        ("haadf", "title:late", 1, True),
    ]
    assert filled.search("haadf").wider == ()
    assert filled.search("nobody or nothing").wider == (), "one of them is enough: none can be left out"
    assert filled.search("not haadf and title:late and b").wider == ()


def test_csv(filled: Catalogue) -> None:
    data = filled.search("").to_csv()
    assert data.startswith(b"\xef\xbb\xbf"), "Excel must see that it is UTF-8"
    first, second = csv.DictReader(io.StringIO(data.decode("utf-8-sig")))
    assert tuple(first) == COLUMNS
    assert first["title"] == "'=cmd|'/c calc'!A1", "no formula"
    assert (first["sample"], first["stores"], first["formats"]) == ("ZnO, „S-12“", "lab; nas", "tiff")
    assert (first["bytes"], first["ingested_at"]) == ("1000", "2026-03-15T12:00:00Z")
    assert (second["date"], second["ingested_at"], second["continues"]) == ("", "", package_id("early"))


def test_pandas(filled: Catalogue) -> None:
    pytest.importorskip("pandas")
    frame = filled.search("").to_dataframe()
    assert tuple(frame.columns) == COLUMNS
    assert frame["date"].dt.year.tolist()[0] == 2026
    assert frame["date"].isna().tolist() == [False, True]
    assert str(frame["ingested_at"].dt.tz) == "UTC"
    assert frame["bytes"].sum() == 2000
    assert filled.search("nothing").to_dataframe().empty


def test_rows_are_counted_and_gone_through(filled: Catalogue) -> None:
    result = filled.search("", limit=1)
    assert (len(result), [row.title for row in result], result.total) == (1, [result.rows[0].title], 2)


def test_what_was_deleted_since_the_search_has_no_datasets(filled: Catalogue) -> None:
    found = filled.search("")
    filled.tombstone(package_id("=cmd|'/c calc'!A1"), reason="asked to", at=NOW)
    for query in ("", "date:2026-03"):
        assert filled.stated(query, [row.id for row in found], ["detector"]) == []
