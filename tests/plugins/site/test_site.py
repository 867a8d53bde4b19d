"""A catalogue as a folder: written by the command, and looked at in a browser as it lies on the disk."""

from __future__ import annotations

import datetime
import hashlib
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

import diadem
from diadem.errors import IntegrityError, NotFound
from diadem.hooks.exporters import ExportedPackage, ExportSource, ExportTarget
from diadem.model.facts import PackageFacts
from diadem.model.record import Datasets, Record
from diadem.plugins.site.site import SHEET, export
from diadem.testing import check_plugin
from diadem.testing.samples import write_image_session, write_session
from tests.cli.inside import said
from tests.node.verbs.conftest import damage
from tests.page.window import for_everybody

#: Words that mean no good: an element, an address, a mark that turns the reading.
HOSTILE = '</script><img src=x onerror="window.taken=1"><a href="javascript:window.taken=1">\u202egnp.exe'


@dataclass(frozen=True)
class Made:
    """A node, the catalogue of all that it has, and the ids of its sessions."""

    node: Path
    out: Path
    boundary: str
    grain: str
    hostile: str
    told: str


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Three sessions: one corrected and judged, one made from it, one whose every word is hostile."""
    home = tmp_path_factory.mktemp("site")
    with diadem.Node.create(home / "node", name="emlab", user="anna", store=str(home / "store")) as node:
        write_session(home / "session")
        titled = {"session": {"title": "ZnO boundary, Müller"}, "sample": {"name": "S-12"}}
        boundary = str(node.archive(home / "session", metadata=titled, now=True).package.id)
        node.amend(boundary, {"sample.name": "S-13"}, reason="mixed up at the microscope")
        node.assess(boundary, verdict="limited", purpose="strain", comment="drift in the first hour")
        write_image_session(home / "2026-04-01 grain", sample="S-15", date="2026-04-01")
        grain = str(node.archive(home / "2026-04-01 grain", now=True).package.id)
        node.derive(grain, [boundary], comment="averaged")
        (home / "odd").mkdir()
        (home / "odd" / "notes.txt").write_text(HOSTILE)
        words = {"title": HOSTILE, "description": HOSTILE}
        odd = {"session": words, "sample": {"name": HOSTILE}, "people": [{"name": HOSTILE, "role": "operator"}]}
        hostile = str(node.archive(home / "odd", metadata=odd, now=True).package.id)
        node.assess(hostile, verdict="reject", purpose=HOSTILE, comment=HOSTILE)
    told = said("site", home / "out", "--packages", "--node", home / "node", "--for", "Marie Curie")
    return Made(home / "node", home / "out", boundary, grain, hostile, told)


@pytest.fixture
def window(chromium: Any, made: Made) -> Iterator[Any]:
    """A window at the catalogue; in the end nothing was asked for outside its folder, and nothing was wrong."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    window = context.new_page()
    asked: list[str] = []
    complaints: list[str] = []
    window.on("request", lambda request: asked.append(request.url))
    window.on("console", lambda told: complaints.append(told.text))
    window.on("pageerror", lambda error: complaints.append(str(error)))
    window.goto((made.out / "index.html").as_uri())
    window.wait_for_load_state("networkidle")
    yield window
    assert [url for url in asked if not url.startswith(made.out.as_uri())] == []
    # What a test does on purpose, to see that it is stopped, is told too.
    assert [one for one in complaints if "requires 'TrustedHTML'" not in one] == []
    assert window.evaluate("window.taken") is None
    context.close()


def titles(window: Any, count: int) -> list[str]:
    """Titles in the list, once there are so many: what is asked stands in the address, and is shown a moment later."""
    window.wait_for_function("count => document.querySelectorAll('#list h2').length === count", arg=count)
    return sorted(window.locator("#list h2").all_inner_texts())


