"""Progress where a person works: a bar in IPython and at Python's prompt, nothing in a script."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import diadem
from diadem.model.progress_bar import progress_bar

#: Long enough for a bar: what a task tells while it runs.
TOLD = """
import time
from diadem.model.ports import Progress
from diadem.model.progress_bar import progress_bar
for done in range(0, 101, 10): progress_bar(Progress("copy", done * 10**6, 10**8, "scan.dm4")); time.sleep(0.1)

"""


def said(*command: str, text: str = "") -> str:
    done = subprocess.run(
        [sys.executable, *command], input=text, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout + done.stderr


def test_in_a_script_nothing_is_shown(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(TOLD)
    assert said(str(tmp_path / "script.py")) == ""
    assert "tqdm" not in said("-c", f"{TOLD}\nimport sys\nprint(sorted(one for one in sys.modules if 'tqdm' in one))")


def test_at_pythons_prompt_and_in_ipython_there_is_a_bar() -> None:
    prompt = said("-i", "-q", text=TOLD)
    shell = said("-m", "IPython", "--no-banner", "--colors=NoColor", "-c", TOLD)
    for seen in (prompt, shell):
        assert "copy:" in seen
        assert "80.0M/100M" in seen
        assert "B/s" in seen
        assert "scan.dm4" in seen


def test_a_bar_that_a_fault_has_left_is_taken_away() -> None:
    failing = TOLD.replace("range(0, 101, 10)", "range(0, 71, 10)") + "1 / 0"
    code = f"shell = get_ipython(); shell.run_cell({failing!r})\nfrom diadem.model.progress_bar import progress_bar\n"
    assert "open: None" in said("-m", "IPython", "--no-banner", "-c", code + "print('open:', progress_bar._bar)")


@pytest.mark.parametrize("verb", [diadem.pack, diadem.verify, diadem.scan, diadem.Node.archive, diadem.Package.restore])
def test_signatures_can_be_read(verb: object) -> None:
    told = str(inspect.signature(verb))  # type: ignore[arg-type]
    assert "<progress bar>" in told
    assert "0x" not in told
    assert pickle.loads(pickle.dumps(progress_bar)) is progress_bar


def test_in_a_notebook_without_widgets_no_bar_stays_in_its_file(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed: pip install '.[notebook]'")
    outputs = pytest.importorskip("tests.notebook.outputs", reason="pip install '.[notebook]'")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(TOLD + "print('done')")])
    nbformat.write(notebook, tmp_path / "told.ipynb")
    (cell,) = outputs.run(tmp_path / "told.ipynb", tmp_path).cells
    assert [outputs.kind(one) for one in cell.outputs] == ["display_data text/plain", "stream stdout"]
    assert [outputs.texts(one) for one in cell.outputs] == [{"text/plain": ""}, {"stdout": "done\n"}]
