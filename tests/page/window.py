"""A browser window at a page: what it asks for and complains of, and whether everybody can read what it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.page.conftest import Served

#: The rules of WCAG that are looked at.
_RULES = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]
#: Those that are about colours, and so another matter in the dark.
_COLOURS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}


class Seen:
    """A browser window, and whatever it has asked for or complained about."""

    def __init__(self, window: Any, served: Served) -> None:
        self.window, self.origin = window, served.origin
        self.asked: list[str] = []
        self.complaints: list[str] = []
        window.on("request", lambda request: self.asked.append(request.url))
        window.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        window.on("pageerror", lambda error: self.complaints.append(str(error)))

    def load(self, path: str, *, again: int = 5) -> Any:
        """Load a page. The one before may load itself anew just then, because something has changed: then once more."""
        try:
            return self.window.goto(f"{self.origin}{path}")
        except Exception as error:  # of playwright, which is not everywhere
            if not again or "interrupted by another navigation" not in str(error):
                raise
        return self.load(path, again=again - 1)

    def go(self, path: str) -> Any:
        """Load a page, with all that it asks for later."""
        answer = self.load(path)
        self.window.wait_for_load_state("networkidle")
        return answer


def let_in(chromium: Any, entered: tuple[Served, str], **settings: Any) -> Any:
    """What a browser keeps together, with the cookie of one that was let in."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, **settings)
    name, _, value = entered[1].partition("=")
    context.add_cookies([{"name": name, "value": value, "url": entered[0].origin}])
    return context


def serious(window: Any, rules: Any = _RULES) -> list[tuple[str, str]]:
    """What axe-core finds that is serious: the rule, and the first element that breaks it."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core is not installed")
    known = window.evaluate("'axe' in window")  # a script of half a megabyte, once for each page
    options = {"runOnly": rules, "resultTypes": ["violations"]}
    found = (axe.Axe("0") if known else axe.Axe()).run(window, options=options).response["violations"]
    return [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")]


def fits(window: Any) -> bool:
    """Whether a page is no wider than a telephone."""
    window.set_viewport_size({"width": 360, "height": 800})
    narrow = window.evaluate("document.documentElement.scrollWidth <= innerWidth")
    window.set_viewport_size({"width": 1280, "height": 900})
    return bool(narrow)


def for_everybody(window: Any, path: str) -> None:
    """That a page is for everybody: nothing serious for axe-core in light or dark, and no wider than a telephone."""
    for scheme, rules in (("light", _RULES), ("dark", _COLOURS)):
        window.emulate_media(color_scheme=scheme)
        assert serious(window, rules) == [], (path, scheme)
    assert fits(window), path
