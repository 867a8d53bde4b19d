"""Results in a notebook: what stands in them is text, whoever wrote it, and they stay small."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.catalogue import Catalogue, Facet, Facets, FacetValue, PackageRow, SearchResult
from diadem.catalogue.results import SHOWN, DatasetRow
from diadem.model.display import Cell, Table
from diadem.notebook.tables import result_html

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\u202e&amp;</style>"
PICTURE = "data:image/png;base64,iVBORw0KGgo="
ALLOWED = {"div", "style", "p", "strong", "code", "table", "tbody", "tr", "th", "td", "img", "span", "br", "bdi"}


class Seen(HTMLParser):
    """Tags and attributes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def require_harmless(page: str) -> Seen:
    """No element, attribute or address that would run or fetch something."""
    seen = Seen(page)
    assert set(seen.tags) <= ALLOWED
    assert {name for name, _ in seen.attributes} <= {"class", "style", "title", "alt", "src", "colspan", "tabindex"}
    for name, value in seen.attributes:
        if name == "src":
            assert re.fullmatch(r"data:image/(png|jpeg);base64,[A-Za-z0-9+/=]+", value or "")
        if name == "style":
            assert not re.search(r"url|expression|[<>]", value or "")
    assert "://" not in page
    return seen


def row(text: str = "ZnO", **more: Any) -> PackageRow:
    given: dict[str, Any] = {
        "id": "diadem:" + "1f0c9a77" * 8, "payload_id": "0" * 64, "title": text, "date": None, "instrument": text,
        "sample": text, "operator": text, "formats": (text,), "datasets": 9, "files": 9, "bytes": 10**9, "matching": 5,
        "matched": tuple(DatasetRow(f"d{n}", f"folder/{text}{n}") for n in range(5)), "owner": text,
        "ingested_at": None, "stores": (text,), "path": text, "session": text,
        "quality": ("accept", "disputed"), "warnings": (text,) * 5,
    }  # fmt: skip
    return PackageRow(**(given | more))


class Pictured:
    """A source that has the same picture of every package."""

    def __init__(self, picture: str) -> None:
        self.picture = picture
        self.asked = 0

    def thumbnails(self, rows: Any) -> dict[str, str]:
        self.asked += len(rows)
        return {one.id: self.picture for one in rows}

    def stated(self, *_: object) -> list[Any]:
        return []

    def units(self, _: object) -> dict[str, str]:
        return {}


@settings(max_examples=50, derandomize=True)
@given(st.text(max_size=40))
def test_texts_of_others_are_text(text: str) -> None:
    for hostile in (text, HOSTILE + text):
        found = SearchResult(hostile, (row(hostile),), 7, exact=False, hint=hostile, names=(hostile,), offset=2)
        require_harmless(found._repr_html_())
        value = FacetValue(hostile, 1, 2, f'sample="{hostile}"')
        require_harmless(
            Facets(hostile, (Facet("sample", (value,), 3, of_datasets=True),), 1, exact=False)._repr_html_()
        )


def test_a_row_says_what_a_person_wants_to_know() -> None:
    found = SearchResult("ZnO", (row(),), 7, offset=2, names=("K-7",), source=Pictured(PICTURE))
    seen = require_harmless(found._repr_html_())
    for said in ("7 packages for ZnO, 3 to 3", "1f0c9a771f0c", "accept", "disputed", "5 of 9", "ZnO0, ZnO1, ZnO2, …"):
        assert said in seen.text
    assert seen.text.count("⚠ ZnO") == 3
    assert "⚠ and 2 more" in seen.text
    assert "Also searched for: K-7" in seen.text
    assert ("src", PICTURE) in seen.attributes


@pytest.mark.parametrize(
    "address",
    ["javascript:alert(1)", "https://example.org/x.png", f'{PICTURE}" onerror="x', "data:image/svg+xml,x", ""],
)
def test_a_picture_is_a_picture_or_is_not_shown(address: str) -> None:
    found = SearchResult("", (row(),), 1, source=Pictured(address))
    assert "img" not in require_harmless(found._repr_html_()).tags


def test_only_so_many_rows_are_shown_and_pictured() -> None:
    source = Pictured(PICTURE)
    rows = tuple(row(id=f"diadem:{n:064x}") for n in range(SHOWN + 10))
    seen = require_harmless(SearchResult("", rows, len(rows), source=source)._repr_html_())
    assert seen.tags.count("tr") == SHOWN + 1
    assert source.asked == SHOWN
    assert "10 more on this page are not shown" in seen.text


def test_nothing_found(tmp_path: Any) -> None:
    with Catalogue.open(tmp_path / "c.sqlite", create=True) as catalogue:
        assert "0 packages" in require_harmless(catalogue.search("voltage=300")._repr_html_()).text
        assert "0 packages" in require_harmless(catalogue.facets("voltage=300")._repr_html_()).text
    document = SearchResult("", (), 0).to_dict() | {"found": 0}
    assert html.unescape(result_html(document, {})).count("<table>") == 0


def test_columns_keep_their_order_where_the_first_row_lacks_some() -> None:
    rows = [{"a": Cell("1"), "b": Cell(""), "c": Cell("3")}, {"a": Cell("1"), "b": Cell("2"), "c": Cell("")}]
    assert Table("rows", rows, 2).columns == ["a", "b", "c"]
