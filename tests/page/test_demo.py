"""Two commands from nothing to pictures: `diadem demo try`, `diadem page try`; and the pictures of the documents."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.page.conftest import Served, serve
from tests.page.pictures import FOLDER, MOST_BYTES, QUERY, SCREENS, SIZE, make_demo, pictures

pytest.importorskip("starlette", reason="the extra 'page' is not installed")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Served]]:
    folder = tmp_path_factory.mktemp("demo") / "try"
    make_demo(folder)
    for page in serve(folder):
        yield folder, page


def test_pictures_of_the_documents_can_be_made_again(chromium: Any, demo: tuple[Path, Served]) -> None:
    """And somebody new finds the HAADF image of S-12 at 300 kV."""
    made = dict(pictures(chromium, *demo))
    assert made.keys() >= {"home", "results", "session", "dataset", "health"}
    for data in made.values():
        assert len(data) < MOST_BYTES
        with Image.open(io.BytesIO(data)) as picture:
            assert picture.size == (SIZE["width"], SIZE["height"])
            assert len(picture.getcolors(256) or ()) > 8, "something is to be seen"
    for page in serve(demo[0]):
        context = chromium.new_context()
        window = context.new_page()
        window.goto(page.address)
        window.wait_for_url(f"{page.origin}/")
        assert window.locator(".card").count() == 3
        window.fill(".ask input", QUERY)
        window.keyboard.press("Enter")
        window.click("text=S-12 HAADF boundary.hspy")
        window.wait_for_load_state("networkidle")
        assert window.locator("img.drawing").evaluate("one => one.naturalWidth") > 200
        with window.expect_download() as came:
            window.click("main a[download]")
        original = next(demo[0].glob("*/S-12 HAADF boundary.hspy"))
        assert Path(came.value.path()).read_bytes() == original.read_bytes()
        context.close()


def test_the_documents_show_them() -> None:
    shown = re.findall(r"!\[[^\]]{10,}\]\(pictures/([\w-]+)\.png\)", (FOLDER.parent / "page.md").read_text("utf-8"))
    there = {path.stem for path in FOLDER.glob("*.png")}
    assert set(shown) == there & SCREENS.keys()
    others = "".join(page.read_text("utf-8") for page in FOLDER.parent.glob("*.md"))
    assert all(f"pictures/{name}.png" in others for name in there), "one that no page shows"
    assert all(path.stat().st_size < MOST_BYTES for path in FOLDER.glob("*.png"))
