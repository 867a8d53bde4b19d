"""Cards and tables in a browser, under the rules that JupyterLab, nbviewer and VS Code have for all tables."""

from __future__ import annotations

from typing import Any

import pytest

from diadem.catalogue.results import SearchResult
from diadem.model.display import Document, Rows
from tests.notebook.test_result_table import PICTURE, Pictured, row

#: Around an output, and what stands in each one's style sheet, copied from nbconvert 7's templates and VS Code's.
FRONT_ENDS = {
    "lab": (
        '<div class="jp-OutputArea-output jp-RenderedHTMLCommon jp-RenderedHTML">{}</div>',
        """.jp-RenderedHTMLCommon pre, .jp-RenderedHTMLCommon code { border: 0; white-space: pre-wrap; padding: 0; }
        .jp-RenderedHTMLCommon table { border-collapse: collapse; border: none; table-layout: fixed;
          margin-left: auto; margin-bottom: 1em; margin-right: auto; }
        .jp-RenderedHTMLCommon td, .jp-RenderedHTMLCommon th, .jp-RenderedHTMLCommon tr { vertical-align: middle;
          padding: 0.5em; line-height: normal; white-space: normal; max-width: none; border: none; }
        :not(.jp-RenderedMarkdown).jp-RenderedHTMLCommon td, :not(.jp-RenderedMarkdown).jp-RenderedHTMLCommon th,
        :not(.jp-RenderedMarkdown).jp-RenderedHTMLCommon tr { text-align: right; }
        .jp-RenderedHTMLCommon tbody tr:nth-child(odd) { background: #fff; }
        .jp-RenderedHTMLCommon tbody tr:nth-child(even) { background: #f5f5f5; }
        .jp-RenderedHTMLCommon img { max-width: 100%; height: auto; }""",
    ),
    "nbviewer": (
        '<div class="output_area"><div class="output_html rendered_html">{}</div></div>',
        """.rendered_html table { margin-left: auto; margin-right: auto; border: none; table-layout: fixed; }
        .rendered_html tr, .rendered_html th, .rendered_html td { text-align: right; vertical-align: middle;
          padding: 0.5em 0.5em; line-height: normal; white-space: normal; max-width: none; border: none; }
        .rendered_html tbody tr:nth-child(odd) { background: #f5f5f5; }
        .rendered_html img { display: block; margin-left: auto; margin-right: auto; max-width: 100%; height: auto; }""",
    ),
    "vscode": (
        '<div id="container"><div class="output_container"><div class="output">{}</div></div></div>',
        """#container .output table { table-layout: auto; border: none; }
        table, thead, tr, th, td, tbody { border: none; border-collapse: collapse; text-align: right;
          padding: 0.5em; vertical-align: middle; }
        table > tbody > tr { background: #eee; }""",
    ),
}


@pytest.fixture(scope="module")
def page(chromium: Any) -> Any:
    return chromium.new_page(viewport={"width": 1200, "height": 800})


def measured(page: Any, front_end: str, html: str) -> list[dict[str, Any]]:
    """Each cell as the browser sets it."""
    around, rules = FRONT_ENDS[front_end]
    page.set_content(f"<!doctype html><style>{rules}</style>{around.format(html)}")
    cells: list[dict[str, Any]] = page.evaluate(
        """() => [...document.querySelectorAll('.diadem td, .diadem th')].map(cell => {
            const style = getComputedStyle(cell), row = getComputedStyle(cell.parentElement);
            const lines = new Set([...(() => {
                const range = document.createRange(); range.selectNodeContents(cell); return range.getClientRects();
            })()].map(box => Math.round(box.top)));
            return { text: cell.innerText, number: cell.classList.contains('number'), align: style.textAlign,
                     vertical: style.verticalAlign, ground: row.backgroundColor, lines: lines.size };
        })"""
    )
    return cells


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_columns_stand_as_we_set_them(page: Any, front_end: str) -> None:
    found = SearchResult("ZnO", (row(), row("S-12")), 2, source=Pictured(PICTURE))
    rows = Rows({"id": "1f0c9a77" * 8, "date": "2026-11-28", "name": "ZnO", "bytes": 10**9} for _ in range(3))
    for html in (found._repr_html_(), rows._repr_html_(), Document({"name": "a", "rows": list(rows)})._repr_html_()):
        cells = measured(page, front_end, html)
        assert len(cells) > 8
        for cell in cells:
            assert cell["align"] == ("right" if cell["number"] else "left"), cell
            assert cell["vertical"] == "top"
            assert cell["ground"] == "rgba(0, 0, 0, 0)", "no stripes: a row of two lines is one row"
        whole = [cell for cell in cells if cell["text"].strip() in ("1f0c9a771f0c", "2026-11-28")]
        assert whole
        assert all(cell["lines"] == 1 for cell in whole), "ids and days do not break"


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_a_picture_is_128_pixels_and_three_times_that_while_it_is_clicked(page: Any, front_end: str) -> None:
    found = SearchResult("", (row(),), 1, source=Pictured(PICTURE))
    measured(page, front_end, found._repr_html_())

    def size() -> Any:
        return page.evaluate("(() => { const b = document.querySelector('img').getBoundingClientRect();"
                             " return [b.width, b.height] })()")  # fmt: skip

    assert size() == [128, 128]
    page.click("img")
    assert size() == [384, 384]
    page.click("p")
    assert size() == [128, 128]


def test_a_column_in_which_nothing_is_said_is_not_there() -> None:
    shown = SearchResult("", (row(quality=(), operator=""), row("S", quality=(), operator="")), 2)._repr_html_()
    assert "<th>judged" not in shown
    assert "<th>operator" not in shown
    assert "<th>sample" in shown
