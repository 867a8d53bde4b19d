"""What another node answers is read into the classes that its own machine has, or refused by the member that is odd."""

from __future__ import annotations

from typing import Any

import pytest

from diadem.errors import DocumentError
from diadem.network.remote.reading import read_facts, read_result

URL = "https://archive.example.org:8642"
ROW: dict[str, Any] = {
    "id": "diadem:" + "ab" * 32,
    "payload_id": "cd" * 32,
    "title": "ZnO",
    "date": "2026-03-14",
    "until": None,
    "instrument": "Titan",
    "sample": "zno",
    "operator": "Alice",
    "formats": ["Velox"],
    "datasets": 2,
    "files": 3,
    "bytes": 4,
    "matching": 1,
    "matched": [{"id": "ds-1", "path": "a.emd"}],
    "owner": "alice@hu-berlin",
    "ingested_at": "2026-03-14T09:26:53Z",
    "stores": ["disk"],
    "copies": 1,
    "path": "2026/zno",
    "session": "diadem:" + "ab" * 32,
    "continues": None,
    "omitted": 0,
    "issues": {"no-date": 1},
    "tombstone": None,
    "quality": [],
    "warnings": [],
}
PAGE: dict[str, Any] = {"query": "zno", "rows": [ROW], "total": 1, "exact": True, "hint": "", "names": [], "offset": 0}
SAID: dict[str, Any] = {
    "statement": "ef" * 32,
    "by": "bob@nmi",
    "verdict": "limited",
    "purpose": "imaging",
    "dataset": "ds-1",
    "path": "a.emd",
    "value": 2,
    "evidence": [],
}
FACTS: dict[str, Any] = {
    "package": ROW,
    "continued_by": ["diadem:" + "01" * 32],
    "amended": False,
    "assessments": {"package": ROW["id"], "assessments": [SAID], "disputes": []},
    "warnings": [{"package": ROW["id"], "path": "", "assessment": SAID, "disputed": False, "way": [], "sentence": "-"}],
}


def test_a_row_is_the_one_that_was_told() -> None:
    (row,) = read_result(PAGE, URL).rows
    assert row.to_dict() == ROW
    assert not read_result(PAGE, URL).wider, "an earlier version does not say"
    wider = [{"query": "zno", "left_out": "in:2026", "total": 3, "exact": True}]
    assert read_result(PAGE | {"wider": wider, "later": 1}, URL).wider[0].to_dict() == wider[0]


def test_facts_are_those_that_were_told() -> None:
    facts = read_facts(FACTS, URL)
    (said,) = facts.assessments
    assert (said.statement_id, said.by, said.value, said.order) == ("ef" * 32, "bob@nmi", 2.0, 0)
    assert facts.assessments.paths == {"ds-1": "a.emd"}
    assert facts.warnings[0].assessment == said
    assert facts.continued_by == ("diadem:" + "01" * 32,)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"id": "../../etc"}, "is not a package id"),
        ({"id": "\x1b[2J" * 500}, "is not a package id"),
        ({"date": "yesterday"}, r"rows\[0\]\.date: it should be a day such as 2026-03-14"),
        ({"ingested_at": "2026-03-14T09:26:53"}, "a moment has no time zone"),
        ({"bytes": "4"}, r"rows\[0\]\.bytes: it should be a whole number"),
        ({"stores": "disk"}, r"rows\[0\]\.stores: it should be a list"),
        ({"matched": [{"id": "ds-1"}]}, r"rows\[0\]\.matched\[0\]: 'path' is missing"),
        ({"opener": "os.system"}, r"rows\[0\]\.opener"),
        ({"title": None}, r"rows\[0\]\.title: it should be a text"),
    ],
)
def test_an_odd_row_is_named(change: dict[str, Any], words: str) -> None:
    with pytest.raises(DocumentError, match=words) as caught:
        read_result(PAGE | {"rows": [ROW | change]}, URL)
    assert (caught.value.where, caught.value.next) == (URL, "Update DIADEM.")
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 300


@pytest.mark.parametrize("name", [*FACTS])
def test_facts_without_one_are_none(name: str) -> None:
    with pytest.raises(DocumentError, match=f"'{name}' is missing"):
        read_facts({key: value for key, value in FACTS.items() if key != name}, URL)
    with pytest.raises(DocumentError, match="understands"):
        read_facts(FACTS | {name: 3}, URL)
