"""The notebooks run from top to bottom, and are kept with the outputs of their cells."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed: pip install '.[notebook]'")
pytest.importorskip("nbclient", reason="nbclient is not installed: pip install '.[notebook]'")
pytest.importorskip("ipykernel", reason="ipykernel is not installed: pip install '.[notebook]'")

from tests.notebook.outputs import MOST_BYTES, MOST_LINES, NOTEBOOKS, digest, kept, kind, run, texts  # noqa: E402

#: What the cells of a notebook may not say: where somebody ran it.
_ELSEWHERE = re.compile(r"/dev/shm|/tmp/(?!diadem-notebook\b)\w|[A-Z]:\\\\|/Users/|/home/(?!alice\b)\w|/root\b")
# The kernel's client leaves sockets and loops to the collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::RuntimeWarning"
)


def cells_of(notebook: Any) -> list[Any]:
    """The cells with code."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_those_of_its_cells(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    told = notebook.metadata.get("diadem", {}).get("outputs_of")
    assert told == digest(notebook), f"run: python tasks.py notebooks (or python -m tests.notebook.outputs {path.stem})"
    assert [cell.execution_count for cell in cells_of(notebook)] == list(range(1, len(cells_of(notebook)) + 1))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_small_and_of_no_machine(path: Path) -> None:
    for cell in cells_of(nbformat.read(path, as_version=4)):
        for output in cell.outputs:
            assert output.output_type != "error"
            for name, text in texts(output).items():
                assert name != "stderr", text
                if name == "image/png":
                    assert len(base64.b64decode(text)) <= MOST_BYTES
                elif isinstance(text, str):
                    found = _ELSEWHERE.search(re.sub(r"base64,[A-Za-z0-9+/=]*", "", text))
                    assert found is None, f"{found}: {text[:2000]}"
                    for encoded in re.findall(r"base64,([A-Za-z0-9+/=]*)", text):
                        assert len(base64.b64decode(encoded)) <= MOST_BYTES


@pytest.mark.program("every notebook is run")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path: Path, tmp_path: Path) -> None:
    before = [[kind(output) for output in cell.outputs] for cell in cells_of(nbformat.read(path, as_version=4))]
    after = kept(run(path, tmp_path), tmp_path)
    assert [[kind(output) for output in cell.outputs] for cell in cells_of(after)] == before


def test_the_first_hour_is_twelve_cells_whose_outputs_fit_a_screen() -> None:
    cells = cells_of(nbformat.read(NOTEBOOKS[0], as_version=4))
    assert len(cells) == 12
    for cell in cells:
        for output in cell.outputs:
            drawn = {"text/html", "image/png"} & set(texts(output))  # a card or a picture is one output
            assert drawn or all(len(text.splitlines()) <= MOST_LINES for text in texts(output).values())
