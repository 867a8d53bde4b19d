"""The pictures of the documents: screens of the page, of the archive that `diadem demo` makes.

``python -m tests.page.pictures`` makes them anew in ``docs/pictures``, of the screens that there are.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import diadem
from diadem.testing.faults import remove
from diadem.testing.samples import write_image_session
from tests.browser import browser
from tests.page.conftest import Served, serve

FOLDER: Final = Path(__file__).resolve().parent.parent.parent / "docs" / "pictures"
#: What the story looks for.
QUERY: Final = "HAADF sample:S-12 voltage=300kV"
#: Name of the picture, and the address of the screen.
SCREENS: Final[Mapping[str, str]] = {
    "home": "/",
    "results": "/search?q=HAADF+sample%3AS-12+voltage%3D300kV",
    "session": "/session/{session}",
    "dataset": "/session/{session}/{dataset}",
    "take-in": "/take-in?folder={folder}",
    "health": "/health",
    "exchange": "/exchange",
    "samples": "/samples",
    "people": "/people",
}
SIZE: Final = {"width": 1280, "height": 800}
#: Paths are shown as those of somebody's home, not of a folder for a moment.
_AT_HOME: Final = """folder => {
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) texts.currentNode.data = texts.currentNode.data.replaceAll(folder, "/home/alice");
    for (const field of document.querySelectorAll("input")) field.value = field.value.replaceAll(folder, "/home/alice");
}"""
#: Bytes of a picture: the documents stay small.
MOST_BYTES: Final = 150_000


def make_demo(folder: Path) -> None:
    """What somebody gets who has nothing yet."""
    subprocess.run([sys.executable, "-m", "diadem", "demo", str(folder)], check=True, stdout=subprocess.DEVNULL)


def pictures(chromium: Any, demo: Path, page: Served) -> Iterator[tuple[str, bytes]]:
    """Each screen that there is, as PNG: of the demo's archive, by a browser that the page lets in."""
    with diadem.open_node(demo) as node:
        row = node.search(QUERY)[0]
    new = demo / "2026-04-02 S-15 at 200 kV"
    write_image_session(new, sample="S-15", date="2026-04-02", voltage=200, seed=7)
    places = {"session": row.id.removeprefix("diadem:"), "dataset": row.matched[0].id, "folder": quote(str(new))}
    context = chromium.new_context(viewport=SIZE, color_scheme="light", reduced_motion="reduce")
    window = context.new_page()
    window.goto(page.address)
    window.wait_for_url(f"{page.origin}/")
    while window.locator("header .light.grey").count():  # the archive is being judged
        window.wait_for_timeout(500)
        window.reload()
    for name, address in SCREENS.items():
        answer = window.goto(page.origin + address.format(**places))
        if answer.status == 404:
            continue
        assert answer.status == 200, f"{name}: {window.inner_text('main')}"
        if name == "take-in":  # what would be made of the folder says more than where it is chosen
            window.click("text=Scan this folder")
            window.wait_for_selector("fieldset.session")
        window.wait_for_load_state("networkidle")
        window.evaluate(_AT_HOME, str(demo.parent))
        yield name, small(window.screenshot())
    context.close()


def small(png: bytes) -> bytes:
    """A picture with as many colours as fit into `MOST_BYTES`."""
    from PIL import Image

    with Image.open(io.BytesIO(png)) as picture:
        shown = picture.convert("RGB")
    for colours in (256, 128, 64, 32):
        data = io.BytesIO()
        shown.quantize(colours, Image.Quantize.MAXCOVERAGE).save(data, "PNG", optimize=True)
        if data.tell() < MOST_BYTES:
            break
    return data.getvalue()


def main() -> None:
    """Make the pictures of the documents anew."""
    FOLDER.mkdir(exist_ok=True)
    demo = Path(tempfile.mkdtemp()) / "try"
    try:
        make_demo(demo)
        made = {}
        for page in serve(demo):
            for chromium in browser():
                made = dict(pictures(chromium, demo, page))
    finally:
        remove(demo.parent)
    for name in SCREENS:
        if name in made:
            (FOLDER / f"{name}.png").write_bytes(made[name])
        told = f"{len(made[name]):,} bytes" if name in made else "this version has no such screen"
        sys.stdout.write(f"{name:10} {told}\n")


if __name__ == "__main__":
    main()
