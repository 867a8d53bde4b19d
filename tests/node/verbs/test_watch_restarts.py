"""A watcher that is killed at random beside a slow writer archives no half session; the harness would notice."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import zygote

HARNESS = Path(__file__).resolve().parents[3] / "benchmarks" / "watch_restarts.py"
pytestmark = [
    pytest.mark.program("watchers are killed and started again twenty times"),
    pytest.mark.skipif(sys.platform == "win32", reason="the watchers are forked"),
]


def run(tmp_path: Path, *options: str, code: int) -> dict[str, Any]:
    """Run the harness; what it found."""
    report = tmp_path / "report.json"
    command = [sys.executable, str(HARNESS), "--work", str(tmp_path / "work"), "--json", str(report), *options]
    done = zygote.run(command, cwd=tmp_path)
    assert done.returncode == code, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(report.read_text("utf-8"))
    return found


def test_twenty_random_restarts_archive_no_half_session(tmp_path: Path) -> None:
    found = run(tmp_path, "--restarts", "20", "--seed", "7", code=0)
    assert found["killed"] == 20
    assert found["counted"] >= found["sessions"] / 2 > 2  # where the machine held the writer up, nothing can be said
    assert (found["half"], found["missing"], found["twice"]) == ([], [], [])
    assert found["ended"] == 6
    assert found["end_seconds"] < 10


def test_the_harness_finds_half_sessions_where_the_writer_pauses_for_too_long(tmp_path: Path) -> None:
    assert run(tmp_path, "--restarts", "3", "--seed", "3", "--too-soon", code=1)["half"]
