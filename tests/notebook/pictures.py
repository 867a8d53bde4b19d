"""The pictures of a notebook in the documents: cells of the first hour with their outputs, as JupyterLab sets them.

``python -m tests.notebook.pictures`` makes them anew in ``docs/pictures``.
"""

from __future__ import annotations

import html
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final

import nbformat

from tests.browser import browser
from tests.notebook.outputs import NOTEBOOKS, texts
from tests.notebook.test_front_ends import FRONT_ENDS
from tests.page.pictures import FOLDER, small

#: Name of the picture, and which cells it shows.
PICTURES: Final[Mapping[str, tuple[int, ...]]] = {
    "notebook": (2, 3, 4),
    "notebook-plot": (7, 8),
    "notebook-derived": (9, 11),
}
_LOOK: Final = """body { font: 13px sans-serif; margin: 16px; color: #212121; }
pre { font: 12px monospace; background: #f7f7f7; border: 1px solid #e0e0e0; padding: 6px; margin: 10px 0 6px; }"""


def shown(cell: Any) -> Iterator[str]:
    """A cell and its outputs as HTML."""
    yield f"<pre>{html.escape(cell.source)}</pre>"
    for output in cell.outputs:
        said = texts(output)
        if "image/png" in said:
            yield f'<img src="data:image/png;base64,{said["image/png"]}">'
        elif "text/html" in said:
            yield FRONT_ENDS["lab"][0].format(said["text/html"])
        else:
            yield f"<div><code>{html.escape('; '.join(said.values()))}</code></div>"


def main() -> None:
    """Write the pictures."""
    notebook = nbformat.read(NOTEBOOKS[0], as_version=4)
    cells = {cell.execution_count: cell for cell in notebook.cells if cell.cell_type == "code"}
    for chromium in browser():
        page = chromium.new_page(viewport={"width": 1060, "height": 300})
        for name, numbers in PICTURES.items():
            body = "".join(part for number in numbers for part in shown(cells[number]))
            page.set_content(f"<!doctype html><style>{_LOOK}{FRONT_ENDS['lab'][1]}</style>{body}")
            picture = small(page.screenshot(full_page=True))
            (FOLDER / f"{name}.png").write_bytes(picture)
            sys.stdout.write(f"{name:30} {len(picture):,} bytes\n")


if __name__ == "__main__":
    main()
