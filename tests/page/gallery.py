"""The gallery of the documents: pages of packages as anybody gets them, and pictures of datasets, all of the demo's.

``python -m tests.page.gallery`` makes it anew: pages in ``docs/previews``, pictures in ``docs/pictures``.
"""

from __future__ import annotations

import re
import sys
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import diadem
from diadem.model.display import short_name
from diadem.testing.faults import remove
from tests.browser import browser
from tests.page.pictures import FOLDER, make_demo, small

PAGES: Final = FOLDER.parent / "previews"
SIZE: Final = {"width": 1100, "height": 1000}
#: How pictures of datasets stand beside each other.
_LOOK: Final = """body { margin: 0; font: 14px sans-serif; color: #1a1d23; background: #fff; }
main { display: grid; grid-template-columns: repeat(3, 1fr); gap: 12px; padding: 8px; }
figure { margin: 0; } img { width: 100%; height: 250px; object-fit: contain; background: #f3f5f8; }
figcaption { padding: 4px 0 6px; }"""


def previews(chromium: Any, node: diadem.Node) -> Iterator[tuple[str, bytes, bytes]]:
    """Of each package: a name, its page, and the top of the page as PNG."""
    window = chromium.new_page(viewport=SIZE, color_scheme="light")
    for row in node.search():
        folder = row.package.path
        assert folder is not None, "the demo's stores are folders"
        page = folder / "data" / "ro-crate-preview.html"
        window.goto(page.as_uri())
        name = re.sub(r"[^a-z0-9]+", "-", re.sub(r"^[\d-]+ ", "", row.title).lower())
        yield name, page.read_bytes(), small(window.screenshot())


def datasets(chromium: Any, node: diadem.Node) -> bytes:
    """Pictures of datasets of several formats beside each other, as PNG."""
    drawn = [
        f'<figure><img src="data:image/png;base64,{b64encode(dataset.picture(size=384).png).decode()}">'
        f"<figcaption>{short_name(dataset.path)}</figcaption></figure>"
        for dataset in node.search("grain boundary")[0].package
        if dataset.signals and not dataset.issues
    ]
    window = chromium.new_page(viewport={"width": 900, "height": 640})
    window.set_content(f"<!doctype html><style>{_LOOK}</style><main>{''.join(drawn)}</main>")
    return small(window.locator("main").screenshot())


def main() -> None:
    """Make the gallery anew."""
    PAGES.mkdir(exist_ok=True)
    place, shown = Path(tempfile.mkdtemp()), (FOLDER.parent / "gallery.md").read_text("utf-8")
    try:
        make_demo(place / "try")
        for chromium in browser():
            with diadem.open_node(place / "try") as node:
                (FOLDER / "datasets.png").write_bytes(datasets(chromium, node))
                for name, page, picture in previews(chromium, node):
                    (PAGES / f"{name}.html").write_bytes(page)
                    if f"preview-{name}.png" in shown:
                        (FOLDER / f"preview-{name}.png").write_bytes(picture)
                    sys.stdout.write(f"{name:20} page {len(page):,} bytes, picture {len(picture):,} bytes\n")
    finally:
        remove(place)


if __name__ == "__main__":
    main()
