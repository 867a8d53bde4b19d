"""Health: what is at risk, why it matters, and the button that mends it; a store that goes away is told everywhere."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import diadem
from diadem.page.health import deed_of
from diadem.policy import commands
from diadem.testing.faults import flip_byte
from diadem.testing.samples import write_small_images
from tests import zygote
from tests.page.conftest import serve
from tests.page.hand import Page
from tests.page.window import Seen, fits, let_in, serious

pytest.importorskip("starlette", reason="the extra 'page' is not installed")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A node of two stores on what it takes for two disks, with two sessions."""
    home = tmp_path_factory.mktemp("healthy")
    with diadem.Node.create(home / "node", name="emlab", user="anna", store=str(home / "main")) as node:
        node.stores.add(str(home / "nas"), name="nas", place="nas")
        for number, name in enumerate(("bars", "rods")):
            write_small_images(home / name, 3, seed=number)
            node.archive(home / name, now=True)
    return home


def broken(home: Path, name: str) -> Path:
    """A file of a copy in main, with a byte that is another now."""
    path = next(path for path in sorted((home / "main").rglob("frame_00000.tif")) if name in str(path))
    flip_byte(path, 200)
    return path


def test_damage_is_found_and_mended_at_a_click(seen: Seen, home: Path, page: Page) -> None:
    """Scrub, see the damage, see what a repair would do, repair: without a terminal."""
    window = seen.window
    broken(home, "bars")
    page.ended(page.post("/health/scrub", store="main"))
    seen.go("/health")
    assert "Something is at risk" in window.locator("h1").inner_text()
    text = window.locator("main").inner_text()
    assert "Damage is mended from a good copy while there is one, so it should be done soon." in text
    assert window.locator(".rules a:has-text('bars')").count(), "the session is a link"
    assert serious(window) == []
    assert fits(window)
    step = window.locator(".steps li", has_text="diadem repair")
    step.locator("text=See first what it would do").click()
    window.wait_for_selector("text=nothing was changed", timeout=60_000)
    assert "would repair bars in main" in window.locator("main").inner_text()
    seen.go("/health")
    window.click(".steps >> text=Repair now")
    window.wait_for_selector("text=1 piece mended", timeout=60_000)
    seen.go("/health")
    assert "damage" in window.locator(".rules").first.inner_text()
    assert not window.locator(".steps", has_text="diadem repair").count()
    with diadem.open_node(home / "node") as node:
        assert all(node.get(row.id).verify().ok for row in node.search())


def test_each_rule_says_why_it_matters(page: Page, home: Path) -> None:
    with diadem.open_node(home / "node") as node:
        status = node.status()
    shown = html.unescape(page.get("/health"))
    for line in status.rules:
        assert line.why.endswith("."), line.rule
        assert (line.why in shown) == (line.mark != "idle"), line.rule
    month = f"{status.time:%Y-%m}"
    assert f">to {month}</th>" in shown
    assert re.search(r'<td class="number heat4">2</td>', shown), "both copies of each store were proven this month"
    due = status.stores[0].due_at
    assert due is not None
    assert str(due.date()) in shown
    assert "Every copy is read again within 90 days" in shown


def test_every_command_that_is_advised_has_a_button_or_stands_here() -> None:
    """What has none: it needs the terminal, since it runs on for ever, or gives something up for good."""
    advised = [value for name, value in vars(commands).items() if name.isupper() and isinstance(value, str)]
    advised += [commands.add_store(""), commands.add_store("cold"), commands.move_store("nas")]
    without = {command for command in advised if command.startswith("diadem ") and deed_of(command) is None}
    assert without == {commands.WATCH}
    assert deed_of(commands.lose_store("nas")) is None
    assert deed_of("diadem scrub nas --due") is not None
    assert deed_of("diadem scrub nas --due; rm -r /") is None


def test_the_recovery_file_is_confirmed(page: Page, home: Path) -> None:
    assert "it is still there, on this machine" in page.post("/health/confirm-recovery", 409)
    (home / "node-recovery.txt").rename(home / "moved.txt")
    shown = page.get(page.post("/health/confirm-recovery"))
    assert "the recovery file is somewhere else" in shown
    assert "confirmed as moved away" in shown


