"""What Windows refuses, commands do not ask for: to rename, replace or remove a file, or a folder, that is open.

Commands run here as they are, with a library before the system's that refuses it: a share of Windows that Linux has
mounted does the same.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import failing_calls

pytestmark = pytest.mark.skipif(bool(failing_calls.missing()), reason=failing_calls.missing() or "it can be tried")

Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a command; it ends well, and nothing was asked for that Windows would have refused."""
    library, told = tmp_path / "files_in_use.so", tmp_path / "refused.txt"
    source = Path(failing_calls.__file__).with_name("files_in_use.c")
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    environment = os.environ | {"LD_PRELOAD": str(library), "FILES_IN_USE": str(told)}

    def run(*words: object, code: int = 0) -> str:
        line = [sys.executable, "-m", "diadem", *map(str, words)]
        done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=300, check=False)
        refused = told.read_text("utf-8") if told.exists() else ""
        assert (done.returncode, refused) == (code, ""), done.stdout + done.stderr
        return done.stdout

    return run


def test_the_library_refuses(run: Run, tmp_path: Path) -> None:
    """Without this the others would show nothing."""
    program = "import os, sys; held = open(sys.argv[1], 'w'); os.replace(sys.argv[1], sys.argv[2])"
    library = {"LD_PRELOAD": str(tmp_path / "files_in_use.so"), "FILES_IN_USE": str(tmp_path / "told.txt")}
    line = [sys.executable, "-c", program, str(tmp_path / "a"), str(tmp_path / "b")]
    done = subprocess.run(line, env=os.environ | library, capture_output=True, text=True, check=False)
    assert "PermissionError" in done.stderr
    assert (tmp_path / "told.txt").read_text("utf-8").startswith(f"rename {tmp_path / 'a'}")


@pytest.mark.program("every command of a node is run below another program")
def test_no_command_moves_or_removes_what_it_has_open(run: Run, tmp_path: Path) -> None:
    session, node = tmp_path / "2026-03-14 ZnO", tmp_path / "node"
    session.mkdir()
    (session / "notes.txt").write_text("drift in the first hour", "utf-8")
    (session / "large.raw").write_bytes(os.urandom(3 << 20))
    run("init", node, "--name", "lab", "--user", "anna", "--full-name", "Anna", "--store", tmp_path / "main")
    run("store", "add", tmp_path / "second", "--place", "second", "--node", node)
    run("archive", session, "--now", "--as-one", "--node", node)
    (session / "later.raw").write_bytes(os.urandom(2 << 20))
    run("archive", session, "--now", "--as-one", "--node", node)
    run("pack", session, tmp_path / "packed")
    damaged = next((tmp_path / "main").glob("[0-9]*/*/data/large.raw"))
    damaged.chmod(0o644)
    with damaged.open("r+b") as file:
        file.seek(1_100_000)
        file.write(b"XYZ")
    run("scrub", "--node", node, code=1)
    run("repair", "--node", node)
    package = damaged.parents[1]
    run("verify", package)
    run("get", package, tmp_path / "given")
    run("scan", tmp_path / "given", "--plan", tmp_path / "plan.xlsx")
    run("scan", tmp_path / "given", "--plan", tmp_path / "plan.xlsx")
    run("store", "add", tmp_path / "third", "--place", "third", "--node", node)
    run("repair", "--node", node)

    run("reindex", "--node", node)
    run("search", "large", "--node", node)
