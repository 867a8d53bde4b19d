"""The screens in a browser: what a person sees, and that nothing leaves the machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.page.conftest import Served

pytest.importorskip("starlette", reason="the extra 'page' is not installed")


class Seen:
    """A browser window, and whatever it has asked for or complained about."""

    def __init__(self, window: Any, served: Served) -> None:
        self.window, self.origin = window, served.origin
        self.asked: list[str] = []
        self.complaints: list[str] = []
        window.on("request", lambda request: self.asked.append(request.url))
        window.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        window.on("pageerror", lambda error: self.complaints.append(str(error)))

    def go(self, path: str) -> Any:
        answer = self.window.goto(f"{self.origin}{path}")
        self.window.wait_for_load_state("networkidle")
        return answer


@pytest.fixture(params=["light", "dark"])
def seen(request: pytest.FixtureRequest, chromium: Any, served: Served) -> Iterator[Seen]:
    """A window that was let in; in the end nothing was asked of another machine, and nothing was wrong."""
    context = chromium.new_context(color_scheme=request.param, viewport={"width": 1280, "height": 900})
    window = Seen(context.new_page(), served)
    window.go(served.address.removeprefix(served.origin))
    yield window
    context.close()
    assert [url for url in window.asked if not url.startswith(f"{served.origin}/")] == []
    assert window.complaints == []


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


def test_nothing_serious_for_people_who_see_or_point_differently(seen: Seen) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core is not installed")
    for path in ("/", "/search?q=HAADF", "/search?q=HAADF&view=table", "/search?q=nothing+at+all", "/health"):
        seen.go(path)
        found = axe.Axe().run(seen.window, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]})
        serious = [one for one in found.response["violations"] if one["impact"] in ("serious", "critical")]
        assert [(one["id"], one["nodes"][0]["html"]) for one in serious] == [], path


def test_narrow_windows_do_not_scroll_sideways(seen: Seen) -> None:
    seen.window.set_viewport_size({"width": 360, "height": 800})
    for path in ("/", "/search?q=HAADF", "/health"):
        seen.go(path)
        assert seen.window.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


def test_reading_needs_no_script(chromium: Any, served: Served) -> None:
    context = chromium.new_context(java_script_enabled=False)
    window = Seen(context.new_page(), served)
    window.go(served.address.removeprefix(served.origin))
    window.window.fill(".ask input", "HAADF")
    window.window.click(".ask button")
    assert window.window.locator(".card .name").all_inner_texts() == ["haadf_overview.tif", "haadf_series.mrc"]
    context.close()
