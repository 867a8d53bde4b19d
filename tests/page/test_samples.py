"""Samples on the page: defined from a name in the records, cut into pieces, sent away, and told as a story."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import diadem
from diadem.testing.samples import write_session
from tests.page.conftest import HOSTILE, Served
from tests.page.labs import page_of, reading

pytest.importorskip("starlette", reason="the extra 'page' is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A node with a session of S-12, which nobody has defined."""
    home = tmp_path_factory.mktemp("samples")
    with diadem.Node.create(home / "node", name="emlab", user="anna", store=str(home / "store")) as node:
        write_session(home / "session")
        said = {"session": {"title": "ZnO boundary"}, "sample": {"name": "S-12"}}
        node.archive(home / "session", metadata=said, now=True)
        node.samples.add("H-1", name=HOSTILE, comment=HOSTILE, composition="<b>bold</b>")
    return home / "node"


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Served]:
    with page_of(folder) as page:
        yield page


def test_the_story_of_a_sample(chromium: Any, served: Served, folder: Path) -> None:
    with reading(chromium, served, java_script_enabled=False) as plain:
        plain.go("/samples")
        assert "Named in sessions, and not defined" in plain.text
        plain.click("text=Define it")
        assert plain.window.input_value("[name=identifier]") == "S-12"
        plain.window.fill("[name=name]", "ZnO nanorods")
        plain.window.fill("[name=names]", "NMI K-7")
        plain.click("main button:has-text('Define it')")
        assert "'NMI K-7' is not understood" in plain.text
        plain.window.fill("[name=names]", "NMI: K-7")
        plain.click("main button:has-text('Define it')")
        assert "S-12 is defined." in plain.text
        here = plain.window.url.partition("?")[0].removeprefix(plain.origin)
        assert "ZnO boundary" in plain.text, "its sessions"
        plain.unfold()
        plain.window.fill("[name=parts]", "S-12-a, S-12-b")
        plain.click("text=Define them")
        assert "The pieces are defined." in plain.text
        assert plain.window.locator(".tree li li a").all_inner_texts() == ["S-12-a", "S-12-b"]
        plain.unfold()
        plain.window.select_option("[name=what]", "sent")
        plain.window.fill("form[action$=happened] [name=date]", "2026-03-14")
        plain.window.fill("form[action$=happened] [name=to]", "NMI")
        plain.click("text=Say it")
        assert "On its way from emlab to NMI since 14 March 2026" in plain.text
        plain.unfold()
        plain.window.fill("form[action$=retract] [name=reason]", "it was another one")
        plain.click("main .timeline button")
        assert "retracted by anna@emlab: it was another one" in plain.text
        plain.unfold()
        plain.window.fill("form[action$='/link'] [name=other]", "X-9")
        plain.window.fill("form[action$='/link'] [name=other_lab]", "Oslo")
        plain.window.fill("form[action$='/link'] [name=reason]", "the label says so")
        plain.click("text=Say so")
        assert "X-9 (Oslo) because: the label says so" in plain.text
        plain.unfold()
        plain.window.fill("form[action$=unlink] [name=reason]", "it was another label")
        plain.click("form[action$=unlink] button")
        assert "They are two samples again" in plain.text
        plain.go("/samples")
        with plain.window.expect_download() as begun:
            plain.window.click("text=All samples as a sheet")
        assert Path(begun.value.path()).stat().st_size > 1000
    with reading(chromium, served) as seen:
        seen.fits("/samples", here)
        pictures = "all => all.every(one => one.naturalWidth > 0)"
        seen.window.wait_for_load_state("networkidle")
        assert seen.window.locator("main img").evaluate_all(pictures), "of sessions, and of what was made from what"
        kind = seen.window.evaluate(
            "place => fetch(place).then(one => one.headers.get('content-type'))", f"{here}/picture"
        )
        assert kind in ("image/png", "image/jpeg"), "of a dataset of it"
        seen.go("/samples?name=K-7")
        assert seen.window.url == f"{seen.origin}{here}", "by what another lab calls it"
    with diadem.open_node(folder) as node:
        story = node.samples.get("S-12")
        assert sorted(part.identifier for part in story.parts) == ["S-12-a", "S-12-b"]
        assert story.sample.names[0].lab == "NMI"
        assert "S-12-a" in story.svg


def test_two_tabs_and_hostile_words(chromium: Any, served: Served, folder: Path) -> None:
    with reading(chromium, served) as one, reading(chromium, served) as two:
        for tab in (one, two):
            tab.go("/samples?q=H-1")
            tab.click("main .card a")
            tab.click("summary:has-text('Change what is said')")
        one.window.fill("form[action$=change] [name=maker]", "Ada")
        one.click("text=Write it down")
        assert "It is saved" in one.text
        two.window.fill("form[action$=change] [name=maker]", "Grace")
        two.click("text=Write it down")
        assert "somebody has changed H-1" in two.text
        assert two.window.input_value("form[action$=change] [name=maker]") == "Grace", "what was typed stays"
        assert "made by\nAda" in two.text
        two.click("text=Write it down")
        assert "It is saved" in two.text
        one.go("/samples")
        place = str(one.window.locator(".card:has-text('H-1') img").get_attribute("src"))
        kept = one.window.evaluate("async (src) => (await fetch(src)).headers.get('cache-control')", place)
        assert kept == "no-store", "it has no picture yet"
        one.fits(two.window.url.partition("?")[0].removeprefix(two.origin))
        assert one.window.evaluate("window.taken") is None
        assert one.window.locator("main script, main [onerror], main b").count() == 0
        assert "[U+202E]" in one.text
    with diadem.open_node(folder) as node:
        sample = node.samples.get("H-1").sample
        assert str(sample.maker) == "Grace"
        assert sample.comment == HOSTILE
