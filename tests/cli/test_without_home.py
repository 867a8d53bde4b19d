"""An account without a home: a container that is run under a number that no file of users knows."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

#: No file of users has it.
_NOBODY = ["unshare", "-U", "--map-user=54321", "--map-group=54321"]
_PLACES = ("HOME", "USER", "LOGNAME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "DIADEM_CACHE", "DIADEM_CONFIG")

pytestmark = pytest.mark.skipif(
    not shutil.which("unshare") or subprocess.run([*_NOBODY, "true"], capture_output=True, check=False).returncode != 0,
    reason="this system does not let a process be a user that it does not know",
)


def nobody(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python as that account."""
    environment = {name: value for name, value in os.environ.items() if name not in _PLACES}
    command = [*_NOBODY, sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=environment)


def diadem(folder: Path, *arguments: str) -> Any:
    done = nobody(folder, "-m", "diadem", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_it_has_a_node_and_caches_nothing(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").write_text("a")
    made = ["--store", "store", "--name", "lab", "--user", "anna"]
    diadem(tmp_path, "init", "node", *made, "--recovery-file", "recovery.txt")
    assert diadem(tmp_path, "scan", "data")["sessions"]
    package = diadem(tmp_path, "archive", "data", "--now", "--node", "node")["package"]["id"]
    assert [row["id"] for row in diadem(tmp_path, "search", "--node", "node")["rows"]] == [package]
    assert diadem(tmp_path, "user", "ls", "--node", "node")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "node", "recovery.txt", "store"]


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        (3, ("search", "ZnO")),
        (3, ("inbox",)),
        (2, ("init",)),
        (3, ("search", "--node", "https://127.0.0.1:1")),
    ],
)
@pytest.mark.sweep(2)
def test_what_it_has_to_say_is_asked_for(tmp_path: Path, code: int, arguments: tuple[str, ...]) -> None:
    done = nobody(tmp_path, "-m", "diadem", *arguments)
    assert done.returncode == code
    assert "should not have happened" not in done.stderr
    assert "next" in done.stderr


def test_it_chooses_folders_on_the_page(tmp_path: Path) -> None:
    pytest.importorskip("starlette", reason="the extra 'page' is not installed")
    done = nobody(tmp_path, "-c", "from diadem.page.folders import roots; print([one.name for one in roots()])")
    assert "This computer" in done.stdout, done.stderr
    assert "Home" not in done.stdout
