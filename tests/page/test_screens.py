"""The screens in a browser: what a person sees, and that nothing leaves the machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.page.conftest import Served, watched
from tests.page.window import Seen, let_in

pytest.importorskip("starlette", reason="the extra 'page' is not installed")


@pytest.fixture(params=["light", "dark"])
def seen(request: pytest.FixtureRequest, chromium: Any, entered: tuple[Served, str]) -> Iterator[Seen]:
    """A window at home; in the end nothing was asked of another machine, and nothing was wrong."""
    for window in watched(chromium, *entered, color_scheme=request.param):
        window.go("/")
        yield window


def test_home_search_and_narrowing(seen: Seen) -> None:
    window = seen.window
    assert window.title() == "Archive · emlab"
    assert window.locator(".card .name").all_inner_texts().count("ZnO boundary") == 1
    widths = window.locator(".card img").evaluate_all("all => all.map(one => one.naturalWidth)")
    assert all(widths), "every picture is there"
    window.keyboard.press("/")
    window.fill(".ask input", "HAADF")
    window.keyboard.press("Enter")
    window.wait_for_url("**/search?q=HAADF")
    window.wait_for_load_state("networkidle")
    cards = window.locator(".card .name").all_inner_texts()
    assert cards == ["haadf_overview.tif", "haadf_series.mrc"]
    window.click("text=Table")
    window.wait_for_url("**view=table")
    assert window.locator("tbody tr").count() == 2
    seen.go("/search?q=HAADF+pixel%3C0.0000001nm")
    assert "Without pixel<0.0000001nm there is 1" in window.locator("main").inner_text()
    window.click("main a:has-text('Without')")
    window.wait_for_url("**/search?q=HAADF")
    assert window.locator(".card").count() == 2


def test_a_session_and_its_datasets(seen: Seen) -> None:
    window = seen.window
    window.click("text=ZnO boundary")
    window.wait_for_load_state("networkidle")
    text = window.locator("main").inner_text()
    for told in ("8 datasets", "S-12", "haadf_overview.tif", "present, proven", "were archived in the store main"):
        assert told in text, told
    window.click("main .card:has-text('haadf_overview.tif')")
    window.wait_for_load_state("networkidle")
    assert window.locator("img.drawing").evaluate("one => one.naturalWidth") > 200
    window.locator("main table summary").first.click()
    assert "status" in window.locator("main tr:has(details[open])").inner_text()
    here = window.url
    window.click("a[rel=next]")
    window.wait_for_load_state("networkidle")
    assert window.url != here


def test_hostile_words_are_words(seen: Seen) -> None:
    window = seen.window
    seen.go("/search?view=sessions")
    seen.go("/search?view=table&q=notes")
    seen.go('/search?q="%3Cscript%3Ewindow.taken%3D1%3C/script%3E"')
    assert window.locator("main .card").count() == 1
    seen.go("/search?view=sessions")
    assert window.evaluate("window.taken") is None
    assert window.locator("main script, main [onerror], main [onmouseover]").count() == 0
    assert "[U+202E]" in window.locator("main").inner_text(), "what turns the reading is named"


def test_the_printed_address_opens_the_page(chromium: Any, served: Served) -> None:
    context = chromium.new_context()
    window = context.new_page()
    window.goto(served.address)
    window.wait_for_url(f"{served.origin}/")
    assert (window.url, window.title()) == (f"{served.origin}/", "Archive · emlab")
    context.close()


def test_reading_needs_no_script(chromium: Any, entered: tuple[Served, str]) -> None:
    context = let_in(chromium, entered, java_script_enabled=False)
    window = Seen(context.new_page(), entered[0])
    window.go("/")
    window.window.fill(".ask input", "HAADF")
    window.window.click(".ask button")
    window.window.wait_for_load_state()
    assert window.window.locator(".card .name").all_inner_texts() == ["haadf_overview.tif", "haadf_series.mrc"]
    context.close()
