"""The benchmark of the catalogue runs, on so few packages that its figures mean nothing."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests import zygote

PROGRAM = Path(__file__).resolve().parents[2] / "benchmarks" / "catalogue.py"


@pytest.mark.program("a benchmark is run")
def test_it_runs(tmp_path: Path) -> None:
    command = [sys.executable, str(PROGRAM), "--count", "25", "--queries", "54", "--rounds", "1"]
    command += ["--work", str(tmp_path / "work"), "--json", str(tmp_path / "report.json")]
    done = zygote.run(command)
    assert done.returncode == 0, done.stderr[-3000:]
    document = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert document["count"] == 25
    assert len(document["kinds"]) == 27
    assert document["search"]["p95"] > 0
    assert done.stdout.startswith("| 25 packages |")
    assert all(f"| {kind} |" in done.stdout for kind in document["kinds"])