def test_stores_are_added_moved_and_forgotten(page: Page, home: Path) -> None:
    shown = html.unescape(page.post("/health/stores", 409, place=str(home / "main"), name="nas"))
    assert "this is the store 'main'" in shown
    shown = page.post("/health/stores", 409, place=str(home / "nas" / "inner"), name="third")
    assert "the folder is in the store" in shown
    assert 'value="third"' in shown, "what was typed is kept"
    shown = page.get(
        page.post("/health/stores", place=str(home / "third"), name="third", kind="cold").partition("#")[0]
    )
    assert "The store third was added" in shown
    shutil.move(home / "third", home / "elsewhere")
    assert "is not the store" in page.post("/health/stores/third/move", 409, place=str(home / "bars"))
    page.post("/health/stores/third/move", place=str(home / "elsewhere"))
    assert str(home / "elsewhere") in page.get("/health")
    assert "holds 2 copies" in page.post("/health/stores/main/forget", 409)
    page.post("/health/stores/third/forget")
    assert str(home / "elsewhere") not in page.get("/health")
    assert (home / "elsewhere" / ".diadem").is_dir(), "the folder is not touched"


def test_a_store_that_goes_away_is_told_on_every_page_and_the_rest_works(seen: Seen, page: Page, home: Path) -> None:
    window = seen.window
    (home / "nas").rename(home / "unplugged")
    try:
        told(seen, 1)
        for place in ("/", "/search?q=bars", "/take-in", "/health"):
            seen.go(place)
            assert "nas does not answer" in window.locator(".away").inner_text(), place
        assert "Say where nas is" in window.locator(".steps").inner_text()
        assert serious(window) == []
        window.goto(f"{seen.origin}/")
        window.click(".card:has-text('bars') a")
        assert "bars" in window.locator("h1").inner_text()
    finally:
        (home / "unplugged").rename(home / "nas")
    told(seen, 0)


def told(seen: Seen, count: int) -> None:
    """Look until it is told, or no more: a store that has just answered is believed for some seconds."""
    end = time.monotonic() + 60
    seen.go("/health")
    while seen.window.locator(".away").count() != count:
        assert time.monotonic() < end
        time.sleep(0.5)
        seen.go("/health")


def test_doctor_jobs_and_other_deeds(seen: Seen, page: Page) -> None:
    window = seen.window
    seen.go("/health/doctor")
    assert "clock" in window.locator("tbody").inner_text()
    assert serious(window) == []
    assert fits(window)
    for deed, said in (("rescan", "0 adopted folders"), ("reindex", "2 packages"), ("repair", "0 pieces mended")):
        assert said in page.ended(page.post(f"/health/{deed}")), deed
    assert "is not a part" in page.ended(page.post("/health/scrub", part="9"))
    assert "no job" in page.post("/health/jobs/nonsense/stop", 404).lower()


def test_a_job_of_another_process_is_stopped(page: Page, home: Path) -> None:
    line = [sys.executable, "-m", "diadem", "scrub", "--node", str(home / "node"), "--max-rate", "100kB", "--quiet"]
    with zygote.start(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            end = time.monotonic() + 60
            while not (found := re.search(r"/health/jobs/([^/]+)/stop", page.get("/health"))):
                assert time.monotonic() < end
                assert process.poll() is None, process.communicate()
                time.sleep(0.2)
            page.post(f"/health/jobs/{found[1]}/stop")
            assert process.wait(60) == 6
        finally:
            process.kill()


def test_read_only_has_no_buttons(home: Path, chromium: Any) -> None:
    for served in serve(home / "node", "--read-only"):
        context = let_in(chromium, (served, Page(served).cookie))
        window = context.new_page()
        for place in ("/health", "/take-in", f"/take-in?at={home}"):
            window.goto(f"{served.origin}{place}")
            assert window.locator("main form[method=post]").count() == 0, place
        context.close()
