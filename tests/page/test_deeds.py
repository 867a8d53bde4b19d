"""A person at a session's page, in a browser: corrects, judges, verifies, chooses files, gives, sends, and drops."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.page.conftest import Served, enter, serve
from tests.page.hand import Hand
from tests.page.test_record import HOSTILE, make
from tests.page.window import Seen, for_everybody, let_in

pytest.importorskip("starlette", reason="the extra 'page' is not installed")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, tuple[Served, str]]]:
    """The id of a session, the page that shows it, and the cookie that lets in."""
    home = tmp_path_factory.mktemp("lab")
    package = make(home)
    for served in serve(home / "node"):
        yield package, (served, enter(served))


def test_a_person_does_all_of_it(chromium: Any, lab: tuple[str, tuple[Served, str]], tmp_path: Path) -> None:
    package, entered = lab
    context = let_in(chromium, entered, accept_downloads=True)
    seen = Seen(context.new_page(), entered[0])
    window, place = seen.window, f"/session/{package}"
    window.set_default_timeout(10_000)
    title = "ZnO Σ7 boundary"

    seen.go(place)
    window.click("nav.deeds >> text=Correct")
    window.get_by_label("Title: what it is").fill(title)
    window.get_by_label("Operator: what it is").fill("B. Example")
    window.get_by_label("Why").fill(f"logbook {HOSTILE}")
    window.get_by_role("button", name="Correct").click()
    assert "Corrected: Title, Operator." in window.inner_text(".notice")
    assert window.inner_text("h1") == title

    seen.go(place)
    window.click("main .card:has-text('haadf_overview.tif')")
    window.click("nav.deeds >> text=Assess")
    window.get_by_label("Verdict").select_option("limited")
    window.get_by_label("What the data are to be used for").fill("EELS")
    window.get_by_label("Why").fill(HOSTILE)
    window.get_by_role("button", name="Assess").click()
    assert "Assessed: limited for EELS." in window.inner_text(".notice")
    assert window.locator("main script, main [onerror]").count() == 0

    seen.go(place)
    window.get_by_role("button", name="Verify now").click()
    window.wait_for_selector("text=Every byte of 1 copy is right", timeout=30_000)
    window.click("text=Back to the session")

    window.click("nav.deeds >> text=Files")
    window.get_by_label("haadf_overview.tif").check()
    window.get_by_label("haadf_series.mrc").check()
    with window.expect_download() as coming:
        window.get_by_role("button", name="Download the chosen ones").click()
    coming.value.save_as(tmp_path / "some.zip")
    with zipfile.ZipFile(tmp_path / "some.zip") as archive:
        assert archive.testzip() is None
        assert sorted(name.partition("/")[2] for name in archive.namelist()) == [
            "haadf_overview.tif",
            "haadf_series.mrc",
        ]

    seen.go(place)
    window.click("nav.deeds >> text=Give a ZIP")
    window.get_by_label("For whom").fill("Marie Curie <m@x.org>")
    window.get_by_role("button", name="See what would be in it").click()
    assert "Nothing was done yet" in window.inner_text("main")
    sure = window.url.removeprefix(seen.origin)
    for_everybody(window, sure)
    window.get_by_role("button", name="Make the ZIP").click()
    window.wait_for_selector("text=every byte proven", timeout=30_000)
    with window.expect_download() as coming:
        window.click("text=Download it, once")
    coming.value.save_as(tmp_path / "given.zip")
    with zipfile.ZipFile(tmp_path / "given.zip") as archive:
        assert "READ ME FIRST.html" in archive.namelist()

    seen.go(f"{place}/send")
    assert "limited for EELS" in window.inner_text("main"), "doubts are told before"
    window.locator("select[name=colleague]").select_option("bert@emlab")
    window.get_by_role("button", name="See what this would open").click()
    window.get_by_role("button", name="Grant it").click()
    assert "Granted: bert@emlab may see and read." in window.inner_text(".notice")

    seen.go(place)
    window.click("nav.deeds >> text=Drop, delete")
    window.get_by_label("main, present").check()
    window.get_by_label("Why", exact=True).fill("the disk is full")
    window.get_by_role("button", name="See what would be done").click()
    window.wait_for_selector("text=it is the only copy", timeout=30_000)

    screens = ("", "/correct", "/correct?dataset=d1", "/judge", "/repair", "/drop", "/files", "/give", "/send", "/d1")
    for path in screens:
        seen.go(f"{place}{path}")
        for_everybody(window, path)
    context.close()
    assert [url for url in seen.asked if not url.startswith((f"{seen.origin}/", "blob:"))] == []
    assert seen.complaints == []


def test_it_needs_no_script(chromium: Any, lab: tuple[str, tuple[Served, str]]) -> None:
    package, entered = lab
    context = let_in(chromium, entered, java_script_enabled=False)
    window, origin = context.new_page(), entered[0].origin
    window.goto(f"{origin}/session/{package}/judge")
    window.get_by_label("What the data are to be used for").fill("imaging")
    window.get_by_role("button", name="Assess").click()
    assert "Assessed: accept for imaging." in window.inner_text(".notice")
    window.get_by_role("button", name="Verify now").click()
    window.wait_for_selector("text=Every byte of 1 copy is right", timeout=30_000)  # the page asks again by itself
    window.goto(f"{origin}/session/{package}/give")
    window.get_by_label("For whom").fill("Marie Curie")
    window.get_by_role("button", name="See what would be in it").click()
    window.get_by_role("button", name="Make the ZIP").click()
    window.wait_for_selector("text=Download it, once", timeout=30_000)
    context.close()
    assert "Marie Curie" in Hand(*entered).read(f"/session/{package}")