def test_what_is_found_is_told_and_the_log_says_who_has_it(made: Made) -> None:
    assert "exported         3 packages as site" in made.told
    assert "out/index.html" in made.told
    assert "given to         Marie Curie" in made.told
    with diadem.open_node(made.node) as node:
        assert "gave the package to Marie Curie (site" in str(node.custody(made.grain))
    dry = made.out.parent / "dry"
    assert "nothing was written" in said("site", dry, "sample:S-15", "--dry-run", "--node", made.node)
    assert not dry.exists()
    said("site", dry, "sample:S-77", "--node", made.node, code=NotFound.exit_code)


def test_words_and_facets_find_sessions(window: Any) -> None:
    assert window.inner_text("#found") == "3 of 3 sessions"
    for words, found in (
        ("muller BOUNDARY", 1),  # whatever the case, and with or without accents
        ("s-13", 1),  # as it was corrected
        ("s-12", 0),
        ('"first hour drift"', 0),
        ('"drift in the first"', 1),
        ("boundary -zno", 1),
        ("nothing-of-this", 0),
        ("", 3),
    ):
        window.fill("#words", words)
        assert window.inner_text("#found") == f"{found} of 3 sessions", words
    window.click("#filters summary:has-text('Verdict')")
    window.check("#filters label:has-text('usable with limits')")
    assert titles(window, 1) == ["ZnO boundary, Müller"]
    window.check("#filters label:has-text('made from doubted data')")  # a second value of the same: either
    assert titles(window, 2) == ["2026-04-01 grain", "ZnO boundary, Müller"]
    window.click("#filters summary:has-text('Sample')")
    window.check("#filters label:has-text('S-15')")
    assert titles(window, 1) == ["2026-04-01 grain"]
    window.reload()
    assert titles(window, 1) == ["2026-04-01 grain"], "the address holds what was asked"
    window.go_back()
    assert len(titles(window, 2)) == 2


def test_a_session_has_a_page_with_all_that_is_said_of_it(window: Any, made: Made) -> None:
    window.click("text=ZnO boundary, Müller")
    window.wait_for_selector("#package h1:focus")
    text = window.inner_text("#package")
    for words in (
        made.boundary, "S-12", "S-13", "mixed up at the microscope", "anna@emlab: ", "drift in the first hour",
        "usable with limits", "strain",
    ):  # fmt: skip
        assert words in text, words
    window.locator("#package details").first.locator("summary").click()
    assert "kV" in window.inner_text("#package")
    shown = window.locator("#package .stage img")
    assert shown.get_attribute("alt").startswith("Preview of ")
    assert shown.evaluate("image => image.naturalWidth") == 8 * 160
    window.click("text=Its own page")
    assert made.boundary[7:19] in window.url or "ro-crate-preview.html" in window.url
    assert "ZnO boundary" in window.inner_text("h1")
    window.go_back()
    window.click("text=Back to the list")
    window.click("#list a:has-text('2026-04-01 grain')")
    window.wait_for_selector("#package h2:has-text('Made from')")
    assert "made from data with a warning" in window.inner_text("#package")
    window.locator("#package table a:has-text('ZnO boundary')").click()
    window.wait_for_selector("#package h1:has-text('ZnO boundary')")


def test_hostile_words_are_text(window: Any, made: Made) -> None:
    shown = HOSTILE.replace("\u202e", "[U+202E]")
    assert any(title == shown for title in titles(window, 3))
    window.locator(f"#list a[href='#package={made.hostile[7:]}']").click()
    window.wait_for_selector("#package h1:focus")
    assert window.inner_text("#package h1") == shown
    assert window.inner_text("#package").count(shown) >= 5
    assert window.locator("#package :is(img, a[href^=javascript], script)").count() == 0
    window.goto((made.out / "list.html").as_uri())
    assert shown in window.inner_text("ol")
    assert window.locator("img, script, a[href^=javascript]").count() == 0
    sink = "() => { try { document.body.innerHTML = 'x'; return 'taken'; } catch (error) { return error.name; } }"
    assert window.evaluate(sink) == "TypeError", "no text of a script becomes markup"


