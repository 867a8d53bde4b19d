"""The picture of a notebook in the documents: cells that look at the archive of `diadem demo`, as JupyterLab sets them.

``python -m tests.notebook.pictures`` makes it anew in ``docs/pictures``.
"""

from __future__ import annotations

import contextlib
import html
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from IPython.core.interactiveshell import InteractiveShell
from PIL import Image

from tests.browser import browser
from tests.notebook.test_front_ends import FRONT_ENDS
from tests.page.pictures import FOLDER, make_demo

CELLS: Final = (
    'found = node.search("HAADF sample:S-12")\nfound',
    "found[0].package",
    'package["S-12 HAADF boundary.hspy"].fields',
)
_LOOK: Final = """body { font: 13px sans-serif; margin: 16px; color: #212121; }
pre { font: 12px monospace; background: #f7f7f7; border: 1px solid #e0e0e0; padding: 6px; margin: 10px 0 6px; }"""


def cells(demo: Path) -> Iterator[tuple[str, str]]:
    """Each cell, and the HTML of what it gives."""
    shell: Any = InteractiveShell.instance()
    shell.run_cell(f"import diadem\nnode = diadem.open_node({str(demo)!r})", silent=True)
    for cell in CELLS:
        with contextlib.redirect_stdout(io.StringIO()):
            found = shell.run_cell(cell).result
        formats, _ = shell.display_formatter.format(found)
        yield cell, formats["text/html"].replace(str(demo), "/home/alice")
        shell.run_cell("package = found[0].package", silent=True)


def main() -> None:
    """Write the picture."""
    around, rules = FRONT_ENDS["lab"]
    with tempfile.TemporaryDirectory() as place:
        demo = Path(place) / "archive"
        make_demo(demo)
        body = "".join(f"<pre>{html.escape(cell)}</pre>{around.format(shown)}" for cell, shown in cells(demo))
        for chromium in browser():
            page = chromium.new_page(viewport={"width": 1060, "height": 700})
            page.set_content(f"<!doctype html><style>{_LOOK}{rules}</style>{body}")
            with Image.open(io.BytesIO(page.screenshot(full_page=True))) as whole:
                whole.convert("RGB").quantize(64).save(FOLDER / "notebook.png", optimize=True)


if __name__ == "__main__":
    main()