def test_it_is_for_everybody(chromium: Any, made: Made) -> None:
    window = chromium.new_context(viewport={"width": 1280, "height": 900}).new_page()
    window.goto((made.out / "index.html").as_uri())
    window.wait_for_selector("#list h2")
    for_everybody(window, "list")
    window.keyboard.press("Tab")
    assert window.evaluate("document.activeElement.id") == "words"
    window.focus("#filters summary")
    window.keyboard.press("Tab")
    window.keyboard.press("Space")
    assert window.evaluate("document.activeElement.checked"), "what was ticked keeps the focus"
    window.goto(f"{(made.out / 'index.html').as_uri()}#package={made.boundary[7:]}")
    window.wait_for_selector("#package h1")
    for summary in window.locator("#package summary").all():
        summary.click()
    for_everybody(window, "package")
    window.context.close()


def test_without_javascript_there_is_a_list(chromium: Any, made: Made) -> None:
    context = chromium.new_context(java_script_enabled=False)
    window = context.new_page()
    window.goto((made.out / "index.html").as_uri())
    window.wait_for_url("**/list.html")
    assert window.locator("ol li").count() == 3
    window.click("text=ZnO boundary, Müller")
    assert window.inner_text("h1") == "ZnO boundary, Müller"
    context.close()


def test_the_packages_beside_it_are_the_packages(made: Made) -> None:
    for package in (made.boundary, made.grain, made.hostile):
        report = diadem.verify(made.out / "packages" / package[7:23])
        assert report.ok
        assert report.package_id == package


def test_a_damaged_package_leaves_nothing_half_written(tmp_path: Path) -> None:
    with diadem.Node.create(tmp_path / "node", name="other", user="bob", store=str(tmp_path / "store")) as node:
        write_image_session(tmp_path / "one", sample="S-1", date="2026-04-01")
        package = node.archive(tmp_path / "one", now=True).package
        damage(next(package.path.joinpath("data").glob("*.hspy")))  # type: ignore[union-attr]
        with pytest.raises(IntegrityError):
            node.site(tmp_path / "out", packages=True)
    assert [one.name for one in tmp_path.iterdir() if "out" in one.name] == []


@pytest.mark.parametrize("packages", [False, True])
@pytest.mark.program("the whole kit for exporters")
def test_the_kit_finds_nothing_wrong(tmp_path: Path, packages: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIADEM_CACHE", str(tmp_path / "cache"))
    image, *_ = write_image_session(tmp_path / "example", sample="S-1", date="2026-04-01")
    report = check_plugin("diadem.plugins.site", [image], options={"packages": packages}, strict=False)
    assert [finding.code for finding in report.findings if finding.code != "not-installed"] == []
    assert report.checked["exports"] >= 4


def test_each_package_is_opened_once_and_none_is_held(tmp_path: Path) -> None:
    alive: set[int] = set()
    opened: list[int] = []
    most = 0

    class Opened(Sequence[ExportedPackage]):
        def __len__(self) -> int:
            return 3 * SHEET + 1

        def __getitem__(self, number: Any) -> Any:
            nonlocal most
            if number >= len(self):
                raise IndexError
            opened.append(number)
            facts = PackageFacts(f"session {number}", "2026-04-01", "", 0, 0, 0)
            id_ = "diadem:" + hashlib.sha256(str(number).encode()).hexdigest()
            record = Record("", Datasets(()), frozenset())
            facts_ = _Watched(facts)
            alive.add(number)
            weakref.finalize(facts_, alive.discard, number)
            most = max(most, len(alive))
            none: Any = None  # nothing of it is opened
            return ExportedPackage(id_, "", record, cast("Any", facts_), (), (), none, none)

    moment = datetime.datetime(2026, 4, 1, tzinfo=datetime.UTC)
    export(ExportSource(Opened(), moment), ExportTarget(tmp_path, "out"), packages=False)
    assert opened == list(range(3 * SHEET + 1))
    assert most <= 2
    assert len(list((tmp_path / "data").glob("packages-*.js"))) == 4


class _Watched:
    """Facts that tell when they are gone."""

    def __init__(self, facts: PackageFacts) -> None:
        self._facts = facts

    def __getattr__(self, name: str) -> Any:
        return getattr(self._facts, name)
